"""What the processes of a workflow used of what they asked for, and what would have been enough."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter, defaultdict
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
RAN_OUT, FULL = "OUT_OF_MEMORY_ERROR", "FILE_SYSTEM_OUT_OF_SPACE"
"""AWS's codes of what was too small (user guide, "Run failure reasons")."""
SHOWN_PROCESSES = 20
"""Processes in a log, and on a page, the largest saving first."""
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

    def lines(self) -> list[str]:
        """Say for a log which processes would have done with less, or were close to their limit."""
        lines = []
        for each in self.processes:
            if each.is_tight and each.memory:
                used = f"used up to {each.memory_used.maximum:.3g} of " if each.memory_used else "had "
                lines.append(f"{each.name} {used}{each.memory:g} GiB, and was close to its limit, or over it")
            elif each.saved_usd and each.saved_usd > 0:
                lines.append(f"{each.name} would have done on {each.enough}: {each.saved_usd:,.2f} USD less")
        if self.gpu_tasks:
            lines.append(f"{self.gpu_tasks:,} tasks with a GPU are left out")
        return lines[:SHOWN_PROCESSES]

    def to_json(self) -> dict[str, Any]:
        """Write it as a JSON object, ``sizing.json``."""
        processes = [process.to_json() for process in self.processes]
        return {"headroom": self.headroom, "gpu_tasks_left_out": self.gpu_tasks, "processes": processes}


def size_cohort(runs: Iterable[RunUsage], rates: Rates | None, headroom: float = HEADROOM) -> Sizing:
    """Put the tasks of a cohort together by process, and size each.

    :param runs: what the runs used; they are read once, and a task takes three numbers in memory.
    :param rates: USD per hour; None: nothing is known of what would be saved.
    :param headroom: share that is added to the most that was used; default a quarter.
    :return: the sizing.
    """
    by_process: dict[str, _Process] = {}
    gpu_tasks = 0
    for run in runs:
        for task in run.tasks:
            if task.is_cached or task.started is None:
                continue
            if task.gpus:
                gpu_tasks += 1
            else:
                name = process_name(task.name, run.engine)
                by_process.setdefault(name, _Process(name)).add(run, task, rates)
    sized = [process.sized(rates, headroom) for process in by_process.values()]
    return Sizing(tuple(sorted(sized, key=lambda each: (-(each.saved_usd or 0.0), each.name))), gpu_tasks, headroom)


def size_advice(usage: RunUsage, failure_code: str | None) -> str | None:
    """Say what was too small in a run that failed, and what to give.

    :param usage: what the run used.
    :param failure_code: AWS's code that decides.
    :return: ``"ALIGN (s1) used 31.8 of 32 GiB: give 48"``; None: nothing was too small, or it is not known what.
    """
    if failure_code == FULL:
        advice = storage_advice(usage)
        return None if advice is None else f"its storage {advice}"
    if failure_code != RAN_OUT and not any(_ran_out(task) for task in usage.tasks):
        return None
    failed = [task for task in usage.tasks if task.status == RunStatus.FAILED]
    for task in sorted(failed, key=lambda task: not _ran_out(task)):
        advice = memory_advice(task.memory, task.memory_maximum)
        if advice is not None:
            return f"{task.name} {advice}"
    return None


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


class _Process:
    """The tasks of a process, as they come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tasks = 0
        self.is_tight = False
        self.vcpus: float | None = None
        self.memory: float | None = None
        self.vcpus_used, self.memory_used, self.seconds = array("d"), array("d"), array("d")
        self.instances: Counter[str] = Counter()
        self.cost: float | None = 0.0
        """USD of all tasks; None: that of one is not known."""
        self.hours: defaultdict[str, float] = defaultdict(float)
        """Region -> hours that are billed, at a rate that extended support multiplies."""

    def add(self, run: RunUsage, task: TaskUsage, rates: Rates | None) -> None:
        self.tasks += 1
        self.vcpus = max(self.vcpus or 0.0, task.vcpus or 0.0) or None
        self.memory = max(self.memory or 0.0, task.memory or 0.0) or None
        for value, values in (
            (task.vcpus_maximum, self.vcpus_used),
            (task.memory_maximum, self.memory_used),
            (task.seconds, self.seconds),
        ):
            if value:
                values.append(value)
        if task.instance_type:
            self.instances[task.instance_type] += 1
        is_near = bool(task.memory) and (task.memory_maximum or 0) > TIGHT * (task.memory or 0)
        self.is_tight = self.is_tight or is_near or _ran_out(task)
        cost = None if rates is None else task_cost(task, run, rates)
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        self.hours[run.region] += max(MINIMUM_SECONDS, task.seconds or 0.0) / 3600 * extended_support(run)

    def sized(self, rates: Rates | None, headroom: float) -> ProcessSizing:
        vcpus_used, memory_used = Spread.of(self.vcpus_used), Spread.of(self.memory_used)
        enough = None
        if vcpus_used and memory_used:
            grown = 1 + headroom
            enough = smallest_instance(math.ceil(vcpus_used.maximum * grown), math.ceil(memory_used.maximum * grown))
        most = max(sorted(self.instances), key=lambda name: self.instances[name], default=None)
        return ProcessSizing(
            name=self.name,
            tasks=self.tasks,
            vcpus=self.vcpus,
            vcpus_used=vcpus_used,
            memory=self.memory,
            memory_used=memory_used,
            seconds=Spread.of(self.seconds),
            instance_type=most,
            enough=None if enough is None else enough.name,
            saved_usd=None if rates is None or enough is None else self._saved(enough.name, rates),
            is_tight=self.is_tight,
        )

    def _saved(self, instance_type: str, rates: Rates) -> float | None:
        """Reckon what the tasks would have cost less on another instance; None: a rate or time is not known."""
        would = []
        for region, hours in self.hours.items():
            rate = rates.rate(region, instance_type)
            if rate is None:
                return None
            would.append(hours * rate)
        return None if self.cost is None else round(self.cost - math.fsum(would), 6)


def _ran_out(task: TaskUsage) -> bool:
    return task.failure_reason == RAN_OUT and task.status == RunStatus.FAILED
