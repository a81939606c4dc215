"""All samples of a task's last attempt, by how they ended: the basis of its verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample, Submission
from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import RunStatus, SubmissionStatus
from airflow_provider_omics.hooks.client import Make, at_once
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results.store import ResultsStore

PAGE = 100
"""Items that one list call brings."""


@dataclass(frozen=True)
class Cohort:
    """The samples of an attempt, whichever attempt submitted them last. Their records have the fields of a verdict.

    :param counts: how they ended; one that has no record is of unknown end.
    :param failed: those of the last batch that did not complete.
    :param carried: those that earlier attempts have left, and that did not complete.
    :param carried_forward: how many earlier attempts have left, the completed ones included.
    :param unclear: ``runSettingId`` -> number of unclear failures of a sample of the last batch before; without those
        that had none.
    :param unrecorded: how many of ``failed`` have no record yet.
    """

    counts: BatchCounts = field(default_factory=lambda: BatchCounts(0, 0, 0, 0, 0, 0))
    failed: tuple[RunRecord, ...] = ()
    carried: tuple[RunRecord, ...] = ()
    carried_forward: int = 0
    unclear: Mapping[str, int] = field(default_factory=dict)
    unrecorded: int = 0

    @classmethod
    def of_samples(cls, samples: Iterable[Sample]) -> Cohort:
        """Pick from an attempt's samples those that earlier attempts have left.

        :param samples: all of them; those that have left the sheet are passed over.
        """
        statuses: Counter[str] = Counter()
        carried, unclear = [], {}
        for sample in samples:
            if sample.removed:
                continue
            if sample.carried is None:
                if sample.unclear:
                    unclear[sample.run_setting_id] = sample.unclear
                continue
            statuses[sample.carried] += 1
            if sample.carried != RecordStatus.COMPLETED:
                carried.append(_left(sample, RecordStatus(sample.carried)))
        counts = BatchCounts.of_statuses(statuses)
        return cls(counts, (), tuple(carried), counts.total_runs, unclear)

    @classmethod
    def of_results(cls, store: ResultsStore, total_runs: int) -> Cohort:
        """Take all samples from the collected results.

        :param store: samples, submissions and records.
        :param total_runs: of the batch, from GetBatch.
        """
        statuses, submitted = store.cohort_counts(), store.count_submitted()
        carried_forward = sum(statuses.values()) - submitted
        unknown = statuses.pop(None, 0) + statuses.get("UNKNOWN", 0) + max(0, total_runs - submitted)
        ends = {status: number for status, number in statuses.items() if status is not None}
        counts = BatchCounts.of_statuses({**ends, "UNKNOWN": unknown})
        failed, carried, unclear, unrecorded = [], [], {}, 0
        for sample, ended, record in store.not_completed():
            name = sample.run_setting_id
            if sample.carried is not None:
                carried.append(_left(sample, RecordStatus(ended or sample.carried), record))
                continue
            if sample.unclear:
                unclear[name] = sample.unclear
            if record is None or ended is None:
                unrecorded += 1
                failed.append(RunRecord(name, None, None, RecordStatus.UNKNOWN, message="it has no record yet"))
            else:
                failed.append(_slim(record, RecordStatus(ended), record.message))
        return cls(counts, tuple(failed), tuple(carried), carried_forward, unclear, unrecorded)

    @property
    def carried_statuses(self) -> dict[str, int]:
        """Those that earlier attempts have left, by status: how many."""
        bad = Counter(record.status.value for record in self.carried)
        return {RecordStatus.COMPLETED.value: self.carried_forward - bad.total(), **bad}

    def with_counts(self, batch: BatchSnapshot) -> Cohort:
        """Add the runs of a batch, counted and not named.

        :param batch: the batch.
        """
        return replace(self, counts=self.counts + BatchCounts.of(batch))

    def with_failed(self, hook: OmicsHook, batch: BatchSnapshot, make: Make = at_once) -> Cohort:
        """Name the runs of an ended batch that did not complete.

        ListRunsInBatch knows submissions only, so executions come from ListRuns; why they failed is for
        :mod:`airflow_provider_omics.jobs.diagnosis` to find out.

        :param hook: where to ask.
        :param batch: the batch, ended.
        :param make: makes the call for a page of a list; default: once.
        :return: first the runs that were not submitted, then those that failed, then the cancelled ones, then those
            that nobody can tell of.
        :raises ServiceError: a call was refused or did not get through.
        """
        return replace(self, failed=tuple(_failed_runs(hook, batch, make)))

    @property
    def not_completed(self) -> tuple[RunRecord, ...]:
        """Those that did not complete, as far as they are named."""
        return *self.failed, *self.carried


def not_submitted(item: Mapping[str, Any]) -> RunRecord:
    """Take a run that was never created from an item of ListRunsInBatch.

    :param item: the item, with submissionStatus FAILED.
    """
    refused = Submission.from_item(item)
    name, code = refused.run_setting_id, refused.failure_reason
    return RunRecord(name, None, None, RecordStatus.NOT_SUBMITTED, failure_reason=code, message=refused.message)


def started_run_ids(hook: OmicsHook, batch_id: str, limit: int) -> list[str]:
    """Return the ids of runs that a batch has started.

    :param hook: where to ask.
    :param batch_id: id of the batch.
    :param limit: how many at most.
    :return: run ids.
    :raises ServiceError: a call was refused or did not get through.
    """
    items = hook.list_runs_in_batch(batch_id, submission_status=SubmissionStatus.SUCCESS.value)
    return [item["runId"] for item in islice(items, limit)]


def _left(sample: Sample, ended: RecordStatus, record: RunRecord | None = None) -> RunRecord:
    if record is None:
        name, run_id = sample.run_setting_id, sample.run_id
        return RunRecord(name, run_id, None, ended, message=sample.message, cause=sample.reason)
    return _slim(record, ended, record.message)


def _slim(record: RunRecord, ended: RecordStatus, message: str | None) -> RunRecord:
    """Keep the fields of a verdict only: 100,000 samples may have failed."""
    code, cause = record.failure_reason, record.cause
    return RunRecord(
        record.run_setting_id, record.run_id, None, ended, failure_reason=code, message=message, cause=cause
    )


def _failed_runs(hook: OmicsHook, batch: BatchSnapshot, make: Make) -> Iterator[RunRecord]:
    if batch.count("failed_submissions"):
        refused = hook.list_runs_in_batch(batch.id, submission_status=SubmissionStatus.FAILED.value, make=make)
        yield from map(not_submitted, refused)
    ended = {
        item["id"]: RecordStatus(status.value)
        for status, count in ((RunStatus.FAILED, "failed_runs"), (RunStatus.CANCELLED, "cancelled_runs"))
        if batch.count(count)
        for item in hook.list_runs(batch_id=batch.id, status=status.value, make=make)
    }
    names = _run_setting_ids(hook, batch, ended, make)
    for run_id, status in ended.items():
        yield RunRecord(names.get(run_id, ""), run_id, None, status)
    if BatchCounts.of(batch).unknown_runs:
        yield from _unknown_runs(hook, batch, ended, make)


def _unknown_runs(
    hook: OmicsHook, batch: BatchSnapshot, ended: Mapping[str, RecordStatus], make: Make
) -> Iterator[RunRecord]:
    """Find the runs that were submitted and are neither listed as COMPLETED nor among those that ended otherwise."""
    listed = hook.list_runs(batch_id=batch.id, status=RunStatus.COMPLETED.value, make=make)
    completed = {item["id"] for item in listed}
    for item in hook.list_runs_in_batch(batch.id, make=make):
        run_id = item.get("runId")
        if run_id not in completed and run_id not in ended and item.get("submissionStatus") != SubmissionStatus.FAILED:
            message = "its record is gone; its outcome is unknown"
            yield RunRecord(item["runSettingId"], run_id, None, RecordStatus.UNKNOWN, message=message)


def _run_setting_ids(
    hook: OmicsHook, batch: BatchSnapshot, run_ids: Mapping[str, object], make: Make
) -> dict[str, str]:
    """Map run ids to the user's own ids, by one call each or by all pages, whichever is fewer calls."""
    if len(run_ids) <= math.ceil(batch.total_runs / PAGE):
        return {
            run_id: item["runSettingId"]
            for run_id in run_ids
            for item in hook.list_runs_in_batch(batch.id, run_id=run_id, make=make)
        }
    return {
        item["runId"]: item["runSettingId"]
        for item in hook.list_runs_in_batch(batch.id, make=make)
        if item.get("runId") in run_ids
    }
