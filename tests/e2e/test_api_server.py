"""The api-server of the workers is down for longer than workers may be silent: one start, no cancel."""

from __future__ import annotations

import time

import pytest

from tests.e2e.deployment import HEARTBEAT_TIMEOUT, Deployment
from tests.e2e.emulators import EmulatorProcess
from tests.e2e.expectations import assert_outcome, for_each_kind
from tests.e2e.processes import is_alive
from tests.e2e.stage import KINDS, Script, Stage, Task


def disturb(stage: Stage, tasks: list[Task]) -> Script:
    """Stop the workers' api-server until the workers have given up their tasks and the scheduler has noticed."""
    running = [task for task in tasks if "outlived" in task.name]
    deferred = [task for task in tasks if task not in running]
    yield lambda: all(task.is_waiting("running") for task in running)
    yield lambda: all(task.is_waiting("deferred") for task in deferred)
    pids = [task.pid for task in running]
    stage.deployment.programs["workers-api"].stop(10)
    end = time.monotonic() + HEARTBEAT_TIMEOUT + 5
    yield lambda: not any(is_alive(pid) for pid in pids)
    for task in running:
        task.notes["after_worker"] = task.statuses
    yield lambda: time.monotonic() >= end
    stage.deployment.start_workers_api()


@pytest.fixture(scope="module")
def outage(deployment: Deployment, emulators: dict[str, EmulatorProcess]) -> Stage:
    """Tasks on workers and in the triggerer that live through an outage."""
    stage = Stage(deployment, {"calm": emulators["calm"]})
    stage.trigger("outage")
    names = ("outlived", "deferred_before", "ended_meanwhile")
    tasks = [stage.task("outage", f"{kind}_{name}") for kind in KINDS for name in names]
    stage.add(disturb(stage, tasks), *tasks)
    stage.play(400)
    return stage


@for_each_kind
def test_a_worker_that_gives_up_leaves_its_run_to_the_next_try(outage: Stage, kind: str) -> None:
    """A task that its supervisor ends for want of an api-server is taken up by the next try: one start, no cancel."""
    task = outage.task("outage", f"{kind}_outlived")
    assert_outcome(task, "success", tries=2)


@for_each_kind
@pytest.mark.parametrize("case", ["deferred_before", "ended_meanwhile"])
def test_a_deferred_task_outlives_an_outage(outage: Stage, kind: str, case: str) -> None:
    """A deferred task, whether its run ends during or after the outage, comes to its result with one start."""
    assert_outcome(outage.task("outage", f"{kind}_{case}"), "success")
