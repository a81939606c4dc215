"""One bad value of a run's outputs or of a kept column costs that value, and neither the file nor the task."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime


def test_bad_values(
    emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path, log_lines: Callable[..., list[str]]
) -> None:
    """Columns that no JSON can hold are left out with a line in the log; all else of the sample is kept."""
    deep: Any = "x"
    for _ in range(150):
        deep = [deep]
    rows = [
        {"sample": "S1", "patient": "P1", "note": deep},
        {"sample": "S2", "patient": "P2", "note": "x" * 1_000_001},
        {"sample": "S3", "patient": "P3", "note": "fine"},
    ]
    (tmp_path / "samples.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    place = f"s3://{BUCKET}/results/wgs.jsonl"

    ended = perform(
        OmicsStartRunBatchOperator(
            task_id="wgs",
            default_run_setting=DEFAULT_RUN_SETTING,
            sample_sheet={
                "path": str(tmp_path / "samples.jsonl"),
                "run_setting_id": "{sample}",
                "parameters": {"patient": {"column": "patient"}},
                "keep_columns": ["patient", "note"],
            },
            results_s3_uri=place,
        )
    )

    assert ended.error is None
    assert ended.result["succeeded"] is True
    kept = {record.run_setting_id: record.row for record in read_batch_results(place, hook=OmicsHook())}
    assert kept == {
        "S1": {"patient": "P1", "note": None},
        "S2": {"patient": "P2", "note": None},
        "S3": {"patient": "P3", "note": "fine"},
    }
    told = [line for line in log_lines(logging.WARNING) if "is not kept" in line]
    assert [("note" in line, "Line 1" in line or "Line 2" in line) for line in told] == [(True, True)] * 2
