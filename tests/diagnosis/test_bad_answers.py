"""Whatever goes wrong while the cause is looked for, the task ends with the failure itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.errors import BatchFailed, BatchVerdictError, OmicsError, RunFailed, ServiceError
from airflow_provider_omics.core.wait.flow import LIST_LAG
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs import diagnosis
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, ONE_TRY, RUN, perform, samples
from tests.diagnosis.answers import KINDS
from tests.diagnosis.cases import BATCHES, RUNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Meanwhile, SteppedTime
    from tests.diagnosis.answers import Answers
    from tests.operators.tries import NewTask

kinds = pytest.mark.parametrize("kind", KINDS)
places = pytest.mark.parametrize(
    "place", [{}, {"results_s3_uri": f"s3://{BUCKET}/results/wgs.jsonl"}], ids=["no place", "results"]
)

QUICKLY: dict[str, Any] = {"poll_interval": 600, "patience": 600, "botocore_config": ONE_TRY}
"""A task that looks and asks again a few times only: for hours, as it does by default, it is a hundred times each."""


def run_task(**arguments: Any) -> OmicsStartRunOperator:
    return OmicsStartRunOperator(task_id="align", **QUICKLY, **RUN, **arguments)


def batch_task(**arguments: Any) -> OmicsStartRunBatchOperator:
    settings = samples("M1", "M2", "I1", "T1", "Q1", "OK1")
    return OmicsStartRunBatchOperator(
        task_id="align",
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=settings,
        **QUICKLY,
        **arguments,
    )


def mixed(emulator: OmicsEmulator) -> None:
    rules = BATCHES["batch_mixed"]
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": who}, **rule} for who, rule in rules]})


@kinds
@pytest.mark.parametrize("operation", ["ListRunTasks", "GetRunTask", "GetLogEvents"])
def test_call_for_a_run_that_goes_wrong(
    emulator: OmicsEmulator, stepped: SteppedTime, answers: Answers, operation: str, kind: str
) -> None:
    """A run ends with its own error and reason, and one sentence at most says what is missing."""
    emulator.set_scenario({"runs": [RUNS["file_system_full"]]})
    answers(operation, kind)

    error = perform(run_task()).error

    assert isinstance(error, RunFailed)
    assert error.failure_reason == "FILE_SYSTEM_OUT_OF_SPACE"
    assert error.diagnosis is not None
    assert error.diagnosis["cause"] == "FILE_SYSTEM_OUT_OF_SPACE"
    assert len(error.diagnosis["notes"]) <= 2  # no task is known then: the engine log may be missing as well
    assert all(note.endswith(".") and "\n" not in note for note in error.diagnosis["notes"])


@kinds
@pytest.mark.parametrize("operation", ["DescribeLogStreams", "GetLogEvents"])
def test_call_for_a_manifest_that_goes_wrong(
    emulator: OmicsEmulator, meanwhile: Meanwhile, answers: Answers, operation: str, kind: str
) -> None:
    """Of a run whose record is gone, the wait has read the end from the manifest; reading it again may fail."""
    emulator.set_scenario({"runs": [RUNS["out_of_memory"]]})
    meanwhile("FAILED", emulator.service.remove_run)
    # The wait reads the manifest once: one call of each, and one more that finds the stream's end.
    answers(operation, kind, after=2 if operation == "GetLogEvents" else 1)

    error = perform(run_task()).error

    assert isinstance(error, RunFailed)
    assert error.failure_reason == "RUN_TASK_FAILED"
    assert error.diagnosis is not None
    assert error.diagnosis["status_message"] == "Run failed because a task failed."


@kinds
@pytest.mark.parametrize("operation", ["GetRun", "ListRunTasks", "GetRunTask", "GetLogEvents", "DescribeLogStreams"])
def test_call_for_a_batch_that_goes_wrong(
    emulator: OmicsEmulator, stepped: SteppedTime, answers: Answers, operation: str, kind: str
) -> None:
    """A batch ends with its verdict, its counts, and the names of what failed."""
    mixed(emulator)
    answers(operation, kind)

    ended = perform(batch_task())

    assert isinstance(ended.error, BatchVerdictError)
    assert ended.error.counts["failed_runs"] == 4
    assert ended.error.failed_run_settings.keys() == {"M1", "M2", "I1", "T1", "Q1"}
    assert ended.xcoms["return_value"]["succeeded"] is False
    assert {cause["cause"] for cause in ended.xcoms["return_value"]["causes"]} >= {"ServiceQuotaExceededException"}


@places
@kinds
@pytest.mark.parametrize("operation", ["ListRuns", "ListRunsInBatch"])
def test_list_of_a_batch_that_goes_wrong(
    emulator: OmicsEmulator, stepped: SteppedTime, answers: Answers, operation: str, kind: str, place: dict[str, str]
) -> None:
    """Without the names of what failed, the counts of a batch are still its verdict, and all failures are counted.

    With a results place the results come first: where they cannot be collected, a typed error says which call it was;
    and what a list leaves out of what the batch has started is of unknown end, so that no retry submits it again.
    """
    mixed(emulator)
    answers(operation, kind)

    ended = perform(batch_task(**place))

    assert isinstance(ended.error, BatchVerdictError if not place else (BatchVerdictError, ServiceError))
    assert ended.xcoms["return_value"]["succeeded"] is False
    result = ended.xcoms["return_value"]
    if place and operation == "ListRunsInBatch" and isinstance(ended.error, BatchVerdictError):
        assert (result["unknown_runs"], result["failed_runs"], result["failed_submissions"]) == (6, 0, 0)
        return
    assert result["failed_runs"] == 4
    if isinstance(ended.error, BatchVerdictError):
        assert ended.error.counts["failed_runs"] == 4
        assert sum(cause["count"] for cause in result["causes"]) == 5


def test_list_that_leaves_out_runs_submits_none_again(new_task: NewTask, answers: Answers) -> None:
    """Samples that the batch has started and no list tells of are of unknown end, and not submitted by a retry."""
    task = new_task("batch")
    task.arguments.update(results_s3_uri=f"s3://{BUCKET}/results/wgs.jsonl")
    answers("ListRunsInBatch", "with nothing in it")

    for ended in (task.try_(), task.try_()):
        assert isinstance(ended.error, BatchVerdictError)
        assert ended.error.counts["unknown_runs"] == 2

    assert len(task.started()) == 1


def test_list_that_lags(new_task: NewTask, stepped: SteppedTime, answers: Answers) -> None:
    """A list that does not tell yet of what the batch has started is asked again."""
    task = new_task("batch")
    task.arguments.update(results_s3_uri=f"s3://{BUCKET}/results/wgs.jsonl")
    answers("ListRunsInBatch", "with nothing in it")

    def catch_up() -> None:
        if stepped.slept[-1] == LIST_LAG:
            answers("ListRunsInBatch", "with nothing in it", after=1_000_000)

    stepped.at_sleep = catch_up
    ended = task.try_()

    assert ended.error is None
    assert ended.result["completed_runs"] == 2


@kinds
@pytest.mark.parametrize("operation", ["ListRuns", "ListRunsInBatch"])
def test_batch_that_is_tolerated_without_names(
    emulator: OmicsEmulator, stepped: SteppedTime, answers: Answers, operation: str, kind: str
) -> None:
    """What is tolerated by the counts is a success, whatever the lists say; what must succeed has to be looked up."""
    mixed(emulator)
    answers(operation, kind)

    tolerated = perform(batch_task(max_failed_runs=5))
    must_succeed = perform(batch_task(max_failed_runs=5, must_succeed=["OK*"]))

    assert tolerated.error is None
    assert tolerated.result["failed_runs"] == 4
    assert must_succeed.error is None or isinstance(must_succeed.error, ServiceError)


@kinds
@pytest.mark.parametrize("operation", ["GetRun", "ListRuns", "ListRunsInBatch", "ListRunTasks", "GetRunTask"])
def test_call_for_a_choice_that_goes_wrong(
    emulator: OmicsEmulator, new_task: NewTask, answers: Answers, operation: str, kind: str
) -> None:
    """What a retry cannot learn of the samples ends it with a typed error, or the samples are unclear."""
    mixed(emulator)
    task = new_task("batch")
    task.arguments.update(run_settings=samples("M1", "I1", "T1", "Q1", "OK1"), **QUICKLY)
    task.try_()
    emulator.set_scenario({})
    answers(operation, kind)

    error = task.try_().error

    assert error is None or isinstance(error, OmicsError)
    again = [run["runSettingId"] for run in emulator.service.started_runs() if run["batchId"] == "2000002"]
    assert len(again) == len(set(again))
    if kind in ("throttled", "denied", "gone", "a page of a proxy", "without ids"):
        assert "OK1" not in again


@kinds
def test_call_for_a_failed_batch_that_goes_wrong(
    emulator: OmicsEmulator, stepped: SteppedTime, answers: Answers, kind: str
) -> None:
    """A batch that fails as a whole keeps AWS's sentence."""
    emulator.set_scenario({"batches": [{"failure": {"reason": "The settings file changed."}}]})
    answers("ListRunsInBatch", kind)

    error = perform(batch_task()).error

    assert isinstance(error, BatchFailed)
    assert error.failure_reason == "The settings file changed."
    assert error.diagnosis is not None
    assert error.diagnosis["summary"].startswith("Batch 2000001 failed: The settings file changed.\n")


@pytest.mark.parametrize(
    ("operation", "kind", "note"),
    [
        (
            "ListRunTasks",
            "denied",
            "The failed tasks could not be listed: AccessDeniedException. The caller needs omics:ListRunTasks.",
        ),
        ("ListRunTasks", "throttled", "The failed tasks could not be listed: ThrottlingException."),
        (
            "ListRunTasks",
            "of other types",
            (
                "The failed tasks could not be listed: UnreadableAnswer. Something between here and AWS may have "
                "answered in its place."
            ),
        ),
        ("GetRunTask", "throttled", "Task 1000000002 could not be looked at: ThrottlingException."),
        (
            "GetLogEvents",
            "denied",
            (
                "The log run/10000001/task/1000000002 could not be read: AccessDeniedException. The caller needs "
                "logs:GetLogEvents on /aws/omics/WorkflowLog."
            ),
        ),
        (
            "GetLogEvents",
            "gone",
            "There is no log run/10000001/task/1000000002: nothing was printed, or it has been deleted.",
        ),
    ],
)
def test_sentences(
    emulator: OmicsEmulator, stepped: SteppedTime, answers: Answers, operation: str, kind: str, note: str
) -> None:
    """What could not be read is told in a sentence, with the permission that is missing."""
    emulator.set_scenario({"runs": [RUNS["file_system_full"]]})
    answers(operation, kind)

    error = perform(run_task()).error

    assert isinstance(error, RunFailed)
    assert error.diagnosis is not None
    assert error.diagnosis["notes"][0] == note


@pytest.mark.parametrize("kind", ["throttled", "denied"])
def test_service_that_refuses_is_not_asked_again(
    emulator: OmicsEmulator, stepped: SteppedTime, answers: Answers, log_lines: Callable[..., list[str]], kind: str
) -> None:
    """Twelve failed tasks without a permission are one sentence, not ten."""
    emulator.set_scenario({"runs": [RUNS["many_tasks"]]})
    answers("GetLogEvents", kind)

    perform(run_task())

    (text,) = log_lines(logging.ERROR)
    assert text.count("could not be read") == 1


@pytest.mark.parametrize("raised", [AirflowTaskTimeout("late"), ZeroDivisionError("a mistake of ours")])
@pytest.mark.parametrize("make", [run_task, batch_task])
def test_error_of_another_kind(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[..., list[str]],
    make: Callable[[], Any],
    raised: BaseException,
) -> None:
    """Airflow's own time limit, and our own mistakes, do not take the place of the failure."""

    def broken(*_: Any, **__: Any) -> None:
        raise raised

    mixed(emulator)
    emulator.set_scenario({"runs": [RUNS["file_system_full"]]})
    monkeypatch.setattr(diagnosis.Diagnoser, "_failed_tasks", broken)

    error = perform(make()).error

    assert isinstance(error, (RunFailed, BatchVerdictError))
    assert error.diagnosis is not None
    assert any("could not be looked for" in line for line in log_lines(logging.WARNING))


def test_nothing_is_asked_after_some_time(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Calls that hang are not made one after the other for hours."""
    emulator.set_scenario({"runs": [RUNS["many_tasks"]]})
    run = emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": "one"})
    emulator.advance(7200)
    hook = OmicsHook()
    snapshot: Any = hook.look("run", run["id"])
    seconds = iter(range(0, 10_000, 50))

    found = diagnosis.Diagnoser(hook, clock=lambda: float(next(seconds))).run(snapshot)

    assert emulator.calls["GetRunTask"] == 1
    assert found.more_tasks == 2
    assert found.notes == ("Nothing more was asked after 120 s.",)
