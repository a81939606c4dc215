"""Every example on a running Airflow: triggered through the API with its form's defaults, on README's own emulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLE_DAGS
from tests.e2e.deployment import Deployment, clean_environment
from tests.e2e.processes import MARK, pause
from tests.example_dags.newcomer import ENDS, EXAMPLES, emulator_of_readme

DAG_IDS = [Path(name).stem for name in EXAMPLES]
AT_ONCE = 3
"""DAG runs that go at once: more would starve each other."""

SECONDS = 300
"""Until one has ended, on a busy machine."""

RELEASE = "example_omics_release"


@pytest.fixture(scope="module")
def newcomer(folder: Path, session_mark: str) -> Iterator[Deployment]:
    """An Airflow that has the examples as its DAGs, and README's connection."""
    home = folder / "newcomer"
    home.mkdir()
    with emulator_of_readme(clean_environment(**{MARK: session_mark})) as connection:
        given = {"AIRFLOW_CONN_AWS_DEFAULT": connection, "OMICS_POLL_INTERVAL": "1", MARK: session_mark}
        running = Deployment(home, clean_environment(**given), EXAMPLE_DAGS)
        # No worker dies here: one that a busy machine lets wait is none.
        running.environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] = "300"
        try:
            running.migrate()
            running.start_all()
            running.wait_healthy()
            running.wait_parsed({*DAG_IDS})
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="module")
def ended(newcomer: Deployment) -> dict[str, dict[str, str]]:
    """How the tasks of each example have ended, all triggered as the form of the UI triggers them."""
    states: dict[str, dict[str, str]] = {}
    for start in range(0, len(DAG_IDS), AT_ONCE):
        together = DAG_IDS[start : start + AT_ONCE]
        for dag_id in together:
            newcomer.client.trigger(dag_id, "form", newcomer.client.form(dag_id))
        states.update((dag_id, states_at_the_end(newcomer, dag_id, "form")) for dag_id in together)
    return states


def states_at_the_end(newcomer: Deployment, dag_id: str, run_id: str) -> dict[str, str]:
    """Wait for the end of a DAG run, and tell the state of each of its tasks."""
    end = time.monotonic() + SECONDS
    while newcomer.client.dag_run_state(dag_id, run_id) not in ("success", "failed"):
        if time.monotonic() > end:
            found = newcomer.client.task_instances(dag_id, run_id)
            pytest.fail(f"{dag_id} goes on: {[(one['task_id'], one['state'], one['try_number']) for one in found]}")
        pause(0.5)
    return {
        item["task_id"] if item["map_index"] < 0 else f"{item['task_id']}[{item['map_index']}]": item["state"]
        for item in newcomer.client.task_instances(dag_id, run_id)
    }


@pytest.mark.parametrize("name", EXAMPLES, ids=lambda name: Path(name).stem)
def test_an_example_ends_as_it_says(ended: dict[str, dict[str, str]], name: str) -> None:
    """All tasks succeed, but for those whose example says otherwise."""
    states = ended[Path(name).stem]

    if name in ENDS:
        assert states == ENDS[name]
    else:
        assert set(states.values()) == {"success"}


def test_from_the_release_to_the_report(newcomer: Deployment, ended: dict[str, dict[str, str]]) -> None:
    """What was released runs for one sample, then for all; a second DAG run finds the version, and runs it again."""
    newcomer.client.trigger(RELEASE, "again", newcomer.client.form(RELEASE))
    assert set(states_at_the_end(newcomer, RELEASE, "again").values()) == {"success"}
    results: dict[str, Any] = {
        run_id: {
            task: newcomer.client.result(RELEASE, run_id, task, -1) for task in ("release", "smoke", "cohort", "report")
        }
        for run_id in ("form", "again")
    }
    first, again = results["form"], results["again"]

    assert first["release"]["created"] is True
    assert again["release"] == {**first["release"], "created": False}
    version = first["release"]["workflow_version_name"]
    for each in (first, again):
        assert each["smoke"]["status"] == "COMPLETED"
        assert each["smoke"]["workflow_version_name"] == version
        assert each["smoke"]["workflow_digest"] == first["release"]["digest"]
        assert each["cohort"]["completed_runs"] == each["cohort"]["total_runs"] == 3
        assert each["cohort"]["resolved"]["workflowVersionName"] == version
        assert each["report"] == f"germline {version}: 3 of 3 completed"
    log = newcomer.client.log(RELEASE, "again", "release", 1)
    assert f"Version {version} of workflow {first['release']['workflow_id']} has this definition already" in log
