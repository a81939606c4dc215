"""All that is known of one sample before a new attempt, and what follows from it: one function for every road.

What identifies a result is its workflow (owner and id) and the ``runSettingId``. Whether it is a result of the sample
as it is now, the fingerprint decides. Which task, DAG run and batch have made it is provenance, and decides nothing.
"Not known" is a value of its own: it never becomes "completed", and never "has not run".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample, is_same_work


class Unrecorded(Enum):
    """What is known of a sample that has no result."""

    NEW = "new"
    """It is known that it has not run."""
    GOING = "going"
    """Its run is going."""
    NOT_KNOWN = "not known"
    """It may have run, and may have completed: what would tell is gone."""


@dataclass(frozen=True)
class Evidence:
    """Where what is known of a sample comes from.

    :param records: its records in the task's results file, whoever wrote them, and what HealthOmics tells of the last
        batch.
    :param named: its records in what the user names as done (``previous_results``, ``rerun_failed_of``).
    :param remembered: what the last attempt kept of it; None: it did not have the sample, or what it kept is gone.
    :param last_batch: id of the batch that the last attempt started; None: none.
    :param is_going: its run in that batch has not ended.
    :param is_memory_gone: what the last attempt kept of its samples is gone.
    :param is_batch_gone: HealthOmics knows that batch no more.
    :param is_rest_known: what the attempts before the last have left is known by the results file, or there were none.
    :param is_blind: the last attempt submitted samples without reading which.
    """

    records: tuple[RunRecord, ...] = ()
    named: tuple[RunRecord, ...] = ()
    remembered: Sample | None = None
    last_batch: str | None = None
    is_going: bool = False
    is_memory_gone: bool = False
    is_batch_gone: bool = False
    is_rest_known: bool = True
    is_blind: bool = False

    def of(self, sample: Sample) -> RunRecord | Unrecorded:
        """Find the result that counts for a sample.

        :param sample: as it is now.
        :return: its result, or why there is none. The first of these that there is: the same work, completed by anyone,
            with the outputs that are expected; the result of the last attempt; a run of it that is going; what the last
            attempt had left as it was; of what others have written, a result of the same workflow; of what the user
            names, a result of another workflow.
        """
        return next(self._counting(sample), None) or self._unrecorded()

    def _counting(self, sample: Sample) -> Iterator[RunRecord]:
        before = self.remembered
        own = [record.present() for record in self.records]
        named = [record.present() for record in self.named if record.status is not RecordStatus.REMOVED]
        for record in (*own, *named):
            if record.status is RecordStatus.COMPLETED and is_same_work(record, sample):
                yield record
        is_carried = before is not None and before.carried is not None
        if before is not None and before.carried == RecordStatus.COMPLETED and is_same_work(before, sample):
            # Its outputs were looked for since, and the file tells that not all are there.
            yield from (record for record in own if record.has_completed and is_same_work(record, sample))
            yield _left(before)
        if self.last_batch is not None and not is_carried:
            for record in own:
                if record.batch_id == self.last_batch:
                    known, inputs = (None, None) if before is None else (before.fingerprint, before.inputs)
                    yield replace(record, fingerprint=record.fingerprint or known, inputs=record.inputs or inputs)
        if self.is_going:
            return
        if before is not None and before.carried is not None:
            # The file tells more than what was carried: somebody may have found out how a run of unknown end ended.
            yield from (record for record in own if _is_of(record, before) and record.fingerprint == before.fingerprint)
            yield _left(before)
        if self.is_batch_gone and (before is not None or self.is_blind):
            yield _unknown(before or sample, self.last_batch)
        if before is None:
            yield from self._of_others(sample, own, named)

    def _of_others(self, sample: Sample, own: list[RunRecord], named: list[RunRecord]) -> Iterator[RunRecord]:
        """Find what counts for a sample that the last attempt did not have, as far as anybody can tell."""
        yield from (record for record in named if _is_of(record, sample))
        for record in own:
            # What failed elsewhere has not run here.
            may_be_done = record.status is RecordStatus.COMPLETED or (
                record.status is RecordStatus.UNKNOWN and is_same_work(record, sample)
            )
            if _is_of(record, sample) and (self.is_memory_gone or may_be_done):
                yield record
        yield from named

    def _unrecorded(self) -> Unrecorded:
        if self.is_going:
            return Unrecorded.GOING
        if self.is_memory_gone and (self.is_batch_gone or not self.is_rest_known):
            return Unrecorded.NOT_KNOWN
        return Unrecorded.NEW


def _is_of(record: RunRecord, sample: Sample) -> bool:
    """Whether a record can be one of this sample: of its workflow, as far as both are known."""
    if is_same_work(record, sample):
        return True
    return record.workflow is None or sample.workflow is None or record.workflow == sample.workflow


def _left(sample: Sample) -> RunRecord:
    """Make the record of a sample whose record is in no file: as the last attempt had left it."""
    blank = _blank(sample, RecordStatus(sample.carried or RecordStatus.UNKNOWN))
    return replace(blank, run_id=sample.run_id, message=sample.message, cause=sample.reason)


def _unknown(sample: Sample, batch_id: str | None) -> RunRecord:
    message = "its batch is gone; its outcome is unknown"
    return replace(_blank(sample, RecordStatus.UNKNOWN), message=message, batch_id=batch_id)


def _blank(sample: Sample, status: RecordStatus) -> RunRecord:
    owner, _, workflow = (sample.workflow or "/").partition("/")
    return RunRecord(
        sample.run_setting_id,
        None,
        None,
        status,
        fingerprint=sample.fingerprint,
        inputs=sample.inputs,
        row=sample.row,
        workflow_id=workflow or None,
        workflow_owner_id=owner or None,
    )
