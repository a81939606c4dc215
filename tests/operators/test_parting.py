"""Between a start and the wait, and after it: what fails there loses no run, no result and no error."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout, Asset

from airflow_provider_omics.core.errors import BatchTimedOut, BatchVerdictError, RunFailed, RunTimedOut, Unavailable
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.jobs import stores
from airflow_provider_omics.jobs.attempt import Attempt
from airflow_provider_omics.jobs.batch.job import BatchJob
from airflow_provider_omics.jobs.run import RunJob
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import (
    BUCKET,
    DEFAULT_RUN_SETTING,
    RUN,
    TASK_LOG,
    TaskInstanceRecord,
    perform,
    samples,
)
from tests.operators.tries import ENDED_WELL, LONG, START, STOPPED, NewTask, at_sleep, kinds, waits

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

TIMED_OUT = {"run": RunTimedOut, "batch": BatchTimedOut}


class BrokenError(RuntimeError):
    """An error of Airflow's."""


def raising(error: BaseException, *, times: int = 10**6) -> Callable[..., Any]:
    """Make a function that raises, so many times."""
    left = [times]

    def broken(*_: Any, **__: Any) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return broken


def break_step(monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException) -> None:
    """Let a step between the answer to a start and the wait fail."""
    if step == "links":
        monkeypatch.setattr(TaskInstanceRecord, "xcom_push", raising(error))
    elif step == "log":
        real = TASK_LOG.info

        def info(text: str, *values: Any, **more: Any) -> None:
            if text.startswith("Started"):
                raise error
            real(text, *values, **more)

        monkeypatch.setattr(TASK_LOG, "info", info)
    elif step == "second save":
        real_save = stores.TaskStateAttemptStore.save

        def save(self: Any, record: Any) -> None:
            if record.resource_id is not None and record.ended is None:
                raise error
            real_save(self, record)

        monkeypatch.setattr(stores.TaskStateAttemptStore, "save", save)
    elif step == "trigger":
        for job in (RunJob, BatchJob):
            monkeypatch.setattr(job, "trigger", raising(error))
    else:
        monkeypatch.setattr(Attempt, "drive", after_begin(Attempt.drive, error))


def after_begin(drive: Any, error: BaseException) -> Callable[..., Any]:
    """Let the drive after the first one fail: that of the wait."""
    driven = [0]

    def driving(self: Attempt, flow: Any) -> Any:
        driven[0] += 1
        if driven[0] == 2:
            raise error
        return drive(self, flow)

    return driving


@kinds
@pytest.mark.parametrize("step", ["links", "log", "second save", "trigger"])
def test_timeout_of_airflows_right_after_the_start(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str, step: str
) -> None:
    """execution_timeout strikes before the wait has begun, on the last try: the run is cancelled."""
    task = new_task(kind, deferrable=True, retries=0)
    task.emulator.set_scenario(LONG)
    break_step(monkeypatch, step, AirflowTaskTimeout("Timeout"))

    error = task.try_().error

    assert isinstance(error, TIMED_OUT[kind])
    assert "it was cancelled" in str(error)
    assert all(status in STOPPED for status in task.statuses())
    assert len(task.started()) == 1


@kinds
def test_timeout_right_after_the_start_leaves_it_going_if_told_so(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """cancel_on_kill=False: the error says that it may still be going."""
    task = new_task(kind, deferrable=True, retries=0)
    task.emulator.set_scenario(LONG)
    break_step(monkeypatch, "links", AirflowTaskTimeout("Timeout"))

    error = task.try_(cancel_on_kill=False).error

    assert isinstance(error, TIMED_OUT[kind])
    assert "may still be going" in str(error)
    assert not {"STOPPING", "CANCELLED"} & set(task.statuses())


@kinds
@pytest.mark.parametrize("step", ["links", "log", "second save"])
@waits
def test_what_is_only_told_or_noted_does_not_end_the_task(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str, step: str, *, deferrable: bool
) -> None:
    """XCom, the log or the record fail right after the start: the wait goes on to the result."""
    task = new_task(kind, deferrable=deferrable)
    break_step(monkeypatch, step, BrokenError("broken"))

    ended = task.try_()

    assert ended.error is None
    assert task.statuses() == [ENDED_WELL[kind]]


@kinds
@pytest.mark.parametrize(
    ("deferrable", "step"), [(True, "trigger"), (False, "wait")], ids=["before the deferral", "in the wait"]
)
@pytest.mark.parametrize("cancel_on_kill", [True, False])
@pytest.mark.parametrize("retries", [0, 1])
def test_unforeseen_error_before_the_end(
    new_task: NewTask,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[..., list[str]],
    kind: str,
    step: str,
    retries: int,
    *,
    deferrable: bool,
    cancel_on_kill: bool,
) -> None:
    """The next try adopts what goes on; without one it is cancelled, or named."""
    task = new_task(kind, deferrable=deferrable, retries=retries)
    task.emulator.set_scenario(LONG)
    with monkeypatch.context() as broken:
        break_step(broken, step, BrokenError("broken"))
        error = task.try_(cancel_on_kill=cancel_on_kill).error

    assert isinstance(error, BrokenError)
    (started,) = task.started()
    is_stopped = retries == 0 and cancel_on_kill
    assert (started["status"] in STOPPED) is is_stopped
    if not is_stopped:
        assert any(started["id"] in line and "left as it is" in line for line in log_lines())
    if retries:
        assert task.try_().error is None
        assert task.statuses() == [ENDED_WELL[kind]]


@kinds
def test_error_that_no_retry_follows(new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Tries are left, and Airflow will spend none: nobody would adopt what goes on."""
    task = new_task(kind, deferrable=True, retries=3)
    task.emulator.set_scenario(LONG)
    break_step(monkeypatch, "trigger", AirflowFailException("no more"))

    assert isinstance(task.try_().error, AirflowFailException)

    assert all(status in STOPPED for status in task.statuses())


@kinds
def test_start_that_was_never_answered_on_the_last_try(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """The answer is lost and patience ends: what the request has started is found and cancelled."""
    task = new_task(kind, retries=0)
    task.emulator.set_scenario(LONG)
    task.emulator.faults.add(operation=START[kind], lost_response=True, times=1)
    at_sleep(stepped, lambda: task.emulator.faults.add(operation=START[kind], error="InternalServerException"))

    error = task.try_(patience=timedelta(seconds=30)).error

    assert isinstance(error, Unavailable)
    (started,) = task.started()
    assert started["status"] in STOPPED


@kinds
def test_kill_between_the_start_and_the_wait(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, stepped: SteppedTime, kind: str
) -> None:
    """A user ends the task while its links are written."""
    task = new_task(kind, deferrable=True)
    task.emulator.set_scenario(LONG)
    monkeypatch.setattr(TaskInstanceRecord, "xcom_push", lambda *_, **__: task.kill("failed"))

    task.try_()

    assert all(status in STOPPED for status in task.statuses())


# -- what is only convenient to have -----------------------------------------------------------------------------------


def broken_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every write to XCom and of progress fail."""
    monkeypatch.setattr(TaskInstanceRecord, "xcom_push", raising(BrokenError("XCom is down")))
    monkeypatch.setattr(stores.TaskStateAttemptStore, "tell", raising(BrokenError("the store is down")))


@waits
def test_failed_run_stays_a_failed_run(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    monkeypatch: pytest.MonkeyPatch,
    *,
    deferrable: bool,
) -> None:
    """No XCom: the error and its diagnosis are those of the run."""
    reason = "OUT_OF_MEMORY_ERROR"
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "failure_reason": reason}]})
    broken_writes(monkeypatch)

    error = perform(OmicsStartRunOperator(task_id="align", **RUN, deferrable=deferrable)).error

    assert isinstance(error, RunFailed)
    assert error.failure_reason == reason
    assert error.diagnosis is not None


def test_progress_that_cannot_be_written_is_told_of_once(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]]
) -> None:
    """A store that is down for hours leaves one line in the log, not one each minute."""
    broken_writes(monkeypatch)

    assert new_task("batch").try_().error is None

    assert len([line for line in log_lines() if "progress could not be written" in line]) == 1


@waits
def test_verdict_of_a_batch_stays(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, *, deferrable: bool
) -> None:
    """Neither XCom nor the deletion of the staged settings takes the verdict's place."""
    emulator.set_scenario({"runs": [{"match": {"name": "S2"}, "outcome": "FAILED"}, {}]})
    broken_writes(monkeypatch)
    monkeypatch.setattr(S3Store, "delete", raising(BrokenError("no S3")))
    task = OmicsStartRunBatchOperator(
        task_id="cohort",
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=samples("S1", "S2"),
        staging_s3_uri=f"s3://{BUCKET}/staging",
        deferrable=deferrable,
    )

    error = perform(task).error

    assert isinstance(error, BatchVerdictError)
    assert error.counts["failed_runs"] == 1
    assert error.diagnosis is not None


@kinds
@pytest.mark.parametrize("error", [BrokenError("no events"), AirflowTaskTimeout("Timeout")], ids=["error", "timeout"])
def test_result_stays_although_nothing_else_can_be_written(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str, error: BaseException
) -> None:
    """Events of assets, XCom and progress fail: the result is returned, and the next try finds a success."""
    task = new_task(kind)
    broken_writes(monkeypatch)
    real = task._context

    class Events:
        def __getitem__(self, _: object) -> Any:
            raise error

    monkeypatch.setattr(task, "_context", lambda: {**real(), "outlet_events": Events()})

    ended = task.try_(outlets=[Asset("s3://bucket/results")])

    assert ended.error is None
    assert ended.result["status"] == ENDED_WELL[kind]


def test_lineage_that_breaks_does_not_reach_airflow(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What OpenLineage asks after the task is answered with nothing."""
    operator = OmicsStartRunOperator(task_id="align", **RUN)
    monkeypatch.setattr(RunJob, "lineage", raising(BrokenError("broken")))

    told = operator.get_openlineage_facets_on_failure(TaskInstanceRecord())

    assert told.inputs == told.outputs == []
