"""The names that users import."""

from __future__ import annotations

import importlib
import inspect
import pickle

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


def test_version_has_one_home() -> None:
    """The installed distribution says the version that the package says."""
    from importlib.metadata import version

    assert version("airflow-provider-omics") == airflow_provider_omics.__version__
