from __future__ import annotations

import itertools

import pytest

from airflow_provider_omics.core.failure.reasons import (
    RUN_REASONS,
    SUBMISSION_REASONS,
    FailureClass,
    Owner,
    reason_of_end,
    run_reason,
    submission_reason,
    worth_of,
)

# User guide, "Run failure reasons"; "Advanced resource configuration" for the first; StartRun's `parametersUri`.
DOCUMENTED = [
    "ALL_PROFILES_INSTANCE_RESERVATION_FAILED",
    "ASSUME_ROLE_FAILED",
    "CANNOT_START_CONTAINER_ERROR",
    "CANNOT_START_CONTAINER_SIZE_ERROR",
    "ECR_PERMISSION_ERROR",
    "EXPORT_FAILED",
    "FILE_SYSTEM_OUT_OF_SPACE",
    "IMAGE_VERIFICATION_FAILURE",
    "IMPORT_FAILED",
    "INACTIVE_OMICS_STORAGE_RESOURCE",
    "INPUT_URI_NOT_FOUND",
    "INSTANCE_RESERVATION_FAILED",
    "INVALID_ECR_IMAGE_URI",
    "INVALID_RUN_PARAMETERS",
    "INVALID_TASK_RESOURCE_VALUE",
    "INVALID_URI_INPUT",
    "MODIFIED_INPUT_RESOURCE",
    "OUT_OF_MEMORY_ERROR",
    "RUN_TASK_FAILED",
    "RUN_TIMED_OUT",
    "SERVICE_ERROR",
    "TASK_TIMED_OUT",
    "UNSUPPORTED_GPU_INSTANCE_TYPE",
    "UNSUPPORTED_INPUT_SIZE",
    "WORKFLOW_RUN_FAILED",
    "WORKFLOW_VER_VALIDATION_FAILED",
]
# User guide, "Run batches".
SUBMISSION = [
    "AccessDeniedException",
    "ConflictException",
    "InternalServerException",
    "RequestTimeoutException",
    "ResourceNotFoundException",
    "ServiceQuotaExceededException",
    "ThrottlingException",
    "ValidationException",
]
CLASSES = {
    FailureClass.TRANSIENT: {
        "SERVICE_ERROR",
        "INSTANCE_RESERVATION_FAILED",
        "ALL_PROFILES_INSTANCE_RESERVATION_FAILED",
        "MODIFIED_INPUT_RESOURCE",
        "ServiceQuotaExceededException",
        "ConflictException",
        "ThrottlingException",
        "RequestTimeoutException",
        "InternalServerException",
    },
    FailureClass.SIZING: {
        "FILE_SYSTEM_OUT_OF_SPACE",
        "OUT_OF_MEMORY_ERROR",
        "INVALID_TASK_RESOURCE_VALUE",
        "CANNOT_START_CONTAINER_SIZE_ERROR",
        "UNSUPPORTED_INPUT_SIZE",
        "UNSUPPORTED_GPU_INSTANCE_TYPE",
    },
    FailureClass.UNCLEAR: {"RUN_TASK_FAILED", "WORKFLOW_RUN_FAILED", "RUN_TIMED_OUT", "TASK_TIMED_OUT"},
}


def test_each_documented_reason_is_explained() -> None:
    """No code of the user guide is missing, and none is there that it does not have."""
    assert sorted(RUN_REASONS) == DOCUMENTED
    assert sorted(SUBMISSION_REASONS) == SUBMISSION


@pytest.mark.parametrize("code", [*DOCUMENTED, *SUBMISSION])
def test_explanation(code: str) -> None:
    """Each code has its own row: whole sentences, an owner, and the class of the table above."""
    reason = (RUN_REASONS | SUBMISSION_REASONS)[code]
    expected = next((cls for cls, codes in CLASSES.items() if code in codes), FailureClass.PERMANENT)

    assert reason.code == code
    assert reason.explanation.endswith(".")
    assert reason.action.endswith(".")
    assert isinstance(reason.owner, Owner)
    assert reason.failure_class is expected


@pytest.mark.parametrize("explain", [run_reason, submission_reason])
@pytest.mark.parametrize("code", ["SOLAR_FLARE", "", None])
def test_unknown_reason(explain: object, code: str | None) -> None:
    """A code of a newer service is shown as it is, and nobody claims to know whether it passes."""
    reason = explain(code)  # type: ignore[operator]

    assert reason.code == (code if code is not None else "no reason given")
    assert reason.failure_class is FailureClass.UNCLEAR


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("FAILED", "SERVICE_ERROR", FailureClass.TRANSIENT),
        ("NOT_SUBMITTED", "ValidationException", FailureClass.PERMANENT),
        ("NOT_SUBMITTED", "SERVICE_ERROR", FailureClass.UNCLEAR),
        ("CANCELLED", None, FailureClass.UNCLEAR),
        ("UNKNOWN", None, FailureClass.PERMANENT),
    ],
)
def test_end_of_a_run_of_a_batch(status: str, code: str | None, expected: FailureClass) -> None:
    """Codes of starts and of executions are two tables; a run of unknown end is not started again unasked."""
    assert reason_of_end(status, code).failure_class is expected


def test_class_of_several() -> None:
    """As long as something may pass, a try is worth it; only where nothing may, it is not."""
    rank = [FailureClass.TRANSIENT, FailureClass.UNCLEAR, FailureClass.SIZING, FailureClass.PERMANENT]

    for count in (1, 2, 3, 4):
        for classes in itertools.combinations(rank, count):
            assert worth_of(reversed(classes)) is classes[0]
    assert worth_of([]) is FailureClass.UNCLEAR
