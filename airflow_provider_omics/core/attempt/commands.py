"""The commands of an attempt's flow; waits know none of them, and a triggerer does not load them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from airflow_provider_omics.core.attempt.record import AttemptRecord, EarlierStart
from airflow_provider_omics.core.commands import Command
from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.snapshots import Snapshot


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
