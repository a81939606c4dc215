"""Log lines of runs in CloudWatch, written just before somebody reads them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.life import inputs, tasks
from airflow_provider_omics.emulator.life.records import Run, to_datetime, to_milliseconds
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.life.run_settings import cache_behavior, is_measured, storage_capacity
from airflow_provider_omics.emulator.script.rules import TaskRule

#: The log group of all runs (User Guide, "Monitoring with CloudWatch Logs").
LOG_GROUP = "/aws/omics/WorkflowLog"

Lines = list[tuple[int, str]]


def write_logs(region: Region, stream_prefix: str = "") -> Iterator[None]:
    """Write the log lines since the last time, run by run.

    :param region: the region of the runs.
    :param stream_prefix: stream, or prefix of the streams, that is about to be read; other runs wait.
    :return: an iterator that writes when it is asked for the next run; whoever asks may let others work in between.
    """
    if region.started_runs:
        first = to_milliseconds(region.started_runs[0].created)
        region.surroundings.make_log_group(region.account, region.name, LOG_GROUP, first)
    for run in list(region.unlogged.values()):
        yield
        if not _may_concern(run, stream_prefix):
            continue
        written = run.logged if run.logged is not None else {}
        for stream, lines in log_lines(region, run).items():
            new = lines[written.get(stream, 0) :]
            if new:
                region.surroundings.put_log_events(region.account, region.name, LOG_GROUP, stream, new)
                written[stream] = len(lines)
        run.logged = written
        if run.stopped is not None:
            region.unlogged.pop(run.uuid, None)


def log_lines(region: Region, run: Run) -> dict[str, Lines]:
    """Return the log lines of a run up to now.

    :param region: where the run is.
    :param run: the run.
    :return: log stream -> (milliseconds since the epoch, text), oldest first. Empty for logLevel OFF; only errors for
        ERROR and FATAL. The manifest comes with the run's end (User Guide, "Monitoring with CloudWatch Logs").
    """
    kept = stream_lines(region, run)
    if run.stopped is not None and run.setting("logLevel") != "OFF":
        stopped = to_milliseconds(run.stopped)
        kept[f"manifest/run/{run.id}/{run.uuid}"] = [(stopped, json.dumps(item)) for item in manifest(region, run)]
    return kept


def stream_lines(region: Region, run: Run, *, with_tasks: bool = True) -> dict[str, Lines]:
    """Return the log lines of a run up to now, but for its manifest: see :func:`log_lines`.

    :param region: where the run is.
    :param run: the run.
    :param with_tasks: whether those of its tasks are wanted, which are most of them.
    :return: log stream -> lines; none of a stream without lines.
    """
    level = run.setting("logLevel") or "ALL"
    if level == "OFF":
        return {}
    lines: dict[str, list[tuple[float, bool, str]]] = defaultdict(list)
    _log_run(run, lines[f"run/{run.id}"])
    _log_engine(run, lines[f"run/{run.id}/engine"])
    for task in tasks.tasks_at(run, region.now) if with_tasks else ():
        _log_task(region.now, run, task, lines[f"run/{run.id}/task/{task.id}"])
    kept = {stream: _due(region, level, all_lines) for stream, all_lines in lines.items()}
    return {stream: due for stream, due in kept.items() if due}


def has_task_stream(region: Region, run: Run, task: tasks.Task) -> bool:
    """Tell whether a task has logged a line yet: those of other tasks need not be made for that.

    :param region: where the run is.
    :param run: the run.
    :param task: a task of it, as it is now.
    :return: whether its stream is one of :func:`stream_lines`.
    """
    level = run.setting("logLevel") or "ALL"
    lines: list[tuple[float, bool, str]] = []
    if level != "OFF":
        _log_task(region.now, run, task, lines)
    return bool(_due(region, level, lines))


def _due(region: Region, level: str, lines: list[tuple[float, bool, str]]) -> Lines:
    return [
        (to_milliseconds(time), text)
        for time, is_error, text in sorted(lines, key=lambda line: line[0])
        if time <= region.now and (level == "ALL" or is_error)
    ]


def log_stream_arn(region: Region, stream: str) -> str:
    """Return the ARN of a log stream of the runs' group."""
    return f"arn:aws:logs:{region.name}:{region.account}:log-group:{LOG_GROUP}:log-stream:{stream}"


def engine_log(run: Run) -> str:
    """Return the engine log that goes with the outputs: all lines, whatever the logLevel."""
    lines: list[tuple[float, bool, str]] = []
    _log_engine(run, lines)
    return "".join(f"{to_datetime(time).isoformat()} {text}\n" for time, _, text in sorted(lines, key=lambda x: x[0]))


def manifest(region: Region, run: Run) -> list[dict[str, Any]]:
    """Return the manifest of an ended run: one object for the run, one for each task.

    :param region: where the run was; it may be deleted since.
    :param run: the run, ended.
    :return: the objects, that of the run first; members are named as the readers of manifests expect.
    """
    running = 0.0 if run.started is None else (run.stopping or run.started) - run.started
    workflow, capacity = run.workflow, storage_capacity(run)
    cache = region.caches.get(run.setting("cacheId") or "")
    of_run = {
        "arn": region.arn(f"run/{run.id}"),
        "uuid": run.uuid,
        "name": run.name,
        "status": _final_status(run),
        "failureReason": run.failure_reason,
        "statusMessage": run.status_message,
        "batch": None if run.batch is None else run.batch.arn,
        "workflow": workflow.workflow_arn,
        "workflowUuid": workflow.parent_uuid or workflow.uuid,
        "workflowType": workflow.type,
        "workflowOwnerId": run.setting("workflowOwnerId"),
        # The ARN, of which aws-healthomics-tools takes the last part.
        "workflowVersion": None if workflow.version_name is None else workflow.arn,
        "workflowVersionName": workflow.version_name,
        "digest": workflow.digest,
        "engine": workflow.engine,
        "engineVersion": run.engine_version if workflow.engine == "NEXTFLOW" else None,
        "main": workflow.main,
        "accelerators": workflow.details.get("accelerators"),
        "parameters": run.parameters,
        "resourceDigests": inputs.resource_digests(region, run),
        "outputUri": run.output_uri,
        "runOutputUri": run.run_output_uri,
        "roleArn": run.setting("roleArn"),
        "startedBy": region.arn_of_caller,
        "logLevel": run.setting("logLevel") or "ALL",
        "priority": run.priority,
        "retentionMode": run.setting("retentionMode") or "RETAIN",
        "runGroup": None if run.group is None else run.group.arn,
        "runCache": None if cache is None else cache.arn,
        "runCacheBehavior": cache_behavior(region, run),
        "storageType": run.storage_type,
        "storageCapacity": capacity,
        "creationTime": _time(run.created),
        "startTime": _time(run.started),
        "stopTime": _time(run.stopped),
        "metrics": {
            "runningSeconds": round(running, 3),
            "storageReservedGiB": float(capacity or 0) if run.storage_type == "STATIC" else 0.0,
            "storageMaximumGiB": 64.0 if is_measured(run) else 0.0,
            "storageAverageGiB": 32.0 if is_measured(run) else 0.0,
        },
    }
    items = [of_run, *(_task_manifest(region, run, task) for task in tasks.tasks_at(run, region.now))]
    return [{key: value for key, value in item.items() if value is not None} for item in items]


def _task_manifest(region: Region, run: Run, task: tasks.Task) -> dict[str, Any]:
    rule, image = task.rule, tasks.image(region, task.rule)
    # aws-healthomics-tools takes a task without times for one that a cache has answered.
    started, stopped = (None, None) if rule.cache_hit else (task.started, task.stopped)
    running = 0.0 if started is None or stopped is None else stopped - started
    ran_out = task.status == statuses.FAILED and _task_failure(rule) == "OUT_OF_MEMORY_ERROR"
    cpus_used = round(rule.cpus * 0.9, 2) if rule.cpus_used is None else rule.cpus_used
    memory_used = round(rule.memory * (0.99 if ran_out else 0.8), 2) if rule.memory_used is None else rule.memory_used
    return {
        "arn": region.arn(f"task/{task.id}"),
        "uuid": task.uuid,
        "run": region.arn(f"run/{run.id}"),
        "name": rule.name,
        "status": task.status,
        "failureReason": _task_failure(rule) if task.status == statuses.FAILED else None,
        "cpus": rule.cpus,
        "memory": rule.memory,
        "gpus": rule.gpus,
        "instanceType": tasks.instance_type(rule),
        "image": image,
        "imageDigest": tasks.image_digest(image),
        "creationTime": _time(task.created),
        "startTime": _time(started),
        "stopTime": _time(stopped),
        "metrics": {
            "cpusReserved": rule.cpus,
            "cpusMaximum": cpus_used,
            "cpusAverage": round(cpus_used * 0.65, 2),
            "memoryReservedGiB": rule.memory,
            "memoryMaximumGiB": memory_used,
            "memoryAverageGiB": round(memory_used * 0.65, 2),
            "gpusReserved": rule.gpus,
            "runningSeconds": round(running, 3),
        },
    }


def _may_concern(run: Run, stream_prefix: str) -> bool:
    if not stream_prefix:
        return True
    streams = (f"run/{run.id}/", f"manifest/run/{run.id}/{run.uuid}")
    asked = f"{stream_prefix}/"
    return any(asked.startswith(stream) or stream.startswith(stream_prefix) for stream in streams)


def _log_run(run: Run, lines: list[tuple[float, bool, str]]) -> None:
    if run.starting is not None:
        lines.append(
            (run.starting, False, f"Run {run.id} is starting: workflow {run.workflow.id} ({run.workflow.engine})")
        )
    if run.started is not None:
        lines.append((run.started, False, f"Run {run.id} is running"))
    if run.stopping is not None and run.starting is not None:
        failed = run.outcome == statuses.FAILED
        if failed:
            lines.append((run.stopping, True, f"{run.failure_reason}: {run.status_message}"))
        lines.append((run.stopping, failed, f"Run {run.id} is stopping"))
        if run.stopped is not None:
            lines.append((run.stopped, failed, f"Run {run.id} ended with status {_final_status(run)}"))


def _log_engine(run: Run, lines: list[tuple[float, bool, str]]) -> None:
    if run.starting is None or run.started is None:
        return
    engine = run.workflow.engine
    title = f"N E X T F L O W  ~  version {run.engine_version}" if engine == "NEXTFLOW" else f"{engine} engine"
    lines.append((run.started, False, title))
    lines.extend((run.started, False, text) for text in run.rule.engine_log)
    for number, steps in enumerate(tasks.transitions(run)):
        name = run.rule.timetable[number].rule.name
        for time, status in steps:
            if status == statuses.PENDING:
                lines.append((time, False, f"Submitted task {name}"))
            elif status in statuses.RUN_ENDED:
                lines.append((time, status == statuses.FAILED, f"Task {name} ended with status {status}"))
    if run.stopping is not None and run.outcome == statuses.FAILED:
        lines.append((run.stopping, True, f"Workflow execution failed: {run.status_message}"))


def _log_task(now: float, run: Run, task: tasks.Task, lines: list[tuple[float, bool, str]]) -> None:
    if task.started is None:
        return
    rule = task.rule
    failing = rule.outcome == statuses.FAILED
    steps = tasks.transitions(run)[int(task.id) - run.first_task_id]
    planned = {status: time for time, status in steps}
    running = f"Running {rule.name} on {rule.cpus} vCPUs and {rule.memory} GiB"
    texts = rule.log or ((running,) if failing else (running, f"{rule.name}: done"))
    ends = planned.get(statuses.STOPPING, now)
    # Spread over the task's time in RUNNING, the last one at its end.
    interval = (ends - task.started) / max(len(texts) - 1, 1)
    for number, text in enumerate(texts):
        time = task.started + number * interval
        if time <= ends:
            lines.append((time, failing, text))
    if task.status == statuses.FAILED and task.stopped is not None:
        lines.append((task.stopped, True, f"{_task_failure(rule)}: {rule.exit_text or 'exit code 1'}"))


def _task_failure(rule: TaskRule) -> str:
    return rule.failure_reason or "RUN_TASK_FAILED"


def _final_status(run: Run) -> str:
    # The manifest of a deleted run keeps its last status.
    return run.outcome


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else to_datetime(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
