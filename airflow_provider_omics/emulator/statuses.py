"""Statuses of HealthOmics, and the operations that each of them allows."""

from __future__ import annotations

PENDING = "PENDING"
STARTING = "STARTING"
RUNNING = "RUNNING"
STOPPING = "STOPPING"
COMPLETED = "COMPLETED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
DELETED = "DELETED"

CREATING = "CREATING"
SUBMITTING = "SUBMITTING"
INPROGRESS = "INPROGRESS"
PROCESSED = "PROCESSED"
RUNS_DELETING = "RUNS_DELETING"
RUNS_DELETED = "RUNS_DELETED"
RUNS_DELETE_FAILED = "RUNS_DELETE_FAILED"

ACTIVE = "ACTIVE"

#: In the order of life.
RUN_STATUSES = (PENDING, STARTING, RUNNING, STOPPING, COMPLETED, FAILED, CANCELLED, DELETED)
RUN_ENDED = frozenset({COMPLETED, FAILED, CANCELLED, DELETED})

# User Guide, "Run lifecycle" and the API text of CancelRun and DeleteRun.
RUN_CANCELLABLE = frozenset({PENDING, STARTING, RUNNING, STOPPING})
RUN_DELETABLE = frozenset({COMPLETED, FAILED, CANCELLED})

BATCH_STATUSES = (
    CREATING,
    PENDING,
    SUBMITTING,
    INPROGRESS,
    STOPPING,
    PROCESSED,
    FAILED,
    CANCELLED,
    RUNS_DELETING,
    RUNS_DELETED,
    RUNS_DELETE_FAILED,
)
# API text of CancelRunBatch, DeleteRunBatch and DeleteBatch.
BATCH_CANCELLABLE = frozenset({PENDING, SUBMITTING, INPROGRESS})
BATCH_RUNS_DELETABLE = frozenset({PROCESSED, CANCELLED})
BATCH_DELETABLE = frozenset({PROCESSED, FAILED, CANCELLED, RUNS_DELETE_FAILED, RUNS_DELETED})

SUBMISSION_STATUSES = ("SUCCESS", "FAILED", "CANCEL_SUCCESS", "CANCEL_FAILED", "DELETE_SUCCESS", "DELETE_FAILED")
#: User Guide, "Run batches", table of run-level failures.
SUBMISSION_FAILURE_REASONS = (
    "ValidationException",
    "AccessDeniedException",
    "ResourceNotFoundException",
    "ServiceQuotaExceededException",
    "ConflictException",
    "ThrottlingException",
    "RequestTimeoutException",
    "InternalServerException",
)
