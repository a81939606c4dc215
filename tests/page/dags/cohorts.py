"""Tasks whose tabs are looked at: one that has judged its batch, one that waits for nothing, one of another kind."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

COHORT: dict[str, Any] = {
    "default_run_setting": {"workflowId": "1234567"},
    "run_settings": [{"runSettingId": f"S{n:02}", "parameters": {"sample": f"S{n:02}"}} for n in range(20)],
    "poll_interval": 1,
}

with DAG("cohorts", schedule=None):
    OmicsStartRunBatchOperator(task_id="judged", max_failed_runs=2, **COHORT)
    OmicsStartRunBatchOperator(task_id="started", wait_for_completion=False, **COHORT)
    EmptyOperator(task_id="other")
