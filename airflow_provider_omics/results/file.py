"""The results file in S3: where it lies, how it is read whole and replaced whole, and the samples beside it."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from collections.abc import Collection as AnyCollection
from itertools import chain, count
from typing import IO, Any, TypeVar, cast
from urllib.parse import quote

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.sample import RunRecord, Sample
from airflow_provider_omics.core.errors import Conflict, NotFound, Problem, SettingsError, Unavailable
from airflow_provider_omics.core.uris import is_s3_uri, s3_address
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.results.store import ResultsStore

Line = TypeVar("Line")

_GZIP = b"\x1f\x8b"
_ENDING = re.compile(r"[.]jsonl([.]gz)?$")

RESULTS = (
    "a results file",
    "Restore an earlier version of it, or move it away: what the batch still tells is collected anew.",
)
SAMPLES = (
    "the samples of an earlier try",
    "Restore an earlier version of it, or move it away and clear the task with rerun='all'.",
)
"""What a file ought to be, and the remedy where it is damaged or another."""


def results_place(argument: str | None, default: str | None, identity: TaskIdentity) -> str | None:
    """Return the URI of a task's results file.

    :param argument: the task's ``results_s3_uri``: a file, or a prefix that ends in a slash. None or empty: not set.
    :param default: the connection's ``results_s3_uri``: a prefix. None: not set.
    :param identity: the task instance. Under a prefix its file is
        ``{dag_id}/{run_id}/{task_id}[/{map_index}].jsonl.gz``.
    :return: ``s3://bucket/key.jsonl`` or ``s3://bucket/key.jsonl.gz``; None: there is no place.
    :raises SettingsError: the argument is neither such a file nor a prefix.
    """
    if not argument:
        return None if default is None else f"{default.rstrip('/')}/{_path(identity)}"
    if not _is_file_or_prefix(argument):
        allowed = (
            "s3://bucket/key.jsonl or s3://bucket/key.jsonl.gz, or s3://bucket/prefix/ for a file of the task's name"
        )
        raise SettingsError([Problem("results_s3_uri", repr(argument), allowed)])
    return f"{argument}{_path(identity)}" if argument.endswith("/") else argument


def samples_place(results_uri: str, request_id: str) -> str:
    """Return the place beside a results file where an attempt's samples are kept.

    :param results_uri: the results file.
    :param request_id: the attempt's.
    :return: ``s3://bucket/key/{request_id}.samples.jsonl.gz``.
    """
    return beside(results_uri, f"{request_id}.samples.jsonl.gz")


def report_place(results_uri: str) -> str:
    """Return the place beside a results file where the page of its task is.

    :param results_uri: the results file.
    :return: ``s3://bucket/key/report.html``.
    """
    return beside(results_uri, "report.html")


def beside(results_uri: str, name: str) -> str:
    """Return the place of an object that belongs to a results file: in a folder of the file's name.

    :param results_uri: the results file.
    :param name: of the object, with folders if it has any.
    :return: ``s3://bucket/key/{name}``.
    """
    return f"{_ENDING.sub('', results_uri)}/{name}"


def is_results_file(uri: str) -> bool:
    """Tell whether a place is named as a results file is.

    :param uri: an S3 URI, or a path.
    """
    return _ENDING.search(uri) is not None


class JsonLinesFile:
    """An S3 object of JSON Lines, compressed with gzip when its name ends in ``.gz``.

    It is never seen half written: its lines are collected in a temporary file, which becomes the object in one call.
    A writer that has read it replaces that version and nothing newer.

    :param hook: the hook whose connection is used.
    :param uri: ``s3://bucket/key.jsonl`` or ``s3://bucket/key.jsonl.gz``.
    :param kms_key_id: KMS key that it is written with; None: the bucket's own encryption.
    :param compression: from 1, the fastest, to 9. Default 6.
    """

    def __init__(self, hook: OmicsHook, uri: str, kms_key_id: str | None, *, compression: int = 6) -> None:
        self.uri = uri
        self.exists = False
        """Whether there was such a file when it was last read or written."""
        self._place = S3Place(uri, kms_key_id)
        self._compression = compression
        self._store = S3Store(hook)
        self.is_closed = True
        """Whether its last line, as far as its lines were read, is a whole one: else nothing can be appended."""
        self._is_read = False
        self._etag: str | None = None

    def read(self, parse: Callable[[Mapping[str, Any]], Line], expected: tuple[str, str] = RESULTS) -> Iterator[Line]:
        """Read the lines, all of which are fetched first: a slow reader loses no connection.

        :param parse: makes a value of a line; raises KeyError, TypeError or ValueError if it is none.
        :param expected: what it ought to be, and the remedy; default: a results file.
        :return: one value for each line; none when there is no such file.
        :raises SettingsError: a line is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        with tempfile.TemporaryFile(prefix="omics-results-") as copy:
            if self._fetch(copy):
                yield from parsed_lines(copy, self.uri, parse, expected)

    def read_lines(self) -> Generator[bytes, None, None]:
        """Read the lines as they are, all of which are fetched first.

        :return: the lines; none when there is no such file.
        :raises SettingsError: it is damaged.
        :raises ServiceError: S3 refused, or did not get through.
        """
        line = b"\n"
        with tempfile.TemporaryFile(prefix="omics-results-") as copy:
            if self._fetch(copy):
                for line in _lines_of(copy, self.uri, RESULTS):
                    yield line
        self.is_closed = line.endswith(b"\n")

    def read_some(
        self, parse: Callable[[Mapping[str, Any]], Line], names: AnyCollection[str]
    ) -> Iterator[tuple[int, Line]]:
        """Read the lines of some samples; of the others no more is read than whose they are.

        :param parse: makes a value of a line; raises KeyError, TypeError or ValueError if it is none.
        :param names: their ``runSettingId``s.
        :return: number, from 0, and value of each line of theirs.
        :raises SettingsError: a line is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        for number, line in enumerate(self.read_lines()):
            if _name_of(line, self.uri, number + 1) in names:
                yield number, parsed_line(line, self.uri, parse, number=number + 1)

    def look(self) -> str | None:
        """Look at the present version, without reading it; what is appended next is appended to it.

        :return: its mark; None: there is no such file.
        :raises ServiceError: S3 refused, or did not get through.
        """
        try:
            self._found(self._store.head(self.uri)["ETag"])
        except NotFound:
            self._found(None)
        return self._etag

    @property
    def etag(self) -> str | None:
        """S3's mark of the version that was last read, looked at or written; None: there was no such file."""
        return self._etag

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Add lines to the version that was last looked at, and leave the others as they are, packed or not.

        A gzip file may consist of several members (RFC 1952, 2.2), which read as one.

        :param lines: those to add.
        :raises Conflict: it has been written since.
        :raises ServiceError: S3 refused, or did not get through.
        """
        with tempfile.TemporaryFile(prefix="omics-results-") as copy:
            known = self._etag
            if known is not None and (not self._fetch(copy) or self._etag != known):
                raise Conflict("PutObject", "PreconditionFailed", f"{self.uri} has been written since it was read")
            copy.seek(0)
            if known is not None and (copy.read(2) == _GZIP) is not self.uri.endswith(".gz"):
                raise Conflict("PutObject", "PreconditionFailed", f"{self.uri} is not packed as its name says")
            copy.seek(0, os.SEEK_END)
            self._put(copy, lines)

    def change(self, changed: Mapping[int, Mapping[str, Any]], new: Iterable[Mapping[str, Any]]) -> None:
        """Put lines in the place of others, and add some, to the version that was last looked at.

        :param changed: number of a line, from 0 -> what it becomes; the others stay as they are.
        :param new: lines to add.
        :raises Conflict: it has been written since.
        :raises ServiceError: S3 refused, or did not get through.
        """
        known = self._etag
        with tempfile.TemporaryFile(prefix="omics-results-") as copy:
            if known is not None and (not self._fetch(copy) or self._etag != known):
                raise Conflict("PutObject", "PreconditionFailed", f"{self.uri} has been written since it was read")
            kept = enumerate(_lines_of(copy, self.uri, RESULTS)) if known is not None else ()
            self.replace(chain((changed.get(number, _closed(line)) for number, line in kept), new))

    def replace(self, lines: Iterable[Mapping[str, Any] | bytes]) -> None:
        """Replace the file, or make it.

        :param lines: its new content, lines as they are among it.
        :raises Conflict: it has been written since it was read.
        :raises ServiceError: S3 refused, or did not get through.
        """
        with tempfile.TemporaryFile(prefix="omics-results-") as copy:
            self._put(copy, lines)

    def _put(self, copy: IO[bytes], lines: Iterable[Mapping[str, Any] | bytes]) -> None:
        if self.uri.endswith(".gz"):
            # No name and no time within: the same lines make the same file.
            with gzip.GzipFile(
                filename="", mode="wb", fileobj=copy, compresslevel=self._compression, mtime=0
            ) as packed:
                _write(packed, lines)
        else:
            _write(copy, lines)
        copy.seek(0)
        is_new = self._is_read and self._etag is None
        self._found(self._store.put(self._place, copy, if_match=self._etag, if_none_match=is_new))

    def _fetch(self, copy: IO[bytes]) -> bool:
        try:
            with self._store.get(self.uri) as found:
                shutil.copyfileobj(found.stream, copy)
        except NotFound:
            self._found(None)
            return False
        self._found(found.etag)
        return True

    def _found(self, etag: str | None) -> None:
        self._is_read = True
        self._etag = etag
        self.exists = etag is not None


def parsed_lines(
    file: IO[bytes],
    name: str,
    parse: Callable[[Mapping[str, Any]], Line],
    expected: tuple[str, str] = RESULTS,
) -> Iterator[Line]:
    """Read JSON Lines, compressed with gzip or not.

    :param file: a file that can be wound back; it is read from its beginning.
    :param name: its name, for messages.
    :param parse: makes a value of a line; raises KeyError, TypeError or ValueError if it is none.
    :param expected: what it ought to be, and the remedy; default: a results file.
    :return: one value for each line.
    :raises SettingsError: a line is something else.
    """
    for number, line in enumerate(_lines_of(file, name, expected), 1):
        yield parsed_line(line, name, parse, expected, number)


def parsed_line(
    line: bytes,
    name: str,
    parse: Callable[[Mapping[str, Any]], Line],
    expected: tuple[str, str] = RESULTS,
    number: int = 1,
) -> Line:
    """Read one line of JSON Lines.

    :param line: the line.
    :param name: of its file, for messages.
    :param parse: makes a value of it; raises KeyError, TypeError or ValueError if it is none.
    :param expected: what the file ought to be, and the remedy; default: a results file.
    :param number: of the line. Default 1.
    :raises SettingsError: it is something else.
    """
    try:
        value = json.loads(line)
        if not isinstance(value, dict):
            raise TypeError(f"{type(value).__name__}, not an object")  # noqa: TRY301 - one way out of all
        return parse(value)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise _other(name, number, expected, error) from error


def _lines_of(file: IO[bytes], name: str, expected: tuple[str, str]) -> Iterator[bytes]:
    file.seek(0)
    is_packed = file.read(2) == _GZIP
    file.seek(0)
    lines = iter(cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_packed else file)
    for number in count(1):
        try:
            line = next(lines, None)
        except (OSError, EOFError, zlib.error) as error:
            raise _other(name, number, expected, error) from error
        if line is None:
            return
        yield line


_NAME = b'{"run_setting_id":"'


def _name_of(line: bytes, name: str, number: int) -> str:
    """Tell whose record a line is; of one as this package writes it, without parsing it."""
    if line.startswith(_NAME):
        run_setting_id = line[len(_NAME) : max(line.find(b'"', len(_NAME)), len(_NAME))]
        if b"\\" not in run_setting_id and run_setting_id.isascii():  # an escaped text is read as JSON
            return run_setting_id.decode()
    return parsed_line(line, name, lambda value: str(value["run_setting_id"]), number=number)


def _closed(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _other(name: str, number: int, expected: tuple[str, str], error: Exception) -> SettingsError:
    kind, remedy = expected
    allowed = f"{kind}, one JSON object in each line ({type(error).__name__}: {error}). {remedy}"
    return SettingsError([Problem(name, f"line {number}", allowed)])


def write_merged(file: JsonLinesFile, store: ResultsStore, log: Any, repeats: Repeats) -> None:
    """Replace a results file by the records of a store, and never a newer record by an older one.

    S3 takes the file only if nobody has written it since it was read (If-Match); else it is read again, and its new
    records taken in first. Many that write at once spread their tries.

    :param file: the file, which was read into the store.
    :param store: the records.
    :param log: the task's logger.
    :param repeats: its patience bounds the tries.
    :raises Conflict: others write all the time.
    :raises ServiceError: S3 refused, or did not get through.
    """
    is_first = True

    def write() -> None:
        nonlocal is_first
        if not is_first:  # a write whose answer was lost may have been done
            store.take(file.read(RunRecord.from_json))
        is_first = False
        try:
            file.replace(store.lines())
        except Conflict:
            log.info("%s was written by another task meanwhile; adding to it", file.uri)
            raise

    repeats.make(write, (Conflict, Unavailable))
    store.written()


def write_changes(file: JsonLinesFile, store: ResultsStore, log: Any, repeats: Repeats) -> bool:
    """Write what has changed in a store into a results file: what is new is appended, and other lines stay unread.

    As by :func:`write_merged`, no newer record is replaced by an older one, and what others write meanwhile stays.

    :param file: the file, which was looked at.
    :param store: new records, and the file's records of the same samples.
    :param log: the task's logger.
    :param repeats: its patience bounds the tries.
    :return: whether somebody else has written the file meanwhile.
    :raises Conflict: others write all the time.
    :raises ServiceError: S3 refused, or did not get through.
    """
    is_first, others_write = True, False

    def write() -> None:
        nonlocal is_first, others_write
        if not is_first:  # a write whose answer was lost may have been done
            store.take_some(file.read_some(RunRecord.from_json, store.names()))
        is_first = False
        changed, new = store.changes()
        try:
            if changed or not file.is_closed:
                file.change(changed, new)
            else:
                file.append(new)
        except Conflict:
            log.info("%s was written by another task meanwhile; adding to it", file.uri)
            others_write = True
            raise

    repeats.make(write, (Conflict, Unavailable))
    store.written()
    return others_write


def write_samples(hook: OmicsHook, results: S3Place, request_id: str, samples: Iterable[Sample]) -> None:
    """Keep the samples of an attempt.

    :param hook: the hook whose connection is used.
    :param results: the results file that they belong to, whose key they have.
    :param request_id: the attempt's.
    :param samples: as they are submitted.
    :raises ServiceError: S3 refused, or did not get through.
    """
    file = JsonLinesFile(hook, samples_place(results.uri, request_id), results.kms_key_id)
    file.replace(sample.to_json() for sample in samples)


def read_samples(
    hook: OmicsHook,
    results_uri: str,
    request_id: str,
    *,
    required: bool = False,
    wanted: AnyCollection[str] | None = None,
) -> Iterator[Sample]:
    """Read the samples of an attempt.

    :param hook: the hook whose connection is used.
    :param results_uri: the results file that they belong to.
    :param request_id: the attempt's.
    :param required: they were kept. Default False.
    :param wanted: only those with these ``runSettingId``s. Default: all.
    :return: its samples; none when they were not kept.
    :raises NotFound: they were kept, and are gone.
    :raises SettingsError: what is there is something else.
    :raises ServiceError: S3 refused, or did not get through.
    """
    file = JsonLinesFile(hook, samples_place(results_uri, request_id), None)
    if wanted is None:
        yield from file.read(Sample.from_json, SAMPLES)
    else:
        found = (value for value in file.read(dict, SAMPLES) if value.get("run_setting_id") in wanted)
        yield from map(Sample.from_json, found)
    if required and not file.exists:
        raise NotFound("GetObject", "NoSuchKey", f"{file.uri} is gone")


def _is_file_or_prefix(uri: str) -> bool:
    bucket, key = s3_address(uri)
    is_file = re.fullmatch(r"(.*/)?[^/]+\.jsonl(\.gz)?", key, re.DOTALL) is not None
    return is_s3_uri(uri) and bool(bucket) and (is_file or uri.endswith("/"))


def _path(identity: TaskIdentity) -> str:
    names = [identity.dag_id, identity.run_id, identity.task_id]
    if identity.map_index >= 0:
        names.append(str(identity.map_index))
    # Airflow's ids have none of the characters replaced here, but for run ids that people choose.
    return "/".join(quote(name, safe=":+~@=") for name in names) + ".jsonl.gz"


def _write(file: Any, lines: Iterable[Mapping[str, Any] | bytes]) -> None:
    for line in lines:
        is_whole = isinstance(line, bytes)
        file.write(line if is_whole else json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
