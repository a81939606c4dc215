"""Two Airflow deployments with the same DAG, task and run ids in one account keep off each other's runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.deployment import DAGS, Deployment
from tests.e2e.expectations import assert_outcome, for_each_kind, time_of
from tests.e2e.stage import KINDS, Script, Stage, Task

RUN_DAG = Path(__file__).with_name("run_dag.py")

DATE = "2026-01-01"
RUN_ID = f"manual__{DATE}T00:00:00+00:00"
"""The id of a manual DAG run of that day."""


def run_twin(stage: Stage, tasks: list[Task]) -> Script:
    """Run the same DAG in a second deployment while the first has runs going, then cancel some of the first's."""
    killed = [task for task in tasks if "cancelled" not in task.name]
    marked = [task for task in tasks if "cancelled" in task.name]
    yield lambda: all(task.state == "up_for_retry" for task in killed)
    yield lambda: all(task.is_waiting("deferred") for task in marked)
    first = stage.deployment
    home = first.home.with_name("second")
    home.mkdir()
    second = Deployment(home, {**first.base_environment, "OMICS_E2E_SECOND": "yes"})
    shutil.copy(first.empty_database, home / "airflow.db")
    try:
        program = second.start_python("run-dag", str(RUN_DAG), str(DAGS), "deployments", DATE)
        yield lambda: all(len(task.started) == 2 for task in marked)
        for task in marked:
            stage.client.mark("deployments", RUN_ID, task.name, "failed")
        yield lambda: program.exit_code is not None
        assert program.exit_code == 0, program.log.read_text()[-3000:]
    finally:
        second.stop()


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module."""
    stage.trigger("deployments", RUN_ID)
    names = ("same_ids", "same_ids_cancelled", "same_staging")
    tasks = [stage.task("deployments", f"{kind}_{name}") for kind in KINDS for name in names]
    stage.add(run_twin(stage, tasks), *tasks)


@for_each_kind
@pytest.mark.parametrize("case", ["same_ids", "same_staging"])
def test_a_retry_adopts_the_run_of_its_own_deployment(stage: Stage, kind: str, case: str) -> None:
    """A retry that searches the run of its dead try finds its own, though another deployment's has the same ids."""
    task = stage.task("deployments", f"{kind}_{case}")
    own, other = task.started  # the second deployment comes later
    assert time_of(other["creationTime"]) < time_of(task.seen["start_date"])
    assert own["tags"]["airflow:run_id"] == other["tags"]["airflow:run_id"] == RUN_ID
    assert own["requestId"] != other["requestId"]
    assert_outcome(task, "success", starts=2, tries=2, result=0)


@for_each_kind
def test_a_kill_cancels_the_run_of_its_own_deployment(stage: Stage, kind: str) -> None:
    """A task marked failed in one deployment has its own run cancelled; the other's completes."""
    task = stage.task("deployments", f"{kind}_same_ids_cancelled")
    assert_outcome(task, "failed", starts=2, cancelled=(0,))
