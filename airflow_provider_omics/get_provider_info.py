"""The provider's contents, for Airflow: the entry point ``apache_airflow_provider``."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_omics"
_INTEGRATION = "AWS HealthOmics"


def get_provider_info() -> dict[str, Any]:
    """Describe this provider to Airflow.

    No connection type is registered: the hook uses the Amazon provider's ``aws`` connection, which must have only one
    owner. Nothing is imported, because Airflow calls this in every one of its processes.

    :return: a dict as Airflow's ``provider_info.schema.json`` wants it.
    """
    return {
        "package-name": "airflow-provider-omics",
        "name": _INTEGRATION,
        "description": "Run genomics workflows on AWS HealthOmics: runs once, no worker waits, failures explained.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.aws.amazon.com/omics/latest/dev/workflows.html",
                "tags": ["aws"],
            }
        ],
        "hooks": _modules("hooks.omics"),
        "operators": _modules(
            *("operators.check", "operators.run", "operators.run_batch", "operators.run_cache", "operators.run_group"),
            "operators.workflow",
        ),
        "sensors": _modules("sensors.run", "sensors.run_batch"),
        "triggers": _modules("triggers.run", "triggers.run_batch", "triggers.workflow"),
        "task-decorators": [
            {"name": "omics_run", "class-name": f"{_PACKAGE}.decorators.run.omics_run_task"},
            {"name": "omics_run_batch", "class-name": f"{_PACKAGE}.decorators.run_batch.omics_run_batch_task"},
        ],
        "extra-links": [
            f"{_PACKAGE}.links.omics.{name}"
            for name in (
                "OmicsRunLink",
                "OmicsRunLogsLink",
                "OmicsFailedTaskLogsLink",
                "OmicsRunOutputsLink",
                "OmicsRunBatchLink",
                "OmicsRunReportLink",
                "OmicsCohortLink",
                "OmicsCohortReportLink",
                "OmicsResultsFileLink",
            )
        ],
    }


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.{name}" for name in names]}]
