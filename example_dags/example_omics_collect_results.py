"""Every half hour, take over what has completed of a batch: a clinical sample does not wait for the last of its cohort.

Whoever started the batch, each DAG run adds to one results file what has ended since the last one, and hands it on.

Give the batch's id as the param, here or with ``airflow dags trigger example_omics_collect_results --conf
'{"batch_id": "..."}'``, and pause the DAG when the batch has ended. Without an id, all tasks are skipped.

On AWS only the connection ``aws_default`` changes, as it has the place of results.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, Param, task

from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator
from airflow_provider_omics.results import read_batch_results

# The connection's place for results, below which each DAG run would have a file of its own; here they share one.
PLACE = "{{ conn.aws_default.extra_dejson.service_config.omics.results_s3_uri }}"

with DAG(
    "example_omics_collect_results",
    schedule=timedelta(minutes=30),
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    params={"batch_id": Param(None, type=["null", "string"], pattern="^[0-9]+$", description="Id of any batch")},
    tags=["example", "healthomics"],
):

    @task
    def batch(params: Any = None) -> str:
        """Return the batch to collect from; without one, there is nothing to do."""
        if not params["batch_id"]:
            raise AirflowSkipException("Nothing to collect: give the DAG a batch_id.")
        return str(params["batch_id"])

    batch_id: Any = batch()
    collect = OmicsCollectBatchResultsOperator(
        task_id="collect",
        batch_id=batch_id,
        results_s3_uri=PLACE + "{{ params.batch_id }}.jsonl.gz",
    )

    @task
    def report(collected: Any) -> str:
        """Say which samples have completed so far."""
        records = read_batch_results(collected["results_uri"], status="COMPLETED")
        names = ", ".join(record.run_setting_id for record in records) or "none"
        return f"{collected['completed_runs']} of {collected['total_runs']} completed: {names}"

    report(collect.output)
