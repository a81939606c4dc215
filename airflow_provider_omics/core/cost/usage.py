"""What a run and its tasks used, as its manifest says.

The stream ``manifest/run/{id}/{uuid}`` has one JSON object of the run and one of each task. Sources: user guide,
"Monitoring with CloudWatch Logs"; the members of ``metrics`` as aws-healthomics-tools 0.14 reads them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from airflow_provider_omics.core.failure.manifest import manifest_objects, moment
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import RunStatus


@dataclass(frozen=True)
class TaskUsage:
    """What a task asked for and used. None: the manifest does not say.

    :param task_id: its id.
    :param name: its name in the workflow.
    :param status: its last status.
    :param instance_type: the instance that it ran on.
    :param created: when it was created; queueing begins here.
    :param started: when it began to run.
    :param stopped: when it ended.
    :param is_cached: whether its result came from a run cache, so that it never ran.
    :param gpus: GPUs that it asked for.
    :param vcpus: vCPUs that it asked for.
    :param vcpus_maximum: the most that it used.
    :param memory: GiB that it asked for.
    :param memory_maximum: the most that it used.
    :param scratch: GiB of its own scratch volume (``scratchStorageMode`` LOCAL).
    :param failure_reason: AWS's code, of one that failed.
    """

    task_id: str
    name: str
    status: str
    instance_type: str | None = None
    created: datetime | None = None
    started: datetime | None = None
    stopped: datetime | None = None
    is_cached: bool = False
    gpus: float = 0.0
    vcpus: float | None = None
    vcpus_maximum: float | None = None
    memory: float | None = None
    memory_maximum: float | None = None
    scratch: float | None = None
    failure_reason: str | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran, which is nought if it never began to; None: the manifest does not say."""
        return _seconds(self.started, self.stopped)


@dataclass(frozen=True)
class RunUsage:
    """What a run used. None: the manifest does not say.

    :param run_id: its id.
    :param run_uuid: its uuid.
    :param region: the AWS Region of its ARN.
    :param status: its final status.
    :param workflow_id: id of its workflow.
    :param workflow_type: ``PRIVATE`` or ``READY2RUN``.
    :param workflow_version_name: version of its workflow.
    :param engine: ``NEXTFLOW``, ``WDL`` or ``CWL``.
    :param engine_version: release of Nextflow.
    :param started: when it began to run.
    :param stopped: when it ended.
    :param storage_type: ``STATIC`` or ``DYNAMIC``.
    :param storage_capacity: GiB of STATIC storage that were asked for, or that it had.
    :param storage_average: GiB of DYNAMIC storage, on average; nought for runs under two hours, whatever they used.
    :param storage_maximum: the most GiB of storage that it used.
    :param tasks: its tasks, in the order of the manifest.
    """

    run_id: str
    run_uuid: str | None
    region: str
    status: str
    workflow_id: str | None = None
    workflow_type: str | None = None
    workflow_version_name: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    started: datetime | None = None
    stopped: datetime | None = None
    storage_type: str | None = None
    storage_capacity: float | None = None
    storage_average: float | None = None
    storage_maximum: float | None = None
    tasks: tuple[TaskUsage, ...] = ()

    @property
    def seconds(self) -> float | None:
        """How long it ran, which is nought if it never began to; None: the manifest does not say."""
        return _seconds(self.started, self.stopped)

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object without what is not known: a line of what a cohort used."""
        return {**_known(asdict(self)), "tasks": [_known(asdict(task)) for task in self.tasks]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunUsage:
        """Read :meth:`to_json`.

        :param value: a JSON object.
        :return: the usage.
        :raises (KeyError, TypeError, ValueError): it is something else.
        """
        tasks = tuple(TaskUsage(**_with_times(task)) for task in value["tasks"])
        return cls(**{**_with_times(value), "tasks": tasks})


_TIMES = ("created", "started", "stopped")


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value not in (None, False, 0.0)
    }


def _with_times(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: moment(value) if name in _TIMES else value for name, value in values.items()}


def run_usage(messages: Iterable[str], run_id: str, run_uuid: str | None = None) -> RunUsage | None:
    """Read the usage of a run from the messages of its manifest stream.

    :param messages: the messages, in any order; what is no JSON object of this run is passed over.
    :param run_id: id of the run.
    :param run_uuid: its uuid; None: any, which can be wrong where the id was used before.
    :return: the usage; None: the manifest has no object of the run.
    """
    return usage_of(manifest_objects(messages), run_id, run_uuid)


def usage_of(objects: Iterable[Mapping[str, Any]], run_id: str, run_uuid: str | None = None) -> RunUsage | None:
    """Read the usage of a run from the objects of its manifest.

    :param objects: the objects, in any order; those of other runs are passed over.
    :param run_id: id of the run.
    :param run_uuid: its uuid; None: any.
    :return: the usage; None: there is no object of the run.
    """
    run: Mapping[str, Any] | None = None
    tasks: list[TaskUsage] = []
    for entry in objects:
        arn = entry.get("arn")
        if not isinstance(arn, str):
            continue
        if arn.endswith(f":run/{run_id}"):
            run = entry if not run_uuid or entry.get("uuid") in (run_uuid, None) else run
        elif ":task/" in arn and str(entry.get("run", f":run/{run_id}")).endswith(f":run/{run_id}"):
            tasks.append(_task_usage(entry, arn.rpartition(":task/")[2]))
    if run is None:
        return None
    metrics = _metrics(run)
    return RunUsage(
        run_id=run_id,
        run_uuid=run_uuid or _text(run.get("uuid")),
        region=str(run["arn"]).split(":")[3],
        status=str(run.get("status")),
        workflow_id=_workflow_id(run.get("workflow")),
        workflow_type=_text(run.get("workflowType")),
        workflow_version_name=_text(run.get("workflowVersionName")),
        engine=_text(run.get("engine")),
        engine_version=_text(run.get("engineVersion")),
        started=moment(run.get("startTime")),
        stopped=moment(run.get("stopTime")),
        storage_type=_text(run.get("storageType")),
        storage_capacity=_number(run.get("storageCapacity")) or _number(metrics.get("storageReservedGiB")),
        storage_average=_number(metrics.get("storageAverageGiB")),
        storage_maximum=_number(metrics.get("storageMaximumGiB")),
        tasks=tuple(tasks),
    )


def listed_usage(run: RunSnapshot, items: Iterable[Mapping[str, Any]]) -> RunUsage:
    """Read what the tasks of a run have asked for, which is all that is known before there is a manifest.

    :param run: the run.
    :param items: of ListRunTasks.
    """
    tasks = tuple(_task_usage(item, str(item["taskId"])) for item in items)
    return RunUsage(run.id, run.uuid, str(run.arn).split(":")[3] if run.arn else "", run.status, tasks=tasks)


def _task_usage(entry: Mapping[str, Any], task_id: str) -> TaskUsage:
    metrics = _metrics(entry)
    created, started, stopped = (moment(entry.get(key)) for key in ("creationTime", "startTime", "stopTime"))
    return TaskUsage(
        task_id=task_id,
        name=str(entry.get("name") or task_id),
        status=str(entry.get("status")),
        instance_type=_text(entry.get("instanceType")),
        created=created,
        started=started,
        stopped=stopped,
        # Of a task that a cache answered, aws-healthomics-tools finds no times in the manifest.
        is_cached=entry.get("cacheHit") is True or (entry.get("status") == RunStatus.COMPLETED and started is None),
        gpus=_number(metrics.get("gpusReserved")) or _number(entry.get("gpus")) or 0.0,
        vcpus=_number(metrics.get("cpusReserved")) or _number(entry.get("cpus")),
        vcpus_maximum=_number(metrics.get("cpusMaximum")),
        memory=_number(metrics.get("memoryReservedGiB")) or _number(entry.get("memory")),
        memory_maximum=_number(metrics.get("memoryMaximumGiB")),
        scratch=_number(metrics.get("scratchStorageReservedGiB")),
        failure_reason=_text(entry.get("failureReason")),
    )


def _metrics(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    metrics = entry.get("metrics")
    return metrics if isinstance(metrics, Mapping) else {}


def _workflow_id(arn: Any) -> str | None:
    """Take the id of an ARN ``...:workflow/{id}``, of a version's ``...:workflow/{id}/version/{name}`` too."""
    return str(arn).partition(":workflow/")[2].partition("/")[0] or None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and value >= 0 else None


def _seconds(started: datetime | None, stopped: datetime | None) -> float | None:
    if started is None:
        return 0.0
    return None if stopped is None else max((stopped - started).total_seconds(), 0.0)
