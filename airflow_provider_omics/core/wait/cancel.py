"""Cancelling a run or batch, free of I/O: trouble that may pass is tolerated, what a partial cancel leaves goes too."""

from __future__ import annotations

from collections.abc import Generator

from airflow_provider_omics.core.commands import (
    INFO,
    WARNING,
    Answer,
    Cancel,
    Command,
    ListActive,
    Look,
    Say,
    Sleep,
    id_reused,
)
from airflow_provider_omics.core.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.plan import WaitPlan

CANCEL_RETRY = 5.0
"""Seconds between two tries to cancel: a batch in CREATING refuses, and becomes PENDING within moments."""


def cancel(
    plan: WaitPlan, *, patience: float | None = None, settle: float | None = None
) -> Generator[Command, Answer, Snapshot | NotFound | None]:
    """Cancel a run or batch, and try again what may pass: throttling, or a batch that cannot be cancelled yet.

    :param plan: what to cancel.
    :param patience: seconds for which to try; None: the plan's ``grace``.
    :param settle: seconds to wait for a cancelled batch to end, so that runs whose own cancel failed are cancelled one
        by one; the cancel of a batch is not atomic (user guide, "Run batches"). None: the plan's ``grace``.
    :return: a generator of commands; its return value is None when the cancel was accepted, the snapshot of what had
        ended before, NotFound when it is gone, or an active snapshot when the cancel failed (a line in the log says
        why).
    """
    patience = plan.grace if patience is None else patience
    settle = plan.grace if settle is None else settle
    since: float | None = None
    while True:
        answer = yield Cancel(plan.kind, plan.id)
        error = answer.result
        if not isinstance(error, ServiceError):
            yield Say(INFO, f"Cancelled {plan.kind} {plan.id}")
            if plan.kind == "batch":
                yield from _settle(plan, answer.now + settle)
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
                if plan.is_another(seen):
                    yield Say(INFO, f"{plan.kind} {plan.id} does not exist any more: its id has another uuid now")
                    return id_reused()
                if seen.phase is not Phase.ACTIVE:
                    yield Say(INFO, f"{plan.kind} {plan.id} has already ended: {seen.status}")
                    return seen
                if seen.status == "STOPPING":
                    yield Say(INFO, f"{plan.kind} {plan.id} is already stopping")
                    return None
        elif not isinstance(error, Unavailable):
            yield Say(WARNING, f"{plan.kind} {plan.id} was not cancelled and may still be going: {error}")
            return plan.unseen()
        if answer.now - since >= patience:
            yield Say(
                WARNING,
                f"{plan.kind} {plan.id} could not be cancelled within {patience:.0f} s and may still be going: {error}",
            )
            return plan.unseen()
        yield Sleep(min(CANCEL_RETRY, patience - (answer.now - since)))


def has_stragglers(seen: BatchSnapshot) -> bool:
    """Tell whether a batch that FAILED, or was cancelled, may have left runs going.

    While it is stopping, only once it has tried to cancel each of them: it needs hours for 100,000, which are not to be
    cancelled one by one for the first that fails. What it becomes in the end with such runs is not documented. Counts
    of runs may lag behind those of cancels, which makes it known later.

    :param seen: the batch.
    """
    failed = seen.count("failed_cancels")
    if seen.phase is not Phase.ACTIVE:
        return seen.phase is Phase.FAILED or failed > 0
    tried, to_try = seen.count("successful_cancels") + failed, seen.runs_going + seen.count("cancelled_runs")
    not_stopped = sum(seen.count(name) for name in ("pending_runs", "starting_runs", "running_runs"))
    return failed > 0 and (tried >= to_try or not_stopped <= failed)


def cancel_stragglers(batch_id: str) -> Generator[Command, Answer, None]:
    """Cancel the runs of a batch that are still going, one by one, where CancelRunBatch is refused.

    :param batch_id: id of a batch that FAILED, or whose cancel was partial: see :func:`has_stragglers`.
    :return: a generator of commands; the log says what was done and what failed.
    """
    listed = yield ListActive(batch_id)
    if isinstance(listed.result, ServiceError):
        yield Say(WARNING, f"The runs of batch {batch_id} could not be listed and may be going: {listed.result}")
        return
    cancelled = 0
    for run_id in listed.run_ids:
        answer = yield Cancel("run", run_id)
        if isinstance(answer.result, (Conflict, NotFound)):
            continue
        if isinstance(answer.result, ServiceError):
            yield Say(WARNING, f"Run {run_id} of batch {batch_id} was not cancelled: {answer.result}")
            continue
        cancelled += 1
    if listed.run_ids:
        yield Say(INFO, f"Cancelled {cancelled} of {len(listed.run_ids)} runs that outlived batch {batch_id}")


def _settle(plan: WaitPlan, until: float) -> Generator[Command, Answer, None]:
    while True:
        answer = yield Look(plan.kind, plan.id)
        seen = answer.result
        if isinstance(seen, BatchSnapshot):
            if has_stragglers(seen):
                yield from cancel_stragglers(plan.id)
                return
            if seen.phase is not Phase.ACTIVE:
                return
        if isinstance(seen, NotFound) or answer.now >= until:
            return
        yield Sleep(min(CANCEL_RETRY, until - answer.now))
