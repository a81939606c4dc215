"""Time limits cancel the run or batch; they, failures and bad settings end in one error, the last of the log."""

from __future__ import annotations

import pytest

from tests.e2e.expectations import assert_ends_with_one_error, assert_outcome, for_each_kind
from tests.e2e.stage import Stage

MODES = ("deferred", "running")


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module: nothing but waiting."""
    stage.trigger("limits")


@for_each_kind
@pytest.mark.parametrize("mode", MODES)
def test_execution_timeout_cancels(stage: Stage, kind: str, mode: str) -> None:
    """A task that reaches its execution_timeout cancels the run or batch and fails with a typed error."""
    task = stage.task("limits", f"{kind}_execution_timeout_{mode}")
    assert_outcome(task, "failed", tries=1, cancelled=(0,))
    log = stage.client.log(task.dag_id, task.run_id, task.name, 1)
    assert f"{kind.capitalize()}TimedOut" in log
    assert "execution_timeout passed; it was cancelled" in log
    assert_ends_with_one_error(log, f"{kind.capitalize()}TimedOut", "took too long (pipeline author)")


@pytest.mark.parametrize("mode", MODES)
def test_run_timeout_cancels(stage: Stage, mode: str) -> None:
    """A run that takes longer than its run_timeout is cancelled, and its task fails with a typed error."""
    task = stage.task("limits", f"run_run_timeout_{mode}")
    assert_outcome(task, "failed", tries=1, cancelled=(0,))
    log = stage.client.log(task.dag_id, task.run_id, task.name, 1)
    assert "RunTimedOut" in log
    assert "run_timeout passed; it was cancelled" in log


@for_each_kind
@pytest.mark.parametrize("mode", MODES)
def test_a_failure_ends_with_one_error(stage: Stage, kind: str, mode: str) -> None:
    """The log of a task whose runs fail closes with its time and places, and one error, whose verdict comes first."""
    task = stage.task("limits", f"{kind}_fails_{mode}")
    assert_outcome(task, "failed", tries=1)
    log = stage.client.log(task.dag_id, task.run_id, task.name, 1)
    (started,) = task.started
    name, verdict = {"run": ("RunFailed", "failed: "), "batch": ("BatchVerdictError", "failed")}[kind]
    assert_ends_with_one_error(log, name, f"{kind.capitalize()} {started['id']} {verdict}")
    closing = f"{kind.capitalize()} {started['id']} {started['status']}, "
    assert log.rindex(closing) < log.rindex("  action: ")
    assert log[log.rindex(closing) :].splitlines()[0].count(" after its request") == 1


@for_each_kind
def test_bad_settings_end_with_one_error(stage: Stage, kind: str) -> None:
    """Settings that cannot be read start nothing, and end the task at its first try, with all that is wrong."""
    task = stage.task("limits", f"{kind}_refused")
    assert task.state == "failed"
    assert (task.tries, task.started) == (1, [])
    log = stage.client.log(task.dag_id, task.run_id, task.name, 1)
    verdict = "1 problem in the settings; nothing was started (pipeline author)"
    problem, action = assert_ends_with_one_error(log, "SettingsError", verdict, below=("- poll_interval", "action: "))
    assert "often" in problem
    assert "clear the task" in action
