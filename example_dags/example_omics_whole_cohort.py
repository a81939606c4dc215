"""A joint step that needs the cohort: it waits for all samples but the tolerated, and then takes what has completed.

The batch may lose a tenth of its samples. While it goes, its results are collected every half hour, and the log tells
new causes of failures; the first two samples go alone, so that a wrong setting costs two runs, and not all.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and sheet are params, as they are yours.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results import read_batch_results

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_whole_cohort",
    doc_md=__doc__,
    schedule=None,
    params={
        "sheet": Param(
            str(Path(__file__).parent / "data" / "nfcore_methylseq_full_samplesheet.csv"),
            description="Sample sheet: a file that workers can read, or an S3 URI",
        ),
        "workflow_id": Param("1234567", description="Id of the workflow, in your account and Region"),
    },
    tags=["example", "healthomics"],
):
    cohort = OmicsStartRunBatchOperator(
        task_id="cohort",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        sample_sheet="{{ params.sheet }}",
        canary=2,
        max_failed_percent=10,
        collect_every=timedelta(minutes=30),
        deferrable=True,
        poll_interval=POLL_INTERVAL,
    )

    @task
    def joint(cohort: Any) -> str:
        """Start what needs them all; here: count whose outputs it would take."""
        found = [record.output_uri for record in read_batch_results(cohort["results_uri"], status="COMPLETED")]
        return f"{len(found)} of {cohort['total_runs']} samples"

    joint(cohort.output)
