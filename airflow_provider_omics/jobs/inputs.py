"""Checking that the inputs of runs are there, before anything is started and paid for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import islice
from typing import Any

from airflow_provider_omics.core.errors import AccessDenied, NotFound, SettingsError
from airflow_provider_omics.core.inputs import (
    MAY_BE_ARCHIVED,
    DistinctInputs,
    InputState,
    Place,
    RunInputs,
    input_digests,
    input_problems,
    place_of,
    state_of_object,
)
from airflow_provider_omics.core.uris import S3Address
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import LIST_PAGE, S3Store

PARALLEL_LOOKS = 32
"""Objects looked at at a time: a look takes about 20 ms, nearly all of it latency."""

LOOKS_BELOW = 100
"""Objects below an input that are looked at one by one: those in classes that may be archived, of the first page of a
list (1,000 keys). More would make one input as dear as a cohort."""

MAX_PAGES = 10
"""Pages of a list in which keys are looked for that a pattern fits."""

CHUNK = 1_000
"""Inputs handed to the threads at once: the queue stays small."""


def check_inputs(
    runs: Callable[[], Iterable[RunInputs]],
    hook: OmicsHook,
    log: Any,
    *,
    role_arn: str | None = None,
    networking_mode: str | None = None,
    needed_until: datetime | None = None,
    mask: bool = False,
) -> dict[str, str]:
    """Look up every distinct ``s3://`` input of the runs, once.

    :param runs: returns a stream of the runs' values; called a second time to name those with missing inputs.
    :param hook: the hook whose connection is used.
    :param log: the task's logger.
    :param role_arn: the role to assume for it; an input that it may not read is an error. None: as the connection;
        inputs that it may not read are left unchecked, with one warning.
    :param networking_mode: of the runs. Web addresses cause a warning unless it is VPC.
    :param needed_until: when a restored copy of an archived object may go. Default: any time.
    :param mask: whether only the bucket of a URI is shown.
    :return: ``runSettingId`` -> hash of its inputs' ETags, see
        :func:`airflow_provider_omics.core.inputs.input_digests`.
    :raises SettingsError: inputs that are missing, archived, or denied to the role; at most 50 problems.
    :raises ServiceError: S3 or STS did not answer, or the role could not be assumed.
    """
    inputs = DistinctInputs(runs())
    objects = InputObjects(hook, role_arn, needed_until=needed_until)
    states = _looked_up(inputs, objects)
    if inputs.web_addresses and networking_mode != "VPC":
        log.warning(
            "%d inputs are addresses of the web, the first is %s: runs reach it only with networkingMode VPC",
            inputs.web_addresses,
            inputs.first_web_address,
        )
    for kind, count in inputs.unreadable.items():
        log.warning("%d inputs are %s; the first is %s", count, kind, inputs.first_unreadable[kind])
    if objects.unsure:
        log.warning(
            "%d patterns fit none of the first %d objects that begin like them; more are not looked at",
            objects.unsure,
            LIST_PAGE * MAX_PAGES,
        )
    denied = sum(state is InputState.DENIED for state in states.values())
    if denied and role_arn is None:
        log.warning(
            "%d of %d inputs are not checked: the connection may not look at them; check_role_arn names who may",
            denied,
            len(inputs),
        )
    named = runs() if states else ()
    problems = input_problems(
        named, states, malformed=inputs.malformed, below=objects.below, role_arn=role_arn, mask=mask
    )
    if problems:
        raise SettingsError(problems)
    log.info("%d inputs in S3 are looked up", len(inputs) - denied)
    return input_digests(runs(), objects.etags, states)


def inputs_of_now(
    runs: Callable[[], Iterable[RunInputs]], hook: OmicsHook, *, role_arn: str | None = None
) -> dict[str, str]:
    """Look up the inputs of runs of which some have completed: what is gone since is no problem.

    :param runs: returns a stream of the runs' values.
    :param hook: the hook whose connection is used.
    :param role_arn: the role to assume for it. Default: as the connection.
    :return: as :func:`check_inputs`.
    :raises ServiceError: S3 or STS did not answer, or the role could not be assumed.
    """
    objects = InputObjects(hook, role_arn)
    states = _looked_up(DistinctInputs(runs()), objects)
    return input_digests(runs(), objects.etags, states)


def _looked_up(inputs: DistinctInputs, objects: InputObjects) -> dict[str, InputState]:
    """Look up all inputs; returns the states of those that were not found."""
    states: dict[str, InputState] = {}
    uris = iter(inputs)
    with ThreadPoolExecutor(PARALLEL_LOOKS, thread_name_prefix="check-inputs") as pool:
        while chunk := list(islice(uris, CHUNK)):
            found = zip(chunk, pool.map(objects.look, chunk), strict=True)
            states.update((uri, state) for uri, state in found if state is not InputState.FOUND)
    return states


class InputObjects:
    """Looks up whether objects in S3 can be read; may be asked by several threads.

    :param hook: the hook whose connection is used.
    :param role_arn: a role to assume first; None: as the connection.
    :param needed_until: when a restored copy may go. Default: any time.
    :raises ServiceError: the role could not be assumed.
    """

    def __init__(self, hook: OmicsHook, role_arn: str | None = None, *, needed_until: datetime | None = None) -> None:
        self.below: dict[str, str] = {}
        """URI -> the first object that is archived below it, or that begins like a missing one."""
        self.etags: dict[str, str] = {}
        """URI -> S3's mark of its version, of the objects that were found."""
        self.unsure = 0
        """Patterns of which too many keys would have to be listed."""
        self._needed_until = needed_until
        self._store = S3Store(hook, threads=PARALLEL_LOOKS, role_arn=role_arn)
        self._store.connect()

    def look(self, uri: str) -> InputState:
        """Look at an object, or at the keys that begin like it.

        Of keys that begin like it the first 1,000 are listed, 10,000 for a pattern, and up to 100 of them, in storage
        classes that may be archived, looked at: the input is archived if one of them is. An index beside a file
        (``S1.bam.bai``) does not stand for the file.

        :param uri: ``s3://bucket/key``, or the beginning of keys: ``s3://bucket/prefix/``, ``s3://bucket/*.bam``.
        :return: S3's answer. DENIED where the caller may not know.
        :raises ServiceError: the call did not get through, or was refused for another reason.
        """
        place = place_of(uri)
        try:
            try:
                if place.key and not place.key.endswith("/"):
                    return self._object(place.bucket, place.key, uri)
            except NotFound:
                pass
            return self._below(place, uri)
        except NotFound:
            return InputState.MISSING  # the bucket
        except AccessDenied:
            return InputState.DENIED

    def _object(self, bucket: str, key: str, uri: str | None = None) -> InputState:
        answer = self._store.head(S3Address(bucket, key).uri)
        if uri is not None:
            self.etags[uri] = answer["ETag"]
        return state_of_object(answer, self._needed_until)

    def _below(self, place: Place, uri: str) -> InputState:
        listed: list[Mapping[str, Any]] = []
        for page in range(MAX_PAGES if place.is_pattern else 1):
            after = listed[-1]["Key"] if page else ""
            found = self._store.list_objects(S3Address(place.bucket, place.prefix).uri, LIST_PAGE, after=after)
            listed += found
            if len(found) < LIST_PAGE or any(place.names(item["Key"], folders=True) for item in found):
                break
        else:
            self.unsure += place.is_pattern
        may_be_archived = (item["Key"] for item in listed if item.get("StorageClass") in MAY_BE_ARCHIVED)
        for key in islice(filter(place.names, may_be_archived), LOOKS_BELOW):
            try:
                state = self._object(place.bucket, key)
            except NotFound:
                continue  # removed since it was listed
            if state is not InputState.FOUND:
                self.below[uri] = S3Address(place.bucket, key).uri
                return state
        is_there = any(place.names(item["Key"], folders=True) for item in listed)
        if is_there or len(listed) >= LIST_PAGE * MAX_PAGES:
            return InputState.FOUND
        if place.is_pattern:
            return InputState.NO_MATCH
        if listed:
            self.below[uri] = S3Address(place.bucket, listed[0]["Key"]).uri
        return InputState.MISSING
