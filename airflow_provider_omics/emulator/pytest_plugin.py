"""pytest fixtures of the emulator, for everyone who installs the package with the extra ``emulator``.

This module is loaded in every pytest run of every environment that has the package installed: it imports pytest and
the standard library only, and each fixture loads its modules on use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_omics.emulator.http.server import OmicsEmulator


@pytest.fixture
def omics_emulator() -> Iterator[OmicsEmulator]:
    """A local HealthOmics with a stepped clock: time stands still until ``omics_emulator.advance(seconds)``."""
    _need_extra()
    from airflow_provider_omics.emulator.script.clock import SteppedClock  # every pytest run loads this module

    yield from _running(SteppedClock())


@pytest.fixture
def omics_emulator_scaled() -> Iterator[OmicsEmulator]:
    """A local HealthOmics whose clock runs by itself: an hour in a second."""
    _need_extra()
    from airflow_provider_omics.emulator.script.clock import ScaledClock  # every pytest run loads this module

    yield from _running(ScaledClock(3600))


@pytest.fixture
def omics_connection(omics_emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The Airflow connection ``aws_default`` to the emulator, in the environment for the length of a test.

    It has a service role, and the bucket ``omics-results`` for outputs, results and staged settings. Variables that
    could lead elsewhere (``AWS_*``) are removed for the same time.
    """
    return _connect(omics_emulator, monkeypatch)


@pytest.fixture
def omics_connection_scaled(omics_emulator_scaled: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same as ``omics_connection``, to the emulator of ``omics_emulator_scaled``."""
    return _connect(omics_emulator_scaled, monkeypatch)


def _need_extra() -> None:
    from airflow_provider_omics.emulator import missing_extra  # every pytest run loads this module

    missing = missing_extra()
    if missing is not None:
        pytest.fail(missing, pytrace=False)


def _running(clock: Any) -> Iterator[OmicsEmulator]:
    from airflow_provider_omics.emulator.http.server import OmicsEmulator  # every pytest run loads this module

    with OmicsEmulator(clock=clock, default_bucket="omics-results") as emulator:
        # moto's state outlives an emulator: this test must not see an earlier test's objects.
        emulator.reset()
        yield emulator


def _connect(emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    # Without it botocore may ask the machine's metadata service for credentials.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", emulator.connection_json)
    return emulator.connection
