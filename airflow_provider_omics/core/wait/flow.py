"""The wait for a run or a batch, free of I/O: its plan and limits, when to look, what a look means, when to cancel.

:func:`wait` and :func:`cancel` are flows: generators of :mod:`commands <airflow_provider_omics.core.commands>`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_omics.core.commands import (
    INFO,
    WARNING,
    Cancel,
    Flow,
    ListActive,
    Look,
    ReadManifest,
    Say,
    Sleep,
    id_reused,
)
from airflow_provider_omics.core.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import PHASES, UNKNOWN, Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.patience import Patience
from airflow_provider_omics.core.wait.stretch import Stretch, ended_runs, runs_at_a_time, time_left

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
    :param stretch: ends the wait earlier, with STRETCH_OVER, for a collection. None: it lasts to the end.
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
    stretch: Stretch | None = None

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


def time_limits(execution_timeout: timedelta, started: float) -> dict[str, float]:
    """End a wait early enough that Airflow's own timeout does not come first.

    :param execution_timeout: the task's.
    :param started: when the task started, in seconds since the epoch.
    :return: ``deadline``, in seconds since the epoch, and ``grace``: half of the time from then to Airflow's own end,
        for a cancel; the other half is for Airflow to take up the task.
    """
    seconds = execution_timeout.total_seconds()
    margin = min(seconds * MARGIN, LONGEST_MARGIN)
    return {"deadline": started + seconds - margin, "grace": max(margin / 2, LEAST_GRACE)}


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
            if isinstance(seen, BatchSnapshot):
                line = f"Batch {seen.id}: {seen.progress}{_estimate(plan.stretch, seen) if plan.stretch else ''}"
                is_small, is_long_ago = seen.total_runs <= LARGE_BATCH, now - said_at >= PROGRESS_INTERVAL
                is_due = is_small or is_long_ago or seen.status != last.status
            else:
                line, is_due = f"Run {seen.id}: {seen.status}", True
            is_known = seen.status in PHASES[plan.kind]
            if not is_known:
                line += " (a status unknown to this version: treated as still going)"
            doubted_since, trouble, last = None, patience, seen
            plan = replace(plan, uuid=plan.uuid or seen.uuid)
            if line != said and is_due:
                said, said_at = line, now
                is_news = not is_known and seen.status != warned
                yield from Say(WARNING if is_news else INFO, line, seen)
                warned = seen.status if is_news else warned
            limit = next((name for name, moment in plan.limits(seen).items() if now >= moment), None)
            if seen.phase is not Phase.ACTIVE:
                return _ended(plan, seen, limit)
            if limit:
                return (yield from _time_out(plan, seen, limit))
            if plan.stretch is not None and plan.stretch.is_over(seen, now, plan.deadline):
                return WaitEvent(Outcome.STRETCH_OVER, seen, stretch=plan.stretch)
            interval = plan.poll_interval
        else:
            error = seen if isinstance(seen, ServiceError) else id_reused()
            if not isinstance(error, Unavailable):
                if doubted_since is not None:
                    return (yield from _gone(plan, last, error, now - doubted_since))
                doubted_since = now
                yield from Say(WARNING, f"{error}; looking once more before this is believed")
                yield from Sleep(SECOND_LOOK)
                continue
            trouble = trouble.failed(now, unreachable=error.is_unreachable)
            if trouble.is_told(now):
                yield from Say(WARNING, f"{error}; trying again for up to {plan.patience - trouble.spent(now):.0f} s")
            if plan.deadline is not None and now >= plan.deadline:
                return (yield from _time_out(plan, last, "execution_timeout"))
            if trouble.is_over(now):
                return WaitEvent(Outcome.LOST_CONTACT, last, error=str(error), seconds=trouble.spent(now))
            interval = trouble.last_pause(now)
        ahead = (moment - now for moment in plan.limits(last).values() if moment > now)
        yield from Sleep(min([interval * (1 + JITTER * (2 * spread() - 1)), *ahead]))


def _estimate(stretch: Stretch, seen: BatchSnapshot) -> str:
    left = time_left(seen.total_runs - ended_runs(seen), runs_at_a_time(seen), stretch.median)
    return f"; {left}" if left else ""


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


CANCEL_RETRY = 5.0
"""Seconds between two tries to cancel: a batch in CREATING refuses, and becomes PENDING within moments."""


def cancel(
    plan: WaitPlan, *, patience: float | None = None, settle: float | None = None
) -> Flow[Snapshot | NotFound | None]:
    """Cancel a run or batch; try again after trouble that may pass: throttling, or a batch not to be cancelled yet.

    :param plan: the run or batch.
    :param patience: seconds for which to try; None: the plan's ``grace``.
    :param settle: seconds to wait for a cancelled batch to end, so that runs whose own cancel failed are cancelled one
        by one; the cancel of a batch is not atomic (user guide, "Run batches"). None: the plan's ``grace``.
    :return: a flow, which returns None when the cancel was accepted, the snapshot of a run or batch that had ended
        before, NotFound when it is gone, or an active snapshot when the cancel failed (a line in the log says why).
    """
    trouble = Patience(plan.grace if patience is None else patience, CANCEL_RETRY, CANCEL_RETRY)
    settle = plan.grace if settle is None else settle
    while True:
        answer = yield from Cancel(plan.kind, plan.id)
        error = answer.value
        if error is None:
            yield from Say(INFO, f"Cancelled {plan.kind} {plan.id}")
            if plan.kind == "batch":
                yield from _settle(plan, answer.now, settle)
            return None
        trouble = trouble.failed(answer.now)
        if isinstance(error, NotFound):
            yield from Say(INFO, f"{plan.kind} {plan.id} does not exist any more: nothing to cancel")
            return error
        # It is not documented which of the two answers a cancel that the present state does not allow.
        if isinstance(error, (Conflict, InvalidRequest)):
            seen = (yield from Look(plan.kind, plan.id)).value
            if not isinstance(seen, ServiceError):
                if plan.is_another(seen):
                    yield from Say(INFO, f"{plan.kind} {plan.id} does not exist any more: its id has another uuid now")
                    return id_reused()
                if seen.phase is not Phase.ACTIVE:
                    yield from Say(INFO, f"{plan.kind} {plan.id} has already ended: {seen.status}")
                    return seen
                if seen.status == "STOPPING":
                    yield from Say(INFO, f"{plan.kind} {plan.id} is already stopping")
                    return None
        elif not isinstance(error, Unavailable):
            yield from Say(WARNING, f"{plan.kind} {plan.id} was not cancelled and may still be going: {error}")
            return plan.unseen()
        if trouble.is_over(answer.now):
            yield from Say(
                WARNING,
                f"{plan.kind} {plan.id} could not be cancelled within {trouble.seconds:.0f} s and may still be going: "
                f"{error}",
            )
            return plan.unseen()
        yield from Sleep(trouble.last_pause(answer.now))


def has_stragglers(seen: BatchSnapshot) -> bool:
    """Whether a batch that FAILED, or was cancelled, may have left runs going.

    While it is stopping, only once it has tried to cancel each of them: it needs hours for 100,000, which are not to be
    cancelled one by one for the first that fails. The final status of a batch with such runs is not documented. Counts
    of runs may lag behind those of cancels, so the answer may come late.

    :param seen: the batch.
    """
    failed = seen.count("failed_cancels")
    if seen.phase is not Phase.ACTIVE:
        return seen.phase is Phase.FAILED or failed > 0
    tried, to_try = seen.count("successful_cancels") + failed, seen.runs_going + seen.count("cancelled_runs")
    not_stopped = sum(seen.count(name) for name in ("pending_runs", "starting_runs", "running_runs"))
    return failed > 0 and (tried >= to_try or not_stopped <= failed)


def cancel_stragglers(batch_id: str) -> Flow[None]:
    """Cancel the runs of a batch that are still going, one by one, where CancelRunBatch is refused.

    :param batch_id: id of a batch that FAILED, or whose cancel was partial: see :func:`has_stragglers`.
    :return: a flow; the log names the runs that were not cancelled.
    """
    listed = (yield from ListActive(batch_id)).value
    if isinstance(listed, ServiceError):
        yield from Say(WARNING, f"The runs of batch {batch_id} could not be listed and may be going: {listed}")
        return
    cancelled = 0
    for run_id in listed:
        error = (yield from Cancel("run", run_id)).value
        if error is None:
            cancelled += 1
        elif not isinstance(error, (Conflict, NotFound)):
            yield from Say(WARNING, f"Run {run_id} of batch {batch_id} was not cancelled: {error}")
    if listed:
        yield from Say(INFO, f"Cancelled {cancelled} of {len(listed)} runs that outlived batch {batch_id}")


def _settle(plan: WaitPlan, cancelled_at: float, seconds: float) -> Flow[None]:
    """Wait for a cancelled batch to end, and cancel the runs that it leaves."""
    waiting = Patience(seconds, CANCEL_RETRY, CANCEL_RETRY, since=cancelled_at)
    while True:
        answer = yield from Look(plan.kind, plan.id)
        seen = answer.value
        if isinstance(seen, BatchSnapshot):
            if has_stragglers(seen):
                yield from cancel_stragglers(plan.id)
                return
            if seen.phase is not Phase.ACTIVE:
                return
        if isinstance(seen, NotFound) or waiting.is_over(answer.now):
            return
        yield from Sleep(waiting.last_pause(answer.now))
