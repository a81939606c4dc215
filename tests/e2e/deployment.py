"""A real Airflow on loopback: scheduler, api-servers, DAG processor and triggerers, each a process group of its own.

Users and workers have an api-server each, as large deployments do. With SQLite this is needed: a user's action is
logged in the server's event loop, where it waits for the one write lock, which a worker's request in the same server
cannot give back while the loop waits.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import httpx

import airflow_provider_omics
from tests.e2e.processes import LOOPBACK, Program, free_port, is_listening, pause
from tests.e2e.rest import AirflowClient

VERSION = tuple(int(part) for part in version("apache-airflow").split(".")[:2])
"""Airflow's, to its minor release."""

RETRIES_THE_KILLED = VERSION != (3, 0)
"""Airflow 3.0 fails a task whose process was killed, whatever its retries: its supervisor reports no other state."""

CLEARS_THE_RUNNING = VERSION >= (3, 3)
"""On 2.11 over SQLite a clear of a task that runs has been answered and had no effect; 3.0 to 3.2 were not tried."""

DAGS = Path(__file__).parent / "dags"
PACKAGE = Path(airflow_provider_omics.__file__).parent

SECRET = "of-the-end-to-end-tests-alone-0123456789-0123456789-0123456789-0123456789"

PRELOAD = """
import sys

if "scheduler" in sys.argv:
    import airflow_provider_omics.operators.run
    import airflow_provider_omics.operators.run_batch
"""

HEARTBEAT_TIMEOUT = 20
"""Seconds without a heartbeat after which the scheduler gives a task up; Airflow's default is 300."""


def clean_environment(**more: str) -> dict[str, str]:
    """Give the environment of this process without anyone's Airflow, AWS account or habits of Python.

    :param more: what is added.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "PYTEST_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # Airflow takes twice as long to start without bytecode
    # The package that these tests import: an installed wheel, or the tree.
    return {**kept, "PYTHONPATH": str(PACKAGE.parent), "AWS_EC2_METADATA_DISABLED": "true", **more}


class Deployment:
    """One Airflow 3 with its own home and database.

    :param home: its home, an empty folder.
    :param environment: what its processes get beside Airflow's settings.
    :param dags: the folder of its DAGs. Default: those of these tests.
    """

    client_class = AirflowClient
    servers: ClassVar[tuple[str, ...]] = ("api-server", "workers-api")
    """Programs that are ended last: the others need them."""

    components = 4
    """Components of which Airflow tells the health: database, scheduler, triggerer, DAG processor."""

    def __init__(self, home: Path, environment: Mapping[str, str], dags: Path = DAGS) -> None:
        self.home = home
        self.dags = dags
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.workers_port = free_port()
        self.client = self.client_class(self.url)
        self.programs: dict[str, Program] = {}
        self.empty_database = home.with_suffix(".db")
        self.base_environment = dict(environment)
        self.environment = {
            **environment,
            "AIRFLOW_HOME": str(home),
            "SPT_NOENV": "1",  # else setproctitle overwrites the environment by which our processes are found
            **{f"AIRFLOW__{name}": str(value) for name, value in self.settings().items()},
        }

    def settings(self) -> dict[str, Any]:
        """Give Airflow's settings: ``SECTION__OPTION`` -> value."""
        return {
            "CORE__DAGS_FOLDER": self.dags,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": 40,  # tasks that wait in a worker take a slot and hardly any CPU
            # SQLite lets one write at a time; the others wait, for 5 seconds unless told otherwise.
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60",
            "CORE__MAX_ACTIVE_TASKS_PER_DAG": 200,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
            "CORE__EXECUTION_API_SERVER_URL": f"http://{LOOPBACK}:{self.workers_port}/execution/",
            "API__BASE_URL": self.url,
            "API__WORKERS": 1,
            "API__SECRET_KEY": SECRET,
            "API__ENABLE_XCOM_DESERIALIZE_SUPPORT": True,  # without it Airflow 3.0 refuses to tell a result
            "API_AUTH__JWT_SECRET": SECRET,
            "DAG_PROCESSOR__REFRESH_INTERVAL": 600,
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 600,
            "SCHEDULER__MAX_TIS_PER_QUERY": 4,  # queued at once: tasks that start together starve each other
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2,
            "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": 2,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": HEARTBEAT_TIMEOUT,
            "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 2,
            "TRIGGERER__JOB_HEARTBEAT_SEC": 2,
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 15,
            "WORKERS__SOCKET_CLEANUP_TIMEOUT": 1,  # else a slot is held up to a minute after a task
            "WORKERS__MIN_HEARTBEAT_INTERVAL": 2,
            # An api-server that is down is noticed by three heartbeats, each with its own tries.
            "WORKERS__EXECUTION_API_RETRIES": 3,
            "WORKERS__EXECUTION_API_RETRY_WAIT_MAX": 2,
            "WORKERS__EXECUTION_API_TIMEOUT": 30,
            "USAGE_DATA_COLLECTION__ENABLED": False,
        }

    def preload(self) -> None:
        """Let the scheduler load what tasks need, so that those it forks do not: starting one takes a third."""
        (self.home / "config").mkdir()
        (self.home / "config" / "airflow_local_settings.py").write_text(PRELOAD)

    def migrate(self) -> None:
        """Make the database, and keep a copy of it for another deployment."""
        self.preload()
        self.run_command("db", "migrate")
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")  # stays in the file: readers do not wait for writers
        shutil.copy(self.home / "airflow.db", self.empty_database)

    def run_command(self, *arguments: str) -> None:
        """Run a command of Airflow to its end."""
        program = self.start("-".join(arguments[:2]), *arguments)
        code = program.wait(120)
        assert code == 0, program.log.read_text()[-3000:]

    def start(self, name: str, *arguments: str, **environment: Any) -> Program:
        """Start a command of Airflow under a name."""
        return self.start_python(name, "-m", "airflow", *arguments, **environment)

    def start_python(self, name: str, *arguments: str, **environment: Any) -> Program:
        """Start a Python program in Airflow's environment under a name."""
        command = [sys.executable, *arguments]
        log = self.home / f"{name}.log"
        self.programs[name] = Program(name, command, {**self.environment, **environment}, log)
        return self.programs[name]

    def start_all(self) -> None:
        """Start the components."""
        self.start("api-server", "api-server", "--apps", "core", "--host", LOOPBACK, "--port", str(self.port))
        self.start_workers_api()
        self.start("dag-processor", "dag-processor")
        self.start("scheduler", "scheduler", "--skip-serve-logs")
        self.start_triggerer()

    def start_workers_api(self) -> None:
        """Start the api-server that workers talk to."""
        port = str(self.workers_port)
        self.start("workers-api", "api-server", "--apps", "execution", "--host", LOOPBACK, "--port", port)

    def start_triggerer(self, name: str = "triggerer") -> Program:
        """Start a triggerer, without its log server, which would listen on all interfaces."""
        # Two triggerers of one host are told apart by their process ids.
        return self.start(name, "triggerer", "--skip-serve-logs")

    def wait_healthy(self, seconds: float = 120) -> None:
        """Wait until all components are healthy, and log in."""
        end = time.monotonic() + seconds
        while True:
            with suppress(httpx.HTTPError):
                health = self.client.health()
                if len(health) == self.components and set(health.values()) == {"healthy"} and self._is_serving():
                    break
            self._assert_alive()
            assert time.monotonic() < end, "Airflow did not become healthy"
            pause(0.25)
        self.client.log_in()

    def wait_parsed(self, dag_ids: set[str], seconds: float = 60) -> None:
        """Wait until DAGs can be triggered."""
        end = time.monotonic() + seconds
        while not all(self.client.has_dag(dag_id) for dag_id in dag_ids):
            assert time.monotonic() < end, self.client.import_errors()
            pause(0.25)

    def stop(self) -> None:
        """End all that was started: first what makes work, then what the work needs."""
        self.client.close()
        for program in self.programs.values():
            program.signal(signal.SIGCONT)
            if program.exit_code is None and program.name not in self.servers:
                program.signal(signal.SIGTERM)
        for program in self.programs.values():
            with suppress(subprocess.TimeoutExpired):
                if program.name not in self.servers:
                    program.wait(15)
        for program in self.programs.values():
            program.stop(10)

    def _is_serving(self) -> bool:
        return is_listening(self.workers_port)

    def _assert_alive(self) -> None:
        for program in self.programs.values():
            assert program.exit_code in (None, 0), f"{program.name} ended: {program.log.read_text()[-3000:]}"
