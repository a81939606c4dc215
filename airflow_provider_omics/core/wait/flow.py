"""When to look again, and when to give up: the wait for a run or a batch, free of I/O.

:func:`wait` is a generator. It yields what it wants done (a :data:`Command`) and is sent an :class:`Answer`; it returns
the :class:`~airflow_provider_omics.core.wait.events.WaitEvent` that ends the wait. Two short drivers run it: one sleeps
in a worker, one awaits in a triggerer. Neither decides anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import fields, replace
from datetime import datetime

from airflow_provider_omics.core.commands import (
    INFO,
    WARNING,
    Answer,
    Command,
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
from airflow_provider_omics.core.wait.plan import WaitPlan

JITTER = 0.1
"""Part of the interval by which looks are spread, so that a thousand waits begun together do not stay in step."""

LONGEST_BACK_OFF = 300.0
"""Seconds between looks while HealthOmics cannot be asked: long enough for it to recover, short enough to notice."""

MANIFEST_LOOKS = 5
"""Looks at the manifest of a vanished run, over more than a minute, before it counts as not to be read."""

SECOND_LOOK = 5.0
"""Seconds before "not found" or "access denied" is believed: both can be false for a moment after a change."""

LIST_LAG = 10.0
"""Seconds that a started run may be missing from lists; one that lacks what it should have is read again after it."""

LARGE_BATCH = 100
"""Runs beyond which the counts of a batch change at every look."""

PROGRESS_INTERVAL = 60.0
"""Seconds between two lines of progress of such a batch, while its status stays the same."""

Flow = Generator[Command, Answer, WaitEvent]


def wait(plan: WaitPlan, *, spread: Callable[[], float] = random.random) -> Flow:
    """Wait for a run or a batch until it has ended or a limit is reached.

    :param plan: what to wait for.
    :param spread: gives numbers from 0 to 1 for the jitter.
    :return: a generator of commands; its return value is the event that ends the wait.
    """
    last: Snapshot = plan.unseen()
    said: str | None = None
    said_at = 0.0
    warned: str | None = None
    doubted_since: float | None = None
    trouble_since: float | None = None
    failures = 0
    while True:
        answer = yield Look(plan.kind, plan.id)
        seen = answer.result
        if isinstance(seen, (RunSnapshot, BatchSnapshot)) and not plan.is_another(seen):
            is_due = seen.status != last.status or _is_small(seen) or answer.now - said_at >= PROGRESS_INTERVAL
            doubted_since, trouble_since, failures, last = None, None, 0, seen
            plan = replace(plan, uuid=plan.uuid or seen.uuid)
            line = _line(seen)
            if line != said and is_due:
                said, said_at = line, answer.now
                is_news = not seen.is_known_status and seen.status != warned
                yield Say(WARNING if is_news else INFO, line, seen)
                warned = seen.status if is_news else warned
            limit = passed_limit(plan, seen, answer.now)
            if seen.phase is not Phase.ACTIVE:
                return _ended(plan, seen, limit)
            if limit:
                return (yield from _time_out(plan, seen, limit))
            yield Sleep(_until_limit(plan, seen, answer.now, _spread(plan.poll_interval, spread)))
            continue

        error = seen if isinstance(seen, ServiceError) else id_reused()
        if not isinstance(error, Unavailable):
            if doubted_since is not None:
                return (yield from _gone(plan, last, error, answer.now - doubted_since))
            doubted_since = answer.now
            yield Say(WARNING, f"{error}; looking once more before this is believed")
            yield Sleep(SECOND_LOOK)
            continue
        failures += 1
        trouble_since = answer.now if trouble_since is None else trouble_since
        if failures == 1:
            yield Say(WARNING, f"{error}; going on for up to {plan.patience:.0f} s")
        if plan.deadline is not None and answer.now >= plan.deadline:
            return (yield from _time_out(plan, last, "execution_timeout"))
        if answer.now - trouble_since >= plan.patience:
            seconds = answer.now - trouble_since
            return WaitEvent(Outcome.LOST_CONTACT, last, error=str(error), seconds=seconds)
        back_off = min(plan.poll_interval * 2.0 ** min(failures - 1, 16), LONGEST_BACK_OFF)
        yield Sleep(_until_limit(plan, last, answer.now, _spread(back_off, spread)))


def passed_limit(plan: WaitPlan, snapshot: Snapshot, now: float) -> str | None:
    """Tell which time limit a run or batch has passed while still going.

    :param plan: the limits.
    :param snapshot: what was seen.
    :param now: seconds since the epoch.
    :return: ``"execution_timeout"``, ``"run_timeout"`` or None.
    """
    if plan.deadline is not None and now >= plan.deadline:
        return "execution_timeout"
    run_deadline = _run_deadline(plan, snapshot)
    if run_deadline is not None and now >= run_deadline:
        return "run_timeout"
    return None


def _time_out(plan: WaitPlan, last: Snapshot, limit: str) -> Flow:
    if not plan.cancel:
        yield Say(WARNING, f"{limit} passed; {plan.kind} {plan.id} is left going, as cancel_on_kill is off")
        return WaitEvent(Outcome.TIMED_OUT, last, limit=limit)
    yield Say(WARNING, f"{limit} passed; cancelling {plan.kind} {plan.id}")
    left = yield from cancel(plan)
    if isinstance(left, NotFound):
        return (yield from _gone(plan, last, left))
    if left is not None and left.phase is not Phase.ACTIVE:
        return _ended(plan, left, limit)
    return WaitEvent(Outcome.TIMED_OUT, last, limit=limit, cancelled=left is None)


def _ended(plan: WaitPlan, ended: Snapshot, limit: str | None) -> WaitEvent:
    """Tell of what has ended, and whether it is our own cancel that has ended it.

    A triggerer may die between the cancel at a limit and its event, and the one that takes the wait up finds the end
    only. Somebody else's cancel that nobody saw before the limit looks the same: the limit would have ended it anyway.
    """
    if limit is not None and plan.cancel and ended.phase is Phase.CANCELLED:
        return WaitEvent(Outcome.TIMED_OUT, ended, limit=limit, cancelled=True)
    return WaitEvent(Outcome.ENDED, ended)


def _gone(plan: WaitPlan, last: Snapshot, error: ServiceError, seconds: float = 0.0) -> Flow:
    if not isinstance(error, NotFound):
        return WaitEvent(Outcome.REFUSED, last, error=str(error), seconds=seconds)
    text = str(error)
    if plan.kind == "run":
        manifest = yield from read_manifest(plan.id, plan.uuid, plan.deadline)
        if isinstance(manifest, RunSnapshot):
            yield Say(WARNING, f"The record of run {plan.id} is gone; its manifest says {manifest.status}")
            return WaitEvent(Outcome.ENDED, _completed(manifest, last))
        if manifest is not None:
            text += f"; its manifest could not be read: {manifest}"
    return WaitEvent(Outcome.VANISHED, last, error=text)


def read_manifest(
    run_id: str, uuid: str | None, until: float | None = None
) -> Generator[Command, Answer, RunSnapshot | ServiceError | None]:
    """Read how a run ended whose record is gone: nothing else tells, so trouble is tolerated for a few looks.

    :param run_id: id of the run.
    :param uuid: its uuid; None where unknown.
    :param until: no look comes after this moment, in seconds since the epoch, but for the first; None: no limit.
    :return: the run with its final status; None: its manifest is silent; the error that kept it from being read.
    """
    answer = yield ReadManifest(run_id, uuid)
    for failures in range(MANIFEST_LOOKS - 1):
        pause = SECOND_LOOK * 2.0**failures
        if not isinstance(answer.result, Unavailable) or (until is not None and answer.now + pause > until):
            break
        yield Sleep(pause)
        answer = yield ReadManifest(run_id, uuid)
    assert not isinstance(answer.result, BatchSnapshot)  # noqa: S101 - only runs have a manifest
    return answer.result


def _completed(ended: RunSnapshot, last: Snapshot) -> RunSnapshot:
    """Fill what the manifest does not tell (where the outputs are, for one) from the last look at the same run."""
    silent = [f.name for f in fields(ended) if getattr(ended, f.name) is None]
    return replace(ended, **{name: getattr(last, name) for name in silent})


def _is_small(seen: Snapshot) -> bool:
    return isinstance(seen, RunSnapshot) or seen.total_runs <= LARGE_BATCH


def _line(seen: Snapshot) -> str:
    text = f"Batch {seen.id}: {seen.progress}" if isinstance(seen, BatchSnapshot) else f"Run {seen.id}: {seen.status}"
    return text if seen.is_known_status else f"{text} (a status unknown to this version: taken for still going)"


def _run_deadline(plan: WaitPlan, snapshot: Snapshot) -> float | None:
    started: datetime | None = getattr(snapshot, "start_time", None)
    if plan.run_timeout is None or started is None:
        return None
    return started.timestamp() + plan.run_timeout


def _until_limit(plan: WaitPlan, snapshot: Snapshot, now: float, seconds: float) -> float:
    limits = [limit for limit in (plan.deadline, _run_deadline(plan, snapshot)) if limit is not None and limit > now]
    return min([seconds, *(limit - now for limit in limits)])


def _spread(seconds: float, spread: Callable[[], float]) -> float:
    return seconds * (1 + JITTER * (2 * spread() - 1))
