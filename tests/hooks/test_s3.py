from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import s3_hook
from tests.airflow_support import BUCKET

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect


def test_s3_is_reached_as_healthomics_is(emulator: OmicsEmulator, connect: Connect) -> None:
    """Connection, Region, TLS settings and the user's botocore configuration are those of the hook beside it."""
    config = {"read_timeout": 7, "retries": {"total_max_attempts": 2}}
    hook = OmicsHook(aws_conn_id="aws_default", region_name="eu-west-1", verify=False, config=config)

    s3 = s3_hook(hook, extra_args={"ServerSideEncryption": "AES256"})

    client = s3.get_conn()
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.config.read_timeout == 7
    assert client.meta.config.retries["total_max_attempts"] == 2
    assert s3.verify is False
    s3.load_string("text", "key", BUCKET)
    assert emulator.client("s3").head_object(Bucket=BUCKET, Key="key")["ServerSideEncryption"] == "AES256"
