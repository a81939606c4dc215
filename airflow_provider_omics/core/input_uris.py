"""URIs among the parameters of a run: whether what looks like one is well formed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from airflow_provider_omics.core.documents import Fault
from airflow_provider_omics.core.setting_checks import show_value

_MEANT = ("s3:/", "s3//", "omics:/", "omics//", "http:/", "https:/")
_LONGEST = max(map(len, _MEANT))
# Buckets from before 2018 may have upper case, underscores and up to 255 characters; an access point is an ARN.
_WELL_FORMED = re.compile(
    r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]|arn:[^/\s]+)(/.*\S|/)?"
    r"|omics://[^/\s]+/\S+"
    r"|https?://[^/\s]+(/\S*)?"
)


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Walk the text within a document.

    :param value: lists, dicts, and what they hold.
    :param path: of the value itself. Default: none.
    :return: each text's path, ``"['reads'][0]"``, and the text.
    """
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            # The usual case, text, is decided here: a generator for each costs more than the check.
            if isinstance(item, str):
                yield f"{path}[{key!r}]", item
            else:
                yield from texts(item, f"{path}[{key!r}]")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from texts(item, f"{path}[{position}]")


def uri_faults(parameters: Any) -> list[Fault]:
    """Find texts that are meant as a URI of an input and are none.

    :param parameters: the parameters of a run.
    :return: one fault for each, with the text, shortened: a place is shown, not a value.
    """
    faults = []
    for path, text in texts(parameters):
        start = text[: _LONGEST + 8].lstrip().lower()
        if start.startswith(_MEANT) and not _WELL_FORMED.fullmatch(text):
            allowed = "s3://bucket/key, omics://account.storage.region.amazonaws.com/... or https://host/...; no spaces"
            faults.append(Fault(path, show_value(text), f"{allowed} around it"))
    return faults
