"""Exactly once: the record of an attempt, and what a new try does with what an earlier one left.

A task may die at any instruction and come back as another try, on another machine, hours later. Before anything is
sent, its request id is saved; :func:`begin` decides from that record, and from what HealthOmics says, whether to start,
to adopt what is going, or to return what has ended. Like :mod:`airflow_provider_omics.core.wait.flow` it is a
generator: whoever drives it does the I/O, and may die between any two of its steps.

What the service answers to a repeated request id, and how long it remembers one, is not documented: the same run coming
back and a ConflictException are both handled, and after :data:`~.earlier_attempts.REQUEST_ID_MEMORY` nothing is sent
again without a search.

Cleared means that Airflow's ``max_tries`` of the task is another than the recorded one. A clear sets it to the task's
try number plus its ``retries`` (``clear_task_instances``); if ``retries`` was lowered before by as many as there were
tries, it stays what it was, and the clear is taken for a retry. The DAG run's ``clear_number`` cannot tell them apart:
from Airflow 3.2 on it grows with a clear of any task of the DAG run, while others are going or about to be retried, and
nothing tells a task how its earlier tries have ended. What nobody has cleared must not be cancelled.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from airflow_provider_omics.core.attempt.earlier import (
    REQUEST_ID_MEMORY,
    back_off,
    cancel_old,
    end_cancelled,
    let_stop,
    resolve,
    search,
    stop_stragglers,
    until_ended,
)
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended, Present
from airflow_provider_omics.core.commands import (
    INFO,
    WARNING,
    AttemptAnswer,
    AttemptCommand,
    Choose,
    IsSuccess,
    Save,
    Say,
    Sleep,
    Start,
)
from airflow_provider_omics.core.errors import (
    Conflict,
    CredentialsExpired,
    ServiceError,
    Unavailable,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase
from airflow_provider_omics.core.wait.plan import WaitPlan

CREDENTIAL_TRIES = 3
"""Starts tried with credentials that are refused; waiting longer does not make wrong ones right."""


@dataclass(frozen=True)
class Begun:
    """What a try has in hand after :func:`begin`.

    :param record: the attempt it owns now.
    :param snapshot: the run or batch: going, or ended.
    :param vanished: its record is gone and nothing tells how it ended; it is not started again.
    """

    record: AttemptRecord
    snapshot: Snapshot
    vanished: bool = False


AttemptFlow = Generator[AttemptCommand, AttemptAnswer, Begun]


def begin(record: AttemptRecord | None, present: Present, *, now: float) -> AttemptFlow:
    """Decide what a new try does, given the record that earlier tries left.

    :param record: the stored record; None: there is none.
    :param present: this try.
    :param now: seconds since the epoch.
    :return: a generator of commands; its return value says what the try has in hand.
    :raises ServiceError: a call was refused, or did not get through for ``patience``.
    :raises AttemptError: an earlier try left something that cannot be resolved; nothing was started.
    """
    if record is None:
        return (yield from _start_afresh(present, now, None))
    if record.max_tries != present.max_tries:
        return (yield from _after_clear(record, present))
    if not present.durable:
        yield Say(INFO, "durable is off: this try starts afresh")
        return (yield from _start_afresh(present, now, record))
    if record.idle:
        return (yield from _start_afresh(present, now, record))
    if record.fingerprint != present.fingerprint:
        yield Say(WARNING, "The settings have changed since the earlier try, whose attempt is resolved first")
    if record.ended is Ended.BADLY:
        seen = yield from end_cancelled(record, present)
        answer = yield Say(
            INFO, f"{present.kind} {record.resource_id} of try {record.owner_try} ended badly: a new one"
        )
        return (yield from _start_afresh(present, answer.now, record, seen))
    record, seen = yield from resolve(record, present)
    if seen is None:
        if record.fingerprint == present.fingerprint:
            return (yield from _start(replace(record, owner_try=present.try_number), present))
        yield Say(INFO, "Nothing came of the earlier request; it is not sent with other settings: a new one")
        answer = yield Save(record)
        return (yield from _start_afresh(present, answer.now, record))
    if seen.phase is Phase.ACTIVE and seen.status != UNKNOWN:
        yield Say(INFO, f"Adopting {present.kind} {seen.id} of try {record.owner_try}: {seen.status}")
        record = replace(record, owner_try=present.try_number, ended=None)
        yield Save(record)
        seen = yield from let_stop(record, seen, present)
    if seen.status == UNKNOWN or seen.phase is Phase.DELETED:
        return Begun(record, seen, vanished=True)
    if seen.phase is Phase.ACTIVE:
        return Begun(record, seen)
    answer = yield IsSuccess(seen)
    if answer.judged:
        yield Say(INFO, f"{present.kind} {seen.id} of try {record.owner_try} has ended well: its result is used")
        return Begun(replace(record, owner_try=present.try_number), seen)
    yield from stop_stragglers(seen, present)
    yield Say(INFO, f"{present.kind} {seen.id} of try {record.owner_try} is {seen.status}: starting a new one")
    return (yield from _start_afresh(present, answer.now, record, seen))


def _after_clear(record: AttemptRecord, present: Present) -> AttemptFlow:
    yield Say(INFO, f"The task was cleared; resolving the attempt of try {record.owner_try} first")
    seen: Snapshot | None = None
    if record.ended is Ended.BADLY:
        seen = yield from end_cancelled(record, present)
    elif record.ended is not Ended.WELL and not record.idle:
        record, seen = yield from resolve(record, present)
        if seen is not None and seen.status != UNKNOWN and seen.phase is Phase.ACTIVE:
            yield from cancel_old(record, seen, present)
            if present.chooses and present.cancel:
                # What completes while the batch stops must not be submitted again.
                seen = yield from until_ended(record, seen, present)
        if seen is not None:
            yield from stop_stragglers(seen, present)
    answer = yield Say(INFO, "Starting afresh")
    return (yield from _start_afresh(present, answer.now, record, seen, cleared=True))


def _start_afresh(
    present: Present,
    now: float,
    before: AttemptRecord | None,
    seen: Snapshot | None = None,
    *,
    cleared: bool = False,
) -> AttemptFlow:
    """Make a new attempt.

    :param before: the record that it takes the place of.
    :param seen: what that had started, as far as it was looked at.
    :param cleared: a user cleared the task.
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
    )
    if before is not None:
        record = record.following(before, cleared=cleared)
    if not present.chooses or (record.previous_request_id is None and not present.has_earlier):
        return (yield from _start(record, present))
    record = replace(record, chosen=True)
    answer = yield Choose(record)
    if answer.judged:
        return (yield from _start(replace(record, requested_at=answer.now), present))
    yield Say(WARNING, "Nothing is left to submit: nothing is started; rerun='all' forces it")
    attempts, last_id = (1, None) if before is None else (before.attempts, before.resource_id)
    record = replace(
        record,
        idle=True,
        attempts=attempts,
        resource_id=last_id or record.previous_id,
        resource_uuid=None if before is None else before.resource_uuid,
    )
    yield Save(record)
    return Begun(record, seen or WaitPlan(present.kind, record.resource_id or "", record.resource_uuid).unseen())


def _start(record: AttemptRecord, present: Present) -> AttemptFlow:
    """Save the request id, send the request until it is answered, save the run's id."""
    yield Save(record)
    since: float | None = None
    failures = 0
    while True:
        answer = yield Start(record)
        started = answer.result
        if isinstance(started, (RunSnapshot, BatchSnapshot)):
            return (yield from _keep(record, started))
        assert isinstance(started, ServiceError)  # noqa: S101 - the only other answer to Start
        since = answer.now if since is None else since
        failures += 1
        if isinstance(started, Conflict):
            # The id is taken, by our own earlier request unless the service calls something else a conflict.
            found = yield from search(record, present)
            if found is not None:
                return (yield from _keep(record, found))
            raise started
        if not isinstance(started, Unavailable) or answer.now - since >= present.patience:
            raise started
        if isinstance(started, CredentialsExpired) and failures > CREDENTIAL_TRIES:
            raise started
        if failures == 1:
            yield Say(WARNING, f"{started}; sending the same request again for up to {present.patience:.0f} s")
        answer = yield Sleep(back_off(failures))
        if answer.now - record.requested_at > REQUEST_ID_MEMORY:
            found = yield from search(record, present)
            if found is not None:
                return (yield from _keep(record, found))


def _keep(record: AttemptRecord, started: Snapshot) -> AttemptFlow:
    record = replace(record, resource_id=started.id, resource_uuid=started.uuid)
    yield Save(record)
    return Begun(record, started)
