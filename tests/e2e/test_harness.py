"""The running Airflow itself keeps to this machine."""

from __future__ import annotations

from tests.e2e.deployment import Deployment
from tests.e2e.processes import LOOPBACK, listening, marked


def test_everything_listens_on_loopback_only(deployment: Deployment, session_mark: str) -> None:
    """No process of the session can be reached from elsewhere, and the four components are there."""
    processes = marked(session_mark)
    assert len(processes) > 4
    addresses = listening(processes)
    assert addresses >= {f"{LOOPBACK}:{port}" for port in (deployment.port, deployment.workers_port)}
    assert {address.rpartition(":")[0] for address in addresses} == {LOOPBACK}
