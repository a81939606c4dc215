"""Where the attempt record is kept: Airflow's task state store, an S3 object, or nowhere beyond this try."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Protocol
from urllib.parse import quote

import airflow
from airflow.providers.common.compat.sdk import Context, conf

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.errors import AccessDenied, AttemptError, Conflict, NotFound, NotOwner, ServiceError
from airflow_provider_omics.core.uris import S3Address, s3_address
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place, S3Store

KEY = "omics_attempt"
"""Key in Airflow's task state store. Records of tasks under way are kept under it: it must not change."""

CONNECTED = "connected"
"""Key in the stored record: whether Airflow had found the connection when it was written."""

PROGRESS_KEY = "omics_progress"
"""Key of the numbers in the last line of progress."""


def deployment() -> str:
    """Tell this Airflow from others, by a hash of its address: two differ in it, unless both kept the default."""
    section = "webserver" if airflow.__version__.startswith("2.") else "api"
    return hashlib.sha256(str(conf.get(section, "base_url", fallback="")).encode()).hexdigest()[:8]


class AttemptStore(Protocol):
    """Keeps one record for a task instance across its tries.

    :param lasts: whether the record outlives the try that has written it.
    """

    lasts: ClassVar[bool]

    def load(self) -> AttemptRecord | None:
        """Return the stored record; None: there is none."""

    def save(self, record: AttemptRecord) -> None:
        """Store the record."""


class TaskStateAttemptStore:
    """Airflow's task state store (3.3+): survives a retry, a crash and a clear.

    :param accessor: ``context["task_state_store"]``.
    :param connected: whether Airflow has found the connection, for the tries to come; None: not recorded.
    """

    lasts: ClassVar[bool] = True

    def __init__(self, accessor: Any, *, connected: bool | None = None) -> None:
        self._accessor = accessor
        self._told = {} if connected is None else {CONNECTED: connected}

    def load(self) -> AttemptRecord | None:
        """Return the stored record; None: there is none."""
        return _parsed(self._accessor.get(KEY))

    def save(self, record: AttemptRecord) -> None:
        """Store the record; it never expires, as a run may outlast the default of 30 days in a queue."""
        # The value of airflow.sdk.NEVER_EXPIRE, which Airflow compares by identity and older versions do not have.
        self._accessor.set(KEY, {**record.to_json(), **self._told}, retention=timedelta.max)

    def was_connected(self) -> bool | None:
        """Return whether Airflow had found the connection when the record was written; None: not recorded."""
        value = self._accessor.get(KEY)
        return value.get(CONNECTED) if isinstance(value, Mapping) else None

    def tell(self, numbers: Mapping[str, Any]) -> None:
        """Store the progress of a batch, for whoever watches the task."""
        self._accessor.set(PROGRESS_KEY, dict(numbers), retention=timedelta.max)


class S3AttemptStore:
    """An object in S3, for Airflow before 3.3.

    It is created with If-None-Match and replaced with If-Match, so that of two tries that overlap only one writes.

    :param hook: the hook whose connection is used.
    :param place: ``s3://bucket/prefix/`` and its key; each Airflow deployment needs its own.
    :param identity: the task instance.
    """

    lasts: ClassVar[bool] = True

    def __init__(self, hook: OmicsHook, place: S3Place, identity: TaskIdentity) -> None:
        self._store = S3Store(hook)
        names = (identity.dag_id, identity.run_id, identity.task_id, str(identity.map_index))
        path = "/".join(quote(name, safe="") for name in names)
        bucket, prefix = s3_address(place.uri)
        key = f"{prefix.strip('/')}/airflow-attempts/{deployment()}/{path}.json".lstrip("/")
        self._place = S3Place(S3Address(bucket, key).uri, place.kms_key_id)
        self._etag: str | None = None

    def load(self) -> AttemptRecord | None:
        """Return the stored record; None: there is none."""
        try:
            with self._store.get(self._place.uri) as stored:
                body = stored.stream.read()
        except NotFound:
            self._etag = None
            return None
        except AccessDenied as error:
            raise self._with_advice(error) from error
        self._etag = stored.etag
        return _parsed(body, f"the S3 object {self._place.uri}")

    def save(self, record: AttemptRecord) -> None:
        """Store the record, unless another try has written since this one read.

        :raises NotOwner: another try has written.
        """
        try:
            self._etag = self._store.put(
                self._place,
                json.dumps(record.to_json()).encode(),
                if_match=self._etag,
                if_none_match=self._etag is None,
                content_type="application/json",
            )
        except Conflict as error:
            stored = self.load()
            if stored == record:
                return  # our own write, repeated by botocore after its answer was lost
            raise NotOwner(record.resource_id, stored.owner_try if stored else None) from error
        except AccessDenied as error:
            raise self._with_advice(error) from error

    def _with_advice(self, error: AccessDenied) -> ServiceError:
        # Without s3:ListBucket S3 answers 403, not 404, for an object that is not there.
        return error.with_advice(
            f"What this task starts is recorded in {self._place.uri}: the connection needs s3:GetObject "
            f"and s3:PutObject there, and s3:ListBucket on {s3_address(self._place.uri).bucket}."
        )


class TryAttemptStore:
    """Keeps the record for the length of this try: where Airflow has no store and no ``staging_s3_uri`` is set."""

    lasts: ClassVar[bool] = False
    _record: AttemptRecord | None = None

    def load(self) -> AttemptRecord | None:
        """Return the record of this try; None: there is none."""
        return self._record

    def save(self, record: AttemptRecord) -> None:
        """Keep the record."""
        self._record = record


def attempt_store(
    context: Context, hook: OmicsHook, identity: TaskIdentity, place: S3Place | None = None
) -> AttemptStore:
    """Choose the store for a task instance.

    :param context: Airflow's context of the task.
    :param hook: the hook, for its connection and that one's ``staging_s3_uri``.
    :param identity: the task instance.
    :param place: where else in S3 the task writes, for a connection without ``staging_s3_uri``; None: nowhere.
    :return: Airflow's task state store, else the S3 object, else one for this try only.
    """
    accessor = context.get("task_state_store")
    if accessor is not None:
        return TaskStateAttemptStore(accessor, connected=not hook.misses_connection)
    staging = hook.defaults.staging_s3_uri
    if staging:
        place = S3Place(staging, hook.defaults.staging_kms_key_id)
    return TryAttemptStore() if place is None else S3AttemptStore(hook, place, identity)


def _parsed(value: Any, where: str = f"the task's state {KEY!r}") -> AttemptRecord | None:
    if value is None:
        return None
    try:
        if isinstance(value, bytes):
            value = json.loads(value)
        if not isinstance(value, Mapping):
            raise TypeError(f"{type(value).__name__}, not an object")  # noqa: TRY301 - one way out for all that is wrong
        return AttemptRecord.from_json(value)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise AttemptError(
            f"The attempt record, {where}, cannot be read ({error}); starting anyway could start a second run.",
            advice="Delete it once the console shows that nothing is going, and clear the task.",
            request_id="unknown",
        ) from error
