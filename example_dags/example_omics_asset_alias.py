"""A cohort that starts the next DAG: the place of its results becomes an asset, by an alias that is known beforehand.

Where the results are is known only when the batch has ended, so the task has an ``AssetAlias`` as its outlet: the event
has the URI of the results file, and the counts as its extra. ``example_omics_asset_alias_next`` is scheduled on it.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; workflow and sheet are params, as they are yours.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, AssetAlias, Param

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_asset_alias",
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
    OmicsStartRunBatchOperator(
        task_id="cohort",
        default_run_setting={"workflowId": "{{ params.workflow_id }}"},
        sample_sheet="{{ params.sheet }}",
        max_failed_percent=10,
        outlets=[AssetAlias("omics-cohort-results")],
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )
