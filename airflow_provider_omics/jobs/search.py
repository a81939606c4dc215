"""The search for what was started: by a request whose answer was lost, and by tries whose record is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import islice
from typing import Any

from airflow_provider_omics.core.attempt.identity import (
    DEPLOYMENT_TAG,
    NAME_FIELDS,
    REQUEST_ID_TAG,
    TRY_NUMBER_TAG,
    TaskIdentity,
    generated_name,
    name_hash,
)
from airflow_provider_omics.core.attempt.record import AttemptRecord, EarlierStart
from airflow_provider_omics.core.errors import InvalidRequest, NotFound, ServiceError
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import BATCH_PHASES, RUN_PHASES, Phase
from airflow_provider_omics.hooks.omics import OmicsHook

CLOCK_SKEW = 300.0
"""Seconds by which the clocks of worker and AWS may differ when a started run is searched by its creation time."""


def find_started(
    hook: OmicsHook,
    kind: str,
    record: AttemptRecord,
    identity: TaskIdentity,
    request: Mapping[str, Any],
    *,
    is_tagged: bool,
) -> Snapshot | ServiceError | None:
    """Search the run or batch that a record's request has started, by the name it had then, and by its tag.

    :param hook: where to ask.
    :param kind: ``"run"`` or ``"batch"``.
    :param record: the attempt.
    :param identity: the task instance.
    :param request: the request of the present try.
    :param is_tagged: whether the attempt's request carries its request id as a tag.
    :return: the run or batch; None: nothing was started; an error: it cannot be searched.
    """
    name = request.get(NAME_FIELDS[kind])
    if record.name_hash is None:
        name = generated_name(kind, identity, record.request_id)
    elif not is_tagged:
        return InvalidRequest("ListRuns", "NotFindable", "a user's name and no tag do not tell it from others")
    elif name_hash(name) != record.name_hash:
        name = None  # the settings have changed: all are listed, and compared by the hash
    try:
        for item in hook.list_runs(name=name) if kind == "run" else hook.list_batches(name=name):
            created = item.get("creationTime") or item.get("createdAt")
            if created is not None and created.timestamp() < record.requested_at - CLOCK_SKEW:
                continue
            if name is None and name_hash(item.get("name")) != record.name_hash:
                continue
            found = _confirmed(hook, kind, item["id"], record)
            if found is not None:
                return found
    except ServiceError as error:
        return error
    return None


def _confirmed(hook: OmicsHook, kind: str, resource_id: str, record: AttemptRecord) -> Snapshot | None:
    """Look at a run or batch of the right name, and return it if it is ours."""
    try:
        response: Mapping[str, Any] = hook.get_run(resource_id) if kind == "run" else hook.get_batch(resource_id)
    except NotFound:
        return None  # removed since it was listed
    tagged = (response.get("tags") or {}).get(REQUEST_ID_TAG)
    if tagged != record.request_id and not (tagged is None and record.request_id in response.get("name", "")):
        return None
    read = RunSnapshot.from_response if kind == "run" else BatchSnapshot.from_response
    return read(response)


LISTED = 1000
"""Runs or batches that a list is read for; of more, those that are going are listed by status, as many of each."""

LOOKED_AT = 100
"""Runs or batches of this task's names whose tags are read, the newest first."""

OTHERS = 25
"""The same of other names that are going: the task's ``run_name`` may have been another."""


def find_earlier(
    hook: OmicsHook, kind: str, identity: TaskIdentity, try_number: int, name: str | None
) -> tuple[EarlierStart, ...] | ServiceError:
    """Search what earlier tries of a task instance have started, with no record of it: by names, confirmed by tags.

    :param hook: where to ask.
    :param kind: ``"run"`` or ``"batch"``.
    :param identity: the task instance.
    :param try_number: number of the present try: what later ones have started is theirs.
    :param name: the name that the user gives; None: a generated one.
    :return: what was started, ended or not; an error: it cannot be searched.
    """
    try:
        items = {item["id"]: item for item in _listed(hook, kind, name)}
        newest = sorted(items.values(), key=_created, reverse=True)
        named = [item for item in newest if _is_named(kind, identity, item.get("name"), name)]
        going = [item for item in newest if item not in named and _phase(kind, item) is Phase.ACTIVE]
        starts = (_earlier_start(hook, kind, identity, item["id"]) for item in [*named[:LOOKED_AT], *going[:OTHERS]])
        return tuple(start for start in starts if start is not None and start.try_number < try_number)
    except ServiceError as error:
        return error


def _listed(hook: OmicsHook, kind: str, name: str | None) -> Iterator[Mapping[str, Any]]:
    read = hook.list_runs if kind == "run" else hook.list_batches
    if name is not None:
        yield from islice(read(name=name), LISTED)
    count = 0
    for item in islice(read(), LISTED):
        count += 1
        yield item
    if count == LISTED:
        phases = RUN_PHASES if kind == "run" else BATCH_PHASES
        for status in (status for status, phase in phases.items() if phase is Phase.ACTIVE):
            yield from islice(read(status=str(status.value if isinstance(status, Enum) else status)), LISTED)


def _is_named(kind: str, identity: TaskIdentity, found: str | None, name: str | None) -> bool:
    request_id = (found or "")[-36:]  # a uuid
    return found is not None and found in (name, generated_name(kind, identity, request_id))


def _created(item: Mapping[str, Any]) -> float:
    created = item.get("creationTime") or item.get("createdAt")
    return 0.0 if created is None else float(created.timestamp())


def _phase(kind: str, item: Mapping[str, Any]) -> Phase:
    cls = RunSnapshot if kind == "run" else BatchSnapshot
    return cls(item["id"], item["status"]).phase


def _earlier_start(hook: OmicsHook, kind: str, identity: TaskIdentity, resource_id: str) -> EarlierStart | None:
    """Look at a run or batch; None: another task has started it."""
    try:
        response: Mapping[str, Any] = hook.get_run(resource_id) if kind == "run" else hook.get_batch(resource_id)
    except NotFound:
        return None  # removed since it was listed
    tags = response.get("tags") or {}
    request_id, tried = tags.get(REQUEST_ID_TAG), tags.get(TRY_NUMBER_TAG, "")
    ours = {**identity.tags(), DEPLOYMENT_TAG: identity.deployment}
    # A run of a batch has the tags of the task, too, and no request id.
    if request_id is None or not tried.isdecimal() or any(tags.get(key, "") != value for key, value in ours.items()):
        return None
    read = RunSnapshot.from_response if kind == "run" else BatchSnapshot.from_response
    name = response.get("name")
    own_name = None if name == generated_name(kind, identity, request_id) else name_hash(name)
    return EarlierStart(request_id, int(tried), _created(response), read(response), own_name)
