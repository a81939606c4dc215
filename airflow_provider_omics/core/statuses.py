"""The statuses of HealthOmics, and the phase that each of them means.

*Status* is AWS's word, *phase* ours. Each enumeration has one total table; a test compares both with the installed
botocore model. Sources: the enumerations ``RunStatus``, ``BatchStatus`` and ``SubmissionStatus`` of the API, and the
user guide's pages "Monitoring runs" and "Run batches".
"""

from __future__ import annotations

from enum import Enum

UNKNOWN = "UNKNOWN"
"""Status of a run or batch that nobody has seen."""


class RunStatus(str, Enum):
    """Status of a run (GetRun)."""

    PENDING = "PENDING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    COMPLETED = "COMPLETED"
    DELETED = "DELETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class BatchStatus(str, Enum):
    """Status of a run batch (GetBatch)."""

    CREATING = "CREATING"
    PENDING = "PENDING"
    SUBMITTING = "SUBMITTING"
    INPROGRESS = "INPROGRESS"
    STOPPING = "STOPPING"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    PROCESSED = "PROCESSED"
    RUNS_DELETING = "RUNS_DELETING"
    RUNS_DELETE_FAILED = "RUNS_DELETE_FAILED"
    RUNS_DELETED = "RUNS_DELETED"


class SubmissionStatus(str, Enum):
    """Status of one run's submission in a batch (ListRunsInBatch); says nothing about its execution."""

    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCEL_SUCCESS = "CANCEL_SUCCESS"
    CANCEL_FAILED = "CANCEL_FAILED"
    DELETE_SUCCESS = "DELETE_SUCCESS"
    DELETE_FAILED = "DELETE_FAILED"


class Phase(str, Enum):
    """Meaning of a status for somebody who waits."""

    ACTIVE = "active"
    """Still going: look again."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"
    """Its record (or its runs' records) was deleted: its end is no longer on record."""
    PROCESSED = "processed"
    """A batch whose runs have all ended, well or badly: only the counts tell."""


RUN_PHASES: dict[str, Phase] = {
    RunStatus.PENDING: Phase.ACTIVE,
    RunStatus.STARTING: Phase.ACTIVE,
    RunStatus.RUNNING: Phase.ACTIVE,
    RunStatus.STOPPING: Phase.ACTIVE,
    RunStatus.COMPLETED: Phase.SUCCEEDED,
    RunStatus.FAILED: Phase.FAILED,
    RunStatus.CANCELLED: Phase.CANCELLED,
    RunStatus.DELETED: Phase.DELETED,
}
"""Status of a run, as AWS spells it -> its phase. One that is not here is ACTIVE: AWS adds statuses."""

BATCH_PHASES: dict[str, Phase] = {
    BatchStatus.CREATING: Phase.ACTIVE,
    BatchStatus.PENDING: Phase.ACTIVE,
    BatchStatus.SUBMITTING: Phase.ACTIVE,
    BatchStatus.INPROGRESS: Phase.ACTIVE,
    BatchStatus.STOPPING: Phase.ACTIVE,
    BatchStatus.PROCESSED: Phase.PROCESSED,
    BatchStatus.FAILED: Phase.FAILED,
    BatchStatus.CANCELLED: Phase.CANCELLED,
    BatchStatus.RUNS_DELETING: Phase.ACTIVE,
    BatchStatus.RUNS_DELETED: Phase.DELETED,
    BatchStatus.RUNS_DELETE_FAILED: Phase.DELETED,
}
"""The same for a batch."""

PHASES: dict[str, dict[str, Phase]] = {"run": RUN_PHASES, "batch": BATCH_PHASES}
"""Kind -> the statuses that this version knows."""

ACTIVE_RUN_STATUSES = tuple(status for status in RunStatus if RUN_PHASES[status] is Phase.ACTIVE)
"""In the order of a run's life: listed one after the other, a run that moves meanwhile is seen twice, never missed."""
