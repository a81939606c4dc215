"""Tasks whose tabs are seen: of batches and of single runs, one of another kind; those of their own DAGs defer."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

COHORT: dict[str, Any] = {
    "default_run_setting": {"workflowId": "1234567"},
    "run_settings": [{"runSettingId": f"S{n:02}", "parameters": {"sample": f"S{n:02}"}} for n in range(20)],
    "poll_interval": 1,
}

with DAG("cohorts", schedule=None):
    OmicsStartRunBatchOperator(task_id="judged", max_failed_runs=2, **COHORT)
    OmicsStartRunBatchOperator(task_id="started", wait_for_completion=False, **COHORT)
    OmicsStartRunOperator(task_id="aligned", workflow_id="1234567", poll_interval=1)
    EmptyOperator(task_id="other")

with DAG("single", schedule=None):
    OmicsStartRunOperator(task_id="wgs", workflow_id="1234567", deferrable=True, retries=0, poll_interval=1)

with DAG("germline", schedule=None):
    OmicsStartRunBatchOperator(
        task_id="wgs",
        default_run_setting={"workflowId": "1234567"},
        run_settings=[{"runSettingId": f"NA{12_000 + n}", "parameters": {}} for n in range(160)],
        deferrable=True,
        retries=0,
        poll_interval=1,
        results_detail="listed",
        collect_every=4,
    )

LARGE = {
    **COHORT,
    "run_settings": [{"runSettingId": f"S{n:03}", "parameters": {}} for n in range(500)],
    "results_detail": "listed",  # 500 GetRun take 100 seconds
}
for name in ("rerun", "cancelled"):
    with DAG(name, schedule=None):
        OmicsStartRunBatchOperator(task_id="wgs", deferrable=True, retries=0, **LARGE)
