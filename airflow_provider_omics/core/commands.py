"""What a flow may ask its driver for: the seam between decisions and I/O.

A flow is a generator: it yields commands and is sent an answer to each. Two drivers exist, one that sleeps in a worker
and one that awaits in a triggerer; neither decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_omics.core.errors import NotFound, ServiceError
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN


@dataclass(frozen=True)
class WaitPlan:
    """What to wait for, and within which limits.

    :param kind: ``"run"`` or ``"batch"``.
    :param id: its id.
    :param uuid: its uuid; an answer with another uuid is another run under a reused id. None: that of the first look.
    :param poll_interval: seconds between two looks.
    :param deadline: moment (seconds since the epoch) at which the wait ends with TIMED_OUT; None: never.
    :param run_timeout: seconds that a run may take from its own startTime; queueing before it is free. None: no limit.
    :param patience: seconds for which failing looks are tolerated before contact counts as lost.
    :param cancel: whether to cancel the run or batch when a time limit passes.
    :param grace: seconds that this cancel may take; Airflow 2 ends a task itself soon after the deadline.
    """

    kind: str
    id: str
    uuid: str | None = None
    poll_interval: float = 30.0
    deadline: float | None = None
    run_timeout: float | None = None
    patience: float = 3 * 3600.0
    cancel: bool = True
    grace: float = 60.0

    def is_another(self, seen: Snapshot) -> bool:
        """Tell whether an answer is about another run or batch, under the same id."""
        return bool(self.uuid and seen.uuid and self.uuid != seen.uuid)

    def unseen(self) -> Snapshot:
        """Give the snapshot of what was never seen."""
        cls = RunSnapshot if self.kind == "run" else BatchSnapshot
        return cls(self.id, UNKNOWN, self.uuid)


@dataclass(frozen=True)
class Look:
    """Ask for a run or batch (GetRun, GetBatch); answered with a snapshot or a ServiceError."""

    kind: str
    id: str


@dataclass(frozen=True)
class ReadManifest:
    """Read how a vanished run ended from its manifest log stream.

    Answered with a snapshot, None for silence, or a ServiceError.
    """

    id: str
    uuid: str | None


@dataclass(frozen=True)
class Cancel:
    """Cancel a run or batch (CancelRun, CancelRunBatch); answered with None or a ServiceError."""

    kind: str
    id: str


@dataclass(frozen=True)
class ListActive:
    """List the runs of a batch that have not ended (ListRuns); answered with their ids or a ServiceError."""

    batch_id: str


@dataclass(frozen=True)
class Sleep:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class Say:
    """Write a line to the task log."""

    level: int
    message: str
    seen: Snapshot | None = field(default=None, compare=False)
    """What a line of progress is about."""


Command = Look | ReadManifest | Cancel | ListActive | Sleep | Say

INFO, WARNING = 20, 30  # the numbers of the logging module, which core does not need otherwise


@dataclass(frozen=True)
class Answer:
    """What a command brought.

    :param now: the moment it was answered, in seconds since the epoch.
    :param result: a snapshot, a ServiceError, or None.
    :param run_ids: for ListActive: the runs.
    """

    now: float
    result: Snapshot | ServiceError | None = None
    run_ids: tuple[str, ...] = ()


def id_reused() -> NotFound:
    """Give the error of a look that met another run or batch under the same id."""
    return NotFound("Get", "IdReused", "the id has another uuid now")
