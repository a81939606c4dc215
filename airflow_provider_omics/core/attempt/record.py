"""The record of an attempt to start a run or batch, for the tries after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any

from airflow_provider_omics.core.snapshots import Snapshot


class Ended(str, Enum):
    """How an attempt ended, as far as the task has seen it."""

    WELL = "well"
    BADLY = "badly"
    LOST = "lost"
    """The wait was given up; the run or batch may still be going."""


@dataclass(frozen=True)
class AttemptRecord:
    """The record that one attempt leaves for the tries after it: ids, hashes, and names of AWS's resources.

    :param request_id: idempotency token of the attempt's start, a uuid4.
    :param fingerprint: hash of the request, without the request id, generated names and tags.
    :param first_try: number of the try that made the attempt; part of its tags, so that a resend is the same request.
    :param owner_try: number of the try that waits for it now.
    :param max_tries: Airflow's ``max_tries`` of the task then; only a clear changes it.
    :param requested_at: when the request was first sent, in seconds since the epoch.
    :param tagged: whether the request has our tags; a resend has them exactly then.
    :param name_hash: hash of the name that the user gave it; None: its name is made of the request id.
    :param resource_id: id of the run or batch; None until the start was answered.
    :param resource_uuid: its uuid.
    :param ended: how it ended; None while it is going.
    :param unclear_failures: unclear failures of this and earlier attempts; a clear starts the count anew.
    :param attempts: how many attempts the task has made, this one included.
    :param attempts_since_clear: the same since the first try or the last clear.
    :param chosen: only some samples of the batch are submitted, chosen when the attempt was made; the choice is stored
        under the request id.
    :param idle: none was left to submit: nothing is started, and ``resource_id`` is that of an earlier attempt.
    :param previous_request_id: request id of the last attempt before this one that started something, or was idle.
    :param previous_id: the batch that it started; None: there is none, or it was idle.
    :param outdated: a try with other settings has adopted it: once it has ended, it is compared with them.
    :param compared: it submits what is new or changed since the attempt before it, which ended well.
    :param canary: it submits the canary alone, and the rest follows once that has completed.
    :param resolved: names of workflow, run group and cache that were looked up for it, and their ids; None: none.
    :param settings_etag: S3's mark of the object with the run settings, which is part of the fingerprint; None: there
        is none, or it is not known.
    """

    request_id: str
    fingerprint: str
    first_try: int
    owner_try: int
    max_tries: int
    requested_at: float
    tagged: bool = True
    name_hash: str | None = None
    resource_id: str | None = None
    resource_uuid: str | None = None
    ended: Ended | None = None
    unclear_failures: int = 0
    attempts: int = 1
    attempts_since_clear: int = 1
    chosen: bool = False
    idle: bool = False
    previous_request_id: str | None = None
    previous_id: str | None = None
    outdated: bool = False
    compared: bool = False
    canary: bool = False
    resolved: Mapping[str, str] | None = None
    settings_etag: str | None = None

    def following(self, before: AttemptRecord, *, cleared: bool) -> AttemptRecord:
        """Make the record of a new attempt that counts on from the one before it, and names the batch that one started.

        :param before: the record that it replaces.
        :param cleared: a user cleared the task.
        """
        is_attempt = before.resource_id is not None and not before.idle
        own = is_attempt or before.idle
        return replace(
            self,
            attempts=before.attempts + is_attempt,
            attempts_since_clear=1 if cleared else before.attempts_since_clear + is_attempt,
            unclear_failures=0 if cleared else before.unclear_failures,
            previous_request_id=before.request_id if own else before.previous_request_id,
            previous_id=before.resource_id if is_attempt else None if own else before.previous_id,
        )

    def to_json(self) -> dict[str, Any]:
        """Write the record as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AttemptRecord:
        """Read :meth:`to_json`; keys that this version does not know are ignored.

        :raises (KeyError, TypeError, ValueError): it is not a record.
        """
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        return cls(**{**known, "ended": Ended(known["ended"]) if known.get("ended") else None})


@dataclass(frozen=True)
class EarlierStart:
    """A run or batch that an earlier try of the task instance has started, found without a record of it.

    :param request_id: the attempt's request id.
    :param try_number: number of the try that made the attempt; 0: not known.
    :param created_at: when it was created, in seconds since the epoch.
    :param seen: the run or batch.
    :param name_hash: hash of the name that the user gave it; None: its name is made of the request id.
    """

    request_id: str
    try_number: int
    created_at: float
    seen: Snapshot
    name_hash: str | None = None


@dataclass(frozen=True)
class Present:
    """The try that has to decide.

    :param kind: ``"run"`` or ``"batch"``.
    :param try_number: number of this try.
    :param max_tries: Airflow's ``max_tries`` of the task now.
    :param fingerprint: hash of the request as it would be now.
    :param new_request_id: a fresh uuid4, for the case that a new attempt is made.
    :param tagged: whether a new attempt's request gets our tags (``tag_with_airflow_context``).
    :param name_hash: hash of the user's name for a new attempt's run or batch; None: a generated one.
    :param durable: adopt the run or batch of an earlier try; otherwise each try starts afresh.
    :param chooses: samples that an earlier attempt has completed are not submitted again (a batch with
        ``rerun="failed"``).
    :param has_earlier: results of other tasks exempt samples, too (``previous_results``,
        ``rerun_failed_of``).
    :param compares: a batch of an earlier try that has ended well is compared with the settings of now.
    :param cancel: whether the run or batch that a clear leaves behind is cancelled (``cancel_on_kill``).
    :param resolved: names that this try has looked up for its request, and their ids; None: none.
    :param patience: seconds for which a start that does not get through is repeated.
    :param misses_record: there have been earlier tries, and their record would have outlived them.
    :param first_try: number of the first try since the task was new, or cleared, by Airflow's numbers.
    :param settings_etag: S3's mark of the object with the run settings, part of the fingerprint; None: not known.
    """

    kind: str
    try_number: int
    max_tries: int
    fingerprint: str
    new_request_id: str
    tagged: bool = True
    name_hash: str | None = None
    durable: bool = True
    chooses: bool = False
    has_earlier: bool = False
    compares: bool = False
    cancel: bool = True
    patience: float = 3 * 3600.0
    resolved: Mapping[str, str] | None = None
    misses_record: bool = False
    first_try: int = 1
    settings_etag: str | None = None
