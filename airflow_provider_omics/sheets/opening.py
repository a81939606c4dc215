"""Opening a sheet: a local file or an S3 object as a stream of bytes, unpacked."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any, Protocol

from airflow_provider_omics.core.errors import NotFound, Problem, ServiceError, SettingsError
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.core.uris import is_s3_uri, s3_address

if TYPE_CHECKING:
    from airflow_provider_omics.hooks.s3 import S3Store

BUFFER = 1 << 17
"""Bytes read at once."""
LARGEST_UNPACKED = 1 << 33
"""Bytes that a packed file may have: the settings of a batch have 6 GB at most, and a small file can unpack to any
size."""
_GZIP = b"\x1f\x8b"
# First bytes of files that are no sheets, and the kind of file.
_OTHERS = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV, or compress it with gzip",
    b"\xd0\xcf\x11\xe0": "an old or encrypted Excel workbook (.xls): save the sheet as CSV",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
    b"BZh": "compressed with bzip2: use gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: use gzip",
    b"\xfd7zXZ": "compressed with xz: use gzip",
}


class Digest(Protocol):
    """A hash that is being computed, as of :mod:`hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""


@contextmanager
def open_bytes(
    path: str, store: S3Store | None = None, digest: Digest | None = None
) -> Iterator[io.BufferedReader[Any]]:
    """Open a file as a stream of bytes; gzip, recognised by its first bytes, is unpacked.

    :param path: a local path, or ``s3://bucket/key``.
    :param store: reads S3. Default: the store of the connection ``aws_default``.
    :param digest: gets the bytes of the file, as it is stored, to its end. Default: nobody wants them.
    :return: the stream, as a context: closed at its end.
    :raises SettingsError: there is no such file, it cannot be read, or it is of a kind that is no sheet.
    :raises ServiceError: S3 refused.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(_s3_object(path, store) if is_s3_uri(path) else _local_file(path))
        if digest is not None:
            stream = stack.enter_context(io.BufferedReader(_Digested(stream, digest), BUFFER))
        stored = stream
        head = stream.peek(8)
        for start, what in _OTHERS.items():
            if head.startswith(start):
                raise SettingsError([Problem(visible(path), what.partition(":")[0], what.partition(": ")[2])])
        if head[1:2] == b"\0" or (head[:1] == b"\0" and head[1:2] != b"\0" and head):
            raise SettingsError([Problem(visible(path), "text in UTF-16 without a mark", "save it as UTF-8")])
        if head.startswith(_GZIP):
            stream = stack.enter_context(io.BufferedReader(_Unpacked(stream, path), BUFFER))
        yield stream
        if digest is not None and not stored.closed:  # a reader of text closes what it has read to its end
            while stored.read(BUFFER):
                pass


class _Digested(io.RawIOBase):
    """A file whose bytes are hashed while they are read.

    :param file: the file.
    :param digest: gets them.
    """

    def __init__(self, file: IO[bytes], digest: Digest) -> None:
        self._file = file
        self._digest = digest

    def readable(self) -> bool:
        """Whether it can be read; called by the buffer around it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; called by the buffer around it."""
        read = self._file.read(len(buffer))
        buffer[: len(read)] = read
        self._digest.update(read)
        return len(read)


class _Unpacked(io.RawIOBase):
    """What a gzip file unpacks to, up to a limit.

    :param packed: the file.
    :param path: its path, for messages.
    """

    def __init__(self, packed: IO[bytes], path: str) -> None:
        self._file = gzip.GzipFile(fileobj=packed)
        self._path = path
        self._size = 0

    def readable(self) -> bool:
        """Whether it can be read; called by the buffer around it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack some bytes; called by the buffer around it."""
        count = self._file.readinto(buffer)
        self._size += count
        if self._size > LARGEST_UNPACKED:
            shown = f"more than {LARGEST_UNPACKED:,} bytes, unpacked"
            raise SettingsError([Problem(visible(self._path), shown, "a smaller file: split it")])
        return count


@contextmanager
def _local_file(path: str) -> Iterator[io.BufferedReader[Any]]:
    if "://" in path:
        raise SettingsError([Problem("sheet path", repr(path), "a local path, or s3://bucket/key")])
    try:
        stream = io.BufferedReader(io.FileIO(path), BUFFER)
    except (OSError, ValueError) as error:  # a NUL, or half a character
        allowed = f"a file that can be read here, in {os.getcwd()}, or s3://bucket/key"  # noqa: PTH109 - for a message
        raise SettingsError(
            [Problem("sheet path", repr(path), f"{getattr(error, 'strerror', None) or error}; {allowed}")]
        ) from error
    with stream:
        yield stream


@contextmanager
def _s3_object(uri: str, store: S3Store | None) -> Iterator[io.BufferedReader[Any]]:
    bucket, key = s3_address(uri)
    if not bucket or not key:
        raise SettingsError([Problem("sheet path", repr(uri), "s3://bucket/key of a file")])
    from airflow_provider_omics.hooks.s3 import S3Store  # a local sheet needs no Airflow

    with ExitStack() as stack:
        try:
            found = stack.enter_context((store or S3Store.of_connection()).get(uri))
        except NotFound as error:
            raise SettingsError(
                [Problem("sheet path", repr(uri), f"there is no such object ({error.code})")]
            ) from error
        except ServiceError as error:
            if error.code != "InvalidObjectState":
                raise
            allowed = "an object that is not archived: restore it first"
            raise SettingsError([Problem("sheet path", repr(uri), allowed)]) from error
        yield found.stream
