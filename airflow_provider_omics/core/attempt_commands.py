"""What the flow of a new try may ask its driver for, beside what every flow may."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_omics.core.attempt_record import AttemptRecord
from airflow_provider_omics.core.commands import Answer, Command
from airflow_provider_omics.core.snapshots import Snapshot


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
