"""A time limit passes, ours or Airflow's own: what is cancelled, and what is left for the next try."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.errors import BatchTimedOut, RunTimedOut, StartTimedOut
from airflow_provider_omics.jobs.owner import Owner
from tests.airflow_support import TASK_LOG
from tests.operators.test_parting import TIMED_OUT, raising
from tests.operators.tries import ALIVE, ENDED_WELL, JOB, LONG, START, STOPPED, NewTask, at_sleep, crash, kinds

if TYPE_CHECKING:
    from tests.airflow_support import SteppedTime


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_retry_after_a_deadline_starts_anew(new_task: NewTask, *, deferrable: bool) -> None:
    """The deadline cancelled it: the retry does not adopt what is stopping."""
    task = new_task(deferrable=deferrable)
    task.emulator.set_scenario(LONG)
    assert isinstance(task.try_(execution_timeout=timedelta(minutes=10)).error, RunTimedOut)
    assert task.statuses() == ["STOPPING"]

    assert task.try_(execution_timeout=None).error is None

    assert len(task.started()) == 2


def test_retry_after_a_deadline_that_left_it_going_adopts(new_task: NewTask) -> None:
    """cancel_on_kill=False: past the deadline it goes on, and the retry waits for it."""
    task = new_task()
    task.emulator.set_scenario(LONG)
    assert isinstance(task.try_(execution_timeout=timedelta(minutes=10), cancel_on_kill=False).error, RunTimedOut)
    assert task.statuses() == ["RUNNING"]

    assert task.try_(execution_timeout=None).error is None

    assert task.statuses() == ["COMPLETED"]


@kinds
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_airflows_own_timeout_while_the_earlier_one_is_looked_for(
    new_task: NewTask, stepped: SteppedTime, *, kind: str, cancel_on_kill: bool
) -> None:
    """Airflow's timeout strikes before the adoption: what goes on is cancelled, unless that is switched off."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, crash, number=5)
    task.try_(cancel_on_kill=cancel_on_kill)
    task.emulator.faults.add(operation={"run": "GetRun", "batch": "GetBatch"}[kind], error="ThrottlingException")

    def time_out() -> None:
        task.emulator.faults.clear()
        raise AirflowTaskTimeout("Timeout")

    at_sleep(stepped, time_out)
    error = task.try_(cancel_on_kill=cancel_on_kill).error

    assert isinstance(error, {"run": RunTimedOut, "batch": BatchTimedOut}[kind])
    assert ("it was cancelled" in str(error)) is cancel_on_kill
    assert task.statuses()[0] in (STOPPED if cancel_on_kill else ALIVE)


@kinds
def test_airflows_own_timeout_after_what_the_earlier_try_left_has_ended(
    new_task: NewTask, stepped: SteppedTime, kind: str
) -> None:
    """What is found ended wins over the limit: its result is used, and nothing is started."""
    task = new_task(kind)
    at_sleep(stepped, crash, number=2)
    task.try_()
    task.emulator.faults.add(operation={"run": "GetRun", "batch": "GetBatch"}[kind], error="ThrottlingException")

    def time_out() -> None:
        task.emulator.faults.clear()
        task.emulator.advance(100_000)
        raise AirflowTaskTimeout("Timeout")

    at_sleep(stepped, time_out)
    ended = task.try_()

    assert ended.error is None
    assert ended.result["status"] == ENDED_WELL[kind]
    assert len(task.started()) == 1


@kinds
def test_airflows_own_timeout_before_anything_was_started(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """A start that is throttled past Airflow's own timeout is a typed error that names the request; a retry starts."""
    task = new_task(kind)
    task.emulator.faults.add(operation=START[kind], error="ThrottlingException")

    def time_out() -> None:
        task.emulator.faults.clear()
        raise AirflowTaskTimeout("Timeout")

    at_sleep(stepped, time_out, number=3)
    error = task.try_().error

    assert isinstance(error, StartTimedOut)
    assert error.request_id is not None
    assert error.request_id in str(error)
    assert task.started() == []

    assert task.try_().error is None

    assert len(task.started()) == 1


@kinds
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", [3, 4])
def test_airflows_own_timeout_while_the_end_is_recorded(new_task: NewTask, kind: str, when: str, write: int) -> None:
    """It strikes after our deadline has cancelled, at any write: the typed error stays, and the retry starts anew."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    written = Counter[str]()

    def strike(moment: str) -> None:
        written[moment] += 1
        if (moment, written[moment]) == (when, write):
            raise AirflowTaskTimeout("Timeout")

    assert task.task_state_store is not None
    task.task_state_store.at_set = strike
    error = task.try_(execution_timeout=timedelta(minutes=10)).error

    assert isinstance(error, TIMED_OUT[kind])
    assert "execution_timeout passed; it was cancelled" in str(error)
    assert "took too long" in str(error)
    assert len(task.started()) == 1
    assert task.statuses()[0] in STOPPED

    assert written[when] >= write
    task.task_state_store.at_set = None

    assert task.try_(execution_timeout=None).error is None
    assert len(task.started()) == 2


@kinds
def test_airflows_own_timeout_while_the_log_is_closed(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """It strikes at the last line of the log: the task still ends with its own error."""
    task = new_task(kind)
    task.emulator.set_scenario(LONG)
    real = TASK_LOG.info
    struck = []

    def info(text: str, *values: Any, **more: Any) -> None:
        if "after its request" in text % values:
            struck.append(text)
            raise AirflowTaskTimeout("Timeout")
        real(text, *values, **more)

    monkeypatch.setattr(TASK_LOG, "info", info)
    error = task.try_(execution_timeout=timedelta(minutes=10)).error

    assert isinstance(error, TIMED_OUT[kind])
    assert len(struck) == 1


@kinds
def test_airflows_own_timeout_while_a_failed_try_cancels(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The last try ends with an error before its wait, and the timeout strikes as it cancels: the cancel is sent."""
    task = new_task(kind, retries=0)
    task.emulator.set_scenario(LONG)
    monkeypatch.setattr(JOB[kind], "started", raising(ZeroDivisionError("a mistake of ours")))
    strikes = raising(AirflowTaskTimeout("Timeout"), times=1)
    monkeypatch.setattr(Owner, "before_cancel", strikes)
    error = task.try_().error

    assert isinstance(error, ZeroDivisionError)
    assert task.statuses()[0] in STOPPED
