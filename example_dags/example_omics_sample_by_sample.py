"""One downstream run for each sample, as soon as it has completed: it does not wait for the last of its cohort.

Every half hour a DAG run takes the samples of a batch that no earlier one has taken, and starts a batch with a run for
each of them. A DAG run that is cleared takes the same samples again, and starts nothing twice.

Give the batch's id as the param, here or with ``airflow dags trigger example_omics_sample_by_sample --conf
'{"batch_id": "..."}'``, and pause the DAG when the batch has ended. Without an id, all tasks are skipped.

On AWS only the connection ``aws_default`` changes, as it has the service role and all places.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Param, task

from airflow_provider_omics.operators.run_batch import (
    OmicsCollectBatchResultsOperator,
    OmicsStartRunBatchOperator,
)
from airflow_provider_omics.results import read_batch_results

# The file of the batch's own task, if that names it; the DAG runs share it.
PLACE = "{{ conn.aws_default.extra_dejson.service_config.omics.results_s3_uri }}"

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_sample_by_sample",
    doc_md=__doc__,
    schedule=timedelta(minutes=30),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    params={
        "batch_id": Param(None, type=["null", "string"], pattern="^[0-9]+$", description="Id of any batch"),
        "workflow_id": Param("1234567", description="Id of the next workflow, in your account and Region"),
    },
    tags=["example", "healthomics"],
):

    @task
    def batch(params: Any = None) -> str:
        """Return the batch to collect from; without one, there is nothing to do."""
        if not params["batch_id"]:
            raise AirflowSkipException("Nothing to hand on: give the DAG a batch_id.")
        return str(params["batch_id"])

    batch_id: Any = batch()
    collect = OmicsCollectBatchResultsOperator(
        task_id="collect",
        batch_id=batch_id,
        results_s3_uri=PLACE + "{{ params.batch_id }}.jsonl.gz",
        chunk_size=1_000,
    )

    @task
    def settings(collected: Any) -> list[dict[str, Any]]:
        """Make a run setting of each sample that is new; without one, there is nothing to start."""
        found = [record for chunk in collected["new_chunks"] for record in read_batch_results(**chunk)]
        if not found:
            raise AirflowSkipException("No sample has completed since the last DAG run.")
        return [{"runSettingId": record.run_setting_id, "parameters": {"calls": record.output_uri}} for record in found]

    run_settings: Any = settings(collect.output)
    OmicsStartRunBatchOperator(
        task_id="annotate",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        run_settings=run_settings,
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )
