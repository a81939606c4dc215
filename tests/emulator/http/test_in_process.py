from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock, in_process_client

if TYPE_CHECKING:
    from collections.abc import Callable


def test_no_port_is_needed(start_run_parameters: Callable[..., dict[str, Any]]) -> None:
    """A client talks to an emulator that was never started, under AWS's own address."""
    emulator = OmicsEmulator(clock=SteppedClock())
    omics = in_process_client(emulator)
    run_id = omics.start_run(**start_run_parameters())["id"]
    assert omics.get_run(id=run_id)["status"] == "PENDING"
    assert omics.meta.endpoint_url == "https://omics.us-east-1.amazonaws.com"
    with pytest.raises(RuntimeError, match="not started"):
        _ = emulator.url


def test_requests_are_as_on_the_wire() -> None:
    """Host prefix, path, query, and headers of the answer are what HTTP would have shown."""
    emulator = OmicsEmulator(clock=SteppedClock())
    omics = in_process_client(emulator)
    seen: list[Any] = []
    omics.meta.events.register_first("before-send", lambda request, **_: seen.append(request))
    answer = omics.list_runs(name="a b", maxResults=3)
    assert seen[0].url == "https://workflows-omics.us-east-1.amazonaws.com/run?name=a%20b&maxResults=3"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert answer["ResponseMetadata"]["RequestId"]


def test_lost_connection_looks_like_one() -> None:
    """A lost response is the SDK's own exception, and is retried as the SDK is told."""
    emulator = OmicsEmulator(clock=SteppedClock())
    emulator.faults.add(operation="ListRuns", lost_response=True, times=2)
    omics = in_process_client(emulator, config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ConnectionClosedError):
        omics.list_runs()
    again = in_process_client(emulator, config=Config(retries={"total_max_attempts": 2, "mode": "standard"}))
    assert again.list_runs()["items"] == []
    assert emulator.calls["ListRuns"] == 3


def test_mistake_of_the_emulator_is_raised_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """In process, an exception inside the emulator reaches the caller unchanged."""
    emulator = OmicsEmulator(clock=SteppedClock())

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr(emulator.service, "call", broken)
    with pytest.raises(KeyError, match="a mistake"):
        in_process_client(emulator).list_runs()
    assert emulator.calls.by_code() == {"ListRuns": {"EmulatorFault": 1}}
