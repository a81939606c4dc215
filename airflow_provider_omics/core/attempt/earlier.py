"""The attempt that an earlier try left: it is found, and brought to its end before another one starts."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_omics.core.attempt.commands import Find, FindEarlier, Save
from airflow_provider_omics.core.attempt.record import AttemptRecord, EarlierStart, Present
from airflow_provider_omics.core.commands import INFO, WARNING, Flow, Look, Say, Sleep
from airflow_provider_omics.core.errors import AttemptError, NotFound, ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase
from airflow_provider_omics.core.wait.flow import (
    LIST_LAG,
    SECOND_LOOK,
    WaitPlan,
    cancel,
    cancel_stragglers,
    has_stragglers,
    read_manifest,
)
from airflow_provider_omics.core.wait.patience import Patience

REQUEST_ID_MEMORY = 600.0
"""Seconds for which the service is trusted to remember a request id; its real memory is not documented."""

FIRST_BACK_OFF = 2.0
"""Seconds before a start that failed is sent again, doubled each time."""

SETTLE = 10.0
"""Seconds that a new attempt waits for the end of the batch before it; then it cancels the runs that go on."""

STOPPING_LOOKS = 60
"""Looks, one each :data:`SETTLE`, at a run or batch that is stopping; after 10 minutes it is adopted as it is."""

SEARCHES = 2
"""Searches without a find before a request counts as never arrived."""


NEVER = -1
"""A ``max_tries`` that Airflow never has: whoever reads it knows that the task was cleared since."""


def recover(present: Present) -> Flow[AttemptRecord | None]:
    """Make the record of the last attempt anew from what is found of it, where earlier tries ought to have left one.

    What the tries since the last clear have started is theirs, and is adopted; anything older was left by a clear. Of
    several that are going only the last one can be wanted: the others are cancelled.

    :param present: this try.
    :return: the record, stored; None: nothing was found, or it cannot be searched, which the log says.
    :raises AttemptError: one that is to be cancelled could not be.
    :raises ServiceError: no list got through for ``patience``.
    """
    yield from Say(INFO, "There is no record of the earlier tries: searching for what they have started")
    trouble, searches = Patience(present.patience, FIRST_BACK_OFF), 0
    found: tuple[EarlierStart, ...] = ()
    while searches < SEARCHES and not any(_is_going(start) for start in found):
        if searches:
            yield from Sleep(LIST_LAG)
        answer = yield from FindEarlier()
        if isinstance(answer.value, Unavailable):
            trouble = yield from _bear(answer.value, trouble, answer.now)
        elif isinstance(answer.value, ServiceError):
            line = f"Whether an earlier try has started a {present.kind} that is going cannot be searched for"
            yield from Say(WARNING, f"{line}: {answer.value}; starting all the same")
            return None
        else:
            found, searches = answer.value, searches + 1
    if not found:
        return None
    last, *others = sorted(found, key=lambda start: (start.try_number, start.created_at), reverse=True)
    own = [start for start in found if start.try_number >= present.first_try]
    record = AttemptRecord(
        request_id=last.request_id,
        fingerprint="",
        first_try=last.try_number,
        owner_try=last.try_number,
        max_tries=present.max_tries if last in own else NEVER,
        requested_at=last.created_at,
        name_hash=last.name_hash,
        attempts=len(found),
        attempts_since_clear=max(1, len(own)),
        chosen=present.chooses and (len(found) > 1 or present.has_earlier),
        previous_request_id=others[0].request_id if others else None,
        previous_id=others[0].seen.id if others else None,
    )
    # Without its id, which is found again: only then does a store that is closed to this try end it before a cancel.
    yield from Save(record)
    yield from Say(WARNING, f"The record of {present.kind} {last.seen.id} of try {last.try_number} is made anew")
    for other in others:
        if _is_going(other):
            yield from cancel_old(replace(record, owner_try=other.try_number), other.seen, present)
    record = replace(record, fingerprint=present.fingerprint, settings_etag=present.settings_etag)
    return replace(record, resource_id=last.seen.id, resource_uuid=last.seen.uuid)


def _is_going(start: EarlierStart) -> bool:
    return start.seen.phase is Phase.ACTIVE and start.seen.status != UNKNOWN


def resolve(record: AttemptRecord, present: Present) -> Flow[tuple[AttemptRecord, Snapshot | None]]:
    """Find the run or batch of the recorded attempt.

    :param record: it.
    :param present: this try.
    :return: the record, and its run or batch: None when nothing was started, status UNKNOWN when it is gone and its
        end cannot be found.
    :raises ServiceError: a call was refused, or did not get through for ``patience``.
    :raises AttemptError: see :func:`search`.
    """
    if record.resource_id is None:
        found = yield from search(record, present)
        if found is None:
            return record, None
        record = replace(record, resource_id=found.id, resource_uuid=found.uuid)
        yield from Save(record)
        return record, found
    seen = yield from _look(present, record.resource_id, record.resource_uuid)
    return record, seen


def search(record: AttemptRecord, present: Present) -> Flow[Snapshot | None]:
    """Search by name and tag, twice, as lists may lag; None: nothing came of the request.

    Where no search is possible (no permission to list, or nothing that distinguishes the run), the same request may
    be sent again while the service remembers its id; later, or with other settings, the effect is unknown.

    :param record: the attempt.
    :param present: this try.
    :return: the run or batch that the request started, or None.
    :raises AttemptError: no search is possible, and the request can not be sent again either.
    :raises ServiceError: no list got through for ``patience``.
    """
    trouble, misses = Patience(present.patience, FIRST_BACK_OFF), 0
    while True:
        answer = yield from Find(record)
        found = answer.value
        if found is None:
            misses += 1
            if misses == SEARCHES:
                return None
            yield from Sleep(LIST_LAG)
        elif isinstance(found, Unavailable):
            trouble = yield from _bear(found, trouble, answer.now)
        elif not isinstance(found, ServiceError):
            return found
        elif record.max_tries != present.max_tries or (
            record.fingerprint == present.fingerprint and answer.now - record.requested_at <= REQUEST_ID_MEMORY
        ):
            yield from Say(WARNING, f"The earlier request cannot be searched for ({found}); going on without a search")
            return None
        else:
            raise AttemptError(
                f"The start request {record.request_id} of try {record.owner_try} was never answered, and its "
                f"{present.kind} cannot be searched for: {found}.",
                advice="Look for it in the console, then clear the task.",
                request_id=record.request_id,
            ) from found


def _look(present: Present, resource_id: str, uuid: str | None) -> Flow[Snapshot]:
    """Look at the recorded run or batch until there is an answer; status UNKNOWN means gone without a trace."""
    trouble, doubted = Patience(present.patience, FIRST_BACK_OFF), False
    while True:
        answer = yield from Look(present.kind, resource_id)
        seen = answer.value
        if not isinstance(seen, ServiceError) and (not uuid or not seen.uuid or uuid == seen.uuid):
            return seen
        if isinstance(seen, Unavailable):
            trouble = yield from _bear(seen, trouble, answer.now)
        elif isinstance(seen, ServiceError) and not isinstance(seen, NotFound):
            raise seen
        elif not doubted:
            doubted = True
            yield from Sleep(SECOND_LOOK)
        else:
            break
    if present.kind == "batch":
        return BatchSnapshot(resource_id, UNKNOWN, uuid)
    manifest = yield from read_manifest(resource_id, uuid)
    return manifest if isinstance(manifest, RunSnapshot) else RunSnapshot(resource_id, UNKNOWN, uuid)


def let_stop(record: AttemptRecord, seen: Snapshot, present: Present) -> Flow[Snapshot]:
    """Wait for the end of a run or batch that is stopping, before it is judged; return any other as it is.

    A run that completes stops as well as one that was cancelled: only the last status shows which. A task
    that was cleared while it ran on a worker comes back like this when Airflow has lost the clear.

    :param record: the attempt.
    :param seen: its run or batch, as last seen.
    :param present: this try.
    :return: the same, as seen now.
    """
    looks = 0
    while seen.status == "STOPPING" and looks < STOPPING_LOOKS:
        if not looks:
            yield from Say(INFO, f"{present.kind} {seen.id} is stopping: waiting for its end")
        yield from Sleep(SETTLE)
        seen = yield from _look(present, seen.id, record.resource_uuid)
        looks += 1
    return seen


def until_ended(record: AttemptRecord, seen: Snapshot, present: Present) -> Flow[Snapshot]:
    """Wait for the end of a run or batch that was cancelled.

    :param record: the attempt.
    :param seen: its run or batch, as last seen.
    :param present: this try.
    :return: it, ended; status UNKNOWN: its record is gone.
    :raises AttemptError: it goes on after ``patience``.
    :raises ServiceError: a call was refused, or did not get through for ``patience``.
    """
    answer = yield from Say(INFO, f"Waiting for the end of {present.kind} {seen.id}")
    waiting = Patience(present.patience, LIST_LAG, LIST_LAG, since=answer.now)
    stragglers_stopped = False
    while True:
        seen = yield from _look(present, seen.id, record.resource_uuid)
        if seen.phase is not Phase.ACTIVE or seen.status == UNKNOWN:
            return seen
        if isinstance(seen, BatchSnapshot) and has_stragglers(seen) and not stragglers_stopped:
            yield from stop_stragglers(seen, present)  # the batch may wait for their end
            stragglers_stopped = True
        if waiting.is_over(answer.now):
            raise AttemptError(
                f"{present.kind} {seen.id} of try {record.owner_try} was cancelled and is still {seen.status}; what "
                "completes of it must not be submitted again.",
                advice="Clear the task again once it has ended.",
                request_id=record.request_id,
                resource_id=seen.id,
            )
        answer = yield from Sleep(waiting.pause)


def end_cancelled(record: AttemptRecord, present: Present) -> Flow[Snapshot | None]:
    """Wait for the end of a batch that ended badly: the record has its end once a cancel is accepted; its runs go on.

    A run that is stopping is left alone: a new one repeats all of it anyway.

    :param record: the attempt, which ended badly.
    :param present: this try.
    :return: the batch, as seen now; None: it was not looked at.
    :raises AttemptError: it is still stopping after ``patience``.
    :raises ServiceError: a look did not get through for ``patience``.
    """
    if present.kind == "run" or record.resource_id is None or record.idle:
        return None
    try:
        seen = yield from _look(present, record.resource_id, record.resource_uuid)
        if seen.status == "STOPPING" and present.chooses:
            # Runs that complete while it stops must not be submitted again.
            seen = yield from until_ended(record, seen, present)
    except Unavailable:
        raise
    except ServiceError as error:
        # Its end is on record: that nobody may look at it any more is no reason never to start again.
        yield from Say(
            WARNING, f"Batch {record.resource_id} cannot be looked at, and its runs may still be stopping: {error}"
        )
        return None
    if isinstance(seen, BatchSnapshot) and (seen.phase is not Phase.FAILED or seen.runs_going):
        yield from stop_stragglers(seen, present)
    return seen


def cancel_old(record: AttemptRecord, seen: Snapshot, present: Present) -> Flow[None]:
    """Cancel the run or batch that an earlier try left going, or leave it where ``cancel_on_kill`` is off.

    :param record: the attempt.
    :param seen: its run or batch, as last seen.
    :param present: this try.
    :raises AttemptError: it could not be cancelled.
    :raises ServiceError: the cancel was refused.
    """
    if not present.cancel:
        yield from Say(WARNING, f"{present.kind} {seen.id} is left going, as cancel_on_kill is off")
        return
    if seen.status == "STOPPING":
        yield from Say(INFO, f"{present.kind} {seen.id} is already stopping")
        return
    left = yield from cancel(WaitPlan(present.kind, seen.id, seen.uuid), patience=present.patience, settle=SETTLE)
    if isinstance(left, (RunSnapshot, BatchSnapshot)) and left.phase is Phase.ACTIVE:
        raise AttemptError(
            f"The task was cleared, but {present.kind} {seen.id} of try {record.owner_try} could not be cancelled, and "
            "a second one beside it would be paid twice.",
            advice="Cancel it, or set cancel_on_kill=False, and clear again.",
            request_id=record.request_id,
            resource_id=seen.id,
        )


def stop_stragglers(seen: Snapshot, present: Present) -> Flow[None]:
    """Cancel the runs left by a batch that FAILED, or whose cancel was partial: they would be paid twice.

    :param seen: the run or batch of the earlier attempt.
    :param present: this try.
    """
    if isinstance(seen, BatchSnapshot) and has_stragglers(seen) and present.cancel:
        yield from cancel_stragglers(seen.id)


def _bear(error: Unavailable, trouble: Patience, now: float) -> Flow[Patience]:
    """Pause after a failure that may pass, or raise it once patience is over."""
    trouble = trouble.failed(now, unreachable=error.is_unreachable)
    if trouble.is_over(now):
        raise error
    if trouble.is_told(now):
        yield from Say(WARNING, f"{error}; trying again for up to {trouble.seconds - trouble.spent(now):.0f} s")
    yield from Sleep(trouble.last_pause(now))
    return trouble
