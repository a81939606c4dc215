"""Wait for a batch that someone else started, and cancel what is left of it if it takes too long.

The sensor does not judge a batch: its result says how many runs completed, and the next task decides.

Trigger it with the batch's id: ``airflow dags trigger example_omics_sensor --conf '{"batch_id": "..."}'``. On AWS only
the connection ``aws_default`` changes.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run_batch import OmicsCancelRunBatchOperator
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_sensor",
    doc_md=__doc__,
    schedule=None,
    params={
        "batch_id": Param("0000000", type="string", pattern="^[0-9]+$", description="Id of a batch"),
    },
    tags=["example", "healthomics"],
):
    wait = OmicsRunBatchSensor(
        task_id="wait",
        batch_id="{{ params.batch_id }}",
        timeout=timedelta(days=2),
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )

    cancel = OmicsCancelRunBatchOperator(task_id="cancel", batch_id="{{ params.batch_id }}", trigger_rule="one_failed")

    @task
    def accept(batch: Any) -> str:
        """Say whether all runs completed."""
        return f"{batch['completed_runs']} of {batch['total_runs']} completed: {batch['succeeded']}"

    wait >> cancel
    accept(wait.output)
