"""A model of IAM for tests of the policies: it knows what each call needs, and refuses what is not granted.

Which resources an action of HealthOmics has is from the Service Authorization Reference ("Actions, resources, and
condition keys for AWS HealthOmics"). What a call needs beyond itself is from the user guide ("Run batches" and
"Permissions for users") and the API references of S3 and KMS; the one of GetObject says that S3 hides a missing object
from those who may not list, the one of HeadObject that it asks for a key only where a checksum is wanted.

A workflow has its owner's account in its ARN (user guide, "Sharing HealthOmics workflows"), a Ready2Run workflow none
(so policies of published projects such as data.all have it; AWS's guides have none).
"""

from __future__ import annotations

import fnmatch
import json
import operator as operators
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.docs.blocks import of_kind

if TYPE_CHECKING:
    import pytest

ACCOUNT = "123456789012"
"""The caller's."""

OWNERS = (ACCOUNT, "111122223333", "")
"""Accounts in the ARNs of workflows: of the caller's own, of a shared one, of a Ready2Run workflow."""

POLICIES = {block.title.removesuffix(".json"): json.loads(block.text) for block in of_kind("policy")}

RESOURCE_TYPES = {
    "CancelRun": "run*",
    "CancelRunBatch": "runBatch*",
    "CreateRunCache": "",
    "CreateRunGroup": "",
    "CreateWorkflow": "",
    "CreateWorkflowVersion": "workflow*",
    "DeleteBatch": "runBatch*",
    "DeleteRun": "run*",
    "DeleteRunBatch": "run* runBatch*",
    "DeleteRunCache": "runCache*",
    "DeleteRunGroup": "runGroup*",
    "DeleteWorkflow": "workflow*",
    "GetBatch": "runBatch*",
    "GetRun": "run*",
    "GetRunGroup": "runGroup*",
    "GetRunTask": "task* run*",
    "GetWorkflow": "workflow*",
    "GetWorkflowVersion": "workflow* version*",
    "ListBatch": "",
    "ListRunCaches": "",
    "ListRunGroups": "",
    "ListRunTasks": "run*",
    "ListRuns": "",
    "ListRunsInBatch": "runBatch*",
    "ListTagsForResource": "",
    "ListWorkflowVersions": "workflow*",
    "ListWorkflows": "",
    "StartRun": "run* runBatch workflow runGroup runCache configuration",
    "StartRunBatch": "run* runBatch* workflow runGroup runCache",
    "TagResource": "run runBatch workflow runGroup runCache configuration",
    "UntagResource": "run runBatch workflow runGroup runCache configuration",
    "UpdateRunCache": "runCache*",
}
"""Action of HealthOmics -> its types of resources, those that it always has with an asterisk; none: it needs ``*``."""

_NAMED_BY = {
    "workflow": "workflowId",
    "runGroup": "runGroupId",
    "runCache": "cacheId",
    "configuration": "configurationName",
}
"""Type of resource -> the member of a request that names one."""

OWNED = ("workflow", "version")
"""Types of resources that may be of another account than the caller's."""

_TAGGED = {
    "CreateRunCache": {"tags": "runCache"},
    "CreateRunGroup": {"tags": "runGroup"},
    "CreateWorkflow": {"tags": "workflow"},
    "CreateWorkflowVersion": {"tags": "version"},
    "StartRun": {"tags": "run"},
    "StartRunBatch": {"tags": "runBatch", "runTags": "run"},
}
"""Operation -> the member of its request with tags -> what has them."""

_S3 = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    **dict.fromkeys(("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "s3:PutObject"),
}
_UNDERLYING = {
    "StartRunBatch": "StartRun",
    "CancelRunBatch": "CancelRun",
    "DeleteRunBatch": "DeleteRun",
}
"""The permission of one run that a call for a batch needs as well."""


def as_list(value: Any) -> list[str]:
    """Give the strings of a member of a policy, which may be one string."""
    return [value] if isinstance(value, str) else list(value)


def actions(policy: str) -> set[str]:
    """Give the actions that a policy grants."""
    return {action for statement in POLICIES[policy]["Statement"] for action in as_list(statement["Action"])}


def omics_arn(resource_type: str, owner: str = ACCOUNT) -> str:
    """Give the ARN of some resource of HealthOmics; of a workflow that is its owner's."""
    path = "workflow/1234567/version/1.0" if resource_type == "version" else f"{resource_type}/1234567"
    return f"arn:aws:omics:us-east-1:{owner if resource_type in OWNED else ACCOUNT}:{path}"


def owner_of_workflow(request: Mapping[str, Any]) -> str:
    """Tell the account in the ARN of the workflow that a request names; "" for a Ready2Run workflow."""
    if "READY2RUN" in (request.get("workflowType"), request.get("type")):
        return ""
    return str(request.get("workflowOwnerId", ACCOUNT))


@dataclass(frozen=True)
class Need:
    """A permission that a call needs.

    :param action: such as ``"omics:GetRun"``.
    :param resource: an ARN; ``"*"``: the action has no resources.
    :param context: what conditions may ask for.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)

    def is_granted_by(self, statement: Mapping[str, Any]) -> bool:
        """Tell whether a statement grants it."""
        return (
            self.action in as_list(statement["Action"])
            and any(fnmatch.fnmatchcase(self.resource, pattern) for pattern in as_list(statement["Resource"]))
            and all(self._meets(*condition) for condition in statement.get("Condition", {}).items())
        )

    def _meets(self, operator: str, condition: Mapping[str, Any]) -> bool:
        matches: Callable[[str, str], bool]
        matches = {"StringEquals": operators.eq, "StringLike": fnmatch.fnmatchcase}[operator]
        return all(
            key in self.context and any(matches(self.context[key], value) for value in as_list(values))
            for key, values in condition.items()
        )


def needed(service: str, operation: str, parameters: Mapping[str, Any]) -> list[Need]:
    """Tell what a call needs."""
    if service == "s3":
        return list(_needed_by_s3(operation, parameters))
    if operation == "GetCallerIdentity":
        return []  # needs no permission (STS API reference)
    if service == "sts":
        return [Need(f"sts:{operation}", parameters.get("RoleArn", ""))]
    if service == "logs":
        stream = f"{parameters.get('logGroupName')}:log-stream:{parameters.get('logStreamName', '')}"
        return [Need(f"logs:{operation}", f"arn:aws:logs:us-east-1:123456789012:log-group:{stream}")]
    if service == "pricing":
        return [Need(f"pricing:{operation}", "*")]
    return list(_needed_by_omics(operation, parameters))


def _needed_by_s3(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    bucket = f"arn:aws:s3:::{parameters.get('Bucket')}"
    if operation == "ListObjectsV2":
        yield Need(_S3[operation], bucket, {"s3:prefix": parameters.get("Prefix", "")})
        return
    yield Need(_S3[operation], f"{bucket}/{parameters.get('Key')}")
    key = parameters.get("SSEKMSKeyId")
    if key is not None:
        yield Need("kms:GenerateDataKey", key)
        if operation == "CreateMultipartUpload":
            yield Need("kms:Decrypt", key)


def _needed_by_omics(operation: str, parameters: Mapping[str, Any]) -> Iterator[Need]:
    given = {**parameters.get("defaultRunSetting", {}), **parameters}
    for name in filter(None, (operation, _UNDERLYING.get(operation))):
        types = RESOURCE_TYPES[name].split()
        touched = [kind.rstrip("*") for kind in types if kind.endswith("*") or given.get(_NAMED_BY.get(kind, ""))]
        for arn in [omics_arn(kind, owner_of_workflow(given)) for kind in touched] if types else ["*"]:
            yield Need(f"omics:{name}", arn)
    if operation in ("StartRun", "StartRunBatch"):
        yield Need("iam:PassRole", given.get("roleArn", ""), {"iam:PassedToService": "omics.amazonaws.com"})
    for member, kind in _TAGGED.get(operation, {}).items():
        if given.get(member):
            yield Need("omics:TagResource", omics_arn(kind))


class Iam:
    """Stands between every client and its service.

    :param policies: names of the policies of the caller.
    """

    def __init__(self, policies: Iterable[str]) -> None:
        self._statements = [statement for name in policies for statement in POLICIES[name]["Statement"]]
        self._stands = False
        self.used: set[tuple[int, str]] = set()
        """Identities of statements, each with an action that they granted."""
        self.refused: set[str] = set()
        self.read_by_service: set[Need] = set()
        """What the service role needs for objects that the caller has put and a start names."""
        self._keys: dict[str, str | None] = {}
        """URIs of objects that the caller has put -> the key that each has."""
        self.broken: set[str] = set()
        """Operations that fail, whatever is granted."""

    def stand_in(self, patch: pytest.MonkeyPatch) -> None:
        """Take the place of botocore's way to make a call; once."""
        if self._stands:
            return
        self._stands = True
        make_call = BaseClient._make_api_call

        def checked(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
            with self._asked(client, operation, parameters):
                answer = make_call(client, operation, parameters)
            return self._answered(operation, parameters, answer)

        patch.setattr(BaseClient, "_make_api_call", checked)

    @contextmanager
    def _asked(self, client: Any, operation: str, parameters: Mapping[str, Any]) -> Iterator[None]:
        service = client.meta.service_model.service_name
        for need in needed(service, operation, parameters):
            self._check(need, operation)
        self._note_for_service(operation, parameters)
        if operation in self.broken:
            raise ClientError({"Error": {"Code": "InternalError", "Message": "Broken on purpose."}}, operation)
        try:
            yield
        except ClientError as error:
            if service == "s3" and error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                # The request names no prefix that a condition could ask for.
                self._check(Need("s3:ListBucket", f"arn:aws:s3:::{parameters['Bucket']}"), operation)
            raise

    def _answered(self, operation: str, parameters: Mapping[str, Any], answer: Any) -> Any:
        reads = operation == "GetObject" or (operation == "HeadObject" and "ChecksumMode" in parameters)
        if reads and "SSEKMSKeyId" in answer:
            try:
                self._check(Need("kms:Decrypt", answer["SSEKMSKeyId"]), operation)
            except ClientError:
                if "Body" in answer:
                    answer["Body"].close()  # the caller, who is refused, never gets it to close
                raise
        return answer

    def _note_for_service(self, operation: str, parameters: Mapping[str, Any]) -> None:
        # "The IAM service role in roleArn must have read access to this S3 object": API reference, BatchRunSettings.
        if operation in ("PutObject", "CreateMultipartUpload"):
            self._keys[f"s3://{parameters['Bucket']}/{parameters['Key']}"] = parameters.get("SSEKMSKeyId")
        elif operation in ("StartRun", "StartRunBatch"):
            request = json.dumps(parameters)
            for uri, key in self._keys.items():
                if uri in request:
                    self.read_by_service.add(Need("s3:GetObject", uri.replace("s3://", "arn:aws:s3:::")))
                    self.read_by_service |= {Need("kms:Decrypt", key)} if key else set()

    def _check(self, need: Need, operation: str) -> None:
        granting = [(id(statement), need.action) for statement in self._statements if need.is_granted_by(statement)]
        if granting:
            self.used.update(granting)
            return
        self.refused.add(need.action)
        answer = {"HTTPStatusCode": 403, "RequestId": "denied"}
        code = "AccessDenied" if need.action.startswith(("s3:", "kms:")) else "AccessDeniedException"
        message = f"not authorized to perform: {need.action} on resource: {need.resource}"
        raise ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": answer}, operation)
