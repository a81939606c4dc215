"""The definition of a workflow: its files, an archive of them, and the digest by which it is known again."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError

LARGEST_REQUEST = 4_400_000
"""Bytes of an archive that CreateWorkflow takes itself; a larger one is read from S3 (user guide, "Creating a
workflow")."""

LARGEST_DEFINITION = 200_000_000
"""Bytes of all files, unpacked. A definition is text: more is data that was not meant to be in it."""

_MADE_AT = (1980, 1, 1, 0, 0, 0)
"""The earliest time that an archive can hold: times say when a file was checked out, not what is in it."""


def check_size(sizes: Mapping[str, int], source: str) -> None:
    """Refuse a definition with data in it.

    :param sizes: path -> bytes.
    :param source: where it lies, in the words of the user.
    :raises SettingsError: there is no file, or they are too large; the error names the largest.
    """
    if not sizes:
        raise SettingsError([Problem("definition", source, "at least one file; all are excluded, or there is none")])
    total = sum(sizes.values())
    if total > LARGEST_DEFINITION:
        largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:3]
        allowed = (
            f"at most {LARGEST_DEFINITION:,} bytes: list data in .gitignore; the largest are "
            f"{', '.join(f'{name} ({sizes[name]:,})' for name in largest)}"
        )
        raise SettingsError([Problem("definition", f"{source}: {total:,} bytes", allowed)])


def archive(files: Mapping[str, bytes]) -> bytes:
    """Pack the files of a definition: the same bytes for the same files, wherever and whenever they were checked out.

    :param files: path -> content.
    :return: a zip archive.
    """
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as packed:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _MADE_AT)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3  # of Unix: that of the machine would show
            info.external_attr = 0o100644 << 16
            packed.writestr(info, files[name])
    return body.getvalue()


def digest_of_files(files: Mapping[str, bytes]) -> str:
    """Hash the files of a definition, and not an archive of them: libraries for compression differ by version.

    :param files: path -> content.
    :return: SHA-256 in hexadecimal.
    """
    return digest_of({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})


def digest_of(document: Mapping[str, Any]) -> str:
    """Hash a JSON document.

    :param document: JSON values by name; their order does not count.
    :return: SHA-256 in hexadecimal.
    """
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
