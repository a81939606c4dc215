"""The end of a wait as a task's result or its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.console import run_list_url, run_url
from airflow_provider_omics.core.errors import (
    BatchCancelled,
    BatchDeleted,
    BatchError,
    BatchFailed,
    BatchTimedOut,
    BatchVanished,
    LostContact,
    OmicsError,
    Problem,
    RunCancelled,
    RunDeleted,
    RunError,
    RunFailed,
    RunTimedOut,
    RunVanished,
    SettingsError,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent

_RUN_ENDS: dict[Phase, tuple[type[RunError], str]] = {
    Phase.FAILED: (RunFailed, "The run failed."),
    Phase.CANCELLED: (RunCancelled, "The run was cancelled, and not by this task."),
    Phase.DELETED: (RunDeleted, "The run was deleted while it was waited for; its end is no longer on record."),
}

_BATCH_ENDS: dict[Phase, tuple[type[BatchError], str]] = {
    Phase.FAILED: (BatchFailed, "The batch failed."),
    Phase.CANCELLED: (BatchCancelled, "The batch was cancelled, and not by this task."),
    Phase.DELETED: (BatchDeleted, "The runs of the batch were deleted while it was waited for."),
}


def error_of(event: WaitEvent, region: str) -> OmicsError | None:
    """Turn the end of a wait into the error of its task.

    :param event: the end of the wait.
    :param region: AWS Region, for the console address.
    :return: the error; None for a run that completed and for a batch whose verdict is still to be given (PROCESSED).
    """
    seen = event.snapshot
    if event.outcome in (Outcome.LOST_CONTACT, Outcome.REFUSED):
        return LostContact(event.kind, seen.id, seen.uuid, event.seconds, event.error or "none")
    if event.outcome is Outcome.INVALID:
        allowed = f"arguments with which {event.kind} {seen.id} can be waited for; it may still be going"
        return SettingsError([Problem("trigger", event.error or "unreadable arguments", allowed)])
    run_class: type[RunError]
    batch_class: type[BatchError]
    if event.outcome is Outcome.TIMED_OUT:
        run_class, batch_class = RunTimedOut, BatchTimedOut
        text = f"{event.limit} passed; {'it was cancelled' if event.cancelled else 'it may still be going'}."
    elif event.outcome is Outcome.VANISHED:
        run_class, batch_class = RunVanished, BatchVanished
        text = f"Its record is gone, and its end cannot be found out ({event.error}). It is not started again."
    elif seen.phase in (Phase.SUCCEEDED, Phase.PROCESSED):
        return None
    elif isinstance(seen, RunSnapshot):
        run_class, text = _RUN_ENDS[seen.phase]
    else:
        batch_class, text = _BATCH_ENDS[seen.phase]
    if isinstance(seen, RunSnapshot):
        return run_class(
            text,
            run_id=seen.id,
            run_uuid=seen.uuid,
            status=seen.status,
            failure_reason=seen.failure_reason,
            status_message=seen.status_message,
            log_streams=seen.log_streams,
            console_url=run_url(region, seen.id),
        )
    return batch_class(
        text,
        batch_id=seen.id,
        batch_uuid=seen.uuid,
        status=seen.status,
        failure_reason=seen.failure_reason,
        counts=BatchCounts.of(seen).as_dict(),
        console_url=run_list_url(region),
    )


_PLACES = {"outputs": "run_output_uri", "results": "results_uri", "report": "report_uri"}


def closing_line(kind: str, result: Mapping[str, Any], seconds: float) -> str:
    """Write the line that closes the log of a task: how long it took, and where everything is.

    :param kind: ``"run"`` or ``"batch"``.
    :param result: of the task, or the known part of it after a failure.
    :param seconds: since the request was first sent; where none was, since the try began.
    """
    resource_id, status = result.get(f"{kind}_id"), result.get("status")
    what = f"{kind.capitalize()} {resource_id}{f' {status}' if status else ''}" if resource_id else "Nothing started"
    since = "its request" if resource_id else "the try began"
    places = [f"{name}: {result[key]}" for name, key in _PLACES.items() if result.get(key)]
    return "; ".join([f"{what}, {timedelta(seconds=round(seconds))} after {since}", *places])


def run_result(run: RunSnapshot) -> dict[str, Any]:
    """Make the result of a task that started a run: enough to trace a file to its origin years later.

    :param run: the last snapshot of the run.
    :return: a small dict of JSON values; an unknown fact (the run has not ended) is None.
    """
    return {
        "run_id": run.id,
        "run_uuid": run.uuid,
        "run_arn": run.arn,
        "status": run.status,
        "run_output_uri": run.run_output_uri,
        "started_at": run.start_time.isoformat() if run.start_time else None,
        "stopped_at": run.stop_time.isoformat() if run.stop_time else None,
        "workflow_id": run.workflow_id,
        "workflow_uuid": run.workflow_uuid,
        "workflow_version_name": run.workflow_version_name,
        "workflow_digest": run.digest,
        "engine_version": run.engine_version,
        "role_arn": run.role_arn,
    }


def batch_result(
    batch: BatchSnapshot,
    *,
    succeeded: bool | None,
    failed_ids: tuple[str, ...] = (),
    causes: Sequence[Mapping[str, Any]] = (),
    counts: BatchCounts | None = None,
    attempts: int = 1,
    carried_forward: int = 0,
) -> dict[str, Any]:
    """Make the result of a task that started a batch.

    :param batch: the last snapshot of the batch.
    :param succeeded: the verdict; None while the batch is going.
    :param failed_ids: ``runSettingId``s of runs that did not complete; the first 20 are kept.
    :param causes: the causes of failures, as
        :meth:`airflow_provider_omics.core.failure.batch.BatchDiagnosis.causes` returns them.
    :param counts: of all samples, with those that earlier attempts have left; default: those of the batch.
    :param attempts: how many attempts the task has made.
    :param carried_forward: samples that the last one did not submit, as earlier ones have left them.
    :return: a small dict of JSON values, the same size for 8 runs and for 100,000.
    """
    return {
        "batch_id": batch.id,
        "batch_uuid": batch.uuid,
        "batch_arn": batch.arn,
        "status": batch.status,
        **(BatchCounts.of(batch) if counts is None else counts).as_dict(),
        "succeeded": succeeded,
        "attempts": attempts,
        "carried_forward": carried_forward,
        "failed_run_setting_ids": list(failed_ids[:20]),
        "causes": [dict(cause) for cause in causes],
    }
