"""Statuses, response members and error codes that we rely on, against the installed botocore model."""

from __future__ import annotations

import inspect
from dataclasses import fields
from enum import Enum
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError

from airflow_provider_omics.core.errors import (
    AccessDenied,
    Conflict,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    ServiceError,
    Throttled,
    Unavailable,
)
from airflow_provider_omics.core.snapshots import _COUNTS, BatchSnapshot, RunSnapshot, Snapshot, _camel_case
from airflow_provider_omics.core.statuses import BATCH_PHASES, RUN_PHASES, BatchStatus, RunStatus, SubmissionStatus
from airflow_provider_omics.hooks import omics
from airflow_provider_omics.hooks.service_errors import _ALSO_NEEDED, _BY_CODE, _QUOTA_ADVICE, service_error
from tests.model_support import LATER_STATUSES

MODEL = botocore.session.get_session().get_service_model("omics")
# The operations whose names stand in the hook.
OPERATIONS = [name for name in MODEL.operation_names if f'"{name}"' in inspect.getsource(omics)]
# Codes that no service's model lists: they come from AWS's front end, before the service is asked.
FRONT_END = {
    "AccessDenied",
    "UnauthorizedOperation",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "SlowDown",
    "ExpiredTokenException",
    "ExpiredToken",
    "RequestExpired",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
}
# Codes of S3, where large settings and records are kept.
OBJECT_STORE = {"NoSuchBucket", "NoSuchKey", "PreconditionFailed", "ConditionalRequestConflict"}
TYPES = {
    "AccessDeniedException": AccessDenied,
    "ConflictException": Conflict,
    "InternalServerException": Unavailable,
    "RequestTimeoutException": Unavailable,
    "ResourceNotFoundException": NotFound,
    "ServiceQuotaExceededException": QuotaExceeded,
    "ThrottlingException": Throttled,
    "ValidationException": InvalidRequest,
}


def output(operation: str) -> Any:
    """Give the output shape of an operation."""
    return MODEL.operation_model(operation).output_shape


@pytest.mark.parametrize("enumeration", [RunStatus, BatchStatus, SubmissionStatus])
def test_statuses_are_those_of_the_model(enumeration: type[Enum]) -> None:
    """Each enumeration has every status of its namesake in the model, and those that came later; names are values."""
    values = [member.value for member in enumeration]
    later = LATER_STATUSES if enumeration is BatchStatus else set()

    assert sorted(set(values) - later) == sorted(MODEL.shape_for(enumeration.__name__).enum)
    assert [member.name for member in enumeration] == values


@pytest.mark.parametrize(("phases", "enumeration"), [(RUN_PHASES, RunStatus), (BATCH_PHASES, BatchStatus)])
def test_every_status_has_a_phase(phases: dict[Any, Any], enumeration: type[Enum]) -> None:
    """The tables are total."""
    assert set(phases) == set(enumeration)


@pytest.mark.parametrize(("cls", "operation"), [(RunSnapshot, "GetRun"), (BatchSnapshot, "GetBatch")])
def test_snapshots_read_what_the_answer_has(cls: type[Snapshot], operation: str) -> None:
    """Each field is a member of the look's answer with a fitting type; times are timestamps."""
    members = output(operation).members
    own = [field.name for field in fields(cls) if field.name != "counts"]
    kinds = {name: members[_camel_case(name)].type_name for name in own}

    assert {name for name, kind in kinds.items() if kind == "timestamp"} == {n for n in own if n.endswith("_time")}
    assert {name for name, kind in kinds.items() if kind == "integer"} == {"total_runs"} & set(own)
    assert set(kinds.values()) <= {"string", "timestamp", "integer"}


@pytest.mark.parametrize(
    ("cls", "operation", "read"),
    [
        (RunSnapshot, "StartRun", {"id", "status", "uuid", "arn", "run_output_uri"}),
        (BatchSnapshot, "StartRunBatch", {"id", "status", "uuid", "arn"}),
    ],
)
def test_snapshots_read_what_a_start_answers(cls: type[Snapshot], operation: str, read: set[str]) -> None:
    """A start's answer has less; what it has of a snapshot is this."""
    members = output(operation).members

    assert {field.name for field in fields(cls) if _camel_case(field.name) in members} == read


def test_counts_are_members_of_the_summaries() -> None:
    """Each count is an integer of runSummary or submissionSummary; no state of a run is left out."""
    members = output("GetBatch").members

    assert {members[summary].members[name].type_name for summary, name in _COUNTS.values()} == {"integer"}
    read = {name for summary, name in _COUNTS.values() if summary == "runSummary"}
    assert read == set(members["runSummary"].members)


@pytest.mark.parametrize(("shape", "statuses"), [("RunStatus", RunStatus), ("BatchStatus", BatchStatus)])
@pytest.mark.parametrize("verb", ["Start", "Get"])
def test_status_has_the_enumeration_that_we_read(shape: str, statuses: type[Enum], verb: str) -> None:
    """The status in the four answers is of the enumeration that the tables are about."""
    names = {
        RunStatus: {"Start": "StartRun", "Get": "GetRun"},
        BatchStatus: {"Start": "StartRunBatch", "Get": "GetBatch"},
    }

    assert output(names[statuses][verb]).members["status"].name == shape


def test_submission_status_is_that_of_the_list() -> None:
    """ListRunsInBatch tells of submissions in the enumeration that we know."""
    (page,) = (member for member in output("ListRunsInBatch").members.values() if member.type_name == "list")

    assert page.member.members["submissionStatus"].name == "SubmissionStatus"


def test_the_hook_names_its_operations() -> None:
    """The four operations at the heart are among those that the next tests are about."""
    assert {"StartRun", "GetRun", "StartRunBatch", "GetBatch"} < set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_error_of_an_operation_has_a_type(operation: str) -> None:
    """Each error that the model lists becomes the typed error for it, with its facts."""
    for shape in MODEL.operation_model(operation).error_shapes:
        status = shape.metadata["error"]["httpStatusCode"]
        answer = {
            "Error": {"Code": shape.name, "Message": "why"},
            "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "abc"},
        }

        error = service_error(operation, ClientError(answer, operation))

        assert type(error) is TYPES[shape.name]
        assert (error.operation, error.code, error.reason) == (operation, shape.name, "why")
        assert (error.http_status, error.request_id) == (status, "abc")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_unlisted_code_falls_to_the_same_type(operation: str) -> None:
    """The HTTP status alone leads to the type that the code leads to: a new code is no surprise."""
    for shape in MODEL.operation_model(operation).error_shapes:
        status = shape.metadata["error"]["httpStatusCode"]
        answer = {"Error": {"Code": "BrandNewException"}, "ResponseMetadata": {"HTTPStatusCode": status}}

        assert type(service_error(operation, ClientError(answer, operation))) is TYPES[shape.name]


def test_every_code_is_of_the_model_or_of_the_front_end() -> None:
    """No code in the table is misspelt: it is an error shape of the model, a common error or one of S3."""
    shapes = {shape.name for name in MODEL.operation_names for shape in MODEL.operation_model(name).error_shapes}

    assert set(_BY_CODE) - FRONT_END - OBJECT_STORE <= shapes
    assert not (FRONT_END | OBJECT_STORE) & shapes
    assert all(issubclass(kind, ServiceError) for kind in _BY_CODE.values())


def test_advice_is_for_operations_that_exist() -> None:
    """Permissions and quotas are explained for operations of the model."""
    assert set(_ALSO_NEEDED) | set(_QUOTA_ADVICE) <= set(MODEL.operation_names)
