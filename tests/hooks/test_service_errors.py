from __future__ import annotations

import pickle
import socket
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from airflow_provider_omics.core.errors import (
    AccessDenied,
    Conflict,
    CredentialsExpired,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    ServiceError,
    Throttled,
    Unavailable,
)
from airflow_provider_omics.emulator.errors import error_statuses
from airflow_provider_omics.emulator.script.faults import Fault
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import complete, service_error, service_errors
from tests.airflow_support import DEFAULT_RUN_SETTING, ONE_TRY

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

EXPECTED: dict[str, tuple[type[ServiceError], int]] = {
    "AccessDeniedException": (AccessDenied, 403),
    "ConflictException": (Conflict, 409),
    "InternalServerException": (Unavailable, 500),
    "RequestTimeoutException": (Unavailable, 408),
    "ResourceNotFoundException": (NotFound, 404),
    "ServiceQuotaExceededException": (QuotaExceeded, 402),
    "ThrottlingException": (Throttled, 429),
    "ValidationException": (InvalidRequest, 400),
}


def hook(**config: Any) -> OmicsHook:
    return OmicsHook(config={**ONE_TRY, **config})


def test_every_code_is_expected() -> None:
    """The table above has every error of the service that the workflows API can answer with."""
    assert EXPECTED.keys() <= error_statuses().keys()
    assert error_statuses().keys() - EXPECTED.keys() <= {
        "NotSupportedOperationException",
        "RangeNotSatisfiableException",
    }


@pytest.mark.parametrize("code", EXPECTED)
def test_code_becomes_a_typed_error(emulator: OmicsEmulator, connect: Connect, code: str) -> None:
    """Each error of AWS is its own class, with AWS's words, ids and status, and the AWS error as its cause."""
    expected, status = EXPECTED[code]
    emulator.faults.add(operation="GetRun", error=code, message="AWS says so")

    shared = OmicsHook()
    shared.prepare_for_threads(2)

    for one in (hook(), shared):
        with pytest.raises(ServiceError) as caught:
            one.look("run", "1")
        error = caught.value
        assert type(error) is expected
        assert (error.operation, error.code, error.http_status, error.reason) == ("GetRun", code, status, "AWS says so")
        assert error.request_id
        assert isinstance(error.__cause__, ClientError)
        assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__


@pytest.mark.parametrize("code", EXPECTED)
def test_code_in_the_middle_of_a_list(emulator: OmicsEmulator, connect: Connect, code: str) -> None:
    """The same for what a list meets on a later page."""
    for number in range(120):
        emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": f"r{number}"})
    runs = hook().list_runs()
    next(runs)
    emulator.faults.add(operation="ListRuns", error=code)

    with pytest.raises(EXPECTED[code][0]) as caught:
        list(runs)

    assert caught.value.operation == "ListRuns"


@pytest.mark.parametrize(
    ("operation", "call", "named"),
    [
        ("GetRun", lambda hook: hook.get_run("1"), ["omics:GetRun"]),
        ("ListRunsInBatch", lambda hook: list(hook.list_runs_in_batch("1")), ["omics:ListRunsInBatch"]),
        (
            "StartRun",
            lambda hook: hook.start_run({**DEFAULT_RUN_SETTING, "requestId": "r"}),
            ["omics:StartRun", "iam:PassRole", "omics:TagResource"],
        ),
        (
            "StartRunBatch",
            lambda hook: hook.start_run_batch(
                {
                    "requestId": "r",
                    "defaultRunSetting": DEFAULT_RUN_SETTING,
                    "batchRunSettings": {"inlineSettings": [{"runSettingId": "S1"}]},
                }
            ),
            ["omics:StartRunBatch", "omics:StartRun,", "iam:PassRole"],
        ),
        ("CancelRunBatch", lambda hook: hook.cancel_run_batch("1"), ["omics:CancelRunBatch", "omics:CancelRun."]),
        ("DeleteRunBatch", lambda hook: hook.delete_run_batch("1"), ["omics:DeleteRunBatch", "omics:DeleteRun."]),
    ],
)
def test_access_denied_names_the_actions(
    emulator: OmicsEmulator, connect: Connect, operation: str, call: Any, named: list[str]
) -> None:
    """Who may not do something is told the actions that are missing."""
    emulator.faults.add(operation=operation, error="AccessDeniedException")

    with pytest.raises(AccessDenied) as caught:
        call(hook())

    assert all(action in str(caught.value) for action in named)


def test_used_up_quota_explains_stored_runs(emulator: OmicsEmulator, connect: Connect) -> None:
    """The limit of stored runs stops every start until somebody deletes: the error says how."""
    emulator.set_scenario({"limits": {"stored_runs": 1}})
    hook().start_run({**DEFAULT_RUN_SETTING, "requestId": "one"})

    with pytest.raises(QuotaExceeded, match=r"L-C9679DBC.*retentionMode REMOVE") as caught:
        hook().start_run({**DEFAULT_RUN_SETTING, "requestId": "two"})

    assert caught.value.http_status == 402


@pytest.mark.parametrize("fault", ["lost_request", "lost_response"])
def test_lost_connection(emulator: OmicsEmulator, connect: Connect, fault: str) -> None:
    """A connection that dies may be fine a moment later."""
    run_id = hook().start_run({**DEFAULT_RUN_SETTING, "requestId": "one"})["id"]
    emulator.faults.add(Fault.from_mapping({"operation": "GetRun", fault: True}))

    with pytest.raises(Unavailable) as caught:
        hook().get_run(run_id)

    assert caught.value.http_status is None
    assert isinstance(caught.value.__cause__, BotoCoreError)


def test_nobody_listens(emulator: OmicsEmulator, connect: Connect) -> None:
    """An endpoint where nobody listens may come back."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        connect(endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable) as caught:
            hook().get_run("1")

    assert isinstance(caught.value.__cause__, EndpointConnectionError)


def test_answer_that_is_late(emulator: OmicsEmulator, connect: Connect) -> None:
    """An answer that does not come in time may come the next time."""
    run_id = hook().start_run({**DEFAULT_RUN_SETTING, "requestId": "one"})["id"]
    emulator.faults.add(operation="GetRun", latency_seconds=0.5)

    with pytest.raises(Unavailable) as caught:
        hook(read_timeout=0.1).get_run(run_id)

    assert isinstance(caught.value.__cause__, ReadTimeoutError)


def test_no_credentials(emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are not there may be there later: instance metadata answers late now and then."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_OMICS", emulator.url)

    with pytest.raises(CredentialsExpired) as caught:
        OmicsHook(aws_conn_id=None, region_name="us-east-1").get_run("1")

    assert isinstance(caught.value.__cause__, NoCredentialsError)


def test_request_that_botocore_refuses(emulator: OmicsEmulator, connect: Connect) -> None:
    """What botocore itself finds wrong is not sent, and trying again is no use."""
    with pytest.raises(InvalidRequest):
        hook().start_run({"runId": 5})

    assert emulator.calls.by_operation() == {}


# -- what the emulator does not answer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        # AWS's front end, common to all services.
        ("ExpiredTokenException", 403, CredentialsExpired),
        ("UnrecognizedClientException", 403, CredentialsExpired),
        ("InvalidSignatureException", 403, CredentialsExpired),
        ("TooManyRequestsException", 429, Throttled),
        ("SlowDown", 503, Throttled),
        # Codes that nobody knows yet, by their HTTP status.
        ("SomethingNew", 400, InvalidRequest),
        ("SomethingNew", 402, QuotaExceeded),
        ("SomethingNew", 403, AccessDenied),
        ("SomethingNew", 404, NotFound),
        ("SomethingNew", 408, Unavailable),
        ("SomethingNew", 409, Conflict),
        ("SomethingNew", 418, ServiceError),
        ("SomethingNew", 429, Throttled),
        ("SomethingNew", 500, Unavailable),
        ("SomethingNew", 503, Unavailable),
        ("SomethingNew", None, Unavailable),
    ],
)
def test_other_codes(code: str, status: int | None, expected: type[ServiceError]) -> None:
    """A code that the service's model does not list is judged by what it is known for, else by its HTTP status."""
    meta = {} if status is None else {"HTTPStatusCode": status}
    cause = ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": meta}, "GetRun")

    error = service_error("GetRun", cause)

    assert type(error) is expected
    assert error.http_status == status


def test_answer_without_a_code() -> None:
    """An empty error, as a proxy may make it, is one that may pass."""
    assert type(service_error("GetRun", ClientError({}, "GetRun"))) is Unavailable


def test_garbled_answer() -> None:
    """An answer that cannot be read comes from something between us and AWS."""
    assert type(service_error("GetRun", ResponseParserError("<html>"))) is Unavailable


@pytest.mark.parametrize("raised", [AttributeError, KeyError, TypeError, ValueError])
def test_answer_of_another_form(raised: type[Exception]) -> None:
    """The SDK does not check types: what its parser or ours stumbles over is an answer that did not get through."""
    with pytest.raises(Unavailable) as caught, service_errors("GetRun"):
        raise raised("items")

    assert (caught.value.operation, caught.value.code) == ("GetRun", "UnreadableAnswer")
    assert isinstance(caught.value.__cause__, raised)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"id": "1", "status": "FAILED"}, None),
        ({"id": "1"}, "no status"),
        ({"id": 1, "status": None}, "no id and no status"),
        ({}, "no id and no status"),
    ],
)
def test_answer_that_is_not_complete(answer: dict[str, Any], reason: str | None) -> None:
    """Without its id and status, nothing can be made of an answer."""
    if reason is None:
        assert complete("GetRun", answer, "id", "status") is answer
        return
    with pytest.raises(Unavailable, match=reason):
        complete("GetRun", answer, "id", "status")
