from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.failure_groups import (
    BatchDiagnosis,
    SampleFailure,
    group_failures,
    normalised,
    spread,
)
from airflow_provider_omics.core.failure_reasons import FailureClass

UUID = "48a1c96e-c534-44e6-ac7a-d3a5b7361c58"


def failure(number: int, code: str | None = "IMPORT_FAILED", message: str | None = None, **more: str) -> SampleFailure:
    return SampleFailure(f"S{number}", str(number), "FAILED", code, message, more.get("task"))


def diagnosis(*failures: SampleFailure, total: int = 100_000) -> BatchDiagnosis:
    return BatchDiagnosis("7", total, len(failures), group_failures(failures), {}, "https://console")


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("Input s3://reads/S1_1.fastq.gz is missing", "Input s3://... is missing"),
        ("'omics://123456789012.storage.us-east-1.amazonaws.com/1/readSet/2' is ARCHIVED", "'omics://...' is ARCHIVED"),
        ("role arn:aws:iam::123456789012:role/x, no", "role arn:..., no"),
        (f"task {UUID} of run 10000001", "task ... of run ..."),
        ("sample NA12878 of run 17: NA12878X", "sample ... of run #: NA#X"),
        ("ran 3.5 h on 16 vCPUs", "ran # h on # vCPUs"),
        ("digest sha256:0a1b2c3d4e5f", "digest sha#:..."),
        ("a\n  deadbeef  cafe", "a deadbeef cafe"),
    ],
)
def test_normalised(message: str, pattern: str) -> None:
    """Addresses, ids and numbers go, words stay."""
    assert normalised(message, ("NA12878", "10000001")) == pattern


@given(st.text(), st.text())
def test_normalising_again_changes_nothing(message: str, name: str) -> None:
    """A pattern is its own pattern."""
    pattern = normalised(message, (name,))

    assert normalised(pattern) == pattern


def test_groups() -> None:
    """One cause is one group, however its message names the sample; the largest comes first."""
    groups = group_failures(
        [
            failure(1, message="s3://reads/S1.fq not found"),
            failure(2, "OUT_OF_MEMORY_ERROR", task="ALIGN"),
            failure(3, message="s3://reads/S3.fq not found"),
            failure(4, message="Access denied to s3://reads/S4.fq"),
            failure(5, "OUT_OF_MEMORY_ERROR", task="SORT"),
            SampleFailure("S6", "6", "FAILED", looked_at=False),
            SampleFailure("S7", None, "CANCELLED"),
        ]
    )

    assert [(group.cause, [member.run_setting_id for member in group.failures]) for group in groups] == [
        ("IMPORT_FAILED", ["S1", "S3"]),
        ("OUT_OF_MEMORY_ERROR in ALIGN", ["S2"]),
        ("IMPORT_FAILED", ["S4"]),
        ("OUT_OF_MEMORY_ERROR in SORT", ["S5"]),
        ("CANCELLED", ["S7"]),
    ]


def test_summary_of_the_readme_kind() -> None:
    """Counts, causes, tasks and ids stand on the first lines."""
    found = diagnosis(
        *(failure(n, "FILE_SYSTEM_OUT_OF_SPACE", task="MARKDUPLICATES") for n in range(27)),
        *(failure(n, message=f"s3://reads/S{n}.fq not found") for n in range(27, 31)),
        total=3202,
    )

    lines = found.summary()

    assert lines[0] == "31 of 3,202 samples failed in batch 7:"
    assert lines[1] == "  27 FILE_SYSTEM_OUT_OF_SPACE in MARKDUPLICATES (S0, S1, S2, S3, S4, ... 22 more)"
    assert lines[3] == "  4 IMPORT_FAILED: s3://... not found (S27, S28, S29, S30)"


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
    found = diagnosis(failure(1, message="not found"), SampleFailure("S2", "2", "CANCELLED"))

    assert found.told_of([("S1", "FAILED"), ("S2", "CANCELLED"), ("S3", "FAILED")]) == {
        "S1": "IMPORT_FAILED: not found",
        "S2": "CANCELLED",
        "S3": "FAILED",
    }


@given(st.integers(0, 100_000), st.integers(1, 60))
def test_spread(count: int, wanted: int) -> None:
    """Positions are within the list, each once, ascending, and as many as there can be."""
    positions = spread(count, wanted)

    assert positions == sorted(set(positions))
    assert len(positions) == min(count, wanted)
    assert all(0 <= position < count for position in positions)
