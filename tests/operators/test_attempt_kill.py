"""The worker is told to end: what is cancelled, and what is left for the next try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.attempt.record import Ended as RecordEnded
from airflow_provider_omics.core.errors import AttemptError, NotOwner
from airflow_provider_omics.jobs.stores import TaskStateAttemptStore
from tests.operators.tries import (
    ALIVE,
    ENDED_WELL,
    GET,
    JOB,
    LONG,
    START,
    STOPPED,
    Crash,
    CrashAt,
    NewTask,
    Task,
    at_sleep,
    crash,
    kinds,
    stores,
    watch_starts,
)

if TYPE_CHECKING:
    from tests.airflow_support import SteppedTime


def killed_while_waiting(task: Task, stepped: SteppedTime, state: str | None, **arguments: Any) -> None:
    """Let a try get SIGTERM while its run is going, and SIGKILL after."""
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, lambda: task.kill(state), number=5)
    assert isinstance(task.try_(**arguments).error, Crash)
    assert len(task.started()) == 1


@kinds
@stores
@pytest.mark.parametrize("state", ["running", None, "up_for_retry", "scheduled", "queued", "deferred"])
def test_machine_that_ends_a_worker_cancels_nothing(
    new_task: NewTask, stepped: SteppedTime, kind: str, store: str, state: str | None
) -> None:
    """A deploy, a drained node, an api-server outage: another try comes, adopts, and ends well."""
    task = new_task(kind, store=store)
    killed_while_waiting(task, stepped, state)
    assert task.statuses()[0] in ALIVE

    assert task.try_().error is None

    assert task.statuses() == [ENDED_WELL[kind]]


@kinds
@stores
@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "restarting"])
def test_user_who_ends_the_task_cancels(
    new_task: NewTask, stepped: SteppedTime, kind: str, store: str, state: str
) -> None:
    """Marked failed, marked success, cleared: cancelled; a later try starts anew, a batch once that has ended."""
    task = new_task(kind, store=store)
    killed_while_waiting(task, stepped, state)
    assert task.statuses()[0] in STOPPED
    record = task.record()
    assert record is not None
    assert record.ended is RecordEnded.BADLY
    starts = watch_starts(task)

    ended = task.try_()

    assert ended.error is None
    assert starts == [["STOPPING" if kind == "run" else "CANCELLED"]]
    assert len(task.started()) == 2
    assert task.id_of(ended.result) == task.started()[1]["id"]


@kinds
@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        pytest.param({"retries": 0}, {}, id="no retry left"),
        pytest.param({"store": "none"}, {}, id="no store that lasts"),
        pytest.param({}, {"durable": False}, id="not durable"),
    ],
)
@pytest.mark.parametrize("state", ["running", None])
def test_what_nobody_will_adopt_is_cancelled(
    new_task: NewTask, stepped: SteppedTime, *, kind: str, options: dict[str, Any], arguments: dict[str, Any],
    state: str | None,
) -> None:  # fmt: skip
    """Without a next try that would adopt it, nothing is left running, whoever ended the worker."""
    task = new_task(kind, **options)

    killed_while_waiting(task, stepped, state, **arguments)

    assert task.statuses()[0] in STOPPED


@kinds
@pytest.mark.parametrize("state", ["failed", "running", None])
def test_switch_leaves_everything_going(
    new_task: NewTask, stepped: SteppedTime, log_lines: Callable[..., list[str]], kind: str, state: str | None
) -> None:
    """cancel_on_kill=False: nothing is cancelled, whoever ended the task; the log says so."""
    task = new_task(kind, retries=0)

    killed_while_waiting(task, stepped, state, cancel_on_kill=False)

    assert task.statuses()[0] in ALIVE
    assert any("cancel_on_kill is off" in line for line in log_lines())


@kinds
def test_already_ended_is_done(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """The run ended between the last look and the kill: nothing to cancel, no error."""
    task = new_task(kind)

    def kill() -> None:
        task.emulator.advance(7200.0)
        task.kill("failed")

    at_sleep(stepped, kill)
    assert isinstance(task.try_().error, Crash)

    assert task.statuses() == [ENDED_WELL[kind]]
    record = task.record()
    assert record is not None
    assert record.ended is None


def test_kill_before_anything_was_begun(new_task: NewTask) -> None:
    """Killed while the settings are checked: nothing was started, nothing is asked."""
    task = new_task()
    task.before_execute = lambda operator: operator.on_kill()

    assert task.try_().error is None

    assert task.emulator.calls["CancelRun"] == 0


@kinds
@pytest.mark.parametrize("state", ["failed", "running"])
def test_kill_while_a_retry_checks_its_settings(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, kind: str, state: str
) -> None:
    """What an earlier try has left going is reached before this one has taken it over; a deploy leaves it."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, crash, number=5)
    assert isinstance(task.try_().error, Crash)

    def killed(*_: Any) -> None:
        task.instance.state = state
        task.operator.on_kill()
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(JOB[kind], "request", killed)
        assert isinstance(task.try_().error, Crash)

    assert task.statuses()[0] in (STOPPED if state == "failed" else ALIVE)


@kinds
@pytest.mark.parametrize(
    ("error", "told", "cancels"),
    [
        ("AccessDeniedException", "Cancelled", True),
        ("ResourceNotFoundException", "nothing to cancel was found", False),
        (None, "What an earlier try has started cannot be read, and may be going", False),
    ],
    ids=["denied", "not there", "record unreadable"],
)
def test_kill_of_a_retry_that_cannot_see_what_is_left(
    new_task: NewTask,
    stepped: SteppedTime,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[..., list[str]],
    *,
    kind: str,
    error: str | None,
    told: str,
    cancels: bool,
) -> None:
    """What cannot be looked at is cancelled all the same; what is not there, or not known, is told in the log."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, crash, number=5)
    assert isinstance(task.try_().error, Crash)
    store = task.task_state_store
    assert store is not None

    def killed(*_: Any) -> None:
        if error is not None:
            task.emulator.faults.add(operation=GET[kind], error=error, times=1)
        store.silent = error is None
        task.instance.state = "failed"
        task.operator.on_kill()
        store.silent = False
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(JOB[kind], "request", killed)
        assert isinstance(task.try_().error, Crash)

    assert task.statuses()[0] in (STOPPED if cancels else ALIVE)
    assert any(told in line for line in log_lines())


@kinds
@pytest.mark.parametrize("tries", [1, 2], ids=["first try", "retry"])
def test_process_that_outlives_a_kill_while_it_checks_starts_nothing(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, kind: str, tries: int
) -> None:
    """A user's kill holds for all that comes after it in the same process."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    if tries == 2:
        at_sleep(stepped, crash, number=5)
        assert isinstance(task.try_().error, Crash)
    checked: Any = JOB[kind].request

    def killed(job: Any, request_id: str) -> Any:
        task.instance.state = "failed"
        task.operator.on_kill()
        return checked(job, request_id)

    monkeypatch.setattr(JOB[kind], "request", killed)
    ended = task.try_(**({"run_name": "changed"} if kind == "run" else {"batch_name": "changed"}))

    assert ended.error is not None
    assert len(task.started()) == tries - 1
    assert all(status in STOPPED for status in task.statuses())


# -- killed while the start is on its way ------------------------------------------------------------------------------


@kinds
def test_killed_while_the_start_does_not_get_through(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """A process that outlives on_kill for a moment sends nothing any more."""
    task = new_task(kind)
    task.emulator.faults.add(operation=START[kind], error="ThrottlingException", times=1)
    task.instance.silent = False

    def kill() -> None:
        task.instance.state = "failed"
        task.operator.on_kill()

    at_sleep(stepped, kill)

    assert isinstance(task.try_().error, AttemptError)
    assert task.started() == []


@kinds
@pytest.mark.parametrize("state", ["failed", "restarting"])
def test_killed_before_the_answer_is_read(new_task: NewTask, stepped: SteppedTime, kind: str, state: str) -> None:
    """The request is out and its answer not read: what it started is found by its name, and cancelled."""
    task = new_task(kind)
    task.emulator.set_scenario({**LONG, "batches": [{"creating": 0.0}]})

    def listen(operator: Any) -> None:
        operator.hook.conn.meta.events.register_last(f"after-call.omics.{START[kind]}", lambda **_: task.kill(state))

    task.before_execute = listen

    assert isinstance(task.try_().error, Crash)
    task.emulator.advance(30.0)
    assert task.statuses()[0] in STOPPED


@kinds
def test_killed_before_the_answer_and_alive_after_it(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """Lists lag, so the kill finds nothing: the process cancels what it is answered, and records that."""
    task = new_task(kind)
    task.emulator.set_scenario({**LONG, "list_lag": 600.0, "batches": [{"creating": 0.0}]})

    def kill() -> None:
        task.instance.state = "failed"
        task.operator.on_kill()

    def listen(operator: Any) -> None:
        operator.hook.conn.meta.events.register_last(f"after-call.omics.{START[kind]}", lambda **_: kill())

    task.before_execute = listen
    ended = task.try_()

    assert ended.error is not None
    assert task.statuses()[0] in STOPPED
    record = task.record()
    assert record is not None
    assert (record.resource_id, record.ended) == (task.started()[0]["id"], RecordEnded.BADLY)


@kinds
@pytest.mark.parametrize("answered", [True, False], ids=["known", "not answered"])
def test_killed_while_a_retry_looks_for_the_earlier_one(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, *, kind: str, answered: bool
) -> None:
    """The retry has nothing in hand yet; what the earlier try left is cancelled all the same."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    with monkeypatch.context() as patch:
        if answered:
            at_sleep(stepped, crash, number=5)
        else:
            CrashAt(patch, 2, "before")
        task.try_()
    task.emulator.advance(60.0)
    calls = ["GetRun", "GetBatch"] if answered else ["ListRuns", "ListBatch"]
    for call in calls:
        task.emulator.faults.add(operation=call, error="ThrottlingException", times=1)

    at_sleep(stepped, lambda: task.kill("failed"))
    assert isinstance(task.try_().error, Crash)

    (status,) = task.statuses()
    assert status in STOPPED


@kinds
def test_kill_while_an_ended_one_is_looked_up_cancels_nothing(
    new_task: NewTask, stepped: SteppedTime, kind: str
) -> None:
    """What an earlier try saw end badly is over: its id is not even asked for."""
    task = new_task(kind)
    killed_while_waiting(task, stepped, "failed")
    cancels = task.emulator.calls["CancelRun"] + task.emulator.calls["CancelRunBatch"]
    task.emulator.faults.add(operation=START[kind], error="ThrottlingException", times=1)
    at_sleep(stepped, lambda: task.kill("failed"))

    assert isinstance(task.try_().error, Crash)

    assert task.emulator.calls["CancelRun"] + task.emulator.calls["CancelRunBatch"] == cancels
    assert len(task.started()) == 1


# -- not the owner any more --------------------------------------------------------------------------------------------


def overtaken(task: Task) -> None:
    """Let a later try own the attempt."""
    record = task.record()
    assert record is not None
    assert task.task_state_store is not None
    TaskStateAttemptStore(task.task_state_store).save(replace(record, owner_try=2))


def closed(task: Task) -> None:
    """Let Airflow have begun a later try, after which it answers nothing to this one."""
    assert task.task_state_store is not None
    task.task_state_store.closed = True


@pytest.mark.parametrize("lose", [overtaken, closed])
@pytest.mark.parametrize("state", ["running", None])
def test_orphan_that_is_killed_cancels_nothing(
    new_task: NewTask, stepped: SteppedTime, lose: Callable[[Task], None], state: str | None
) -> None:
    """The process of an earlier try lives on and is killed late: the run is another try's by now."""
    task = new_task(retries=0)

    def kill() -> None:
        lose(task)
        task.kill(state)

    task.emulator.set_scenario(LONG)
    at_sleep(stepped, kill, number=5)
    assert isinstance(task.try_().error, Crash)

    assert task.statuses() == ["RUNNING"]


@pytest.mark.parametrize("lose", [overtaken, closed])
def test_deadline_of_an_orphan_cancels_nothing(
    new_task: NewTask, stepped: SteppedTime, lose: Callable[[Task], None]
) -> None:
    """Past the orphan's execution_timeout the run goes on for its new owner."""
    task = new_task()
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, lambda: lose(task), number=5)

    assert isinstance(task.try_(execution_timeout=timedelta(minutes=10)).error, NotOwner)

    assert task.statuses() == ["RUNNING"]


@pytest.mark.parametrize("lose", [overtaken, closed])
def test_airflows_own_timeout_of_an_orphan_cancels_nothing(
    new_task: NewTask, stepped: SteppedTime, lose: Callable[[Task], None]
) -> None:
    """The same where Airflow's own timeout strikes in the wait."""
    task = new_task()
    task.emulator.set_scenario(LONG)

    def time_out() -> None:
        lose(task)
        raise AirflowTaskTimeout("Timeout")

    at_sleep(stepped, time_out, number=5)

    assert isinstance(task.try_().error, NotOwner)

    assert task.statuses() == ["RUNNING"]


def test_task_cleared_while_running_is_cancelled_although_its_store_is_closed(
    new_task: NewTask, stepped: SteppedTime
) -> None:
    """A clear closes the store to the running try at once; its kill is a user's all the same."""
    task = new_task()

    def kill() -> None:
        closed(task)
        task.kill("restarting")

    task.emulator.set_scenario(LONG)
    at_sleep(stepped, kill, number=5)
    task.try_()

    assert task.statuses()[0] in STOPPED
