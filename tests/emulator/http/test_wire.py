from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from botocore.model import ServiceModel
from botocore.session import Session

from airflow_provider_omics.emulator.errors import ServiceError, error_statuses
from airflow_provider_omics.emulator.http import wire as wire_module
from airflow_provider_omics.emulator.http.wire import HOST_PREFIXES, UnknownOperation, Wire
from tests.model_support import INSTALLED

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = Session().get_service_model("omics")
ROUTED = sorted(
    name
    for name in MODEL.operation_names
    if (MODEL.operation_model(name).endpoint or {}).get("hostPrefix") in HOST_PREFIXES
)
RUN_ARN = "arn:aws:omics:us-east-1:123456789012:run/1234567"


def test_workflow_and_tag_operations_have_a_route(wire: Wire) -> None:
    """The 38 operations of the workflows host and the three of the tags host have a route, and no others.

    The four on configurations came with botocore 1.42.78.
    """
    assert len(wire.operations) == (41 if INSTALLED >= (1, 42, 78) else 37)
    assert sorted(wire.operations) == ROUTED


@pytest.mark.parametrize("operation", ROUTED)
def test_path_leads_to_its_operation(wire: Wire, operation: str) -> None:
    """A request with the method and path of an operation reaches it, with the labels of the path decoded."""
    http = MODEL.operation_model(operation).http
    path = "/".join("a%2Fb" if part.startswith("{") else part for part in http["requestUri"].split("/"))
    labels = {part.strip("{}"): "a/b" for part in http["requestUri"].split("/") if part.startswith("{")}
    assert wire.match(http["method"], path) == (operation, labels)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("PATCH", "/run"), ("GET", "/runs"), ("GET", "/run/1/task/2/3"), ("PUT", "/run/1")],
)
def test_unknown_path_has_no_operation(wire: Wire, method: str, path: str) -> None:
    """A method and path that the model does not have lead nowhere."""
    with pytest.raises(UnknownOperation, match=method):
        wire.match(method, path)


def test_literal_segment_wins_over_a_label(wire: Wire) -> None:
    """POST /runBatch/cancel is CancelRunBatch; GET /runBatch/cancel asks for a batch of that name."""
    assert wire.match("POST", "/runBatch/cancel") == ("CancelRunBatch", {})
    assert wire.match("GET", "/runBatch/cancel") == ("GetBatch", {"batchId": "cancel"})


@pytest.mark.parametrize(
    ("operation", "labels", "query", "body", "expected"),
    [
        ("ListRuns", {}, "status=RUNNING&maxResults=50", b"", {"status": "RUNNING", "maxResults": 50}),
        ("ListRuns", {}, "name=a%20b%26c", b"", {"name": "a b&c"}),
        ("GetRun", {"id": "1"}, "export=DEFINITION", b"", {"id": "1", "export": ["DEFINITION"]}),
        (
            "UntagResource",
            {"resourceArn": RUN_ARN},
            "tagKeys=a&tagKeys=b",
            b"",
            {"resourceArn": RUN_ARN, "tagKeys": ["a", "b"]},
        ),
        ("CancelRunBatch", {}, "", b'{"batchId": "12"}', {"batchId": "12"}),
        ("ListBatch", {}, "", b"", {}),
    ],
)
def test_members_are_gathered(
    wire: Wire, operation: str, labels: dict[str, str], query: str, body: bytes, expected: dict[str, Any]
) -> None:
    """Members come from path, query and body, each with the type of the model."""
    assert wire.read(operation, labels, query, body) == expected


@pytest.mark.parametrize(
    ("operation", "labels", "query", "body", "message"),
    [
        ("StartRun", {}, "", b"{", "not JSON"),
        ("StartRun", {}, "", b"\xff", "not JSON"),
        ("StartRun", {}, "", b"[]", "must be a JSON object"),
        ("StartRun", {}, "", b'{"parameters": {"a": NaN}}', "NaN is not JSON"),
        ("StartRun", {}, "", b'{"parameters": {"a": -Infinity}}', "-Infinity is not JSON"),
        ("ListRuns", {}, "maxItems=5", b"", "maxItems"),
        ("ListRuns", {}, "maxResults=many", b"", "'maxResults'.*be an integer"),
        ("ListRuns", {}, "maxResults=101", b"", "'maxResults'.*less than or equal to 100"),
        ("ListRuns", {}, "status=DONE", b"", "'status'.*enum"),
        ("ListRuns", {}, "status=RUNNING&status=FAILED", b"", "status is given 2 times"),
        ("GetRun", {"id": "1"}, "", b'{"id": "2"}', "id.*must not be in the request body"),
        ("GetRun", {"id": ""}, "", b"", "'id'.*length greater"),
    ],
)
def test_request_that_does_not_fit_is_refused(
    wire: Wire, operation: str, labels: dict[str, str], query: str, body: bytes, message: str
) -> None:
    """A malformed request is a ValidationException that names the member."""
    with pytest.raises(ServiceError, match=message) as caught:
        wire.read(operation, labels, query, body)
    assert caught.value.code == "ValidationException"


def test_timestamps_travel_in_utc(wire: Wire) -> None:
    """A timestamp of any zone is written as ISO 8601 in UTC, and None members are left out."""
    there = datetime(2026, 1, 1, 14, 30, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))
    answer = wire.write("GetRun", {"id": "1", "creationTime": there, "startTime": None})
    assert answer.status == 200
    assert json.loads(answer.body) == {"id": "1", "creationTime": "2026-01-01T12:30:00.250000Z"}


@pytest.mark.parametrize(
    ("operation", "result", "message"),
    [
        ("GetRun", {"storage": 5}, "GetRun has no member 'storage'"),
        ("GetRun", {"status": "DONE"}, "GetRun.status must be one of"),
        ("GetRun", {"priority": "1"}, "GetRun.priority must be int"),
        ("GetRun", {"priority": True}, "GetRun.priority must be int"),
        ("ListRuns", {"items": [{"id": 7}]}, r"ListRuns.items\[\].id must be str"),
        ("GetRun", {"creationTime": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001  # that is the point
        ("CancelRun", {"id": "1"}, "CancelRun answers nothing"),
    ],
)
def test_answer_outside_the_model_is_a_fault(wire: Wire, operation: str, result: dict[str, Any], message: str) -> None:
    """The emulator cannot answer what the service model does not have."""
    with pytest.raises(TypeError, match=message):
        wire.write(operation, result)


@pytest.mark.parametrize("operation", ROUTED)
def test_every_answer_can_be_written(wire: Wire, operation: str) -> None:
    """Every operation has a writer, with the model's status; 202 without output and 204 have no body."""
    answer = wire.write(operation, {})
    model = MODEL.operation_model(operation)
    assert answer.status == model.http["responseCode"]
    assert answer.body == (b"" if model.output_shape is None or answer.status == 204 else b"{}")
    assert answer.headers["x-amzn-requestid"]


def read(wire: Wire) -> None:
    wire.read("Do", {}, "", b"{}")


def write(wire: Wire) -> None:
    wire.write("Do", {})


@pytest.mark.parametrize(
    ("member", "use", "message"),
    [
        pytest.param({"location": "header"}, read, "Do.part travels in header", id="header"),
        pytest.param({"locationName": "piece"}, read, "Do.part is called piece in the body", id="other name"),
        pytest.param({"location": "header"}, write, "Do answers outside of the JSON body", id="answer in a header"),
        pytest.param({"type": "double"}, write, "Do.part is a double", id="answer of another type"),
        pytest.param({"pattern": r"\p{L}+-\p{N}+"}, read, "is more than one class of Unicode categories", id="pattern"),
    ],
)
def test_newer_model_is_not_guessed(
    monkeypatch: pytest.MonkeyPatch, member: dict[str, str], use: Callable[[Wire], None], message: str
) -> None:
    """What a newer botocore may bring and the wire cannot carry is an error of the emulator, not a wrong answer."""
    place = {name: value for name, value in member.items() if name.startswith("location")}
    operation = {
        "name": "Do",
        "http": {"method": "POST", "requestUri": "/do", "responseCode": 200},
        "endpoint": {"hostPrefix": HOST_PREFIXES[0]},
        "input": {"shape": "Whole"},
        "output": {"shape": "Whole"},
    }
    shapes = {
        "Whole": {"type": "structure", "members": {"part": {"shape": "Part", **place}}},
        "Part": {"type": "string", **member},
    }
    monkeypatch.setattr(
        wire_module, "service_model", lambda: ServiceModel({"operations": {"Do": operation}, "shapes": shapes})
    )

    with pytest.raises(NotImplementedError, match=message):
        use(Wire())


@pytest.mark.parametrize(("code", "status"), sorted(error_statuses().items()))
def test_error_has_the_status_of_the_model(wire: Wire, code: str, status: int) -> None:
    """An error carries its code in the header, its message in the body, and the model's HTTP status."""
    answer = wire.write_error(code, "No.")
    assert (answer.status, answer.headers["x-amzn-errortype"], json.loads(answer.body)) == (
        status,
        code,
        {"message": "No."},
    )


def test_statuses_that_clients_rely_on() -> None:
    """The model gives the statuses that the User Guide names."""
    expected = {
        "ServiceQuotaExceededException": 402,
        "ConflictException": 409,
        "ThrottlingException": 429,
        "ResourceNotFoundException": 404,
        "AccessDeniedException": 403,
        "ValidationException": 400,
        "InternalServerException": 500,
        "RequestTimeoutException": 408,
    }
    assert {code: error_statuses()[code] for code in expected} == expected
