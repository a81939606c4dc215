"""JSON documents, which ``parameters`` and ``engineSettings`` are: the values that they can carry, and their size.

botocore takes NaN, keys that are no text and lone surrogates without a word, and sends broken JSON; a tuple, a
Decimal or a datetime it refuses without saying where. Here every such value is found, with its path.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from airflow_provider_omics.core.settings.rendering import still_text

MAX_DEPTH = 100
"""Levels of nesting that are looked into; deeper ones are refused, and so is a value that contains itself."""

MAX_INTEGER_BITS = 1024
"""JSON readers use doubles, whose range ends there."""

_REPLACEMENTS = {
    "tuple": "list(value)",
    "set": "sorted(value)",
    "frozenset": "sorted(value)",
    "bytes": "value.decode()",
    "bytearray": "value.decode()",
    "Decimal": "float(value) or str(value)",
    "datetime": "value.isoformat()",
    "date": "value.isoformat()",
    "time": "value.isoformat()",
    "DateTime": "value.isoformat()",
    "UUID": "str(value)",
    "PosixPath": "str(value)",
    "PurePosixPath": "str(value)",
    "ObjectStoragePath": "str(value)",
    "LazyXComSequence": "list(value)",
}
_NOT_DEEPER = f"at most {MAX_DEPTH} levels, and no value that contains itself"
_CARRIED = "JSON carries text, numbers, true, false, null, lists and objects"


class Fault(NamedTuple):
    """A fault within one value.

    :param path: where, from the value's own name on: ``"['reads'][0]"``, empty for the value itself.
    :param shown: the value there, or its type.
    :param allowed: the allowed values, and the remedy.
    """

    path: str
    shown: str
    allowed: str


def document_faults(value: Any) -> list[Fault]:
    """Find everything in a document that JSON cannot carry.

    :param value: the value that the user gave for ``parameters`` or ``engineSettings``.
    :return: one fault per place, with its path; types are shown, never values, which may identify a patient.
    """
    if not isinstance(value, Mapping):
        allowed = f"a JSON object (dict) of names and values{still_text(value)}"
        return [Fault("", type(value).__name__, allowed)]
    faults: list[Fault] = []
    _check_object(value, "", 0, faults)
    return faults


def document_size(value: Any) -> int:
    """Count the bytes of a document as compact UTF-8 JSON.

    How the service counts is not documented; this is the shortest form: too long here is too long there.

    :param value: a document without faults.
    :return: bytes.
    """
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def _check(value: Any, path: str, depth: int, faults: list[Fault]) -> None:
    if value is None:
        return
    if isinstance(value, int):
        if value.bit_length() > MAX_INTEGER_BITS:
            faults.append(Fault(path, "int", f"a number of at most {MAX_INTEGER_BITS} bits: use text"))
        return
    if isinstance(value, str):
        if not value.isascii() and not _is_encodable(value):
            faults.append(Fault(path, "str", "text that has a UTF-8 form: no lone surrogates"))
    elif isinstance(value, float):
        if not math.isfinite(value):
            faults.append(Fault(path, "float", "a finite number: JSON has no NaN, no Infinity; use null or text"))
    elif depth >= MAX_DEPTH and isinstance(value, (list, dict)):
        faults.append(Fault(path, type(value).__name__, _NOT_DEEPER))
    elif isinstance(value, dict):
        _check_object(value, path, depth, faults)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            if type(item) is not str or not item.isascii():
                _check(item, f"{path}[{position}]", depth + 1, faults)
    else:
        name = type(value).__name__
        replacement = _REPLACEMENTS.get(name)
        faults.append(Fault(path, name, f"{_CARRIED}; use {replacement}" if replacement else _CARRIED))


def _check_object(value: Mapping[Any, Any], path: str, depth: int, faults: list[Fault]) -> None:
    for key, item in value.items():
        if not isinstance(key, str):
            faults.append(Fault(f"{path}[{key!r:.60}]", type(item).__name__, "a key of text: JSON has no other"))
        elif not key.isascii() and not _is_encodable(key):
            faults.append(Fault(f"{path}[{key!a}]", type(item).__name__, "a key that has a UTF-8 form"))
        # The usual case, plain text, is decided here: a path costs more than the check.
        if type(item) is not str or not item.isascii():
            _check(item, f"{path}[{key!r}]", depth + 1, faults)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
