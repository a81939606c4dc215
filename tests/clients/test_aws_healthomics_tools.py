"""aws-healthomics-tools: ``rerun`` and ``run_analyzer``, which read a run's manifest from its log.

Faults that are its own:

- ``run_analyzer --cloudwatch`` asks ``https://monitoring.REGION.amazonaws.com`` whatever ``AWS_ENDPOINT_URL`` says, so
  it is not tried; without an answer it goes on with the manifest.
- The row of the run in ``run_analyzer`` has the price of its storage only: users expect the sum of its tasks there.
- A task's price is that of at least a minute, as AWS bills it; a DYNAMIC run of less than two hours has no use of
  storage in its manifest, so its storage costs 0.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.conftest import BUCKET, INSTALLED, ROLE, Program, answer

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

RNASEQ = {"workflowId": "4567890", "workflowVersionName": "3.14.0", "parameters": {"input": f"s3://{BUCKET}/sheet.csv"}}
# What the scenario's default has run for.
TASKS = {"FASTQC": "omics.c.large", "ALIGN": "omics.m.2xlarge", "MULTIQC": "omics.c.large"}


@pytest.fixture
def tools(program: Program) -> Program:
    """The program ``aws-healthomics-tools``."""
    return partial(program, str(INSTALLED / "aws-healthomics-tools" / "bin" / "aws-healthomics-tools"))


def rows(text: str) -> list[dict[str, str]]:
    """Read a table that was printed."""
    return list(csv.DictReader(text.splitlines()))


@pytest.mark.parametrize(
    "more",
    [
        {"workflowId": "1234567", "parameters": {"depth": 30}},
        RNASEQ,
        {**RNASEQ, "storageType": "STATIC", "storageCapacity": 2400, "priority": 3, "retentionMode": "REMOVE"},
    ],
    ids=["workflow", "version", "static"],
)
def test_rerun_is_the_same_run_again(
    tools: Program, emulator: OmicsEmulator, started: Callable[..., str], more: dict[str, Any]
) -> None:
    """All that it asks for again is what the first run had, though that is deleted."""
    omics = emulator.client()
    # The last two are defaults, which a manifest has, and GetRun only where they were asked for.
    run_id = started(**{"name": "NA12878", "logLevel": "ALL", "retentionMode": "RETAIN", **more})
    first = omics.get_run(id=run_id)
    omics.delete_run(id=run_id)
    response = tools("rerun", run_id).stdout.partition("StartRun response:\n")[2]
    again = omics.get_run(id=json.loads(response)["id"])

    same = [
        *("workflowId", "workflowVersionName", "workflowUuid", "digest", "parameters", "roleArn", "outputUri", "name"),
        *("storageType", "storageCapacity", "priority", "logLevel", "retentionMode"),
    ]
    assert {key: again.get(key) for key in same} == {key: first.get(key) for key in same}


def test_rerun_of_a_run_with_group_and_cache(
    tools: Program, emulator: OmicsEmulator, started: Callable[..., str]
) -> None:
    """Both come from their ARNs in the manifest; options win over the first run."""
    omics = emulator.client()
    group = omics.create_run_group(name="g")["id"]
    cache = omics.create_run_cache(cacheS3Location=f"s3://{BUCKET}/cache", cacheBehavior="CACHE_ALWAYS")["id"]
    run_id = started(runGroupId=group, cacheId=cache)
    options = ("--name", "again", "--parameter", "align.depth=30", "--storage-type", "STATIC")
    text = tools("rerun", run_id, *options).stdout
    again = omics.get_run(id=json.loads(text.partition("StartRun response:\n")[2])["id"])

    assert "Original request:" in text
    assert (again["runGroupId"], again["cacheId"], again["cacheBehavior"]) == (group, cache, "CACHE_ALWAYS")
    assert (again["name"], again["parameters"], again["storageType"]) == ("again", {"align": {"depth": "30"}}, "STATIC")


def test_dry_run_starts_nothing(tools: Program, emulator: OmicsEmulator, started: Callable[..., str]) -> None:
    """It shows the request."""
    run_id = started(**RNASEQ)
    request = json.loads(tools("rerun", run_id, "--dry-run").stdout.partition("StartRun request:\n")[2])

    assert (request["workflowId"], request["workflowVersionName"]) == ("4567890", "3.14.0")
    assert (request["roleArn"], request["workflowType"]) == (ROLE, "PRIVATE")
    assert len(emulator.client().list_runs()["items"]) == 1


def test_analysis_of_a_run(tools: Program, started: Callable[..., str]) -> None:
    """A row for the run and for each task, with instance types, prices and what was used."""
    run_id = started(storageType="STATIC", storageCapacity=2000)
    of_run, *of_tasks = rows(tools("run_analyzer", run_id).stdout)

    assert (of_run["type"], of_run["arn"].rpartition("/")[2]) == ("run", run_id)
    assert float(of_run["storageReservedGiB"]) == 2400
    assert {row["name"]: row["omicsInstanceTypeReserved"] for row in of_tasks} == TASKS
    for row in [of_run, *of_tasks]:
        assert float(row["estimatedUSD"]) >= float(row["minimumUSD"]) > 0
    for row in of_tasks:
        assert 0 < float(row["cpuUtilizationRatio"]) <= 1
        assert 0 < float(row["memoryUtilizationRatio"]) <= 1


def test_analysis_of_several_runs(tools: Program, started: Callable[..., str]) -> None:
    """Tasks of one name are one row."""
    table = rows(tools("run_analyzer", "--batch", *(started() for _ in range(3))).stdout)

    assert {row["name"]: row["recommendOmicsInstanceType"] for row in table} == TASKS
    assert {row["count"] for row in table} == {"3"}


def test_timeline(tools: Program, started: Callable[..., str], tmp_path: Path) -> None:
    """As a table, a row for each task in their order; and as a page."""
    run_id = started()
    table = rows(tools("run_analyzer", "--timeline", run_id).stdout)
    tools("run_analyzer", run_id, "--plot", "out")
    (page,) = (tmp_path / "out").glob("*.html")

    assert [row["resource"].partition("name=")[2].partition(",")[0] for row in table] == list(TASKS)
    assert all(float(row["running"]) > 0 for row in table)
    begun = [float(row["pending"]) + float(row["starting"]) for row in table]
    assert begun == sorted(begun)
    assert all(name in page.read_text() for name in TASKS)


def test_recommended_configuration(tools: Program, started: Callable[..., str], tmp_path: Path) -> None:
    """Of a Nextflow run: the engine is asked of the workflow."""
    tools("run_analyzer", started(**RNASEQ), "--write-config", "sizes.config")
    text = (tmp_path / "sizes.config").read_text()

    assert all(f"withName: {name}" in text for name in TASKS)


def test_resources_are_shown(tools: Program, started: Callable[..., str]) -> None:
    """The manifest as it is: the run, and its tasks."""
    run_id = started()
    shown = answer(tools("run_analyzer", run_id, "--show"))

    assert sorted(item["name"] for item in shown if "name" in item and "workflow" not in item) == sorted(TASKS)
    assert [item["arn"].rpartition("/")[2] for item in shown if "workflow" in item] == [run_id]


def test_unknown_run(tools: Program, started: Callable[..., str]) -> None:
    """Is said by both."""
    started()
    assert "run 9999999 not found" in tools("run_analyzer", "9999999", status=1).stderr
    assert "no matching workflow runs" in tools("rerun", "9999999", status=1).stderr
