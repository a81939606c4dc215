"""The results file in S3: JSON Lines, read whole and replaced whole."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import IO, Any, TypeVar, cast

from airflow_provider_omics.core.errors import NotFound, Problem, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import encryption, s3_hook
from airflow_provider_omics.hooks.service_errors import service_errors

Line = TypeVar("Line")

_GZIP = b"\x1f\x8b"


class JsonLinesFile:
    """An S3 object of JSON Lines, compressed with gzip when its name ends in ``.gz``.

    It is never seen half written: its lines are collected in a temporary file, which becomes the object in one call.
    Who has read it replaces what was read and nothing newer.

    :param hook: the hook whose connection is used.
    :param uri: ``s3://bucket/key.jsonl`` or ``s3://bucket/key.jsonl.gz``.
    :param kms_key_id: KMS key that it is written with; None: the bucket's own encryption.
    """

    def __init__(self, hook: OmicsHook, uri: str, kms_key_id: str | None) -> None:
        self.uri = uri
        self.exists = False
        """Whether there was such a file when it was last read or written."""
        self._bucket, _, self._key = uri.removeprefix("s3://").partition("/")
        self._s3 = s3_hook(hook)
        self._encryption = encryption(kms_key_id)
        self._condition: dict[str, str] = {}

    def read(self, parse: Callable[[Mapping[str, Any]], Line]) -> Iterator[Line]:
        """Read the lines, all of which are fetched first: who takes long over them loses no connection.

        :param parse: makes a value of a line; raises KeyError, TypeError or ValueError if it is none.
        :return: one value for each line; none when there is no such file.
        :raises SettingsError: a line is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        with tempfile.TemporaryFile(prefix="omics-results-") as copy:
            if self._fetch(copy):
                yield from parsed_lines(copy, self.uri, parse)

    def replace(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Replace the file, or make it.

        :param lines: what it shall hold.
        :raises Conflict: it has been written since it was read.
        :raises ServiceError: S3 refused, or did not get through.
        """
        with tempfile.TemporaryFile(prefix="omics-results-") as copy:
            if self.uri.endswith(".gz"):
                # No name and no time within: the same lines make the same file.
                with gzip.GzipFile(filename="", mode="wb", fileobj=copy, compresslevel=6, mtime=0) as packed:
                    _write(packed, lines)
            else:
                _write(copy, lines)
            copy.seek(0)
            with service_errors("PutObject"):
                answer = self._s3.conn.put_object(
                    Bucket=self._bucket, Key=self._key, Body=copy, **self._encryption, **self._condition
                )
        self._found(answer["ETag"])

    def _fetch(self, copy: IO[bytes]) -> bool:
        try:
            with service_errors("GetObject"):
                answer = self._s3.conn.get_object(Bucket=self._bucket, Key=self._key)
                shutil.copyfileobj(answer["Body"], copy)
        except NotFound:
            self.exists, self._condition = False, {"IfNoneMatch": "*"}
            return False
        self._found(answer["ETag"])
        return True

    def _found(self, etag: str) -> None:
        self.exists, self._condition = True, {"IfMatch": etag}


def parsed_lines(file: IO[bytes], name: str, parse: Callable[[Mapping[str, Any]], Line]) -> Iterator[Line]:
    """Read JSON Lines, compressed with gzip or not.

    :param file: a file that can be wound back; it is read from its beginning.
    :param name: its name, for messages.
    :param parse: makes a value of a line; raises KeyError, TypeError or ValueError if it is none.
    :return: one value for each line.
    :raises SettingsError: a line is something else.
    """
    file.seek(0)
    is_packed = file.read(2) == _GZIP
    file.seek(0)
    lines = iter(cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_packed else file)
    for number in count(1):
        try:
            line = next(lines, None)
            if line is None:
                return
            value = json.loads(line)
            if not isinstance(value, dict):
                raise TypeError(f"{type(value).__name__}, not an object")  # noqa: TRY301 - one way out of all
            parsed = parse(value)
        except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
            allowed = f"a results file, one JSON object in each line ({type(error).__name__}: {error})"
            raise SettingsError([Problem(name, f"line {number}", allowed)]) from error
        yield parsed


def _write(file: Any, lines: Iterable[Mapping[str, Any]]) -> None:
    for line in lines:
        file.write(json.dumps(line, separators=(",", ":"), allow_nan=False).encode() + b"\n")
