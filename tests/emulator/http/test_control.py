from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from airflow_provider_omics.emulator import OmicsEmulator, RealClock

if TYPE_CHECKING:
    from collections.abc import Callable


def control(
    emulator: OmicsEmulator, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    connection = HTTPConnection(emulator.url.removeprefix("http://"), timeout=10)
    headers = {"Content-Type": "application/json"} if headers is None else headers
    try:
        connection.request(method, f"/_emulator/{path}", None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_state_tells_address_time_and_runs(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """GET state tells where the emulator is, its time, and how many runs are in which status."""
    emulator.client().start_run(**start_run_parameters())
    status, state = control(emulator, "GET", "state")
    assert (status, state["url"], state["now"]) == (200, emulator.url, "2026-01-01T00:00:00+00:00")
    assert state["runs"] == {"PENDING": 1}


def test_calls_are_counted(emulator: OmicsEmulator) -> None:
    """GET calls counts by operation and by answered code; control requests are not counted."""
    omics = emulator.client()
    omics.list_runs()
    with pytest.raises(omics.exceptions.ResourceNotFoundException):
        omics.get_run(id="404")
    assert control(emulator, "GET", "calls") == (
        200,
        {
            "calls": {"ListRuns": 1, "GetRun": 1},
            "codes": {"ListRuns": {"OK": 1}, "GetRun": {"ResourceNotFoundException": 1}},
        },
    )


def test_started_runs_and_batches_are_listed(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """GET runs and GET batches list what was started."""
    run_id = emulator.client().start_run(**start_run_parameters())["id"]
    status, runs = control(emulator, "GET", "runs")
    assert (status, [run["id"] for run in runs]) == (200, [run_id])
    assert control(emulator, "GET", "batches") == (200, [])


def test_clock_is_advanced(emulator: OmicsEmulator) -> None:
    """POST clock moves a stepped clock."""
    assert control(emulator, "POST", "clock", {"advance": 90}) == (200, {"now": "2026-01-01T00:01:30+00:00"})
    assert emulator.clock.now().isoformat() == "2026-01-01T00:01:30+00:00"


def test_clock_that_runs_by_itself_is_left_alone() -> None:
    """POST clock is refused by an emulator whose clock is not stepped, as advance() is."""
    with OmicsEmulator(clock=RealClock()) as emulator:
        status, answer = control(emulator, "POST", "clock", {"advance": 1})
        assert status == 409
        assert "stepped" in answer["error"]
        with pytest.raises(TypeError, match="SteppedClock"):
            emulator.advance(1)


def test_faults_are_put_listed_and_deleted(emulator: OmicsEmulator) -> None:
    """PUT faults replaces those in force, GET lists them, DELETE removes them."""
    emulator.faults.add(lost_response=True)
    fault = {"operation": "GetRun", "error": "ThrottlingException", "times": 3}
    status, faults = control(emulator, "PUT", "faults", [fault])
    assert status == 200
    assert [{key: active[key] for key in fault} for active in faults] == [fault]
    assert control(emulator, "GET", "faults") == (200, faults)
    assert control(emulator, "DELETE", "faults") == (200, [])
    assert emulator.faults.active() == []


def test_scenario_is_put(emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]) -> None:
    """PUT scenario holds for the runs that start afterwards, and may bring faults."""
    scenario = {
        "runs": [{"match": {"name": "bad"}, "outcome": "FAILED", "failure_reason": "NO_LUCK"}],
        "faults": [{"operation": "GetRun", "error": "ThrottlingException", "times": 1}],
    }
    assert control(emulator, "PUT", "scenario", scenario) == (200, {})
    omics = emulator.client()
    run_id = omics.start_run(**start_run_parameters(name="bad"))["id"]
    emulator.advance(100_000)
    run = omics.get_run(id=run_id)
    assert (run["status"], run["failureReason"]) == ("FAILED", "NO_LUCK")
    assert emulator.calls.by_code()["GetRun"] == {"ThrottlingException": 1, "OK": 1}


def test_faults_of_the_scenario_survive_a_reset(emulator: OmicsEmulator) -> None:
    """POST reset brings back the scenario's faults, unused, and no others."""
    fault = {"operation": "ListRuns", "error": "ThrottlingException", "times": 1}
    assert control(emulator, "PUT", "scenario", {"faults": [fault]}) == (200, {})
    emulator.client().list_runs()
    emulator.faults.add(lost_response=True)
    assert control(emulator, "POST", "reset") == (200, {})
    assert [(active["error"], active["struck"]) for active in emulator.faults.active()] == [("ThrottlingException", 0)]


def test_run_is_removed_as_by_retention(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """DELETE runs/{id} makes the service forget a run."""
    omics = emulator.client()
    run_id = omics.start_run(**start_run_parameters())["id"]
    assert control(emulator, "DELETE", f"runs/{run_id}") == (200, {})
    with pytest.raises(omics.exceptions.ResourceNotFoundException):
        omics.get_run(id=run_id)
    assert control(emulator, "DELETE", f"runs/{run_id}")[0] == 404


def test_request_ids_are_forgotten(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """After POST forget-request-ids the same request starts another run."""
    omics = emulator.client()
    request = start_run_parameters()
    first = omics.start_run(**request)["id"]
    assert omics.start_run(**request)["id"] == first
    assert control(emulator, "POST", "forget-request-ids") == (200, {})
    assert omics.start_run(**request)["id"] != first


def test_reset_forgets_all(emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]) -> None:
    """POST reset leaves no run, object, fault or count; the buckets of the start and the time remain."""
    emulator.client().start_run(**start_run_parameters())
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="another")
    emulator.faults.add(operation="ListRuns", error="InternalServerException")
    emulator.advance(10)
    assert control(emulator, "POST", "reset") == (200, {})
    assert emulator.service.started_runs() == []
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["genomics-outputs"]
    assert emulator.calls.by_operation() == {}
    assert emulator.client().list_runs()["items"] == []
    assert emulator.clock.now().isoformat() == "2026-01-01T00:00:10+00:00"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "nonsense", None, 404, "GET state"),
        ("DELETE", "state", None, 404, "GET state"),
        ("POST", "clock", {"advance": "much"}, 400, "advance"),
        ("POST", "clock", {"advance": -1}, 400, "-1"),
        ("POST", "clock", None, 400, "advance"),
        ("PUT", "faults", {}, 400, "list of faults"),
        ("PUT", "faults", [{"error": "Nonsense"}], 400, "Nonsense"),
        ("PUT", "faults", ["x"], 400, "x"),
        ("PUT", "scenario", [], 400, "JSON object"),
        ("PUT", "scenario", {"nonsense": 1}, 400, "nonsense"),
        ("PUT", "scenario", {"faults": [{"times": 1}]}, 400, "exactly one of"),
    ],
)
def test_control_request_that_cannot_be_served_says_why(
    emulator: OmicsEmulator, method: str, path: str, body: Any, status: int, message: str
) -> None:
    """A wrong control request is answered with its reason."""
    answered, answer = control(emulator, method, path, body)
    assert answered == status
    assert message in answer["error"]


def test_control_body_must_be_json(emulator: OmicsEmulator) -> None:
    """A body that is not JSON is refused."""
    connection = HTTPConnection(emulator.url.removeprefix("http://"), timeout=10)
    connection.request("PUT", "/_emulator/scenario", "{", {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert (response.status, "not JSON" in json.loads(response.read())["error"]) == (400, True)
    connection.close()


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(("method", "path", "body"), [("PUT", "faults", []), ("POST", "reset", None)])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (JSON, 200),
        ({"Content-Type": "application/json; charset=utf-8", "Host": "localhost:4568"}, 200),
        (JSON | {"Host": "[::1]:4568"}, 200),
        (JSON | {"Origin": "http://localhost:3000"}, 200),
        ({}, 415),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (JSON | {"Host": "rebound.example:4568"}, 403),
        (JSON | {"Host": "127.0.0.1.example"}, 403),
        (JSON | {"Host": ""}, 403),
        (JSON | {"Origin": "https://example.com"}, 403),
        (JSON | {"Origin": "http://localhost.example"}, 403),
        (JSON | {"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_no_web_page_steers(
    emulator: OmicsEmulator, method: str, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    """What changes something needs a Host of loopback and JSON, which a page can send to its own site alone."""
    emulator.faults.add(operation="GetRun", lost_response=True)

    assert control(emulator, method, path, body, headers)[0] == status
    assert len(emulator.faults.active()) == (0 if status == 200 else 1)


@pytest.mark.parametrize("headers", [{"Host": "rebound.example"}, {"Origin": "https://example.com"}], ids=str)
def test_no_web_page_looks(emulator: OmicsEmulator, headers: dict[str, str]) -> None:
    """A page whose name was made to lead to 127.0.0.1, and one of another site, read nothing."""
    assert control(emulator, "GET", "state", headers=headers)[0] == 403
    assert control(emulator, "GET", "state", headers={})[0] == 200


@pytest.mark.parametrize("service", ["omics", "s3"])
def test_no_web_page_calls(emulator: OmicsEmulator, service: str) -> None:
    """A request of another site's page is served by no service; botocore sends no Origin."""
    client = emulator.client(service)
    call = client.list_runs if service == "omics" else client.list_buckets
    call()
    client.meta.events.register(
        "before-send.*", lambda request, **_: request.headers.update({"Origin": "https://example.com"})
    )
    with pytest.raises(ClientError, match="serves no web page of another site"):
        call()
