"""What the processes of a workflow used of what they asked for, and what would have been enough."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from airflow_provider_omics.core.cost.instances import smallest_instance
from airflow_provider_omics.core.cost.rates import Rates
from airflow_provider_omics.core.cost.reckoning import MINIMUM_SECONDS, extended_support, task_cost
from airflow_provider_omics.core.cost.usage import RunUsage, TaskUsage
from airflow_provider_omics.core.statuses import RunStatus

HEADROOM = 0.25
"""What a process gets above the most that any of its tasks used."""
TIGHT = 0.9
"""A task that used more than this share of what it had was close to its limit."""
_GROWTH = 1.5
"""A task that ran out gets so much more than it had: how much it wanted, nobody has seen."""

_TASK_NUMBERS = {
    "NEXTFLOW": re.compile(r"\s\(.+\)$"),  # "NFCORE:ALIGN (sample_1)"
    "WDL": re.compile(r"-\d+-\d+.*$"),  # "align-3-1"
    "CWL": re.compile(r"_\d+$"),  # "align_3"
}


def process_name(task_name: str, engine: str | None) -> str:
    """Name the process that a task is an instance of.

    :param task_name: name of the task.
    :param engine: ``NEXTFLOW``, ``WDL`` or ``CWL``; None: not known, and any of their endings counts.
    :return: the name without the sample or number that the engine adds (as aws-healthomics-tools 0.14 takes it).
    """
    patterns = [_TASK_NUMBERS[engine]] if engine in _TASK_NUMBERS else list(_TASK_NUMBERS.values())
    for pattern in patterns:
        name = pattern.sub("", task_name)
        if name and name != task_name:
            return name
    return task_name


@dataclass(frozen=True)
class Spread:
    """Median, 95th percentile and maximum of a figure over tasks.

    :param median: the middle one.
    :param p95: so much, or less, for 95 of 100.
    :param maximum: the largest.
    """

    median: float
    p95: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Take the spread of values; None of none.

        :param values: the values, in any order.
        """
        if not values:
            return None
        ordered = sorted(values)
        return cls(*(ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95, 1.0)))


@dataclass(frozen=True)
class ProcessSizing:
    """What the tasks of a process asked for and used over a cohort. None: nothing is known.

    :param name: name of the process.
    :param tasks: tasks that ran; those that a cache answered, or that have a GPU, do not count.
    :param vcpus: vCPUs that they asked for, the most.
    :param vcpus_used: the most that each used.
    :param memory: GiB that they asked for, the most.
    :param memory_used: the most that each used.
    :param seconds: how long they ran.
    :param instance_type: instance that most of them ran on.
    :param enough: the smallest instance that would have been enough for all, with headroom; None: no instance is.
    :param saved_usd: what the cohort would have saved on it at the same run time; negative: it would have cost more.
    :param is_tight: whether a task came close to its memory.
    """

    name: str
    tasks: int
    vcpus: float | None
    vcpus_used: Spread | None
    memory: float | None
    memory_used: Spread | None
    seconds: Spread | None
    instance_type: str | None
    enough: str | None
    saved_usd: float | None
    is_tight: bool

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object, an element of ``sizing.json``."""
        return asdict(self)


@dataclass(frozen=True)
class Sizing:
    """The sizing of a cohort.

    :param processes: one for each process, the largest saving first.
    :param gpu_tasks: tasks with a GPU, which are left out.
    :param headroom: share that is added to the most that was used.
    """

    processes: tuple[ProcessSizing, ...]
    gpu_tasks: int
    headroom: float

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object, ``sizing.json``."""
        processes = [process.to_json() for process in self.processes]
        return {"headroom": self.headroom, "gpu_tasks_left_out": self.gpu_tasks, "processes": processes}


def size_cohort(runs: Iterable[RunUsage], rates: Rates | None, headroom: float = HEADROOM) -> Sizing:
    """Put the tasks of a cohort together by process, and size each.

    :param runs: what the runs used.
    :param rates: USD per hour; None: nothing is known of what would be saved.
    :param headroom: share that is added to the most that was used; default a quarter.
    :return: the sizing.
    """
    by_process: dict[str, list[tuple[RunUsage, TaskUsage]]] = defaultdict(list)
    gpu_tasks = 0
    for run in runs:
        for task in run.tasks:
            if task.is_cached or task.started is None:
                continue
            if task.gpus:
                gpu_tasks += 1
            else:
                by_process[process_name(task.name, run.engine)].append((run, task))
    sized = [_size_process(name, tasks, rates, headroom) for name, tasks in by_process.items()]
    return Sizing(tuple(sorted(sized, key=lambda each: (-(each.saved_usd or 0.0), each.name))), gpu_tasks, headroom)


def memory_advice(had: float | None, used: float | None) -> str | None:
    """Say what a task gets that ran out of memory.

    :param had: GiB that it had.
    :param used: the most GiB that it was seen to use.
    :return: ``"used 31.8 of 32 GiB: give 48"``; None: what it had is not known.
    """
    if not had:
        return None
    more = math.ceil(max(had * _GROWTH, (used or 0.0) * (1 + HEADROOM)))
    seen = f"used {used:g} of {had:g} GiB" if used else f"had {had:g} GiB"
    return f"{seen}: give {more}"


def storage_advice(usage: RunUsage) -> str | None:
    """Say what a run gets whose file system was full.

    :param usage: what the run used.
    :return: ``"used 1,150 of 1,200 GiB: give 2,400, or storageType DYNAMIC"``; None: its storage is not known.
    """
    had = usage.storage_capacity
    if usage.storage_type != "STATIC" or not had:
        return None
    more = next(size for size in (2400 * step for step in range(1, 1000)) if size > had)
    seen = f"used {usage.storage_maximum:,.0f} of {had:,.0f} GiB" if usage.storage_maximum else f"had {had:,.0f} GiB"
    return f"{seen}: give {more:,}, or storageType DYNAMIC"


def _size_process(
    name: str, tasks: Sequence[tuple[RunUsage, TaskUsage]], rates: Rates | None, headroom: float
) -> ProcessSizing:
    vcpus_used = Spread.of([task.vcpus_maximum for _, task in tasks if task.vcpus_maximum])
    memory_used = Spread.of([task.memory_maximum for _, task in tasks if task.memory_maximum])
    instance_types = [task.instance_type for _, task in tasks if task.instance_type]
    enough = None
    if vcpus_used and memory_used:
        grown = 1 + headroom
        enough = smallest_instance(math.ceil(vcpus_used.maximum * grown), math.ceil(memory_used.maximum * grown))
    return ProcessSizing(
        name=name,
        tasks=len(tasks),
        vcpus=max((task.vcpus for _, task in tasks if task.vcpus), default=None),
        vcpus_used=vcpus_used,
        memory=max((task.memory for _, task in tasks if task.memory), default=None),
        memory_used=memory_used,
        seconds=Spread.of([task.seconds for _, task in tasks if task.seconds is not None]),
        instance_type=max(sorted(set(instance_types)), key=instance_types.count, default=None),
        enough=None if enough is None else enough.name,
        saved_usd=None if rates is None or enough is None else _saved(tasks, enough.name, rates),
        is_tight=any(
            (task.memory and (task.memory_maximum or 0) > TIGHT * task.memory) or _ran_out(task) for _, task in tasks
        ),
    )


def _ran_out(task: TaskUsage) -> bool:
    return task.failure_reason == "OUT_OF_MEMORY_ERROR" and task.status == RunStatus.FAILED


def _saved(tasks: Sequence[tuple[RunUsage, TaskUsage]], instance_type: str, rates: Rates) -> float | None:
    """Reckon what the tasks would have cost less on another instance; None: a rate or time is not known."""
    saved = []
    for run, task in tasks:
        cost, rate = task_cost(task, run, rates), rates.rate(run.region, instance_type)
        if cost is None or rate is None or task.seconds is None:
            return None
        saved.append(cost - max(MINIMUM_SECONDS, task.seconds) / 3600 * rate * extended_support(run))
    return round(math.fsum(saved), 6)
