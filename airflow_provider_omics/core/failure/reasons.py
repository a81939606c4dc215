"""AWS's failure codes: their meaning, whose move it is, and whether another try can help.

Sources: user guide, "Run failure reasons" (the codes of ``failureReason`` of GetRun and GetRunTask), "Advanced resource
configuration" (ALL_PROFILES_INSTANCE_RESERVATION_FAILED), "Run batches" (``submissionFailureReason`` of
ListRunsInBatch); API reference, StartRun (INVALID_RUN_PARAMETERS). Owner and class are this package's judgement; a code
that is not here is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from airflow_provider_omics.core.failure.causes import NO_REASON, OUTPUTS_NOT_READ, OUTPUTS_TOO_MANY


class FailureClass(str, Enum):
    """Whether another try can succeed."""

    PERMANENT = "permanent"
    """The same settings fail the same way."""
    SIZING = "sizing"
    """More memory, storage or another instance is needed."""
    TRANSIENT = "transient"
    """It may pass by itself."""
    UNCLEAR = "unclear"
    """The code does not say."""


class Owner(str, Enum):
    """Whose move it is."""

    PIPELINE_AUTHOR = "pipeline author"
    DATA_OWNER = "data owner"
    PLATFORM = "platform team"
    """Who grants permissions and quotas in the AWS account."""
    AWS = "AWS"


@dataclass(frozen=True)
class FailureReason:
    """A failure code explained.

    :param code: as AWS spells it: ``"OUT_OF_MEMORY_ERROR"``.
    :param explanation: its meaning, one sentence.
    :param owner: whose move it is.
    :param action: the remedy, one sentence.
    :param failure_class: whether another try can help.
    """

    code: str
    explanation: str
    owner: Owner
    action: str
    failure_class: FailureClass


_PERMANENT, _SIZING = FailureClass.PERMANENT, FailureClass.SIZING
_TRANSIENT, _UNCLEAR = FailureClass.TRANSIENT, FailureClass.UNCLEAR
_AUTHOR, _DATA, _PLATFORM, _AWS = Owner.PIPELINE_AUTHOR, Owner.DATA_OWNER, Owner.PLATFORM, Owner.AWS


def _table(*rows: tuple[str, FailureClass, Owner, str, str]) -> dict[str, FailureReason]:
    return {code: FailureReason(code, why, owner, action, cls) for code, cls, owner, why, action in rows}


RUN_REASONS = _table(
    (
        "ALL_PROFILES_INSTANCE_RESERVATION_FAILED",
        _TRANSIENT,
        _AWS,
        "No instance of any profile in the task's omicsResourceFallbackOrder was free in time.",
        "Try again later, or give the task more profiles or a longer wait.",
    ),
    (
        "ASSUME_ROLE_FAILED",
        _PERMANENT,
        _PLATFORM,
        "HealthOmics may not assume the service role.",
        "Let the role's trust policy name the principal omics.amazonaws.com, and check role_arn.",
    ),
    (
        "CANNOT_START_CONTAINER_ERROR",
        _PERMANENT,
        _AUTHOR,
        "A task's container did not start from its image.",
        "Check that the image is valid: its architecture, its entry point, its tag.",
    ),
    (
        "CANNOT_START_CONTAINER_SIZE_ERROR",
        _SIZING,
        _AUTHOR,
        "A task's image is larger than its instance can hold.",
        "Make the image smaller than 45 GiB (95 GiB on a GPU instance).",
    ),
    (
        "ECR_PERMISSION_ERROR",
        _PERMANENT,
        _PLATFORM,
        "HealthOmics may not pull a container image.",
        "Check that the private ECR repository exists and that its policy grants omics.amazonaws.com access to it.",
    ),
    (
        "EXPORT_FAILED",
        _PERMANENT,
        _PLATFORM,
        "The outputs could not be written to S3.",
        "Check that the output bucket exists in the run's Region and that the service role may write to it.",
    ),
    (
        "FILE_SYSTEM_OUT_OF_SPACE",
        _SIZING,
        _AUTHOR,
        "The run's file system is full.",
        "Raise storage_capacity, or use storage_type='DYNAMIC'.",
    ),
    (
        "IMAGE_VERIFICATION_FAILURE",
        _PERMANENT,
        _AUTHOR,
        "A container image could not be verified.",
        "Pull the image and push it to the ECR repository again.",
    ),
    (
        "IMPORT_FAILED",
        _PERMANENT,
        _DATA,
        "An input could not be read.",
        "Check that every input exists and that the service role may read it.",
    ),
    (
        "INACTIVE_OMICS_STORAGE_RESOURCE",
        _PERMANENT,
        _DATA,
        "An input in HealthOmics storage is not ACTIVE.",
        "Activate the read set, then start again.",
    ),
    (
        "INPUT_URI_NOT_FOUND",
        _PERMANENT,
        _DATA,
        "An input does not exist, or the service role may not see it.",
        "Check the URI in the parameters, and that the service role may read the object.",
    ),
    (
        "INSTANCE_RESERVATION_FAILED",
        _TRANSIENT,
        _AWS,
        "No instance of the requested type was free.",
        "Try again later, or ask for another instance type.",
    ),
    (
        "INVALID_ECR_IMAGE_URI",
        _PERMANENT,
        _AUTHOR,
        "The URI of a container image is not one of ECR.",
        "Correct the image URI in the workflow or its parameters.",
    ),
    (
        "INVALID_RUN_PARAMETERS",
        _PERMANENT,
        _DATA,
        "The S3 object that parameters_uri names holds no valid parameters, or cannot be read.",
        "Put one JSON object there that fits the workflow's template; the status message says what is wrong.",
    ),
    (
        "INVALID_TASK_RESOURCE_VALUE",
        _SIZING,
        _AUTHOR,
        "A task asks for more CPUs, memory or GPUs than any instance has, or for less than 1.",
        "Correct the task's resources in the workflow.",
    ),
    ("INVALID_URI_INPUT", _PERMANENT, _DATA, "A parameter is not a valid URI.", "Correct the URI in the parameters."),
    (
        "MODIFIED_INPUT_RESOURCE",
        _TRANSIENT,
        _DATA,
        "An input was changed after the run had started.",
        "Start again once nothing writes to the inputs any more.",
    ),
    (
        "OUT_OF_MEMORY_ERROR",
        _SIZING,
        _AUTHOR,
        "A task used more memory than it requested.",
        "Raise the task's memory in the workflow or its configuration.",
    ),
    ("RUN_TASK_FAILED", _UNCLEAR, _AUTHOR, "A task ended with an error.", "Read the end of the failed task's log."),
    (
        "RUN_TIMED_OUT",
        _UNCLEAR,
        _AUTHOR,
        "The run took longer than its run group's maxDuration or the account's quota allows.",
        "Find the task that hangs or is slow, or raise the limit.",
    ),
    (
        "SERVICE_ERROR",
        _TRANSIENT,
        _AWS,
        "HealthOmics had a transient internal error.",
        "Start again; if it recurs, give AWS Support the run id.",
    ),
    (
        "TASK_TIMED_OUT",
        _UNCLEAR,
        _AUTHOR,
        "A task took longer than its own limit.",
        "Find out whether the task hangs, or raise its limit in the workflow.",
    ),
    (
        "UNSUPPORTED_GPU_INSTANCE_TYPE",
        _SIZING,
        _AUTHOR,
        "The GPU instance type does not exist in this Region.",
        "Ask for an accelerator that the Region has, or run in another Region.",
    ),
    (
        "UNSUPPORTED_INPUT_SIZE",
        _SIZING,
        _DATA,
        "The inputs are larger in total than the workflow takes.",
        "Split or reduce the inputs.",
    ),
    (
        "WORKFLOW_RUN_FAILED",
        _UNCLEAR,
        _AUTHOR,
        "The workflow engine ended with an error.",
        "Read the end of the engine log.",
    ),
    (
        "WORKFLOW_VER_VALIDATION_FAILED",
        _PERMANENT,
        _AUTHOR,
        "HealthOmics does not support the engine version that the workflow asks for.",
        "Ask for a supported version in the workflow or in engine_settings.",
    ),
)
"""By ``failureReason`` of a run or a task."""

_ACCESS = (
    "Grant the caller omics:StartRun, iam:PassRole on the service role (iam:PassedToService omics.amazonaws.com) and "
    "omics:TagResource, or switch Airflow's tags off with tag_with_airflow_context=False; grant the service role its "
    "access to S3, KMS, CloudWatch Logs and ECR."
)

SUBMISSION_REASONS = _table(
    ("AccessDeniedException", _PERMANENT, _PLATFORM, "The run was not started: a permission is missing.", _ACCESS),
    (
        "ConflictException",
        _TRANSIENT,
        _AWS,
        "The run was not started: another operation on the same resource was under way.",
        "Start it again.",
    ),
    (
        "InternalServerException",
        _TRANSIENT,
        _AWS,
        "The run was not started: HealthOmics failed, also when it tried again by itself.",
        "Start it again.",
    ),
    (
        "RequestTimeoutException",
        _TRANSIENT,
        _AWS,
        "The run was not started: HealthOmics took too long, also when it tried again by itself.",
        "Start it again.",
    ),
    (
        "ResourceNotFoundException",
        _PERMANENT,
        _AUTHOR,
        "The run was not started: its workflow, run group or cache is missing or not active.",
        "Check workflowId, workflowVersionName, runGroupId and cacheId.",
    ),
    (
        "ServiceQuotaExceededException",
        _TRANSIENT,
        _PLATFORM,
        "The run was not started: an account quota is exhausted.",
        "Start it again once other runs have ended or old ones are deleted, or ask for a higher quota.",
    ),
    (
        "ThrottlingException",
        _TRANSIENT,
        _AWS,
        "The run was not started: too many starts a second in the account, also when HealthOmics tried again.",
        "Start it again; start fewer runs beside a batch.",
    ),
    (
        "ValidationException",
        _PERMANENT,
        _AUTHOR,
        "The run was not started: its settings are not valid.",
        "Correct what the message names.",
    ),
)
"""By ``submissionFailureReason`` of a run of a batch that was never created."""

_OTHER_ENDS = _table(
    (
        "CANCELLED",
        _UNCLEAR,
        _PLATFORM,
        "The run was cancelled, and not by this task.",
        "Ask who cancelled it, and why.",
    ),
    (
        "INCOMPLETE",
        _UNCLEAR,
        _AUTHOR,
        "The run completed without outputs that were expected: its workflow ignores errors, or writes elsewhere.",
        "Look for errors in its logs that the workflow has ignored; correct the workflow, or the pattern.",
    ),
    (
        "UNKNOWN",
        _PERMANENT,
        _PLATFORM,
        "The run's record is gone, so nobody can tell how it ended; it is not started again by itself.",
        "Look at its outputs; to run it again, clear the task (a batch: with rerun='all'). RETAIN keeps records.",
    ),
    (
        "BATCH_FAILED",
        _UNCLEAR,
        _AUTHOR,
        "The batch itself failed; none or only some of its runs were started.",
        "Correct the settings if the message names them: JSON, unique ids, their number, a file that changed.",
    ),
)

OUTPUT_REASONS = _table(
    (
        OUTPUTS_NOT_READ,
        _PERMANENT,
        _PLATFORM,
        "The run completed, and whether its expected outputs are there cannot be looked up.",
        "Grant the connection s3:ListBucket on the bucket of the outputs: the next try looks again, starting nothing.",
    ),
    (
        OUTPUTS_TOO_MANY,
        _PERMANENT,
        _AUTHOR,
        "The run completed, and left more objects than are looked at, among which are not all expected outputs.",
        "Let the patterns begin with a folder, which alone is listed then; the next try looks again.",
    ),
)
"""By the codes of runs that completed, and of whose expected outputs nothing is known."""


def run_reason(code: str | None) -> FailureReason:
    """Explain the ``failureReason`` of a run or task.

    :param code: the code; None: the service gave none.
    :return: its row of the table; an unknown code is shown as it is, and unclear.
    """
    return RUN_REASONS.get(code or "") or OUTPUT_REASONS.get(code or "") or _unknown(code)


def submission_reason(code: str | None) -> FailureReason:
    """Explain the ``submissionFailureReason`` of a run of a batch.

    :param code: the code; None: the service gave none.
    :return: its row of the table; an unknown code is shown as it is, and unclear.
    """
    return SUBMISSION_REASONS.get(code or "") or _unknown(code)


def reason_of_end(status: str, code: str | None) -> FailureReason:
    """Explain how a run of a batch ended otherwise than COMPLETED.

    :param status: FAILED, NOT_SUBMITTED, CANCELLED, INCOMPLETE or UNKNOWN.
    :param code: the code that goes with FAILED and NOT_SUBMITTED, and with UNKNOWN where the outputs are not known.
    :return: the explanation.
    """
    if status == "NOT_SUBMITTED":
        return submission_reason(code)
    return OUTPUT_REASONS.get(code or "") or _OTHER_ENDS.get(status) or run_reason(code)


INCOMPLETE = _OTHER_ENDS["INCOMPLETE"]
"""For a run that completed without its expected outputs."""

BATCH_FAILED = _OTHER_ENDS["BATCH_FAILED"]
"""For a batch that ended FAILED: the service has a sentence for it, and no code."""


def worth_of(classes: Iterable[FailureClass]) -> FailureClass:
    """Find the class of several failures taken together: the one that may pass decides.

    :param classes: of each failure.
    :return: TRANSIENT before UNCLEAR before SIZING before PERMANENT; UNCLEAR for none.
    """
    found = set(classes)
    order = (_TRANSIENT, _UNCLEAR, _SIZING, _PERMANENT)
    return next((cls for cls in order if cls in found), _UNCLEAR)


def _unknown(code: str | None) -> FailureReason:
    if code is None:
        return FailureReason(NO_REASON, "HealthOmics gave no reason.", _AUTHOR, "Read the end of the logs.", _UNCLEAR)
    return FailureReason(
        code, "This version knows no explanation of this code.", _AUTHOR, "Read the end of the logs.", _UNCLEAR
    )


UNCLEAR_TRIES = 2
"""Tries for a failure that nobody can judge: one, and one more."""


def is_final(failure_class: FailureClass, unclear_before: int, *, retry_permanent: bool = False) -> bool:
    """Decide whether Airflow shall spend no further try on a failure.

    :param failure_class: the class by the diagnosis; for a batch that of its failures taken together.
    :param unclear_before: tries that ended unclear before this one, since the first try or the last clear.
    :param retry_permanent: ``retry_permanent_failures``: the class is not looked at.
    :return: whether the task ends here; otherwise Airflow's own ``retries`` decide.
    """
    if retry_permanent or failure_class is FailureClass.TRANSIENT:
        return False
    return failure_class is not FailureClass.UNCLEAR or unclear_before + 1 >= UNCLEAR_TRIES
