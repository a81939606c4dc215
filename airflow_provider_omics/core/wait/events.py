"""The event that ends a wait; the only reader and writer of trigger event payloads.

A payload is JSON that Airflow stores between triggerer and worker, and the two may run different versions of this
package during an upgrade: readers ignore keys they do not know, and whatever they cannot read raises
:class:`~airflow_provider_omics.core.errors.EventError`, never a silent success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_provider_omics.core.errors import EventError
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.stretch import Stretch

VERSION = 1

_TYPES: dict[str, Any] = {
    "limit": (str, type(None)),
    "cancelled": bool,
    "error": (str, type(None)),
    "seconds": (int, float),
}


class Outcome(str, Enum):
    """How a wait ended."""

    ENDED = "ended"
    """The run or batch is in a final status; the snapshot says in which."""
    TIMED_OUT = "timed_out"
    """A time limit passed while it was still going."""
    VANISHED = "vanished"
    """Its record is gone, and its end cannot be found."""
    LOST_CONTACT = "lost_contact"
    """HealthOmics could not be asked for longer than ``patience``; it may still be going."""
    REFUSED = "refused"
    """HealthOmics refuses to answer (no permission, or an invalid request); it may still be going."""
    STRETCH_OVER = "stretch_over"
    """The batch is going, and what has ended of it is to be collected; then the wait goes on."""
    INVALID = "invalid"
    """The arguments of the wait cannot be read; nobody has looked, and it may still be going."""


@dataclass(frozen=True)
class WaitEvent:
    """The end of a wait for a run or a batch.

    :param outcome: how the wait ended.
    :param snapshot: the last observation (at least id and uuid; status ``UNKNOWN`` where no look ever succeeded).
    :param limit: for TIMED_OUT: ``"execution_timeout"`` or ``"run_timeout"``.
    :param cancelled: for TIMED_OUT: whether the run or batch was cancelled (False also when that was not asked for).
    :param error: for the other outcomes: the last error as text; for INVALID: the problems.
    :param seconds: for LOST_CONTACT and REFUSED: how long no look succeeded.
    :param stretch: the last stretch of the wait, and what the task carries in it; None: the wait had none.
    """

    outcome: Outcome
    snapshot: Snapshot
    limit: str | None = None
    cancelled: bool = False
    error: str | None = None
    seconds: float = 0.0
    stretch: Stretch | None = None

    @property
    def kind(self) -> str:
        """``"run"`` or ``"batch"``."""
        return "run" if isinstance(self.snapshot, RunSnapshot) else "batch"

    def to_payload(self) -> dict[str, Any]:
        """Write the event as the JSON payload of a TriggerEvent."""
        return {
            "version": VERSION,
            "kind": self.kind,
            "outcome": self.outcome.value,
            "snapshot": self.snapshot.to_payload(),
            "limit": self.limit,
            "cancelled": self.cancelled,
            "error": self.error,
            "seconds": self.seconds,
            **({} if self.stretch is None else {"stretch": self.stretch.to_json()}),
        }


def parse_event(payload: object, kind: str) -> WaitEvent:
    """Read the payload of a TriggerEvent.

    :param payload: the event as Airflow hands it to ``execute_complete``.
    :param kind: ``"run"`` or ``"batch"``: the one that the reader waits for.
    :return: the event.
    :raises EventError: it is empty, not ours, of the other kind, or malformed.
    """
    if not isinstance(payload, Mapping) or not payload:
        raise EventError(f"expected a mapping with keys, got {type(payload).__name__} {payload!r:.80}")
    if payload.get("version") != VERSION or payload.get("kind") != kind:
        raise EventError(
            f"expected version {VERSION} of a {kind} event, "
            f"got version {payload.get('version')!r} of kind {payload.get('kind')!r}"
        )
    read = RunSnapshot.from_payload if kind == "run" else BatchSnapshot.from_payload
    try:
        event = WaitEvent(
            outcome=Outcome(payload["outcome"]),
            snapshot=read(payload["snapshot"]),
            limit=payload.get("limit"),
            cancelled=payload.get("cancelled", False),
            error=payload.get("error"),
            seconds=payload.get("seconds", 0.0),
            stretch=None if payload.get("stretch") is None else Stretch.from_json(payload["stretch"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EventError(f"{type(error).__name__}: {error}") from error
    for name, types in _TYPES.items():
        if not isinstance(getattr(event, name), types):
            raise EventError(f"{name} is {getattr(event, name)!r:.80}")
    if event.outcome is Outcome.ENDED and event.snapshot.phase is Phase.ACTIVE:
        # A newer triggerer may know a final status that this version does not.
        raise EventError(f"it says that the {kind} ended, with status {event.snapshot.status!r:.80}")
    return event
