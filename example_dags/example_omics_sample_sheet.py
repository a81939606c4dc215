"""A sheet with one row for each lane: the lanes of a sample become one run, which gets them as a list.

The sheet is read, mapped and checked when the task runs; everything that is wrong with it is told with file, line,
column and value before anything is started. A sheet of 100,000 samples takes the same task: more than 100 runs go
through ``staging_s3_uri``.

On the local HealthOmics it runs as it stands. On AWS, point the connection ``aws_default`` at your account, give your
own workflow, service role, buckets and sheet as params when you trigger the DAG, or as their defaults below, and let
``check_inputs`` look every FASTQ file up first.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_omics.core.sample_sheet import SampleSheet, each
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_sample_sheet",
    schedule=None,
    params={
        "sheet": str(Path(__file__).parent / "data" / "lanes.csv"),
        "workflow_id": "1234567",
        "role_arn": "arn:aws:iam::123456789012:role/omics-service",
        "output_uri": "s3://omics-results/rnaseq",
        "staging_uri": "s3://omics-results/staging/",
        "check_inputs": False,
    },
    tags=["example", "healthomics"],
):
    OmicsStartRunBatchOperator(
        task_id="batch",
        default_run_setting={"workflowId": "{{ params.workflow_id }}", "roleArn": "{{ params.role_arn }}"},
        sample_sheet=SampleSheet(
            path="{{ params.sheet }}",
            run_setting_id="{sample}",
            name="{sample}",
            output_uri="{{ params.output_uri }}/{sample}/",  # Jinja first, then the columns
            group_by_id=True,
            parameters={
                "sample": "{sample}",
                # Always a list, in the order of the rows; an empty cell becomes null, so that pairs stay aligned.
                "lanes": each({"read_group": "{lane}", "reads": ["{fastq_1}", "{fastq_2}"]}),
            },
            run_tags={"condition": "{condition}"},
        ),
        staging_s3_uri="{{ params.staging_uri }}",
        max_runs=1_000,  # a wrong sheet starts no cohort
        check_inputs="{{ params.check_inputs }}",
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )
