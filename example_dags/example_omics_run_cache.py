"""A task group of three: a run cache that is found by its name, a batch on it, and a report.

A sample that is run again, by a retry or a clear, takes from the cache what it has computed before.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and bucket of the cache are params, as they are yours.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, TaskGroup, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.operators.run_cache import OmicsCreateRunCacheOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with (
    DAG(
        "example_omics_run_cache",
        doc_md=__doc__,
        schedule=None,
        params={
            "workflow_id": Param("1234567", description="Id of the workflow, in your account and Region"),
            "cache_bucket": Param("omics-results", description="Bucket of the run cache, in the Region of the runs"),
        },
        tags=["example", "healthomics"],
    ),
    TaskGroup("cohort"),
):
    cache = OmicsCreateRunCacheOperator(
        task_id="cache", name="cohort", cache_s3_location="s3://{{ params.cache_bucket }}/cache/"
    )
    batch = OmicsStartRunBatchOperator(
        task_id="batch",
        default_run_setting={
            "workflowId": "{{ params.workflow_id }}",
            "cacheId": "{{ ti.xcom_pull('cohort.cache') }}",
        },
        run_settings=[
            {"runSettingId": sample, "name": sample, "parameters": {"sample_name": sample}}
            for sample in ("NA12878", "NA12891", "NA12892")
        ],
        poll_interval=POLL_INTERVAL,
        deferrable=True,
        retries=1,
    )

    @task(trigger_rule="all_done")
    def report(result: dict[str, Any]) -> str:
        """Say how many completed; the task runs whatever became of the batch."""
        return f"{result['completed_runs']} of {result['total_runs']} completed"

    cache >> batch
    result: Any = batch.output
    report(result)
