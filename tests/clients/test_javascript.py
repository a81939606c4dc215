"""The AWS SDK for JavaScript: requests, pages, waiters and errors of another SDK's making.

It ignores ``AWS_DISABLE_HOST_PREFIX_INJECTION``: ``disableHostPrefix: true`` says the same (docs/testing.md). Release
3.1048 does not know ``scratchStorageMode``: it neither sends nor returns it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator.definitions.archive import pack
from tests.clients.conftest import BUCKET, INSTALLED, ROLE, Program

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

SETTING = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": f"s3://{BUCKET}/runs"}
Send = Callable[..., list[Any]]


@pytest.fixture
def send(program: Program) -> Send:
    """Sends operations, and returns their answers."""
    script = INSTALLED / "javascript" / "call.js"  # beside node_modules, where node looks for the SDK
    script.write_text((Path(__file__).parent / "javascript" / "call.js").read_text())

    def send(*calls: tuple[str, dict[str, Any]]) -> list[Any]:
        done = program("node", str(script), stdin=json.dumps(calls))
        return [json.loads(line) for line in done.stdout.splitlines()]

    return send


def test_a_run(send: Send, emulator: OmicsEmulator) -> None:
    """Started once for a request id, waited for, read, listed, deleted."""
    start = ("StartRun", {**SETTING, "requestId": "one", "name": "NA12878", "parameters": {"depth": 30, "deep": [1.5]}})
    first, again = send(start, start)
    run_id = first["id"]
    emulator.advance(100_000)
    state, told, tasks, _, gone = send(
        ("waitUntilRunCompleted", {"id": run_id}),
        ("GetRun", {"id": run_id}),
        ("paginateListRunTasks", {"id": run_id}),
        ("DeleteRun", {"id": run_id}),
        ("GetRun", {"id": run_id}),
    )

    assert (again["id"], state) == (run_id, "SUCCESS")
    assert (told["status"], told["stopTime"]) == ("COMPLETED", "2026-01-01T00:11:35.000Z")
    assert told["parameters"] == {"depth": 30, "deep": [1.5]}
    assert len(tasks) == 3
    assert (gone["error"], gone["http"]) == ("ResourceNotFoundException", 404)


def test_a_batch(send: Send, emulator: OmicsEmulator) -> None:
    """Started, and listed over pages of two."""
    settings = [{"runSettingId": f"S{number}"} for number in range(5)]
    request = {"requestId": "one", "defaultRunSetting": SETTING, "batchRunSettings": {"inlineSettings": settings}}
    batch_id = send(("StartRunBatch", request))[0]["id"]
    emulator.advance(100_000)
    batch, runs, listed = send(
        ("GetBatch", {"batchId": batch_id}),
        ("paginateListRunsInBatch", {"batchId": batch_id}),
        ("paginateListRuns", {"batchId": batch_id}),
    )

    assert (batch["status"], batch["runSummary"]["completedRunCount"]) == ("PROCESSED", 5)
    assert sorted(run["runSettingId"] for run in runs) == ["S0", "S1", "S2", "S3", "S4"]
    assert {run["id"] for run in listed} == {run["runId"] for run in runs}


def test_a_workflow(send: Send) -> None:
    """Uploaded as bytes, waited for, refused where its parameters are missing."""
    source = pack({"main.wdl": "version 1.0\nworkflow greet {\n  input { String who }\n}\n"})
    (made,) = send(("CreateWorkflow", {"name": "greet", "definitionZip": base64.b64encode(source).decode()}))
    state, told, refused = send(
        ("waitUntilWorkflowActive", {"id": made["id"]}),
        ("GetWorkflow", {"id": made["id"]}),
        ("StartRun", {**SETTING, "workflowId": made["id"], "requestId": "one"}),
    )

    assert (state, told["engine"], list(told["parameterTemplate"])) == ("SUCCESS", "WDL", ["who"])
    assert (refused["error"], refused["http"]) == ("ValidationException", 400)
    assert "who" in refused["message"]


def test_what_is_not_emulated(send: Send) -> None:
    """Says so."""
    (refused,) = send(("ListSequenceStores", {}))

    assert (refused["error"], refused["http"]) == ("NotEmulated", 501)
