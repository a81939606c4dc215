"""The wait for a run or a batch, free of I/O: when to look again, what a look means, and when to give up.

:func:`wait` is a flow: a generator of :mod:`commands <airflow_provider_omics.core.commands>` that returns the
:class:`~airflow_provider_omics.core.wait.events.WaitEvent` which ends the wait.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import fields, replace

from airflow_provider_omics.core.commands import (
    INFO,
    WARNING,
    Flow,
    Look,
    ReadManifest,
    Say,
    Sleep,
    id_reused,
)
from airflow_provider_omics.core.errors import NotFound, ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.cancel import cancel
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.patience import Patience
from airflow_provider_omics.core.wait.plan import WaitPlan

JITTER = 0.1
"""Part of the interval by which looks are spread, so that a thousand waits begun together do not stay in step."""

MANIFEST_LOOKS = 5
"""Looks at the manifest of a vanished run, over more than a minute, before it counts as not to be read."""

SECOND_LOOK = 5.0
"""Seconds before "not found" or "access denied" is believed: both can be false for a moment after a change."""

LIST_LAG = 10.0
"""Seconds that a started run may be missing from lists; one that lacks a part is read again after it."""

LARGE_BATCH = 100
"""Runs beyond which the counts of a batch change at every look."""

PROGRESS_INTERVAL = 60.0
"""Seconds between two lines of progress of such a batch, while its status stays the same."""


def wait(plan: WaitPlan, *, spread: Callable[[], float] = random.random) -> Flow[WaitEvent]:
    """Wait for a run or a batch until it has ended or a limit is reached.

    :param plan: the run or batch, and the limits.
    :param spread: draws the jitter, a number from 0 to 1.
    :return: a flow, which returns the event that ends the wait.
    """
    last: Snapshot = plan.unseen()
    said: str | None = None
    said_at = 0.0
    warned: str | None = None
    doubted_since: float | None = None
    patience = trouble = Patience(plan.patience, plan.poll_interval)
    while True:
        answer = yield from Look(plan.kind, plan.id)
        seen, now = answer.value, answer.now
        if not isinstance(seen, ServiceError) and not plan.is_another(seen):
            is_due = (
                seen.status != last.status
                or isinstance(seen, RunSnapshot)
                or seen.total_runs <= LARGE_BATCH
                or now - said_at >= PROGRESS_INTERVAL
            )
            doubted_since, trouble, last = None, patience, seen
            plan = replace(plan, uuid=plan.uuid or seen.uuid)
            line = _line(seen)
            if line != said and is_due:
                said, said_at = line, now
                is_news = not seen.is_known_status and seen.status != warned
                yield from Say(WARNING if is_news else INFO, line, seen)
                warned = seen.status if is_news else warned
            limit = passed_limit(plan, seen, now)
            if seen.phase is not Phase.ACTIVE:
                return _ended(plan, seen, limit)
            if limit:
                return (yield from _time_out(plan, seen, limit))
            yield from Sleep(_pause(plan, seen, now, plan.poll_interval, spread()))
            continue

        error = seen if isinstance(seen, ServiceError) else id_reused()
        if not isinstance(error, Unavailable):
            if doubted_since is not None:
                return (yield from _gone(plan, last, error, now - doubted_since))
            doubted_since = now
            yield from Say(WARNING, f"{error}; looking once more before this is believed")
            yield from Sleep(SECOND_LOOK)
            continue
        trouble = trouble.failed(now)
        if trouble.failures == 1:
            yield from Say(WARNING, f"{error}; trying again for up to {plan.patience:.0f} s")
        if plan.deadline is not None and now >= plan.deadline:
            return (yield from _time_out(plan, last, "execution_timeout"))
        if trouble.is_over(now):
            return WaitEvent(Outcome.LOST_CONTACT, last, error=str(error), seconds=trouble.spent(now))
        yield from Sleep(_pause(plan, last, now, trouble.pause, spread()))


def passed_limit(plan: WaitPlan, snapshot: Snapshot, now: float) -> str | None:
    """Find the time limit that a run or batch has passed while still going.

    :param plan: the limits.
    :param snapshot: the run or batch as seen last.
    :param now: seconds since the epoch.
    :return: ``"execution_timeout"``, ``"run_timeout"`` or None.
    """
    return next((name for name, moment in plan.limits(snapshot).items() if now >= moment), None)


def _time_out(plan: WaitPlan, last: Snapshot, limit: str) -> Flow[WaitEvent]:
    if not plan.cancel:
        yield from Say(WARNING, f"{limit} passed; {plan.kind} {plan.id} is left going, as cancel_on_kill is off")
        return WaitEvent(Outcome.TIMED_OUT, last, limit=limit)
    yield from Say(WARNING, f"{limit} passed; cancelling {plan.kind} {plan.id}")
    left = yield from cancel(plan)
    if isinstance(left, NotFound):
        return (yield from _gone(plan, last, left))
    if left is not None and left.phase is not Phase.ACTIVE:
        return _ended(plan, left, limit)
    return WaitEvent(Outcome.TIMED_OUT, last, limit=limit, cancelled=left is None)


def _ended(plan: WaitPlan, ended: Snapshot, limit: str | None) -> WaitEvent:
    """Make the event of an end, or of a time-out where our own cancel has brought the end.

    A triggerer may die between the cancel at a limit and its event, and the one that takes the wait up finds the end
    only. Somebody else's cancel that nobody saw before the limit looks the same: the limit would have ended it anyway.
    """
    if limit is not None and plan.cancel and ended.phase is Phase.CANCELLED:
        return WaitEvent(Outcome.TIMED_OUT, ended, limit=limit, cancelled=True)
    return WaitEvent(Outcome.ENDED, ended)


def _gone(plan: WaitPlan, last: Snapshot, error: ServiceError, seconds: float = 0.0) -> Flow[WaitEvent]:
    if not isinstance(error, NotFound):
        return WaitEvent(Outcome.REFUSED, last, error=str(error), seconds=seconds)
    text = str(error)
    if plan.kind == "run":
        manifest = yield from read_manifest(plan.id, plan.uuid, plan.deadline)
        if isinstance(manifest, RunSnapshot):
            yield from Say(WARNING, f"The record of run {plan.id} is gone; its manifest says {manifest.status}")
            return WaitEvent(Outcome.ENDED, _completed(manifest, last))
        if manifest is not None:
            text += f"; its manifest could not be read: {manifest}"
    return WaitEvent(Outcome.VANISHED, last, error=text)


def read_manifest(run_id: str, uuid: str | None, until: float | None = None) -> Flow[RunSnapshot | ServiceError | None]:
    """Read the end of a run whose record is gone: no other source has it, so trouble is tolerated for a few looks.

    :param run_id: id of the run.
    :param uuid: its uuid; None where unknown.
    :param until: no look comes after this moment, in seconds since the epoch, but for the first; None: no limit.
    :return: the run with its final status; None: its manifest is silent; the error that kept it from being read.
    """
    trouble = Patience(math.inf, SECOND_LOOK)
    while True:
        answer = yield from ReadManifest(run_id, uuid)
        if not isinstance(answer.value, Unavailable):
            return answer.value
        trouble = trouble.failed(answer.now)
        if trouble.failures == MANIFEST_LOOKS or (until is not None and answer.now + trouble.pause > until):
            return answer.value
        yield from Sleep(trouble.pause)


def _completed(ended: RunSnapshot, last: Snapshot) -> RunSnapshot:
    """Fill the fields that a manifest lacks (the output URI, for one) from the last look at the same run."""
    silent = [f.name for f in fields(ended) if getattr(ended, f.name) is None]
    return replace(ended, **{name: getattr(last, name) for name in silent})


def _line(seen: Snapshot) -> str:
    text = f"Batch {seen.id}: {seen.progress}" if isinstance(seen, BatchSnapshot) else f"Run {seen.id}: {seen.status}"
    return text if seen.is_known_status else f"{text} (a status unknown to this version: treated as still going)"


def _pause(plan: WaitPlan, last: Snapshot, now: float, seconds: float, spread: float) -> float:
    """Spread an interval by :data:`JITTER`, and cut it at the next limit."""
    ahead = (moment - now for moment in plan.limits(last).values() if moment > now)
    return min([seconds * (1 + JITTER * (2 * spread - 1)), *ahead])
