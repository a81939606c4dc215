"""All of Airflow over the local HealthOmics, whose clock stands still until somebody moves it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from tests.e2e.deployment import Deployment, clean_environment
from tests.e2e.processes import LOOPBACK, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

DAGS = Path(__file__).parent / "dags"
DAG_IDS = {"rerun", "cancelled", "germline", "single"}
FAILING = "S?0[789]"
"""15 of 500 samples."""

HOUR = 3_600.0
SECONDS = 60
"""For what a scheduler, a triggerer and a worker do next."""

WAVES = {"NA12003": (1_000, "FAILED"), "NA120[0-5]?": (1_000, "COMPLETED"), "NA120??": (20_000, "COMPLETED")}
"""Of the DAG ``germline``: samples, how many seconds they run, and how they end."""

LIMITS = {"concurrent_dynamic_runs": 300}
"""Where no run shall wait for others to end."""


@dataclass(frozen=True)
class Site:
    """A running Airflow, and what it talks to."""

    airflow: Deployment
    emulator: OmicsEmulator

    def state(self, dag_id: str) -> str | None:
        """Return the state of the DAG's one task."""
        state: str | None = self.task(dag_id)["state"]
        return state

    def task(self, dag_id: str) -> dict[str, Any]:
        """Return the DAG's one task instance."""
        (found,) = self.airflow.client.task_instances(dag_id, "one")
        return found

    def has_results(self, dag_id: str) -> bool:
        """Whether the DAG's one task has recorded where its results are."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/one/taskInstances/wgs/xcomEntries/omics_results_file"
        return bool(self.airflow.client._http.get(path).is_success)

    def links(self, dag_id: str) -> dict[str, str | None]:
        """Return the extra links of the DAG's one task: name -> address."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/one/taskInstances/wgs/links"
        found: dict[str, str | None] = self.airflow.client._http.get(path).json()["extra_links"]
        return found

    def batches(self) -> list[dict[str, Any]]:
        """Return all batches, oldest first."""
        omics = self.emulator.client()
        ids = [item["id"] for item in omics.list_batch()["items"]]
        batches = [omics.get_batch(batchId=batch_id) for batch_id in ids]
        return sorted(batches, key=lambda batch: batch["creationTime"])

    def defer(self, dag_id: str) -> None:
        """Start the DAG, and wait until its task is deferred with its runs going."""
        self.airflow.client.trigger(dag_id, "one")
        until(lambda: self.state(dag_id) == "deferred")
        self.emulator.advance(600)

    def defer_collected(self) -> None:
        """The same of the DAG ``germline``, until 60 of its 160 samples have ended, and results were collected."""
        rules = [
            {"match": {"run_setting_id": name}, "running": ran, "outcome": end} for name, (ran, end) in WAVES.items()
        ]
        self.emulator.set_scenario({"runs": [*rules, {"running": 90_000}], "limits": LIMITS})
        self.defer("germline")
        self.emulator.advance(HOUR)
        until(lambda: self.has_results("germline"))

    def open_tab(self, browser: Chrome, dag_id: str) -> None:
        """Open the tab of the DAG's task, as a click in Airflow's UI does, and enter its frame."""
        browser.switch_to.default_content()
        browser.get(f"{self.airflow.url}/api/v2/version")
        browser.add_cookie({"name": "_token", "value": self.token, "path": "/"})
        browser.get(f"{self.airflow.url}/dags/{dag_id}/runs/one/tasks/wgs")
        found = WebDriverWait(browser, SECONDS).until(lambda seen: seen.find_elements(By.LINK_TEXT, "Cohort"))
        found[0].click()
        enter(browser)

    @property
    def token(self) -> str:
        """The administrator's."""
        return self.airflow.client._http.headers["Authorization"].removeprefix("Bearer ")


def enter(browser: Chrome) -> None:
    """Enter the frame of the tab."""
    frame = WebDriverWait(browser, SECONDS).until(lambda seen: seen.find_elements(By.TAG_NAME, "iframe"))[0]
    browser.switch_to.frame(frame)


def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait for what Airflow does."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        pause(0.2)
    return found


@contextmanager
def running_site(home: Path) -> Iterator[Site]:
    """Run all of Airflow, with the DAGs of these tests.

    :param home: an empty folder.
    """
    scenario = {"runs": [{"match": {"run_setting_id": FAILING}, "outcome": "FAILED"}]}
    with OmicsEmulator(clock=SteppedClock(), scenario=scenario, default_bucket="omics-results") as emulator:
        environment = clean_environment(
            AIRFLOW_CONN_AWS_DEFAULT=json.dumps(emulator.connection), NO_PROXY=LOOPBACK, no_proxy=LOOPBACK
        )
        airflow = Deployment(home, environment, DAGS)
        try:
            airflow.migrate()
            airflow.start_all()
            airflow.wait_healthy()
            airflow.wait_parsed(DAG_IDS)
            yield Site(airflow, emulator)
        finally:
            airflow.stop()
