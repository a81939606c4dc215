"""Pairs from one sheet: each patient becomes a run with the tumour, and with a normal if there is one.

The sheet has a row for each sample; ``status`` says which is which. A patient with two tumours, or with none, is an
error that names the lines, before anything is started.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and sheet are params, as they are yours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.sheets import SampleSheet, one

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_tumour_normal",
    doc_md=__doc__,
    schedule=None,
    params={
        "sheet": Param(
            str(Path(__file__).parent / "data" / "tumour_normal.csv"),
            description="Sample sheet: a file that workers can read, or an S3 URI",
        ),
        "workflow_id": Param("1234567", description="Id of the workflow, in your account and Region"),
    },
    tags=["example", "healthomics"],
):
    somatic = OmicsStartRunBatchOperator(
        task_id="somatic",
        batch_name="somatic",
        default_run_setting={"workflowId": "{{ params.workflow_id }}", "storageType": "DYNAMIC"},
        sample_sheet=SampleSheet(
            path="{{ params.sheet }}",
            run_setting_id="{patient}",
            name="{patient}",
            group_by_id=True,
            parameters={
                "tumour": one({"name": "{sample}", "bam": "{bam}"}, where={"status": "1"}),
                "normal": one({"name": "{sample}", "bam": "{bam}"}, where={"status": "0"}, optional=True),
            },
        ),
        max_failed_percent=10,
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )

    @task
    def report(batch: Any) -> str:
        """Say how many patients are done."""
        return f"{batch['completed_runs']} of {batch['total_runs']} patients"

    report(somatic.output)
