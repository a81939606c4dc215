"""Exactly once: a new try starts, adopts or returns a run or batch, by the record that earlier tries left.

A task may die at any instruction and come back as another try, on another machine, hours later. Before anything is
sent, its request id is saved; :func:`begin` decides from that record, and from the answers of HealthOmics, whether to
start, to adopt a run or batch that is going, or to return one that has ended. It is a flow, as
:func:`airflow_provider_omics.core.wait.flow.wait` is: its driver does the I/O, and may die between any two steps.

Neither the answer to a repeated request id nor the time for which one is remembered is documented: the same run coming
back and a ConflictException are both handled, and after :data:`~.earlier.REQUEST_ID_MEMORY` nothing is sent again
without a search.

Cleared means that Airflow's ``max_tries`` of the task is another than the recorded one. A clear sets it to the task's
try number plus its ``retries`` (``clear_task_instances``); if ``retries`` was lowered before by as many as there were
tries, it stays what it was, and the clear is taken for a retry. The DAG run's ``clear_number`` cannot tell them apart:
from Airflow 3.2 on it grows with a clear of any task of the DAG run, while others are going or about to be retried, and
a task cannot find out how its earlier tries have ended. A run or batch that nobody has cleared must not be cancelled.

Airflow may discard the state of a task at a clear (apache/airflow#72100). Where the record is gone, what earlier tries
have started is searched for, and their record made anew: :func:`~.earlier.recover`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from airflow_provider_omics.core.attempt.commands import Choice, Choose, IsSuccess, Save, Start
from airflow_provider_omics.core.attempt.earlier import (
    FIRST_BACK_OFF,
    REQUEST_ID_MEMORY,
    cancel_old,
    end_cancelled,
    let_stop,
    recover,
    resolve,
    search,
    stop_stragglers,
    until_ended,
)
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended, Present
from airflow_provider_omics.core.commands import INFO, WARNING, Flow, Say, Sleep
from airflow_provider_omics.core.errors import Conflict, CredentialsExpired, ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase
from airflow_provider_omics.core.wait.flow import WaitPlan
from airflow_provider_omics.core.wait.patience import Patience

CREDENTIAL_TRIES = 3
"""Starts tried with refused credentials; waiting longer does not make wrong ones right."""


@dataclass(frozen=True)
class Begun:
    """The result of :func:`begin`: the run or batch that a try has in hand.

    :param record: the attempt it owns now.
    :param snapshot: the run or batch: going, or ended.
    :param vanished: it is gone, and its end cannot be found; it is not started again.
    """

    record: AttemptRecord
    snapshot: Snapshot
    vanished: bool = False


def begin(record: AttemptRecord | None, present: Present, *, now: float) -> Flow[Begun]:
    """Start, adopt, or find ended: bring a new try to its run or batch, given the record that earlier tries left.

    :param record: the stored record; None: there is none.
    :param present: this try.
    :param now: seconds since the epoch.
    :return: a flow, which returns the run or batch that the try has in hand.
    :raises ServiceError: a call was refused, or did not get through for ``patience``.
    :raises AttemptError: an earlier try left something that cannot be resolved; nothing was started.
    """
    if record is None and present.misses_record:
        record = yield from recover(present)
    if record is None:
        return (yield from _start_afresh(present, now, None))
    if record.max_tries != present.max_tries:
        return (yield from _after_clear(record, present))
    if not present.durable:
        yield from Say(INFO, "durable is off: this try starts afresh")
        return (yield from _start_afresh(present, now, record))
    if record.idle:
        return (yield from _start_afresh(present, now, record))
    if record.fingerprint != present.fingerprint:
        yield from Say(WARNING, "The settings have changed since the earlier try, whose attempt is resolved first")
    if record.ended is Ended.BADLY:
        seen = yield from end_cancelled(record, present)
        line = f"{present.kind} {record.resource_id} of try {record.owner_try} ended badly: starting a new one"
        said = yield from Say(INFO, line)
        return (yield from _start_afresh(present, said.now, record, seen))
    record, seen = yield from resolve(record, present)
    if seen is None:
        if record.fingerprint == present.fingerprint:
            return (yield from _start(replace(record, owner_try=present.try_number), present))
        yield from Say(INFO, "The earlier request has started nothing, and the settings have changed: making a new one")
        saved = yield from Save(record)
        return (yield from _start_afresh(present, saved.now, record))
    if seen.phase is Phase.ACTIVE and seen.status != UNKNOWN:
        yield from Say(INFO, f"Adopting {present.kind} {seen.id} of try {record.owner_try}: {seen.status}")
        record = replace(record, owner_try=present.try_number, ended=None, outdated=_is_outdated(record, present))
        yield from Save(record)
        seen = yield from let_stop(record, seen, present)
    if seen.status == UNKNOWN or seen.phase is Phase.DELETED:
        return Begun(record, seen, vanished=True)
    if seen.phase is Phase.ACTIVE:
        return Begun(record, seen)
    judged = yield from IsSuccess(seen)
    if judged.value and record.canary:
        yield from Say(INFO, f"The canary, {present.kind} {seen.id}, has completed: the others are submitted")
        return (yield from _start_afresh(present, judged.now, record, seen, compared=True))
    if judged.value and _is_outdated(record, present):
        line = f"{present.kind} {seen.id} of try {record.owner_try} has ended well, and the settings have changed since"
        yield from Say(INFO, f"{line}: what is new or changed makes a further one")
        return (yield from _start_afresh(present, judged.now, record, seen, compared=True))
    if judged.value:
        yield from Say(INFO, f"{present.kind} {seen.id} of try {record.owner_try} has ended well: using its result")
        return Begun(replace(record, owner_try=present.try_number), seen)
    yield from stop_stragglers(seen, present)
    yield from Say(INFO, f"{present.kind} {seen.id} of try {record.owner_try} is {seen.status}: starting a new one")
    return (yield from _start_afresh(present, judged.now, record, seen))


def _is_outdated(record: AttemptRecord, present: Present) -> bool:
    """Whether what an earlier try has started is to be compared with the settings of now, once it has ended."""
    return present.compares and record.fingerprint != present.fingerprint


def _after_clear(record: AttemptRecord, present: Present) -> Flow[Begun]:
    yield from Say(INFO, f"The task was cleared; resolving the attempt of try {record.owner_try} first")
    seen: Snapshot | None = None
    if record.ended is Ended.BADLY:
        seen = yield from end_cancelled(record, present)
    elif record.ended is not Ended.WELL and not record.idle:
        record, seen = yield from resolve(record, present)
        if seen is not None and seen.status != UNKNOWN and seen.phase is Phase.ACTIVE:
            yield from cancel_old(record, seen, present)
            if present.chooses and present.cancel:
                # Runs that complete while the batch stops must not be submitted again.
                seen = yield from until_ended(record, seen, present)
        if seen is not None:
            yield from stop_stragglers(seen, present)
    answer = yield from Say(INFO, "Starting afresh")
    return (yield from _start_afresh(present, answer.now, record, seen, cleared=True))


def _start_afresh(
    present: Present,
    now: float,
    before: AttemptRecord | None,
    seen: Snapshot | None = None,
    *,
    cleared: bool = False,
    compared: bool = False,
) -> Flow[Begun]:
    """Make a new attempt.

    :param before: the record that it replaces.
    :param seen: its run or batch, as far as it was looked at.
    :param cleared: a user cleared the task.
    :param compared: what it takes the place of has ended well: only what is new or changed is submitted.
    """
    record = AttemptRecord(
        request_id=present.new_request_id,
        fingerprint=present.fingerprint,
        first_try=present.try_number,
        owner_try=present.try_number,
        max_tries=present.max_tries,
        requested_at=now,
        tagged=present.tagged,
        name_hash=present.name_hash,
        resolved=present.resolved,
        settings_etag=present.settings_etag,
    )
    if before is not None:
        record = record.following(before, cleared=cleared)
    has_known = record.previous_request_id is not None or present.has_earlier
    if not (compared or (present.chooses and has_known)):
        return (yield from _start(record, present))
    record = replace(record, chosen=True, compared=compared)
    answer = yield from Choose(record)
    if answer.value:
        is_canary = answer.value == Choice.CANARY
        return (yield from _start(replace(record, requested_at=answer.now, canary=is_canary), present))
    yield from Say(WARNING, "Nothing is left to submit: nothing is started; rerun='all' forces it")
    attempts, last_id = (1, None) if before is None else (before.attempts, before.resource_id)
    record = replace(
        record,
        idle=True,
        attempts=attempts,
        resource_id=last_id or record.previous_id,
        resource_uuid=None if before is None else before.resource_uuid,
    )
    yield from Save(record)
    return Begun(record, seen or WaitPlan(present.kind, record.resource_id or "", record.resource_uuid).unseen())


def _start(record: AttemptRecord, present: Present) -> Flow[Begun]:
    """Save the request id, send the request until it is answered, save the run's id."""
    yield from Save(record)
    trouble = Patience(present.patience, FIRST_BACK_OFF)
    while True:
        answer = yield from Start(record)
        started = answer.value
        if not isinstance(started, ServiceError):
            break
        unreachable = isinstance(started, Unavailable) and started.is_unreachable
        trouble = trouble.failed(answer.now, unreachable=unreachable)
        if isinstance(started, Conflict):
            # The id is taken, by our own earlier request unless the service calls something else a conflict.
            found = yield from search(record, present)
            if found is None:
                raise started
            started = found
            break
        if not isinstance(started, Unavailable) or trouble.is_over(answer.now):
            raise started
        if isinstance(started, CredentialsExpired) and trouble.failures > CREDENTIAL_TRIES:
            raise started
        if trouble.is_told(answer.now):
            left = present.patience - trouble.spent(answer.now)
            yield from Say(WARNING, f"{started}; sending the same request again for up to {left:.0f} s")
        woken = yield from Sleep(trouble.last_pause(answer.now))
        if woken.now - record.requested_at > REQUEST_ID_MEMORY:
            found = yield from search(record, present)
            if found is not None:
                started = found
                break
    record = replace(record, resource_id=started.id, resource_uuid=started.uuid)
    yield from Save(record)
    return Begun(record, started)
