"""The run settings of a batch: inline, or in an object in S3."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import urlsplit

from airflow_provider_omics.emulator.errors import ServiceError
from airflow_provider_omics.emulator.life.records import Entry
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.model import service_model
from airflow_provider_omics.emulator.request_check import RequestCheck


class SettingsFileError(Exception):
    """A settings object that makes its batch fail.

    :param message: the batch's failureReason.
    :param code: the failureReason of the batch's event.
    """

    def __init__(self, message: str, code: str = "VALIDATION_EXCEPTION") -> None:
        super().__init__(message, code)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


def split_uri(uri: str) -> tuple[str, str] | None:
    """Split an S3 URI.

    :return: bucket and key; None when it is not ``s3://bucket/key``.
    """
    parts = urlsplit(uri, allow_fragments=False)
    key = uri.removeprefix(f"s3://{parts.netloc}/")
    return (parts.netloc, key) if parts.scheme == "s3" and parts.netloc and key and key != uri else None


def check_settings_file(region: Region, uri: str, etag: str | None) -> None:
    """Check that the settings object of a batch is still the one that was submitted.

    :param region: the region of the batch.
    :param uri: S3 URI of the object.
    :param etag: the ETag that it must still have.
    :raises SettingsFileError: the object has changed or is gone.
    """
    bucket, key = split_uri(uri) or ("", "")
    if region.surroundings.object_etag(region.account, region.name, bucket, key) != etag:
        raise _changed(uri)


def read_settings_file(region: Region, uri: str, etag: str | None) -> Iterator[Entry]:
    """Read the settings object of a batch.

    :param region: the region of the batch.
    :param uri: S3 URI of the object.
    :param etag: the ETag that it must still have.
    :return: its entries, read when they are asked for; then a SettingsFileError says that the object cannot be
        understood, or has too many entries.
    :raises SettingsFileError: the object has changed.
    """
    bucket, key = split_uri(uri) or ("", "")
    stored = region.surroundings.read_object(region.account, region.name, bucket, key)
    if stored is None or stored.etag != etag:
        raise _changed(uri)
    return _entries(region, uri, stored.body)


def index_entries(entries: list[Entry]) -> dict[str, Entry]:
    """Index entries by their runSettingId.

    :raises SettingsFileError: a runSettingId occurs twice.
    """
    index: dict[str, Entry] = {}
    for entry in entries:
        add_entry(index, entry)
    return index


def add_entry(index: dict[str, Entry], entry: Entry) -> None:
    """Add an entry to an index by runSettingId.

    :raises SettingsFileError: its runSettingId is there already.
    """
    if index.setdefault(entry.setting["runSettingId"], entry) is not entry:
        raise SettingsFileError(f"runSettingId {entry.setting['runSettingId']!r} is not unique in the batch.")


def _changed(uri: str) -> SettingsFileError:
    return SettingsFileError(f"The run settings file {uri} was modified or removed after submission (ETag mismatch).")


def _entries(region: Region, uri: str, body: bytes) -> Iterator[Entry]:
    check, longest, number = _check_of_inline_setting(), region.limits.runs_per_batch, -1
    try:
        for number, setting in enumerate(_items(body.decode(json.detect_encoding(body)))):
            if number < longest:
                yield Entry(check(setting))
    except ServiceError as error:
        # Stricter than AWS is known to be (asked: setting-malformed): it may report such a run alone as a failed
        # submission.
        raise SettingsFileError(f"Run setting {number} of the file is not valid: {error.message}") from None
    except ValueError as error:
        raise SettingsFileError(f"The run settings file {uri} is not valid JSON: {error}") from None
    if number < 0:
        raise SettingsFileError("The run settings file has no run settings.")
    if number >= longest:
        raise SettingsFileError(f"A batch can have up to {longest} runs; the file has {number + 1}.")


_SPACE = re.compile(r"[ \t\n\r]*")


def _items(text: str) -> Iterator[Any]:
    """Read a JSON array item by item, so that a long one need not be read at once.

    :param text: the JSON.
    :return: its items.
    :raises SettingsFileError: it is not an array.
    :raises ValueError: it is not JSON.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)

    def after_space(position: int) -> int:
        found = _SPACE.match(text, position)
        return position if found is None else found.end()

    position = after_space(0)
    if text[position : position + 1] != "[":
        decoder.decode(text)
        raise SettingsFileError("The run settings file must be a JSON array of run settings.")
    position = after_space(position + 1)
    if text[position : position + 1] == "]":
        position += 1
    else:
        between = ","
        while between == ",":
            item, position = decoder.raw_decode(text, after_space(position))
            yield item
            position = after_space(position)
            between = text[position : position + 1]
            position += 1
        if between != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, position - 1)
    if after_space(position) != len(text):
        raise json.JSONDecodeError("Extra data", text, after_space(position))


@lru_cache(maxsize=1)
def _check_of_inline_setting() -> RequestCheck:
    return RequestCheck(service_model().shape_for("InlineSetting"))


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity, which JSON does not have.
    raise ValueError(f"{name} is no JSON value")
