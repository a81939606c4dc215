"""A batch that its own task has cancelled: what its cancel misses, and what a try does that finds it still stopping."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.attempt.record import Ended as RecordEnded
from airflow_provider_omics.core.errors import AttemptError, BatchFailed, BatchTimedOut
from tests.operators.reruns import URI, script, statuses, submitted
from tests.operators.tries import Crash, NewTask, Task, at_sleep, crash, stores, waits, watch_starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.airflow_support import SteppedTime

RUNS = [{"running": 2000.0, "cancel_takes": 600.0}]
PARTLY: dict[str, Any] = {"batches": [{"cancel_failures": 1}]}
TIMEOUT = timedelta(minutes=10)
TIMED_OUT: dict[str, Any] = {"execution_timeout": TIMEOUT, "results_s3_uri": URI}


def killed(task: Task, stepped: SteppedTime, state: str | None, **arguments: Any) -> None:
    """Let a user end the task while its batch is going on a worker."""
    at_sleep(stepped, lambda: task.kill(state), number=5)
    assert isinstance(task.try_(**{"results_s3_uri": URI, **arguments}).error, Crash)
    record = task.record()
    assert record is not None
    assert record.ended is RecordEnded.BADLY
    assert task.statuses() == ["STOPPING"]


def timed_out(task: Task) -> None:
    """Let a try cancel its batch at its deadline."""
    assert isinstance(task.try_(**TIMED_OUT).error, BatchTimedOut)
    assert task.statuses() == ["STOPPING"]
    task.arguments["execution_timeout"] = None


def run_statuses(task: Task) -> dict[str, str]:
    """Tell the runs of the first batch."""
    batch = task.started()[0]["id"]
    runs = task.emulator.service.started_runs()
    return {run["runSettingId"]: run["status"] for run in runs if run["batchId"] == batch}


# -- what the cancel of the batch misses -------------------------------------------------------------------------------


def test_kill_sees_to_what_it_misses(new_task: NewTask, stepped: SteppedTime) -> None:
    """Marked failed, no try follows: a run whose own cancel failed is cancelled in the worker's last seconds."""
    task = new_task("batch", retries=0)
    script(task, RUNS, **PARTLY)
    killed(task, stepped, "failed")

    task.emulator.advance(700.0)

    assert run_statuses(task) == {"S1": "CANCELLED", "S2": "CANCELLED"}
    assert task.statuses() == ["CANCELLED"]


@waits
def test_deadline_sees_to_what_it_misses(new_task: NewTask, *, deferrable: bool) -> None:
    """The same at execution_timeout, on a worker and in a triggerer."""
    task = new_task("batch", deferrable=deferrable, retries=0)
    script(task, RUNS, **PARTLY)
    timed_out(task)

    task.emulator.advance(700.0)

    assert run_statuses(task) == {"S1": "CANCELLED", "S2": "CANCELLED"}


@pytest.mark.parametrize("rerun", ["failed", "all"])
@pytest.mark.parametrize("clear", [False, True], ids=["retry", "clear"])
def test_next_try_sees_to_what_a_kill_has_missed(
    new_task: NewTask, stepped: SteppedTime, *, rerun: str, clear: bool
) -> None:
    """The worker had no time to cancel it by itself: the next try does, before anything new is started."""
    task = new_task("batch")
    script(task, RUNS, **PARTLY)
    task.emulator.faults.add(operation="CancelRun", error="ThrottlingException")
    killed(task, stepped, "restarting", rerun=rerun)
    task.emulator.faults.clear()
    if clear:
        task.clear()
    script(task)

    assert task.try_().error is None

    assert run_statuses(task) == {"S1": "CANCELLED", "S2": "CANCELLED"}
    assert submitted(task) == [["S1", "S2"], ["S1", "S2"]]


@pytest.mark.parametrize("uri", [URI, None], ids=["results", "no place"])
@pytest.mark.parametrize(
    ("cancel_takes", "cancel", "again"),
    [(200.0, True, ["S1", "S2"]), (5000.0, True, ["S1", "S2"]), (0.0, False, ["S2"])],
    ids=["soon", "late", "completed"],
)
def test_retry_after_a_batch_that_failed_under_its_runs(
    new_task: NewTask,
    log_lines: Callable[..., list[str]],
    *,
    uri: str | None,
    cancel_takes: float,
    cancel: bool,
    again: list[str],
) -> None:
    """Runs that outlive their batch are waited for: what completes is not submitted again, nothing runs beside it."""
    task = new_task("batch")
    runs = [{"running": 300.0, "cancel_takes": cancel_takes}]
    script(task, runs, batches=[{"failure": {"reason": "An error.", "after_runs": 1}}])
    error = task.try_(results_s3_uri=uri, cancel_on_kill=cancel, retry_permanent_failures=True).error
    assert isinstance(error, BatchFailed)
    script(task)

    ended = task.try_()

    assert ended.error is None
    assert submitted(task) == [["S1"], again]
    assert ended.result["completed_runs"] == 2
    assert "Waiting for the end of 1 runs that outlived batch 2000001" in log_lines()


@pytest.mark.parametrize("uri", [URI, None], ids=["results", "no place"])
def test_runs_that_do_not_end(new_task: NewTask, uri: str | None) -> None:
    """A run that outlives its batch and the patience of a try is not paid twice; the next try waits for it as well."""
    task = new_task("batch", retries=5)
    script(task, [{"running": 30_000.0}], batches=[{"failure": {"reason": "An error.", "after_runs": 1}}])
    arguments = {"cancel_on_kill": False, "retry_permanent_failures": True, "patience": timedelta(hours=1)}
    task.try_(results_s3_uri=uri, **arguments)
    script(task)

    second = task.try_()
    task.emulator.advance(30_000)
    third = task.try_()

    assert isinstance(second.error, AttemptError)
    assert "1 runs of batch 2000001 are still going" in str(second.error)
    assert "  action: Cancel them, or clear the task once they have ended." in str(second.error).splitlines()
    assert third.error is None
    assert submitted(task) == [["S1"], ["S2"]]


# -- a try that finds it stopping --------------------------------------------------------------------------------------


@stores
@pytest.mark.parametrize("clear", [False, True], ids=["retry", "clear"])
def test_what_completes_while_it_stops_is_kept(
    new_task: NewTask, stepped: SteppedTime, store: str, *, clear: bool
) -> None:
    """Killed and tried again at once: a run that cannot be cancelled completes, and is not submitted again."""
    task = new_task("batch", store=store)
    script(task, RUNS, **PARTLY)
    task.emulator.faults.add(operation="CancelRun", error="AccessDeniedException")
    killed(task, stepped, "failed" if clear else "restarting")
    if clear:
        task.clear()
    starts = watch_starts(task)

    ended = task.try_()

    assert ended.error is None
    assert starts == [["CANCELLED"]]
    assert submitted(task) == [["S1", "S2"], ["S2"]]
    assert (ended.result["completed_runs"], ended.result["carried_forward"]) == (2, 1)


@waits
def test_retry_after_a_deadline(new_task: NewTask, *, deferrable: bool) -> None:
    """The retry waits for the end of the batch that was cancelled at the deadline."""
    task = new_task("batch", deferrable=deferrable)
    script(task, RUNS)
    timed_out(task)
    script(task)
    starts = watch_starts(task)

    assert task.try_().error is None

    assert starts == [["CANCELLED"]]


def test_with_all_runs_anew_nothing_is_waited_for(new_task: NewTask, stepped: SteppedTime) -> None:
    """rerun="all" submits everything, whatever completes: at once."""
    task = new_task("batch")
    script(task, RUNS)
    killed(task, stepped, "failed", rerun="all")
    task.clear()
    starts = watch_starts(task)

    assert task.try_().error is None

    assert starts == [["STOPPING"]]


def test_crash_while_its_end_is_waited_for(new_task: NewTask, stepped: SteppedTime) -> None:
    """A clear has cancelled the old batch and dies: the try after it waits as well."""
    task = new_task("batch")
    script(task, RUNS)
    task.try_(wait_for_completion=False, results_s3_uri=URI)
    task.emulator.advance(100.0)
    task.clear()
    at_sleep(stepped, crash, number=10)
    assert isinstance(task.try_(wait_for_completion=True).error, Crash)
    assert task.statuses() == ["STOPPING"]
    script(task)
    starts = watch_starts(task)

    assert task.try_().error is None

    assert starts == [["CANCELLED"]]


# -- whose cancel it was -----------------------------------------------------------------------------------------------


def once_stopping(task: Task, act: Callable[[], object]) -> Callable[[], None]:
    """Do something once, at the first sleep after the cancel, when the batch has come to its end."""
    done: list[bool] = []

    def slept() -> None:
        if not done and task.statuses() == ["STOPPING"]:
            done.append(True)
            task.emulator.advance(700.0)
            act()

    return slept


@waits
def test_interrupted_after_its_cancel(new_task: NewTask, stepped: SteppedTime, *, deferrable: bool) -> None:
    """The triggerer restarts, or Airflow's own timeout strikes, after the cancel: the task has timed out."""
    task = new_task("batch", deferrable=deferrable, retries=0)
    script(task, RUNS)

    def strike() -> None:
        raise Crash if deferrable else AirflowTaskTimeout("Timeout")

    stepped.at_sleep = once_stopping(task, strike)
    error = task.try_(**TIMED_OUT).error

    assert isinstance(error, BatchTimedOut)
    assert "execution_timeout passed; it was cancelled" in str(error)
    assert task.statuses() == ["CANCELLED"]
    assert statuses() == {"S1": "CANCELLED", "S2": "CANCELLED"}  # told as where the end itself is found
    record = task.record()
    assert record is not None
    assert record.ended is RecordEnded.BADLY
