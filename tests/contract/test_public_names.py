"""The names that users import."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
from pathlib import Path

import pytest

import airflow_provider_omics

PUBLIC = {
    "hooks.omics": {"OmicsHook"},
    "operators.run": {"OmicsStartRunOperator", "OmicsCancelRunOperator", "OmicsDeleteRunOperator"},
    "operators.batch_results": {"OmicsCollectBatchResultsOperator"},
    "operators.run_batch": {
        "OmicsStartRunBatchOperator",
        "OmicsCollectBatchResultsOperator",
        "OmicsCancelRunBatchOperator",
        "OmicsDeleteRunBatchOperator",
        "OmicsDeleteBatchOperator",
    },
    "operators.run_batch_actions": {
        "OmicsCancelRunBatchOperator",
        "OmicsDeleteRunBatchOperator",
        "OmicsDeleteBatchOperator",
    },
    "operators.run_group": {"OmicsCreateRunGroupOperator", "OmicsDeleteRunGroupOperator"},
    "sensors.run": {"OmicsRunSensor"},
    "sensors.run_batch": {"OmicsRunBatchSensor"},
    "triggers.run": {"OmicsRunTrigger"},
    "triggers.run_batch": {"OmicsRunBatchTrigger"},
    "links.omics": {
        "OmicsRunLink",
        "OmicsRunLogsLink",
        "OmicsFailedTaskLogsLink",
        "OmicsRunOutputsLink",
        "OmicsRunBatchLink",
    },
}


@pytest.mark.parametrize(("module", "names"), PUBLIC.items(), ids=PUBLIC)
def test_public_names(module: str, names: set[str]) -> None:
    """A module offers exactly the classes that the table lists, each documented."""
    found = importlib.import_module(f"airflow_provider_omics.{module}")
    offered = getattr(found, "__all__", None)
    own = {
        name: value
        for name, value in inspect.getmembers(found, inspect.isclass)
        if name.startswith("Omics") and (value.__module__ == found.__name__ if offered is None else name in offered)
    }

    assert own.keys() == names
    assert all(inspect.getdoc(value) for value in own.values())
    assert all(pickle.loads(pickle.dumps(value)) is value for value in own.values())


CORE = {
    "core.errors": {
        *("OmicsError", "SettingsError", "AttemptError", "StartTimedOut", "LostContact", "NotOwner", "EventError"),
        *("ServiceError", "AccessDenied", "NotFound", "Conflict", "QuotaExceeded", "InvalidRequest"),
        *("Unavailable", "Throttled", "CredentialsExpired"),
        *("RunError", "RunFailed", "RunCancelled", "RunDeleted", "RunVanished", "RunTimedOut"),
        *("BatchError", "BatchFailed", "BatchCancelled", "BatchDeleted", "BatchVanished", "BatchVerdictError"),
        "BatchTimedOut",
    },
    "core.sample_sheet": {"SampleSheet", "each", "one"},
    "core.run_record": {"RunRecord", "RecordStatus"},
}
"""What users import from below ``core``."""


@pytest.mark.parametrize(("module", "names"), CORE.items(), ids=CORE)
def test_public_names_of_core(module: str, names: set[str]) -> None:
    """A module of core that is public has its names, each documented and found again by pickle."""
    found = importlib.import_module(f"airflow_provider_omics.{module}")
    values = {name: getattr(found, name) for name in names}

    assert all(inspect.getdoc(value) for value in values.values())
    assert all(pickle.loads(pickle.dumps(value)) is value for value in values.values())


def test_all_errors_are_public() -> None:
    """core.errors has no class that the table leaves out."""
    errors = importlib.import_module("airflow_provider_omics.core.errors")
    classes = {
        name for name, value in inspect.getmembers(errors, inspect.isclass) if value.__module__ == errors.__name__
    }

    assert classes == CORE["core.errors"]


def test_upgrade_policy_names_what_is_public() -> None:
    """The page of upgrades names these modules of core, and their names."""
    page = (Path(__file__).parents[2] / "docs" / "upgrades.md").read_text(encoding="utf-8")
    told = page.partition("Of `core` three modules are public: ")[2].partition("The other modules")[0]

    assert set(re.findall(r"`(core\.\w+)`", told)) == CORE.keys()
    assert set(re.findall(r"`(\w+)`", told)) == CORE["core.sample_sheet"] | CORE["core.run_record"]


def test_version_has_one_home() -> None:
    """The installed distribution says the version that the package says."""
    from importlib.metadata import version

    assert version("airflow-provider-omics") == airflow_provider_omics.__version__
