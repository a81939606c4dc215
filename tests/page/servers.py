"""An api-server of Airflow with one DAG run in its database, over the local HealthOmics, and users of each role."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from airflow_provider_omics.emulator import OmicsEmulator, ScaledClock
from tests.e2e.deployment import clean_environment
from tests.e2e.processes import LOOPBACK, Program, free_port, pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver import Chrome

DAGS = Path(__file__).parent / "dags"
SECRET = "of-the-tests-of-pages-alone-0123456789-0123456789-0123456789-0123456789"
SPEED = 2_000
"""Emulated seconds in a second: a run of an hour takes two."""

START_SECONDS = 240
ROLES = {"simple": ("viewer", "user", "op", "admin"), "fab": ("public", "viewer", "user", "op", "admin")}
"""Manager of rights -> its roles; each has a user of its name, whose password is the name."""

MAKE_FAB_USERS = """
import sys
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
with get_application_builder() as builder:
    for name in sys.argv[1:]:
        role = builder.sm.find_role(name.capitalize())
        assert builder.sm.add_user(name, name, name, f"{name}@example.com", role, name)
"""


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

    def instance(self, task_id: str) -> dict[str, object]:
        """Ask Airflow for a task instance."""
        path = f"/api/v2/dags/cohorts/dagRuns/{quote(self.run_id, safe='')}/taskInstances/{task_id}"
        found: dict[str, object] = httpx.get(self.address + path, cookies={"_token": self.tokens["admin"]}).json()
        return found

    def open(self, browser: Chrome, user: str, task_id: str, tab: str = "") -> None:
        """Open the page of a task in Airflow's UI, as a user who has logged in."""
        browser.switch_to.default_content()
        browser.get(f"{self.address}/api/v2/version")
        browser.delete_all_cookies()
        browser.add_cookie({"name": "_token", "value": self.tokens[user], "path": "/"})
        browser.get(f"{self.address}/dags/cohorts/runs/{quote(self.run_id)}/tasks/{task_id}{tab}")


@contextmanager
def served(home: Path, manager: str = "simple") -> Iterator[Server]:
    """Run the DAG ``cohorts`` without a scheduler, then serve what it has left.

    :param home: Airflow's home, an empty folder.
    :param manager: of rights: one of :data:`ROLES`.
    """
    port, names = free_port(), ROLES[manager]
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in names}))
    managers = {
        "simple": {
            "SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{name}" for name in names),
            "SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        },
        "fab": {"AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"},
    }
    scenario = {"runs": [{"match": {"run_setting_id": "S03"}, "outcome": "FAILED"}]}
    with OmicsEmulator(clock=ScaledClock(SPEED), scenario=scenario, default_bucket="omics-results") as emulator:
        environment = clean_environment(
            AIRFLOW_HOME=str(home),
            AIRFLOW__CORE__DAGS_FOLDER=str(DAGS),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            **{f"AIRFLOW__CORE__{name}": value for name, value in managers[manager].items()},
            AIRFLOW__API_AUTH__JWT_SECRET=SECRET,
            AIRFLOW__API__SECRET_KEY=SECRET,
            AIRFLOW_CONN_AWS_DEFAULT=json.dumps(emulator.connection),
            NO_PROXY=LOOPBACK,
        )

        def run(*command: str) -> str:
            done = subprocess.run(
                [sys.executable, *command],
                cwd=home,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout
            return done.stdout

        run("-m", "airflow", "db", "migrate")
        if manager == "fab":
            run("-c", MAKE_FAB_USERS, *names)
        (run_id,) = set(re.findall(r"run_id=(manual__[^\s,]+)", run("-m", "airflow", "dags", "test", "cohorts")))
        serve = ("-m", "airflow", "api-server", "--host", LOOPBACK, "--port", str(port), "--workers", "1")
        program = Program("api-server", [sys.executable, *serve], environment, home / "api-server.log")
        try:
            address = f"http://{LOOPBACK}:{port}"
            until = time.monotonic() + START_SECONDS
            while not _answers(address):
                assert time.monotonic() < until, program.log.read_text()
                pause(0.2)
            yield Server(address, run_id, {name: _token(address, name) for name in names})
        finally:
            program.kill()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/v2/monitor/health", timeout=1).is_success
    except httpx.TransportError:
        return False


def _token(address: str, name: str) -> str:
    answer = httpx.post(f"{address}/auth/token", json={"username": name, "password": name}, timeout=60)
    return str(answer.raise_for_status().json()["access_token"])
