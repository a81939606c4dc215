"""Time limits end with the run or batch cancelled and a typed error, deferred or on a worker."""

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
