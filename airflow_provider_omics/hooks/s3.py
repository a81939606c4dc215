"""S3 beside HealthOmics, through the Amazon provider's S3Hook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.hooks.service_errors import service_errors

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_omics.hooks.omics import OmicsHook


@dataclass(frozen=True)
class S3Place:
    """Where in S3 a task writes; who chose the place chose its key, so the two are handed on together.

    :param uri: ``s3://bucket/prefix/``, or an object.
    :param kms_key_id: KMS key for what is written there; None: the bucket's own encryption.
    """

    uri: str
    kms_key_id: str | None


def encryption(kms_key_id: str | None) -> dict[str, str]:
    """Give the arguments of PutObject that encrypt an object.

    :param kms_key_id: the KMS key; None: the bucket's own encryption.
    """
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}


def s3_hook(hook: OmicsHook, **options: Any) -> S3Hook:
    """Make the S3 hook of the same connection, Region, TLS settings and botocore configuration (proxies, time-outs).

    :param hook: the hook whose connection is used.
    :param options: further arguments of S3Hook, such as ``extra_args``.
    :return: the S3 hook.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # 50 ms that a DAG file need not wait for

    s3 = S3Hook(
        aws_conn_id=hook.aws_conn_id, region_name=hook.region_name, verify=hook.verify, config=hook.config, **options
    )
    s3.conn_config = hook.conn_config  # Airflow is not asked again: the answer could be another
    return s3


def delete_object(hook: OmicsHook, uri: str) -> None:
    """Delete an object; one that is gone counts as deleted.

    :param hook: the hook whose connection is used.
    :param uri: ``s3://bucket/key``.
    :raises ServiceError: S3 refused, or did not get through.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with service_errors("DeleteObject"):
        s3_hook(hook).conn.delete_object(Bucket=bucket, Key=key)
