"""Workers die, are told to end, or live on unseen: one start, and no cancel that nobody asked for."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.disturbances import kill_worker
from tests.e2e.expectations import assert_outcome, for_each_kind, last_stop, time_of
from tests.e2e.processes import is_alive, parent_of
from tests.e2e.stage import KINDS, Script, Stage, Task

GRACE = 6.0
"""Seconds from SIGTERM to SIGKILL; on_kill takes 4 at most."""


def terminate(task: Task) -> Script:
    """Tell the supervisor of a task to end; in Airflow 3.3 the task goes on, and so does its supervisor."""
    yield lambda: task.is_waiting("running")
    os.kill(parent_of(task.pid), signal.SIGTERM)


def evict(task: Task) -> Script:
    """Tell the supervisor of a task to end, and kill both when the grace is over, as a node drain or a deploy does."""
    yield lambda: task.is_waiting("running")
    pid, supervisor = task.pid, parent_of(task.pid)
    os.kill(supervisor, signal.SIGTERM)
    grace = time.monotonic() + GRACE
    yield lambda: time.monotonic() >= grace
    os.kill(supervisor, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


def orphan(task: Task) -> Script:
    """Kill the supervisor of a task alone: the task lives on unseen, beside its next try, until its own deadline."""
    yield lambda: task.is_waiting("running")
    pid = task.pid
    os.kill(parent_of(pid), signal.SIGKILL)
    yield lambda: task.tries == 2 and task.state == "running"
    task.notes["overlapped"] = is_alive(pid)
    yield lambda: not is_alive(pid)
    task.notes["orphan_ended"] = time.time() - time_of(task.started[0]["creationTime"]).timestamp()


def forget(task: Task, stage: Stage) -> Script:
    """Let the service forget the request id after the first try has died."""
    yield lambda: task.state == "up_for_retry"
    stage.emulators["calm"].forget_request_ids()


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module."""
    stage.trigger("workers")
    scripts = {
        "killed_waiting": kill_worker,
        "staged_killed_waiting": kill_worker,
        "finished_meanwhile": kill_worker,
        "terminated": terminate,
        "evicted": evict,
        "orphaned": orphan,
    }
    for kind in KINDS:
        for name, script in scripts.items():
            task = stage.task("workers", f"{kind}_{name}")
            stage.add(script(task), task)
        task = stage.task("workers", f"{kind}_forgotten")
        stage.add(forget(task, stage), task)


@for_each_kind
@pytest.mark.parametrize(
    "case",
    [
        "killed_before_call",
        "killed_before_saving",
        "killed_waiting",
        "evicted",
        "changed_before_call",
        "forgotten",
        "staged_killed_before_call",
        "staged_killed_before_saving",
        "staged_killed_waiting",
    ],
)
def test_the_next_try_adopts_what_a_dead_worker_started(stage: Stage, kind: str, case: str) -> None:
    """A worker that dies at any point costs no second start, and nothing is cancelled."""
    assert_outcome(stage.task("workers", f"{kind}_{case}"), "success", tries=2)


@for_each_kind
def test_what_the_next_try_adopts_is_compared_with_its_settings(stage: Stage, kind: str) -> None:
    """Nothing is started beside it. A batch whose samples have changed since fails then, as ``on_changed`` says."""
    state = {"run": "success", "batch": "failed"}[kind]
    assert_outcome(stage.task("workers", f"{kind}_changed_before_saving"), state, tries=2)


@for_each_kind
def test_a_sigterm_alone_changes_nothing(stage: Stage, kind: str) -> None:
    """A task whose supervisor is told to end, and is not killed, waits on and returns the result."""
    assert_outcome(stage.task("workers", f"{kind}_terminated"), "success", tries=1)


@for_each_kind
def test_an_orphan_does_not_cancel_what_the_next_try_waits_for(stage: Stage, kind: str) -> None:
    """A try that lives on beside the next one leaves the run alone when its own deadline passes."""
    task = stage.task("workers", f"{kind}_orphaned")
    assert_outcome(task, "success", tries=2)
    assert task.notes["overlapped"]


@for_each_kind
def test_what_ended_while_no_try_lived_is_not_started_again(stage: Stage, kind: str) -> None:
    """A try that comes when the run has completed already returns its result."""
    task = stage.task("workers", f"{kind}_finished_meanwhile")
    assert_outcome(task, "success", tries=2)
    assert last_stop(task) < time_of(task.seen["start_date"])


@for_each_kind
def test_a_retry_after_a_failed_run_starts_another(stage: Stage, kind: str) -> None:
    """A run or batch that failed is started anew by the next try, under a new request id."""
    assert_outcome(stage.task("workers", f"{kind}_failed_run"), "success", starts=2, tries=2)
