"""The runs of a batch that did not complete, for the verdict and the log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus, Sample
from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.failure.causes import read_cause
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import RunStatus, SubmissionStatus
from airflow_provider_omics.hooks.omics import OmicsHook

PAGE = 100
"""Items that one list call brings."""


@dataclass(frozen=True)
class FailedRun:
    """A run of a batch that did not complete.

    :param run_setting_id: the user's own id of it.
    :param run_id: its run; None when it was never submitted, or when an earlier attempt has left it and no results
        file tells.
    :param status: FAILED, CANCELLED, NOT_SUBMITTED, or UNKNOWN where no record tells.
    :param code: AWS's code, of one that was not submitted, or that an earlier attempt has left.
    :param message: AWS's message.
    :param is_carried: whether an earlier attempt has left it so, and this one has not submitted it.
    :param task: name of the task that failed, of one that an earlier attempt has left.
    """

    run_setting_id: str
    run_id: str | None
    status: str
    code: str | None = None
    message: str | None = None
    is_carried: bool = False
    task: str | None = None

    @property
    def named(self) -> str:
        """Its name in a line of the log, with the run's id where there is one."""
        return f"{self.run_setting_id} (run {self.run_id})" if self.run_id else self.run_setting_id

    @classmethod
    def not_submitted(cls, item: Mapping[str, Any]) -> FailedRun:
        """Take a run that was never created from an item of ListRunsInBatch.

        :param item: the item, with submissionStatus FAILED.
        """
        reason, message = item.get("submissionFailureReason"), item.get("submissionFailureMessage")
        return cls(item["runSettingId"], None, "NOT_SUBMITTED", reason, message)


@dataclass(frozen=True)
class CarriedSamples:
    """What earlier attempts have left of a batch's samples, which the last one did not submit.

    :param counts: how they ended.
    :param failed: those that did not complete.
    :param unclear: of the samples that the last one did submit: ``runSettingId`` -> how often it had failed before, and
        nobody could tell whether that passes; those that had not are left out.
    """

    counts: BatchCounts = field(default_factory=lambda: BatchCounts.of_statuses({}))
    failed: tuple[FailedRun, ...] = ()
    unclear: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> CarriedSamples:
        """Take them out of an attempt's samples.

        :param samples: all of them; what has left the sheet is passed over.
        """
        statuses: Counter[str] = Counter()
        failed = []
        unclear = {}
        for sample in samples:
            if sample.removed:
                continue
            if sample.carried is None:
                if sample.unclear:
                    unclear[sample.run_setting_id] = sample.unclear
                continue
            statuses[sample.carried] += 1
            if sample.carried != RecordStatus.COMPLETED:
                code, task = read_cause(sample.reason)
                said = "not tried again"
                failed.append(FailedRun(sample.run_setting_id, None, sample.carried, code, said, True, task))
        return cls(BatchCounts.of_statuses(statuses), tuple(failed), unclear)


def failed_runs(hook: OmicsHook, batch: BatchSnapshot) -> Iterator[FailedRun]:
    """Find the runs of an ended batch that did not complete.

    ListRunsInBatch knows submissions only, so executions come from ListRuns; why they failed is for
    :mod:`airflow_provider_omics.jobs.diagnosis` to find out.

    :param hook: where to ask.
    :param batch: the batch, ended.
    :return: first the runs that were not submitted, then those that failed, then the cancelled ones, then those that
        nobody can tell of.
    :raises ServiceError: a call was refused or did not get through.
    """
    if batch.count("failed_submissions"):
        for item in hook.list_runs_in_batch(batch.id, submission_status=SubmissionStatus.FAILED.value):
            yield FailedRun.not_submitted(item)
    ended = {
        item["id"]: status.value
        for status, count in ((RunStatus.FAILED, "failed_runs"), (RunStatus.CANCELLED, "cancelled_runs"))
        if batch.count(count)
        for item in hook.list_runs(batch_id=batch.id, status=status.value)
    }
    names = _run_setting_ids(hook, batch, ended)
    for run_id, status in ended.items():
        yield FailedRun(names.get(run_id, ""), run_id, status)
    if BatchCounts.of(batch).unknown_runs:
        yield from _unknown_runs(hook, batch, ended)


def started_run_ids(hook: OmicsHook, batch_id: str, limit: int) -> list[str]:
    """Give the ids of runs that a batch has started.

    :param hook: where to ask.
    :param batch_id: id of the batch.
    :param limit: how many at most.
    :return: run ids.
    :raises ServiceError: a call was refused or did not get through.
    """
    ids: list[str] = []
    for item in hook.list_runs_in_batch(batch_id, submission_status=SubmissionStatus.SUCCESS.value):
        if len(ids) == limit:
            break
        ids.append(item["runId"])
    return ids


def _unknown_runs(hook: OmicsHook, batch: BatchSnapshot, ended: dict[str, str]) -> Iterator[FailedRun]:
    """Find the runs that were submitted and are neither listed as COMPLETED nor among those that ended otherwise."""
    completed = {item["id"] for item in hook.list_runs(batch_id=batch.id, status=RunStatus.COMPLETED.value)}
    for item in hook.list_runs_in_batch(batch.id):
        run_id = item.get("runId")
        if run_id not in completed and run_id not in ended and item.get("submissionStatus") != SubmissionStatus.FAILED:
            message = "its record is gone: nobody can tell how it ended"
            yield FailedRun(item["runSettingId"], run_id, "UNKNOWN", message=message)


def _run_setting_ids(hook: OmicsHook, batch: BatchSnapshot, run_ids: dict[str, str]) -> dict[str, str]:
    """Map run ids to the user's own ids, by one call each or by all pages, whichever is fewer calls."""
    if len(run_ids) <= math.ceil(batch.total_runs / PAGE):
        return {
            run_id: item["runSettingId"]
            for run_id in run_ids
            for item in hook.list_runs_in_batch(batch.id, run_id=run_id)
        }
    return {
        item["runId"]: item["runSettingId"]
        for item in hook.list_runs_in_batch(batch.id)
        if item.get("runId") in run_ids
    }
