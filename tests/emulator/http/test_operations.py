"""Every operation through a real boto3 client, over HTTP and in process."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.session import Session

from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.emulator.api.service import OPERATIONS
from airflow_provider_omics.emulator.definitions.archive import pack
from airflow_provider_omics.emulator.http.wire import Wire
from tests.model_support import INSTALLED, sendable

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

BUCKET = "genomics-outputs"
ROLE = "arn:aws:iam::123456789012:role/omics"
OUTPUT = f"s3://{BUCKET}/runs"
LONG = 100_000.0
ZIP = pack({"main.wdl": "version 1.0\nworkflow rnaseq {\n}\n"})

SERVICE_MODEL = Session().get_service_model("omics")


class World:
    """One emulator and one client, and the things that the operations under test need to find."""

    def __init__(self, emulator: OmicsEmulator, client: Any) -> None:
        self.emulator = emulator
        self.client = client

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.client, xform_name(operation))(**parameters)
        self.status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
        return answer

    def workflow(self) -> str:
        made = self.call("CreateWorkflow", name="rnaseq", engine="WDL", definitionZip=ZIP)
        self.emulator.advance(LONG)
        return str(made["id"])

    def version(self) -> dict[str, str]:
        workflow = self.workflow()
        self.call("CreateWorkflowVersion", workflowId=workflow, versionName="1.0", definitionZip=ZIP)
        self.emulator.advance(LONG)
        return {"workflowId": workflow, "versionName": "1.0"}

    def run(self, seconds: float = 0) -> str:
        run = self.call("StartRun", workflowId="1234567", roleArn=ROLE, outputUri=OUTPUT, name="S1", tags={"a": "b"})
        self.emulator.advance(seconds)
        return str(run["id"])

    def batch(self, seconds: float = 0) -> str:
        batch = self.call(
            "StartRunBatch",
            batchName="nightly",
            defaultRunSetting={"workflowId": "1234567", "roleArn": ROLE, "outputUri": OUTPUT},
            batchRunSettings={"inlineSettings": [{"runSettingId": "S1"}, {"runSettingId": "S2", "priority": 3}]},
        )
        self.emulator.advance(seconds)
        return str(batch["id"])

    def group(self) -> str:
        return str(self.call("CreateRunGroup", name="urgent", maxRuns=2)["id"])

    def cache(self) -> str:
        return str(self.call("CreateRunCache", cacheS3Location=f"s3://{BUCKET}/cache/", name="cache")["id"])

    def configuration(self) -> str:
        vpc = {"vpcConfig": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}}
        made = self.call("CreateConfiguration", name="vpc", runConfigurations=vpc)
        self.emulator.advance(LONG)
        return str(made["name"])

    def run_arn(self) -> str:
        return str(self.call("GetRun", id=self.run())["arn"])

    def task(self) -> dict[str, str]:
        run = self.run(LONG)
        return {"id": run, "taskId": self.call("ListRunTasks", id=run)["items"][0]["taskId"]}


class Case(NamedTuple):
    """How to call an operation, and what its answer must hold.

    :param arrange: makes what it needs; returns its parameters.
    :param expected: members of the answer; a callable judges the value.
    """

    arrange: Callable[[World], dict[str, Any]]
    expected: dict[str, Any]


def has(count: int) -> Callable[[Any], bool]:
    return lambda items: len(items) == count


CASES: dict[str, Case] = {
    "StartRun": Case(
        lambda _: sendable(
            Place.START_RUN,
            {"workflowId": "1234567", "roleArn": ROLE, "outputUri": OUTPUT, "scratchStorageMode": "LOCAL"},
        ),
        {"status": "PENDING", "uuid": uuid.UUID, "runOutputUri": str},
    ),
    "GetRun": Case(
        lambda world: {"id": world.run()}, {"status": "PENDING", "name": "S1", "tags": {"a": "b"}, "roleArn": ROLE}
    ),
    "ListRuns": Case(lambda world: {"name": "S1"} if world.run() else {}, {"items": has(1)}),
    "CancelRun": Case(lambda world: {"id": world.run()}, {}),
    "DeleteRun": Case(lambda world: {"id": world.run(LONG)}, {}),
    "ListRunTasks": Case(lambda world: {"id": world.run(LONG), "status": "COMPLETED"}, {"items": has(3)}),
    "GetRunTask": Case(lambda world: world.task(), {"status": "COMPLETED", "cpus": int, "logStream": str}),
    "StartRunBatch": Case(
        lambda _: {
            "defaultRunSetting": {"workflowId": "1234567", "roleArn": ROLE, "outputUri": OUTPUT},
            "batchRunSettings": {"inlineSettings": [{"runSettingId": "S1"}]},
            "tags": {"a": "b"},
        },
        {"status": "CREATING", "uuid": uuid.UUID, "tags": {"a": "b"}},
    ),
    "GetBatch": Case(
        lambda world: {"batchId": world.batch(LONG)},
        {"status": "PROCESSED", "totalRuns": 2, "runSummary": lambda counts: counts["completedRunCount"] == 2},
    ),
    "ListBatch": Case(lambda world: {"name": "nightly"} if world.batch() else {}, {"items": has(1)}),
    "ListRunsInBatch": Case(
        lambda world: {"batchId": world.batch(LONG), "maxItems": 1}, {"runs": has(1), "nextToken": str}
    ),
    "CancelRunBatch": Case(lambda world: {"batchId": world.batch(60)}, {}),
    "DeleteRunBatch": Case(lambda world: {"batchId": world.batch(LONG)}, {}),
    "DeleteBatch": Case(lambda world: {"batchId": world.batch(LONG)}, {}),
    "CreateRunGroup": Case(lambda _: {"name": "urgent"}, {"id": str, "arn": str}),
    "GetRunGroup": Case(lambda world: {"id": world.group()}, {"name": "urgent", "maxRuns": 2}),
    "UpdateRunGroup": Case(lambda world: {"id": world.group(), "maxRuns": 5}, {}),
    "DeleteRunGroup": Case(lambda world: {"id": world.group()}, {}),
    "ListRunGroups": Case(lambda world: {"maxResults": 5} if world.group() else {}, {"items": has(1)}),
    "CreateRunCache": Case(lambda _: {"cacheS3Location": f"s3://{BUCKET}/cache/"}, {"status": "ACTIVE"}),
    "GetRunCache": Case(lambda world: {"id": world.cache()}, {"name": "cache"}),
    "UpdateRunCache": Case(lambda world: {"id": world.cache(), "name": "other"}, {}),
    "DeleteRunCache": Case(lambda world: {"id": world.cache()}, {}),
    "ListRunCaches": Case(lambda world: {"maxResults": 5} if world.cache() else {}, {"items": has(1)}),
    "CreateWorkflow": Case(lambda _: {"name": "rnaseq", "definitionZip": ZIP}, {"status": "CREATING"}),
    "GetWorkflow": Case(lambda world: {"id": world.workflow()}, {"status": "ACTIVE", "engine": "WDL"}),
    "UpdateWorkflow": Case(lambda world: {"id": world.workflow(), "name": "other"}, {}),
    "DeleteWorkflow": Case(lambda world: {"id": world.workflow()}, {}),
    "ListWorkflows": Case(lambda world: {"name": "rnaseq"} if world.workflow() else {}, {"items": has(1)}),
    "CreateWorkflowVersion": Case(
        lambda world: {"workflowId": world.workflow(), "versionName": "2.0", "definitionZip": ZIP},
        {"status": "CREATING", "versionName": "2.0"},
    ),
    "GetWorkflowVersion": Case(lambda world: world.version(), {"status": "ACTIVE", "versionName": "1.0"}),
    "UpdateWorkflowVersion": Case(lambda world: {**world.version(), "description": "other"}, {}),
    "DeleteWorkflowVersion": Case(lambda world: world.version(), {}),
    "ListWorkflowVersions": Case(lambda world: {"workflowId": world.version()["workflowId"]}, {"items": has(1)}),
    "TagResource": Case(lambda world: {"resourceArn": world.run_arn(), "tags": {"c": "d"}}, {}),
    "UntagResource": Case(lambda world: {"resourceArn": world.run_arn(), "tagKeys": ["a"]}, {}),
    "ListTagsForResource": Case(lambda world: {"resourceArn": world.run_arn()}, {"tags": {"a": "b"}}),
}

#: The operations that came with botocore 1.42.78.
if INSTALLED >= (1, 42, 78):
    CASES |= {
        "CreateConfiguration": Case(
            lambda _: {"name": "vpc", "runConfigurations": {"vpcConfig": {"subnetIds": ["subnet-1"]}}},
            {"status": "CREATING", "runConfigurations": lambda given: given["vpcConfig"]["vpcId"].startswith("vpc-")},
        ),
        "GetConfiguration": Case(lambda world: {"name": world.configuration()}, {"status": "ACTIVE"}),
        "ListConfigurations": Case(lambda world: {"maxResults": 5} if world.configuration() else {}, {"items": has(1)}),
        "DeleteConfiguration": Case(lambda world: {"name": world.configuration()}, {}),
    }
#: Parameters of operations that are not implemented: of the storage half, of the analytics half, and of shares.
NOT_EMULATED: dict[str, dict[str, Any]] = {
    "ListSequenceStores": {},
    "GetReadSetMetadata": {"id": "1234567890", "sequenceStoreId": "1234567890"},
    "CreateAnnotationStore": {"storeFormat": "VCF"},
    "ListShares": {"resourceOwner": "SELF"},
}


@pytest.fixture
def world(emulator: OmicsEmulator, client_of: Callable[..., Any]) -> World:
    """Knows workflow 1234567; shortly after their start, batches are in SUBMITTING or INPROGRESS."""
    emulator.set_scenario({"workflows": [{"id": "1234567", "name": "rnaseq-shared"}]})
    return World(emulator, client_of())


def test_no_operation_is_left_out() -> None:
    """Each operation on workflows, runs and tags is implemented, and called below."""
    assert set(CASES) == Wire().operations
    assert set(CASES) <= OPERATIONS


@pytest.mark.parametrize("operation", CASES)
def test_operation_answers(world: World, operation: str) -> None:
    """The operation answers with the status of the model and what was asked for."""
    case = CASES[operation]
    answer = world.call(operation, **case.arrange(world))
    assert world.status == SERVICE_MODEL.operation_model(operation).http["responseCode"]
    for member, expected in case.expected.items():
        value = answer[member]
        if expected is uuid.UUID:
            assert str(uuid.UUID(value)) == value
        elif isinstance(expected, type):
            assert isinstance(value, expected)
        elif callable(expected):
            assert expected(value), value
        else:
            assert value == expected
    if not case.expected:
        assert answer == {}


@pytest.mark.parametrize("operation", NOT_EMULATED)
def test_operation_that_is_not_emulated_says_so(world: World, operation: str) -> None:
    """An operation of the service that the emulator does not carry out is 501 NotEmulated, and is not retried."""
    with pytest.raises(ClientError, match=f"{operation} is an operation of HealthOmics, but not emulated") as caught:
        world.call(operation, **NOT_EMULATED[operation])
    assert caught.value.response["Error"]["Code"] == "NotEmulated"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert world.emulator.calls.by_code() == {operation: {"NotEmulated": 1}}


@pytest.mark.parametrize(
    ("operation", "parameters", "code", "status"),
    [
        ("GetRun", {"id": "404"}, "ResourceNotFoundException", 404),
        ("GetBatch", {"batchId": "404"}, "ResourceNotFoundException", 404),
        ("GetRun", {"id": "not-digits"}, "ValidationException", 400),
        ("StartRun", {"roleArn": ROLE, "outputUri": OUTPUT, "logLevel": "LOUD"}, "ValidationException", 400),
        ("ListBatch", {"name": "a", "status": "PENDING"}, "ValidationException", 400),
    ],
)
def test_errors_are_the_clients_own_exceptions(
    world: World, operation: str, parameters: dict[str, Any], code: str, status: int
) -> None:
    """An error of the service is the exception that botocore makes of the model."""
    with pytest.raises(getattr(world.client.exceptions, code)) as caught:
        world.call(operation, **parameters)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Message"]


def test_wrong_state_is_a_conflict(world: World) -> None:
    """Cancelling what has ended is 409."""
    run = world.run(LONG)
    with pytest.raises(world.client.exceptions.ConflictException) as caught:
        world.call("CancelRun", id=run)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409


def test_paginators_reach_the_last_page(world: World) -> None:
    """Paginators of botocore read every item once."""
    runs = [world.run() for _ in range(5)]
    pages = world.client.get_paginator("list_runs").paginate(PaginationConfig={"PageSize": 2})
    assert sorted(run["id"] for page in pages for run in page["items"]) == sorted(runs)
    batch = world.batch(LONG)
    pages = world.client.get_paginator("list_runs_in_batch").paginate(batchId=batch, PaginationConfig={"PageSize": 1})
    assert sorted(run["runSettingId"] for page in pages for run in page["runs"]) == ["S1", "S2"]


def test_settings_are_read_from_s3(world: World, client_of: Callable[..., Any]) -> None:
    """A batch takes its settings from the object that a client has put into S3."""
    client_of("s3").put_object(Bucket=BUCKET, Key="sheets/one.json", Body=b'[{"runSettingId": "S9", "name": "nine"}]')
    batch = world.call(
        "StartRunBatch",
        defaultRunSetting={"workflowId": "1234567", "roleArn": ROLE, "outputUri": OUTPUT},
        batchRunSettings={"s3UriSettings": f"s3://{BUCKET}/sheets/one.json"},
    )["id"]
    world.emulator.advance(LONG)
    assert world.call("GetBatch", batchId=batch)["status"] == "PROCESSED"
    (run,) = world.call("ListRunsInBatch", batchId=batch)["runs"]
    assert run["runSettingId"] == "S9"
