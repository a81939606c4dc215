"""Stop from outside: cancel a run or a batch by its id, whoever started it, and wait until it has come to rest.

A task that waits for what is cancelled here fails with ``RunCancelled`` or ``BatchCancelled``, as it was not its own
doing. To stop what a task of yours has started, it is enough to mark that task failed.

Give the id as a param: ``airflow dags trigger example_omics_cancel --conf '{"batch_id": "..."}'``, or ``run_id``. With
neither, all tasks are skipped.
On AWS only the connection ``aws_default`` changes.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Param, task

from airflow_provider_omics.operators.run import OmicsCancelRunOperator
from airflow_provider_omics.operators.run_batch import OmicsCancelRunBatchOperator
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_cancel",
    schedule=None,
    params={
        "batch_id": Param(None, type=["null", "string"], pattern="^[0-9]+$", description="Id of the batch to cancel"),
        "run_id": Param(None, type=["null", "string"], pattern="^[0-9]+$", description="Id of the run to cancel"),
    },
    tags=["example", "healthomics"],
):

    @task.branch
    def choose(params: Any = None) -> str:
        """Choose by which id is given."""
        if not (params["batch_id"] or params["run_id"]):
            raise AirflowSkipException("Nothing to cancel: trigger the DAG with a batch_id or a run_id.")
        return "cancel_batch" if params["batch_id"] else "cancel_run"

    cancel_run = OmicsCancelRunOperator(task_id="cancel_run", run_id="{{ params.run_id }}")

    cancel_batch = OmicsCancelRunBatchOperator(
        task_id="cancel_batch",
        batch_id="{{ params.batch_id }}",
        retries=5,  # a batch that is still CREATING cannot be cancelled yet
    )

    rest = OmicsRunBatchSensor(
        task_id="rest",
        batch_id="{{ params.batch_id }}",
        soft_fail=True,  # CANCELLED is what is wanted here; for the sensor it is no success
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )

    choose() >> [cancel_run, cancel_batch]
    cancel_batch >> rest
