"""Records and facts of which the tests make pages."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.batch.verdict import BatchCounts, Tolerance, judge
from airflow_provider_omics.reports.cohort import CohortFacts, CohortPage, cohort_page
from airflow_provider_omics.reports.settings import effective_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BEGAN = datetime(2026, 6, 22, 12, tzinfo=timezone.utc)
MADE_AT = BEGAN + timedelta(hours=30)
LAYERS: list[tuple[str, Mapping[str, Any]]] = [
    ("connection", {"roleArn": "arn:aws:iam::123456789012:role/omics", "outputUri": "s3://omics-results/outputs/"}),
    ("task", {"workflowId": "1234567", "parameters": {"reference": "GRCh38", "born": "1950-01-01"}}),
]


def record(number: int, status: str = "COMPLETED", **members: Any) -> dict[str, Any]:
    """Make a line of a results file: a run of an hour that waited for ten minutes, as the package writes it."""
    started = BEGAN + timedelta(minutes=10 + number)
    has_run = status != "NOT_SUBMITTED"
    line: dict[str, Any] = {
        "run_setting_id": f"S{number:04}",
        "run_id": f"{1_000_000 + number}" if has_run else None,
        "run_uuid": f"uuid-{number}" if has_run else None,
        "status": status,
        "output_uri": f"s3://omics-results/outputs/{1_000_000 + number}" if status == "COMPLETED" else None,
        "started_at": started.isoformat() if has_run else None,
        "stopped_at": (started + timedelta(hours=1)).isoformat() if has_run else None,
        "attempt": 1,
        "batch_id": "2000001",
        "batch_created_at": BEGAN.isoformat(timespec="milliseconds"),
        "workflow_id": "1234567",
        "dag_run_id": "manual__2026-06-22",
        "try_number": 1,
    }
    RunRecord.from_json({**line, "status": "UNKNOWN" if status == "RUNNING" else status})  # it is one
    return {**line, **members}


def failed(number: int, cause: str = "OUT_OF_MEMORY_ERROR in ALIGN", **members: Any) -> dict[str, Any]:
    """Make the record of a sample that failed."""
    reason = cause.partition(" in ")[0]
    return record(number, "FAILED", **{"cause": cause, "failure_reason": reason, "message": "exit 137", **members})


def page_of(records: Iterable[Mapping[str, Any]], **members: Any) -> CohortPage:
    """Make the page of a cohort that has ended, judged without tolerance."""
    records = list(records)
    counts = BatchCounts.of_statuses(Counter(str(line["status"]) for line in records if line["status"] != "REMOVED"))
    facts = {
        "title": "cohort / wgs",
        "region": "us-east-1",
        "made_at": MADE_AT,
        "counts": counts,
        "verdict": judge(counts, Tolerance()),
        "batch_id": "2000001",
        "results_uri": "s3://omics-results/results/cohort/wgs.jsonl.gz",
        "settings": effective_settings(LAYERS),
        **members,
    }
    return cohort_page(records, CohortFacts(**facts))
