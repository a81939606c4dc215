"""The process of an earlier try is inside its start call when a later try begins: one run goes on, of the later try."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import NotOwner
from tests.airflow_support import SteppedTime, samples
from tests.operators.tries import ALIVE, LONG, START, STOPPED, NewTask, Task, at_sleep, kinds, stores

if TYPE_CHECKING:
    from tests.airflow_support import Ended

CHANGED: dict[str, dict[str, Any]] = {
    "run": {"parameters": {"genome": "GRCh38"}},
    "batch": {"run_settings": samples("S1", "S3")},
}
AGAIN = {"retries": {"mode": "standard", "total_max_attempts": 3}}
CANCEL = {"run": "CancelRun", "batch": "CancelRunBatch"}

comes = pytest.mark.parametrize("why", ["retried", "cleared", "changed", "not durable"])


class Later:
    """The next try of a task, which begins while the process of the one before is still at work.

    :param task: the task, in its first try.
    :param make: makes a second view of it.
    :param why: what makes the next try another than a plain retry.
    """

    def __init__(self, task: Task, make: Callable[[], Task], why: str) -> None:
        self.task, self.make, self.why = task, make, why
        self.ended: list[Ended] = []

    def begin(self) -> None:
        """Let it start, or take over, once."""
        if self.ended:
            return
        other, mine = self.make(), self.task.task_state_store
        if mine is not None:
            assert other.task_state_store is not None
            other.task_state_store.values = mine.values
            mine.closed = True  # as Airflow does, once there is a later try
        other.instance.try_number = self.task.instance.try_number
        if self.why == "cleared":
            other.clear()
        changed = CHANGED[self.task.kind] if self.why == "changed" else {}
        self.ended.append(
            other.try_(wait_for_completion=False, durable=self.why != "not durable", **changed),
        )


@kinds
@stores
@comes
def test_request_that_would_be_sent_again_is_not_sent(
    new_task: NewTask, stepped: SteppedTime, *, kind: str, store: str, why: str
) -> None:
    """The orphan was throttled, and tries again later: the attempt has another owner by then."""
    task = new_task(kind, store=store)
    task.emulator.set_scenario(LONG)
    task.emulator.faults.add(operation=START[kind], error="ThrottlingException", times=1)
    later = Later(task, lambda: new_task(kind, store=store), why)
    at_sleep(stepped, later.begin)

    ended = task.try_(botocore_config=AGAIN)

    assert isinstance(ended.error, NotOwner)
    (other,) = later.ended
    (only,) = task.started()
    assert (other.error, only["id"]) == (None, task.id_of(other.result))
    assert task.emulator.calls[CANCEL[kind]] == 0


def in_flight(task: Task, act: Callable[[], object]) -> None:
    """Do something when the start request has left the process and has not arrived."""

    def listen(operator: Any) -> None:
        operator.hook.conn.meta.events.register(f"before-send.omics.{START[task.kind]}", lambda **_: act() and None)

    task.before_execute = listen


@kinds
@pytest.mark.parametrize("why", ["cleared", "changed", "not durable"])
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_what_a_late_request_starts_is_cancelled(
    new_task: NewTask, log_lines: Callable[..., list[str]], *, kind: str, why: str, cancel_on_kill: bool
) -> None:
    """The later try has a request of its own: the record in S3 tells the orphan so when it saves the id."""
    task = new_task(kind, store="S3")
    task.emulator.set_scenario(LONG)
    later = Later(task, lambda: new_task(kind, store="S3"), why)
    in_flight(task, later.begin)

    ended = task.try_(cancel_on_kill=cancel_on_kill)
    task.emulator.advance(300.0)

    assert isinstance(ended.error, NotOwner)
    (other,) = later.ended
    states = {item["id"]: item["status"] for item in task.started()}
    assert len(states) == 2
    assert states.pop(task.id_of(other.result)) in ALIVE
    (late,) = states
    assert (states[late] in STOPPED) is cancel_on_kill
    what_now = "it is cancelled" if cancel_on_kill else "it is left going, as cancel_on_kill is off"
    assert f"{kind} {late} has started after try 2 began anew: {what_now}" in log_lines()


@kinds
@stores
def test_late_request_of_a_plain_retry_starts_nothing_more(new_task: NewTask, *, kind: str, store: str) -> None:
    """The retry has sent the same request: both are answered with the same run, and nothing is cancelled."""
    task = new_task(kind, store=store)
    task.emulator.set_scenario(LONG)
    later = Later(task, lambda: new_task(kind, store=store), "retried")
    in_flight(task, later.begin)

    task.try_(wait_for_completion=False)

    (other,) = later.ended
    (only,) = task.started()
    assert task.id_of(other.result) == only["id"]
    assert task.emulator.calls[CANCEL[kind]] == 0
