"""What the failed task says decides over another try of a sample, wherever the batch keeps its results."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import BatchVerdictError
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import BUCKET, samples
from tests.operators.tries import NewTask, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.diagnosis.answers import Answers

pytestmark = pytest.mark.usefixtures("stepped")

URI = f"s3://{BUCKET}/results/wgs.jsonl.gz"
places = pytest.mark.parametrize(
    "place",
    [{}, {"results_s3_uri": URI}, {"results_s3_uri": URI, "results_detail": "listed"}],
    ids=["no place", "results", "listed"],
)


def task_fails(reason: str, *names: str) -> list[dict[str, Any]]:
    """Script runs that fail as one of their tasks does, for a reason that only the task tells."""
    task = {"name": "ALIGN", "outcome": "FAILED", "failure_reason": reason}
    rule = {"outcome": "FAILED", "failure_reason": "RUN_TASK_FAILED", "tasks": [task]}
    return [{"match": {"run_setting_id": name}, **rule} for name in names]


def submitted(task: Task) -> list[list[str]]:
    """Tell the samples of each batch that was started."""
    runs = task.emulator.service.started_runs()
    return [sorted(run["runSettingId"] for run in runs if run["batchId"] == batch["id"]) for batch in task.started()]


@places
def test_task_without_memory_is_not_tried_again(new_task: NewTask, place: dict[str, str]) -> None:
    """Only the sample whose task may pass is submitted again; the other one keeps its cause through all attempts."""
    task = new_task("batch", retries=2)
    rules = [*task_fails("OUT_OF_MEMORY_ERROR", "S2"), *task_fails("SERVICE_ERROR", "S3")]
    task.emulator.set_scenario({"runs": rules})

    errors = [task.try_(run_settings=samples("S1", "S2", "S3"), **place).error for _ in range(3)]

    assert submitted(task) == [["S1", "S2", "S3"], ["S3"], ["S3"]]
    for error in errors:
        assert isinstance(error, BatchVerdictError)
        assert error.diagnosis is not None
        told = {cause["run_setting_ids"][0]: cause for cause in error.diagnosis["causes"]}
        assert (told["S2"]["cause"], told["S2"]["failure_class"]) == ("OUT_OF_MEMORY_ERROR in ALIGN", "sizing")
        assert (told["S3"]["cause"], told["S3"]["failure_class"]) == ("SERVICE_ERROR in ALIGN", "transient")
    if place:
        causes = {record.run_setting_id: record.cause for record in read_batch_results(URI)}
        assert causes == {"S1": None, "S2": "OUT_OF_MEMORY_ERROR in ALIGN", "S3": "SERVICE_ERROR in ALIGN"}


@places
def test_more_memory_for_the_task(new_task: NewTask, place: dict[str, str]) -> None:
    """With a rerun_setting, the sample whose task was too small is submitted again."""
    task = new_task("batch")
    task.emulator.set_scenario({"runs": task_fails("OUT_OF_MEMORY_ERROR", "S2")})

    task.try_(rerun_setting={"parameters": {"memory": 64}}, **place)
    task.emulator.set_scenario({})
    second = task.try_()

    assert second.error is None
    assert submitted(task) == [["S1", "S2"], ["S2"]]


@places
def test_all_tasks_were_too_small(new_task: NewTask, place: dict[str, str]) -> None:
    """No retry is spent where no task's failure may pass."""
    task = new_task("batch")
    task.emulator.set_scenario({"runs": task_fails("OUT_OF_MEMORY_ERROR", "S1", "S2")})

    assert isinstance(task.try_(**place).error, AirflowFailException)


@places
def test_batch_that_ran_out_of_time(new_task: NewTask, place: dict[str, str]) -> None:
    """Of a batch that nobody has diagnosed, as it was cancelled, the tasks are looked at by the next attempt."""
    task = new_task("batch")
    going = [{"match": {"run_setting_id": "S3"}, "running": 500_000}]
    task.emulator.set_scenario({"runs": [*task_fails("OUT_OF_MEMORY_ERROR", "S2"), *going]})
    task.arguments.update(run_settings=samples("S1", "S2", "S3"), poll_interval=600, wait_for_completion=False)
    task.try_(**place)
    task.emulator.advance(100_000)
    (batch,) = task.started()
    task.emulator.service.call("CancelRunBatch", {"batchId": batch["id"]})
    task.emulator.set_scenario({})

    task.try_(wait_for_completion=True)
    third = task.try_()

    assert submitted(task) == [["S1", "S2", "S3"], ["S3"]]
    assert (third.result, isinstance(third.error, BatchVerdictError)) == (None, True)


@pytest.mark.parametrize("kind", ["denied", "of other types"])
def test_tasks_that_cannot_be_looked_at(
    new_task: NewTask, answers: Answers, log_lines: Callable[..., list[str]], kind: str
) -> None:
    """Without leave to list tasks the samples are unclear, so they are tried once more, and the log says why."""
    task = new_task("batch")
    task.emulator.set_scenario({"runs": task_fails("OUT_OF_MEMORY_ERROR", "S2")})
    answers("ListRunTasks", kind)

    task.try_()
    task.try_()

    assert submitted(task) == [["S1", "S2"], ["S2"]]
    assert [line for line in log_lines(logging.WARNING) if line.startswith("What may pass on another try: The failed")]


def test_calls_are_bounded(new_task: NewTask) -> None:
    """Of ninety tasks that failed fifty are looked at; what is not known to come back is tried once more."""
    names = [f"S{number:02}" for number in range(90)]
    task = new_task("batch")
    rules = [*task_fails("SERVICE_ERROR", "S00"), *task_fails("OUT_OF_MEMORY_ERROR", "S*")]
    task.emulator.set_scenario({"limits": {"submissions_per_second": 100}, "runs": rules})
    task.try_(run_settings=samples(*names), failure_log_lines=0)
    task.emulator.set_scenario({"limits": {"submissions_per_second": 100}})
    task.emulator.calls.clear()

    second = task.try_()

    calls = task.emulator.calls.by_operation()
    assert (calls["GetRun"], calls["ListRunTasks"], calls["GetRunTask"]) == (90, 50, 50)
    assert len(submitted(task)[1]) == 90 - 49
    assert isinstance(second.error, BatchVerdictError)
    assert second.error.diagnosis is not None
    summary = second.error.diagnosis["summary"]
    assert summary.startswith("49 of 90 samples failed; batch 2000002, the last, had 41 of the samples:\n")


@pytest.mark.parametrize("place", [None, "s3://genomics-outputs/results/wgs.jsonl"], ids=["no place", "results"])
def test_reason_of_a_sample_that_an_earlier_try_has_left(new_task: NewTask, place: str | None) -> None:
    """After a retry the log and ``causes`` tell AWS's reason, message and run, and count over all samples."""
    task, tasks = new_task("batch", retries=2), [{"name": "FASTQC"}]
    permanent = {
        "outcome": "FAILED",
        "failure_reason": "IMPORT_FAILED",
        "status_message": "No such object.",
        "tasks": tasks,
    }
    passing = {"outcome": "FAILED", "failure_reason": "SERVICE_ERROR", "tasks": tasks}
    rules = [{"match": {"run_setting_id": "S1"}, **permanent}, {"match": {"run_setting_id": "S2"}, **passing}]
    task.emulator.set_scenario({"runs": rules})
    arguments = {"run_settings": samples("S1", "S2", "S3", "S4"), "results_s3_uri": place, "retries": 2}

    ended = [task.try_(**arguments) for _ in range(3)]

    assert [len(batch) for batch in submitted(task)] == [4, 1, 1]
    for attempt in ended[1:]:
        assert isinstance(attempt.error, BatchVerdictError)
        diagnosis = attempt.error.diagnosis or {}
        left = {"cause": "IMPORT_FAILED", "message": "No such object.", "count": 1, "run_setting_ids": ["S1"]}
        (group,) = [each for each in diagnosis["groups"] if each["cause"] == "IMPORT_FAILED"]
        assert {**left, "run_ids": ["10000001"], "owner": "data owner"}.items() <= group.items()
        first, *lines = diagnosis["summary"].splitlines()
        assert first.startswith("2 of 4 samples failed; batch 200000")
        assert first.endswith("the last, had 1 of the samples:")
        assert "  1 IMPORT_FAILED: No such object. (S1; run 10000001)" in lines
        assert str(attempt.error).startswith(diagnosis["headline"])
        assert "failed: 2 of 4 samples did not complete, 1 by " in diagnosis["headline"]
