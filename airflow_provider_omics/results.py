"""What became of the runs of a batch, read from HealthOmics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_omics.core.errors import NotFound
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import RunStatus, SubmissionStatus
from airflow_provider_omics.core.verdict import BatchCounts
from airflow_provider_omics.hooks.omics import OmicsHook

PAGE = 100
"""Items that one list call brings."""


@dataclass(frozen=True)
class FailedRun:
    """A run of a batch that did not complete.

    :param run_setting_id: the user's own id of it.
    :param run_id: its run; None when it was never submitted.
    :param status: FAILED, CANCELLED, NOT_SUBMITTED, or UNKNOWN where no record tells.
    :param reason: AWS's reason and message, as far as they were asked for.
    """

    run_setting_id: str
    run_id: str | None
    status: str
    reason: str


def failed_runs(hook: OmicsHook, batch: BatchSnapshot, *, explained: int = 20) -> Iterator[FailedRun]:
    """Find the runs of an ended batch that did not complete.

    ListRunsInBatch knows submissions only, so executions come from ListRuns; the reason of each costs one GetRun more.

    :param hook: where to ask.
    :param batch: the batch, ended.
    :param explained: for how many runs that failed while executing the reason is asked for.
    :return: first the runs that were not submitted, then those that failed, then the cancelled ones, then those that
        nobody can tell of.
    :raises ServiceError: a call was refused or did not get through.
    """
    if batch.count("failed_submissions"):
        for item in hook.list_runs_in_batch(batch.id, submission_status=SubmissionStatus.FAILED.value):
            reasons = [item.get("submissionFailureReason"), item.get("submissionFailureMessage")]
            yield FailedRun(item["runSettingId"], None, "NOT_SUBMITTED", _joined(reasons))
    ended = {
        item["id"]: status.value
        for status, count in ((RunStatus.FAILED, "failed_runs"), (RunStatus.CANCELLED, "cancelled_runs"))
        if batch.count(count)
        for item in hook.list_runs(batch_id=batch.id, status=status.value)
    }
    names = _run_setting_ids(hook, batch, ended)
    for number, (run_id, status) in enumerate(ended.items()):
        reason = _reason(hook, run_id) if number < explained else ""
        yield FailedRun(names.get(run_id, ""), run_id, status, reason or status)
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
        if run_id not in completed and run_id not in ended and item["submissionStatus"] != SubmissionStatus.FAILED:
            yield FailedRun(item["runSettingId"], run_id, "UNKNOWN", "its record is gone: nobody can tell how it ended")


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


def _reason(hook: OmicsHook, run_id: str) -> str:
    try:
        run = hook.get_run(run_id)
    except NotFound:
        return "its record is gone"
    return _joined([run.get("failureReason"), run.get("statusMessage")])


def _joined(reasons: list[str | None]) -> str:
    return ": ".join(reason for reason in reasons if reason)
