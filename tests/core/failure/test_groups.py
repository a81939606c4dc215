from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.failure.groups import SampleFailure, group_failures, normalised, spread

UUID = "48a1c96e-c534-44e6-ac7a-d3a5b7361c58"


def failure(number: int, code: str | None = "IMPORT_FAILED", message: str | None = None, **more: str) -> SampleFailure:
    return SampleFailure(f"S{number}", str(number), "FAILED", code, message, more.get("task"))


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


TAGS = "Grant the caller omics:TagResource, or switch Airflow's tags off: tag_with_airflow_context=False"
ROLE = (
    "Grant the caller iam:PassRole on the service role, with iam:PassedToService omics.amazonaws.com; the role is "
    "roleArn in default_run_setting"
)
RUN = "Grant the caller omics:StartRun, which omics:StartRunBatch does not include"
WHO = "User: arn:aws:sts::123456789012:assumed-role/worker/airflow is not authorized to perform"


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (f"{WHO}: omics:TagResource on resource: arn:aws:omics:us-east-1:123456789012:run/*", TAGS),
        (f"{WHO} omics:TagResource with an explicit deny in a service control policy", TAGS),
        (f"{WHO}: iam:PassRole on resource: arn:aws:iam::123456789012:role/omics because no policy allows it", ROLE),
        (f"{WHO}: omics:StartRun on resource: arn:aws:omics:us-east-1:123456789012:runGroup/7", RUN),
        (f"{WHO}: kms:Decrypt on resource: arn:aws:kms:us-east-1:123456789012:key/7", "Grant kms:Decrypt to whom the"),
        ("Access denied.", "Grant the caller omics:StartRun, iam:PassRole on the service role (iam:PassedToService"),
        (None, "Grant the caller omics:StartRun, iam:PassRole on the service role (iam:PassedToService"),
    ],
)
def test_permission_that_is_missing(message: str | None, action: str) -> None:
    """A refused start names the missing action, and the switch or the place that it has to do with."""
    (group,) = group_failures([SampleFailure("S1", None, "NOT_SUBMITTED", "AccessDeniedException", message)])

    assert group.action.startswith(action)


@given(st.integers(0, 100_000), st.integers(1, 60))
def test_spread(count: int, wanted: int) -> None:
    """Positions are within the list, each once, ascending, and as many as there can be."""
    positions = spread(count, wanted)

    assert positions == sorted(set(positions))
    assert len(positions) == min(count, wanted)
    assert all(0 <= position < count for position in positions)
