from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from airflow_provider_omics.emulator.errors import ServiceError
from airflow_provider_omics.emulator.script.faults import ConnectionLost, Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})
TWICE = Config(retries={"total_max_attempts": 2, "mode": "standard"})


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def outcomes(faults: Faults, count: int, operation: str = "GetRun") -> str:
    """One letter a call: e for an error, x for a lost request, l for a lost response, s for slow, dot for unharmed."""
    letters = ""
    for _ in range(count):
        try:
            ordeal = faults.strike(operation)
        except ServiceError:
            letters += "e"
        except ConnectionLost:
            letters += "x"
        else:
            letters += "l" if ordeal.lost_response else "s" if ordeal.latency_seconds else "."
    return letters


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"error": "ThrottlingException"}, "eeeee"),
        ({"error": "ThrottlingException", "times": 2}, "ee..."),
        ({"error": "ThrottlingException", "operation": "GetRun"}, "eeeee"),
        ({"error": "ThrottlingException", "operation": "ListRuns"}, "....."),
        ({"error": "ThrottlingException", "probability": 0}, "....."),
        ({"lost_request": True, "times": 1}, "x...."),
        ({"lost_response": True, "times": 1}, "l...."),
        ({"latency_seconds": 0.5, "times": 3}, "sss.."),
        ({"calls_per_second": 2}, "..eee"),
        ({"calls_per_second": 0.1}, ".eeee"),
        ({"calls_per_second": 1, "times": 1}, ".e..."),
    ],
    ids=str,
)
def test_fault_strikes_as_told(fault: dict[str, Any], expected: str) -> None:
    """A fault strikes the calls that its operation, probability and times say, while the clock stands."""
    faults = Faults(Now())
    faults.add(**fault)
    assert outcomes(faults, 5) == expected


def test_quota_refills_with_the_clock() -> None:
    """The bucket holds one second's worth of calls and fills with the emulator's time."""
    now = Now()
    faults = Faults(now)
    faults.add(calls_per_second=2)
    assert outcomes(faults, 3) == "..e"
    now.seconds += 0.5
    assert outcomes(faults, 2) == ".e"
    now.seconds += 3600
    assert outcomes(faults, 3) == "..e"


def test_draws_are_repeatable() -> None:
    """The same seed gives the same faults, another seed others, and clear() starts the draws anew."""

    def drawn(seed: int) -> str:
        faults = Faults(Now(), seed=seed)
        faults.add(error="InternalServerException", probability=0.5)
        return outcomes(faults, 40)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 10 < drawn(1).count("e") < 30


def test_faults_add_up() -> None:
    """A call passes through all faults in force: latencies add, and the first error ends it."""
    faults = Faults(Now())
    faults.add(latency_seconds=1)
    faults.add(latency_seconds=2, lost_response=False)
    assert faults.strike("GetRun").latency_seconds == 3
    denied = faults.add(error="AccessDeniedException", message="Not you.")
    with pytest.raises(ServiceError, match=r"Not you\.") as caught:
        faults.strike("GetRun")
    assert caught.value.code == "AccessDeniedException"
    faults.remove(denied)
    assert faults.strike("GetRun").latency_seconds == 3
    assert [active["struck"] for active in faults.active()] == [3, 3]
    faults.clear()
    assert faults.active() == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({}, "exactly one of"),
        ({"error": "ThrottlingException", "lost_response": True}, "exactly one of"),
        ({"error": "Nonsense"}, "error='Nonsense'"),
        ({"error": "ThrottlingException", "probability": 2}, "probability=2"),
        ({"error": "ThrottlingException", "times": 0}, "times=0"),
        ({"latency_seconds": -1}, "latency_seconds=-1"),
        ({"calls_per_second": 0}, "calls_per_second=0"),
        ({"latency": 1}, r"unknown keys \['latency'\]"),
    ],
    ids=str,
)
def test_fault_that_makes_no_sense_is_refused(fault: dict[str, Any], message: str) -> None:
    """A wrong fault is refused with the argument, its value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        Fault.from_mapping(fault)


def test_unknown_operation_is_refused() -> None:
    """A fault for an operation that the emulator does not have could never strike."""
    faults = Faults(Now(), frozenset({"GetRun"}))
    with pytest.raises(ValueError, match="operation='GetRuns'"):
        faults.add(operation="GetRuns", error="ThrottlingException")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 429),
        ("InternalServerException", 500),
        ("RequestTimeoutException", 408),
        ("AccessDeniedException", 403),
        ("ServiceQuotaExceededException", 402),
    ],
)
def test_error_reaches_the_client(
    emulator: OmicsEmulator, client_of: Callable[..., Any], code: str, status: int
) -> None:
    """A client sees the code and status, and the call is counted under the code."""
    emulator.faults.add(operation="ListRuns", error=code, times=1)
    omics = client_of(config=ONCE)
    with pytest.raises(ClientError) as caught:
        omics.list_runs()
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert "retry-after" not in caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert omics.list_runs()["items"] == []
    assert emulator.calls.by_code() == {"ListRuns": {code: 1, "OK": 1}}


def test_lost_response_is_a_call_that_was_done(
    emulator: OmicsEmulator, client_of: Callable[..., Any], start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """The run exists although its client never heard of it."""
    emulator.faults.add(operation="StartRun", lost_response=True, times=1)
    with pytest.raises(ConnectionClosedError):
        client_of(config=ONCE).start_run(**start_run_parameters())
    assert len(emulator.service.started_runs()) == 1
    assert emulator.calls.by_code() == {"StartRun": {"ConnectionLost": 1}}


def test_lost_request_is_a_call_that_was_not_done(
    emulator: OmicsEmulator, client_of: Callable[..., Any], start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """The SDK's own retry starts the only run."""
    emulator.faults.add(operation="StartRun", lost_request=True, times=1)
    run_id = client_of(config=TWICE).start_run(**start_run_parameters())["id"]
    assert [run["id"] for run in emulator.service.started_runs()] == [run_id]
    assert emulator.calls["StartRun"] == 2


def test_latency_is_wall_time(emulator: OmicsEmulator) -> None:
    """The answer comes late although the emulator's clock stands."""
    emulator.faults.add(operation="ListRuns", latency_seconds=0.2)
    before = time.perf_counter()
    emulator.client().list_runs()
    assert time.perf_counter() - before >= 0.2


def test_other_services_meet_no_faults(emulator: OmicsEmulator) -> None:
    """A fault on every operation means every operation of HealthOmics."""
    emulator.faults.add(error="InternalServerException")
    assert emulator.client("s3").list_buckets()["Buckets"]
    assert emulator.calls.by_operation() == {}
