from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.settings.fields import Place
from tests.model_support import is_sendable, sendable

if TYPE_CHECKING:
    from collections.abc import Callable

Scripted = dict[str, Any]

ROLE = "arn:aws:iam::123456789012:role/r"


def test_get_run_gives_back_what_was_asked(make_omics: Callable[..., Any]) -> None:
    """GetRun tells each setting that StartRun took."""
    omics = make_omics({"configurations": ["vpc-1"]})
    cache = omics("CreateRunCache", cacheS3Location="s3://cache", requestId="c")["id"]
    group = omics("CreateRunGroup", name="g", requestId="g")["id"]
    everything = {
        "name": "sample-1",
        "cacheId": cache,
        "cacheBehavior": "CACHE_ALWAYS",
        "runGroupId": group,
        "priority": 0,
        "parameters": {"reads": ["s3://a", None, 1.5, {"deep": True}]},
        "logLevel": "ALL",
        "tags": {"team": "genomics"},
        "retentionMode": "REMOVE",
        "storageType": "DYNAMIC",
        "networkingMode": "VPC",
        "scratchStorageMode": "LOCAL",
        "sessionPolicy": "{}",
        "engineSettings": {"engineVersion": "24.10"},
        "outputUriPrefixMode": "SERVICE_DEFINED",
        "requesterPaysEnabled": False,
        "configurationName": "vpc-1",
        "outputUri": "s3://results/runs/",
    }
    asked = sendable(Place.START_RUN, everything)
    started = omics.start_run(**asked)
    run = omics.run(started["id"])
    name = asked.pop("configurationName", None)
    assert {key: run[key] for key in asked} == asked
    assert run["engineVersion"] == ("24.10.0" if "engineSettings" in asked else "25.10.0")
    assert run["runOutputUri"] == started["runOutputUri"] == f"s3://results/runs/{started['id']}"
    assert run.get("configuration") == started.get("configuration")
    assert run.get("configuration", {}).get("name") == name
    assert started.get("networkingMode") == asked.get("networkingMode")
    assert (run["uuid"], run["arn"]) == (started["uuid"], started["arn"])


@pytest.mark.parametrize(
    "absent",
    [
        "scratchStorageMode",
        "networkingMode",
        "runGroupId",
        "batchId",
        "name",
        "parameters",
        "failureReason",
        "definition",
    ],
)
def test_get_run_leaves_out_what_was_not_asked(omics: Any, absent: str) -> None:
    """A setting that was not sent is not told: unset scratchStorageMode stays unset."""
    assert absent not in omics.run(omics.start_run()["id"])


def test_engine_settings_are_for_nextflow_only(omics: Any) -> None:
    """For WDL and CWL, engineSettings are passed over in silence, and there is no engineVersion."""
    asked = sendable(Place.START_RUN, {"engineSettings": {"profile": "test"}})
    run = omics.run(omics.start_run(workflowId="3456789", **asked)["id"])
    assert {"engineSettings", "engineVersion"}.isdisjoint(run)


def test_definition_is_exported_when_asked_for(omics: Any) -> None:
    """GetRun with export=["DEFINITION"] tells the definition."""
    assert "definition" in omics("GetRun", id=omics.start_run()["id"], export=["DEFINITION"])


@pytest.mark.parametrize(
    ("asked", "told"), [(None, 1200), (1, 1200), (1200, 1200), (1201, 2400), (2400, 2400), (9600, 9600), (5000, 7200)]
)
def test_static_storage_is_rounded_up(omics: Any, asked: int | None, told: int) -> None:
    """STATIC storage comes as 1,200 GiB or in multiples of 2,400."""
    more = {} if asked is None else {"storageCapacity": asked}
    assert omics.run(omics.start_run(storageType="STATIC", **more)["id"])["storageCapacity"] == told


@pytest.mark.parametrize(("running", "told"), [(7_000, False), (7_200, True)])
def test_dynamic_storage_is_told_for_long_runs_only(make_omics: Callable[..., Any], running: int, told: bool) -> None:
    """The storage that a DYNAMIC run has used is missing when it took less than two hours."""
    omics = make_omics({"runs": [{"running": running}]})
    run_id = omics.start_run(storageCapacity=1200)["id"]
    omics.advance(10_000)
    assert ("storageCapacity" in omics.run(run_id)) is told


@pytest.mark.parametrize(
    ("workflow", "asked", "told"),
    [("1234567", None, "DYNAMIC"), ("1234567", "STATIC", "STATIC"), ("4567890", None, "STATIC")],
)
def test_storage_type_comes_from_request_workflow_or_service(
    omics: Any, workflow: str, asked: str | None, told: str
) -> None:
    """The request wins over the workflow's default, that over the service's."""
    more = {} if asked is None else {"storageType": asked}
    run_id = omics.start_run(workflowId=workflow, parameters={"input": "x"}, **more)["id"]
    assert omics.run(run_id)["storageType"] == told


def test_duplicate_takes_the_old_runs_values(omics: Any) -> None:
    """StartRun with runId: the old run's settings are defaults, but for tags; new ones win."""
    scratch = sendable(Place.START_RUN, {"scratchStorageMode": "LOCAL"})
    old = omics.start_run(name="old", parameters={"a": 1}, priority=7, tags={"x": "y"}, **scratch)
    request = {"roleArn": "arn:aws:iam::123456789012:role/other", "outputUri": "s3://other", "requestId": "d"}
    new = omics.run(omics("StartRun", runId=old["id"], priority=9, **request)["id"])
    assert (new["runId"], new["workflowId"], new["name"]) == (old["id"], "1234567", "old")
    assert (new["parameters"], new["priority"]) == ({"a": 1}, 9)
    assert new.get("scratchStorageMode") == scratch.get("scratchStorageMode")
    assert (new["roleArn"], new["outputUri"], new["tags"]) == (request["roleArn"], "s3://other", {})


def test_duplicate_of_a_batchs_run_takes_the_merged_values(omics: Any) -> None:
    """A run of a batch is duplicated with the batch's and its own settings merged, and is in no batch."""
    default = {"parameters": {"a": 1, "b": 1}, "name": "default", "runTags": {"x": "y"}}
    batch_id = omics.start_batch([{"runSettingId": "S", "name": "own", "parameters": {"b": 2}}], default)
    omics.advance(10)
    old = omics.entries(batch_id)[0]["runId"]
    new = omics.run(omics("StartRun", runId=old, roleArn=ROLE, outputUri="s3://o", requestId="d")["id"])
    assert (new["name"], new["parameters"], new["tags"]) == ("own", {"a": 1, "b": 2}, {})
    assert "batchId" not in new


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"workflowId": "999"}, "ResourceNotFoundException"),
        ({"workflowVersionName": "1.0"}, "ResourceNotFoundException"),
        ({"workflowId": "9500764"}, "ResourceNotFoundException"),
        ({"workflowType": "READY2RUN"}, "ResourceNotFoundException"),
        ({"workflowId": "5678901"}, "ResourceNotFoundException"),
        ({"runGroupId": "999"}, "ResourceNotFoundException"),
        ({"cacheId": "999"}, "ResourceNotFoundException"),
        ({"cacheBehavior": "CACHE_ALWAYS"}, "ValidationException"),
        ({"networkingMode": "VPC"}, "ValidationException"),
        ({"outputUri": "https://results"}, "ValidationException"),
        ({"outputUri": "s3:///runs"}, "ValidationException"),
        ({"tags": {str(number): "" for number in range(51)}}, "ValidationException"),
        pytest.param({"parameters": {"long": "x" * 256_000}}, "ValidationException", id="256 kB of parameters"),
        ({"workflowId": "2345678"}, "ValidationException"),
        ({"workflowId": "2345678", "parameters": {"sample_name": "a"}}, "ValidationException"),
        (
            {"workflowId": "2345678", "parameters": {"sample_name": "a", "fastq_1": "b", "fastq1": "c"}},
            "ValidationException",
        ),
        ({"workflowId": "2345678", "parameters": {"sample_name": "a", "fastq_1": "b"}}, ""),
        ({"workflowId": "9500764", "workflowType": "READY2RUN"}, ""),
        ({"workflowId": "5678901", "workflowOwnerId": "111122223333"}, ""),
        ({"workflowOwnerId": "123456789012"}, ""),
        ({"workflowId": "4567890", "workflowVersionName": "3.18.0", "parameters": {"input": "x"}}, ""),
        (
            {"networkingMode": "VPC", "configurationName": "vpc"},
            "" if is_sendable(Place.START_RUN, "networkingMode") else "ValidationException",
        ),
        (
            {"networkingMode": "VPC", "configurationName": "vcp"},
            "ResourceNotFoundException" if is_sendable(Place.START_RUN, "networkingMode") else "ValidationException",
        ),
        ({"tags": {str(number): "" for number in range(50)}}, ""),
    ],
)
def test_what_start_run_checks(make_omics: Callable[..., Any], more: Scripted, code: str) -> None:
    """StartRun refuses what cannot run, and starts nothing then."""
    omics = make_omics({"configurations": ["vpc"]})
    request = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": "s3://o/p"}
    assert omics.refuses("StartRun", **{**request, "requestId": "r", **more}) == code
    assert len(omics.pages("ListRuns")) == (0 if code else 1)


@pytest.mark.parametrize("more", [{}, {"runId": "999"}])
def test_start_run_needs_a_workflow_or_a_run(omics: Any, more: Scripted) -> None:
    """StartRun without workflowId needs the id of a run that exists."""
    code = omics.refuses("StartRun", roleArn=ROLE, outputUri="s3://o", requestId="r", **more)
    assert code == ("ResourceNotFoundException" if more else "ValidationException")


@pytest.mark.parametrize("status", ["CREATING", "UPDATING", "DELETED", "FAILED", "INACTIVE"])
def test_workflow_must_be_active(make_omics: Callable[..., Any], status: str) -> None:
    """A workflow in any other status starts no run."""
    omics = make_omics({"workflows": [{"id": "1234567", "name": "w", "status": status}]})
    request = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": "s3://o"}
    assert omics.refuses("StartRun", requestId="r", **request) == "ResourceNotFoundException"


@pytest.mark.parametrize("owner", [None, "111122223333"])
@pytest.mark.parametrize("version", [None, "1.0"])
def test_unknown_workflows_may_be_accepted(
    make_omics: Callable[..., Any], owner: str | None, version: str | None
) -> None:
    """With accept_unknown_workflows every workflow id, owner and version exists."""
    more = {key: value for key, value in (("workflowOwnerId", owner), ("workflowVersionName", version)) if value}
    omics = make_omics({"accept_unknown_workflows": True})
    run = omics.run(omics.start_run(workflowId="424242", **more)["id"])
    assert {"workflowId": "424242", **more}.items() <= run.items()
