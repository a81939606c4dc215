from __future__ import annotations

import json
from collections import Counter

import pytest

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.failure.causes import cause_of
from airflow_provider_omics.core.failure.groups import group_failures
from airflow_provider_omics.core.failure.reasons import FailureClass


def record(
    name: str, run_id: str | None, status: str, code: str | None = None, message: str | None = None, task: str = ""
) -> RunRecord:
    cause = cause_of(status, code, task)
    return RunRecord(name, run_id, None, RecordStatus(status), cause=cause, message=message)


def failure(number: int, code: str | None = "IMPORT_FAILED", message: str | None = None, **more: str) -> RunRecord:
    return record(f"S{number}", str(number), "FAILED", code, message, more.get("task", ""))


def diagnosis(
    *failures: RunRecord, total: int = 100_000, ends: dict[tuple[str, str | None], int] | None = None
) -> BatchDiagnosis:
    """Make the diagnosis of a batch in which no more failed than these, or of one that ended so."""
    ends = ends or Counter((failure.status.value, failure.failure_code) for failure in failures)
    groups = group_failures(failures)
    return BatchDiagnosis("7", total, sum(ends.values()), groups, {}, "https://console", ends=ends)


def test_summary_of_the_readme_kind() -> None:
    """Counts, causes, tasks and ids stand on the first lines."""
    found = diagnosis(
        *(failure(n, "FILE_SYSTEM_OUT_OF_SPACE", task="MARKDUPLICATES") for n in range(27)),
        *(failure(n, message=f"s3://reads/S{n}.fq not found") for n in range(27, 31)),
        total=3202,
    )

    lines = found.summary()

    assert lines[0] == "31 of 3,202 samples failed in batch 7:"
    assert lines[1] == "  27 FILE_SYSTEM_OUT_OF_SPACE in MARKDUPLICATES (S0, S1, S2, S3, S4, ... 22 more; run 0)"
    assert lines[3] == "  4 IMPORT_FAILED: s3://... not found (S27, S28, S29, S30; run 27)"


def test_bounds() -> None:
    """A thousand causes with long texts make a short text and a small result."""
    found = diagnosis(*(failure(n, message="x" * n, task="T" * n) for n in range(1000)))

    assert len(found.causes()) == 10
    assert len(json.dumps(found.causes())) < 6_000
    assert len(found.summary()) == 23
    assert found.summary()[-2] == "  990 of 990 other causes"


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["IMPORT_FAILED", "OUT_OF_MEMORY_ERROR"], FailureClass.SIZING),
        (["IMPORT_FAILED", "RUN_TASK_FAILED"], FailureClass.UNCLEAR),
        (["RUN_TASK_FAILED", "SERVICE_ERROR"], FailureClass.TRANSIENT),
        ([], FailureClass.UNCLEAR),
    ],
)
def test_class_of_a_batch(codes: list[str], expected: FailureClass) -> None:
    """What may pass decides whether a try is worth it."""
    assert diagnosis(*(failure(number, code) for number, code in enumerate(codes))).failure_class is expected


def test_reasons_by_sample() -> None:
    """The error names each of the first runs with code and message, or with its status."""
    looked_at = failure(1, message="not found"), record("S2", "2", "CANCELLED")
    found = diagnosis(*looked_at)

    assert found.told_of([*looked_at, record("S3", "3", "FAILED")]) == {
        "S1": "IMPORT_FAILED: not found",
        "S2": "CANCELLED",
        "S3": "FAILED",
    }


LOOKED_AT = (
    *(failure(n, "FILE_SYSTEM_OUT_OF_SPACE", task="SORT") for n in range(40)),
    *(failure(n) for n in range(40, 50)),
    record("Q1", None, "NOT_SUBMITTED", "ThrottlingException"),
)


def test_all_failures_are_counted() -> None:
    """Where lists tell no reasons, those that were not looked at are one line, and all lines add up."""
    found = diagnosis(*LOOKED_AT, ends={("FAILED", None): 9_990, ("NOT_SUBMITTED", None): 1, ("CANCELLED", None): 9})

    lines = [line for line in found.summary() if line.startswith("  ") and line[2] in "0123456789"]

    assert found.summary()[0] == "10,000 of 100,000 samples failed in batch 7; 51 of them were looked at:"
    assert [line.split(" (")[0] for line in lines] == [
        "  40 FILE_SYSTEM_OUT_OF_SPACE in SORT",
        "  10 IMPORT_FAILED",
        "  1 ThrottlingException",
        "  9,940 FAILED, not looked at",
        "  9 CANCELLED, not looked at",
    ]
    assert sum(cause["count"] for cause in found.causes()) == 10_000


def test_all_failures_are_counted_by_reason() -> None:
    """Where each has its record, those that were not looked at are counted by AWS's code."""
    found = diagnosis(
        *LOOKED_AT,
        ends={
            ("FAILED", "FILE_SYSTEM_OUT_OF_SPACE"): 9_000,
            ("FAILED", "IMPORT_FAILED"): 10,
            ("FAILED", "SERVICE_ERROR"): 30,
            ("NOT_SUBMITTED", "ThrottlingException"): 1,
        },
    )

    assert found.failed_runs == 9_041
    assert found.summary()[7:10] == [
        "  8,960 more FILE_SYSTEM_OUT_OF_SPACE, not looked at",
        "  30 SERVICE_ERROR, not looked at",
        (
            "    HealthOmics had a transient internal error. Whose move: AWS (transient failure). "
            "Start again; if it recurs, give AWS Support the run id."
        ),
    ]
    assert found.failure_class is FailureClass.TRANSIENT
    assert found.causes()[-1] == {
        "cause": "SERVICE_ERROR",
        "message": "",
        "count": 30,
        "failure_class": "transient",
        "owner": "AWS",
        "run_setting_ids": [],
        "run_ids": [],
    }


def test_what_was_not_looked_at_may_pass() -> None:
    """Fifty that come back say nothing certain of ten thousand others."""
    assert diagnosis(*LOOKED_AT[:50], ends={("FAILED", None): 50}).failure_class is FailureClass.SIZING
    assert diagnosis(*LOOKED_AT[:50], ends={("FAILED", None): 51}).failure_class is FailureClass.UNCLEAR


def test_many_codes() -> None:
    """However many codes there are, text and result stay small."""
    found = diagnosis(ends={("FAILED", f"CODE_{number}"): 3 for number in range(1000)})

    assert len(found.causes()) == 10
    assert len(found.summary()) < 40
    assert "  2,970 of 990 other reasons, not looked at" in found.summary()
