"""Mapped tasks: each has its own record, so that each adopts its own run."""

from __future__ import annotations

import pytest

from tests.e2e.expectations import assert_outcome
from tests.e2e.stage import Script, Stage, Task

COUNTS = {"run": 60, "batch": 5}

RUN_SECONDS, POLL_INTERVAL = 150, 10
"""Of the mapped runs: how long each takes, and how often its task asks to have it looked at."""


def expand(tasks: list[Task]) -> Script:
    """Wait until all mapped tasks are there."""
    yield lambda: all(task.state for task in tasks)


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module: every fifth kills itself between call and record."""
    stage.trigger("mapping")
    for kind, count in COUNTS.items():
        tasks = [stage.task("mapping", f"{kind}_mapped[{index}]") for index in range(count)]
        stage.add(expand(tasks), *tasks)


@pytest.mark.parametrize(("kind", "count"), COUNTS.items())
def test_each_mapped_task_has_its_own_record(stage: Stage, kind: str, count: int) -> None:
    """Mapped tasks start one run or batch each, and those whose worker died adopt their own."""
    tasks = [stage.task("mapping", f"{kind}_mapped[{index}]") for index in range(count)]
    for index, task in enumerate(tasks):
        assert_outcome(task, "success", tries=2 if index % 5 == 4 else 1)
        assert task.started[0]["tags"]["airflow:map_index"] == str(index)
    assert len({task.started[0]["id"] for task in tasks}) == count


def test_deferred_waits_share_one_poll(stage: Stage) -> None:
    """Sixty tasks that wait at the same time cost far fewer calls than a look of their own each time."""
    tasks = [stage.task("mapping", f"run_mapped[{index}]") for index in range(COUNTS["run"])]
    assert all(task.state == "success" for task in tasks)
    calls = stage.emulators["shared"].calls()
    looks_of_their_own = len(tasks) * RUN_SECONDS / POLL_INTERVAL
    assert calls["ListRuns"] > 0
    assert calls["GetRun"] + calls["ListRuns"] < looks_of_their_own / 2, calls
