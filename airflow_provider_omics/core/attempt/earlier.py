"""What became of the attempt that an earlier try left, and how it is brought to its end before another starts."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from airflow_provider_omics.core.attempt.record import AttemptRecord, Present
from airflow_provider_omics.core.commands import (
    INFO,
    WARNING,
    AttemptAnswer,
    AttemptCommand,
    Find,
    Look,
    Save,
    Say,
    Sleep,
)
from airflow_provider_omics.core.errors import (
    AttemptError,
    NotFound,
    ServiceError,
    Unavailable,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase
from airflow_provider_omics.core.wait.cancel import cancel, cancel_stragglers, has_stragglers
from airflow_provider_omics.core.wait.flow import LIST_LAG, LONGEST_BACK_OFF, SECOND_LOOK, read_manifest
from airflow_provider_omics.core.wait.plan import WaitPlan

REQUEST_ID_MEMORY = 600.0
"""Seconds for which the service is trusted to remember a request id; its real memory is not documented."""

FIRST_BACK_OFF = 2.0
"""Seconds before a start that failed is sent again, doubled each time."""

SETTLE = 10.0
"""Seconds that a new attempt waits for the batch before it to end; what a partial cancel leaves is cancelled then."""

STOPPING_LOOKS = 60
"""Looks, one each :data:`SETTLE`, at what an earlier try left stopping; after 10 minutes it is adopted as it is."""

SEARCHES = 2
"""Searches without a find before a request counts as never arrived."""


def resolve(
    record: AttemptRecord, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, tuple[AttemptRecord, Snapshot | None]]:
    """Find out what became of the recorded attempt.

    :param record: it.
    :param present: this try.
    :return: the record, and what it started: None when nothing did, status UNKNOWN when it is gone and nothing tells
        how it ended.
    :raises ServiceError: a call was refused, or did not get through for ``patience``.
    :raises AttemptError: see :func:`search`.
    """
    if record.resource_id is None:
        found = yield from search(record, present)
        if found is None:
            return record, None
        record = replace(record, resource_id=found.id, resource_uuid=found.uuid)
        yield Save(record)
        return record, found
    seen = yield from _look(present, record.resource_id, record.resource_uuid)
    return record, seen


def search(record: AttemptRecord, present: Present) -> Generator[AttemptCommand, AttemptAnswer, Snapshot | None]:
    """Search by name and tag, twice, as lists may lag; None: nothing came of the request.

    Where no search is possible (no permission to list, or nothing that tells the run from others), the same request may
    be sent again while the service remembers its id; later, or with other settings, nobody knows what that would do.

    :param record: the attempt.
    :param present: this try.
    :return: what the request started, or None.
    :raises AttemptError: no search is possible, and the request can not be sent again either.
    :raises ServiceError: no list got through for ``patience``.
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


def let_stop(
    record: AttemptRecord, seen: Snapshot, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, Snapshot]:
    """Let what is stopping come to its end, before it is judged; what goes on is given back as it is.

    Stopping is the end of a run that completes as well as of one that was cancelled: only its last status tells. A task
    that was cleared while it ran on a worker comes back like this when Airflow has lost the clear.

    :param record: the attempt.
    :param seen: what it started, as last seen.
    :param present: this try.
    :return: what it started, as seen now.
    """
    looks = 0
    while seen.status == "STOPPING" and looks < STOPPING_LOOKS:
        if not looks:
            yield Say(INFO, f"{present.kind} {seen.id} is stopping: its end is waited for")
        yield Sleep(SETTLE)
        seen = yield from _look(present, seen.id, record.resource_uuid)
        looks += 1
    return seen


def until_ended(
    record: AttemptRecord, seen: Snapshot, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, Snapshot]:
    """Wait for the end of what was cancelled.

    :param record: the attempt.
    :param seen: what it started, as last seen.
    :param present: this try.
    :return: it, ended; status UNKNOWN: its record is gone.
    :raises AttemptError: it goes on after ``patience``.
    :raises ServiceError: a call was refused, or did not get through for ``patience``.
    """
    answer = yield Say(INFO, f"Waiting for the end of {present.kind} {seen.id}")
    since = answer.now
    stragglers_stopped = False
    while True:
        seen = yield from _look(present, seen.id, record.resource_uuid)
        if seen.phase is not Phase.ACTIVE or seen.status == UNKNOWN:
            return seen
        if isinstance(seen, BatchSnapshot) and has_stragglers(seen) and not stragglers_stopped:
            yield from stop_stragglers(seen, present)  # the batch may wait for their end
            stragglers_stopped = True
        if answer.now - since >= present.patience:
            raise AttemptError(
                f"{present.kind} {seen.id} of try {record.owner_try} was cancelled and is still {seen.status}; what "
                "completes of it must not be submitted again: clear the task again once it has ended.",
                request_id=record.request_id,
                resource_id=seen.id,
            )
        answer = yield Sleep(LIST_LAG)


def end_cancelled(record: AttemptRecord, present: Present) -> Generator[AttemptCommand, AttemptAnswer, Snapshot | None]:
    """Let a batch that ended badly come to its end: that is recorded when a cancel is accepted, and its runs go on.

    A run that is stopping is left alone: there is nothing of it that a new one could do without.

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
            # What completes while it stops must not be submitted again.
            seen = yield from until_ended(record, seen, present)
    except Unavailable:
        raise
    except ServiceError as error:
        # Its end is on record: that nobody may look at it any more is no reason never to start again.
        yield Say(WARNING, f"Whether runs of batch {record.resource_id} are still stopping is not to be seen: {error}")
        return None
    if isinstance(seen, BatchSnapshot) and (seen.phase is not Phase.FAILED or seen.runs_going):
        yield from stop_stragglers(seen, present)
    return seen


def cancel_old(
    record: AttemptRecord, seen: Snapshot, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, None]:
    """Cancel what an earlier try left going, so that nothing is paid twice; with ``cancel_on_kill`` off, leave it.

    :param record: the attempt.
    :param seen: what it started, as last seen.
    :param present: this try.
    :raises AttemptError: it could not be cancelled.
    :raises ServiceError: the cancel was refused.
    """
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


def stop_stragglers(seen: Snapshot, present: Present) -> Generator[AttemptCommand, AttemptAnswer, None]:
    """Cancel what a batch that FAILED, or whose cancel was partial, has left going: it would be paid twice.

    :param seen: what the earlier attempt started.
    :param present: this try.
    """
    if isinstance(seen, BatchSnapshot) and has_stragglers(seen) and present.cancel:
        yield from cancel_stragglers(seen.id)


def _bear(
    error: Unavailable, since: float, failures: int, now: float, present: Present
) -> Generator[AttemptCommand, AttemptAnswer, None]:
    if now - since >= present.patience:
        raise error
    if failures == 1:
        yield Say(WARNING, f"{error}; going on for up to {present.patience:.0f} s")
    yield Sleep(back_off(failures))


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(FIRST_BACK_OFF * 2.0 ** min(failures - 1, 16), LONGEST_BACK_OFF)
