"""What a user does from the tab, in a running Airflow: a rerun and a cancel, both clicked."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from tests.e2e.deployment import Deployment, clean_environment
from tests.e2e.processes import LOOPBACK, pause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

DAGS = Path(__file__).parent / "dags"
FAILING = "S?0[789]"
"""15 of 500 samples."""

HOUR = 3_600.0
SECONDS = 60
"""For what a scheduler, a triggerer and a worker do next."""


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

    def batches(self) -> list[dict[str, Any]]:
        """Return all batches, oldest first."""
        omics = self.emulator.client()
        ids = [item["id"] for item in omics.list_batch()["items"]]
        batches = [omics.get_batch(batchId=batch_id) for batch_id in ids]
        return sorted(batches, key=lambda batch: batch["creationTime"])

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
    frame = WebDriverWait(browser, SECONDS).until(lambda seen: seen.find_elements(By.TAG_NAME, "iframe"))[0]
    browser.switch_to.frame(frame)


def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait for what Airflow does."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        pause(0.2)
    return found


def headline(browser: Chrome) -> str:
    """Return the headline of the page in the tab's inner frame."""
    browser.switch_to.frame("page")
    try:
        found = browser.find_elements(By.TAG_NAME, "h1")
        return found[0].text if found else ""
    finally:
        browser.switch_to.parent_frame()


def shown(browser: Chrome, element: str) -> Any:
    """Wait until an element is there to be used."""

    def found(seen: Chrome) -> Any:
        element_ = seen.find_element(By.ID, element)
        return element_ if element_.is_displayed() and element_.is_enabled() else None

    return WebDriverWait(browser, SECONDS).until(found)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run all of Airflow; the emulator's clock stands still until a test moves it."""
    scenario = {"runs": [{"match": {"run_setting_id": FAILING}, "outcome": "FAILED"}]}
    with OmicsEmulator(clock=SteppedClock(), scenario=scenario, default_bucket="omics-results") as emulator:
        environment = clean_environment(
            AIRFLOW_CONN_AWS_DEFAULT=json.dumps(emulator.connection), NO_PROXY=LOOPBACK, no_proxy=LOOPBACK
        )
        airflow = Deployment(tmp_path_factory.mktemp("deployment"), environment, DAGS)
        try:
            airflow.migrate()
            airflow.start_all()
            airflow.wait_healthy()
            airflow.wait_parsed({"rerun", "cancelled", "refreshed"})
            yield Site(airflow, emulator)
        finally:
            airflow.stop()


def deferred(site: Site, dag_id: str) -> None:
    """Start the DAG, and wait until its task is deferred with its runs going."""
    site.airflow.client.trigger(dag_id, "one")
    until(lambda: site.state(dag_id) == "deferred")
    site.emulator.advance(600)


@pytest.mark.smoke
def test_rerun(site: Site, browser: Chrome) -> None:
    """The tab has counts while the task is deferred; of 500 samples the 15 that failed are run again, by clicks."""
    deferred(site, "rerun")
    site.open_tab(browser, "rerun")
    WebDriverWait(browser, SECONDS).until(lambda seen: "of 500 samples completed running" in headline(seen))
    assert shown(browser, "cancel").text == "Cancel the batch"
    assert not browser.find_element(By.ID, "rerun").is_displayed()

    site.emulator.advance(1000 * HOUR)
    until(lambda: site.state("rerun") == "failed")
    shown(browser, "rerun").click()
    shown(browser, "reason").send_keys("   ")
    asked = browser.find_element(By.ID, "asked").text
    assert "submit 15: 15 failed; keep 485 (rerun='failed', with the settings of the last try" in asked
    shown(browser, "confirm").click()
    assert shown(browser, "told").text == "Write a reason: it becomes the task's note."
    assert site.state("rerun") == "failed"
    browser.find_element(By.ID, "reason").send_keys("inputs are there now")
    shown(browser, "confirm").click()

    until(lambda: len(site.batches()) == 2)
    assert [batch["totalRuns"] for batch in site.batches()] == [500, 15]
    assert site.task("rerun")["note"].strip() == "inputs are there now"
    until(lambda: site.state("rerun") == "deferred")
    WebDriverWait(browser, SECONDS).until(lambda seen: "of 15 samples completed running" in headline(seen))


def test_not_offered_while_runs_go(site: Site, browser: Chrome) -> None:
    """Runs of a cancelled batch may stop slowly: the command is shown, and until they have, no rerun is offered."""
    site.emulator.set_scenario({"runs": [{"cancel_takes": HOUR}]})
    deferred(site, "cancelled")
    site.open_tab(browser, "cancelled")

    shown(browser, "cancel").click()
    asked = browser.find_element(By.ID, "asked").text
    assert asked.startswith("The task is marked failed, and its runs are cancelled")
    browser.execute_script("document.body.dataset.patience = 1")
    shown(browser, "confirm").click()

    until(lambda: site.state("cancelled") == "failed")
    command = shown(browser, "command").text
    last = site.batches()[-1]
    assert command == f"aws omics cancel-run-batch --batch-id {last['id']} --region us-east-1"
    told = browser.find_element(By.ID, "told").text
    assert told.startswith(f"The task is marked failed, and its batch is still going. Batch {last['id']} is ")
    site.open_tab(browser, "cancelled")
    shown(browser, "rerun").click()
    WebDriverWait(browser, SECONDS).until(
        lambda seen: "a rerun would cancel them" in seen.find_element(By.ID, "told").text
    )
    assert not browser.find_element(By.ID, "question").is_displayed()

    site.emulator.advance(2 * HOUR)
    assert until(lambda: site.batches()[-1]["status"] == "CANCELLED")
    shown(browser, "rerun").click()
    assert shown(browser, "confirm").text == "Run them again"


READER = """
const table = document.getElementById("table");
return {
  filter: document.getElementById("filter").value,
  status: document.getElementById("status").value,
  sorted: [...table.tHead.rows[0].cells].map((head) => head.getAttribute("aria-sort")),
  page: document.getElementById("page").textContent,
  first: table.tBodies[0].rows[0].cells[0].textContent,
  top: Math.round(table.getBoundingClientRect().top),
  left: table.parentElement.scrollLeft,
  focus: document.activeElement.id,
  caret: document.getElementById("filter").selectionStart,
};
"""
"""What a reader sees of a page, and where."""


@pytest.mark.timeout(240)
def test_refresh(site: Site, browser: Chrome) -> None:
    """The tab loads itself anew while the task is deferred: new counts are there, and the reader is where he was."""
    rules = [("S003", 1_000, "FAILED"), ("S0[0-5]?", 1_000, "COMPLETED"), ("S0??", 20_000, "COMPLETED")]
    runs = [{"match": {"run_setting_id": name}, "running": ran, "outcome": end} for name, ran, end in rules]
    site.emulator.set_scenario({"runs": [*runs, {"running": 90_000}], "limits": {"concurrent_dynamic_runs": 200}})
    deferred(site, "refreshed")
    site.emulator.advance(HOUR)
    until(lambda: site.has_results("refreshed"))
    site.open_tab(browser, "refreshed")
    shown(browser, "cancel")
    browser.switch_to.frame("page")
    wait = WebDriverWait(browser, 2 * SECONDS)
    wait.until(lambda seen: seen.execute_script("return document.documentElement.dataset.ready") == "true")
    assert browser.find_element(By.TAG_NAME, "h1").text == "59 of 160 samples completed running"
    assert "As of " in browser.find_element(By.ID, "samples").find_element(By.XPATH, "..").text
    assert browser.find_element(By.CSS_SELECTOR, "#status option[value=RUNNING]")

    browser.execute_script("window.before = true")
    for _ in range(2):
        browser.find_element(By.CSS_SELECTOR, "th[data-key=sample] button").click()
    browser.find_element(By.ID, "next").click()
    browser.find_element(By.ID, "filter").send_keys("s0")
    browser.find_element(By.ID, "next").click()
    browser.execute_script(
        "const table = document.getElementById('table'); document.getElementById('filter').focus();"
        "scrollTo(0, table.getBoundingClientRect().top + scrollY - 50); table.parentElement.scrollLeft = 5"
    )
    before = browser.execute_script(READER)
    assert (before["filter"], before["page"], before["first"]) == ("s0", "Page 2 of 2", "S049")
    assert (before["top"], before["left"], before["focus"], before["caret"]) == (50, 5, "filter", 2)

    site.emulator.advance(8 * HOUR)
    wait.until(
        lambda seen: seen.execute_script("return !window.before && document.documentElement.dataset.ready") == "true"
    )

    assert browser.find_element(By.TAG_NAME, "h1").text == "99 of 160 samples completed running"
    assert browser.execute_script(READER) == before
    assert site.state("refreshed") == "deferred"
