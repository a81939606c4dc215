from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.emulator import OmicsEmulator
from airflow_provider_omics.emulator.script.clock import ScaledClock
from tests.connection_support import omics_connection_scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEED = 36_000
"""Ten times README's: what waits for runs waits for their hours, and how long an hour is changes no end."""

__all__ = ["omics_connection_scaled"]


@pytest.fixture
def omics_emulator_scaled() -> Iterator[OmicsEmulator]:
    """The package's emulator of this name, with a faster clock: a run takes less time than starting its task does."""
    with OmicsEmulator(clock=ScaledClock(SPEED), default_bucket="omics-results") as emulator:
        emulator.reset()
        yield emulator
