"""A sheet with one row for each lane: the lanes of a sample become one run, which gets them as a list.

The sheet is read, mapped and checked when the task runs; everything that is wrong with it is told with file, line,
column and value before anything is started. A sheet of 100,000 samples takes the same task: more than 100 runs go
through the staging place of the connection.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and sheet are params, as they are yours. With ``check_inputs`` every FASTQ file is
looked up first; the local HealthOmics has none.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.sheets import SampleSheet, each

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_sample_sheet",
    doc_md=__doc__,
    schedule=None,
    params={
        "sheet": Param(
            str(Path(__file__).parent / "data" / "lanes.csv"),
            description="Sample sheet: a file that workers can read, or an S3 URI",
        ),
        "workflow_id": Param("1234567", description="Id of the workflow, in your account and Region"),
        "check_inputs": Param(False, description="Whether every input is looked up before the start"),
    },
    tags=["example", "healthomics"],
):
    OmicsStartRunBatchOperator(
        task_id="batch",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        sample_sheet=SampleSheet(
            path="{{ params.sheet }}",
            run_setting_id="{sample}",
            name="{sample}",
            group_by_id=True,
            parameters={
                "sample": "{sample}",
                # Always a list, in the order of the rows; an empty cell becomes null, so that pairs stay aligned.
                "lanes": each({"read_group": "{lane}", "reads": ["{fastq_1}", "{fastq_2}"]}),
            },
            run_tags={"condition": "{condition}"},
        ),
        max_runs=1_000,  # a wrong sheet starts no cohort
        check_inputs="{{ params.check_inputs }}",
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )
