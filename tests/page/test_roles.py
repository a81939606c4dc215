"""What users of each role see and may do, under both of Airflow's managers of rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.page.servers import Server, served
from tests.reports.markup import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

SECONDS = 60
READS, ACTS = ("cohort", "tab"), ("offer", "rerun", "batch")


@pytest.fixture(scope="module")
def fab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the FAB manager of rights."""
    with served(tmp_path_factory.mktemp("fab"), "fab") as running:
        yield running


@pytest.mark.parametrize(
    ("manager", "role", "reads", "acts"),
    [
        ("server", "viewer", 200, 403),
        ("server", "user", 200, 200),
        ("server", "op", 200, 200),
        ("server", "admin", 200, 200),
        ("fab", "public", 403, 403),
        ("fab", "viewer", 200, 403),
        ("fab", "user", 200, 200),
        ("fab", "op", 200, 200),
        ("fab", "admin", 200, 200),
    ],
)
def test_routes(request: pytest.FixtureRequest, manager: str, role: str, reads: int, acts: int) -> None:
    """Each route is for those alone who may do what it is for; buttons stand where they would not be refused."""
    server: Server = request.getfixturevalue(manager)

    found = {route: server.get("judged", role, route=route) for route in (*READS, *ACTS)}

    assert {route: answer.status_code for route, answer in found.items()} == {
        **dict.fromkeys(READS, reads),
        **dict.fromkeys(ACTS, acts),
    }
    if reads == 200:
        has_buttons = any(one.attributes.get("id") == "rerun" for one in parsed(found["tab"].text).all("button"))
        assert has_buttons is (acts == 200)
    else:
        assert all("S03" not in answer.text for answer in found.values())


def link_of(server: Server, browser: Chrome, user: str) -> WebElement:
    """Find the task's extra link in Airflow's UI."""
    server.open(browser, user, "judged", "/details")
    wait = WebDriverWait(browser, SECONDS)
    return wait.until(lambda seen: seen.find_elements(By.CSS_SELECTOR, "a[href*='/omics/tab/']"))[0]


@pytest.mark.parametrize(
    ("manager", "user", "has_tab"),
    [("server", "viewer", True), ("fab", "viewer", False), ("fab", "user", False), ("fab", "op", True)],
)
def test_link(request: pytest.FixtureRequest, browser: Chrome, manager: str, user: str, has_tab: bool) -> None:
    """The extra link leads everybody to the page, those as well to whom Airflow shows no plugins."""
    server: Server = request.getfixturevalue(manager)

    link = link_of(server, browser, user)
    assert link.text == "Cohort"
    wait = WebDriverWait(browser, SECONDS)
    tab = (By.CSS_SELECTOR, "a[href$='/plugin/omics_cohort']")
    if has_tab:
        wait.until(lambda seen: seen.find_elements(*tab))
    else:
        assert not browser.find_elements(*tab)
    link.click()

    wait.until(lambda seen: "/omics/tab/" in seen.current_url and seen.find_elements(By.TAG_NAME, "h1"))
    if user == "viewer":
        assert browser.find_element(By.TAG_NAME, "h1").text.startswith("19 of 20 samples completed")
        assert not browser.find_elements(By.ID, "rerun")
    else:
        wait.until(lambda seen: seen.find_element(By.ID, "rerun").is_displayed())


def test_user_runs_again(fab: Server, browser: Chrome) -> None:
    """A user without the tab comes to the button by the link, and it does what it says."""
    link_of(fab, browser, "user").click()
    wait = WebDriverWait(browser, SECONDS)
    wait.until(lambda seen: seen.find_elements(By.ID, "rerun") and seen.find_element(By.ID, "rerun").is_displayed())

    browser.find_element(By.ID, "rerun").click()
    wait.until(lambda seen: seen.find_element(By.ID, "reason").is_displayed())
    assert "submit 1: 1 failed; keep 19" in browser.find_element(By.ID, "asked").text
    browser.find_element(By.ID, "reason").send_keys("inputs are there now")
    browser.find_element(By.ID, "confirm").click()
    wait.until(lambda seen: "The task is cleared" in seen.find_element(By.ID, "told").text)

    assert fab.instance("judged")["state"] is None
    wait.until(lambda _: str(fab.instance("judged")["note"]).strip() == "inputs are there now")
