"""Reading a results file, in a DAG or outside of one."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.uris import is_s3_uri
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.results.file import RESULTS, parsed_lines
from airflow_provider_omics.sheets.opening import open_bytes


def read_batch_results(
    uri: str,
    *,
    status: str | None = None,
    first_line: int = 1,
    last_line: int | None = None,
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
    hook: OmicsHook | None = None,
) -> Iterator[RunRecord]:
    """Iterate over the results of a batch, one record a run setting, in little memory.

    ::

        failed = [record for record in read_batch_results(wgs["results_uri"]) if record.status != "COMPLETED"]

    :param uri: the ``results_uri`` of a task's result, or a local copy of the file.
    :param status: only records of this status, ``"COMPLETED"``. Default: all.
    :param first_line: where to begin; default 1.
    :param last_line: where to end. Default: at the end of the file.
    :param aws_conn_id: the connection that reads S3. Default: "aws_default".
    :param region_name: AWS Region. Default: the connection's.
    :param hook: reads S3 in their place, with its endpoint, TLS settings and botocore configuration. Default: none.
    :return: the records.
    :raises SettingsError: there is no such file, or it is no results file.
    :raises ServiceError: S3 refused.
    """
    for _, record in _numbered(uri, status, first_line, last_line, aws_conn_id, region_name, hook):
        yield record


def completed_chunks(
    uri: str, size: int = 100, *, aws_conn_id: str | None = "aws_default", region_name: str | None = None
) -> list[dict[str, Any]]:
    """Divide the completed samples into chunks, for one mapped task each.

    A chunk says where its records stand, so XCom stays small::

        @task
        def genotype(chunk):
            for record in read_batch_results(**chunk):
                ...

        genotype.expand(chunk=chunks(wgs.output))  # a task that returns completed_chunks(wgs["results_uri"])

    Lines keep their places when results are added, so a chunk stays the same.

    :param uri: the ``results_uri`` of a task's result, or a local copy of the file.
    :param size: records in a chunk; default 100.
    :param aws_conn_id: the connection that reads S3. Default: "aws_default".
    :param region_name: AWS Region. Default: the connection's.
    :return: for each chunk the arguments of :func:`read_batch_results`.
    :raises SettingsError: there would be more chunks than ``[core] max_map_length`` lets Airflow map (1,024 by
        default), or the file cannot be read.
    :raises ServiceError: S3 refused.
    """
    if size < 1:
        raise SettingsError([Problem("size", repr(size), "a whole number, 1 or more")])
    status = RecordStatus.COMPLETED.value
    common = {"uri": uri, "status": status, "aws_conn_id": aws_conn_id, "region_name": region_name}
    numbered = _numbered(uri, status, 1, None, aws_conn_id, region_name)
    chunks: list[dict[str, Any]] = []
    completed = 0
    while lines := [number for number, _ in islice(numbered, size)]:
        completed += len(lines)
        chunks.append({**common, "first_line": lines[0], "last_line": lines[-1]})
    longest = conf.getint("core", "max_map_length", fallback=1024)
    if len(chunks) > longest:
        allowed = (
            f"{-(-completed // longest)} or more: {completed:,} samples, and Airflow maps at most {longest:,} tasks"
        )
        raise SettingsError([Problem("size", repr(size), allowed)])
    return chunks


def _numbered(
    uri: str,
    status: str | None,
    first_line: int,
    last_line: int | None,
    aws_conn_id: str | None,
    region_name: str | None,
    hook: OmicsHook | None = None,
) -> Iterator[tuple[int, RunRecord]]:
    if status is not None and status not in RecordStatus.__members__:
        raise SettingsError([Problem("status", repr(status), f"one of {', '.join(RecordStatus.__members__)}")])
    store = None
    if is_s3_uri(uri):
        store = S3Store.of_connection(aws_conn_id, region_name) if hook is None else S3Store(hook)
    # Fetched first: a slow reader loses no connection.
    with tempfile.TemporaryFile(prefix="omics-results-") as copy:
        with open_bytes(uri, store) as stream:
            try:
                shutil.copyfileobj(stream, copy)
            except (OSError, EOFError, zlib.error) as error:
                kind, remedy = RESULTS
                allowed = f"{kind}, compressed with gzip or not ({type(error).__name__}: {error}). {remedy}"
                raise SettingsError([Problem(uri, "damaged", allowed)]) from error
        records = parsed_lines(copy, uri, RunRecord.from_json)
        for number, record in enumerate(islice(records, last_line), 1):
            if number >= first_line and status in (None, record.status.value):
                yield number, record
