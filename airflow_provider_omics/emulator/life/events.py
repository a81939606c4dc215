"""Status changes as EventBridge events (User Guide, "Using EventBridge" and "Run batches")."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.life import tasks
from airflow_provider_omics.emulator.life.records import Batch, Run, Workflow, to_datetime
from airflow_provider_omics.emulator.life.region import Region

# Status changes made into events at a time.
_CHANGES_AT_A_TIME = 200


def put_events(region: Region, is_over: Callable[[], bool] = lambda: False) -> bool:
    """Put the status changes since the last time on the bus, oldest first.

    :param region: the region of the changes.
    :param is_over: asked after each event, whether the rest has to wait; default: no.
    :return: whether all are on the bus.
    """
    while region.undelivered or region.outbox or region.changing:
        if not region.undelivered and not _make_events(region):
            return True
        while region.undelivered:
            time, detail_type, detail = region.undelivered.popleft()
            arn = detail["arn"]
            region.surroundings.put_event(region.account, region.name, detail_type, detail, [arn], to_datetime(time))
            if is_over():
                return not (region.undelivered or region.outbox)
    return True


def _make_events(region: Region) -> bool:
    """Make events of the oldest status changes.

    :return: whether there were any.
    """
    pending: list[tuple[float, str, dict[str, Any]]] = []
    for _ in range(min(len(region.outbox), _CHANGES_AT_A_TIME)):
        time, subject, status, counts = region.outbox.popleft()
        if isinstance(subject, Batch):
            pending.append((time, "RunBatch Status Change", _batch_detail(region, subject, status, counts)))
        elif isinstance(subject, Workflow):
            pending.append((time, "Workflow Status Change", _workflow_detail(subject, status)))
        else:
            if status == statuses.RUNNING:
                region.changing[subject.uuid] = (subject, [0] * len(subject.rule.timetable))
            pending.append((time, "Run Status Change", _run_detail(region, subject, status)))
    # Where status changes are left, those of tasks go no further than they do.
    horizon = region.outbox[0][0] if region.outbox else region.now
    for run, announced in list(region.changing.values()):
        for number, steps in enumerate(tasks.transitions(run)):
            past = [step for step in steps if step[0] <= horizon]
            for time, status in past[announced[number] :]:
                pending.append((time, "Task Status Change", _task_detail(region, run, number, status)))
            announced[number] = len(past)
        if run.stopped is not None and run.stopped <= horizon:
            del region.changing[run.uuid]
    # The sort is stable: changes of the same time stay in their order.
    region.undelivered.extend(sorted(pending, key=operator.itemgetter(0)))
    return bool(pending)


def discard_events(region: Region) -> None:
    """Drop the status changes so far: no rule was there to receive them."""
    region.outbox.clear()
    region.undelivered.clear()
    region.changing.clear()


def _workflow_detail(workflow: Workflow, status: str) -> dict[str, Any]:
    # User Guide, "Using EventBridge", shows omicsVersion, arn and status; the rest is as in the event of a run.
    return _without_none(
        {
            "omicsVersion": "1.0.0",
            "arn": workflow.arn,
            "status": status,
            "uuid": workflow.uuid,
            "workflowId": workflow.id,
            "workflowName": workflow.name or None,
            "workflowVersionName": workflow.version_name,
        }
    )


def _run_detail(region: Region, run: Run, status: str) -> dict[str, Any]:
    return _without_none(
        {
            "omicsVersion": "1.0.0",
            "arn": region.arn(f"run/{run.id}"),
            "status": status,
            "uuid": run.uuid,
            "runId": run.id,
            "runName": run.name,
            "runOutputUri": run.run_output_uri,
            "workflowId": run.workflow.id,
            "workflowName": run.workflow.name,
        }
    )


def _task_detail(region: Region, run: Run, number: int, status: str) -> dict[str, Any]:
    return _without_none(
        {
            "omicsVersion": "1.0.0",
            "arn": region.arn(f"task/{run.first_task_id + number}"),
            "status": status,
            "runArn": region.arn(f"run/{run.id}"),
            "runUuid": run.uuid,
            "runId": run.id,
            "runName": run.name,
            "workflowId": run.workflow.id,
            "workflowName": run.workflow.name,
        }
    )


def _batch_detail(region: Region, batch: Batch, status: str, counts: dict[str, str] | None) -> dict[str, Any]:
    failed = status == statuses.FAILED
    version = batch.workflow.version_name
    cache = region.caches.get(batch.default.get("cacheId", ""))
    # Every value is a string, the counts too.
    return _without_none(
        {
            "omicsVersion": "1.0.0",
            "arn": batch.arn,
            "batchId": batch.id,
            "status": status,
            "uuid": batch.uuid,
            "batchName": batch.name,
            "totalRuns": None if batch.entries is None else str(len(batch.entries)),
            "failureReason": batch.failure_code if failed else None,
            "failureMessage": batch.failure_reason if failed else None,
            **(counts or {}),
            "workflowId": batch.workflow.id,
            "workflowArn": batch.workflow.workflow_arn,
            "workflowVersionArn": None if version is None else batch.workflow.arn,
            "workflowOwnerId": batch.workflow.owner or region.account,
            "runCache": None if cache is None else cache.arn,
            "runCacheBehavior": batch.default.get("cacheBehavior"),
        }
    )


def _without_none(detail: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in detail.items() if value is not None}
