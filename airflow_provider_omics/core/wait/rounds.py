"""Decisions of the poller, free of I/O: the pace of its calls, the cheaper way of a round, the use of a listed run."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import replace

from airflow_provider_omics.core.snapshots import ListedRun, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import ACTIVE_RUN_STATUSES
from airflow_provider_omics.core.wait.flow import WaitPlan

CONFIRM_AFTER = 1800.0
"""Seconds after which GetRun looks at a run even though ListRuns has shown it as going ever since."""

CONFIRM_SHARE = 0.25
"""Part of the budget that such looks may take. They are the least urgent: ListRuns has shown the run as going."""

FULL_RECOVERY = 60.0
"""Seconds in which a budget that was throttled to nothing is whole again. With 300, one stray refusal in
fifty calls held it at a quarter of its five calls a second."""

FORGET_COST = 900.0
"""Seconds after which a round that was too expensive by ListRuns is tried again: others' runs may have ended."""

REFUSED_FOR = 600.0
"""Seconds for which ListRuns is left alone after it was refused."""

SAME_CREATION = 1.0
"""Seconds by which the creation times of GetRun and ListRuns may differ: nothing says that both are as exact. An id is
free again only after its run has ended and was deleted, which takes longer."""

LATE = 2.0
"""Seconds by which a look may be late before its log says so; the pace of the calls alone can cost that."""

TOGETHER = 0.8
"""Seconds in which calls that wait for the budget gather, to be made together: made one by one, 0.2 s apart, they take
nearly twice the CPU time, as the process is woken, and its data brought back into the caches, for each. Less
than the second's worth that the budget holds, so that an alarm that is late costs no call."""

LONGEST_PAUSE = 5.0
"""Seconds after which the budget is asked again in any case: a throttled pace recovers meanwhile."""

SHORTEST_PAUSE = 0.001
"""Seconds of the shortest pause: after rounding, a shorter one may not move a clock."""


class Budget:
    """The calls that all waits of a process may make in one Region; safe to use from several threads.

    HealthOmics allows an account 10 calls a second of GetRun, ListRuns and GetBatch each (user guide, "Service
    quotas"). A second's worth of calls may be made at once. A refusal halves the pace, which then recovers slowly.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: dict[object, float] = {}
        self._pace = math.inf
        self._saved = math.inf
        self._at: float | None = None
        self._halved_at = -math.inf

    def join(self, owner: object, calls_per_second: float) -> None:
        """Count a user of the budget in; where connections differ, the smallest limit holds for all.

        :param owner: who, for :meth:`leave`.
        :param calls_per_second: its limit, above 0.
        """
        with self._lock:
            self._limits[owner] = calls_per_second

    def leave(self, owner: object) -> None:
        """Count a user of the budget out."""
        with self._lock:
            self._limits.pop(owner, None)

    @property
    def limit(self) -> float:
        """Calls a second when nothing is throttled."""
        return min(self._limits.values(), default=5.0)

    def take(self, now: float) -> float:
        """Take one call.

        :param now: seconds on a clock that never goes back.
        :return: 0 when the call may be made, else the seconds after which to ask again; then there is room for several.
        """
        with self._lock:
            delay = self._delay(now)
            if not delay:
                self._saved -= 1.0
            return delay

    def delay(self, now: float) -> float:
        """Compute the pause before the next call without taking it; arguments and answer are those of :meth:`take`."""
        with self._lock:
            return self._delay(now)

    def throttled(self, now: float) -> None:
        """Note a refusal for too many calls. Calls that were under way together are refused together: once a second.

        :param now: as for :meth:`take`.
        """
        with self._lock:
            self._refill(now)
            if now - self._halved_at >= 1.0:
                self._halved_at = now
                self._pace = max(self._pace / 2, self.limit / 32)
                self._saved = min(self._saved, 0.0)

    def _delay(self, now: float) -> float:
        self._refill(now)
        if self._saved >= 1.0:
            return 0.0
        wanted = max(1.0, self._pace * TOGETHER)
        return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, (wanted - self._saved) / self._pace))

    def _refill(self, now: float) -> None:
        passed = max(0.0, now - (now if self._at is None else self._at))
        self._at = now
        limit = self.limit
        self._pace = min(limit, self._pace + limit * passed / FULL_RECOVERY)
        self._saved = min(max(1.0, limit), self._saved + passed * self._pace)


class ListingCost:
    """The cost of a round by ListRuns in pages, as the last one took them."""

    def __init__(self) -> None:
        self._pages: int | None = None
        self._measured_at = 0.0
        self._refused_at = -math.inf

    def is_worth(self, looks: int, now: float) -> bool:
        """Whether a round costs less by ListRuns than by one GetRun each.

        :param looks: runs to look at.
        :param now: seconds on a clock that never goes back.
        """
        if now - self._refused_at < REFUSED_FOR:
            return False
        if self._pages is None or (self._pages >= looks and now - self._measured_at >= FORGET_COST):
            # Each active status takes a page, so a round rarely costs less than that.
            return looks > len(ACTIVE_RUN_STATUSES)
        return looks > self._pages

    def measured(self, pages: int, now: float) -> None:
        """Note the pages of a round; one that was given up as too expensive would have taken more."""
        self._pages, self._measured_at = pages, now

    def refused(self, now: float) -> None:
        """Note that ListRuns was refused: AccessDenied, or a filter that the service does not take."""
        self._refused_at = now


def is_same_run(seen: RunSnapshot, listed: ListedRun) -> bool:
    """Whether a listed run is the one that GetRun has shown: ids are used again after deletion.

    :param seen: from GetRun.
    :param listed: the run listed under the same id.
    """
    if seen.creation_time is None or listed.creation_time is None:
        return False
    return abs((seen.creation_time - listed.creation_time).total_seconds()) < SAME_CREATION


def brought_up_to_date(seen: RunSnapshot, listed: ListedRun) -> RunSnapshot:
    """Bring the last full snapshot up to date with a list.

    :param seen: from GetRun.
    :param listed: the same run in the list.
    """
    return replace(seen, status=listed.status, start_time=listed.start_time or seen.start_time)


def statuses_to_list(known: Iterable[str | None]) -> tuple[str, ...]:
    """List the statuses in which runs that were still going may be now, in the order of a run's life.

    Listed in this order, a run that moves meanwhile is seen twice, never missed.

    :param known: the last status of each, None where unknown.
    :return: as AWS spells them; a run does not go back, so the list begins with the earliest.
    """
    order = [status.value for status in ACTIVE_RUN_STATUSES]
    earliest = min((order.index(status) if status in order else 0 for status in known), default=0)
    return tuple(order[earliest:])


def limit_of(plan: WaitPlan, last: Snapshot | ListedRun | None) -> float:
    """Find the moment at which a wait must get its look, however busy the poller is.

    :param plan: its limits.
    :param last: the answer that it got last.
    :return: seconds since the epoch; infinity without a limit.
    """
    return min(plan.limits(last).values(), default=math.inf)


def stretched(interval: float, since_last: float, late: float, waits: int, calls_per_second: float) -> str | None:
    """Write the line for a wait that is looked at less often than it asked for; None while it is in time.

    :param interval: its poll interval, in seconds.
    :param since_last: seconds since the look before.
    :param late: seconds by which this look was late.
    :param waits: how many share the budget in this process.
    :param calls_per_second: the budget.
    """
    if late <= LATE + interval / 2:
        return None
    return (
        f"{waits} waits share {calls_per_second:g} calls a second: this one is looked at every {since_last:.0f} s or "
        f"so, not every {interval:g} s. calls_per_second in the connection's service_config changes the budget"
    )
