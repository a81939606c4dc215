"""Looking at objects in S3, as the connection or as a role that it assumes."""

from __future__ import annotations

from itertools import islice
from typing import Any

import boto3
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.session import get_session

from airflow_provider_omics.core.errors import AccessDenied, NotFound, ServiceError
from airflow_provider_omics.core.inputs import (
    MAY_BE_ARCHIVED,
    InputState,
    Place,
    place_of,
    state_of_object,
)
from airflow_provider_omics.hooks.client import TOTAL_ATTEMPTS
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import s3_hook
from airflow_provider_omics.hooks.service_errors import service_errors

PARALLEL_LOOKS = 32
"""Objects looked at at a time: a look takes about 20 ms, nearly all of it latency."""

LOOKS_BELOW = 100
"""Objects below an input that are looked at one by one: those in classes that may be archived, of the first page of a
list (1,000 keys). More would make one input as dear as a cohort."""

_SESSION_NAME = "airflow-check-inputs"


class InputObjects:
    """Tells of objects in S3 whether they can be read; may be asked by several threads.

    :param hook: the hook whose connection is used.
    :param role_arn: a role to assume first; None: as the connection.
    :raises ServiceError: the role could not be assumed.
    """

    def __init__(self, hook: OmicsHook, role_arn: str | None = None) -> None:
        self.archived_keys: dict[str, str] = {}
        """Of inputs that are the beginning of keys and are archived: the URI, and the first such object's."""
        s3 = s3_hook(hook)
        given: Config = s3.config
        ours: dict[str, Any] = {"max_pool_connections": PARALLEL_LOOKS}
        if given.retries is None:
            ours["retries"] = {"mode": "standard", "total_max_attempts": TOTAL_ATTEMPTS}
        config = given.merge(Config(**ours))
        if role_arn is None:
            self._client = s3.get_client_type(config=config)
        else:
            endpoint = s3.conn_config.get_service_endpoint_url(service_name="s3")
            session = _session_of_role(hook, role_arn)
            self._client = session.client("s3", endpoint_url=endpoint, config=config, verify=s3.verify)

    def look(self, uri: str) -> InputState:
        """Look at an object, or at the keys that begin like it.

        Of keys that begin like it the first 1,000 are listed, and up to 100 of them, in storage classes that may be
        archived, looked at: the input is archived if one of them is.

        :param uri: ``s3://bucket/key``, or the beginning of keys: ``s3://bucket/prefix/``, ``s3://bucket/*.bam``.
        :return: what S3 says. DENIED where the caller may not know.
        :raises ServiceError: the call did not get through, or was refused for another reason.
        """
        place = place_of(uri)
        try:
            try:
                if place.key and not place.key.endswith("/"):
                    return self._object(place.bucket, place.key)
            except NotFound:
                pass
            return self._below(place, uri)
        except NotFound:
            return InputState.MISSING  # the bucket
        except AccessDenied:
            return InputState.DENIED
        except ServiceError as error:
            raise error.with_advice(f"It was about {uri}.") from error

    def _object(self, bucket: str, key: str) -> InputState:
        with service_errors("HeadObject"):
            return state_of_object(self._client.head_object(Bucket=bucket, Key=key))

    def _below(self, place: Place, uri: str) -> InputState:
        with service_errors("ListObjectsV2"):
            listed = self._client.list_objects_v2(Bucket=place.bucket, Prefix=place.prefix).get("Contents", ())
        keys = (item["Key"] for item in listed if item.get("StorageClass") in MAY_BE_ARCHIVED)
        for key in islice(filter(place.names, keys), LOOKS_BELOW):
            try:
                state = self._object(place.bucket, key)
            except NotFound:
                continue  # removed since it was listed
            if state is not InputState.FOUND:
                self.archived_keys[uri] = f"s3://{place.bucket}/{key}"
                return state
        return InputState.FOUND if listed else InputState.MISSING


def _session_of_role(hook: OmicsHook, role_arn: str) -> boto3.session.Session:
    """Assume a role, now and whenever its credentials are about to expire."""
    sts = AwsBaseHook(
        client_type="sts", aws_conn_id=hook.aws_conn_id, region_name=hook.region_name, verify=hook.verify
    ).conn

    def assume() -> dict[str, str]:
        try:
            with service_errors("AssumeRole"):
                given = sts.assume_role(RoleArn=role_arn, RoleSessionName=_SESSION_NAME)["Credentials"]
        except AccessDenied as error:
            advice = f"check_role_arn is {role_arn}: its trust policy must name the connection's identity as well."
            raise error.with_advice(advice) from error
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    session = get_session()
    # botocore has no public way to give a session credentials that renew themselves; the Amazon provider does the same.
    session._credentials = RefreshableCredentials.create_from_metadata(assume(), assume, "sts-assume-role")  # noqa: SLF001
    return boto3.session.Session(botocore_session=session, region_name=hook.conn_region_name)
