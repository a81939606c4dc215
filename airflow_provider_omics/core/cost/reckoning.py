"""What a run cost: its tasks and its storage. What cannot be known is named, and never counted as nought.

Sources: user guide, "Monitoring runs" and "Run storage types"; aws-healthomics-tools 0.14, from which this reckoning
differs where :class:`RunCost` says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from airflow_provider_omics.core.cost.rates import DYNAMIC_STORAGE, STATIC_STORAGE, Rates
from airflow_provider_omics.core.cost.usage import RunUsage, TaskUsage

MINIMUM_SECONDS = 60.0
"""A task that ran costs a minute at least."""
FREE_SCRATCH = 16.0
"""GiB of a task's own scratch volume that cost nothing (user guide, "Task ephemeral storage")."""
EXTENDED_SUPPORT = {"22.04": date(2026, 11, 30), "23.10": date(2027, 11, 30)}
"""Release of Nextflow -> first day of its extended support (user guide, "Nextflow version retention policy")."""
NO_MANIFEST = "no manifest"
"""The reason of a run that has none (yet): its logLevel is OFF, or its log was deleted."""
NO_MANIFEST_YET = "no manifest yet"
"""The reason of a run that was looked at so soon after its end that its manifest may still come."""
LEFT_OUT = "CloudWatch Logs, S3, data transfer"
"""Costs that other services bill, and no figure here holds."""

_SMALLEST_STATIC = 1200
_STATIC_STEP = 2400


@dataclass(frozen=True)
class RunCost:
    """What a run cost, in USD.

    It differs from ``run_analyzer``: a task that a cache answered costs nothing (there: a minute), extended support
    counts (there: not), and the storage of a DYNAMIC run without an average is not known (there: nought).

    :param usd: the sum; None: a part of it is not known.
    :param tasks_usd: its tasks; None: a part is not known.
    :param storage_usd: its storage; None: not known.
    :param at_most_usd: a bound where only the storage is not known, from the most that it used; None: there is none.
    :param unknown: each part that is not known, with the reason.
    """

    usd: float | None
    tasks_usd: float | None
    storage_usd: float | None
    at_most_usd: float | None = None
    unknown: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Make the members of a sample's record; a bound and what is unknown stand there only if there is any."""
        values: dict[str, Any] = {
            "cost_usd": self.usd,
            "cost_tasks_usd": self.tasks_usd,
            "cost_storage_usd": self.storage_usd,
        }
        if self.at_most_usd is not None:
            values["cost_at_most_usd"] = self.at_most_usd
        if self.unknown:
            values["cost_unknown"] = list(self.unknown)
        return values


def run_cost(usage: RunUsage | None, rates: Rates) -> RunCost:
    """Reckon what a run cost, whatever became of it.

    :param usage: what it used; None: it has no manifest.
    :param rates: USD per hour.
    :return: the cost.
    """
    if usage is None:
        return RunCost(None, None, None, unknown=(NO_MANIFEST,))
    if usage.workflow_type == "READY2RUN":
        return _flat(usage, rates)
    if usage.started is None:
        return RunCost(0.0, 0.0, 0.0)  # ending in PENDING or STARTING is free
    factor = extended_support(usage)
    unknown: list[str] = []
    costs = [_task_cost(task, usage.region, rates, factor, unknown) for task in usage.tasks]
    tasks_usd = None if unknown else _usd(costs)
    storage_usd, at_most = _storage_cost(usage, rates, unknown)
    usd = None if tasks_usd is None or storage_usd is None else _usd([tasks_usd, storage_usd])
    at_most_usd = None if usd is not None or tasks_usd is None or at_most is None else _usd([tasks_usd, at_most])
    return RunCost(usd, tasks_usd, storage_usd, at_most_usd, tuple(dict.fromkeys(unknown)))


def task_cost(task: TaskUsage, usage: RunUsage, rates: Rates) -> float | None:
    """Reckon what one task of a run cost.

    :param task: what the task used.
    :param usage: what its run used.
    :param rates: USD per hour.
    :return: USD; None: not known.
    """
    unknown: list[str] = []
    usd = _task_cost(task, usage.region, rates, extended_support(usage), unknown)
    return None if unknown else usd


def extended_support(usage: RunUsage) -> float:
    """Find the factor by which the tasks of a run cost more, as its release of Nextflow is no longer supported.

    AWS announces twice and later four times the rate; four is assumed from a year after the first day.

    :param usage: what the run used.
    :return: 1, 2 or 4.
    """
    release = ".".join((usage.engine_version or "").removeprefix("v").split(".")[:2])
    first = EXTENDED_SUPPORT.get(release)
    if first is None or usage.started is None or usage.started.date() < first:
        return 1.0
    return 2.0 if usage.started.date() < first.replace(year=first.year + 1) else 4.0


def static_storage(capacity: float | None) -> int:
    """Round a capacity of STATIC storage as the service does: 1,200 GiB, or multiples of 2,400.

    :param capacity: GiB that were asked for; None: none, which means 1,200.
    :return: GiB. Source: user guide, "Run storage types".
    """
    if not capacity or capacity <= _SMALLEST_STATIC:
        return _SMALLEST_STATIC
    return math.ceil(capacity / _STATIC_STEP) * _STATIC_STEP


def _task_cost(task: TaskUsage, region: str, rates: Rates, factor: float, unknown: list[str]) -> float:
    if task.is_cached or task.started is None:
        return 0.0
    seconds = task.seconds
    rate = rates.rate(region, task.instance_type) if task.instance_type else None
    if seconds is None:
        unknown.append("a task without its end")
    if rate is None:
        unknown.append(f"no price of {task.instance_type or 'a task without an instance type'} in {region}")
    if (task.scratch or 0) > FREE_SCRATCH and not task.gpus:
        unknown.append(f"scratch above {FREE_SCRATCH:g} GiB, which has no known price")
    return 0.0 if seconds is None or rate is None else max(MINIMUM_SECONDS, seconds) / 3600 * rate * factor


def _storage_cost(usage: RunUsage, rates: Rates, unknown: list[str]) -> tuple[float | None, float | None]:
    """Give the cost of the storage, and a bound where it is not known."""
    is_dynamic = usage.storage_type == "DYNAMIC"
    resource_type = DYNAMIC_STORAGE if is_dynamic else STATIC_STORAGE
    rate, seconds = rates.rate(usage.region, resource_type), usage.seconds
    if usage.storage_type not in ("STATIC", "DYNAMIC"):
        unknown.append("no storage type")
    elif rate is None:
        unknown.append(f"no price of {resource_type} in {usage.region}")
    elif seconds is None:
        unknown.append("a run without its end")
    elif not is_dynamic:
        return _usd([static_storage(usage.storage_capacity) * seconds / 3600 * rate]), None
    elif usage.storage_average:
        return _usd([usage.storage_average * seconds / 3600 * rate]), None
    else:
        unknown.append("no average of DYNAMIC storage, which runs under two hours do not have")
        return None, None if not usage.storage_maximum else usage.storage_maximum * seconds / 3600 * rate
    return None, None


def _flat(usage: RunUsage, rates: Rates) -> RunCost:
    name = f"READY2RUN {usage.workflow_id}"
    rate = rates.rate(usage.region, name)
    if usage.started is None:
        return RunCost(0.0, 0.0, 0.0)
    if rate is None:
        return RunCost(None, None, None, unknown=(f"no price of {name} in {usage.region}",))
    return RunCost(_usd([rate]), _usd([rate]), 0.0)


def _usd(parts: Iterable[float]) -> float:
    """Add up to a millionth of a dollar, so that a sum of sums is the sum."""
    return round(math.fsum(parts), 6)
