"""A local AWS HealthOmics, with S3, CloudWatch Logs, EventBridge, SQS and STS of moto beside it.

It shares no code with the rest of the package: an independent witness, built on the botocore service model. Importing
it loads the standard library only, because every pytest run of every environment with this package loads the pytest
plugin; the names below load on first use.

=============== ======================================================================================================
room            contents
=============== ======================================================================================================
``http``        the port: requests and answers on the wire, the control API, moto's services, boto3 clients
``api``         the operations of HealthOmics, a function each, and the service that holds accounts and regions
``life``        runs and batches in time: a heap of events for each account and region, and the traces that runs leave
``definitions`` the definitions of workflows: engine, main file and parameters of a zip archive
``script``      the inputs of a test: scenario, limits, faults, clock
``compare``     questions to a real account, whose answers are held against the emulator's
=============== ======================================================================================================

``http`` imports ``api``, which imports ``life``, which imports ``definitions`` and ``script``. Below them stand the
facts of the service: ``model``, ``errors``, ``statuses`` and ``request_check``.
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

#: The modules of the extra, by import name.
_EXTRA = ("boto3", "flask", "flask_cors", "moto", "werkzeug", "yaml")


def missing_extra() -> str | None:
    """Look for the modules of the extra ``emulator``.

    :return: a sentence that names the missing modules and the command that installs them; None when all are there.
    """
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"The local HealthOmics needs {', '.join(missing)}: pip install 'airflow-provider-omics[emulator]'"


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
