"""Pages in a real browser: headless Chromium, driven by Selenium; ``make test-page`` brings what they need."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.reports.html import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

    from airflow_provider_omics.reports.cohort import CohortPage
    from airflow_provider_omics.reports.run import RunPage
    from tests.page.servers import Server

HERE = Path(__file__).parent
AXE = Path(sys.prefix) / "node_modules" / "axe-core" / "axe.min.js"
# Of a plain `pytest`, in an environment without a browser's driver.
collect_ignore_glob = [] if find_spec("selenium") else ["test_*.py"]
if not find_spec("airflow.providers.fab"):
    collect_ignore_glob.append("test_roles.py")  # on Airflow 3.1 and 3.2
if not AXE.exists():
    collect_ignore_glob.append("test_pages.py")  # `make test-page-smoke` does without npm

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder time: the first one that needs it waits for an Airflow to start."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))


def start_browser(profile: Path, *flags: str, scripts: bool = True) -> Chrome:
    """Start Chromium with a profile of its own; quit it."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not scripts:
        options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
    return Chrome(options=options, service=Service(shutil.which("chromedriver")))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser for all tests, as starting one takes seconds."""
    chrome = start_browser(tmp_path_factory.mktemp("profile"), "--window-size=1280,900")
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with Airflow's simple manager of rights, for all tests."""
    from tests.page.servers import served

    with served(tmp_path_factory.mktemp("simple")) as running:
        yield running


@pytest.fixture
def opened(browser: Chrome, tmp_path: Path) -> Callable[..., Chrome]:
    """Open a page as a file, and wait until its script has taken the table over, if it has one."""
    from selenium.webdriver.support.wait import WebDriverWait

    def opened(page: CohortPage | RunPage, chrome: Chrome = browser) -> Chrome:
        file = tmp_path / "report.html"
        file.write_text(render(page), encoding="utf-8")
        chrome.get_log("browser")
        chrome.get(file.as_uri())
        if page.template == "cohort.html" and chrome is browser:
            WebDriverWait(chrome, 30).until(
                lambda seen: seen.execute_script("return document.documentElement.dataset.ready") == "true"
            )
        return chrome

    return opened
