"""The attempt record: what one attempt to start a run or batch leaves for the tries after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any


class Ended(str, Enum):
    """How an attempt ended, as far as the task has seen it."""

    WELL = "well"
    BADLY = "badly"
    LOST = "lost"
    """The wait was given up; the run or batch may still be going."""


@dataclass(frozen=True)
class AttemptRecord:
    """What one attempt leaves for the tries after it: ids and hashes only.

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
    :param unclear_failures: failures of this and earlier attempts of which nobody can tell whether they pass; a clear
        starts the count anew.
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

    def to_json(self) -> dict[str, Any]:
        """Give the record as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> AttemptRecord:
        """Read :meth:`to_json`; keys that this version does not know are ignored.

        :raises (KeyError, TypeError, ValueError): it is not a record.
        """
        known = {f.name: value[f.name] for f in fields(cls) if f.name in value}
        return cls(**{**known, "ended": Ended(known["ended"]) if known.get("ended") else None})


@dataclass(frozen=True)
class Present:
    """The try that asks what to do.

    :param kind: ``"run"`` or ``"batch"``.
    :param try_number: number of this try.
    :param max_tries: Airflow's ``max_tries`` of the task now.
    :param fingerprint: hash of the request as it would be now.
    :param new_request_id: a fresh uuid4, for the case that a new attempt is made.
    :param tagged: whether a new attempt's request gets our tags (``tag_with_airflow_context``).
    :param name_hash: hash of the name that the user gives a new attempt's run or batch; None: a generated one.
    :param durable: adopt what an earlier try left; otherwise each try starts afresh.
    :param keep_success: a clear after a success returns the stored result (a batch with ``rerun="failed"``).
    :param cancel: whether what a clear leaves behind is cancelled (``cancel_on_kill``).
    :param patience: seconds for which a start that does not get through is repeated.
    """

    kind: str
    try_number: int
    max_tries: int
    fingerprint: str
    new_request_id: str
    tagged: bool = True
    name_hash: str | None = None
    durable: bool = True
    keep_success: bool = False
    cancel: bool = True
    patience: float = 3 * 3600.0
