"""The search for the run or batch of a start request whose answer was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_omics.core.attempt.identity import (
    NAME_FIELDS,
    REQUEST_ID_TAG,
    TaskIdentity,
    generated_name,
    name_hash,
)
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.errors import InvalidRequest, NotFound, ServiceError
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
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
