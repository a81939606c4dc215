"""A kill or a time limit comes while the record, the answer of the start or the settings are not at hand."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout

from airflow_provider_omics.core.attempt.record import Ended as RecordEnded
from airflow_provider_omics.core.errors import AttemptError, BatchTimedOut, RunTimedOut
from tests.airflow_support import SteppedTime, samples
from tests.operators.tries import (
    ALIVE,
    JOB,
    LONG,
    START,
    STOPPED,
    Crash,
    CrashAt,
    NewTask,
    Task,
    at_sleep,
    kinds,
    stores,
)

if TYPE_CHECKING:
    from collections.abc import Callable


TIMED_OUT = {"run": RunTimedOut, "batch": BatchTimedOut}
AT_ONCE: dict[str, Any] = {**LONG, "batches": [{"creating": 0.0}]}


# -- the settings: a retry has not read them yet -----------------------------------------------------------------------


def started_without_an_answer(task: Task) -> None:
    """Let a try start something, and die before it has saved the id."""
    task.emulator.set_scenario(AT_ONCE)
    with pytest.MonkeyPatch.context() as patch:
        CrashAt(patch, 2, "before")
        task.try_()
    task.emulator.advance(600.0)
    assert task.statuses()[0] in ALIVE


@kinds
@stores
def test_kill_before_the_settings_of_a_retry_are_read(new_task: NewTask, kind: str, store: str) -> None:
    """What the earlier try's request has started is found by what the record tells of it, and cancelled."""
    task = new_task(kind, store=store)
    started_without_an_answer(task)

    def killed(*_: Any) -> None:
        task.kill("failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JOB[kind], "request", killed)
        assert isinstance(task.try_().error, Crash)

    task.emulator.advance(30.0)
    (status,) = task.statuses()
    assert status in STOPPED


@kinds
def test_timeout_before_the_settings_of_a_retry_are_read(new_task: NewTask, kind: str) -> None:
    """The same where Airflow's own timeout strikes: cancelled, and told so."""
    task = new_task(kind)
    started_without_an_answer(task)

    def timed_out(*_: Any) -> None:
        raise AirflowTaskTimeout("Timeout")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JOB[kind], "request", timed_out)
        error = task.try_().error

    assert isinstance(error, TIMED_OUT[kind])
    assert "it was cancelled" in str(error)
    (status,) = task.statuses()
    assert status in STOPPED


# -- the answer of the start: not read yet -----------------------------------------------------------------------------


def before_the_answer(task: Task, act: Callable[[], object]) -> None:
    """Do something when the start is answered, and nobody has read the answer yet."""

    def listen(operator: Any) -> None:
        operator.hook.conn.meta.events.register_last(f"after-call.omics.{START[task.kind]}", lambda **_: act())

    task.before_execute = listen


def assert_cancelled_on_record(task: Task) -> None:
    """The next try knows what was cancelled, and may have to wait for its end."""
    record = task.record()
    assert record is not None
    assert (record.resource_id, record.ended) == (task.started()[0]["id"], RecordEnded.BADLY)
    task.emulator.advance(30.0)
    assert task.statuses()[0] in STOPPED


@kinds
def test_kill_before_the_answer_while_lists_lag(new_task: NewTask, kind: str) -> None:
    """Airflow 2.11 ends the process right after on_kill: it searches for what was started until it is listed."""
    task = new_task(kind)
    task.emulator.set_scenario({**AT_ONCE, "list_lag": 2.0})
    before_the_answer(task, lambda: task.kill("failed"))

    assert isinstance(task.try_().error, Crash)

    assert_cancelled_on_record(task)


@kinds
def test_timeout_before_the_answer_while_lists_lag(new_task: NewTask, kind: str) -> None:
    """Airflow's own timeout in the start call: what has started is searched for until it is listed."""
    task = new_task(kind)
    task.emulator.set_scenario({**AT_ONCE, "list_lag": 8.0})

    def time_out() -> None:
        raise AirflowTaskTimeout("Timeout")

    before_the_answer(task, time_out)

    assert isinstance(task.try_().error, TIMED_OUT[kind])
    assert_cancelled_on_record(task)


@kinds
@pytest.mark.parametrize(("state", "final"), [("running", False), ("failed", True)], ids=["machine", "user"])
def test_kill_while_the_start_does_not_get_through(
    new_task: NewTask, stepped: SteppedTime, kind: str, state: str, *, final: bool
) -> None:
    """Nothing is sent any more; the tries left are for a task that the machine has ended, not for a user's."""
    task = new_task(kind)
    task.emulator.faults.add(operation=START[kind], error="ThrottlingException", times=1)

    def kill() -> None:
        task.instance.state = state
        task.operator.on_kill()

    at_sleep(stepped, kill)
    error = task.try_(durable=False).error

    assert isinstance(error, AttemptError)
    assert isinstance(error, AirflowFailException) is final
    assert "  action: The next try looks for what may have started" in str(error)
    assert task.started() == []


@kinds
def test_resend_that_would_come_too_late(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """Nothing is sent again without a search once the service may have forgotten the id, by botocore neither."""
    task = new_task(kind)
    task.arguments["botocore_config"] = {"retries": {"mode": "standard", "total_max_attempts": 3}}
    task.emulator.set_scenario({"request_id_memory": 601.0})
    task.emulator.faults.add(operation=START[kind], lost_response=True, times=1)
    at_sleep(stepped, lambda: task.emulator.advance(700.0))

    assert task.try_().error is None

    assert len(task.started()) == 1


# -- the record: its store does not answer -----------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("state", ["failed", None])
def test_kill_while_the_record_cannot_be_read(
    new_task: NewTask, stepped: SteppedTime, kind: str, state: str | None
) -> None:
    """A user's kill, and the end of the last try: nobody would come to take over what is left."""
    task = new_task(kind, retries=0)
    task.emulator.set_scenario(LONG)

    def kill() -> None:
        assert task.task_state_store is not None
        task.task_state_store.silent = True
        try:
            task.kill(state)
        finally:
            task.task_state_store.silent = False

    at_sleep(stepped, kill, number=5)
    assert isinstance(task.try_().error, Crash)

    assert task.statuses()[0] in STOPPED


@kinds
@pytest.mark.parametrize("comes_back", [True, False])
def test_deadline_while_the_record_cannot_be_read(
    new_task: NewTask, stepped: SteppedTime, *, kind: str, comes_back: bool
) -> None:
    """Another try may own the run: it is cancelled once the record is read; until then the error says it may go on."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    store = task.task_state_store
    assert store is not None

    def fail() -> None:
        store.silent = True
        stepped.at_sleep = look

    def look() -> None:
        started = task.emulator.clock.now().timestamp() - began
        store.silent = not (comes_back and started > 550)  # the time to cancel is from 540 to 570

    began = task.emulator.clock.now().timestamp()
    at_sleep(stepped, fail, number=5)
    error = task.try_(execution_timeout=timedelta(minutes=10)).error
    store.silent = False

    assert isinstance(error, TIMED_OUT[kind])
    assert ("it was cancelled" in str(error)) is comes_back
    assert (task.statuses()[0] in STOPPED) is comes_back


# -- what is said once -------------------------------------------------------------------------------------------------


def test_tags_without_room_are_told_once(new_task: NewTask, log_lines: Callable[..., list[str]]) -> None:
    """However often the same request is sent again."""
    task = new_task("batch")
    full = {f"key-{number}": "value" for number in range(50)}
    task.arguments.update(run_settings=samples("S1"), tags=full)
    task.emulator.faults.add(operation="StartRunBatch", error="ThrottlingException", times=3)

    assert task.try_().error is None

    assert task.emulator.calls["StartRunBatch"] == 4
    assert sum("No room under 50 tags" in line for line in log_lines()) == 1
