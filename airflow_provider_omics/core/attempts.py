"""Exactly once: the record of an attempt, and what a new try does with what an earlier one left.

A task may die at any instruction and come back as another try, on another machine, hours later. Before anything is
sent, its request id is saved; :func:`begin` decides from that record, and from what HealthOmics says, whether to start,
to adopt what is going, or to return what has ended. It is a generator as the wait of
:mod:`airflow_provider_omics.core.polling` is: whoever drives it does the I/O, and may die between any two of its steps.

What the service answers to a repeated request id, and how long it remembers one, is not documented: the same run coming
back and a ConflictException are both handled, and after :data:`REQUEST_ID_MEMORY` nothing is sent again without a
search.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

from airflow_provider_omics.core.attempt_record import AttemptRecord, Ended, Present
from airflow_provider_omics.core.cancelling import cancel, cancel_stragglers
from airflow_provider_omics.core.commands import (
    INFO,
    UNKNOWN,
    WARNING,
    Answer,
    Command,
    Look,
    Say,
    Sleep,
    WaitPlan,
)
from airflow_provider_omics.core.errors import (
    AttemptError,
    Conflict,
    CredentialsExpired,
    NotFound,
    ServiceError,
    Unavailable,
)
from airflow_provider_omics.core.polling import LONGEST_BACK_OFF, SECOND_LOOK, read_manifest
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase

REQUEST_ID_MEMORY = 600.0
"""Seconds for which the service is trusted to remember a request id; its real memory is not documented."""

FIRST_BACK_OFF = 2.0
"""Seconds before a start that failed is sent again, doubled each time."""

LIST_LAG = 10.0
"""Seconds that a started run may be missing from lists; a search that found nothing is repeated after it."""

SETTLE = 10.0
"""Seconds that a new attempt waits for the batch before it to end; what a partial cancel leaves is cancelled then."""

STOPPING_LOOKS = 60
"""Looks, one each :data:`SETTLE`, at what an earlier try left stopping; after 10 minutes it is adopted as it is."""

SEARCHES = 2
"""Searches without a find before a request counts as never arrived."""

CREDENTIAL_TRIES = 3
"""Starts tried with credentials that are refused; waiting longer does not make wrong ones right."""


@dataclass(frozen=True)
class Save:
    """Save the record, before the next step; answered when it is stored."""

    record: AttemptRecord


@dataclass(frozen=True)
class Start:
    """Send the record's request (StartRun, StartRunBatch); answered with a snapshot or a ServiceError."""

    record: AttemptRecord


@dataclass(frozen=True)
class Find:
    """Search the run or batch of the record by its name and tag; answered with a snapshot, None, or a ServiceError."""

    record: AttemptRecord


@dataclass(frozen=True)
class IsSuccess:
    """Judge what has ended; answered with True or False in ``Answer.judged``."""

    snapshot: Snapshot


@dataclass(frozen=True)
class Choose:
    """Choose the samples of the record's attempt, and keep the choice; answered in ``judged``: whether any is left."""

    record: AttemptRecord


AttemptCommand = Command | Save | Start | Find | IsSuccess | Choose


@dataclass(frozen=True)
class AttemptAnswer(Answer):
    """An answer that may also hold a judgement.

    :param judged: for IsSuccess and Choose.
    """

    judged: bool = False


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
        yield Say(INFO, f"{present.kind} {record.resource_id} of try {record.owner_try} ended badly: a new one")
        return (yield from _start_afresh(present, now, record))
    record, seen = yield from _resolve(record, present)
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
        seen = yield from _stopped(record, seen, present)
    if seen.status == UNKNOWN or seen.phase is Phase.DELETED:
        return Begun(record, seen, vanished=True)
    if seen.phase is Phase.ACTIVE:
        return Begun(record, seen)
    answer = yield IsSuccess(seen)
    if answer.judged:
        yield Say(INFO, f"{present.kind} {seen.id} of try {record.owner_try} has ended well: its result is used")
        return Begun(replace(record, owner_try=present.try_number), seen)
    yield from _stop_stragglers(seen, present)
    yield Say(INFO, f"{present.kind} {seen.id} of try {record.owner_try} is {seen.status}: starting a new one")
    return (yield from _start_afresh(present, answer.now, record, seen))


def _stopped(
    record: AttemptRecord, seen: Snapshot, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, Snapshot]:
    """Let what is stopping come to its end, before it is judged; what goes on is given back as it is.

    Stopping is the end of a run that completes as well as of one that was cancelled: only its last status tells. A task
    that was cleared while it ran on a worker comes back like this when Airflow has lost the clear.
    """
    looks = 0
    while seen.status == "STOPPING" and looks < STOPPING_LOOKS:
        if not looks:
            yield Say(INFO, f"{present.kind} {seen.id} is stopping: its end is waited for")
        yield Sleep(SETTLE)
        seen = yield from _look(present, seen.id, record.resource_uuid)
        looks += 1
    return seen


def _after_clear(record: AttemptRecord, present: Present) -> AttemptFlow:
    answer = yield Say(INFO, f"The task was cleared; resolving the attempt of try {record.owner_try} first")
    seen: Snapshot | None = None
    if record.ended in (None, Ended.LOST) and not record.idle:
        record, seen = yield from _resolve(record, present)
    if seen is not None and seen.status != UNKNOWN and seen.phase is Phase.ACTIVE:
        yield from _cancel_old(record, seen, present)
        if present.chooses and present.cancel:
            # What completes while the batch stops must not be submitted again.
            seen = yield from _until_ended(record, seen, present)
    if seen is not None:
        yield from _stop_stragglers(seen, present)
    answer = yield Say(INFO, "Starting afresh")
    return (yield from _start_afresh(present, answer.now, record, seen, cleared=True))


def _stop_stragglers(seen: Snapshot, present: Present) -> Generator[AttemptCommand, AttemptAnswer, None]:
    """Cancel what a batch that FAILED, or whose cancel was partial, has left going: it would be paid twice."""
    if not isinstance(seen, BatchSnapshot) or seen.phase is Phase.ACTIVE or not present.cancel:
        return
    if seen.phase is Phase.FAILED or seen.count("failed_cancels"):
        yield from cancel_stragglers(seen.id)


def _until_ended(
    record: AttemptRecord, seen: Snapshot, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, Snapshot | None]:
    since: float | None = None
    while True:
        answer = yield Look(present.kind, seen.id)
        since = answer.now if since is None else since
        if isinstance(answer.result, NotFound):
            return None
        if isinstance(answer.result, (RunSnapshot, BatchSnapshot)):
            seen = answer.result
            if seen.phase is not Phase.ACTIVE:
                return seen
        elif isinstance(answer.result, ServiceError) and not isinstance(answer.result, Unavailable):
            raise answer.result
        if answer.now - since >= present.patience:
            raise AttemptError(
                f"{present.kind} {seen.id} of try {record.owner_try} was cancelled and is still {seen.status}; what "
                "completes of it must not be submitted again: clear the task again once it has ended.",
                request_id=record.request_id,
                resource_id=seen.id,
            )
        if answer.now == since:
            yield Say(INFO, f"Waiting for the end of {present.kind} {seen.id}: {seen.status}")
        yield Sleep(LIST_LAG)


def _cancel_old(
    record: AttemptRecord, seen: Snapshot, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, None]:
    if not present.cancel:
        yield Say(WARNING, f"{present.kind} {seen.id} is left going, as cancel_on_kill is off")
        return
    if seen.status == "STOPPING":
        yield Say(INFO, f"{present.kind} {seen.id} is already stopping")
        return
    left = yield from cancel(WaitPlan(present.kind, seen.id, seen.uuid), patience=present.patience, settle=SETTLE)
    if isinstance(left, (RunSnapshot, BatchSnapshot)) and left.phase is Phase.ACTIVE:
        raise AttemptError(
            f"The task was cleared, but {present.kind} {seen.id} of try {record.owner_try} could not be cancelled, and "
            "a second one beside it would be paid twice: cancel it, or set cancel_on_kill=False, and clear again.",
            request_id=record.request_id,
            resource_id=seen.id,
        )


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
            found = yield from _search(record, present)
            if found is not None:
                return (yield from _keep(record, found))
            raise started
        if not isinstance(started, Unavailable) or answer.now - since >= present.patience:
            raise started
        if isinstance(started, CredentialsExpired) and failures > CREDENTIAL_TRIES:
            raise started
        if failures == 1:
            yield Say(WARNING, f"{started}; sending the same request again for up to {present.patience:.0f} s")
        answer = yield Sleep(_back_off(failures))
        if answer.now - record.requested_at > REQUEST_ID_MEMORY:
            found = yield from _search(record, present)
            if found is not None:
                return (yield from _keep(record, found))


def _keep(record: AttemptRecord, started: Snapshot) -> AttemptFlow:
    record = replace(record, resource_id=started.id, resource_uuid=started.uuid)
    yield Save(record)
    return Begun(record, started)


def _resolve(
    record: AttemptRecord, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, tuple[AttemptRecord, Snapshot | None]]:
    """Find out what became of the recorded attempt.

    Returns the record, and what it started: None when nothing did, status UNKNOWN when it is gone and nothing tells
    how it ended.
    """
    if record.resource_id is None:
        found = yield from _search(record, present)
        if found is None:
            return record, None
        record = replace(record, resource_id=found.id, resource_uuid=found.uuid)
        yield Save(record)
        return record, found
    seen = yield from _look(present, record.resource_id, record.resource_uuid)
    return record, seen


def _look(present: Present, resource_id: str, uuid: str | None) -> Generator[AttemptCommand, AttemptAnswer, Snapshot]:
    """Look at what the record names, until there is an answer; status UNKNOWN means gone without a trace."""
    since: float | None = None
    failures = 0
    doubted = False
    while True:
        answer = yield Look(present.kind, resource_id)
        seen = answer.result
        if isinstance(seen, (RunSnapshot, BatchSnapshot)) and (not uuid or not seen.uuid or uuid == seen.uuid):
            return seen
        if isinstance(seen, Unavailable):
            since = answer.now if since is None else since
            failures += 1
            yield from _bear(seen, since, failures, answer.now, present)
        elif isinstance(seen, ServiceError) and not isinstance(seen, NotFound):
            raise seen
        elif not doubted:
            doubted = True
            yield Sleep(SECOND_LOOK)
        else:
            break
    if present.kind == "batch":
        return BatchSnapshot(resource_id, UNKNOWN, uuid)
    manifest = yield from read_manifest(resource_id, uuid)
    return manifest if isinstance(manifest, RunSnapshot) else RunSnapshot(resource_id, UNKNOWN, uuid)


def _search(record: AttemptRecord, present: Present) -> Generator[AttemptCommand, AttemptAnswer, Snapshot | None]:
    """Search by name and tag, twice, as lists may lag; None: nothing came of the request.

    Where no search is possible (no permission to list, or nothing that tells the run from others), the same request may
    be sent again while the service remembers its id; later, or with other settings, nobody knows what that would do.
    """
    since: float | None = None
    failures = misses = 0
    while True:
        answer = yield Find(record)
        found = answer.result
        if isinstance(found, (RunSnapshot, BatchSnapshot)):
            return found
        if found is None:
            misses += 1
            if misses == SEARCHES:
                return None
            yield Sleep(LIST_LAG)
        elif isinstance(found, Unavailable):
            since = answer.now if since is None else since
            failures += 1
            yield from _bear(found, since, failures, answer.now, present)
        elif record.max_tries != present.max_tries or (
            record.fingerprint == present.fingerprint and answer.now - record.requested_at <= REQUEST_ID_MEMORY
        ):
            yield Say(WARNING, f"The earlier request cannot be searched for ({found}); going on without")
            return None
        else:
            raise AttemptError(
                f"The start request {record.request_id} of try {record.owner_try} was never answered, and what became "
                f"of it cannot be found out: {found}. Look for its {present.kind} in the console, then clear the task.",
                request_id=record.request_id,
            ) from found


def _bear(
    error: Unavailable, since: float, failures: int, now: float, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, None]:
    if now - since >= present.patience:
        raise error
    if failures == 1:
        yield Say(WARNING, f"{error}; going on for up to {present.patience:.0f} s")
    yield Sleep(_back_off(failures))


def _back_off(failures: int) -> float:
    return min(FIRST_BACK_OFF * 2.0 ** min(failures - 1, 16), LONGEST_BACK_OFF)
