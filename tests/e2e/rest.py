"""The few calls of Airflow's REST API that the tests need."""

from __future__ import annotations

import ast
from typing import Any

import httpx


class AirflowClient:
    """Talks to a running api-server of Airflow 3.

    :param url: its address.
    """

    api = "/api/v2"

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def log_in(self) -> None:
        """Get a token; in the deployment of the tests everyone is an administrator."""
        token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def health(self) -> dict[str, str]:
        """Tell the status of each component that has one."""
        answer = self._http.get(f"{self.api}/monitor/health").raise_for_status().json()
        return {name: part["status"] for name, part in answer.items() if part and part["status"]}

    def has_dag(self, dag_id: str) -> bool:
        """Whether a DAG was parsed and stored."""
        return self._http.get(f"{self.api}/dags/{dag_id}").status_code == httpx.codes.OK

    def import_errors(self) -> list[str]:
        """Tell what is wrong with the DAG files."""
        errors = self._call("GET", f"{self.api}/importErrors")["import_errors"]
        return [error["stack_trace"] for error in errors]

    def alive_jobs(self, kind: str) -> int:
        """Count the components of a kind that have given a sign of life of late."""
        return int(
            self._call("GET", f"{self.api}/jobs?job_type={kind}&is_alive=true&job_state=running")["total_entries"]
        )

    def form(self, dag_id: str) -> dict[str, Any]:
        """Give what the form of a DAG sends when nobody has touched it."""
        return {
            name: param["value"]
            for name, param in self._call("GET", f"{self.api}/dags/{dag_id}/details")["params"].items()
        }

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Make a DAG run."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        self._call("POST", f"{self.api}/dags/{dag_id}/dagRuns", body)

    def dag_run_state(self, dag_id: str, run_id: str) -> str:
        """Tell the state of a DAG run."""
        return str(self._call("GET", f"{self.api}/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Tell the task instances of a DAG run; the API gives at most 100 a page."""
        path = f"{self.api}/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", f"{path}?limit=100&offset={len(found)}")
            found += page["task_instances"]
            if len(found) >= page["total_entries"]:
                return found

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set the state of a task instance, as a user does."""
        self._call("PATCH", f"{self.api}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}", {"new_state": state})

    def mark_dag_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the state of a DAG run, as a user does."""
        self._call("PATCH", f"{self.api}/dags/{dag_id}/dagRuns/{run_id}", {"state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task instance, as a user does."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self._call("POST", f"{self.api}/dags/{dag_id}/clearTaskInstances", {**body, "reset_dag_runs": True})

    def delete_state(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Delete all that a task instance has stored of itself, as Airflow may at a clear."""
        path = f"{self.api}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/state-store"
        stored = self._call("GET", path)["task_state_store"]
        assert any(entry["key"] == "omics_attempt" for entry in stored), stored
        self._http.delete(path).raise_for_status()
        assert not self._call("GET", path)["task_state_store"]

    def result(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
        """Give what a task instance has returned; None: nothing."""
        path = f"{self.api}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._http.get(path, params={"map_index": map_index, "deserialize": True})
        return answer.json()["value"] if answer.status_code == httpx.codes.OK else None

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> str:
        """Give the log of one try."""
        path = f"{self.api}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        answer = self._http.get(path, params={"map_index": map_index, "full_content": True})
        return answer.text

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()


class AirflowClient2(AirflowClient):
    """Talks to a running webserver of Airflow 2, whose API differs little."""

    api = "/api/v1"
    user = "e2e"

    def log_in(self) -> None:
        """Send the name and password of the administrator from now on."""
        self._http.auth = (self.user, self.user)

    def health(self) -> dict[str, str]:
        """Tell the status of each component that has one."""
        answer = self._http.get(f"{self.api}/health").raise_for_status().json()
        return {name: part["status"] for name, part in answer.items() if part and part["status"]}

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any] | None = None) -> None:
        """Make a DAG run."""
        self._call("POST", f"{self.api}/dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "conf": conf or {}})

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Set the state of a task instance, as a user does."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_id": task_id,
            "new_state": state,
            "include_upstream": False,
            "include_downstream": False,
            "include_future": False,
            "include_past": False,
        }
        self._call("POST", f"{self.api}/dags/{dag_id}/updateTaskInstancesState", body)

    def result(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
        """Give what a task instance has returned; None: nothing."""
        path = f"{self.api}/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._http.get(path, params={"map_index": map_index})
        # Without deserialization, which is off by default, Airflow 2 gives the text of a Python literal.
        return ast.literal_eval(answer.json()["value"]) if answer.status_code == httpx.codes.OK else None
