"""The stored state of a task is deleted while it waits: the next try finds what was started, and no two go on."""

from __future__ import annotations

import os
import signal

import pytest

from tests.e2e.expectations import assert_outcome, for_each_kind
from tests.e2e.stage import KINDS, Script, Stage, Task


def clear_without_state(task: Task, mode: str, stage: Stage) -> Script:
    """Delete the state of a task that waits, and clear it."""
    yield lambda: task.is_waiting(mode)
    stage.client.delete_state(task.dag_id, task.run_id, task.name)
    stage.client.clear(task.dag_id, task.run_id, task.name)


def kill_without_state(task: Task, stage: Stage) -> Script:
    """Delete the state of a task that waits on a worker, and kill its process."""
    yield lambda: task.is_waiting("running")
    stage.client.delete_state(task.dag_id, task.run_id, task.name)
    os.kill(task.pid, signal.SIGKILL)


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module."""
    stage.trigger("lost")
    for kind in KINDS:
        for mode in ("deferred", "running"):
            task = stage.task("lost", f"{kind}_lost_cleared_{mode}")
            stage.add(clear_without_state(task, mode, stage), task)
        task = stage.task("lost", f"{kind}_killed")
        stage.add(kill_without_state(task, stage), task)


@for_each_kind
@pytest.mark.parametrize("mode", ["deferred", "running"])
def test_a_clear_without_state_starts_one_new(stage: Stage, kind: str, mode: str) -> None:
    """As Airflow 3.4 is going to clear: the old run is cancelled, and exactly one new one starts."""
    task = stage.task("lost", f"{kind}_lost_cleared_{mode}")
    assert_outcome(task, "success", starts=2, tries=2, cancelled=(0,))


@for_each_kind
def test_a_retry_without_state_adopts(stage: Stage, kind: str) -> None:
    """Nobody has cleared it: what the dead worker has started is taken over, by its names and tags."""
    assert_outcome(stage.task("lost", f"{kind}_killed"), "success", tries=2)
