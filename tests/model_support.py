"""What the installed botocore can send, for tests of fields that are younger than the floor of the package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import botocore
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES

from airflow_provider_omics.core.settings.fields import FIELDS, Place


def number(release: str) -> tuple[int, ...]:
    """Read a release; an empty one comes before all."""
    return tuple(map(int, release.split("."))) if release else ()


FLOOR = (1, 42, 74)
INSTALLED = number(botocore.__version__)

RETRY_MODE = BOTOCORE_DEFAUT_SESSION_VARIABLES["retry_mode"][2]
"""botocore's own, where nobody names a mode: ``legacy``, and ``standard`` from 1.44 on."""

STATUSES_SINCE = {"CREATING": "1.42.97", "RUNS_DELETE_FAILED": "1.43.90"}
"""Statuses of batches that the model at the floor does not have."""

LATER_STATUSES = {status for status, release in STATUSES_SINCE.items() if number(release) > INSTALLED}
"""Those that the installed model does not have."""

OPERATIONS_SINCE = {f"{verb}Configuration": "1.42.78" for verb in ("Create", "Get", "Delete")} | {
    "ListConfigurations": "1.42.78"
}
"""Operations of the emulator that the model at the floor does not have."""

LATER_OPERATIONS = {name for name, release in OPERATIONS_SINCE.items() if number(release) > INSTALLED}
"""Those that the installed model does not have."""


def is_sendable(place: Place, name: str) -> bool:
    """Tell by the table of releases, which a contract test compares with the model, whether a field can be sent."""
    return number(FIELDS[place][name].since(place)) <= INSTALLED


def sendable(place: Place, setting: Mapping[str, Any]) -> dict[str, Any]:
    """Take the part of a setting that the installed botocore can send."""
    return {name: value for name, value in setting.items() if is_sendable(place, name)}


def refusal(place: Place, name: str) -> str:
    """Make the part of an error that says which release a field needs."""
    return f"{name} needs boto3 {FIELDS[place][name].since(place)}; {botocore.__version__} is installed"
