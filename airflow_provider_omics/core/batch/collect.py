"""The calls that collect the results of a batch: as few as can be."""

from __future__ import annotations

import math
from enum import Enum

from airflow_provider_omics.core.batch.sample import (
    BatchOrigin,
    RecordStatus,
    RunRecord,
    Sample,
    Submission,
    is_same_work,
)
from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import Phase, RunStatus

PAGE = 100
"""Items that one list call brings."""

ENDED_STATUSES = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


class ResultsDetail(str, Enum):
    """How much the results of a batch say."""

    FULL = "full"
    """One GetRun for each run that ended: the only source of the output URI, the times and the provenance."""
    LISTED = "listed"
    """The content of lists: the id of the run and how it ended."""

    @classmethod
    def checked(cls, value: object) -> ResultsDetail:
        """Read an argument.

        :param value: ``"full"`` or ``"listed"``.
        :raises SettingsError: it is neither.
        """
        try:
            return cls(value)
        except ValueError:
            raise SettingsError([Problem("results_detail", repr(value), "'full' or 'listed'")]) from None


def has_ended(batch: BatchSnapshot) -> bool:
    """Return whether a batch submits nothing more."""
    return batch.phase is not Phase.ACTIVE or batch.status == "RUNS_DELETING"


def statuses_to_list(batch: BatchSnapshot, detail: ResultsDetail) -> tuple[RunStatus, ...]:
    """Return the statuses in which the runs of a batch have to be listed.

    :param batch: the batch.
    :param detail: of the results.
    :return: the statuses. For full results of a batch that has ended: none, as each run is looked at. For listed ones
        of a PROCESSED batch: FAILED and CANCELLED if there are such runs; COMPLETED may turn out to be needless, see
        :func:`completed_if_not_listed`.
    """
    if has_ended(batch) and detail is ResultsDetail.FULL:
        return ()
    if batch.phase is not Phase.PROCESSED:
        return ENDED_STATUSES
    counts = {RunStatus.FAILED: "failed_runs", RunStatus.CANCELLED: "cancelled_runs"}
    return tuple(status for status, count in counts.items() if batch.count(count))


def lists_active_runs(batch: BatchSnapshot, listed: int, collected: int, detail: ResultsDetail) -> bool:
    """Decide which runs of a batch that is going are listed, to learn which have ended since: the shorter list.

    :param batch: the batch.
    :param listed: runs whose submission is known: of the others ListRunsInBatch alone knows the ``runSettingId``.
    :param collected: runs that need no look any more.
    :param detail: of the results; LISTED takes the end itself from the list.
    :return: True: those that wait for their turn; False: those that have ended. Those that compute are listed anyway.
    """
    if detail is ResultsDetail.LISTED:
        return False
    started = batch.count("successful_submissions")
    counts = [batch.count(name) for name in ("completed_runs", "failed_runs", "cancelled_runs")]
    active, ended = _pages(batch.count("pending_runs")), sum(map(_pages, counts))
    if listed < started:
        active += _pages(started)
        ended += min(max(0, sum(counts) - collected), _pages(started))
    return active < ended


def all_wait(batch: BatchSnapshot, waiting: int) -> bool:
    """Decide whether a list of those that compute tells all that have ended since the last one.

    A run that was on that one, and is not on this one, has ended. Only a run that has started and ended between the two
    is on neither, and then GetBatch counts one less that waits. Where its counts lag, a later list tells.

    :param batch: the batch, all of whose submissions are known.
    :param waiting: its runs that were on neither list, and had not ended before.
    """
    return waiting <= batch.count("pending_runs")


def pages_are_fewer(missing: int, batch: BatchSnapshot) -> bool:
    """Decide whether all pages of ListRunsInBatch are fewer calls than one for each run of unknown ``runSettingId``.

    :param missing: how many there are.
    :param batch: the batch.
    """
    return missing > _pages(batch.count("successful_submissions"))


def _pages(items: int) -> int:
    return math.ceil(items / PAGE)


def completed_if_not_listed(batch: BatchSnapshot, listed: int) -> bool:
    """Return whether a run that was submitted and is in none of the lists has completed.

    :param batch: the batch.
    :param listed: how many runs were listed as FAILED or CANCELLED.
    :return: whether the batch's counts are final and account for every run, and as many runs were listed as did not
        complete by them: retention may have removed the record of one, and then nobody can tell which.
    """
    counts = BatchCounts.of(batch)
    return (
        batch.phase is Phase.PROCESSED
        and not counts.unknown_runs
        and listed == counts.failed_runs + counts.cancelled_runs
    )


def leaves_out_runs(batch: BatchSnapshot, submitted: int) -> bool:
    """Return whether ListRunsInBatch has fewer runs than its batch has started: the list lags, or is not whole.

    A run that is not in it must not count as never submitted then, or it would be run, and paid, twice.

    :param batch: the batch.
    :param submitted: how many submissions with a run were listed.
    """
    return has_ended(batch) and submitted < batch.count("successful_submissions")


def is_settled(
    record: RunRecord | None,
    submission: Submission,
    batch: BatchOrigin,
    detail: ResultsDetail,
    *,
    reasons: bool = False,
    outputs: bool = False,
) -> bool:
    """Return whether a run has its record already, so that no call is needed.

    :param record: the record of the same ``runSettingId``, if there is one.
    :param submission: how it was submitted.
    :param batch: the batch.
    :param detail: of the record.
    :param reasons: whether it shall say why a run failed, which lists do not.
    :param outputs: whether it shall name the outputs of a completed run.
    :return: whether the record is that of this very run, has its end, and is detailed enough; or is of a later batch,
        as the last run of a sample counts.
    """
    if record is None:
        return False
    if record.batch_id != batch.batch_id:
        return is_later(record.batch_created_at, batch.batch_created_at)
    if record.run_id != submission.run_id or record.run_uuid != submission.run_uuid:
        return False
    if record.status is RecordStatus.REMOVED:
        return True  # it counts no more, and only a new attempt can take that back
    if record.is_lost:
        return False
    if reasons and record.status is RecordStatus.FAILED and record.failure_code is None:
        return record.is_full
    if outputs and record.status is RecordStatus.COMPLETED and record.outputs is None:
        return False
    return detail is ResultsDetail.LISTED or record.is_full


def is_later(created_at: str | None, other: str | None) -> bool:
    """Return whether a batch was created after another one.

    :param created_at: when it was created, as in :class:`~airflow_provider_omics.core.batch.sample.BatchOrigin`.
    :param other: the same of the other one. If either is None: False.
    """
    return created_at is not None and other is not None and created_at > other


def supersedes(record: RunRecord, other: RunRecord) -> bool:
    """Return whether a record replaces another one of the same sample, which was written at the same time.

    Work that one task has completed stays completed, whatever another one tries of it later; of one task the last
    attempt counts.

    :param record: the record.
    :param other: the other one, of the same workflow.
    :return: whether it is of a later batch, or of the same and tells more.
    """
    if record.batch_id == other.batch_id:
        return _told(record) > _told(other)
    is_done, was_done = (one.end is RecordStatus.COMPLETED for one in (record, other))
    if is_done is not was_done and record.maker != other.maker and is_same_work(record, other):
        return is_done
    return is_later(record.batch_created_at, other.batch_created_at)


def is_beside(known: RunRecord | None, batch: BatchOrigin, sample: Sample) -> bool:
    """Tell whether a task has to look at its own run of a sample, although a later batch has the record of it.

    :param known: the record of the sample, if there is one.
    :param batch: the task's own batch.
    :param sample: the sample, as the task submitted it.
    :return: whether the record is of another task's batch, and does not tell that this very work has completed.
    """
    if known is None or known.batch_id == batch.batch_id:
        return False
    if known.maker == (batch.dag_id, batch.dag_run_id, batch.task_id, batch.map_index):
        return False
    return not (known.end is RecordStatus.COMPLETED and is_same_work(known, sample))


def _told(record: RunRecord) -> tuple[bool, ...]:
    is_removed, is_known = record.status is RecordStatus.REMOVED, not record.present().is_lost
    has_files, has_outputs = record.expected_outputs is not None, record.outputs is not None
    has_ledger, has_costs = record.provenance_uri is not None, bool(record.costs)
    return is_removed, is_known, record.is_full, has_files, has_outputs, has_ledger, has_costs


def attempt_number(known: RunRecord | None, batch_id: str) -> int:
    """Count the submissions of a sample.

    :param known: its record in the results file, if it has one.
    :param batch_id: the batch that its new record is of.
    :return: one more than in the known record, unless that is of the same batch.
    """
    if known is None:
        return 1
    return (known.attempt or 1) + (known.batch_id != batch_id)
