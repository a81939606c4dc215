"""Run a cohort again after a fix: only what did not complete, and what is new in the sheet.

The usual way needs nothing but the first task of this DAG: correct the input or the sheet, and clear the task. Samples
that completed with the same settings are kept, all others are submitted, and the results file is complete again.

In another DAG run, name the results of an earlier one, or a batch that somebody else started::

    airflow dags trigger example_omics_rerun --conf '{"previous_results": "s3://.../batch.jsonl.gz"}'
    airflow dags trigger example_omics_rerun --conf '{"rerun_failed_of": "1234567", "trust_foreign": true}'

A batch does not tell the settings of its samples: ``trust_foreign`` says that they are those of the sheet.

A completed sample whose parameters or workflow version have changed stops the task and is named; ``on_changed`` says
otherwise: "rerun" or "keep".

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and sheet are params, as they are yours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results import read_batch_results

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_rerun",
    schedule=None,
    params={
        "sheet": str(Path(__file__).parent / "data" / "nfcore_methylseq_full_samplesheet.csv"),
        "workflow_id": "1234567",
        "previous_results": Param(None, type=["null", "string"], description="A results file of an earlier DAG run"),
        "rerun_failed_of": Param(None, type=["null", "string"], pattern="^[0-9]+$", description="Id of a batch"),
        "trust_foreign": Param(False, type="boolean", description="The settings of that batch are those of the sheet"),
        "on_changed": Param(
            "fail", type="string", enum=["fail", "rerun", "keep"], description="For completed samples that have changed"
        ),
    },
    tags=["example", "healthomics"],
):
    batch = OmicsStartRunBatchOperator(
        task_id="batch",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        sample_sheet="{{ params.sheet }}",
        previous_results="{{ params.previous_results or '' }}",
        rerun_failed_of="{{ params.rerun_failed_of or '' }}",
        trust_foreign="{{ params.trust_foreign }}",
        on_changed="{{ params.on_changed }}",
        rerun_setting={"storageType": "DYNAMIC"},
        max_failed_percent=20,
        deferrable=True,
        poll_interval=POLL_INTERVAL,
    )

    @task
    def report(batch: Any) -> str:
        """Say which samples are left to look at."""
        records = read_batch_results(batch["results_uri"])
        left = [f"{record.run_setting_id} ({record.cause})" for record in records if record.status == "FAILED"]
        kept = batch["carried_forward"]
        return f"{batch['completed_runs']} of {batch['total_runs']} completed, {kept} of them before; failed: {left}"

    report(batch.output)
