"""A pipeline from its sources to its cohort: release the workflow, try it on one sample, run the batch, report.

The definition lies beside the DAG. While it stays the same, nothing is created; a change becomes a new version, which
runs for the cohort once it has run for one sample. No id is written anywhere: runs name the workflow and the version of
the release, and ``workflow_digest`` refuses any other definition.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; the image of the tasks is a param, as it is yours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.operators.workflow import OmicsReleaseWorkflowOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

RELEASED: dict[str, Any] = {
    "workflow_name": "germline",
    "workflow_version_name": "{{ ti.xcom_pull('release')['workflow_version_name'] }}",
    "workflow_digest": "{{ ti.xcom_pull('release')['digest'] }}",
    "poll_interval": POLL_INTERVAL,
    "deferrable": True,
}

with DAG(
    "example_omics_release",
    doc_md=__doc__,
    schedule=None,
    params={
        "image": Param(
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/ubuntu:22.04",
            description="Image in Amazon ECR that the tasks run in",
        ),
    },
    tags=["example", "healthomics"],
):
    release = OmicsReleaseWorkflowOperator(
        task_id="release",
        name="germline",
        definition=str(Path(__file__).parent / "data" / "germline"),
        engine="WDL",
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )
    smoke = OmicsStartRunOperator(
        task_id="smoke",
        **RELEASED,
        run_name="smoke",
        parameters={"sample_name": "NA12878", "image": "{{ params.image }}"},
    )
    cohort = OmicsStartRunBatchOperator(
        task_id="cohort",
        **RELEASED,
        default_run_setting={"parameters": {"image": "{{ params.image }}"}},
        run_settings=[
            {"runSettingId": sample, "name": sample, "parameters": {"sample_name": sample}}
            for sample in ("NA12878", "NA12891", "NA12892")
        ],
        retries=1,
    )

    @task(trigger_rule="all_done")
    def report(released: dict[str, Any] | None, result: dict[str, Any] | None) -> str:
        """Say what ran, and how many completed; the task runs whatever became of those before it."""
        if not released or not result:
            return "nothing ran for the cohort: see the tasks before it"
        version = f"{released['workflow_name']} {released['workflow_version_name']}"
        return f"{version}: {result['completed_runs']} of {result['total_runs']} completed"

    release >> smoke >> cohort
    released: Any = release.output
    result: Any = cohort.output
    report(released, result)
