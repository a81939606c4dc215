"""One run, checked before it starts, waited for in the triggerer, and its result in the next task.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow, sample and its reads are params, as they are yours.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run import OmicsStartRunOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_run",
    doc_md=__doc__,
    schedule=None,
    params={
        "workflow_id": Param("2345678", description="Id of the workflow, in your account and Region"),
        "input_uri": Param(
            "s3://omics-inputs", description="Place of the reads: s3://bucket/prefix, without a slash at the end"
        ),
        "sample": Param("NA12878", description="Name of the sample"),
    },
    tags=["example", "healthomics"],
):
    germline = OmicsStartRunOperator(
        task_id="germline",
        workflow_id="{{ params.workflow_id }}",
        run_name="{{ params.sample }}",
        parameters={
            "sample_name": "{{ params.sample }}",
            "fastq_1": "{{ params.input_uri }}/{{ params.sample }}_1.fastq.gz",
        },
        storage_type="DYNAMIC",
        scratch_storage_mode="LOCAL",  # needs boto3 1.43.35
        check_workflow=True,
        run_timeout=timedelta(hours=12),
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )

    @task
    def locate(run: Any) -> str:
        """Say where the outputs are."""
        return f"{run['run_id']} {run['status']}: {run['run_output_uri']}"

    locate(germline.output)
