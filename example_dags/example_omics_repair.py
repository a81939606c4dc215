"""Run named samples of a cohort again, with the workflow version of today: one urgent sample of 500.

Nothing else is touched: the others are neither run nor judged, and a batch of the cohort that is running goes on. The
result is written to the cohort's own results file, so that the cohort's next retry or clear knows what has completed
here, as long as its settings are the same by then. Name the samples, by ids or patterns, and the file::

    airflow dags trigger example_omics_repair --conf '{
        "samples": ["SRR7961163_*"], "results": "s3://.../batch.jsonl.gz", "reason": "lane 3 came in late"}'

The reason is a tag of the batch, for whoever asks later. A sample that has completed with the same settings is not run
again. Has it completed with another version of the workflow, ``on_changed`` decides: it runs again here unless you say
otherwise.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow, version and sheet are params, as they are yours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_repair",
    doc_md=__doc__,
    schedule=None,
    params={
        "samples": Param(
            ["SRR7961163_*"],
            type="array",
            minItems=1,
            items={"type": "string"},
            description="Ids of the samples to run, or patterns of them, one a line",
        ),
        "results": Param(
            None,
            type=["null", "string"],
            description="The cohort's results file; empty: a file of this DAG run's own",
        ),
        "reason": Param(
            "repair", type="string", minLength=1, maxLength=200, description="Why: it becomes a tag of the batch"
        ),
        "priority": Param(
            100, type="integer", minimum=0, maximum=100_000, description="Priority of the runs in their run group"
        ),
        "on_changed": Param(
            "rerun",
            enum=["fail", "rerun", "keep"],
            description="What becomes of a sample that has completed with other settings",
        ),
        "sheet": Param(
            str(Path(__file__).parent / "data" / "nfcore_methylseq_full_samplesheet.csv"),
            type="string",
            description="The cohort's sample sheet: a path, or an object in S3",
        ),
        "workflow_id": Param("1234567", type="string", description="The cohort's workflow"),
        "workflow_version": Param(
            None, type=["null", "string"], description="Version of the workflow; empty: its default version of today"
        ),
    },
    render_template_as_native_obj=True,  # so that the samples stay a list
    tags=["example", "healthomics"],
):
    repair = OmicsStartRunBatchOperator(
        task_id="repair",
        default_run_setting={
            "workflowId": "{{ params.workflow_id }}",
            # As JSON it stays the text that it is: "1.10" is no number.
            "workflowVersionName": "{{ params.workflow_version | tojson if params.workflow_version else none }}",
            "priority": "{{ params.priority }}",
        },
        sample_sheet="{{ params.sheet }}",
        rerun="{{ params.samples }}",
        on_changed="{{ params.on_changed }}",
        results_s3_uri="{{ params.results }}",
        tags={"reason": "{{ params.reason | tojson }}"},
        deferrable=True,
        poll_interval=POLL_INTERVAL,
    )

    @task
    def report(repair: Any) -> str:
        """Say what has become of the named samples, and where their results are."""
        return f"{repair['completed_runs']} of {repair['total_runs']} completed: {repair['results_uri']}"

    report(repair.output)
