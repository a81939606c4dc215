from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import RunLogsHook
from airflow_provider_omics.hooks.s3 import s3_hook
from tests.airflow_support import BUCKET, quick_hook
from tests.connection_support import misses

if TYPE_CHECKING:
    import pytest

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


def test_connection_is_asked_for_once(
    emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Airflow has told the hook goes for S3 and the logs beside it: it may not find the connection now."""
    hook = quick_hook()
    assert not hook.misses_connection

    misses(monkeypatch)

    for beside in (s3_hook(hook), RunLogsHook.beside(hook)):
        assert beside.get_conn().meta.endpoint_url == emulator.url
