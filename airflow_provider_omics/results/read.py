"""Reading a results file, in a DAG or outside of one."""

from __future__ import annotations

import re
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.uris import S3Address, is_s3_uri, s3_address
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import LIST_PAGE, S3Store
from airflow_provider_omics.results.file import RESULTS, JsonLinesFile, beside, is_results_file, parsed_lines
from airflow_provider_omics.results.roster import ROSTER, ROSTER_NAME, roster_place, run_key, unfinished_in
from airflow_provider_omics.sheets.opening import open_bytes

_OTHERS = re.compile(r"[.]samples[.]jsonl[.]gz$|/usage/[^/]+$")
"""What lies beside results files, whether or not they are still there."""


def read_batch_results(
    uri: str,
    *,
    status: str | None = None,
    run_setting_id: str | None = None,
    workflow_id: str | None = None,
    first_line: int = 1,
    last_line: int | None = None,
    skip_lines: str = "",
    unfinished: bool = False,
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
    hook: OmicsHook | None = None,
) -> Iterator[RunRecord]:
    """Iterate over the results of a batch in little memory: one record for each run setting and workflow.

    ::

        failed = [record for record in read_batch_results(wgs["results_uri"]) if record.status != "COMPLETED"]

    :param uri: the ``results_uri`` of a task's result, or a local copy of the file.
    :param status: only records of this status, ``"COMPLETED"``. Default: all.
    :param run_setting_id: only records of this sample: one for each workflow that ran it. Default: all.
    :param workflow_id: only records of this workflow. Default: all.
    :param first_line: the first line to read; default 1.
    :param last_line: the last line to read. Default: the end of the file.
    :param skip_lines: lines in between to leave out, as a chunk names them: ``"3,7-9"``. Default: none.
    :param unfinished: after the file's records, also return a short one for each sample that had not ended when a batch
        was last collected, with status RUNNING, PENDING or NOT_YET_SUBMITTED. A batch collected only at its end has
        none. Default False.
    :param aws_conn_id: the connection that reads S3. Default: "aws_default".
    :param region_name: AWS Region. Default: the connection's.
    :param hook: reads S3 instead of these two, with its endpoint, TLS settings and botocore configuration. Default:
        none.
    :return: the records.
    :raises SettingsError: there is no such file, or it is not a results file.
    :raises ServiceError: S3 refused.
    """
    skipped, status = _lines(skip_lines), _checked(status)
    store = _store(uri, aws_conn_id, region_name, hook)
    ended: set[tuple[str | None, str]] = set()
    for number, record in _numbered(uri, last_line, store):
        if unfinished:
            ended.add((record.batch_id, run_key(record.run_id, record.run_setting_id)))
        if number < first_line or number in skipped or run_setting_id not in (None, record.run_setting_id):
            continue
        if _is_wanted(record, status, workflow_id):
            yield record
    if unfinished:
        for record in _unfinished(uri, store):
            is_open = (record.batch_id, run_key(record.run_id, record.run_setting_id)) not in ended
            if is_open and run_setting_id in (None, record.run_setting_id) and _is_wanted(record, status, workflow_id):
                yield record


def cohort_records(hook: OmicsHook, uri: str, batch_id: str | None) -> Iterator[Mapping[str, Any]]:
    """Iterate over the samples of a cohort whose last batch may be going, one record each, in little memory.

    :param hook: reads S3.
    :param uri: the results file.
    :param batch_id: the batch that is going, whose samples that have not ended come last; None: it has ended.
    :return: the records, as lines of the file; what an earlier batch has left of a sample that runs again is not among
        them.
    :raises SettingsError: one of the files is another.
    :raises ServiceError: S3 refused.
    """
    going: dict[str, RunRecord] = {}
    if batch_id is not None:
        roster = JsonLinesFile(hook, roster_place(uri, batch_id), None).read(unfinished_in, ROSTER)
        going = {record.run_setting_id: record for record in chain.from_iterable(roster)}
    for record in JsonLinesFile(hook, uri, None).read(dict):
        if record.get("batch_id") == batch_id:
            going.pop(record["run_setting_id"], None)
        elif record["run_setting_id"] in going:
            continue
        yield record
    yield from (record.to_json() for record in going.values())


def results_files(place: str, store: S3Store | None = None) -> list[str]:
    """Find the results files of a place.

    :param place: ``s3://bucket/prefix/``, or a folder or a file of this machine.
    :param store: lists S3. Default: the store of the connection ``aws_default``.
    :return: their URIs or paths; not what lies beside a results file, in the folder of its name.
    :raises SettingsError: there is no such folder.
    :raises ServiceError: S3 refused.
    """
    if is_s3_uri(place):
        bucket = s3_address(place).bucket
        keys = (item["Key"] for item in (store or S3Store.of_connection()).all_objects(place))
        found = [S3Address(bucket, key).uri for key in keys if is_results_file(key)]
    else:
        path = Path(place)
        if not path.exists():
            raise SettingsError([Problem("place", repr(place), "s3://bucket/prefix/, a folder or a file")])
        paths = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        found = [str(each) for each in paths if is_results_file(each.name)]
    folders = {beside(each, "") for each in found}
    return [each for each in found if not _OTHERS.search(each) and not _is_below(each, folders)]


def _is_below(path: str, folders: set[str]) -> bool:
    parts = path.split("/")
    return any("/".join(parts[:count]) + "/" in folders for count in range(1, len(parts)))


def completed_chunks(
    uri: str,
    size: int = 100,
    *,
    workflow_id: str | None = None,
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
) -> list[dict[str, Any]]:
    """Divide the completed samples into chunks, for one mapped task each.

    A chunk holds only the positions of its records, so XCom stays small::

        @task
        def genotype(chunk):
            for record in read_batch_results(**chunk):
                ...

        genotype.expand(chunk=chunks(wgs.output))  # a task that returns completed_chunks(wgs["results_uri"])

    Lines keep their positions, whoever writes, and new ones go to the end: a chunk reads the same samples for as long
    as the file exists. A sample that is no longer completed is left out; samples that complete later are not in these
    chunks.

    :param uri: the ``results_uri`` of a task's result, or a local copy of the file.
    :param size: records in a chunk; default 100.
    :param workflow_id: only samples of this workflow, if several write the file. Default: of all.
    :param aws_conn_id: the connection that reads S3. Default: "aws_default".
    :param region_name: AWS Region. Default: the connection's.
    :return: for each chunk the arguments of :func:`read_batch_results`.
    :raises SettingsError: there would be more chunks than ``[core] max_map_length`` lets Airflow map (1,024 by
        default), or the file cannot be read.
    :raises ServiceError: S3 refused.
    """
    status = RecordStatus.COMPLETED.value
    common = {"uri": uri, "status": status, "aws_conn_id": aws_conn_id, "region_name": region_name}
    if workflow_id is not None:
        common["workflow_id"] = workflow_id
    numbered = _numbered(uri, None, _store(uri, aws_conn_id, region_name))
    wanted = (number for number, record in numbered if _is_wanted(record, status, workflow_id))
    return chunks_of(wanted, size, common)


def chunks_of(numbers: Iterable[int], size: int, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Divide lines of a results file into chunks.

    :param numbers: of the lines, ascending.
    :param size: lines in a chunk.
    :param common: arguments of :func:`read_batch_results` that all chunks share.
    :return: for each chunk the arguments of :func:`read_batch_results`.
    :raises SettingsError: there would be more than Airflow maps, or the size is none.
    """
    if size < 1:
        raise SettingsError([Problem("size", repr(size), "a whole number, 1 or more")])
    wanted = iter(numbers)
    chunks: list[dict[str, Any]] = []
    completed = 0
    while lines := list(islice(wanted, size)):
        completed += len(lines)
        others = [(line + 1, following - 1) for line, following in pairwise(lines) if following - line > 1]
        skipped = ",".join(str(first) if first == last else f"{first}-{last}" for first, last in others)
        place = {"first_line": lines[0], "last_line": lines[-1]}
        chunks.append({**common, **place, **({"skip_lines": skipped} if skipped else {})})
    longest = conf.getint("core", "max_map_length", fallback=1024)
    if len(chunks) > longest:
        allowed = (
            f"{-(-completed // longest)} or more: {completed:,} samples, and Airflow maps at most {longest:,} tasks"
        )
        raise SettingsError([Problem("size", repr(size), allowed)])
    return chunks


def _checked(status: str | None) -> str | None:
    if status is not None and status not in RecordStatus.__members__:
        raise SettingsError([Problem("status", repr(status), f"one of {', '.join(RecordStatus.__members__)}")])
    return status


def _is_wanted(record: RunRecord, status: str | None, workflow_id: str | None) -> bool:
    return status in (None, record.status.value) and workflow_id in (None, record.workflow_id)


def _lines(text: str) -> set[int]:
    """Read what a chunk leaves out."""
    try:
        pairs = [part.partition("-") for part in text.split(",") if part]
        return {line for first, _, last in pairs for line in range(int(first), int(last or first) + 1)}
    except ValueError:
        raise SettingsError([Problem("skip_lines", repr(text), "numbers of lines, as '3,7-9'")]) from None


def _store(uri: str, aws_conn_id: str | None, region_name: str | None, hook: OmicsHook | None = None) -> S3Store | None:
    """Open S3, where the file lies there."""
    if not is_s3_uri(uri):
        return None
    return S3Store.of_connection(aws_conn_id, region_name) if hook is None else S3Store(hook)


def _unfinished(uri: str, store: S3Store | None) -> Iterator[RunRecord]:
    """Read the rosters beside a results file; the names of others begin otherwise, and come later."""
    folder = beside(uri, "")
    places = [] if store else [str(path) for path in sorted(Path(folder).glob(f"[0-9]*{ROSTER_NAME}"))]
    bucket, prefix = s3_address(folder)
    after = ""
    while store is not None and after.removeprefix(prefix) < ":":  # the character after the last digit
        page = store.list_objects(folder, after=after)
        keys = [item["Key"] for item in page]
        places += [
            S3Address(bucket, key).uri
            for key in keys
            if key.endswith(ROSTER_NAME) and key.removeprefix(prefix)[0].isdigit()
        ]
        if len(page) < LIST_PAGE:
            break
        after = keys[-1]
    for place in places:
        with tempfile.TemporaryFile(prefix="omics-roster-") as copy:
            with open_bytes(place, store) as stream:
                shutil.copyfileobj(stream, copy)
            yield from chain.from_iterable(parsed_lines(copy, place, unfinished_in, ROSTER))


def _numbered(uri: str, last_line: int | None, store: S3Store | None) -> Iterator[tuple[int, RunRecord]]:
    # Fetched first: a slow reader loses no connection.
    with tempfile.TemporaryFile(prefix="omics-results-") as copy:
        with open_bytes(uri, store) as stream:
            try:
                shutil.copyfileobj(stream, copy)
            except (OSError, EOFError, zlib.error) as error:
                kind, remedy = RESULTS
                allowed = f"{kind}, compressed with gzip or not ({type(error).__name__}: {error}). {remedy}"
                raise SettingsError([Problem(uri, "damaged", allowed)]) from error
        yield from enumerate(islice(parsed_lines(copy, uri, RunRecord.from_json), last_line), 1)
