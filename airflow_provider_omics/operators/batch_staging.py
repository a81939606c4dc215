"""What the operator that starts a batch puts into S3 for HealthOmics to read, and takes away again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.errors import (
    AttemptError,
    NotFound,
    Problem,
    QuotaExceeded,
    ServiceError,
    SettingsError,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.staging import StagingPlace, remove_staged

if TYPE_CHECKING:
    from airflow_provider_omics.core.attempt.identity import TaskIdentity
    from airflow_provider_omics.hooks.s3 import S3Place
    from airflow_provider_omics.operators.batch_settings import CheckedBatch

OWN_SHEETS = "a rerun needs them, and so may other batches with the same rows"

NOT_READ = frozenset({"INPROGRESS", "STOPPING"})
"""Statuses of a going batch in which every run has been submitted, or none is any more (user guide, "Run batches")."""


class BatchStaging:
    """The staged settings of the batch of one task instance.

    :param hook: the hook whose connection is used.
    :param log: the task's logger.
    :param place: ``s3://bucket/prefix/`` and its key; None: nothing is staged.
    :param identity: the task instance.
    :param keep: leave the settings where they are.
    """

    def __init__(self, hook: OmicsHook, log: Any, place: S3Place | None, identity: TaskIdentity, *, keep: bool) -> None:
        self._hook = hook
        self._log = log
        self._place = place
        self._identity = identity
        self._keep = keep

    def stage(self, request: Mapping[str, Any], batch: CheckedBatch, check: Callable[[], None]) -> dict[str, Any]:
        """Upload the runs' own sheets, and settings that are too many or too large for the request.

        :param request: the request, with its request id.
        :param batch: what it starts.
        :param check: called again and again; an AttemptError that it raises ends the upload, of which nothing is left.
        :return: the request to send.
        :raises ServiceError: S3 refused, or did not get through.
        """
        spool = batch.spool
        if spool is None or self._place is None:
            return {**request}
        place = StagingPlace(self._hook, self._place)
        if spool.upload_input_sheets(place, check):
            self._log.info("The runs' own sheets are below %s and stay there: %s", self._place.uri, OWN_SHEETS)
        if not batch.is_staged:
            return {**request}
        uri = staged_uri(self._place.uri, self._identity, request["requestId"])
        is_new = not place.has(uri)  # one that is there may belong to a start that has arrived
        try:
            if is_new:
                spool.upload(place, uri, check)
            check()
        except AttemptError:
            if is_new:
                self.unstage(request["requestId"])
            raise
        self._log.info("Staged %d run settings (%d bytes) at %s", spool.total_runs, spool.size, uri)
        return {**request, "batchRunSettings": {"s3UriSettings": uri}}

    def unstage(self, request_id: str) -> None:
        """Delete the settings of a batch that has ended, or never starts; a refusal is told in the log only.

        :param request_id: the attempt's.
        """
        if self._place is None or self._keep:
            return
        remove_staged(self._hook, self._log, staged_uri(self._place.uri, self._identity, request_id))

    def uri(self, request_id: str) -> str | None:
        """Give where the settings of an attempt are; None: they are not staged, or are to stay.

        :param request_id: the attempt's.
        """
        return None if self._place is None or self._keep else staged_uri(self._place.uri, self._identity, request_id)

    def leave(self, request_id: str, reason: str) -> None:
        """Say in the log that the settings of an attempt stay.

        :param request_id: the attempt's.
        :param reason: why.
        """
        uri = self.uri(request_id)
        if uri is None or self._place is None:
            return
        try:
            is_there = StagingPlace(self._hook, self._place).has(uri)
        except ServiceError:
            is_there = True  # for all that is known
        if is_there:
            self._log.info("The staged settings %s stay: %s", uri, reason)

    def unstage_earlier(self, request_id: str, batch_id: str | None) -> None:
        """Delete the settings of an earlier attempt, at whose end nobody was there, unless its batch may read them yet.

        :param request_id: the earlier attempt's.
        :param batch_id: what it started; None: nothing that is left.
        """
        if self.uri(request_id) is None:
            return
        try:
            seen = None if batch_id is None else BatchSnapshot.from_response(self._hook.get_batch(batch_id))
        except NotFound:
            seen = None
        except ServiceError as error:
            self.leave(request_id, f"whether batch {batch_id} still reads them cannot be told ({error})")
            return
        if seen is not None and seen.phase is Phase.ACTIVE and seen.status not in NOT_READ:
            self.leave(request_id, f"batch {batch_id} of an earlier attempt is {seen.status} and reads them")
        else:
            self.unstage(request_id)


def checked_place(uri: str | None) -> str | None:
    """Check where a batch's settings are to be staged.

    :param uri: ``s3://bucket/prefix/``; None or empty: nowhere.
    :return: the same; None: nowhere.
    :raises SettingsError: it is no such place.
    """
    if uri and not re.fullmatch(r"s3://[^/]+(/.*)?", uri):
        raise SettingsError([Problem("staging_s3_uri", repr(uri), "s3://bucket/prefix/")])
    return uri or None


def with_reading_advice(error: ServiceError, request: Mapping[str, Any]) -> ServiceError:
    """Add to a refused start what the service role needs to read the settings.

    :param error: of StartRunBatch.
    :param request: what was refused.
    :return: the error; as it was, if settings in S3 have nothing to do with it.
    """
    uri = request["batchRunSettings"].get("s3UriSettings")
    if uri is None or isinstance(error, QuotaExceeded):
        return error
    role = request["defaultRunSetting"].get("roleArn")
    return error.with_advice(f"The service role {role} needs s3:GetObject on {uri} (and kms:Decrypt on its key).")


def staged_uri(staging_s3_uri: str, identity: TaskIdentity, request_id: str) -> str:
    """Give the place of an attempt's settings; the request id makes it new, so it is never rewritten.

    :param staging_s3_uri: ``s3://bucket/prefix/``.
    :param identity: the task instance; part of the path for people who look there.
    :param request_id: the attempt's.
    :return: ``s3://bucket/prefix/run-settings/{dag}/{run}/{task}/{request id}.json``.
    """
    names = (identity.dag_id, identity.run_id, identity.task_id)
    path = "/".join(re.sub(r"[^A-Za-z0-9_.\-]", "_", name)[:64] for name in names)
    return f"{staging_s3_uri.rstrip('/')}/run-settings/{path}/{request_id}.json"
