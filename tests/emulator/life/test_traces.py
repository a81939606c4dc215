"""What a run leaves in CloudWatch Logs, S3 and EventBridge."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "123456789012"


def streams(omics: Any, prefix: str = "") -> dict[str, list[tuple[int, str]]]:
    omics.service.flush_logs(ACCOUNT, "us-east-1", prefix)
    groups = {key[:3] for key in omics.surroundings.streams}
    assert groups <= {(ACCOUNT, "us-east-1", "/aws/omics/WorkflowLog")}
    return {key[3]: list(events) for key, events in omics.surroundings.streams.items()}


def objects(omics: Any, *more: Any) -> dict[str, bytes]:
    omics.service.flush_outputs(ACCOUNT, *more)
    return {key: stored.body for (_, _, key), stored in omics.surroundings.objects.items()}


def test_streams_of_a_completed_run(omics: Any) -> None:
    """A run leaves a run, an engine and a manifest stream, and one for each task."""
    run = omics.start_run(name="a")
    omics.advance(1000)
    tasks = [f"run/{run['id']}/task/{task['taskId']}" for task in omics.pages("ListRunTasks", id=run["id"])]
    run_id = run["id"]
    assert set(streams(omics)) == {
        f"run/{run_id}",
        f"run/{run_id}/engine",
        f"manifest/run/{run_id}/{run['uuid']}",
        *tasks,
    }
    location = omics.run(run_id)["logLocation"]
    assert location["runLogStream"].endswith(f":log-stream:run/{run_id}")
    assert location["engineLogStream"].endswith(f":log-stream:run/{run_id}/engine")


def test_lines_are_written_once_as_time_goes_on(omics: Any) -> None:
    """However often somebody looks: each stream ends up the same, in order; nothing is from the future."""
    run_id = omics.start_run()["id"]
    for _ in range(60):
        now = omics.clock.now().timestamp() * 1000
        for events in streams(omics).values():
            assert all(time <= now for time, _ in events)
        omics.advance(17)
    watched = streams(omics)
    omics.start_run()
    omics.advance(1020)
    unwatched = streams(omics)
    assert watched[f"run/{run_id}/engine"] == unwatched[f"run/{run_id}/engine"]
    assert [text for _, text in watched[f"run/{run_id}/engine"]] == [
        text for _, text in unwatched["run/10000002/engine"]
    ]
    for events in unwatched.values():
        assert [time for time, _ in events] == sorted(time for time, _ in events)


def test_only_what_is_asked_for_is_written(omics: Any) -> None:
    """With the name of a stream, the streams of other runs are not made."""
    first, second = (omics.start_run()["id"] for _ in range(2))
    omics.advance(1000)
    asked = streams(omics, f"run/{second}/engine")
    assert {name.removeprefix("manifest/").split("/")[1] for name in asked} == {second}
    assert f"run/{first}" in streams(omics, "run/")


@pytest.mark.parametrize(
    ("level", "outcome", "kinds"),
    [
        ("OFF", "FAILED", set()),
        ("ALL", "FAILED", {"run", "engine", "task", "manifest"}),
        ("ERROR", "FAILED", {"run", "engine", "task", "manifest"}),
        ("FATAL", "COMPLETED", {"manifest"}),
    ],
)
def test_log_level_decides(make_omics: Callable[..., Any], level: str, outcome: str, kinds: set[str]) -> None:
    """OFF: no stream at all; ERROR and FATAL: errors only; and the log streams that GetRun names exist."""
    omics = make_omics({"runs": [{"outcome": outcome}]})
    run_id = omics.start_run(logLevel=level)["id"]
    omics.advance(1000)
    parts = {name: name.split("/") for name in streams(omics)}
    found = {"manifest" if part[0] == "manifest" else part[2] if len(part) > 2 else "run" for part in parts.values()}
    assert found == kinds
    named = {arn.partition(":log-stream:")[2] for arn in omics.run(run_id).get("logLocation", {}).values()}
    assert named == {f"run/{run_id}", f"run/{run_id}/engine"} & set(parts)


def test_failure_can_be_read_in_the_logs(make_omics: Callable[..., Any]) -> None:
    """Scripted lines, exit texts and reasons stand in the streams of task, engine and run."""
    task = {"name": "ALIGN", "outcome": "FAILED", "log": ["reading", "Killed"], "exit_text": "exit code 137"}
    rule = {
        "outcome": "FAILED",
        "failure_reason": "OUT_OF_MEMORY_ERROR",
        "status_message": "ALIGN needs more memory",
        "engine_log": ["[ab/12] Submitted process > ALIGN"],
        "tasks": [task],
    }
    omics = make_omics({"runs": [rule]})
    run_id = omics.start_run()["id"]
    omics.advance(1000)
    told = {name: [text for _, text in events] for name, events in streams(omics).items()}
    assert told[f"run/{run_id}/task/1000000001"] == ["reading", "Killed", "RUN_TASK_FAILED: exit code 137"]
    assert "[ab/12] Submitted process > ALIGN" in told[f"run/{run_id}/engine"]
    assert any("ALIGN needs more memory" in text for text in told[f"run/{run_id}/engine"])
    assert "OUT_OF_MEMORY_ERROR: ALIGN needs more memory" in told[f"run/{run_id}"]


@pytest.mark.parametrize("ending", ["COMPLETED", "FAILED", "CANCELLED"])
@pytest.mark.parametrize("gone", [False, True])
def test_manifest_outlives_the_run(make_omics: Callable[..., Any], ending: str, gone: bool) -> None:
    """The manifest comes with the end, one JSON object for run and tasks, also when the run is gone by then."""
    rule = {"outcome": "FAILED" if ending == "FAILED" else "COMPLETED"}
    omics = make_omics({"runs": [rule]})
    run = omics.start_run(name="a", parameters={"x": 1})
    omics.advance(400)
    assert not [name for name in streams(omics) if name.startswith("manifest")]
    if ending == "CANCELLED":
        omics("CancelRun", id=run["id"])
    omics.advance(400)
    if gone:
        omics("DeleteRun", id=run["id"])
    events = streams(omics)[f"manifest/run/{run['id']}/{run['uuid']}"]
    of_run, *of_tasks = [json.loads(text) for _, text in events]
    assert (of_run["arn"], of_run["uuid"], of_run["status"]) == (run["arn"], run["uuid"], ending)
    assert (of_run["parameters"], of_run["name"]) == ({"x": 1}, "a")
    assert ("failureReason" in of_run) is (ending == "FAILED")
    assert of_tasks
    for task in of_tasks:
        assert task["run"] == run["arn"]
        assert {"cpus", "memory", "instanceType", "metrics", "startTime", "stopTime"} <= set(task)


@pytest.mark.parametrize(("workflow", "has_summary"), [("1234567", False), ("2345678", True), ("3456789", True)])
def test_outputs_of_a_completed_run(omics: Any, workflow: str, has_summary: bool) -> None:
    """Below runOutputUri: the engine log, a result, and for WDL and CWL a summary that names it."""
    parameters = {"sample_name": "s", "fastq_1": "f"}
    run = omics.start_run(workflowId=workflow, parameters=parameters)
    omics.advance(664)
    assert objects(omics) == {}
    omics.advance(100)
    folder = run["runOutputUri"].removeprefix("s3://results/")
    written = objects(omics)
    expected = {f"{folder}/logs/engine.log", f"{folder}/out/results.json"}
    assert set(written) == expected | ({f"{folder}/logs/outputs.json"} if has_summary else set())
    if has_summary:
        (uri,) = json.loads(written[f"{folder}/logs/outputs.json"]).values()
        assert uri == f"s3://results/{folder}/out/results.json"


def test_failed_run_leaves_its_engine_log_and_a_cancelled_one_nothing(make_omics: Callable[..., Any]) -> None:
    """Nothing is exported for cancelled runs."""
    omics = make_omics({"runs": [{"match": {"name": "bad"}, "outcome": "FAILED"}]})
    failed, cancelled = omics.start_run(name="bad")["id"], omics.start_run()["id"]
    omics.advance(100)
    omics("CancelRun", id=cancelled)
    omics.advance(1000)
    assert set(objects(omics)) == {f"runs/{failed}/logs/engine.log"}


def test_outputs_are_written_once_where_they_are_asked_for(omics: Any) -> None:
    """Bucket and key narrow down whose outputs are made; a user's later change of them is kept."""
    first = omics.start_run()["id"]
    second = omics.start_run(outputUri="s3://other/deep/prefix/")["id"]
    omics.advance(1000)
    assert objects(omics, "nothing") == objects(omics, "results", "runs/2") == {}
    assert set(objects(omics, "results", f"runs/{first}/logs/engine.log")) >= {f"runs/{first}/logs/engine.log"}
    omics.surroundings.objects.clear()
    assert set(objects(omics, None, "deep")) == {
        f"deep/prefix/{second}/logs/engine.log",
        f"deep/prefix/{second}/out/results.json",
    }
    omics.surroundings.objects.clear()
    assert objects(omics) == {}


def events(omics: Any, detail_type: str) -> list[dict[str, Any]]:
    omics.service.flush_events()
    return [event.detail for event in omics.surroundings.events if event.detail_type == detail_type]


def test_run_events(omics: Any) -> None:
    """Each status of a run is an event, with the documented details."""
    run = omics.start_run(name="a")
    omics.advance(1000)
    omics("DeleteRun", id=run["id"])
    told = events(omics, "Run Status Change")
    assert [detail.pop("status") for detail in told] == [
        "PENDING",
        "STARTING",
        "RUNNING",
        "STOPPING",
        "COMPLETED",
        "DELETED",
    ]
    expected = {
        "omicsVersion": "1.0.0",
        "arn": run["arn"],
        "uuid": run["uuid"],
        "runId": run["id"],
        "runName": "a",
        "runOutputUri": run["runOutputUri"],
        "workflowId": "1234567",
        "workflowName": "anything",
    }
    assert all(detail == expected for detail in told)
    assert {tuple(event.resources) for event in omics.surroundings.events if "runOutputUri" in event.detail} == {
        (run["arn"],)
    }


@pytest.mark.parametrize("step", [7, 100, 5000])
def test_events_come_once_and_in_order(omics: Any, step: int) -> None:
    """However often events are delivered: the same ones, each once, by time."""
    omics.start_batch(2)
    for _ in range(0, 5000, step):
        omics.service.flush_events()
        omics.advance(step)
    omics.service.flush_events()
    times = [event.time for event in omics.surroundings.events]
    assert len(times) == 5 + 2 * 5 + 2 * 3 * 5
    for task in {detail["arn"] for detail in events(omics, "Task Status Change")}:
        statuses = [detail["status"] for detail in events(omics, "Task Status Change") if detail["arn"] == task]
        assert statuses == ["PENDING", "STARTING", "RUNNING", "STOPPING", "COMPLETED"]
    if step == 5000:
        assert times == sorted(times)


def test_task_events(omics: Any) -> None:
    """Task events name the task and its run; a cancelled run cancels the task at hand."""
    run = omics.start_run()
    omics.advance(100)
    omics("CancelRun", id=run["id"])
    omics.advance(1000)
    told = events(omics, "Task Status Change")
    assert [detail["status"] for detail in told] == ["PENDING", "STARTING", "RUNNING", "STOPPING", "CANCELLED"]
    assert {(detail["runArn"], detail["runUuid"]) for detail in told} == {(run["arn"], run["uuid"])}


def test_batch_events(make_omics: Callable[..., Any]) -> None:
    """Each status of a batch is an event; every value is a string, the counts too."""
    omics = make_omics({"batches": [{"count_lag": 0}]})
    batch_id = omics.start_batch(2, batchName="nightly")
    omics.advance(1000)
    omics("DeleteRunBatch", batchId=batch_id)
    omics.advance(10)
    told = events(omics, "RunBatch Status Change")
    assert [detail["status"] for detail in told] == [
        "CREATING",
        "PENDING",
        "SUBMITTING",
        "INPROGRESS",
        "PROCESSED",
        "RUNS_DELETING",
        "RUNS_DELETED",
    ]
    assert all(isinstance(value, str) for detail in told for value in detail.values())
    assert (told[4]["completedRunCount"], told[4]["totalRuns"], told[4]["batchName"]) == ("2", "2", "nightly")
    assert told[3]["successfulStartSubmissionCount"] == "2"
    assert {"failureReason", "failureMessage"}.isdisjoint(told[4])


def test_event_of_a_failed_batch_has_code_and_message(make_omics: Callable[..., Any]) -> None:
    """In the event failureReason is a code, and failureMessage what GetBatch calls failureReason."""
    omics = make_omics({"batches": [{"failure": {"reason": "Boom", "code": "INTERNAL_SERVER_EXCEPTION"}}]})
    omics.start_batch(2)
    omics.advance(100)
    failed = events(omics, "RunBatch Status Change")[-1]
    assert (failed["failureReason"], failed["failureMessage"]) == ("INTERNAL_SERVER_EXCEPTION", "Boom")


def test_events_may_be_discarded(omics: Any) -> None:
    """What happened before discard_events is nobody's event; tasks of runs at work neither."""
    omics.start_run()
    omics.advance(100)
    omics.service.discard_events()
    omics.advance(1000)
    assert [detail["status"] for detail in events(omics, "Run Status Change")] == ["STOPPING", "COMPLETED"]


def test_runs_that_nobody_looks_at_write_nothing(omics: Any) -> None:
    """Without a flush nothing is written anywhere."""
    omics.start_batch(20)
    omics.advance(10_000)
    omics.pages("ListRuns")
    assert not any(itertools.chain(omics.surroundings.objects, omics.surroundings.streams, omics.surroundings.events))
