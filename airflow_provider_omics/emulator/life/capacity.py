"""Room for runs: the account's concurrency quotas and the caps of run groups.

A run over a quota is not refused: it waits in PENDING (User Guide, "Service quotas" and "Run groups").
"""

from __future__ import annotations

import heapq
import math

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.life.records import Run, RunGroup
from airflow_provider_omics.emulator.life.region import Region


def has_room(region: Region, run: Run) -> bool:
    """Return whether a run that is ready may start now.

    It may not overtake the runs that wait in its queue.
    """
    queue = region.waiting.get(_queue_of(run))
    return not (queue and _head(region, queue)) and _has_place(region, run)


def wait(region: Region, run: Run) -> None:
    """Queue a run.

    Within a run group, and among the runs of none, the higher priority goes first, then the older run. A larger
    number is a higher priority (API text of StartRunBatch; that of StartRun says the contrary, "highest: 1").
    """
    heapq.heappush(region.waiting.setdefault(_queue_of(run), []), (-run.priority, run.sequence, run))


def next_waiting(region: Region) -> Run | None:
    """Take the next run that may start now from its queue; between queues the older run goes first."""
    best: tuple[int, list[tuple[int, int, Run]]] | None = None
    empty = []
    for key, queue in region.waiting.items():
        if not _head(region, queue):
            empty.append(key)
        elif (best is None or queue[0][1] < best[0]) and _has_place(region, queue[0][2]):
            best = (queue[0][1], queue)
    for key in empty:
        del region.waiting[key]
    return None if best is None else heapq.heappop(best[1])[2]


def occupy(region: Region, run: Run) -> None:
    """Count a run among those that take up room."""
    region.occupied[run.storage_type] += 1
    _count(run, 1)


def release(region: Region, run: Run) -> None:
    """Free the room of a run."""
    region.occupied[run.storage_type] -= 1
    _count(run, -1)


def _count(run: Run, change: int) -> None:
    group = run.group
    if group is not None:
        group.active_runs += change
        group.active_cpus += change * run.rule.cpus
        group.active_gpus += change * run.rule.gpus


def _queue_of(run: Run) -> tuple[str, str | None]:
    return run.storage_type, None if run.group is None else run.group.id


def _head(region: Region, queue: list[tuple[int, int, Run]]) -> bool:
    while queue:
        run = queue[0][2]
        if run.status == statuses.PENDING and region.runs.get(run.id) is run:
            return True
        heapq.heappop(queue)
    return False


def _has_place(region: Region, run: Run) -> bool:
    limits = region.limits
    limit = limits.concurrent_static_runs if run.storage_type == "STATIC" else limits.concurrent_dynamic_runs
    return region.occupied[run.storage_type] < limit and (run.group is None or _fits_group(run.group, run))


def _fits_group(group: RunGroup, run: Run) -> bool:
    caps: dict[str, int] = group.settings
    # AWS queues the tasks, not the runs, when a group's CPUs or GPUs are used up: here a run takes what its largest
    # task takes. A run that alone is over the cap waits for ever, as its task would.
    return (
        group.active_runs + 1 <= caps.get("maxRuns", math.inf)
        and group.active_cpus + run.rule.cpus <= caps.get("maxCpus", math.inf)
        and group.active_gpus + run.rule.gpus <= caps.get("maxGpus", math.inf)
    )
