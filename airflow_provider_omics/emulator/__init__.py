"""A local AWS HealthOmics, with S3, CloudWatch Logs, EventBridge, SQS and STS of moto beside it.

It shares no code with the rest of the package: an independent witness, whose truth is the botocore service model.
Importing this package loads the standard library only (the pytest plugin of the package is loaded in every test run
of everyone who installs it); the names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_omics.emulator.http.in_process import in_process_client
    from airflow_provider_omics.emulator.http.server import OmicsEmulator
    from airflow_provider_omics.emulator.script.clock import RealClock, ScaledClock, SteppedClock
    from airflow_provider_omics.emulator.script.faults import Fault
    from airflow_provider_omics.emulator.script.limits import Limits
    from airflow_provider_omics.emulator.script.scenario import Scenario

__all__ = [
    "Fault",
    "Limits",
    "OmicsEmulator",
    "RealClock",
    "ScaledClock",
    "Scenario",
    "SteppedClock",
    "in_process_client",
]

_MODULES = {
    "Fault": "script.faults",
    "Limits": "script.limits",
    "OmicsEmulator": "http.server",
    "RealClock": "script.clock",
    "ScaledClock": "script.clock",
    "Scenario": "script.scenario",
    "SteppedClock": "script.clock",
    "in_process_client": "http.in_process",
}

#: What the emulator needs beside the standard library, by import name.
_EXTRA = ("boto3", "flask", "flask_cors", "moto", "werkzeug", "yaml")


def missing_extra() -> str | None:
    """Return what is missing of the extra ``emulator``.

    :return: one sentence that names the missing modules and how to install them; None: nothing is missing.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"The local HealthOmics needs {', '.join(missing)}: pip install 'airflow-provider-omics[emulator]'"


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
