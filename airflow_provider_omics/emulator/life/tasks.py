"""Tasks of runs.

Nothing is stored of a task: its status follows from the times and the rule of its run.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import NamedTuple

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.life.records import Run
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.script.rules import TaskRule

#: Shares of a task's time in PENDING, STARTING and, at the end, STOPPING.
_PENDING_SHARE, _STARTING_SHARE, _STOPPING_SHARE = 0.05, 0.10, 0.05


class Task(NamedTuple):
    """A task as it stands at some moment. Times are seconds since the epoch."""

    id: str
    uuid: str
    rule: TaskRule
    status: str
    created: float
    started: float | None
    stopped: float | None


def transitions(run: Run) -> list[list[tuple[float, str]]]:
    """Return the times at which each task of a run enters its statuses; those ahead are planned.

    :param run: a run.
    :return: for each task that the run has started or will start, its (time, status), oldest first.
    """
    if run.started is None:
        return []
    tasks = []
    for timed in run.rule.timetable:
        begins, length = run.started + timed.begins, timed.ends - timed.begins
        ends = run.started + timed.ends
        if run.stopping is not None and begins > run.stopping:
            break
        steps = [
            (begins, statuses.PENDING),
            (begins + length * _PENDING_SHARE, statuses.STARTING),
            (begins + length * (_PENDING_SHARE + _STARTING_SHARE), statuses.RUNNING),
            (ends - length * _STOPPING_SHARE, statuses.STOPPING),
            (ends, timed.rule.outcome),
        ]
        # A run that was cancelled or timed out takes the task at hand with it.
        if run.stopping is not None and ends > run.stopping + 1e-6:
            steps = [step for step in steps if step[0] <= run.stopping and step[1] != statuses.STOPPING]
            steps.append((run.stopping, statuses.STOPPING))
            if run.stopped is not None:
                steps.append((run.stopped, statuses.CANCELLED))
        tasks.append(steps)
    return tasks


def tasks_at(run: Run, now: float) -> list[Task]:
    """Return the tasks that a run has started so far.

    :param run: a run.
    :param now: the present, in seconds since the epoch.
    :return: its tasks, oldest first.
    """
    tasks = []
    for number, steps in enumerate(transitions(run)):
        past = {status: time for time, status in steps if time <= now}
        if not past:
            break
        status = next(reversed(past))
        tasks.append(
            Task(
                id=str(run.first_task_id + number),
                uuid=_task_uuid(run, number),
                rule=run.rule.timetable[number].rule,
                status=status,
                created=past[statuses.PENDING],
                started=past.get(statuses.RUNNING),
                stopped=past[status] if status in statuses.RUN_ENDED else None,
            )
        )
    return tasks


def instance_type(rule: TaskRule) -> str:
    """Return the instance type of a task: as scripted, else the smallest that plausibly fits."""
    if rule.instance_type is not None:
        return rule.instance_type
    if rule.gpus:
        return "omics.g5.2xlarge"
    # 2, 4 and 8 GiB for each vCPU (User Guide, "Compute and memory requirements").
    family = "c" if rule.memory <= 2 * rule.cpus else "m" if rule.memory <= 4 * rule.cpus else "r"
    for cpus, size in ((2, "large"), (4, "xlarge"), (8, "2xlarge"), (16, "4xlarge"), (32, "8xlarge"), (48, "12xlarge")):
        if rule.cpus <= cpus:
            return f"omics.{family}.{size}"
    return f"omics.{family}.24xlarge"


def image(region: Region, rule: TaskRule) -> str:
    """Return the container image of a task: as scripted, else one of its name in the account's registry."""
    registry = f"{region.account}.dkr.ecr.{region.name}.amazonaws.com"
    # What ECR allows in the name of a repository.
    return rule.image or f"{registry}/{re.sub('[^a-z0-9]+', '-', rule.name.lower()).strip('-') or 'task'}:latest"


def image_digest(image: str) -> str:
    """Return an invented digest of an image, the same each time; that in ``image@sha256:...`` is kept."""
    given = image.partition("@")[2]
    return given or f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"


def _task_uuid(run: Run, number: int) -> str:
    """Return the uuid of a run's task, the same each time."""
    return str(uuid.uuid5(uuid.UUID(run.uuid), str(number)))
