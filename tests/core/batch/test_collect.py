from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_omics.core.batch.collect import (
    ResultsDetail,
    all_wait,
    attempt_number,
    completed_if_not_listed,
    has_ended,
    is_later,
    is_settled,
    lists_active_runs,
    pages_are_fewer,
    statuses_to_list,
    supersedes,
)
from airflow_provider_omics.core.batch.sample import BatchOrigin, RecordStatus, RunRecord, Submission
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import BatchStatus, RunStatus

ALL = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


def batch(status: str, total: int = 10, **counts: int) -> BatchSnapshot:
    return BatchSnapshot("2000001", status, total_runs=total, counts=counts)


@pytest.mark.parametrize(
    ("seen", "full", "listed"),
    [
        (batch("INPROGRESS", completed_runs=3), ALL, ALL),
        (batch("PROCESSED", completed_runs=10), (), ()),
        (batch("PROCESSED", completed_runs=9, failed_runs=1), (), (RunStatus.FAILED,)),
        (batch("PROCESSED", completed_runs=8, failed_runs=1, cancelled_runs=1), (), ALL[1:]),
        (batch("PROCESSED", completed_runs=9, failed_submissions=1), (), ()),
        (batch("CANCELLED", cancelled_runs=10), (), ALL),
        (batch("FAILED"), (), ALL),
        (batch("RUNS_DELETED"), (), ALL),
    ],
    ids=lambda value: value.progress if isinstance(value, BatchSnapshot) else "",
)
def test_lists_that_are_needed(seen: BatchSnapshot, full: tuple[RunStatus, ...], listed: tuple[RunStatus, ...]) -> None:
    """Nothing is listed that the counts or GetRun tell anyway."""
    assert statuses_to_list(seen, ResultsDetail.FULL) == full
    assert statuses_to_list(seen, ResultsDetail.LISTED) == listed


@pytest.mark.parametrize(
    ("seen", "listed", "expected"),
    [
        (batch("PROCESSED", completed_runs=10), 0, True),
        (batch("PROCESSED", completed_runs=8, failed_runs=1, cancelled_runs=1), 2, True),
        (batch("PROCESSED", completed_runs=8, failed_runs=1, cancelled_runs=1), 1, False),
        (batch("PROCESSED", completed_runs=9), 0, False),
        (batch("CANCELLED", completed_runs=10), 0, False),
    ],
)
def test_rest_is_completed(seen: BatchSnapshot, listed: int, *, expected: bool) -> None:
    """Only where every failure was listed, what is not listed has completed."""
    assert completed_if_not_listed(seen, listed) is expected


@pytest.mark.parametrize("status", BatchStatus)
def test_ended(status: BatchStatus) -> None:
    """A batch that is being deleted has ended as well."""
    going = {"CREATING", "PENDING", "SUBMITTING", "INPROGRESS", "STOPPING"}

    assert has_ended(batch(status.value)) is (status.value not in going)


SUBMISSION = Submission("S1", "1001", "u1", "SUCCESS")
DAYS = [f"2026-01-0{day}T00:00:00.000+00:00" for day in (1, 2, 3)]
BATCH = BatchOrigin("2000001", batch_created_at=DAYS[1])


@pytest.mark.parametrize(
    ("record", "listed", "full"),
    [
        pytest.param(None, False, False, id="none"),
        pytest.param({}, True, False, id="of a list"),
        pytest.param({"role_arn": "arn"}, True, True, id="of GetRun"),
        pytest.param({"role_arn": "arn", "batch_id": "2000009"}, False, False, id="of another batch"),
        pytest.param({"role_arn": "arn", "run_uuid": "u9"}, False, False, id="of a run of the same id"),
        pytest.param({"batch_id": "2000009", "batch_created_at": DAYS[0]}, False, False, id="of an earlier batch"),
        pytest.param({"batch_id": "2000009", "batch_created_at": DAYS[2]}, True, True, id="of a later batch"),
        pytest.param({"status": RecordStatus.UNKNOWN}, False, False, id="UNKNOWN"),
        pytest.param({"status": RecordStatus.REMOVED}, True, True, id="REMOVED"),
    ],
)
def test_settled(record: dict[str, object] | None, *, listed: bool, full: bool) -> None:
    """A run is not asked for again when its own record tells its end, and as much as is wanted."""
    values = {"batch_id": "2000001", "run_uuid": "u1", "status": RecordStatus.COMPLETED, **(record or {})}
    known = None if record is None else RunRecord("S1", "1001", **values)  # type: ignore[arg-type] # one per field

    assert is_settled(known, SUBMISSION, BATCH, ResultsDetail.LISTED) is listed
    assert is_settled(known, SUBMISSION, BATCH, ResultsDetail.FULL) is full


def test_settled_with_outputs() -> None:
    """Who wants to know what a run has put out asks again, until it is known; of one that failed nobody does."""
    values: dict[str, Any] = {"batch_id": "2000001", "role_arn": "arn"}
    completed = RunRecord("S1", "1001", "u1", RecordStatus.COMPLETED, **values)
    failed = RunRecord("S1", "1001", "u1", RecordStatus.FAILED, failure_reason="SERVICE_ERROR", **values)

    assert not is_settled(completed, SUBMISSION, BATCH, ResultsDetail.FULL, outputs=True)
    assert is_settled(replace(completed, outputs=[]), SUBMISSION, BATCH, ResultsDetail.FULL, outputs=True)
    assert is_settled(failed, SUBMISSION, BATCH, ResultsDetail.FULL, outputs=True)


A_RECORD = {"status": RecordStatus.COMPLETED, "batch_id": "2000001", "batch_created_at": DAYS[1]}


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param({}, {"status": RecordStatus.UNKNOWN}, id="an end, and none"),
        pytest.param({"role_arn": "arn"}, {}, id="of GetRun, and of a list"),
        pytest.param({"role_arn": "arn", "outputs": []}, {"role_arn": "arn"}, id="with outputs"),
        pytest.param({"status": RecordStatus.REMOVED}, {"role_arn": "arn"}, id="of a row that is gone"),
        pytest.param(
            {"status": RecordStatus.UNKNOWN, "batch_id": "2000009", "batch_created_at": DAYS[2]},
            {"role_arn": "arn"},
            id="of a later batch",
        ),
    ],
)
def test_record_that_counts(mine: dict[str, object], theirs: dict[str, object]) -> None:
    """Of two records of a sample that of the later batch counts, and of one batch that which tells more."""
    one, other = (RunRecord("S1", "1", "u1", **{**A_RECORD, **more}) for more in (mine, theirs))  # type: ignore[arg-type] # one per field

    assert supersedes(one, other)
    assert not supersedes(other, one)
    assert not supersedes(one, one)


def test_batches_of_which_nobody_knows_when() -> None:
    """Neither is the later one, as in a file of an earlier version."""
    assert is_later(DAYS[1], DAYS[0])
    assert not is_later(DAYS[0], DAYS[1])
    assert not is_later(DAYS[1], DAYS[1])
    assert not is_later(None, DAYS[0])
    assert not is_later(DAYS[0], None)


@pytest.mark.parametrize(
    ("known", "expected"),
    [(None, 1), (("2000001", 2), 2), (("2000009", 2), 3), (("2000009", None), 2), (("2000001", None), 1)],
)
def test_attempts_are_counted(known: tuple[str, int | None] | None, expected: int) -> None:
    """Each batch that a sample was in counts once."""
    record = None
    if known is not None:
        record = RunRecord("S1", None, None, RecordStatus.NOT_SUBMITTED, batch_id=known[0], attempt=known[1])

    assert attempt_number(record, "2000001") == expected


def test_detail_that_does_not_exist() -> None:
    """Another detail is refused with what is allowed."""
    with pytest.raises(SettingsError, match="results_detail = 'fulll': 'full' or 'listed'"):
        ResultsDetail.checked("fulll")


@pytest.mark.parametrize(
    ("listed", "counts", "expected"),
    [
        pytest.param(5000, {"pending_runs": 4000, "completed_runs": 900}, False, id="few have ended"),
        pytest.param(5000, {"pending_runs": 800, "completed_runs": 4000}, True, id="few wait"),
        pytest.param(5000, {"pending_runs": 0, "completed_runs": 4900}, True, id="none waits"),
        # 50 pages of submissions come with the list of those that wait, or one call for each that has ended.
        pytest.param(0, {"pending_runs": 2400, "completed_runs": 2600}, False, id="submissions are not known"),
        pytest.param(0, {"pending_runs": 100, "completed_runs": 4900}, True, id="nor needed by many"),
    ],
)
def test_the_shorter_list(listed: int, counts: dict[str, int], *, expected: bool) -> None:
    """The counts of GetBatch say whether fewer runs wait than have ended; lists of ends alone tell how they ended."""
    seen = batch("INPROGRESS", 5000, successful_submissions=5000, **counts)

    assert lists_active_runs(seen, listed, 0 if listed else 2590, ResultsDetail.FULL) is expected
    assert not lists_active_runs(seen, listed, 0, ResultsDetail.LISTED)


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        pytest.param(40, True, id="as many as wait"),
        pytest.param(39, True, id="one has begun to compute since"),
        pytest.param(41, False, id="one has started and ended"),
    ],
)
def test_the_counts_agree(waiting: int, *, expected: bool) -> None:
    """What was never seen to compute still waits, unless GetBatch counts fewer that do."""
    assert all_wait(batch("INPROGRESS", 100, successful_submissions=100, pending_runs=40), waiting) is expected


@pytest.mark.parametrize(("missing", "expected"), [(0, False), (3, False), (4, True)])
def test_pages_of_submissions(missing: int, *, expected: bool) -> None:
    """Three pages tell of all 300: one call for each is less for up to three."""
    assert pages_are_fewer(missing, batch("INPROGRESS", successful_submissions=300)) is expected
