"""The ground that all other tests stand on."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, task
from airflow.triggers.base import TriggerEvent
from airflow.triggers.testing import SuccessTrigger
from pytest_socket import SocketConnectBlockedError

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from airflow.providers.common.compat.sdk import Context

    from tests.conftest import RunDag

ELSEWHERE = ("203.0.113.1", 443)  # a documentation address (RFC 5737)


class Deferring(BaseOperator):
    """Wait for a trigger that fires at once."""

    def execute(self, context: Context) -> None:
        self.defer(trigger=SuccessTrigger(), method_name="execute_complete")

    def execute_complete(self, context: Context, event: Any) -> Any:
        context["ti"].xcom_push("seen", event)
        return "woke up"


def test_run_dag_tells_states_and_xcoms(run_dag: RunDag) -> None:
    """A DAG made in a test runs with triggers and mapped tasks, and a failed task fails its run."""

    @task
    def double(number: int) -> int:
        return 2 * number

    @task
    def fail() -> None:
        raise ValueError

    with DAG("ground", schedule=None) as dag:
        Deferring(task_id="deferring") >> double.expand(number=[1, 2]) >> fail()

    outcome = run_dag(dag)

    assert outcome.state == "failed"
    assert outcome.task_states == {
        "deferring": "success",
        "double[0]": "success",
        "double[1]": "success",
        "fail": "failed",
    }
    assert outcome.xcoms["deferring"] == {"seen": TriggerEvent(True).payload, "return_value": "woke up"}
    assert [outcome.xcoms[f"double[{index}]"]["return_value"] for index in (0, 1)] == [2, 4]


def test_run_dag_reads_a_file(run_dag: RunDag, tmp_path: Path) -> None:
    """A DAG file runs by its path, with the conf of the run."""
    path = tmp_path / "from_a_file.py"
    path.write_text(
        "from airflow.providers.common.compat.sdk import DAG, task\n"
        "with DAG('from_a_file', schedule=None):\n"
        "    task(lambda dag_run: dag_run.conf['sample'], task_id='echo')()\n"
    )

    outcome = run_dag(path, conf={"sample": "NA12878"})

    assert outcome.state == "success"
    assert outcome.xcoms == {"echo": {"return_value": "NA12878"}}


def test_nothing_is_skipped(tmp_path: Path) -> None:
    """A test that is skipped fails; one that another environment has is left out, and counted as such."""
    # At the end of the path: an installed wheel comes before the tree.
    conftest = f"import sys\nsys.path.append({str(ROOT)!r})\nfrom tests.conftest import *\n"
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_skips():\n    pytest.skip('no')\n"
        "@pytest.mark.only_where(False, 'elsewhere')\ndef test_elsewhere(): pass\n"
        "@pytest.mark.only_where(True, 'here')\ndef test_here(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]

    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert "1 failed, 1 passed, 1 deselected" in done.stdout, done.stdout + done.stderr
    assert "was skipped: state what holds in this environment" in done.stdout


def test_no_account_is_known() -> None:
    """Nothing of the AWS account of whoever runs the tests is visible."""
    assert {name for name in os.environ if name.startswith("AWS_")} == {
        "AWS_CONFIG_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_SHARED_CREDENTIALS_FILE",
    }


def test_network_is_out_of_reach() -> None:
    """A connection to anywhere but loopback is refused."""
    with socket.socket() as client, pytest.raises(SocketConnectBlockedError):
        client.connect(ELSEWHERE)


async def test_network_is_out_of_reach_of_coroutines() -> None:
    """The same for a connection that the event loop opens."""
    with pytest.raises(SocketConnectBlockedError):
        await asyncio.open_connection(*ELSEWHERE)
