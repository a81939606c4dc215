"""Airflow before 3.3, which has no task state store and no ``on_kill`` of triggers: kill, clear and restart.

The record of an attempt lies in S3 here. Played on Airflow 2.11 and 3.0 to 3.2 by ``make test-matrix``.
"""

from __future__ import annotations

import pytest

from tests.e2e.deployment import RETRIES_THE_KILLED
from tests.e2e.disturbances import clear, clear_when, kill_worker, mark
from tests.e2e.expectations import assert_outcome, assert_waited, for_each_kind, seconds_to_cancel
from tests.e2e.stage import KINDS, Script, Stage, Task

AT_ONCE = 12.0
"""Seconds within which a user's kill must have reached the service: Airflow itself takes 2 to 5 to tell of it."""

WAITING = [f"{kind}_waits_{number}" for kind in KINDS for number in range(5)]


def restart_triggerer(stage: Stage, tasks: list[Task], ended_by_users: list[Task]) -> Script:
    """Kill the triggerer while tasks wait, and start another: what they wait for goes on.

    What users end is cancelled by the triggerer, a second or two after they did: it has to live that long.
    """
    yield lambda: all(task.is_waiting("deferred") for task in tasks)
    yield lambda: all(set(task.statuses) & {"STOPPING", "CANCELLED"} for task in ended_by_users)
    stage.deployment.programs["triggerer"].kill()
    stage.deployment.start_triggerer()


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module; the triggerer is killed when users have marked and cleared."""
    stage.trigger("older")
    for kind in KINDS:
        for mode in ("deferred", "running"):
            for state in ("failed", "success"):
                task = stage.task("older", f"{kind}_marked_{state}_{mode}")
                stage.add(mark(task, mode, state, stage), task)
        task = stage.task("older", f"{kind}_cleared_deferred")
        stage.add(clear(task, "deferred", stage), task)
        task = stage.task("older", f"{kind}_cleared_after_success")
        stage.add(clear_when(task, "success", stage), task)
        task = stage.task("older", f"{kind}_killed_waiting")
        stage.add(kill_worker(task), task)
        if not RETRIES_THE_KILLED:
            stage.add(clear_when(task, "failed", stage), task)
        stage.task("older", f"{kind}_killed_before_saving")
        stage.task("older", f"{kind}_failed_run")
        stage.task("older", f"{kind}_execution_timeout")
    waiting = [stage.task("older", name) for name in WAITING]
    ended = [task for task in stage.tasks.values() if task.name.endswith("_deferred")]
    stage.add(restart_triggerer(stage, waiting, ended), *waiting)


@for_each_kind
@pytest.mark.parametrize("case", ["killed_waiting", "killed_before_saving"])
def test_a_worker_that_dies(stage: Stage, kind: str, case: str) -> None:
    """The next try adopts what a dead worker started; where Airflow makes none, a clear cancels it and starts anew."""
    task = stage.task("older", f"{kind}_{case}")
    if RETRIES_THE_KILLED:
        assert_outcome(task, "success", tries=2)
    elif case == "killed_waiting":
        assert_outcome(task, "success", starts=2, tries=2, cancelled=(0,))
    else:
        assert_outcome(task, "failed", tries=1)


@for_each_kind
def test_a_retry_after_a_failed_run_starts_another(stage: Stage, kind: str) -> None:
    """A run or batch that failed while its task was deferred is started anew by the next try."""
    assert_outcome(stage.task("older", f"{kind}_failed_run"), "success", starts=2, tries=2)


@for_each_kind
@pytest.mark.parametrize("mode", ["deferred", "running"])
@pytest.mark.parametrize("state", ["failed", "success"])
def test_marking_a_task_cancels_what_it_waits_for(stage: Stage, kind: str, mode: str, state: str) -> None:
    """A task marked failed or success, deferred or on a worker, has its run cancelled, and stays marked."""
    task = stage.task("older", f"{kind}_marked_{state}_{mode}")
    assert_outcome(task, state, tries=1, cancelled=(0,))
    assert seconds_to_cancel(task) < AT_ONCE


@for_each_kind
def test_a_clear_cancels_the_old_run_and_starts_one_new(stage: Stage, kind: str) -> None:
    """After a clear the new try cancels the old run by the record, and starts exactly one new."""
    task = stage.task("older", f"{kind}_cleared_deferred")
    assert_outcome(task, "success", starts=2, tries=2, cancelled=(0,))
    assert_waited(task)


def test_a_run_cleared_after_success_is_started_again(stage: Stage) -> None:
    """A run's task that succeeded and was cleared starts a new run."""
    assert_outcome(stage.task("older", "run_cleared_after_success"), "success", starts=2, tries=2)


def test_a_batch_cleared_after_success_submits_nothing(stage: Stage) -> None:
    """A batch's task that succeeded and was cleared returns the stored result and starts nothing."""
    assert_outcome(stage.task("older", "batch_cleared_after_success"), "success", starts=1, tries=2)


@pytest.mark.parametrize("name", WAITING)
def test_tasks_outlive_their_triggerer(stage: Stage, name: str) -> None:
    """A task whose triggerer is killed waits on with the next one: nothing is started again, nothing cancelled."""
    assert_outcome(stage.task("older", name), "success", tries=1)


@for_each_kind
def test_execution_timeout_cancels(stage: Stage, kind: str) -> None:
    """A deferred task that reaches its execution_timeout cancels the run or batch and fails with a typed error."""
    task = stage.task("older", f"{kind}_execution_timeout")
    assert_outcome(task, "failed", tries=1, cancelled=(0,))
    log = stage.client.log(task.dag_id, task.run_id, task.name, 1)
    assert f"{kind.capitalize()}TimedOut" in log
    assert "execution_timeout passed; it was cancelled" in log
