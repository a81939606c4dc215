"""Opening a sheet: a local file or an S3 object as a stream of bytes, unpacked."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from airflow_provider_omics.core.errors import AccessDenied, Problem, ServiceError, SettingsError

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

BUFFER = 1 << 17
"""Bytes read at once."""
_GZIP = b"\x1f\x8b"
# First bytes of files that are no sheets, and what they are.
_OTHERS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV, or compress it with gzip",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
    b"BZh": "compressed with bzip2: use gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: use gzip",
    b"\xfd7zXZ": "compressed with xz: use gzip",
}


@contextmanager
def open_bytes(path: str, s3_hook: S3Hook | None = None) -> Iterator[io.BufferedReader[Any]]:
    """Open a file as a stream of bytes; gzip, told by its first bytes, is unpacked.

    :param path: a local path, or ``s3://bucket/key``.
    :param s3_hook: reads what is in S3. Default: the hook of the connection ``aws_default``.
    :return: the stream, as a context: closed at its end.
    :raises SettingsError: there is no such file, it cannot be read, or it is of a kind that is no sheet.
    :raises ServiceError: S3 refused.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(_s3_object(path, s3_hook) if path.startswith("s3://") else _local_file(path))
        head = stream.peek(8)
        for start, what in _OTHERS.items():
            if head.startswith(start):
                raise SettingsError([Problem(path, what.partition(":")[0], what.partition(": ")[2])])
        if head.startswith(_GZIP):
            unpacked = cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
            stream = stack.enter_context(io.BufferedReader(cast("io.RawIOBase", unpacked), BUFFER))
        yield stream


@contextmanager
def _local_file(path: str) -> Iterator[io.BufferedReader[Any]]:
    if "://" in path:
        raise SettingsError([Problem("sheet path", repr(path), "a local path, or s3://bucket/key")])
    try:
        stream = io.BufferedReader(io.FileIO(path), BUFFER)
    except OSError as error:
        allowed = f"a file that can be read here, in {os.getcwd()}, or s3://bucket/key"  # noqa: PTH109 - for a message
        raise SettingsError([Problem("sheet path", repr(path), f"{error.strerror}; {allowed}")]) from error
    with stream:
        yield stream


@contextmanager
def _s3_object(uri: str, s3_hook: S3Hook | None) -> Iterator[io.BufferedReader[Any]]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise SettingsError([Problem("sheet path", repr(uri), "s3://bucket/key of a file")])
    client = (s3_hook or default_s3_hook()).get_conn()
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
    except client.exceptions.ClientError as error:
        raise _s3_error(uri, error) from error
    with closing(body):
        yield io.BufferedReader(cast("io.RawIOBase", body), BUFFER)


def default_s3_hook(aws_conn_id: str | None = "aws_default", region_name: str | None = None) -> S3Hook:
    """Make an S3 hook; only then is Airflow imported.

    :param aws_conn_id: the connection. Default: "aws_default".
    :param region_name: AWS Region. Default: the connection's.
    """
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # a local sheet needs no Airflow

    return S3Hook(aws_conn_id=aws_conn_id, region_name=region_name)


def _s3_error(uri: str, error: Any) -> SettingsError | ServiceError:
    told = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code, status = told.get("Code", ""), metadata.get("HTTPStatusCode")
    if status == 404:
        return SettingsError([Problem("sheet path", repr(uri), f"there is no such object ({code})")])
    if code == "InvalidObjectState":
        return SettingsError([Problem("sheet path", repr(uri), "an object that is not archived: restore it first")])
    kind, advice = ServiceError, f"It was about {uri}."
    if code in ("AccessDenied", "403"):  # a number where the answer carries no code
        kind = AccessDenied
        advice = f"The connection needs s3:GetObject for {uri}, and s3:ListBucket to be told of a missing object."
    return kind(
        "GetObject",
        code,
        told.get("Message", ""),
        http_status=status,
        request_id=metadata.get("RequestId"),
        advice=advice,
    )
