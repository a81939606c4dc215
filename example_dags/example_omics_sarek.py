"""The sheet of nf-core/sarek as it is: each patient becomes a run with the lanes of its tumour and of its normal.

The sheet has a row for each lane of each sample; ``status`` says which is which. ``each`` with a condition makes a list
of either, empty where a patient has no normal. No function is needed, so ``python -m airflow_provider_omics sheet``
checks sheet and mapping anywhere. A status that differs from the wanted one by a blank, or a patient in another
spelling, is an error that names the lines.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and sheet are params, as they are yours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.sheets import SampleSheet, each

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_sarek",
    schedule=None,
    params={
        "sheet": str(Path(__file__).parent / "data" / "sarek.csv"),
        "workflow_id": "1234567",
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
                "sex": "{sex}",
                "normal": each({"lane": "{lane}", "reads": ["{fastq_1}", "{fastq_2}"]}, where={"status": "0"}),
                "tumour": each({"lane": "{lane}", "reads": ["{fastq_1}", "{fastq_2}"]}, where={"status": "1"}),
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
