"""Sheets in S3, read through the Amazon provider's hook from the emulator."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from pyarrow import parquet, table

from airflow_provider_omics.core.errors import AccessDenied, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.sheets import SampleSheet
from airflow_provider_omics.sheets.read import open_rows, open_runs, run_settings_from_sheet

SHEET = b"sample,x\nA,1\nB,2\n"
SETTINGS = [
    {"runSettingId": "A", "parameters": {"sample": "A", "x": "1"}},
    {"runSettingId": "B", "parameters": {"sample": "B", "x": "2"}},
]


@pytest.fixture
def s3(omics_connection: dict[str, Any]) -> S3Hook:
    """The hook of the emulator's connection, and a bucket."""
    hook = S3Hook()
    hook.create_bucket("sheets")
    return hook


@pytest.mark.parametrize(
    ("key", "content"), [("a/s.csv", SHEET), ("s.csv.gz", gzip.compress(SHEET, mtime=0)), ("s", SHEET)]
)
def test_a_sheet_in_s3_is_read(key: str, content: bytes, s3: S3Hook) -> None:
    """An object is read like a file, through the connection that is named."""
    s3.load_bytes(content, key, "sheets")

    assert run_settings_from_sheet(f"s3://sheets/{key}", aws_conn_id="aws_default") == SETTINGS
    with open_runs(SampleSheet(f"s3://sheets/{key}"), store=S3Store(OmicsHook())) as runs:
        assert [run.setting for run in runs] == SETTINGS


def test_a_large_object_is_a_stream(s3: S3Hook) -> None:
    """The rows of an object of many buffers come out one by one, each once, and reading may end early."""
    names = [f"sample-{number:06d}" for number in range(50_000)]
    s3.load_string("sample\n" + "\n".join(names), "s.csv", "sheets")

    with open_rows("s3://sheets/s.csv", store=S3Store(OmicsHook())) as rows:
        assert next(iter(rows.rows)) == (2, {"sample": names[0]})
    with open_rows("s3://sheets/s.csv", store=S3Store(OmicsHook())) as rows:
        assert [row[1]["sample"] for row in rows.rows if isinstance(row, tuple)] == names


def test_parquet_in_s3_is_read(s3: S3Hook) -> None:
    """A format that is read from its end on is read all the same."""
    buffer = io.BytesIO()
    parquet.write_table(table({"sample": ["A", "B"], "x": ["1", "2"]}), buffer)
    s3.load_bytes(buffer.getvalue(), "s.parquet", "sheets")

    assert run_settings_from_sheet("s3://sheets/s.parquet") == SETTINGS


@pytest.mark.parametrize(
    ("uri", "code"), [("s3://sheets/no.csv", "NoSuchKey"), ("s3://no-bucket/s.csv", "NoSuchBucket")]
)
def test_an_object_that_is_not_there_is_bad_input(uri: str, code: str, s3: S3Hook) -> None:
    """The error names the address, and which part of it does not exist."""
    with pytest.raises(SettingsError) as refused:
        run_settings_from_sheet(uri)

    assert [str(problem) for problem in refused.value.problems] == [
        f"sheet path = '{uri}': there is no such object ({code})"
    ]


def test_problems_name_the_object(s3: S3Hook) -> None:
    """Errors in rows name the file by the last part of its key."""
    s3.load_bytes(SHEET + b"A,3\n", "cohort/s.csv", "sheets")

    with pytest.raises(SettingsError, match=r"s\.csv line 4 column sample = 'A': unique in the batch; line 2"):
        run_settings_from_sheet("s3://sheets/cohort/s.csv")


def test_an_archived_object_is_bad_input(s3: S3Hook) -> None:
    """An object that must be restored first is refused with this advice, though S3 answers as if it were forbidden."""
    s3.get_conn().put_object(Bucket="sheets", Key="s.csv", Body=SHEET, StorageClass="GLACIER")

    with pytest.raises(SettingsError, match="an object that is not archived: restore it first"):
        run_settings_from_sheet("s3://sheets/s.csv")


def test_a_refusal_names_the_action(s3: S3Hook) -> None:
    """AccessDenied says which action on which object the connection lacks."""
    s3.load_bytes(SHEET, "s.csv", "sheets")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::sheets/*"}
    s3.get_conn().put_bucket_policy(Bucket="sheets", Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))

    with pytest.raises(AccessDenied, match=r"GetObject: .*needs s3:GetObject for s3://sheets/s\.csv") as no:
        run_settings_from_sheet("s3://sheets/s.csv")

    assert (no.value.http_status, no.value.operation) == (403, "GetObject")
