"""Wait for a batch that someone else started, and cancel what is left of it if it takes too long.

The sensor does not judge a batch: its result says how many runs completed, and the next task decides.

Trigger it with the batch's id: ``airflow dags trigger example_omics_sensor --conf '{"batch_id": "..."}'``. Without an
id, the first tasks start a batch of two, so that there is something to wait for. On AWS only the connection
``aws_default`` changes, as it has the service role and all places; the workflow is a param, as it is yours.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run_batch import OmicsCancelRunBatchOperator, OmicsStartRunBatchOperator
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))
BATCH_ID = "{{ params.batch_id or ti.xcom_pull('start')['batch_id'] }}"

with DAG(
    "example_omics_sensor",
    schedule=None,
    params={
        "batch_id": Param(None, type=["null", "string"], pattern="^[0-9]+$", description="Id of any batch"),
        "workflow_id": Param("1234567", type="string", description="Workflow of the batch without an id"),
    },
    tags=["example", "healthomics"],
):

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def start_one(params: Any = None) -> bool:
        """Say whether a batch is to be started first."""
        return not params["batch_id"]

    start = OmicsStartRunBatchOperator(
        task_id="start",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        run_settings=[{"runSettingId": name, "name": name} for name in ("NA12878", "NA12891")],
        wait_for_completion=False,
    )

    wait = OmicsRunBatchSensor(
        task_id="wait",
        batch_id=BATCH_ID,
        trigger_rule="none_failed",
        timeout=timedelta(days=2),
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )

    cancel = OmicsCancelRunBatchOperator(task_id="cancel", batch_id=BATCH_ID, trigger_rule="one_failed")

    @task
    def accept(batch: Any) -> str:
        """Say whether all runs completed."""
        return f"{batch['completed_runs']} of {batch['total_runs']} completed: {batch['succeeded']}"

    start_one() >> start >> wait >> cancel
    accept(wait.output)
