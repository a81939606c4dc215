"""The tab "Cohort" in a running Airflow, over the local HealthOmics: shown, refused, and its links followed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from airflow_provider_omics.emulator import OmicsEmulator, ScaledClock
from tests.e2e.deployment import clean_environment
from tests.e2e.processes import LOOPBACK, Program, free_port
from tests.reports.markup import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

DAGS = Path(__file__).parent / "dags"
SECRET = "of-the-tests-of-pages-alone-0123456789-0123456789-0123456789-0123456789"
SPEED = 2_000
"""Emulated seconds in a second: a run of an hour takes two."""

START_SECONDS = 90


@dataclass(frozen=True)
class Server:
    """An api-server with one DAG run in its database.

    :param address: ``http://127.0.0.1:1234``.
    :param run_id: of the DAG run.
    :param tokens: user -> token.
    """

    address: str
    run_id: str
    tokens: dict[str, str]

    def get(
        self, task_id: str, user: str | None = "admin", *, dag_id: str = "cohorts", route: str = "cohort"
    ) -> httpx.Response:
        """Ask for the page of a task, or another route of it, as the browser does."""
        path = f"/omics/{route}/{dag_id}/{quote(self.run_id, safe='')}/{task_id}/%7BMAP_INDEX%7D"
        cookies = {} if user is None else {"_token": self.tokens[user]}
        return httpx.get(self.address + path, cookies=cookies, timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the DAG without a scheduler, then serve what it has left."""
    home = tmp_path_factory.mktemp("airflow")
    port = free_port()
    scenario = {"runs": [{"match": {"run_setting_id": "S03"}, "outcome": "FAILED"}]}
    with OmicsEmulator(clock=ScaledClock(SPEED), scenario=scenario, default_bucket="omics-results") as emulator:
        environment = clean_environment(
            AIRFLOW_HOME=str(home),
            AIRFLOW__CORE__DAGS_FOLDER=str(DAGS),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="admin:admin,viewer:viewer",
            AIRFLOW__API_AUTH__JWT_SECRET=SECRET,
            AIRFLOW__API__SECRET_KEY=SECRET,
            AIRFLOW_CONN_AWS_DEFAULT=json.dumps(emulator.connection),
            NO_PROXY=LOOPBACK,
        )

        def airflow(*command: str) -> str:
            done = subprocess.run(
                [sys.executable, "-m", "airflow", *command],
                cwd=home,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            return done.stdout

        airflow("db", "migrate")
        (run_id,) = set(re.findall(r"run_id=(manual__[^\s,]+)", airflow("dags", "test", "cohorts")))
        command = [
            sys.executable,
            "-m",
            "airflow",
            "api-server",
            "--host",
            LOOPBACK,
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        program = Program("api-server", command, environment, home / "api-server.log")
        try:
            address = f"http://{LOOPBACK}:{port}"
            until = time.monotonic() + START_SECONDS
            while not _answers(address):
                assert time.monotonic() < until, program.log.read_text()
            passwords = dict(re.findall(r"Password for user '(\w+)': (\S+)", program.log.read_text()))
            tokens = {
                name: httpx.post(f"{address}/auth/token", json={"username": name, "password": word}).json()[
                    "access_token"
                ]
                for name, word in passwords.items()
            }
            yield Server(address, run_id, tokens)
        finally:
            program.kill()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/v2/monitor/health", timeout=1).is_success
    except httpx.TransportError:
        return False


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


def test_other_tasks(server: Server) -> None:
    """On a task of another kind one line says that there is nothing."""
    assert "This task has started no batch of AWS HealthOmics." in server.get("other").text


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
    assert "started no batch" in server.get("other", route="tab").text
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
    browser.get(f"{server.address}/api/v2/version")
    browser.add_cookie({"name": "_token", "value": server.tokens["admin"], "path": "/"})
    browser.get(f"{server.address}/dags/cohorts/runs/{quote(server.run_id)}/tasks/judged")
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
