"""Configurations, which runs with a VPC need."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.model_support import LATER_OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator

IS_KNOWN = "CreateConfiguration" not in LATER_OPERATIONS
only_where_known = pytest.mark.only_where(IS_KNOWN, "botocore has configurations from 1.42.78 on")

VPC = {"vpcConfig": {"subnetIds": ["subnet-1", "subnet-2"], "securityGroupIds": ["sg-1"]}}
IN_VPC = {"networkingMode": "VPC", "configurationName": "lab"}


@only_where_known
def test_configuration_lives(omics: Any) -> None:
    """Created, ACTIVE after a while, used by runs, in use, deleted."""
    made = omics("CreateConfiguration", name="lab", runConfigurations=VPC, requestId="c", description="d")
    request = {"workflowId": "1234567", "roleArn": "arn:aws:iam::123456789012:role/r", "outputUri": "s3://o"}
    assert made["status"] == "CREATING"
    assert omics.refuses("StartRun", requestId="early", **request, **IN_VPC) == "ResourceNotFoundException"
    omics.advance(900)
    told = omics("GetConfiguration", name="lab")
    assert (told["status"], told["uuid"], told["description"]) == ("ACTIVE", made["uuid"], "d")
    run = omics.run(omics.start_run(**IN_VPC)["id"])
    assert run["configuration"] == {"name": "lab", "arn": made["arn"], "uuid": made["uuid"]}
    assert run["vpcConfig"] == told["runConfigurations"]["vpcConfig"] == {**VPC["vpcConfig"], "vpcId": ANY_VPC(run)}
    assert omics.refuses("DeleteConfiguration", name="lab") == "ConflictException"
    omics.advance(10_000)
    assert omics("DeleteConfiguration", name="lab") == {}
    assert omics.refuses("GetConfiguration", name="lab") == "ResourceNotFoundException"
    assert omics.refuses("StartRun", requestId="late", **request, **IN_VPC) == "ResourceNotFoundException"


def ANY_VPC(run: dict[str, Any]) -> str:  # noqa: N802  # stands for a value
    vpc_id: str = run["vpcConfig"]["vpcId"]
    assert vpc_id.startswith("vpc-")
    return vpc_id


@only_where_known
def test_configurations_are_listed_named_once_and_limited(make_omics: Callable[..., Any]) -> None:
    """In pages; a name is taken once; ten are the quota; those of the scenario are there from the start."""
    omics = make_omics({"configurations": ["scripted"]})
    for number in range(9):
        omics("CreateConfiguration", name=f"c{number}", runConfigurations=VPC, requestId=f"{number}")
    taken = {"name": "c1", "runConfigurations": VPC, "requestId": "again"}
    assert omics.refuses("CreateConfiguration", **taken) == "ConflictException"
    over = {**taken, "name": "c9"}
    assert omics.refuses("CreateConfiguration", **over) == "ServiceQuotaExceededException"
    assert omics.refuses("CreateConfiguration", **{**over, "runConfigurations": {}}) != ""
    listed = omics.pages("ListConfigurations", maxResults=4)
    assert [item["name"] for item in listed] == ["scripted", *(f"c{number}" for number in range(9))]
    assert listed[0]["status"] == "ACTIVE"


@only_where_known
def test_configuration_has_tags(omics: Any) -> None:
    """TagResource takes its ARN."""
    arn = omics("CreateConfiguration", name="lab", runConfigurations=VPC, requestId="c", tags={"a": "b"})["arn"]
    omics("TagResource", resourceArn=arn, tags={"c": "d"})
    assert omics("ListTagsForResource", resourceArn=arn)["tags"] == {"a": "b", "c": "d"}


def test_the_path_is_that_of_the_model(emulator: OmicsEmulator) -> None:
    """With an older botocore, the emulator knows no more than it does, and says so."""
    scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/omics/aws4_request, SignedHeaders=host, Signature=0"
    connection = http.client.HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)
    connection.request("GET", "/configuration", headers={"Authorization": scope})
    response = connection.getresponse()
    body = json.loads(response.read())
    connection.close()

    if IS_KNOWN:
        assert (response.status, body) == (200, {"items": []})
    else:
        assert (response.status, response.getheader("x-amzn-errortype")) == (404, "UnknownOperationException")
        assert "GET /configuration" in body["message"]
