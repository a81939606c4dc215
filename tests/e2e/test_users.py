"""Users mark and clear tasks: what runs is cancelled at once, and a clear starts exactly one new run."""

from __future__ import annotations

import time

import pytest

from tests.e2e.disturbances import clear, clear_when, mark
from tests.e2e.expectations import assert_outcome, assert_result, assert_waited, for_each_kind, seconds_to_cancel
from tests.e2e.stage import KINDS, Script, Stage, Task

AT_ONCE = 6.0
"""Seconds within which a user's kill must have reached the service."""

RETRIES = 2
"""Of every task that is cleared while it waits; a clear raises Airflow's ``max_tries`` above it."""

MODES = ("deferred", "running")


def abandon(stage: Stage, tasks: list[Task]) -> Script:
    """Mark a DAG run failed while all its tasks are deferred."""
    yield lambda: all(task.is_waiting("deferred") for task in tasks)
    for task in tasks:
        task.notes["acted"] = time.time()
    stage.client.mark_dag_run("abandoned", stage.dag_runs["abandoned"], "failed")


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module."""
    stage.trigger("users")
    stage.trigger("abandoned")
    for kind in KINDS:
        for mode in MODES:
            for state in ("failed", "success"):
                task = stage.task("users", f"{kind}_marked_{state}_{mode}")
                stage.add(mark(task, mode, state, stage), task)
        for name, mode in {
            "cleared_deferred": "deferred",
            "cleared_running": "running",
            "staged_cleared_deferred": "deferred",
        }.items():
            task = stage.task("users", f"{kind}_{name}")
            stage.add(clear(task, mode, stage), task)
        for state, name in {"success": "cleared_after_success", "failed": "cleared_after_failure"}.items():
            task = stage.task("users", f"{kind}_{name}")
            stage.add(clear_when(task, state, stage), task)
    abandoned = [stage.task("abandoned", f"{kind}_abandoned") for kind in KINDS]
    stage.add(abandon(stage, abandoned), *abandoned)


@for_each_kind
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", ["failed", "success"])
def test_marking_a_task_cancels_what_it_waits_for(stage: Stage, kind: str, mode: str, state: str) -> None:
    """A task marked failed or success, deferred or on a worker, has its run cancelled at once, and stays marked."""
    task = stage.task("users", f"{kind}_marked_{state}_{mode}")
    assert_outcome(task, state, tries=1, cancelled=(0,))
    assert seconds_to_cancel(task) < AT_ONCE


@for_each_kind
@pytest.mark.parametrize("case", ["cleared_deferred", "cleared_running", "staged_cleared_deferred"])
def test_a_clear_cancels_the_old_run_and_starts_one_new(stage: Stage, kind: str, case: str) -> None:
    """After a clear the old run is cancelled at once, and exactly one new one starts; a run's end is not waited for.

    A batch waits for the end of the old one: what completes while that stops must not be submitted again. A run's task
    that is cleared while it runs on a worker now and then comes back as a plain retry, when one of Airflow's sessions
    writes the old ``max_tries`` over the new one: then the end of what is stopping is waited for.
    """
    task = stage.task("users", f"{kind}_{case}")
    assert_outcome(task, "success", starts=2, tries=2, cancelled=(0,))
    assert seconds_to_cancel(task) < AT_ONCE
    assert task.tries == 2
    if task.seen["max_tries"] > RETRIES or case != "cleared_running":
        assert_waited(task)


@for_each_kind
def test_marking_a_dag_run_failed_cancels_what_its_tasks_wait_for(stage: Stage, kind: str) -> None:
    """A DAG run marked failed while its tasks are deferred has their runs cancelled at once."""
    task = stage.task("abandoned", f"{kind}_abandoned")
    assert_outcome(task, "failed", tries=1, cancelled=(0,))
    assert seconds_to_cancel(task) < AT_ONCE


def test_a_run_cleared_after_success_is_started_again(stage: Stage) -> None:
    """A run's task that succeeded and was cleared starts a new run."""
    assert_outcome(stage.task("users", "run_cleared_after_success"), "success", starts=2, tries=2)


def test_a_batch_cleared_after_success_submits_nothing(stage: Stage) -> None:
    """A batch's task that succeeded and was cleared returns the stored result and starts nothing."""
    task = stage.task("users", "batch_cleared_after_success")
    assert_outcome(task, "success", starts=1, tries=2)
    assert_result(task, task.started[0])


@for_each_kind
def test_a_clear_after_the_final_failure_starts_anew(stage: Stage, kind: str) -> None:
    """A task that failed for good and was cleared starts a new run or batch."""
    assert_outcome(stage.task("users", f"{kind}_cleared_after_failure"), "success", starts=2, tries=2)
