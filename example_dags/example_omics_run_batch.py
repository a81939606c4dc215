"""A sample sheet as a batch: one run prepares the genome, then one run for each of the 8 samples uses what it made.

What fails for lack of space runs once more, with storage that grows; what has completed does not: Airflow's own retry
submits only the samples that may pass. One sample that cannot is tolerated, and named with its reason. The last task
gets the counts and names of what failed, never a list of all runs.

On the local HealthOmics it runs as it stands; with ``scenario.yaml``, which ``make demo`` and README take, two of the
samples fail at first. On AWS only the connection ``aws_default`` changes, as it has the service role and all places;
workflows and sheet are params, as they are yours. The workflow of the samples takes ``sample``, ``fastq_1``,
``fastq_2``, ``genome`` and ``bismark_index``.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_run_batch",
    schedule=None,
    params={
        "sheet": str(Path(__file__).parent / "data" / "nfcore_methylseq_full_samplesheet.csv"),
        "genome": "GRCh38",
        "index_workflow_id": "3456789",
        "workflow_id": "1234567",
    },
    default_args={"poll_interval": POLL_INTERVAL},
    tags=["example", "healthomics"],
):
    index = OmicsStartRunOperator(
        task_id="index",
        workflow_id="{{ params.index_workflow_id }}",
        run_name="bismark-index-{{ params.genome }}",
        parameters={"genome": "{{ params.genome }}"},
    )

    batch = OmicsStartRunBatchOperator(
        task_id="batch",
        batch_name="methylseq",
        default_run_setting={
            "workflowId": "{{ params.workflow_id }}",
            "storageType": "STATIC",
            "storageCapacity": 1200,
            "parameters": {
                "genome": "{{ params.genome }}",
                "bismark_index": "{{ ti.xcom_pull('index')['run_output_uri'] }}",
            },
        },
        sample_sheet={
            "path": "{{ params.sheet }}",
            "run_setting_id": "{sample}",
            "name": "{sample}",
            "parameters": {"sample": "{sample}", "fastq_1": "{fastq_1}", "fastq_2": "{fastq_2}"},
        },
        rerun_setting={"storageType": "DYNAMIC"},
        max_failed_runs=1,
        retries=1,
        retry_delay=timedelta(seconds=POLL_INTERVAL),
        check_workflow=True,
        deferrable=True,
    )

    @task
    def report(batch: Any) -> str:
        """Say how the batch went, in one line."""
        failed = ", ".join(batch["failed_run_setting_ids"]) or "none"
        counts = f"{batch['completed_runs']} of {batch['total_runs']} samples completed; attempts: {batch['attempts']}"
        return f"{counts}; failed: {failed}"

    index >> batch
    report(batch.output)
