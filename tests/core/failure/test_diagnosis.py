from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_omics.core.failure.diagnosis import FailedTask, RunDiagnosis, duration, retry_sentence
from airflow_provider_omics.core.failure.manifest import failed_tasks_from_manifest
from airflow_provider_omics.core.failure.reasons import FailureClass
from airflow_provider_omics.core.snapshots import RunSnapshot

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def diagnosis(reason: str | None, *of_tasks: str | None, **run: Any) -> RunDiagnosis:
    tasks = tuple(FailedTask(str(number), f"T{number}", code) for number, code in enumerate(of_tasks))
    return RunDiagnosis(RunSnapshot("1", "FAILED", failure_reason=reason, **run), "us-east-1", tasks)


@pytest.mark.parametrize(
    ("of_run", "of_tasks", "cause"),
    [
        ("RUN_TASK_FAILED", ["OUT_OF_MEMORY_ERROR", "SERVICE_ERROR"], "OUT_OF_MEMORY_ERROR"),
        ("WORKFLOW_RUN_FAILED", ["OUT_OF_MEMORY_ERROR"], "OUT_OF_MEMORY_ERROR"),
        (None, ["OUT_OF_MEMORY_ERROR"], "OUT_OF_MEMORY_ERROR"),
        ("RUN_TASK_FAILED", ["RUN_TASK_FAILED"], "RUN_TASK_FAILED"),
        ("RUN_TASK_FAILED", [None], "RUN_TASK_FAILED"),
        ("RUN_TASK_FAILED", ["SOLAR_FLARE"], "SOLAR_FLARE"),
        ("FILE_SYSTEM_OUT_OF_SPACE", ["OUT_OF_MEMORY_ERROR"], "FILE_SYSTEM_OUT_OF_SPACE"),
        ("WORKFLOW_RUN_FAILED", [], "WORKFLOW_RUN_FAILED"),
        (None, [], "no reason given"),
    ],
)
def test_cause(of_run: str | None, of_tasks: list[str | None], cause: str) -> None:
    """Where the run only says that something failed, the task that failed last says what."""
    assert diagnosis(of_run, *of_tasks).reason.code == cause


def test_task_from_a_response() -> None:
    """What GetRunTask tells is kept, with its time; texts are one line each, what moves a log's cursor shown."""
    task = FailedTask.from_response(
        {
            "taskId": "17",
            "name": "ALIGN\n(S1)",
            "failureReason": "RUN_TASK_FAILED",
            "statusMessage": "exit\x1b[0m\ncode 1",
            "instanceType": "omics.g5.2xlarge",
            "cpus": 8,
            "memory": 32,
            "gpus": 1,
            "startTime": NOON,
            "stopTime": NOON + timedelta(hours=3, minutes=5),
        }
    )

    assert (task.task_id, task.name, task.message) == ("17", r"ALIGN\n(S1)", r"exit\x1b[0m\ncode 1")
    assert task.resources == "omics.g5.2xlarge, 8 vCPUs, 32 GiB, 1 GPUs, ran 3 h 5 min"


@pytest.mark.parametrize("value", [None, "", 0, [], {}, "text", True, float("nan")])
def test_task_from_a_strange_response(value: Any) -> None:
    """Members of other types are left out or shown, and nothing is raised."""
    names = ("name", "failureReason", "statusMessage", "instanceType", "cpus", "memory", "gpus", "startTime")

    task = FailedTask.from_response({"taskId": "17", **dict.fromkeys(names, value), "stopTime": NOON})

    assert task.seconds is None
    assert isinstance(task.resources, str)
    assert json.dumps(diagnosis("RUN_TASK_FAILED").to_json())


def test_manifest() -> None:
    """The failed tasks of a run are found in its manifest, the last one first."""

    def task(number: int, stop: str | None, status: str = "FAILED", run: str = "1") -> str:
        arn = "arn:aws:omics:us-east-1:123456789012"
        entry = {"arn": f"{arn}:task/{number}", "run": f"{arn}:run/{run}", "name": "T", "status": status}
        return json.dumps({**entry, "startTime": "2026-01-01T12:00:00Z", "stopTime": stop})

    messages = [
        "no JSON",
        "[1]",
        json.dumps({"arn": "arn:aws:omics:us-east-1:123456789012:run/1", "status": "FAILED"}),
        task(5, "2026-01-01T12:01:00Z"),
        task(6, "2026-01-01T12:03:00.000Z"),
        task(7, "2026-01-01T12:02:00Z", status="COMPLETED"),
        task(8, "2026-01-01T12:02:00Z", run="2"),
        task(9, None),
    ]

    found = failed_tasks_from_manifest(messages, "1")

    assert [(task.task_id, task.seconds) for task in found] == [("6", 180.0), ("5", 60.0), ("9", None)]


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (0, "0 s"), (119.4, "119 s"), (120, "2 min"), (3599, "1 h 0 min")]
)
def test_duration(seconds: float, text: str) -> None:
    """Seconds for what is short, hours for what is long."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("failure_class", "final", "tries_left", "start"),
    [
        (FailureClass.TRANSIENT, False, 0, "none left"),
        (FailureClass.PERMANENT, True, 0, "none left"),
        (FailureClass.TRANSIENT, False, 2, "up to 2 more"),
        (FailureClass.UNCLEAR, False, 2, "one more, in case it passes"),
        (FailureClass.UNCLEAR, True, 2, "none, as it failed without a clear reason twice"),
        (FailureClass.SIZING, True, 2, "none, as a sizing failure comes back"),
        (FailureClass.SIZING, False, 2, "up to 2 more"),
    ],
)
def test_retry_sentence(failure_class: FailureClass, final: bool, tries_left: int, start: str) -> None:
    """What Airflow does next is said, and how to change it."""
    assert retry_sentence(failure_class, final=final, tries_left=tries_left).startswith(start)


@pytest.mark.parametrize(
    ("run", "names"),
    [
        ({}, ["run", "task log", "run log"]),
        ({"run_output_uri": "s3://results/1"}, ["run", "task log", "run log", "outputs"]),
        ({"run_output_uri": "s3://results/1", "log_level": "OFF"}, ["run", "outputs"]),
    ],
)
def test_links(run: dict[str, str], names: list[str]) -> None:
    """Only what is there is linked."""
    assert list(diagnosis("RUN_TASK_FAILED", None, **run).links) == names
