"""A real cohort end to end: the 3,202 samples of the 1000 Genomes Project at 30x, some of which fail at first."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results import completed_chunks, read_batch_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime
    from tests.conftest import RunDag

pytestmark = pytest.mark.xdist_group("airflow_db")

# igsr_samples.tsv of the International Genome Sample Resource, collection "1000 Genomes 30x on GRCh38".
SHEET = Path(__file__).parents[1] / "data" / "igsr_30x_samples.tsv"
RESULTS = f"s3://{BUCKET}/results/cohort.jsonl.gz"
FAILS = {"outcome": "FAILED", "failure_reason": "SERVICE_ERROR"}
FAILING = 75
"""Samples whose name ends in 73 or 74: 2 %."""


def test_cohort(emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag) -> None:
    """A retry runs the 2 % that failed, and nothing else; verdict and results are of the whole cohort."""
    rules: list[dict[str, Any]] = [{"match": {"run_setting_id": "*7[34]", "attempt": [1]}, **FAILS}]
    limits = {"submissions_per_second": 1000, "concurrent_dynamic_runs": 10_000}
    emulator.set_scenario({"runs": rules, "limits": limits})
    with DAG("cohort", schedule=None) as dag:
        batch = OmicsStartRunBatchOperator(
            task_id="batch",
            default_run_setting={**DEFAULT_RUN_SETTING, "storageType": "DYNAMIC"},
            sample_sheet={
                "path": str(SHEET),
                "run_setting_id": "{Sample name}",
                "parameters": {"sample": "{Sample name}", "sex": "{Sex}"},
                "keep_columns": ["Population code"],
            },
            staging_s3_uri=f"s3://{BUCKET}/staging/",
            results_s3_uri=RESULTS,
            results_detail="listed",
            retries=1,
            retry_delay=timedelta(0),
            deferrable=True,
        )

        @task
        def chunks(batch: Any) -> int:
            return len(completed_chunks(batch["results_uri"]))

        result: Any = batch.output
        chunks(result)

    outcome = run_dag(dag)

    records = list(read_batch_results(RESULTS))
    result = outcome.xcoms["batch"]["return_value"]
    assert outcome.state == "success"
    assert len({record.run_setting_id for record in records}) == len(records) == 3202
    assert {record.status.value for record in records} == {"COMPLETED"}
    assert {record.run_setting_id[-2:] for record in records if record.attempt == 2} == {"73", "74"}
    assert sum(record.attempt == 2 for record in records) == FAILING
    assert all(record.fingerprint and record.row["Population code"] for record in records)
    assert len(emulator.service.started_runs()) == 3202 + FAILING
    expected = {"total_runs": 3202, "completed_runs": 3202, "attempts": 2, "carried_forward": 3202 - FAILING}
    assert expected.items() <= result.items()
    assert outcome.xcoms["chunks"]["return_value"] == 33
