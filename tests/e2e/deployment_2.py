"""A real Airflow 2 on loopback: webserver, scheduler and triggerer."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.e2e.deployment import DAGS, HEARTBEAT_TIMEOUT, SECRET, Deployment
from tests.e2e.processes import LOOPBACK
from tests.e2e.rest import AirflowClient2


class Deployment2(Deployment):
    """One Airflow 2 with its own home and database; its scheduler reads the DAG files itself."""

    client_class = AirflowClient2
    servers: ClassVar[tuple[str, ...]] = ("webserver",)
    components = 3

    def settings(self) -> dict[str, Any]:
        """Give Airflow's settings: ``SECTION__OPTION`` -> value."""
        return {
            "CORE__DAGS_FOLDER": DAGS,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": 16,
            "CORE__TASK_SUCCESS_OVERTIME": 1,  # a task marked success is left at work for 20 s by default
            "CORE__MAX_ACTIVE_TASKS_PER_DAG": 200,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db?timeout=60",
            "API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
            "WEBSERVER__BASE_URL": self.url,
            "WEBSERVER__SECRET_KEY": SECRET,
            "WEBSERVER__WORKERS": 1,
            "SCHEDULER__MAX_TIS_PER_QUERY": 4,  # queued at once: tasks that start together starve each other
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.2,
            "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": 600,
            "SCHEDULER__DAG_DIR_LIST_INTERVAL": 600,
            "SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": 2,
            "SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": HEARTBEAT_TIMEOUT,
            # Airflow 2 fails a task once for each time that it was detected, also the tries after the dead one: the
            # first detection must have been dealt with before the second.
            "SCHEDULER__ZOMBIE_DETECTION_INTERVAL": 30,
            "TRIGGERER__JOB_HEARTBEAT_SEC": 2,
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 15,
            "USAGE_DATA_COLLECTION__ENABLED": False,
        }

    def migrate(self) -> None:
        """Make the database and its administrator."""
        # Airflow 2 refuses SQLite beside more than one process; with a write-ahead log and long waits it holds here.
        self.environment["_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK"] = "1"
        super().migrate()
        name = self.client_class.user
        person = ("--firstname", name, "--lastname", name, "--email", f"{name}@example.com", "--role", "Admin")
        self.run_command("users", "create", "--username", name, "--password", name, *person)

    def start_all(self) -> None:
        """Start the components."""
        self.start("webserver", "webserver", "--hostname", LOOPBACK, "--port", str(self.port))
        self.start("scheduler", "scheduler", "--skip-serve-logs")
        self.start_triggerer()

    def _is_serving(self) -> bool:
        return True  # health is told by the only server
