"""miniwdl-omics-run: a WDL on this machine becomes a workflow, a version of it, and a run.

Faults that are its own:

- ``--cache-behavior no`` sends ``NO_CACHE``; the API has CACHE_ON_FAILURE and CACHE_ALWAYS.
- ``--role NAME`` asks IAM, which is not emulated: ``--role-arn`` does without.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.conftest import BUCKET, INSTALLED, ROLE, Program, answer

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

MAIN = """version 1.0
import "tasks/hello.wdl" as tasks
workflow greet {
  input {
    String who
    Int times = 3
  }
  call tasks.hello { input: who = who, times = times }
}
"""
TASK = """version 1.0
task hello {
  input { String who Int times }
  command <<< echo ~{who} ~{times} >>>
  runtime { docker: "123456789012.dkr.ecr.us-east-1.amazonaws.com/hello:1" }
}
"""
PLACE = ("--role-arn", ROLE, "--output-uri", f"s3://{BUCKET}/runs")


@pytest.fixture
def miniwdl(program: Program, tmp_path: Path) -> Program:
    """The program, and a WDL that imports another one."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "greet.wdl").write_text(MAIN)
    (tmp_path / "tasks" / "hello.wdl").write_text(TASK)
    return partial(program, str(INSTALLED / "miniwdl-omics-run" / "bin" / "miniwdl-omics-run"))


def test_a_run(miniwdl: Program, emulator: OmicsEmulator) -> None:
    """Workflow and version are made once; the run has them, and all that was asked for."""
    omics = emulator.client()
    group = omics.create_run_group(name="lab")["id"]
    cache = omics.create_run_cache(name="kept", cacheS3Location=f"s3://{BUCKET}/cache")["id"]
    more = [
        *("--name", "hi", "--run-group", "lab", "--cache", "kept", "--cache-behavior", "always", "--tag", "a=b"),
        *("--scratch-storage-mode", "LOCAL", "--storage-type", "static", "--storage-capacity", "1200"),
    ]
    first = answer(miniwdl("greet.wdl", "who=Ada", *PLACE, *more))
    second = answer(miniwdl("greet.wdl", "who=Grace", "times=2", *PLACE))
    run, again = (omics.get_run(id=each["runId"]) for each in (first, second))

    assert (run["runGroupId"], run["cacheId"], run["cacheBehavior"]) == (group, cache, "CACHE_ALWAYS")
    assert (run["scratchStorageMode"], run["storageType"], run["storageCapacity"]) == ("LOCAL", "STATIC", 1200)
    assert (run["name"], run["tags"], run["parameters"]) == ("hi", {"a": "b"}, {"who": "Ada"})
    assert again["parameters"] == {"who": "Grace", "times": 2}
    for key in ("workflowId", "workflowVersionName"):
        assert first[key] == second[key] == run[key]
    assert emulator.calls["CreateWorkflow"] == emulator.calls["CreateWorkflowVersion"] == 1


def test_a_changed_definition_is_a_new_version(miniwdl: Program, emulator: OmicsEmulator, tmp_path: Path) -> None:
    """Of the workflow of the same name."""
    first = answer(miniwdl("greet.wdl", "who=Ada", *PLACE))
    (tmp_path / "tasks" / "hello.wdl").write_text(TASK.replace("echo", "printf"))
    second = answer(miniwdl("greet.wdl", "who=Ada", *PLACE))

    assert first["workflowId"] == second["workflowId"]
    assert first["workflowVersionName"] != second["workflowVersionName"]
    assert len(emulator.client().list_workflow_versions(workflowId=first["workflowId"])["items"]) == 2


def test_build_alone(miniwdl: Program, emulator: OmicsEmulator) -> None:
    """The workflow has the parameters of the WDL, and no run is started."""
    omics = emulator.client()
    told = omics.get_workflow(id=answer(miniwdl("--build", "greet.wdl"))["workflowId"])

    assert (told["engine"], told["main"]) == ("WDL", "greet.wdl")
    template = {name: entry["optional"] for name, entry in told["parameterTemplate"].items() if "." not in name}
    assert template == {"who": False, "times": True}
    assert omics.list_runs()["items"] == []


def test_without_a_cache_is_no_behaviour(miniwdl: Program, emulator: OmicsEmulator) -> None:
    """Its own fault: the value that it sends is refused, as AWS would, and no run is started."""
    emulator.client().create_run_cache(name="kept", cacheS3Location=f"s3://{BUCKET}/cache")
    words = ("greet.wdl", "who=Ada", *PLACE, "--cache", "kept", "--cache-behavior", "no")

    assert "(ValidationException)" in miniwdl(*words, status=1).stderr
    assert emulator.client().list_runs()["items"] == []
