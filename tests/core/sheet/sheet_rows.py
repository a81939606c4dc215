"""Rows of sample sheets, mapped as a sheet says."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.core.sheet.runs import SheetRows, SheetRun, SheetRuns
from airflow_provider_omics.sheets import SampleSheet

LANES = [
    {"sample": "A", "lane": "1", "fastq_1": "s3://reads/A1_1.gz", "fastq_2": "s3://reads/A1_2.gz", "n": "007"},
    {"sample": "B", "lane": "1", "fastq_1": "s3://reads/B1_1.gz", "fastq_2": "", "n": "1"},
    {"sample": "A", "lane": "2", "fastq_1": "s3://reads/A2_1.gz", "fastq_2": "", "n": "007"},
]
TRIO = [
    {"family": "F1", "role": "mother", "gvcf": "s3://gvcf/m", "sex": "2"},
    {"family": "F1", "role": "child", "gvcf": "s3://gvcf/c", "sex": "1"},
]


def runs_of(rows: list[dict[str, Any]], *, columns: bool = True, **sheet: Any) -> list[SheetRun]:
    """Map rows, the first of which stands in line 2, as in a CSV; without columns, in line 1 of JSON Lines."""
    names = tuple(rows[0]) if columns and rows else None
    source = SheetRows("samples.csv", names, list(enumerate(rows, 2 if columns else 1)))
    made = SampleSheet.from_mapping({"path": "samples.csv", **sheet})
    return list(SheetRuns(made, source, input_sheet_uri=lambda name, text: f"s3://staging/{name}-{len(text)}.csv"))


def setting_of(row: dict[str, Any], **sheet: Any) -> dict[str, Any]:
    """Map one row."""
    (run,) = runs_of([row], **sheet)
    return run.setting


def parameters_of(tree: Any, row: dict[str, Any], **sheet: Any) -> dict[str, Any]:
    """Map one row to one parameter named x; give all parameters."""
    parameters: dict[str, Any] = setting_of(row, run_setting_id="id", parameters={"x": tree}, **sheet)["parameters"]
    return parameters
