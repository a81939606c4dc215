"""The pictures of the documentation: ``make screenshots`` makes them anew, in ``docs/images``."""

from __future__ import annotations

import json
import random
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_omics.reports.html import render
from tests.e2e.deployment import Deployment, clean_environment
from tests.e2e.processes import LOOPBACK, is_listening, pause
from tests.page.conftest import start_browser
from tests.page.site import running_site
from tests.reports.cohorts import BEGAN, failed, page_of, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CONNECTION: dict[str, Any] = {
    "conn_type": "aws",
    "extra": {
        "region_name": "us-east-1",
        "service_config": {
            "omics": {
                "default_run_setting": {
                    "roleArn": "arn:aws:iam::123456789012:role/omics-service",
                    "outputUri": "s3://omics-results/outputs/",
                },
                "staging_s3_uri": "s3://omics-results/staging/",
                "results_s3_uri": "s3://omics-results/results/",
            }
        },
    },
}
SIZES = {"cohort-report": (1400, 1250), "cohort-report-phone": (500, 900)}


def cohort(samples: int = 500) -> Iterator[dict[str, Any]]:
    """Make samples in waves of 100 at a time: of 500, 15 failed for two causes, a few took long."""
    chance = random.Random(8)
    for number in range(samples):
        started = BEGAN + timedelta(minutes=8 + 310 * (number // 100) + chance.random() * 20)
        minutes = chance.gauss(300, 14) * (1.6 if number % 149 == 9 else 1)
        row = {"population": chance.choice(["GBR", "FIN", "YRI"])}
        of: dict[str, Any] = {"run_setting_id": f"NA{12_000 + number}", "row": row}
        if number % 33 == 5:
            out_of_memory = number % 2
            of["cause"] = "OUT_OF_MEMORY_ERROR in ALIGN" if out_of_memory else "INPUT_URI_NOT_FOUND"
            of["message"] = "exit 137" if out_of_memory else f"The input s3://reads/{number}.fastq.gz was not found."
            minutes *= 0.5 if out_of_memory else 0.05
        times = {
            "started_at": started.isoformat(),
            "stopped_at": (started + timedelta(minutes=minutes)).isoformat(),
        }
        yield (failed if "cause" in of else record)(number, **of, **times)


def reports(chrome: Chrome, folder: Path) -> None:
    """Make the pictures of a cohort's page."""
    html = render(page_of(cohort(), title="germline / scheduled__2026-06-22T12:00:00+00:00 / cohort"))
    page = folder / "report.html"
    page.write_text(html, encoding="utf-8")
    for name, (width, height) in SIZES.items():
        chrome.set_window_size(width, height)
        chrome.get(page.as_uri())
        chrome.save_screenshot(str(IMAGES / f"{name}.png"))


def tab(chrome: Chrome, folder: Path) -> None:
    """Make the picture of the tab of a deferred task in Airflow."""
    home = folder / "site"
    home.mkdir()
    with running_site(home) as site:
        site.defer_collected()
        chrome.set_window_size(1500, 1300)
        site.open_tab(chrome, "germline")
        wait = WebDriverWait(chrome, 60)
        wait.until(lambda seen: seen.find_element(By.ID, "cancel").is_displayed())
        chrome.switch_to.frame("page")
        wait.until(lambda seen: seen.execute_script("return document.documentElement.dataset.ready") == "true")
        chrome.save_screenshot(str(IMAGES / "cohort-tab.png"))
        chrome.switch_to.default_content()


def connection_form(chrome: Chrome, folder: Path) -> None:
    """Make the picture of the connection in Airflow's form, its extra unfolded."""
    home = folder / "airflow"
    home.mkdir()
    airflow = Deployment(home, clean_environment())
    try:
        airflow.migrate()
        airflow.run_command("connections", "add", "aws_default", "--conn-json", json.dumps(CONNECTION))
        airflow.start("api-server", "api-server", "--host", LOOPBACK, "--port", str(airflow.port))
        while not is_listening(airflow.port):
            pause(0.5)
        airflow.client.log_in()
        chrome.set_window_size(1200, 1000)
        chrome.get(f"{airflow.url}/api/v2/version")
        token = airflow.client._http.headers["Authorization"].removeprefix("Bearer ")
        chrome.add_cookie({"name": "_token", "value": token, "path": "/"})
        chrome.get(f"{airflow.url}/connections")
        for place in ("[aria-label='Edit Connection']", "//button[contains(., 'Extra Fields JSON')]"):
            by = By.XPATH if place.startswith("//") else By.CSS_SELECTOR
            WebDriverWait(chrome, 60).until(lambda seen, by=by, place=place: seen.find_elements(by, place))[0].click()
        WebDriverWait(chrome, 60).until(lambda seen: "service_config" in seen.page_source)
        pause(1)  # it unfolds
        chrome.save_screenshot(str(IMAGES / "connection-form.png"))
    finally:
        airflow.stop()


def main() -> None:
    """Make the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        chrome = start_browser(Path(folder) / "profile", "--hide-scrollbars")
        try:
            reports(chrome, Path(folder))
            tab(chrome, Path(folder))
            connection_form(chrome, Path(folder))
        finally:
            chrome.quit()


if __name__ == "__main__":
    main()
