"""The next DAG after a cohort: started by its asset, it takes the completed samples as the sheet of a batch of its own.

It is scheduled on the alias that ``example_omics_asset_alias`` has as its outlet. The event that started it brings the
place of the results. Cohorts that end while it waits to be started come in one DAG run: each gets a batch. Triggered by
hand it takes the param instead; without one, there is nothing to do.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; the workflow is the default of a param, as it is yours.
"""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AssetAlias, Param, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_asset_alias_next",
    schedule=AssetAlias("omics-cohort-results"),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    params={
        "workflow_id": "1234567",
        "results_uri": Param(None, type=["null", "string"], description="Results of a cohort, when triggered by hand"),
    },
    tags=["example", "healthomics"],
):

    @task
    def sheets(params: Any = None, **context: Any) -> list[dict[str, Any]]:
        """Make a sheet of each results file that started this DAG run; of one that has grown since, once."""
        # Airflow 3 and 2.11 call it differently.
        started_by = context.get("triggering_asset_events") or context.get("triggering_dataset_events") or {}
        found = [event.extra["results_uri"] for events in started_by.values() for event in events]
        return [
            {
                "path": uri,
                "run_setting_id": "{run_setting_id}",
                "where": {"status": "COMPLETED"},
                "parameters": {"calls": "{output_uri}"},
            }
            for uri in dict.fromkeys(found or [params["results_uri"]])
            if uri
        ]

    OmicsStartRunBatchOperator.partial(
        task_id="annotate",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    ).expand(sample_sheet=sheets())
