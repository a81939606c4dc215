"""Airflow is asked for the states of many tasks in few questions."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from airflow_provider_omics.waiting import task_states, uninterrupted
from airflow_provider_omics.waiting.task_states import AT_ONCE, TOGETHER, state_of
from airflow_provider_omics.waiting.task_states import task_states as task_states_of
from tests.airflow_support import TaskInstanceRecord


@dataclass(frozen=True)
class Record:
    """What a triggerer of Airflow 3 knows of a task instance: it can be asked nothing."""

    task_id: str
    run_id: str
    map_index: int = -1
    dag_id: str = "a_dag"


class Answers:
    """Stands for Airflow, which knows some states.

    :param states: by run id, then by task id, with the index of a mapped task.
    """

    def __init__(self, states: dict[str, dict[str, Any]]) -> None:
        self.states = states
        self.questions: list[dict[str, Any]] = []

    def get_task_states(self, **question: Any) -> dict[str, dict[str, Any]]:
        self.questions.append(question)
        return self.states


def airflow_3(monkeypatch: pytest.MonkeyPatch, states: dict[str, dict[str, Any]]) -> Answers:
    """Put answers in the place of Airflow 3's own, in whatever Airflow there is."""
    answers = Answers(states)
    name = ""
    for part in ("airflow", "sdk", "execution_time", "task_runner"):
        name = f"{name}.{part}".lstrip(".")
        if name not in sys.modules or part == "task_runner":
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[name], "RuntimeTaskInstance", answers, raising=False)
    return answers


@pytest.mark.parametrize(
    ("instances", "states", "told", "map_index"),
    [
        ([Record("wait", "run")], {"run": {"wait": "deferred"}}, ["deferred"], -1),
        ([Record("wait", "run")], {"run": {"wait": None}}, [None], -1),
        ([Record("wait", "run")], {}, [None], -1),
        ([Record("wait", "run", 3)], {"run": {"wait_3": "failed"}}, ["failed"], 3),
        (
            [Record("wait", "run", 3), Record("wait", "other", 1)],
            {"run": {"wait_3": "failed", "wait_1": "success"}, "other": {"wait_1": "deferred"}},
            ["failed", "deferred"],
            None,
        ),
        (
            [Record("wait", "run"), Record("wait", "other")],
            {"run": {"wait": "failed"}, "other": {"wait": "deferred"}},
            ["failed", "deferred"],
            -1,
        ),
    ],
)
def test_one_question_for_many_instances(
    monkeypatch: pytest.MonkeyPatch,
    instances: list[Record],
    states: dict[str, dict[str, Any]],
    told: list[str | None],
    map_index: int | None,
) -> None:
    """Each instance has its own state of the answer; indexes are left out of a question about several."""
    airflow = airflow_3(monkeypatch, states)

    assert task_states_of(instances) == told
    runs = sorted({instance.run_id for instance in instances})
    assert airflow.questions == [{"dag_id": "a_dag", "task_ids": ["wait"], "run_ids": runs, "map_index": map_index}]


class Supervisor:
    """Answers questions in threads, and keeps account of them."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.most = 0
        self.seconds = 0.0
        self._going = 0
        self._lock = threading.Lock()

    def task_states(self, instances: Sequence[Any]) -> list[str | None]:
        with self._lock:
            self._going += 1
            self.most = max(self.most, self._going)
            self.sizes.append(len(instances))
        threading.Event().wait(self.seconds)
        with self._lock:
            self._going -= 1
        return [instance.state for instance in instances]


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    """Stands for Airflow, in the place of :func:`task_states_of`."""
    supervisor = Supervisor()
    monkeypatch.setattr(task_states, "task_states", supervisor.task_states)
    return supervisor


async def test_a_thousand_ask_at_once(supervisor: Supervisor) -> None:
    """A stalled triggerer loses a thousand triggers of one task, some of which a user has ended."""
    states = ["failed" if number % 7 == 0 else "deferred" for number in range(1000)]
    instances = [TaskInstanceRecord(state=state, map_index=number) for number, state in enumerate(states)]

    assert await asyncio.gather(*map(state_of, instances)) == states
    assert supervisor.sizes == [TOGETHER] * 10
    assert supervisor.most <= AT_ONCE


async def test_patience_begins_with_the_question(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty tasks, two questions at a time: that the last ones wait for their turn is not held against Airflow."""
    monkeypatch.setattr(task_states, "PATIENCE", 0.3)
    supervisor.seconds = 0.05
    instances = [TaskInstanceRecord(state=f"state {number}", task_id=f"task_{number}") for number in range(20)]

    assert await asyncio.gather(*map(state_of, instances)) == [f"state {number}" for number in range(20)]


async def test_no_answer_reaches_everyone(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked together is refused together; the next question is a new one."""
    monkeypatch.setattr(task_states, "PATIENCE", 0.01)
    supervisor.seconds = 0.1

    refused = await asyncio.gather(*(state_of(TaskInstanceRecord()) for _ in range(3)), return_exceptions=True)
    monkeypatch.setattr(task_states, "PATIENCE", 5.0)

    assert [type(error) for error in refused] == [asyncio.TimeoutError] * 3
    assert await state_of(TaskInstanceRecord(state="deferred")) == "deferred"
    await asyncio.gather(*uninterrupted._going)


async def test_who_gives_up_takes_nothing_from_the_others(supervisor: Supervisor) -> None:
    """One of two is cancelled while the question is under way."""
    gone, stays = (asyncio.ensure_future(state_of(TaskInstanceRecord(state=state))) for state in ("a", "b"))
    await asyncio.sleep(0)

    gone.cancel()

    assert await stays == "b"
    assert gone.cancelled()
