"""What a user does from the tab, in a running Airflow: rerun and cancel are clicked, and a reload moves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.page.site import HOUR, LIMITS, SECONDS, Site, running_site, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome


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
    with running_site(tmp_path_factory.mktemp("deployment")) as running:
        yield running


@pytest.mark.smoke
def test_rerun(site: Site, browser: Chrome) -> None:
    """The tab has counts while the task is deferred; of 500 samples the 15 that failed are run again, by clicks."""
    site.defer("rerun")
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
    site.defer("cancelled")
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


def test_refresh(site: Site, browser: Chrome) -> None:
    """The tab loads itself anew while the task is deferred: new counts are there, and the reader is where he was."""
    site.defer_collected()
    assert "/omics/tab/germline/one/wgs/" in str(site.links("germline")["Cohort"])  # for whom Airflow shows no tab
    site.open_tab(browser, "germline")
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
    browser.find_element(By.ID, "filter").send_keys("na120")
    browser.find_element(By.ID, "next").click()
    browser.execute_script(
        "const table = document.getElementById('table'); document.getElementById('filter').focus();"
        "scrollTo(0, table.getBoundingClientRect().top + scrollY - 50); table.parentElement.scrollLeft = 5"
    )
    before = browser.execute_script(READER)
    assert (before["filter"], before["page"], before["first"]) == ("na120", "Page 2 of 2", "NA12049")
    assert (before["top"], before["left"], before["focus"], before["caret"]) == (50, 5, "filter", 5)

    site.emulator.advance(8 * HOUR)
    wait.until(
        lambda seen: seen.execute_script("return !window.before && document.documentElement.dataset.ready") == "true"
    )

    assert browser.find_element(By.TAG_NAME, "h1").text == "99 of 160 samples completed running"
    assert browser.execute_script(READER) == before
    assert site.state("germline") == "deferred"


def test_run(site: Site, browser: Chrome) -> None:
    """A single run has its tasks over time while its task is deferred."""
    tasks = [{"name": "FASTQC", "duration": 600}, {"name": "ALIGN", "duration": 9_000}]
    site.emulator.set_scenario({"runs": [{"running": 100_000, "tasks": tasks}], "limits": LIMITS})
    site.defer("single")
    site.emulator.advance(HOUR)
    site.open_tab(browser, "single")

    WebDriverWait(browser, SECONDS).until(lambda seen: seen.find_elements(By.ID, "time"))
    assert browser.find_element(By.TAG_NAME, "h1").text.endswith("is going running")
    rows = browser.find_elements(By.CSS_SELECTOR, "section[aria-labelledby=tasks] tbody tr")
    assert [row.text.split()[:2] for row in rows] == [["FASTQC", "completed"], ["ALIGN", "running"]]
