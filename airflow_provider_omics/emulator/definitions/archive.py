"""The zip archive of a workflow definition."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import PurePosixPath

#: A definition is text; a file that unpacks to more is none.
_LONGEST_FILE = 20_000_000


class DefinitionError(Exception):
    """A definition that cannot become a workflow; the message is the workflow's ``statusMessage``."""


class Archive:
    """The files of a definition.

    :param body: the zip archive.
    :raises DefinitionError: it is no zip archive, or has no file.
    """

    def __init__(self, body: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(body))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise DefinitionError(f"The workflow definition is not a zip archive: {error}") from None
        # What macOS adds to an archive is no part of the definition.
        self._names = {
            str(PurePosixPath(info.filename)): info
            for info in self._zip.infolist()
            if not info.is_dir() and not info.filename.startswith("__MACOSX/")
        }
        if not self._names:
            raise DefinitionError("The workflow definition is an empty zip archive")

    @property
    def names(self) -> list[str]:
        """The paths of all files, as in the archive."""
        return list(self._names)

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read_text(self, name: str) -> str:
        """Read a file.

        :param name: its path in the archive.
        :return: its text.
        :raises DefinitionError: it is damaged, too long, or not text in UTF-8.
        """
        info = self._names[name]
        if info.file_size > _LONGEST_FILE:
            raise DefinitionError(f"{name} has {info.file_size} bytes, which is no workflow definition")
        try:
            return self._zip.read(info).decode()
        except UnicodeDecodeError as error:
            raise DefinitionError(f"{name} is not text in UTF-8: {error}") from None
        except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, NotImplementedError) as error:
            # RuntimeError: a password is wanted; NotImplementedError: an unusual compression.
            raise DefinitionError(f"{name} cannot be read from the zip archive: {error}") from None


def pack(files: dict[str, str]) -> bytes:
    """Make an archive, the same bytes for the same files.

    :param files: path -> text.
    :return: the zip archive.
    """
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return body.getvalue()
