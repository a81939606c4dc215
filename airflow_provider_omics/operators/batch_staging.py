"""What the operator that starts a batch puts into S3 for HealthOmics to read, and takes away again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_omics.core.errors import AttemptError, Problem, QuotaExceeded, ServiceError, SettingsError
from airflow_provider_omics.core.identity import TaskIdentity
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.batch_settings import CheckedBatch
from airflow_provider_omics.staging import StagingPlace


class BatchStaging:
    """The staged settings of the batch of one task instance.

    :param hook: the hook whose connection is used.
    :param log: the task's logger.
    :param s3_uri: ``s3://bucket/prefix/``; None: nothing is staged.
    :param identity: the task instance.
    :param keep: leave the settings where they are.
    """

    def __init__(self, hook: OmicsHook, log: Any, s3_uri: str | None, identity: TaskIdentity, *, keep: bool) -> None:
        self._hook = hook
        self._log = log
        self._s3_uri = s3_uri
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
        if spool is None or self._s3_uri is None:
            return {**request}
        place = StagingPlace(self._hook, self._s3_uri, self._hook.defaults.staging_kms_key_id)
        spool.upload_input_sheets(place, check)
        if not batch.is_staged:
            return {**request}
        uri = staged_uri(self._s3_uri, self._identity, request["requestId"])
        try:
            spool.upload(place, uri, check)
            check()
        except AttemptError:
            self.unstage(request["requestId"])
            raise
        self._log.info("Staged %d run settings (%d bytes) at %s", spool.total_runs, spool.size, uri)
        return {**request, "batchRunSettings": {"s3UriSettings": uri}}

    def unstage(self, request_id: str) -> None:
        """Delete the settings of a batch that has ended, or never starts; a refusal is told in the log only.

        :param request_id: the attempt's.
        """
        if self._s3_uri is None or self._keep:
            return
        uri = staged_uri(self._s3_uri, self._identity, request_id)
        try:
            StagingPlace(self._hook, self._s3_uri).delete(uri)
        except ServiceError as error:
            self._log.warning("The staged settings %s are left behind: %s", uri, error)


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
