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
    "operators.check": {"OmicsCheckOperator"},
    "operators.run": {"OmicsStartRunOperator", "OmicsCancelRunOperator", "OmicsDeleteRunOperator"},
    "operators.run_batch": {
        "OmicsStartRunBatchOperator",
        "OmicsCollectBatchResultsOperator",
        "OmicsCancelRunBatchOperator",
        "OmicsDeleteRunBatchOperator",
        "OmicsDeleteBatchOperator",
    },
    "operators.run_cache": {
        "OmicsCreateRunCacheOperator",
        "OmicsDeleteRunCacheOperator",
        "OmicsUpdateRunCacheOperator",
    },
    "operators.run_group": {"OmicsCreateRunGroupOperator", "OmicsDeleteRunGroupOperator"},
    "operators.workflow": {"OmicsReleaseWorkflowOperator"},
    "sensors.run": {"OmicsRunSensor"},
    "sensors.run_batch": {"OmicsRunBatchSensor"},
    "triggers.run": {"OmicsRunTrigger"},
    "triggers.run_batch": {"OmicsRunBatchTrigger"},
    "triggers.workflow": {"OmicsWorkflowTrigger"},
    "links.omics": {
        "OmicsRunLink",
        "OmicsRunLogsLink",
        "OmicsFailedTaskLogsLink",
        "OmicsRunOutputsLink",
        "OmicsRunBatchLink",
        "OmicsRunReportLink",
        "OmicsCohortLink",
        "OmicsCohortReportLink",
        "OmicsResultsFileLink",
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


FUNCTIONS = {
    "exceptions": {
        *("OmicsError", "SettingsError", "AttemptError", "StartTimedOut", "LostContact", "NotOwner", "EventError"),
        *("ServiceError", "AccessDenied", "NotFound", "Conflict", "QuotaExceeded", "InvalidRequest"),
        *("Unavailable", "Throttled", "CredentialsExpired"),
        *("RunError", "RunFailed", "RunIncomplete", "RunCancelled", "RunDeleted", "RunVanished", "RunTimedOut"),
        *("BatchError", "BatchFailed", "BatchCancelled", "BatchDeleted", "BatchVanished", "BatchVerdictError"),
        *("BatchTimedOut", "WorkflowFailed", "Problem", "FINAL", "airflow_error"),
    },
    "sheets": {"SampleSheet", "each", "one", "run_settings_from_sheet"},
    "results": {"RunRecord", "RecordStatus", "completed_chunks", "read_batch_results"},
}
"""What users import beside the operators and their kin."""


@pytest.mark.parametrize(("module", "names"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_public_functions_and_values(module: str, names: set[str]) -> None:
    """A module offers exactly the names that the table lists, each documented and found again by pickle."""
    found = importlib.import_module(f"airflow_provider_omics.{module}")
    values = {name: getattr(found, name) for name in names}

    assert set(found.__all__) == names
    assert all(inspect.getdoc(value) for value in values.values())
    assert all(pickle.loads(pickle.dumps(value)) == value for value in values.values())


def test_a_name_that_sheets_lacks_is_no_attribute() -> None:
    """A misspelt import fails as Python's own does, with the name."""
    sheets = importlib.import_module("airflow_provider_omics.sheets")

    with pytest.raises(AttributeError, match="run_settings_of_sheet"):
        sheets.run_settings_of_sheet  # noqa: B018  # the access is what is tested


def test_all_errors_are_public() -> None:
    """core.errors has no class of an error that ``exceptions`` leaves out."""
    errors = importlib.import_module("airflow_provider_omics.core.errors")
    classes = {
        name for name, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.OmicsError)
    }

    assert classes == FUNCTIONS["exceptions"] - {"Problem", "FINAL", "airflow_error"}


def test_nothing_for_users_leads_into_core() -> None:
    """README, the site and the example DAGs import no module below ``core``; architecture.md is for contributors."""
    root = Path(__file__).parents[2]
    pages = [root / "README.md", *root.glob("docs/**/*.md"), *root.glob("example_dags/**/*.py")]
    told = [page for page in pages if re.search(r"airflow_provider_omics\.core\b", page.read_text(encoding="utf-8"))]

    assert [page.name for page in told if page.name != "architecture.md"] == []


def test_version_has_one_home() -> None:
    """The installed distribution says the version that the package says."""
    from importlib.metadata import version

    assert version("airflow-provider-omics") == airflow_provider_omics.__version__
