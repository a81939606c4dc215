"""Why a run may be waiting in PENDING, as one line for the task log; free of I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_omics.core.snapshots import RunSnapshot

_QUOTAS = {"DYNAMIC": (50, "L-BE38079A"), "STATIC": (10, "L-A30FD31B")}
# Source: user guide, "Service quotas": concurrent active runs, by storage type; defaults, which can be raised.

_CAPS = ("maxRuns", "maxCpus", "maxGpus")
# Over these, runs of the group queue; over maxDuration a run fails. Source: user guide, "Creating run groups".


def queueing_seconds(snapshot: RunSnapshot, now: float) -> float:
    """Count the seconds that a run has been PENDING.

    :param snapshot: the run.
    :param now: seconds since the epoch.
    :return: seconds; 0 for a run that is not PENDING.
    """
    if snapshot.status != "PENDING" or snapshot.creation_time is None:
        return 0.0
    return max(0.0, now - snapshot.creation_time.timestamp())


def queueing_line(
    snapshot: RunSnapshot,
    seconds: float,
    active: Mapping[str, int],
    *,
    is_complete: bool,
    group: Mapping[str, Any] | None = None,
    active_in_group: int = 0,
) -> str:
    """Write the line with the reasons why a run may be PENDING for so long.

    :param snapshot: the run.
    :param seconds: how long it has been PENDING.
    :param active: active runs (STARTING, RUNNING, STOPPING) of the account in this Region, by storage type.
    :param is_complete: whether they were counted to the end.
    :param group: answer of GetRunGroup; None for a run without a group, or one that could not be read.
    :param active_in_group: active runs of the group.
    :return: one line.
    """
    more = "" if is_complete else "at least "
    counts = ", ".join(
        f"{more}{active.get(kind, 0)} with {kind} storage (quota {code}, {quota} by default)"
        for kind, (quota, code) in _QUOTAS.items()
    )
    line = (
        f"Run {snapshot.id} has been PENDING for {seconds / 60:.0f} minutes. "
        f"Active runs in this account and Region: {counts}"
    )
    if snapshot.run_group_id:
        line += f". Its run group {snapshot.run_group_id}"
        if group is None:
            line += " could not be read"
        else:
            caps = ", ".join(f"{name} {group[name]}" for name in _CAPS if group.get(name))
            line += f" has {active_in_group} active runs; its caps: {caps or 'none'}"
    return line
