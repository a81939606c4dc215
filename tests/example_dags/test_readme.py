"""README and the pages that it hands over to are true: code runs, errors and logs are ours, names exist.

What it shows of ``make demo`` is for ``tests/docs/test_demo.py``.
"""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from airflow_provider_omics.core.batch.rerun import rerun_sentence
from airflow_provider_omics.core.batch.sample import RecordStatus
from airflow_provider_omics.core.errors import OmicsError
from airflow_provider_omics.core.settings.requests import build_start_run_batch_request
from airflow_provider_omics.emulator.__main__ import add_arguments
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.conftest import RunDag

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
FAILURES, GETTING_STARTED, NAMES, RESULTS, RUN, WHEN_NOT = (
    (ROOT / "docs" / f"{page}.md").read_text()
    for page in ("failures", "getting-started", "names", "results", "how-to/run", "when-not")
)
AT_ONCE = {"pending": 0, "starting": 0, "running": 0, "stopping": 0}
"""A run that has ended when it is first looked at: the DAGs of README wait half a minute between two looks."""


def block(language: str, containing: str, page: str = README) -> str:
    """Give the one block of a language that contains a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if containing in text]
    return str(found)


@pytest.fixture
def dags_folder(airflow_home: Path, airflow_db: Path) -> Iterator[Path]:
    """The DAGs folder with the two DAGs of README."""
    files = {name: airflow_home / "dags" / f"{name}.py" for name in ("germline", "trio")}
    for name, path in files.items():
        path.write_text(block("python", f'with DAG("{name}"'))
    yield airflow_home / "dags"
    for path in files.values():
        path.unlink()


@pytest.mark.usefixtures("omics_connection_scaled")
def test_batch_dag(omics_emulator_scaled: OmicsEmulator, run_dag: RunDag, dags_folder: Path) -> None:
    """The DAG of a batch runs, and tolerates one failure."""
    failing = {"match": {"run_setting_id": "NA12891"}, "outcome": "FAILED"}
    omics_emulator_scaled.set_scenario(
        {"runs": [AT_ONCE | failing, AT_ONCE], "batches": [{"creating": 0, "pending": 0}]}
    )

    outcome = run_dag(dags_folder / "trio.py")

    batch = outcome.xcoms["trio"]["return_value"]
    assert outcome.state == "success"
    assert (batch["completed_runs"], batch["failed_run_setting_ids"]) == (2, ["NA12891"])


@pytest.mark.parametrize("dag_id", ["germline", "trio"])
def test_dags_are_short(dag_id: str) -> None:
    """Each of the two DAGs has 15 lines of code at most."""
    lines = [line for line in block("python", f'with DAG("{dag_id}"').splitlines() if line.strip()]

    assert len(lines) <= 15


def test_readme_is_a_door() -> None:
    """README is read in ten minutes: what is more stands on the pages that it links."""
    assert len(README.splitlines()) <= 200
    assert len(README.split()) < 2_000


def test_commands(omics_emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator knows its options, and the variables of the page lead an AWS client without settings to it."""
    command = block("sh", "healthomics-emulator").strip()
    lines = block("sh", "AWS_ENDPOINT_URL", GETTING_STARTED).splitlines()
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(shlex.split(command)[1:])
    for line in lines:
        if line.startswith("export "):
            for assignment in line.split()[1:]:
                name, _, value = assignment.partition("=")
                monkeypatch.setenv(name, value.replace("http://127.0.0.1:4568", omics_emulator.url))

    client = boto3.client("omics")
    runs = client.list_runs()["items"]
    client.close()

    assert runs == []
    assert (options.port, options.default_bucket) == (4568, "omics-results")
    assert (ROOT / options.scenario).is_file()


def test_settings_error() -> None:
    """What the page shows for bad settings is what is raised."""
    with pytest.raises(OmicsError) as raised:
        build_start_run_batch_request(
            default_run_setting={
                "workflowId": "1234567",
                "roleArn": "arn:aws:iam::123456789012:role/omics-service",
                "outputUri": "s3://omics-results/",
                "scratchStorage": "LOCAL",
            },
            run_settings=[{"runSettingId": "NA12878", "scratchStorageMode": "local"}, {"runSettingId": "NA12878"}],
            request_id="one",
        )

    assert str(airflow_error(raised.value)) == block("text", "3 problems in the settings", RUN).rstrip()


def test_what_is_submitted_again() -> None:
    """The line of a cleared task's log is one that the operator writes."""
    again = {RecordStatus.FAILED: 9, RecordStatus.NOT_SUBMITTED: 3}

    assert rerun_sentence(again, new=2, changed=0, kept=9986, carried=0) == block("text", "submit 14", RESULTS).rstrip()


@pytest.mark.parametrize(
    ("begins", "name"),
    [("retry: none, as a sizing failure", "file_system_full"), ("Batch 2000001 failed", "batch_mixed")],
)
def test_failure_errors(begins: str, name: str) -> None:
    """The ends of logs that the page of failures shows are those that a test holds to the letter."""
    written = (ROOT / "tests" / "diagnosis" / "ends" / f"{name}.txt").read_text()

    assert written == block("text", begins, FAILURES)


@pytest.mark.parametrize(
    ("begins", "text", "page"),
    [
        pytest.param("Run 10000001 failed: OUT_OF", "out_of_memory", README, id="run"),
        pytest.param("12 of 15 samples failed", "batch_mixed", FAILURES, id="batch"),
    ],
)
def test_diagnoses(begins: str, text: str, page: str) -> None:
    """The task logs that are shown are those that a test holds to the letter."""
    written = (ROOT / "tests" / "diagnosis" / "texts" / f"{text}.txt").read_text()

    assert written.startswith(block("text", begins, page).rstrip())


def test_names() -> None:
    """Every class of the table is where it says, and the table has each one that Airflow is told of."""
    rows = re.findall(r"^\| (`.*?`) \|", NAMES, re.MULTILINE)
    listed = set()
    module = ""
    for path in (path for row in rows for path in re.findall(r"`([\w.]+)`", row)):
        module = path.rpartition(".")[0] or module
        name = path.rpartition(".")[2]
        assert hasattr(import_module(f"airflow_provider_omics.{module}"), name), path
        listed.add(f"airflow_provider_omics.{module}.{name}")
    info = get_provider_info()
    shown = [
        name
        for kind in ("operators", "sensors", "triggers", "hooks")
        for each in info[kind]
        for name in each["python-modules"]
    ]
    classes = {
        f"{module}.{name}"
        for module in shown
        for name, found in vars(import_module(module)).items()
        if isinstance(found, type) and found.__module__ == module and name.startswith("Omics")
    }
    assert (classes | set(info["extra-links"])) - listed == set()


def test_links() -> None:
    """Every file that README points to exists."""
    for target in re.findall(r"\]\((?!https:|#)([^)]+)\)", README):
        assert (ROOT / target.partition("#")[0]).exists(), target


def test_waiter_of_botocore() -> None:
    """The waiter of botocore is as the page says: it gives up after ten minutes, and knows two ends of a run."""
    waiter = boto3.client("omics", region_name="us-east-1").get_waiter("run_completed")

    assert "polls 20 times in 10 minutes" in WHEN_NOT
    acceptors = {acceptor.expected for acceptor in waiter.config.acceptors}
    assert waiter.config.delay * waiter.config.max_attempts == 600
    assert acceptors.isdisjoint({"CANCELLED", "DELETED"})
