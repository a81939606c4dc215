"""A run group around a batch: it caps what the runs use together, and goes when they are done.

Set-up and teardown: the group is deleted even if the batch fails, and a cleared batch gets a new group.

On the local HealthOmics it runs as it stands. On AWS only the connection ``aws_default`` changes, as it has the service
role and all places; the workflow is a param, as it is yours.
"""

from __future__ import annotations

import os

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))

with DAG(
    "example_omics_run_group",
    doc_md=__doc__,
    schedule=None,
    params={
        "workflow_id": Param("1234567", description="Id of the workflow, in your account and Region"),
    },
    tags=["example", "healthomics"],
):
    create_group = OmicsCreateRunGroupOperator(task_id="create_group", name="trio", max_runs=2, max_cpus=64)

    batch = OmicsStartRunBatchOperator(
        task_id="batch",
        batch_name="trio",
        default_run_setting={
            "workflowId": "{{ params.workflow_id }}",
            "storageType": "DYNAMIC",
            "runGroupId": "{{ ti.xcom_pull('create_group') }}",
        },
        run_settings=[
            {"runSettingId": sample, "name": sample, "parameters": {"sample_name": sample}}
            for sample in ("NA12878", "NA12891", "NA12892")
        ],
        must_succeed=["NA12878"],
        max_failed_percent=50,
        poll_interval=POLL_INTERVAL,
        deferrable=True,
    )

    delete_group = OmicsDeleteRunGroupOperator(
        task_id="delete_group", run_group_id="{{ ti.xcom_pull('create_group') }}"
    )

    create_group >> batch >> delete_group.as_teardown(setups=create_group)
