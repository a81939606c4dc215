"""A model of IAM for tests of the policies: it knows what each call of boto3 needs, and refuses what is not granted.

What a call needs beyond itself is from the user guide of HealthOmics ("Run batches", "Permissions for users") and the
API references of S3 and KMS; that S3 hides a missing object from those who may not list is in the one of GetObject.
"""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.docs.blocks import of_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pytest

POLICIES = {block.title.removesuffix(".json"): json.loads(block.text) for block in of_kind("policy")}

_S3 = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    **dict.fromkeys(("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "s3:PutObject"),
}
_UNDERLYING = {
    "StartRunBatch": "omics:StartRun",
    "CancelRunBatch": "omics:CancelRun",
    "DeleteRunBatch": "omics:DeleteRun",
}
"""The permission of one run that a call for a batch needs as well."""


def as_list(value: Any) -> list[str]:
    """Give the strings of a member of a policy, which may be one string."""
    return [value] if isinstance(value, str) else list(value)


def actions(policy: str) -> set[str]:
    """Give the actions that a policy grants."""
    return {action for statement in POLICIES[policy]["Statement"] for action in as_list(statement["Action"])}


def needed(service: str, operation: str, parameters: Mapping[str, Any]) -> set[str]:
    """Tell the actions that a call needs."""
    if service == "s3":
        found = {_S3[operation]}
        if "SSEKMSKeyId" in parameters:
            found.add("kms:GenerateDataKey")
            if operation == "CreateMultipartUpload":
                found.add("kms:Decrypt")
        return found
    found = {f"{service}:{operation}"}
    if operation in _UNDERLYING:
        found.add(_UNDERLYING[operation])
    if operation in ("StartRun", "StartRunBatch"):
        found.add("iam:PassRole")
    if parameters.get("tags") or parameters.get("defaultRunSetting", {}).get("runTags"):
        found.add("omics:TagResource")
    return found


class Iam:
    """Stands between every client of boto3 and its service.

    :param policies: names of the policies of the caller.
    """

    def __init__(self, policies: Iterable[str]) -> None:
        self._statements = [statement for name in policies for statement in POLICIES[name]["Statement"]]
        self.used: set[str] = set()
        self.refused: set[str] = set()
        self.broken: set[str] = set()
        """Operations that fail, whatever is granted."""

    def stand_in(self, patch: pytest.MonkeyPatch) -> None:
        """Take the place of botocore's way to make a call."""
        make_call = BaseClient._make_api_call

        def checked(client: BaseClient, operation: str, parameters: dict[str, Any]) -> Any:
            service = client.meta.service_model.service_name
            for action in needed(service, operation, parameters):
                self._check(action, operation, parameters)
            if operation in self.broken:
                raise ClientError({"Error": {"Code": "InternalError", "Message": "Broken on purpose."}}, operation)
            try:
                return make_call(client, operation, parameters)
            except ClientError as error:
                if service == "s3" and error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    self._check("s3:ListBucket", operation, parameters)
                raise

        patch.setattr(BaseClient, "_make_api_call", checked)

    def _check(self, action: str, operation: str, parameters: Mapping[str, Any]) -> None:
        if any(self._grants(statement, action, parameters) for statement in self._statements):
            self.used.add(action)
            return
        self.refused.add(action)
        answer = {"HTTPStatusCode": 403, "RequestId": "denied"}
        code = "AccessDenied" if action.startswith("s3:") else "AccessDeniedException"
        message = f"not authorized to perform: {action}"
        raise ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": answer}, operation)

    def _grants(self, statement: Mapping[str, Any], action: str, parameters: Mapping[str, Any]) -> bool:
        if action not in as_list(statement["Action"]):
            return False
        if not action.startswith("s3:"):
            return True
        resource = f"arn:aws:s3:::{parameters['Bucket']}"
        if action != "s3:ListBucket":
            resource += f"/{parameters['Key']}"
        return any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
