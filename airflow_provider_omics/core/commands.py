"""Commands of the flows: the seam between decisions, which are made here in core, and I/O, which a driver does.

The protocol: a flow is a generator. It yields a :class:`Command` and is sent an :class:`Answer`, which carries the
moment at which the command was done (core has no clock) and a value of the type that the command's class names in
``Command[...]``. Flows write ``answer = yield from Look("run", "1")``, so that mypy knows the type of each answer.

A driver takes the first command from ``next(flow)``, performs it, and takes the next one from
``flow.send(Answer(now, value))``, until StopIteration carries the result of the flow. A call that fails is answered
with its :class:`~airflow_provider_omics.core.errors.ServiceError` as the value, and the flow decides what follows; any
other exception leaves the driver. Drivers decide nothing. There are two: one sleeps in a worker, one awaits in a
triggerer.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, TypeVar

from airflow_provider_omics.core.attempt.record import AttemptRecord, EarlierStart
from airflow_provider_omics.core.errors import NotFound, ServiceError
from airflow_provider_omics.core.snapshots import RunSnapshot, Snapshot

T = TypeVar("T")

INFO, WARNING = 20, 30  # the numbers of the logging module, which core does not need otherwise


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The answer to a command.

    :param now: the moment it was answered, in seconds since the epoch.
    :param value: the command's result; None where it has none.
    """

    now: float
    value: T


class Command(Generic[T]):
    """Something that a flow wants done; ``T`` is the type of the answer's value."""

    def __iter__(self) -> Generator[Command[Any], Answer[Any], Answer[T]]:
        """Yield the command itself, and return the answer: this makes ``yield from`` typed."""
        answer: Answer[T] = yield self
        return answer


Flow = Generator[Command[Any], Answer[Any], T]
"""A flow that returns ``T``."""


@dataclass(frozen=True)
class Look(Command[Snapshot | ServiceError]):
    """Look at a run or batch (GetRun, GetBatch)."""

    kind: str
    id: str


@dataclass(frozen=True)
class ReadManifest(Command[RunSnapshot | ServiceError | None]):
    """Read how a vanished run ended from its manifest log stream; None: the manifest is silent."""

    id: str
    uuid: str | None


@dataclass(frozen=True)
class Cancel(Command[ServiceError | None]):
    """Cancel a run or batch (CancelRun, CancelRunBatch); None: accepted."""

    kind: str
    id: str


@dataclass(frozen=True)
class ListActive(Command[tuple[str, ...] | ServiceError]):
    """List the ids of a batch's runs that have not ended (ListRuns)."""

    batch_id: str


@dataclass(frozen=True)
class Sleep(Command[None]):
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class Say(Command[None]):
    """Write a line to the task log."""

    level: int
    message: str
    seen: Snapshot | None = field(default=None, compare=False)
    """The subject of a line of progress."""


@dataclass(frozen=True)
class Save(Command[None]):
    """Save the record before the next step; answered when it is stored."""

    record: AttemptRecord


@dataclass(frozen=True)
class Start(Command[Snapshot | ServiceError]):
    """Send the record's request (StartRun, StartRunBatch)."""

    record: AttemptRecord


@dataclass(frozen=True)
class Find(Command[Snapshot | ServiceError | None]):
    """Search the run or batch of the record by its name and tag; None: there is none."""

    record: AttemptRecord


@dataclass(frozen=True)
class FindEarlier(Command[tuple[EarlierStart, ...] | ServiceError]):
    """Search all that earlier tries of the task instance have started, by names and tags: their record is gone."""


@dataclass(frozen=True)
class IsSuccess(Command[bool]):
    """Judge whether the ended run or batch is a success of the task."""

    snapshot: Snapshot


class Choice(IntEnum):
    """The samples that an attempt submits."""

    NOTHING = 0
    ALL_LEFT = 1
    CANARY = 2
    """Those that the others wait for."""


@dataclass(frozen=True)
class Choose(Command[Choice]):
    """Choose the samples of the record's attempt, and keep the choice."""

    record: AttemptRecord


def id_reused() -> NotFound:
    """Make the error of a look that met another run or batch under the same id."""
    return NotFound("Get", "IdReused", "the id has another uuid now")
