"""The cancel of a run or batch, free of I/O: it bears trouble that may pass, and ends the runs that a batch leaves."""

from __future__ import annotations

from airflow_provider_omics.core.commands import (
    INFO,
    WARNING,
    Cancel,
    Flow,
    ListActive,
    Look,
    Say,
    Sleep,
    id_reused,
)
from airflow_provider_omics.core.errors import Conflict, InvalidRequest, NotFound, ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.patience import Patience
from airflow_provider_omics.core.wait.plan import WaitPlan

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
        # Which of the two answers a cancel that the present state does not allow is not documented.
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
