"""Hand the completed samples of a batch to mapped tasks, a chunk of them each, whatever became of the others.

A batch of thousands of samples has one result a sample in a file in S3; XCom has only its place and the counts. The
mapped tasks read their part of the file. The batch may lose all its samples here: what completed goes on.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and sheet are params, as they are yours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results import completed_chunks, read_batch_results

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_batch_results",
    doc_md=__doc__,
    schedule=None,
    params={
        "sheet": Param(
            str(Path(__file__).parent / "data" / "nfcore_methylseq_full_samplesheet.csv"),
            description="Sample sheet: a file that workers can read, or an S3 URI",
        ),
        "workflow_id": Param("1234567", description="Id of the workflow, in your account and Region"),
        "samples_per_task": Param(3, description="Completed samples that one mapped task takes"),
    },
    tags=["example", "healthomics"],
):
    batch = OmicsStartRunBatchOperator(
        task_id="batch",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        sample_sheet={"path": "{{ params.sheet }}", "keep_columns": ["fastq_1"]},
        max_failed_percent=100,
        deferrable=True,
        poll_interval=POLL_INTERVAL,
    )

    @task
    def divide(batch: Any, params: Any = None) -> list[dict[str, Any]]:
        """Divide the completed samples; a chunk says where its records stand in the file."""
        return completed_chunks(batch["results_uri"], params["samples_per_task"])

    @task
    def load(chunk: Any) -> list[str]:
        """Do what the next system wants of each sample; here: name it, with where its outputs are."""
        return [f"{record.run_setting_id}: {record.output_uri}" for record in read_batch_results(**chunk)]

    load.expand(chunk=divide(batch.output))
