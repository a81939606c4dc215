"""When to look again, and when to give up: the wait for a run or a batch, free of I/O.

:func:`wait` is a generator. It yields what it wants done (a :data:`Command`) and is sent an :class:`Answer`; its return
value is the :class:`~airflow_provider_omics.core.events.WaitEvent` that ends the wait. Two short drivers run it: one
that sleeps in a worker, one that awaits in a triggerer. Neither decides anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, fields, replace
from datetime import datetime

from airflow_provider_omics.core.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unavailable
from airflow_provider_omics.core.events import Outcome, WaitEvent
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase

JITTER = 0.1
"""Part of the interval by which looks are spread, so that a thousand waits begun together do not stay in step."""

LONGEST_BACK_OFF = 300.0
"""Seconds between looks while HealthOmics cannot be asked: long enough for it to recover, short enough to notice."""

SECOND_LOOK = 5.0
"""Seconds before "not found" or "access denied" is believed: both can be false for a moment after a change."""

CANCEL_RETRY = 5.0
"""Seconds between two tries to cancel: a batch in CREATING refuses, and becomes PENDING within moments."""

CANCEL_PATIENCE = 60.0
"""Seconds that a cancel is tried for."""

UNKNOWN = "UNKNOWN"
"""Stands for the status of what was never seen."""


@dataclass(frozen=True)
class WaitPlan:
    """What to wait for, and within which limits.

    :param kind: ``"run"`` or ``"batch"``.
    :param id: its id.
    :param uuid: its uuid; an answer with another uuid is another run under a reused id. None: that of the first look.
    :param poll_interval: seconds between two looks.
    :param deadline: moment (seconds since the epoch) at which the wait ends with TIMED_OUT; None: never.
    :param run_timeout: seconds that a run may take from its own startTime; queueing before it is free. None: no limit.
    :param patience: seconds for which failing looks are borne before contact counts as lost.
    :param cancel: whether to cancel the run or batch when a time limit passes.
    """

    kind: str
    id: str
    uuid: str | None = None
    poll_interval: float = 30.0
    deadline: float | None = None
    run_timeout: float | None = None
    patience: float = 3 * 3600.0
    cancel: bool = True


@dataclass(frozen=True)
class Look:
    """Ask for a run or batch (GetRun, GetBatch); answered with a snapshot or a ServiceError."""

    kind: str
    id: str


@dataclass(frozen=True)
class ReadManifest:
    """Read how a vanished run ended from its manifest log stream.

    Answered with a snapshot, None for silence, or a ServiceError.
    """

    id: str
    uuid: str | None


@dataclass(frozen=True)
class Cancel:
    """Cancel a run or batch (CancelRun, CancelRunBatch); answered with None or a ServiceError."""

    kind: str
    id: str


@dataclass(frozen=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class Say:
    """Write a line to the task log."""

    level: int
    message: str


Command = Look | ReadManifest | Cancel | Sleep | Say

INFO, WARNING = 20, 30  # the numbers of the logging module, which core does not need otherwise


@dataclass(frozen=True)
class Answer:
    """What a command brought.

    :param now: the moment it was answered, in seconds since the epoch.
    :param result: a snapshot, a ServiceError, or None.
    """

    now: float
    result: Snapshot | ServiceError | None = None


Flow = Generator[Command, Answer, WaitEvent]


def wait(plan: WaitPlan, *, spread: Callable[[], float] = random.random) -> Flow:
    """Wait for a run or a batch until it has ended or a limit is reached.

    :param plan: what to wait for.
    :param spread: gives numbers from 0 to 1 for the jitter.
    :return: a generator of commands; its return value is the event that ends the wait.
    """
    last: Snapshot = _unseen(plan)
    said: str | None = None
    warned: str | None = None
    doubted_since: float | None = None
    trouble_since: float | None = None
    failures = 0
    while True:
        answer = yield Look(plan.kind, plan.id)
        seen = answer.result
        if isinstance(seen, (RunSnapshot, BatchSnapshot)) and not _is_another(plan, seen):
            doubted_since, trouble_since, failures, last = None, None, 0, seen
            plan = replace(plan, uuid=plan.uuid or seen.uuid)
            line = _line(seen)
            if line != said:
                said = line
                is_news = not seen.is_known_status and seen.status != warned
                yield Say(WARNING if is_news else INFO, line)
                warned = seen.status if is_news else warned
            if seen.phase is not Phase.ACTIVE:
                return WaitEvent(Outcome.ENDED, seen)
            limit = passed_limit(plan, seen, answer.now)
            if limit:
                return (yield from _time_out(plan, seen, limit))
            yield Sleep(_until_limit(plan, seen, answer.now, _spread(plan.poll_interval, spread)))
            continue

        error = seen if isinstance(seen, ServiceError) else _reused()
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


def cancel(
    plan: WaitPlan, *, patience: float = CANCEL_PATIENCE
) -> Generator[Command, Answer, Snapshot | NotFound | None]:
    """Cancel a run or batch, and bear what may pass: throttling, or a batch that cannot be cancelled yet.

    :param plan: what to cancel.
    :param patience: seconds for which to try.
    :return: a generator of commands; its return value is None when the cancel was accepted, the snapshot of what had
        ended before, NotFound when it is gone, or an active snapshot when the cancel failed (a line in the log says
        why).
    """
    since: float | None = None
    while True:
        answer = yield Cancel(plan.kind, plan.id)
        error = answer.result
        if not isinstance(error, ServiceError):
            yield Say(INFO, f"Cancelled {plan.kind} {plan.id}")
            return None
        since = answer.now if since is None else since
        if isinstance(error, NotFound):
            yield Say(INFO, f"{plan.kind} {plan.id} does not exist any more: nothing to cancel")
            return error
        # Which of the two answers a cancel that the present state does not allow is not documented.
        if isinstance(error, (Conflict, InvalidRequest)):
            look = yield Look(plan.kind, plan.id)
            seen = look.result
            if isinstance(seen, (RunSnapshot, BatchSnapshot)):
                if _is_another(plan, seen):
                    yield Say(INFO, f"{plan.kind} {plan.id} does not exist any more: its id has another uuid now")
                    return _reused()
                if seen.phase is not Phase.ACTIVE:
                    yield Say(INFO, f"{plan.kind} {plan.id} has already ended: {seen.status}")
                    return seen
                if seen.status == "STOPPING":
                    yield Say(INFO, f"{plan.kind} {plan.id} is already stopping")
                    return None
        elif not isinstance(error, Unavailable):
            yield Say(WARNING, f"{plan.kind} {plan.id} was not cancelled and may still be going: {error}")
            return _unseen(plan)
        if answer.now - since >= patience:
            yield Say(
                WARNING,
                f"{plan.kind} {plan.id} could not be cancelled within {patience:.0f} s and may still be going: {error}",
            )
            return _unseen(plan)
        yield Sleep(min(CANCEL_RETRY, patience - (answer.now - since)))


def _time_out(plan: WaitPlan, last: Snapshot, limit: str) -> Flow:
    if not plan.cancel:
        yield Say(WARNING, f"{limit} passed; {plan.kind} {plan.id} is left going, as cancel_on_kill is off")
        return WaitEvent(Outcome.TIMED_OUT, last, limit=limit)
    yield Say(WARNING, f"{limit} passed; cancelling {plan.kind} {plan.id}")
    left = yield from cancel(plan)
    if isinstance(left, NotFound):
        return (yield from _gone(plan, last, left))
    if left is not None and left.phase is not Phase.ACTIVE:
        return WaitEvent(Outcome.ENDED, left)
    return WaitEvent(Outcome.TIMED_OUT, last, limit=limit, cancelled=left is None)


def _gone(plan: WaitPlan, last: Snapshot, error: ServiceError, seconds: float = 0.0) -> Flow:
    if not isinstance(error, NotFound):
        return WaitEvent(Outcome.REFUSED, last, error=str(error), seconds=seconds)
    text = str(error)
    if plan.kind == "run":
        answer = yield ReadManifest(plan.id, plan.uuid)
        if isinstance(answer.result, RunSnapshot):
            yield Say(WARNING, f"The record of run {plan.id} is gone; its manifest says {answer.result.status}")
            return WaitEvent(Outcome.ENDED, _completed(answer.result, last))
        if isinstance(answer.result, ServiceError):
            text += f"; its manifest could not be read: {answer.result}"
    return WaitEvent(Outcome.VANISHED, last, error=text)


def _completed(ended: RunSnapshot, last: Snapshot) -> RunSnapshot:
    """Fill what the manifest does not tell (where the outputs are, for one) from the last look at the same run."""
    silent = [f.name for f in fields(ended) if getattr(ended, f.name) is None]
    return replace(ended, **{name: getattr(last, name) for name in silent})


def _reused() -> NotFound:
    return NotFound("Get", "IdReused", "the id has another uuid now")


def _is_another(plan: WaitPlan, seen: Snapshot) -> bool:
    return bool(plan.uuid and seen.uuid and plan.uuid != seen.uuid)


def _unseen(plan: WaitPlan) -> Snapshot:
    if plan.kind == "run":
        return RunSnapshot(plan.id, UNKNOWN, plan.uuid)
    return BatchSnapshot(plan.id, UNKNOWN, plan.uuid)


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
