"""The AWS CLI: runs, batches, workflows, outputs and logs, from the command line.

A fault that is its own: ``aws sqs`` of version 1 passes over ``AWS_ENDPOINT_URL`` and calls ``queue.amazonaws.com``;
``--endpoint-url`` leads it here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator.definitions.archive import pack
from tests.clients.conftest import BUCKET, INSTALLED, ROLE, ROOT, Program, answer

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

SETTING = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": f"s3://{BUCKET}/runs"}


@pytest.fixture
def aws(program: Program) -> Program:
    """The program ``aws``."""
    return partial(program, str(INSTALLED / "aws-cli" / "bin" / "aws"))


def test_a_run(aws: Program, emulator: OmicsEmulator) -> None:
    """Started, waited for by the CLI's own waiter, and read: its tasks, its log and its outputs."""
    words = ("--workflow-id", "1234567", "--role-arn", ROLE, "--output-uri", f"s3://{BUCKET}/runs")
    more = ("--name", "NA12878", "--scratch-storage-mode", "LOCAL", "--parameters", '{"depth": 30, "trim": true}')
    run_id = answer(aws("omics", "start-run", *words, *more))["id"]
    emulator.advance(100_000)
    aws("omics", "wait", "run-completed", "--id", run_id)
    told = answer(aws("omics", "get-run", "--id", run_id))

    assert (told["status"], told["name"], told["scratchStorageMode"]) == ("COMPLETED", "NA12878", "LOCAL")
    assert told["parameters"] == {"depth": 30, "trim": True}
    tasks = answer(aws("omics", "list-run-tasks", "--id", run_id, "--query", "items[].[name,status]"))
    assert {status for _, status in tasks} == {"COMPLETED"}
    stream = ("--log-group-name", "/aws/omics/WorkflowLog", "--log-stream-name", f"run/{run_id}/engine")
    assert answer(aws("logs", "get-log-events", *stream, "--start-from-head"))["events"]
    assert f"runs/{run_id}/out/" in aws("s3", "ls", "--recursive", f"s3://{BUCKET}/").stdout


def test_a_batch(aws: Program, emulator: OmicsEmulator, tmp_path: Path) -> None:
    """Its settings come from files; its runs are listed over the pages of the CLI; it is deleted run by run."""
    (tmp_path / "default.json").write_text(json.dumps({**SETTING, "scratchStorageMode": "LOCAL"}))
    settings = [{"runSettingId": f"S{number}", "name": f"S{number}"} for number in range(5)]
    (tmp_path / "runs.json").write_text(json.dumps({"inlineSettings": settings}))
    files = ("--default-run-setting", "file://default.json", "--batch-run-settings", "file://runs.json")
    batch_id = answer(aws("omics", "start-run-batch", "--batch-name", "cohort", "--request-id", "one", *files))["id"]
    emulator.advance(100_000)
    batch = answer(aws("omics", "get-batch", "--batch-id", batch_id))

    assert (batch["status"], batch["runSummary"]["completedRunCount"]) == ("PROCESSED", 5)
    assert batch["defaultRunSetting"]["scratchStorageMode"] == "LOCAL"
    runs = answer(aws("omics", "list-runs-in-batch", "--batch-id", batch_id, "--page-size", "2"))["runs"]
    assert sorted(run["runSettingId"] for run in runs) == ["S0", "S1", "S2", "S3", "S4"]
    listed = answer(aws("omics", "list-runs", "--batch-id", batch_id, "--query", "items[].name"))
    assert sorted(listed) == ["S0", "S1", "S2", "S3", "S4"]
    aws("omics", "delete-run-batch", "--batch-id", batch_id)
    emulator.advance(10_000)
    aws("omics", "delete-batch", "--batch-id", batch_id)


def test_a_workflow(aws: Program, tmp_path: Path) -> None:
    """Uploaded from a file, ACTIVE by the CLI's waiter, its parameters read, exported as it was; so is a version."""
    source = pack({"main.wdl": "version 1.0\nworkflow greet {\n  input { String who }\n}\n"})
    (tmp_path / "greet.zip").write_bytes(source)
    workflow_id = answer(aws("omics", "create-workflow", "--name", "greet", "--definition-zip", "fileb://greet.zip"))[
        "id"
    ]
    aws("omics", "wait", "workflow-active", "--id", workflow_id)
    told = answer(aws("omics", "get-workflow", "--id", workflow_id, "--export", "DEFINITION"))

    assert (told["engine"], list(told["parameterTemplate"])) == ("WDL", ["who"])
    with urllib.request.urlopen(told["definition"]) as exported:  # noqa: S310  # the emulator's own URL
        assert exported.read() == source
    version = ("--workflow-id", workflow_id, "--version-name", "1.1", "--definition-zip", "fileb://greet.zip")
    aws("omics", "create-workflow-version", *version)
    aws("omics", "wait", "workflow-version-active", "--workflow-id", workflow_id, "--version-name", "1.1")
    listed = answer(aws("omics", "list-workflow-versions", "--workflow-id", workflow_id))["items"]
    assert [item["versionName"] for item in listed] == ["1.1"]


def test_a_release(aws: Program, emulator: OmicsEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This package's release, seen from beside it: one workflow, one version, its digest and tags, and a run of it."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", emulator.connection_json)
    folder = tmp_path / "greet"
    folder.mkdir()
    (folder / "main.wdl").write_text("version 1.0\nworkflow greet {\n  input { String who }\n}\n")
    words = ("release", "greet", str(folder), "--engine", "WDL", "--tag", "team=genomics", "--poll-interval", "0.1")
    first, again = (released(words, tmp_path) for _ in range(2))

    ids = ("--workflow-id", first["workflow_id"], "--version-name", first["workflow_version_name"])
    version = answer(aws("omics", "get-workflow-version", *ids))
    assert (version["status"], version["digest"]) == ("ACTIVE", first["digest"])
    assert version["tags"]["airflow:definition_digest"] == first["source_digest"]
    assert (version["tags"]["team"], list(version["parameterTemplate"])) == ("genomics", ["who"])
    assert (first["created"], again) == (True, {**first, "created": False})
    named = answer(aws("omics", "list-workflows", "--name", "greet", "--query", "items[].id"))
    versions = answer(aws("omics", "list-workflow-versions", "--workflow-id", first["workflow_id"]))["items"]
    assert (named, len(versions)) == ([first["workflow_id"]], 1)
    ids = ("--workflow-id", first["workflow_id"], "--workflow-version-name", first["workflow_version_name"])
    place = ("--role-arn", ROLE, "--output-uri", f"s3://{BUCKET}/runs", "--parameters", '{"who": "Ada"}')
    assert answer(aws("omics", "start-run", *ids, *place))["status"] == "PENDING"


def released(words: tuple[str, ...], home: Path) -> Any:
    """Run this package's command as a pipeline of continuous integration does."""
    environment = {**os.environ, "AIRFLOW_HOME": str(home / "airflow"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "airflow_provider_omics", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return answer(done)


def test_prices(aws: Program) -> None:
    """Of the AWS Price List, which is invented here."""
    instance = "Type=TERM_MATCH,Field=resourceType,Value=omics.c.large"
    products = answer(aws("pricing", "get-products", "--service-code", "AmazonOmics", "--filters", instance))

    assert {json.loads(each)["product"]["attributes"]["resourceType"] for each in products["PriceList"]} == {
        "omics.c.large"
    }


def test_status_changes(aws: Program, emulator: OmicsEmulator, started: Callable[..., str]) -> None:
    """A rule sends them to a queue."""
    sqs = partial(aws, "--endpoint-url", emulator.url, "sqs")
    url = answer(sqs("create-queue", "--queue-name", "changes"))["QueueUrl"]
    attributes = answer(sqs("get-queue-attributes", "--queue-url", url, "--attribute-names", "QueueArn"))
    pattern = json.dumps({"source": ["aws.omics"], "detail-type": ["Run Status Change"]})
    aws("events", "put-rule", "--name", "runs", "--event-pattern", pattern)
    aws("events", "put-targets", "--rule", "runs", "--targets", f"Id=1,Arn={attributes['Attributes']['QueueArn']}")
    run_id = started()
    received = answer(sqs("receive-message", "--queue-url", url, "--max-number-of-messages", "10"))["Messages"]
    details: list[Any] = [json.loads(message["Body"])["detail"] for message in received]

    assert {detail["runId"] for detail in details} == {run_id}
    assert {"PENDING", "COMPLETED"} <= {detail["status"] for detail in details}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("get-run", "--id", "9999999"), "(ResourceNotFoundException) when calling the GetRun operation"),
        (("list-sequence-stores",), "(NotEmulated) when calling the ListSequenceStores operation"),
        (
            ("start-run", "--workflow-id", "1234567", "--role-arn", "none", "--output-uri", f"s3://{BUCKET}"),
            "(ValidationException) when calling the StartRun operation",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_refusals(aws: Program, words: tuple[str, ...], told: str) -> None:
    """With AWS's code, and the exit status of a service's error."""
    assert told in aws("omics", *words, status=255).stderr
