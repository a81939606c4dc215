from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator.definitions.archive import pack

if TYPE_CHECKING:
    from collections.abc import Callable

ZIP = base64.b64encode(pack({"main.nf": "workflow { }"})).decode()


def put_definition(omics: Any, body: bytes) -> None:
    """Write the object s3://code/w.zip."""
    omics.surroundings.put_object("123456789012", "us-east-1", "code", "w.zip", body)


#: Noun, CreateX parameters, UpdateX parameters, name of the list operation.
RESOURCES = [
    (
        "RunGroup",
        {"name": "g", "maxCpus": 8, "maxRuns": 2, "maxGpus": 1, "maxDuration": 60},
        {"maxCpus": 9},
        "RunGroups",
    ),
    (
        "RunCache",
        {"name": "c", "cacheS3Location": "s3://cache/x", "description": "d", "cacheBucketOwnerId": "111122223333"},
        {"cacheBehavior": "CACHE_ALWAYS", "name": "c2"},
        "RunCaches",
    ),
    (
        "Workflow",
        {
            "name": "w",
            "engine": "WDL",
            "definitionUri": "s3://code/w.zip",
            "main": "main.wdl",
            "description": "d",
            "parameterTemplate": {"a": {"description": "A", "optional": True}},
            "storageType": "STATIC",
            "storageCapacity": 2400,
            "accelerators": "GPU",
        },
        {"name": "w2", "storageType": "DYNAMIC", "description": "e"},
        "Workflows",
    ),
]
NOT_TOLD = {"cacheS3Location", "definitionUri"}


@pytest.mark.parametrize(("noun", "given", "update", "listing"), RESOURCES)
def test_resource_lives(omics: Any, noun: str, given: dict[str, Any], update: dict[str, Any], listing: str) -> None:
    """Created, told, updated, listed, deleted; then it is not found."""
    made = omics(f"Create{noun}", requestId="r", tags={"x": "y"}, **given)
    told = omics(f"Get{noun}", id=made["id"])
    for key, value in given.items():
        if key not in NOT_TOLD:
            assert told[key] == value
    assert (told["arn"], told["tags"]) == (made["arn"], {"x": "y"})
    assert omics(f"Update{noun}", id=made["id"], **update) == {}
    assert update.items() <= omics(f"Get{noun}", id=made["id"]).items()
    assert made["id"] in [item["id"] for item in omics.pages(f"List{listing}")]
    assert omics(f"Delete{noun}", id=made["id"]) == {}
    assert made["id"] not in [item["id"] for item in omics.pages(f"List{listing}")]
    for operation in ("Get", "Update", "Delete"):
        assert omics.refuses(f"{operation}{noun}", id=made["id"]) == "ResourceNotFoundException"


@pytest.mark.parametrize(("noun", "given", "_update", "listing"), RESOURCES)
def test_resources_are_listed_in_pages(
    omics: Any, noun: str, given: dict[str, Any], _update: dict[str, Any], listing: str
) -> None:
    """Pages of one tell each resource once, in the order of creation."""
    made = [omics(f"Create{noun}", requestId=f"r{number}", **given)["id"] for number in range(3)]
    listed = [item["id"] for item in omics.pages(f"List{listing}", maxResults=1)]
    assert [identifier for identifier in listed if identifier in made] == made


@pytest.mark.parametrize(("noun", "given", "_update", "listing"), RESOURCES)
def test_resources_are_limited(
    make_omics: Callable[..., Any], noun: str, given: dict[str, Any], _update: dict[str, Any], listing: str
) -> None:
    """One more than the quota is a ServiceQuotaExceededException."""
    limit = {"RunGroups": "run_groups", "RunCaches": "run_caches", "Workflows": "workflows"}[listing]
    omics = make_omics({"limits": {limit: 1}, "workflows": []})
    omics(f"Create{noun}", requestId="r0", **given)
    assert omics.refuses(f"Create{noun}", requestId="r1", **given) == "ServiceQuotaExceededException"


def test_lists_select_by_name(omics: Any) -> None:
    """ListRunGroups and ListWorkflows take a name."""
    for number, name in enumerate("aba"):
        omics("CreateRunGroup", name=name, requestId=f"r{number}")
    assert len(omics.pages("ListRunGroups", name="a")) == 2
    assert [item["id"] for item in omics.pages("ListWorkflows", name="rnaseq")] == ["4567890"]


def test_group_with_active_runs_stays(omics: Any) -> None:
    """DeleteRunGroup is refused until the group's runs have ended."""
    group = omics("CreateRunGroup", requestId="g")["id"]
    run_id = omics.start_run(runGroupId=group)["id"]
    assert omics.refuses("DeleteRunGroup", id=group) == "ConflictException"
    omics.advance(700)
    assert omics.refuses("DeleteRunGroup", id=group) == ""
    assert omics.run(run_id)["runGroupId"] == group


def test_deleted_run_leaves_its_group_and_its_batch(omics: Any) -> None:
    """A deleted run is in no list of its group or batch."""
    group = omics("CreateRunGroup", requestId="g")["id"]
    batch_id = omics.start_batch(2, {"runGroupId": group})
    omics.advance(1000)
    first, second = (run["id"] for run in omics.pages("ListRuns", runGroupId=group))
    omics("DeleteRun", id=first)
    assert [run["id"] for run in omics.pages("ListRuns", runGroupId=group)] == [second]
    assert [run["id"] for run in omics.pages("ListRuns", batchId=batch_id)] == [second]
    omics.service.remove_run(second)
    assert omics.pages("ListRuns", batchId=batch_id) == omics.pages("ListRuns", runGroupId=group) == []


def test_caches_behavior_is_the_default_of_its_runs(omics: Any) -> None:
    """A run with a cache tells the cache's behaviour unless it has its own."""
    cache = omics("CreateRunCache", requestId="c", cacheS3Location="s3://cache")["id"]
    assert omics.run(omics.start_run(cacheId=cache)["id"])["cacheBehavior"] == "CACHE_ON_FAILURE"
    own = omics.start_run(cacheId=cache, cacheBehavior="CACHE_ALWAYS")["id"]
    assert omics.run(own)["cacheBehavior"] == "CACHE_ALWAYS"


@pytest.mark.parametrize(("name", "status"), [("good", "ACTIVE"), ("bad-one", "FAILED")])
def test_workflow_is_created_in_time(make_omics: Callable[..., Any], name: str, status: str) -> None:
    """A workflow is CREATING, then ACTIVE, or FAILED as the scenario says; before, no run starts."""
    creation = {"seconds": 7, "failures": {"bad-*": "No main file"}}
    omics = make_omics({"workflow_creation": creation})
    made = omics("CreateWorkflow", name=name, definitionZip=ZIP, requestId="r")
    assert made["status"] == "CREATING"
    request = {"workflowId": made["id"], "roleArn": "arn:aws:iam::123456789012:role/r", "outputUri": "s3://o"}
    assert omics.refuses("StartRun", requestId="s", **request) == "ResourceNotFoundException"
    omics.advance(7)
    told = omics("GetWorkflow", id=made["id"])
    assert (told["status"], told.get("statusMessage")) == (status, None if status == "ACTIVE" else "No main file")
    assert omics.refuses("StartRun", requestId="s", **request) == (
        "" if status == "ACTIVE" else "ResourceNotFoundException"
    )


@pytest.mark.parametrize("source", [{}, {"definitionUri": "s3://code/w.zip", "definitionZip": ZIP}])
def test_workflow_has_one_source(omics: Any, source: dict[str, Any]) -> None:
    """CreateWorkflow and CreateWorkflowVersion take exactly one source of the definition."""
    assert omics.refuses("CreateWorkflow", requestId="r", **source) == "ValidationException"
    version = {"workflowId": "1234567", "versionName": "v", "requestId": "r"}
    assert omics.refuses("CreateWorkflowVersion", **version, **source) == "ValidationException"


def test_template_of_a_created_workflow_holds(omics: Any) -> None:
    """A parameterTemplate given to CreateWorkflow is enforced."""
    put_definition(omics, pack({"main.nf": "params.c = 1"}))
    template = {"a": {"optional": False}, "b": {"optional": True}}
    source = {"definitionUri": "s3://code/w.zip", "parameterTemplate": template}
    workflow = omics("CreateWorkflow", requestId="r", **source)["id"]
    omics.advance(5)
    request = {"workflowId": workflow, "roleArn": "arn:aws:iam::123456789012:role/r", "outputUri": "s3://o"}
    codes = [
        omics.refuses("StartRun", requestId=f"{parameters}", parameters=parameters, **request)
        for parameters in ({"a": 1}, {"a": None, "b": 1}, {"b": 1}, {"a": 1, "c": 1})
    ]
    assert codes == ["", "", "ValidationException", "ValidationException"]


def test_workflow_versions_live(make_omics: Callable[..., Any]) -> None:
    """Versions are created once by name, told, updated, listed, used by runs and deleted."""
    omics = make_omics({"limits": {"versions_per_workflow": 2}})
    definition = pack({"main.cwl": "{cwlVersion: v1.2, class: Workflow, inputs: [], outputs: [], steps: []}"})
    put_definition(omics, definition)
    version = {"workflowId": "1234567", "definitionUri": "s3://code/w.zip", "engine": "CWL", "description": "d"}
    made = omics("CreateWorkflowVersion", versionName="v1", requestId="r1", **version)
    assert omics.refuses("CreateWorkflowVersion", versionName="v1", requestId="r2", **version) == "ConflictException"
    omics("CreateWorkflowVersion", versionName="v2", requestId="r3", **version)
    assert (
        omics.refuses("CreateWorkflowVersion", versionName="v3", requestId="r4", **version)
        == "ServiceQuotaExceededException"
    )
    omics.advance(5)
    key = {"workflowId": "1234567", "versionName": "v1"}
    told = omics("GetWorkflowVersion", **key)
    assert (told["status"], told["engine"], told["arn"]) == ("ACTIVE", "CWL", made["arn"])
    omics("UpdateWorkflowVersion", **key, description="e")
    exported = omics("GetWorkflowVersion", **key, export=["DEFINITION"])["definition"]
    assert omics.surroundings.published[exported.rpartition("/")[2]] == definition
    listed = omics.pages("ListWorkflowVersions", workflowId="1234567", maxResults=1)
    assert [(item["versionName"], item["description"]) for item in listed] == [("v1", "e"), ("v2", "d")]
    run = omics.run(omics.start_run(workflowVersionName="v1")["id"])
    assert (run["workflowVersionName"], run["workflowUuid"]) == ("v1", omics("GetWorkflow", id="1234567")["uuid"])
    assert run["workflowUuid"] != made["uuid"]
    omics("DeleteWorkflowVersion", **key)
    assert omics.refuses("GetWorkflowVersion", **key) == "ResourceNotFoundException"


def test_kinds_of_workflows_are_told_apart(omics: Any) -> None:
    """READY2RUN and shared workflows are found by those who name type and owner."""
    assert omics.refuses("GetWorkflow", id="9500764") == "ResourceNotFoundException"
    assert omics("GetWorkflow", id="9500764", type="READY2RUN")["type"] == "READY2RUN"
    assert [item["id"] for item in omics.pages("ListWorkflows", type="READY2RUN")] == ["9500764"]
    assert "9500764" not in [item["id"] for item in omics.pages("ListWorkflows")]
    assert omics.refuses("GetWorkflow", id="5678901") == "ResourceNotFoundException"
    shared = omics("GetWorkflow", id="5678901", workflowOwnerId="111122223333")
    assert ":111122223333:workflow/" in shared["arn"]


def test_tags_of_every_resource(omics: Any) -> None:
    """TagResource, UntagResource and ListTagsForResource work on each kind of resource."""
    group = omics("CreateRunGroup", requestId="g")["arn"]
    cache = omics("CreateRunCache", requestId="c", cacheS3Location="s3://cache")["arn"]
    workflow = omics("CreateWorkflow", requestId="w", definitionUri="s3://code/w.zip")
    version = {"workflowId": workflow["id"], "versionName": "v", "definitionUri": "s3://code/w.zip"}
    version_arn = omics("CreateWorkflowVersion", requestId="v", **version)["arn"]
    batch = omics.batch(omics.start_batch(1))["arn"]
    for arn in (omics.start_run()["arn"], batch, group, cache, workflow["arn"], version_arn):
        omics("TagResource", resourceArn=arn, tags={"a": "1", "b": "2"})
        omics("TagResource", resourceArn=arn, tags={"b": "3"})
        assert omics("ListTagsForResource", resourceArn=arn) == {"tags": {"a": "1", "b": "3"}}
        omics("UntagResource", resourceArn=arn, tagKeys=["a", "z"])
        assert omics("ListTagsForResource", resourceArn=arn) == {"tags": {"b": "3"}}


def test_tagging_one_run_leaves_its_siblings_alone(omics: Any) -> None:
    """Runs of a batch have the same tags, but each its own."""
    batch_id = omics.start_batch(2, {"runTags": {"x": "y"}})
    omics.advance(10)
    first, second = (entry["runArn"] for entry in omics.entries(batch_id))
    omics("TagResource", resourceArn=first, tags={"z": "1"})
    assert omics("ListTagsForResource", resourceArn=second) == {"tags": {"x": "y"}}


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:omics:us-east-1:123456789012:run/1", "ResourceNotFoundException"),
        ("arn:aws:omics:us-west-2:123456789012:workflow/1234567", "ResourceNotFoundException"),
        ("arn:aws:omics:us-east-1:111122223333:workflow/1234567", "ResourceNotFoundException"),
        ("arn:aws:omics:us-east-1:123456789012:workflow/1234567/version/v", "ResourceNotFoundException"),
        ("arn:aws:omics:us-east-1:123456789012:readSet/1", "ResourceNotFoundException"),
        ("arn:aws:s3:::bucket", "ValidationException"),
        ("arn:nonsense", "ValidationException"),
    ],
)
def test_tags_need_a_resource(omics: Any, arn: str, code: str) -> None:
    """An ARN of nothing, of another account or region, or of another service is refused."""
    assert omics.refuses("ListTagsForResource", resourceArn=arn) == code


def test_tags_are_limited(omics: Any) -> None:
    """A resource has at most 50 tags, however they came."""
    arn = omics.start_run(tags={str(number): "" for number in range(50)})["arn"]
    assert omics.refuses("TagResource", resourceArn=arn, tags={"0": "new"}) == ""
    assert omics.refuses("TagResource", resourceArn=arn, tags={"50": ""}) == "ValidationException"
