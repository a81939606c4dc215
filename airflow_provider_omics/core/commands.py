"""What a flow may ask its driver for: the seam between decisions and I/O.

A flow is a generator: it yields commands and is sent an answer to each. Two drivers exist, one that sleeps in a worker
and one that awaits in a triggerer; neither decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.errors import NotFound, ServiceError
from airflow_provider_omics.core.snapshots import Snapshot


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


@dataclass(frozen=True)
class Save:
    """Save the record, before the next step; answered when it is stored."""

    record: AttemptRecord


@dataclass(frozen=True)
class Start:
    """Send the record's request (StartRun, StartRunBatch); answered with a snapshot or a ServiceError."""

    record: AttemptRecord


@dataclass(frozen=True)
class Find:
    """Search the run or batch of the record by its name and tag; answered with a snapshot, None, or a ServiceError."""

    record: AttemptRecord


@dataclass(frozen=True)
class IsSuccess:
    """Judge what has ended; answered with True or False in ``Answer.judged``."""

    snapshot: Snapshot


@dataclass(frozen=True)
class Choose:
    """Choose the samples of the record's attempt, and keep the choice; answered in ``judged``: whether any is left."""

    record: AttemptRecord


AttemptCommand = Command | Save | Start | Find | IsSuccess | Choose


@dataclass(frozen=True)
class AttemptAnswer(Answer):
    """An answer that may also hold a judgement.

    :param judged: for IsSuccess and Choose.
    """

    judged: bool = False
