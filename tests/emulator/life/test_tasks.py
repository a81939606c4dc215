from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.emulator.model import service_model

if TYPE_CHECKING:
    from collections.abc import Callable

#: One task of 100 s; the run enters RUNNING after 65 s.
ONE = {"tasks": [{"name": "T", "duration": 100}]}
FAILING = {
    "outcome": "FAILED",
    "tasks": [
        {"name": "A", "duration": 50},
        {"name": "B", "duration": 50, "outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "exit_text": "137"},
        {"name": "C", "duration": 50},
    ],
}


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (64, None),
        (65, "PENDING"),
        (70, "STARTING"),
        (80, "RUNNING"),
        (160, "STOPPING"),
        (165, "COMPLETED"),
        (10_000, "COMPLETED"),
    ],
)
def test_task_goes_through_its_statuses(make_omics: Callable[..., Any], seconds: int, status: str | None) -> None:
    """A task is created when its run gets to it, and goes through the statuses of the model."""
    omics = make_omics({"runs": [ONE]})
    run_id = omics.start_run()["id"]
    omics.advance(seconds)
    assert [task["status"] for task in omics.pages("ListRunTasks", id=run_id)] == ([] if status is None else [status])


def test_each_task_status_can_be_produced(make_omics: Callable[..., Any]) -> None:
    """Every task status of the model is seen in the life of three runs."""
    seen = set()
    for rule, cancel_at in ((ONE, None), (FAILING, None), (ONE, 90)):
        omics = make_omics({"runs": [rule]})
        run_id = omics.start_run()["id"]
        for second in range(300):
            seen |= {task["status"] for task in omics.pages("ListRunTasks", id=run_id)}
            if second == cancel_at:
                omics("CancelRun", id=run_id)
            omics.advance(1)
    assert seen == set(service_model().shape_for("TaskStatus").enum)


def test_failed_run_tells_its_failed_task(make_omics: Callable[..., Any]) -> None:
    """ListRunTasks(status=FAILED) finds the task, GetRunTask tells why; what comes after never started."""
    omics = make_omics({"runs": [FAILING]})
    run_id = omics.start_run()["id"]
    omics.advance(1000)
    (failed,) = omics.pages("ListRunTasks", id=run_id, status="FAILED")
    assert {"failureReason", "statusMessage", "logStream"}.isdisjoint(failed)
    task = omics("GetRunTask", id=run_id, taskId=failed["taskId"])
    assert (task["name"], task["failureReason"], task["statusMessage"]) == ("B", "OUT_OF_MEMORY_ERROR", "137")
    assert task["logStream"].endswith(f":log-stream:run/{run_id}/task/{task['taskId']}")
    assert [item["name"] for item in omics.pages("ListRunTasks", id=run_id)] == ["A", "B"]


def test_failed_task_may_have_been_retried(make_omics: Callable[..., Any]) -> None:
    """In a completed run a failed task is followed by others; each has an id of its own."""
    omics = make_omics({"runs": [{**FAILING, "outcome": "COMPLETED"}]})
    run_id = omics.start_run()["id"]
    omics.advance(1000)
    tasks = omics.pages("ListRunTasks", id=run_id)
    assert omics.run(run_id)["status"] == "COMPLETED"
    assert [task["status"] for task in tasks] == ["COMPLETED", "FAILED", "COMPLETED"]
    assert len({task["taskId"] for task in tasks}) == len({task["uuid"] for task in tasks}) == 3


def test_task_tells_its_resources(make_omics: Callable[..., Any]) -> None:
    """cpus, memory, gpus, instanceType, image and cache hits are as scripted."""
    task = {"name": "T", "cpus": 6, "memory": 40, "gpus": 1, "instance_type": "omics.g5.4xlarge", "cache_hit": True}
    omics = make_omics({"runs": [{"tasks": [{**task, "image": "registry/image:1"}]}]})
    cache = omics("CreateRunCache", requestId="c", cacheS3Location="s3://cache/x/")["id"]
    run_id = omics.start_run(cacheId=cache)["id"]
    omics.advance(1000)
    (item,) = omics.pages("ListRunTasks", id=run_id)
    assert item["instanceType"] == task["instance_type"]
    assert (item["cpus"], item["memory"], item["gpus"], item["cacheHit"]) == (6, 40, 1, True)
    assert item["cacheS3Uri"].startswith("s3://cache/x/")
    told = omics("GetRunTask", id=run_id, taskId=item["taskId"])
    assert told["imageDetails"]["image"] == "registry/image:1"
    assert told["imageDetails"]["imageDigest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("cpus", "memory", "gpus", "expected"),
    [
        (2, 4, 0, "omics.c.large"),
        (2, 5, 0, "omics.m.large"),
        (3, 12, 0, "omics.m.xlarge"),
        (8, 64, 0, "omics.r.2xlarge"),
        (96, 8, 0, "omics.c.24xlarge"),
        (8, 32, 1, "omics.g5.2xlarge"),
    ],
)
def test_instance_type_fits_the_task(
    make_omics: Callable[..., Any], cpus: int, memory: int, gpus: int, expected: str
) -> None:
    """Without a scripted instance type a task gets a plausible one."""
    omics = make_omics({"runs": [{"tasks": [{"name": "T", "cpus": cpus, "memory": memory, "gpus": gpus}]}]})
    run_id = omics.start_run()["id"]
    omics.advance(1000)
    assert omics.pages("ListRunTasks", id=run_id)[0]["instanceType"] == expected


def test_tasks_are_listed_in_pages(omics: Any) -> None:
    """Pages of one tell each task once."""
    run_id = omics.start_run()["id"]
    omics.advance(1000)
    names = [task["name"] for task in omics.pages("ListRunTasks", id=run_id, maxResults=1)]
    assert names == ["FASTQC", "ALIGN", "MULTIQC"]


def test_unknown_tasks_are_not_found(omics: Any) -> None:
    """A task of another run, of the future, or of no run is not found."""
    first, second = (omics.start_run()["id"] for _ in range(2))
    omics.advance(100)
    (task,) = omics.pages("ListRunTasks", id=first)
    assert omics.refuses("GetRunTask", id=second, taskId=task["taskId"]) == "ResourceNotFoundException"
    assert omics.refuses("GetRunTask", id=first, taskId="1000000003") == "ResourceNotFoundException"
    assert omics.refuses("ListRunTasks", id="1") == "ResourceNotFoundException"


@given(cancel_at=st.integers(0, 900), later=st.integers(0, 100))
def test_tasks_never_outlive_their_run(make_omics: Callable[..., Any], cancel_at: int, later: int) -> None:
    """Whenever a run is cancelled: its tasks end with it, in order, and what was seen before is not taken back."""
    omics = make_omics()
    run_id = omics.start_run()["id"]
    omics.advance(cancel_at)
    before = omics.pages("ListRunTasks", id=run_id)
    omics.refuses("CancelRun", id=run_id)
    at_once = omics.pages("ListRunTasks", id=run_id)
    assert [task["taskId"] for task in at_once] == [task["taskId"] for task in before]
    omics.advance(later + 1000)
    run = omics.run(run_id)
    after = omics.pages("ListRunTasks", id=run_id)
    assert {task["status"] for task in after} <= {"COMPLETED", "CANCELLED"}
    assert all(task["stopTime"] <= run["stopTime"] for task in after)
    assert [task["taskId"] for task in after][: len(before)] == [task["taskId"] for task in before]
    for earlier, task in zip(before, after, strict=False):
        assert earlier.get("startTime", task.get("startTime")) == task.get("startTime")
