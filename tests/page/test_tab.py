"""The tab "Cohort" in a running Airflow, over the local HealthOmics: shown, refused, and its links followed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.reports.markup import parsed

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.page.servers import Server


@pytest.mark.parametrize("user", ["admin", "viewer"])
def test_ended(server: Server, user: str) -> None:
    """Whoever may read the task's logs sees the page; its policy also stands in the answer's head."""
    answer = server.get("judged", user)

    assert answer.status_code == 200
    assert parsed(answer.text).one("h1").text == "19 of 20 samples completed succeeded"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.endswith("frame-ancestors 'self'")
    assert answer.headers["cache-control"] == "no-store"


def test_started(server: Server) -> None:
    """A batch that no task waits for has its counts."""
    assert " of 20 samples completed" in parsed(server.get("started").text).one("h1").text


def test_run(server: Server) -> None:
    """A single run has its own page, which it has written beside its results."""
    page = parsed(server.get("aligned").text)

    assert page.one("h1").text.endswith("completed succeeded")
    assert page.one("h2", id="tasks").text == "Tasks"
    assert page.one("h2", id="settings").text == "Settings in effect"


def test_other_tasks(server: Server) -> None:
    """On a task of another kind one line says that there is nothing."""
    assert "This task has started no run and no batch of AWS HealthOmics." in server.get("other").text


@pytest.mark.parametrize(
    ("task_id", "user", "dag_id", "status"),
    [
        ("judged", None, "cohorts", 401),
        ("nothing", "admin", "cohorts", 404),
        ("judged", "admin", "another", 404),
        ("judged", None, "another", 401),
    ],
)
def test_refused(server: Server, task_id: str, user: str | None, dag_id: str, status: int) -> None:
    """Without a user there is nothing to see, and a task is shown as one of its own DAG only."""
    answer = server.get(task_id, user, dag_id=dag_id)

    assert answer.status_code == status
    assert "S03" not in answer.text


@pytest.mark.parametrize("route", ["offer", "rerun", "batch"])
@pytest.mark.parametrize(
    ("user", "dag_id", "status"),
    [("admin", "cohorts", 200), ("viewer", "cohorts", 403), (None, "cohorts", 401), ("admin", "another", 404)],
)
def test_actions_refused(server: Server, route: str, user: str | None, dag_id: str, status: int) -> None:
    """What only those need who may change a task is answered to nobody else, and of the DAG that was asked for."""
    answer = server.get("judged", user, dag_id=dag_id, route=route)

    assert answer.status_code == status, answer.text


def test_buttons(server: Server) -> None:
    """Who may not change the task has no button, nor has a task without a batch; the others have their page below."""
    assert parsed(server.get("judged", "viewer", route="tab").text).one("h1").text.startswith("19 of 20 samples")
    assert "started no run and no batch" in server.get("other", route="tab").text
    answer = server.get("judged", route="tab")
    assert str(parsed(answer.text).one("iframe").attributes["src"]).startswith("../../../../cohort/cohorts/")
    assert "connect-src 'self'" in answer.headers["content-security-policy"]
    assert server.get("judged", route="offer").json() == {"offer": "rerun"}
    assert server.get("judged", route="rerun").json() == {
        "is_offered": True,
        "sentence": "This clears the task, which would submit 1: 1 failed; keep 19 (rerun='failed', with the settings "
        "of the last try; rows that are new or changed by then come on top).",
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_changes_nothing(server: Server, method: str) -> None:
    """The tab has no route that changes anything."""
    path = f"/omics/cohort/cohorts/{quote(server.run_id, safe='')}/judged/-1"

    assert httpx.request(method, server.address + path, cookies={"_token": server.tokens["admin"]}).status_code == 405


def test_tab(server: Server, browser: Chrome) -> None:
    """The tab stands beside Logs; inside its sandbox the table works, and a link opens."""
    server.open(browser, "admin", "judged")
    wait = WebDriverWait(browser, 60)
    wait.until(lambda seen: seen.find_elements(By.LINK_TEXT, "Cohort"))[0].click()
    frame = wait.until(lambda seen: seen.find_elements(By.TAG_NAME, "iframe"))[0]
    assert "allow-popups" not in str(frame.get_attribute("sandbox"))

    browser.switch_to.frame(frame)
    wait.until(lambda seen: seen.find_element(By.ID, "rerun").is_displayed())
    browser.switch_to.frame("page")
    wait.until(lambda seen: seen.execute_script("return document.documentElement.dataset.ready") == "true")
    assert browser.find_element(By.ID, "shown").text == "1 to 20 of 20 samples"
    browser.find_element(By.CSS_SELECTOR, "button.only").click()
    assert [element.text for element in browser.find_elements(By.CSS_SELECTOR, "#table tbody th")] == ["S03"]
    before = browser.window_handles
    browser.find_element(By.CSS_SELECTOR, "#table tbody a").click()
    wait.until(lambda seen: len(seen.window_handles) == len(before) + 1)
    (new,) = set(browser.window_handles) - set(before)
    browser.switch_to.window(new)
    browser.close()
    browser.switch_to.window(before[0])
