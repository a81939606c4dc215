"""The plan of a wait: its run or batch, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN

MARGIN = 0.1
"""Part of ``execution_timeout`` kept free, so that the cancel and the typed error come before Airflow's own end."""

LEAST_GRACE = 5.0
"""Seconds for the cancel, however short the timeout is."""

LONGEST_MARGIN = 60.0
"""Seconds that are enough for it, however long the timeout is."""


@dataclass(frozen=True)
class WaitPlan:
    """The run or batch to wait for, and the limits of the wait.

    :param kind: ``"run"`` or ``"batch"``.
    :param id: its id.
    :param uuid: its uuid; an answer with another uuid is another run under a reused id. None: that of the first look.
    :param poll_interval: seconds between two looks.
    :param deadline: moment (seconds since the epoch) at which the wait ends with TIMED_OUT; None: never.
    :param run_timeout: seconds that a run may take from its own startTime; queueing before it is free. None: no limit.
    :param patience: seconds for which failing looks are tolerated before contact counts as lost.
    :param cancel: whether to cancel the run or batch when a time limit passes.
    :param grace: seconds that this cancel may take; Airflow 2 ends a task itself soon after the deadline.
    """

    kind: str
    id: str
    uuid: str | None = None
    poll_interval: float = 30.0
    deadline: float | None = None
    run_timeout: float | None = None
    patience: float = 3 * 3600.0
    cancel: bool = True
    grace: float = 60.0

    def limits(self, seen: Any) -> dict[str, float]:
        """Moments at which the wait ends, in seconds since the epoch, by the name of the limit that sets them.

        :param seen: the run or batch as seen last: a run that has not started has no ``run_timeout`` yet.
        """
        limits = {} if self.deadline is None else {"execution_timeout": self.deadline}
        started: datetime | None = getattr(seen, "start_time", None)
        if self.run_timeout is not None and started is not None:
            limits["run_timeout"] = started.timestamp() + self.run_timeout
        return limits

    def is_another(self, seen: Snapshot) -> bool:
        """Whether an answer is about another run or batch under the same id."""
        return bool(self.uuid and seen.uuid and self.uuid != seen.uuid)

    def unseen(self) -> Snapshot:
        """Snapshot of a run or batch that nobody has seen: its status is UNKNOWN."""
        cls = RunSnapshot if self.kind == "run" else BatchSnapshot
        return cls(self.id, UNKNOWN, self.uuid)


def time_limits(execution_timeout: timedelta | None, started: float) -> dict[str, float]:
    """End a wait early enough that Airflow's own timeout does not come first.

    :param execution_timeout: the task's; None: no limit.
    :param started: when the task started, in seconds since the epoch.
    :return: ``deadline``, in seconds since the epoch, and ``grace``: half of the time from then to Airflow's own end,
        for a cancel; the other half is for Airflow to take up the task. Empty without a limit.
    """
    if execution_timeout is None:
        return {}
    seconds = execution_timeout.total_seconds()
    margin = min(seconds * MARGIN, LONGEST_MARGIN)
    return {"deadline": started + seconds - margin, "grace": max(margin / 2, LEAST_GRACE)}
