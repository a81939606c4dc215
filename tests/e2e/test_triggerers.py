"""Triggerers die and stall while tasks wait: all finish, none is cancelled, none is started again."""

from __future__ import annotations

import signal
import time

import pytest

from tests.e2e.deployment import Deployment
from tests.e2e.emulators import EmulatorProcess
from tests.e2e.expectations import assert_outcome
from tests.e2e.stage import KINDS, Script, Stage, Task

STALL = 40.0
"""Seconds for which a triggerer is stopped at least: longer than those after which another one takes its triggers."""

CASES = [f"{kind}_waits_{number}" for kind in KINDS for number in range(10)]


def lookers(task: Task) -> int:
    """Count the triggerers that have told what they saw of a task's run or batch: each has a log of its own."""
    word = f"{task.kind.capitalize()} {task.started[-1]['id']}: "
    return sum(word in log.read_text() for log in task.logs.glob("attempt=1.log.trigger.*"))


def disturb(stage: Stage, tasks: list[Task]) -> Script:
    """Kill the triggerer and start another; start a second beside it, stop the first for a while, let it go on."""
    deployment = stage.deployment

    def looked() -> bool:
        return all(lookers(task) > before[task.name] for task in tasks)

    yield lambda: all(task.is_waiting("deferred") for task in tasks)
    deployment.programs["triggerer"].kill()
    before = {task.name: lookers(task) for task in tasks}
    deployment.start_triggerer()
    yield looked  # the new one has taken the triggers of the dead one
    for task in tasks:
        task.notes["after_kill"] = (task.state, task.statuses)
    deployment.start_triggerer("second-triggerer")
    yield lambda: stage.triggerers() >= 2
    stalled = deployment.programs["triggerer"]
    stalled.signal(signal.SIGSTOP)
    end = time.monotonic() + STALL
    before = {task.name: lookers(task) for task in tasks}
    yield lambda: time.monotonic() >= end and looked()  # the second one has taken over
    stalled.signal(signal.SIGCONT)
    for task in tasks:
        task.notes["after_stall"] = (task.state, task.statuses)


@pytest.fixture(scope="module")
def triggerers(deployment: Deployment, emulators: dict[str, EmulatorProcess]) -> Stage:
    """Twenty tasks that wait through all of it."""
    stage = Stage(deployment, {"calm": emulators["calm"]})
    stage.trigger("triggerers")
    tasks = [stage.task("triggerers", name) for name in CASES]
    stage.add(disturb(stage, tasks), *tasks)
    stage.play(500)
    return stage


@pytest.mark.parametrize("case", CASES)
def test_tasks_outlive_their_triggerers(triggerers: Stage, case: str) -> None:
    """A task whose triggerer is killed, and whose next one stalls and comes back, waits on to the end of its run."""
    task = triggerers.task("triggerers", case)
    assert_outcome(task, "success", tries=1)
    for moment in ("after_kill", "after_stall"):
        assert task.notes[moment][0] == "deferred"
