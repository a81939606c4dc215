"""AWS's errors as the typed errors of :mod:`airflow_provider_omics.core.errors`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ssl import SSLError
from typing import Any, TypeVar

from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from airflow_provider_omics.core.errors import (
    CHECK_ADVICE,
    AccessDenied,
    Conflict,
    CredentialsExpired,
    InvalidRequest,
    NotFound,
    Problem,
    QuotaExceeded,
    ServiceError,
    SettingsError,
    Throttled,
    Unavailable,
)

Answer = TypeVar("Answer", bound=Mapping[str, Any])

# Error codes of the omics service model, of AWS's front end (signature, credentials) which no model lists, and of S3's
# conditional writes. Source: API references, "Common errors" and "Error responses"; botocore's throttling codes.
_BY_CODE: dict[str, type[ServiceError]] = {
    "AccessDeniedException": AccessDenied,
    "AccessDenied": AccessDenied,
    "UnauthorizedOperation": AccessDenied,
    "ResourceNotFoundException": NotFound,
    "ConflictException": Conflict,
    "PreconditionFailed": Conflict,
    "ConditionalRequestConflict": Conflict,
    "NoSuchKey": NotFound,
    "NoSuchBucket": NotFound,
    "ServiceQuotaExceededException": QuotaExceeded,
    "ValidationException": InvalidRequest,
    "ThrottlingException": Throttled,
    "Throttling": Throttled,
    "TooManyRequestsException": Throttled,
    "RequestLimitExceeded": Throttled,
    "SlowDown": Throttled,
    "InternalServerException": Unavailable,
    "RequestTimeoutException": Unavailable,
    "ExpiredTokenException": CredentialsExpired,
    "ExpiredToken": CredentialsExpired,
    "RequestExpired": CredentialsExpired,
    "UnrecognizedClientException": CredentialsExpired,
    "InvalidClientTokenId": CredentialsExpired,
    "InvalidSignatureException": CredentialsExpired,
}

_TAGS = (
    "iam:PassRole on the service role, and omics:TagResource when tags are sent (tag_with_airflow_context: false in "
    "the connection's service_config switches the tags of Airflow off)"
)
# Permissions of a call beside the action of its own name. Source: Service Authorization Reference, HealthOmics; user
# guide, "Run batches" (a batch needs the permission of the single-run operation as well).
_ALSO_NEEDED = {
    "StartRun": _TAGS,
    "StartRunBatch": f"omics:StartRun, {_TAGS}; the service role needs s3:GetObject on the settings file",
    "CancelRunBatch": "omics:CancelRun",
    "DeleteRunBatch": "omics:DeleteRun",
    "CreateRunGroup": "omics:TagResource when tags are sent",
}

# Actions of other services.
_ACTIONS = {
    "PutObject": "s3:PutObject (with kms:GenerateDataKey on the key of an encrypted bucket)",
    "GetObject": (
        "s3:GetObject (with kms:Decrypt on the key of an encrypted bucket), "
        "and s3:ListBucket to learn of a missing object"
    ),
    "HeadObject": "s3:GetObject and s3:ListBucket",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "DescribeLogStreams": "logs:DescribeLogStreams on /aws/omics/WorkflowLog",
    "GetLogEvents": "logs:GetLogEvents on /aws/omics/WorkflowLog",
    "GetProducts": "pricing:GetProducts",
    "AssumeRole": "sts:AssumeRole",
    "GetCallerIdentity": "sts:GetCallerIdentity",
    "GetRole": "iam:GetRole",
    "SimulatePrincipalPolicy": "iam:SimulatePrincipalPolicy",
    "HeadBucket": "s3:ListBucket",
}

_QUOTA_ADVICE = {
    "StartRun": (
        "If the stored-runs quota (L-C9679DBC, 100,000 by default) is used up and all runs have retentionMode RETAIN, "
        "no run can start: delete old runs, or start runs with retentionMode REMOVE."
    )
}
_QUOTA_ADVICE["StartRunBatch"] = _QUOTA_ADVICE["StartRun"]

_WITH_WORKFLOW = frozenset({"StartRun", "StartRunBatch", "GetWorkflow", "GetWorkflowVersion"})
# Source: GetWorkflow and StartRun, "type" and "workflowOwnerId"; a workflow is known in its own Region only.
_WORKFLOW_ADVICE = (
    "A workflow that exists is not found from another Region or account: look at those of the connection. A Ready2Run "
    'workflow needs workflow_type="READY2RUN", one that another account shares its workflow_owner_id, in '
    "default_run_setting workflowType and workflowOwnerId."
)
_BUCKET_ADVICE = (
    "The bucket does not exist: correct the setting that names it (staging_s3_uri, results_s3_uri, sample_sheet, ... "
    "of the task, else of the connection), or create it in the Region of the runs."
)


# Errors of botocore itself. Without credentials: the instance metadata service answers late now and then, which
# botocore reports as "no credentials". A garbled answer comes from a proxy or a load balancer between.
_WITHOUT_ANSWER: tuple[tuple[tuple[type[Exception], ...], type[ServiceError]], ...] = (
    ((NoCredentialsError, CredentialRetrievalError), CredentialsExpired),
    (
        (HTTPClientError, BotoConnectionError, IncompleteReadError, ResponseStreamingError, ResponseParserError),
        Unavailable,
    ),
    ((BotoCoreError,), InvalidRequest),
)


def service_error(
    operation: str, error: ClientError | BotoCoreError | ResponseParserError, about: str = ""
) -> ServiceError:
    """Return the typed error for an error of botocore.

    :param operation: the API operation: ``"StartRun"``.
    :param error: botocore's.
    :param about: the object that was asked for, as an ``s3://`` URI; the advice names it. Default: none.
    :return: the typed error; the caller raises it ``from`` the original.
    """
    if not isinstance(error, ClientError):
        kind = next(kind for errors, kind in _WITHOUT_ANSWER if isinstance(error, errors))
        points = kind is not Unavailable or isinstance(error, EndpointConnectionError)
        advice = f"{_subject(about)} {CHECK_ADVICE if points else ''}".strip()
        return kind(operation, type(error).__name__, str(error), advice=advice)
    answer = error.response
    details = answer.get("Error", {})
    meta = answer.get("ResponseMetadata", {})
    code = details.get("Code", "Unknown")
    status = meta.get("HTTPStatusCode")
    cls = _BY_CODE.get(code) or _by_http_status(status)
    return cls(
        operation,
        code,
        details.get("Message", ""),
        http_status=status,
        request_id=meta.get("RequestId"),
        advice=_advice(cls, code, operation, about),
    )


@contextmanager
def service_errors(operation: str, about: str = "") -> Iterator[None]:
    """Turn botocore's errors inside the block into typed ones, with the original as their cause.

    The block holds a call and the reading of its answer, no more: an answer of another form than the model's, which
    botocore does not check, counts as one that did not get through.

    :param operation: the API operation: ``"StartRun"``.
    :param about: the object that is asked for, as an ``s3://`` URI; the advice names it. Default: none.
    :raises ServiceError: the call was refused or did not get through.
    """
    try:
        yield
    except SettingsError:
        raise  # it is a ValueError, and of no answer
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise service_error(operation, error, about) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable(operation, f"{type(error).__name__}: {error}") from error


_NO_BUNDLE = (FileNotFoundError, IsADirectoryError, PermissionError, SSLError)
"""Errors of ``ssl.create_default_context(cafile=...)``."""


UNMADE = (BotoCoreError, ClientError, ResponseParserError, ValueError, *_NO_BUNDLE)
"""What making a client raises, beside Airflow's own errors."""


def client_error(error: Exception, connection: AwsConnectionWrapper, service: str) -> SettingsError | ServiceError:
    """Give the typed error for what kept a client from being made, whichever call needed it first.

    What AWS or the network has refused may pass. The rest are settings, which no other try corrects.

    :param error: one of :data:`UNMADE`.
    :param connection: the settings that the client is made of.
    :param service: the service, as botocore names it: ``"omics"``.
    :return: SettingsError with connection and key; ServiceError: no credentials, or the role was not assumed. The
        caller raises it ``from`` the original.
    """
    if isinstance(error, SettingsError):
        return error
    if isinstance(error, (ClientError, ResponseParserError)):
        return service_error("AssumeRole", error)
    typed = service_error("AssumeRole", error) if isinstance(error, BotoCoreError) else None
    if isinstance(typed, Unavailable):
        return typed
    return SettingsError([_settings_problem(error, connection, service)])


def _settings_problem(error: Exception, connection: AwsConnectionWrapper, service: str) -> Problem:
    if isinstance(error, ProfileNotFound):
        key, value = "profile_name", connection.session_kwargs.get("profile_name") or os.environ.get("AWS_PROFILE")
        allowed = "a profile in the AWS configuration files of this machine"
    elif isinstance(error, (NoRegionError, InvalidRegionError)):
        key, value, allowed = "region_name", connection.region_name, "a Region of AWS, such as us-east-1"
    elif isinstance(error, _NO_BUNDLE):
        key, value = "verify", connection.verify
        allowed = f"true, false, or the path of a file with CA certificates ({type(error).__name__})"
    elif isinstance(error, BotoCoreError):
        key, value, allowed = "extra", type(error).__name__, str(error)
    else:
        key, value = "endpoint_url", connection.get_service_endpoint_url(service_name=service)
        value = "that of the environment" if value is None else value.rpartition("@")[2]  # no password
        allowed = "a URL with its scheme: https://host or http://host:port"
    name = f"{key} of the connection {connection.conn_id!r}" if isinstance(connection.conn_id, str) else key
    return Problem(name, "not set" if value is None else repr(value), allowed)


def unreadable(operation: str, reason: str) -> Unavailable:
    """Return the error for an answer that nobody can read.

    :param operation: the API operation: ``"ListRuns"``.
    :param reason: its fault.
    """
    advice = "Something between here and AWS may have answered in its place."
    return Unavailable(operation, "UnreadableAnswer", reason, advice=advice)


def complete(operation: str, answer: Answer, *names: str) -> Answer:
    """Return an answer, or an item of a list, once its indispensable members are there.

    :param operation: the API operation: ``"GetRun"``.
    :param answer: the answer.
    :param names: members that it must have, as text.
    :raises Unavailable: it lacks one.
    """
    missing = [name for name in names if not isinstance(answer.get(name), str)]
    if missing:
        raise unreadable(operation, f"no {' and no '.join(missing)}")
    return answer


def _by_http_status(status: int | None) -> type[ServiceError]:
    if status is None or status >= 500 or status == 408:
        return Unavailable
    return {403: AccessDenied, 404: NotFound, 409: Conflict, 402: QuotaExceeded, 429: Throttled}.get(
        status, InvalidRequest if status == 400 else ServiceError
    )


def _subject(about: str) -> str:
    return f"It was about {about}." if about else ""


def _advice(cls: type[ServiceError], code: str, operation: str, about: str) -> str:
    if cls is AccessDenied:
        also = _ALSO_NEEDED.get(operation)
        action = _ACTIONS.get(operation, f"omics:{operation}")
        if about:
            name, space, rest = action.partition(" ")
            action = f"{name} for {about}{space}{rest}"
        return f"The caller needs {action}" + (f", and {also}." if also else ".")
    if cls is QuotaExceeded:
        return _QUOTA_ADVICE.get(operation, "")
    if cls is NotFound and operation in _WITH_WORKFLOW:
        return _WORKFLOW_ADVICE
    if code == "NoSuchBucket":
        return f"{_subject(about)} {_BUCKET_ADVICE}".strip()
    return _subject(about)
