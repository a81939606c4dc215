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
from typing import Any, Generic, TypeVar

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


def id_reused() -> NotFound:
    """Make the error of a look that met another run or batch under the same id."""
    return NotFound("Get", "IdReused", "the id has another uuid now")
