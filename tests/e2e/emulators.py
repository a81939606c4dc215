"""Local HealthOmics: in processes of their own, by what their control path tells, and one with a stepped clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import httpx

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from tests.e2e.processes import Program, pause

BUCKET = "omics-e2e"

SECONDS = (5, 20, 40, 80, 150, 265, 3600)
"""How long runs take, by their workflow: id 1000000 plus the seconds."""

FAILING = "2000000"
"""A workflow whose runs always fail."""

FAILING_ONCE = "2000001"
"""A workflow whose runs fail, and complete when started again under the same name or runSettingId."""

ENDLESS_ONCE = "2000002"
"""A workflow whose runs never end, and take 5 seconds when started again under the same name or runSettingId."""

CANCEL_TAKES = 60.0
"""Seconds from a cancel to CANCELLED: long enough to see, on a busy machine too, that nobody waits for it."""

_PACE = {"pending": 0.2, "starting": 0.2, "stopping": 0.2, "cancel_takes": CANCEL_TAKES}

SCENARIO: dict[str, Any] = {
    "accept_unknown_workflows": True,
    "limits": {"concurrent_dynamic_runs": 1000, "submissions_per_second": 50},
    "default_storage_type": "DYNAMIC",
    "batches": [{"creating": 0.5, "pending": 0.5, "count_lag": 0}],
    "runs": [
        *({"match": {"workflow": str(1_000_000 + n)}, "running": n, **_PACE} for n in SECONDS),
        # Ten seconds: Airflow loses a task that is taken up before the report of its first process is read, and some of
        # these have no retry.
        {"match": {"workflow": FAILING}, "running": 10, "outcome": "FAILED", **_PACE},
        {"match": {"workflow": FAILING_ONCE, "attempt": [1]}, "running": 10, "outcome": "FAILED", **_PACE},
        {"match": {"workflow": FAILING_ONCE}, "running": 10, **_PACE},
        {"match": {"workflow": ENDLESS_ONCE, "attempt": [1]}, "running": 3600, **_PACE},
        {"match": {"workflow": ENDLESS_ONCE}, "running": 5, **_PACE},
    ],
}

WAVE = 1000.0
"""Seconds from one wave of a batch to the next, by a stepped clock."""

_AT_ONCE = {"pending": 0.2, "starting": 0.2, "stopping": 0.2, "cancel_takes": 1}

WAVES: dict[str, Any] = {
    "accept_unknown_workflows": True,
    "batches": [{"creating": 0.5, "pending": 0.5, "count_lag": 0}],
    "runs": [
        {"match": {"run_setting_id": "A*"}, "running": WAVE - 50, **_AT_ONCE},
        {"match": {"run_setting_id": "B*"}, "running": 2 * WAVE - 50, **_AT_ONCE},
        {"match": {"run_setting_id": "C1"}, "running": 3 * WAVE - 50, **_AT_ONCE},
        {"match": {"run_setting_id": "C2", "attempt": [1]}, "running": 1000 * WAVE, **_AT_ONCE},
        {"match": {"run_setting_id": "C2"}, "running": WAVE - 50, **_AT_ONCE},
    ],
}
"""A batch that ends in three waves; one sample of the last goes on until it is started again."""


class EmulatorProcess:
    """An emulator that was started for a test session; its clock is the real one.

    :param name: for its files.
    :param folder: where they go.
    :param environment: all of its environment.
    :param faults: what it does wrong from the start, as its control path takes it.
    """

    def __init__(
        self, name: str, folder: Path, environment: dict[str, str], faults: tuple[Mapping[str, Any], ...] = ()
    ) -> None:
        scenario = folder / f"{name}.yaml"
        scenario.write_text(json.dumps({**SCENARIO, "faults": faults}))  # JSON is YAML
        self._connection_file = folder / f"{name}.json"
        command = [sys.executable, "-m", "airflow_provider_omics.emulator", "--port", "0", "--bucket", BUCKET]
        command += ["--scenario", str(scenario), "--connection-file", str(self._connection_file)]
        self.program = Program(name, command, environment, folder / f"{name}.log")
        self.connection: dict[str, Any] = {}
        self._http = httpx.Client()

    def wait_ready(self) -> None:
        """Wait until calls are answered."""
        while not self._connection_file.exists():
            assert self.program.exit_code is None, self.program.log.read_text()
            pause(0.1)
        self.connection = json.loads(self._connection_file.read_text())["aws_default"]
        url = self.connection["extra"]["endpoint_url"]
        headers = {"content-type": "application/json"}  # asked of every request that changes anything
        self._http = httpx.Client(base_url=f"{url}/_emulator/", headers=headers, timeout=30)

    def started(self) -> list[dict[str, Any]]:
        """Tell all runs and batches that were ever started; ``kind`` says which."""
        runs = [{**run, "kind": "run"} for run in self._get("runs")]
        return runs + [{**batch, "kind": "batch"} for batch in self._get("batches")]

    def calls(self) -> dict[str, int]:
        """Count the calls by operation."""
        counts: dict[str, int] = self._get("calls")["calls"]
        return counts

    def answered(self, code: str) -> int:
        """Count the answers with an error code, of all operations."""
        by_operation: dict[str, dict[str, int]] = self._get("calls")["codes"]
        return sum(codes.get(code, 0) for codes in by_operation.values())

    def clear_faults(self) -> None:
        """Let all calls go well from now on."""
        self._http.delete("faults").raise_for_status()

    def forget_request_ids(self) -> None:
        """Let the service forget which requests it has seen."""
        self._http.post("forget-request-ids").raise_for_status()

    def stop(self) -> None:
        """End it."""
        self._http.close()
        self.program.stop(10)

    def _get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()


class SteppedEmulator:
    """An emulator in this process, in which nothing ends before a script says so.

    :param scenario: script of outcomes.
    """

    def __init__(self, scenario: Mapping[str, Any]) -> None:
        clock = SteppedClock(datetime.now(timezone.utc))
        self._emulator = OmicsEmulator(clock=clock, scenario=scenario, buckets=[BUCKET]).start()
        self._s3 = self._emulator.client("s3")
        staging = {"omics": {"staging_s3_uri": f"s3://{BUCKET}/staging/"}}
        connection = self._emulator.connection
        self.connection = {**connection, "extra": {**connection["extra"], "service_config": staging}}

    def started(self) -> list[dict[str, Any]]:
        """Tell all runs and batches that were ever started; ``kind`` says which."""
        service = self._emulator.service
        runs = [{**run, "kind": "run"} for run in service.started_runs()]
        return runs + [{**batch, "kind": "batch"} for batch in service.started_batches()]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._emulator.advance(seconds)

    def hold(self, operation: str) -> None:
        """Refuse an operation from now on: whoever asks for it waits and asks again."""
        self._emulator.faults.add(operation=operation, error="ThrottlingException")

    def holds(self) -> bool:
        """Whether somebody has asked for what is held."""
        return any(fault["struck"] for fault in self._emulator.faults.active())

    def let_go(self) -> None:
        """Answer at once from now on."""
        self._emulator.faults.clear()

    def has_object(self, uri: str) -> bool:
        """Whether there is such an object in S3."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bool(self._s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"])

    def stop(self) -> None:
        """End it."""
        self._emulator.stop()
