"""The strict check of a request against the botocore service model.

botocore itself, on the client's side, checks unknown members, types, required members and minimum lengths only. This
check adds maximum lengths, ranges, patterns, enums, unions and documents, and trusts no client.

Stricter than AWS is known to be (asked: member-unknown, number-fraction, document-array): unknown members are refused
(REST-JSON services usually pass over them), a whole number written as 1.0 is not an integer, and a document
(``parameters``, ``engineSettings``) must be a JSON object.
As in AWS, ``null`` stands for a member that is not there.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from airflow_provider_omics.emulator.errors import validation_error
from airflow_provider_omics.emulator.model import YOUNGER_VALUES

#: Problems named in one message at most: a list of 100 settings with the same mistake must stay readable.
MAX_PROBLEMS = 20

Problems = list[str]
#: Takes a value, its path and the list of problems to add to; returns the value as the service gets it.
Check = Callable[[Any, str, Problems], Any]


class RequestCheck:
    """The check of one input shape, built once and called for each request.

    :param shape: input shape of an operation, or None for an operation without input.
    """

    def __init__(self, shape: StructureShape | None) -> None:
        self._check: Check = _structure_check(shape) if shape else _no_members

    def __call__(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Check the parameters of one request.

        :param parameters: the raw request, keyed as the members of the input shape.
        :return: the same without ``null`` members, and with blobs as bytes.
        :raises ServiceError: ``ValidationException`` that names each member that does not fit.
        """
        problems: Problems = []
        checked = self._check(parameters, "", problems)
        if problems:
            raise validation_error(_message(problems))
        return checked  # type: ignore[no-any-return]  # a structure check returns a dict when nothing is wrong


def _message(problems: Problems) -> str:
    count = len(problems)
    shown = "; ".join(problems[:MAX_PROBLEMS])
    rest = f"; and {count - MAX_PROBLEMS} more" if count > MAX_PROBLEMS else ""
    return f"{count} validation error{'s' if count > 1 else ''} detected: {shown}{rest}"


def _problem(value: Any, path: str, constraint: str) -> str:
    shown = repr(value)
    if len(shown) > 100:
        shown = shown[:100] + "..."
    return f"Value {shown} at '{path}' failed to satisfy constraint: Member must {constraint}"


def _no_members(value: Any, _path: str, problems: Problems) -> Any:
    problems.extend(_problem(value[name], name, "not be given: the operation has no input") for name in value)
    return value


def _check_for(shape: Shape) -> Check:
    if isinstance(shape, StructureShape):
        return _document_check if shape.is_document_type else _structure_check(shape)
    if isinstance(shape, ListShape):
        return _list_check(shape)
    if isinstance(shape, MapShape):
        return _map_check(shape)
    checks: dict[str, Callable[[Shape], Check]] = {
        "string": _string_check,
        "integer": _integer_check,
        "long": _integer_check,
        "boolean": _boolean_check,
        "blob": _blob_check,
    }
    return checks[shape.type_name](shape)


def _structure_check(shape: StructureShape) -> Check:
    members = {name: _check_for(member) for name, member in shape.members.items()}
    required = tuple(shape.required_members)
    union = shape.is_tagged_union

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            problems.append(_problem(value, path, "be a structure (JSON object)"))
            return value
        prefix = f"{path}." if path else ""
        checked: dict[str, Any] = {}
        for name, item in value.items():
            if name not in members:
                problems.append(f"Unknown member at '{prefix}{name}': the members are {', '.join(members)}")
            elif item is not None:
                checked[name] = members[name](item, f"{prefix}{name}", problems)
        for name in required:
            if name not in checked:
                problems.append(_problem(None, f"{prefix}{name}", "not be null"))
        if union and len(checked) != 1:
            problems.append(_problem(sorted(checked), path, f"have exactly one of {', '.join(members)}"))
        return checked

    return check


def _document_check(value: Any, path: str, problems: Problems) -> Any:
    if not isinstance(value, dict):
        problems.append(_problem(value, path, "be a JSON object"))
    return value


def _list_check(shape: ListShape) -> Check:
    check_item = _check_for(shape.member)
    check_length = _length_check(shape, "length")

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, list):
            problems.append(_problem(value, path, "be a list"))
            return value
        check_length(value, path, problems)
        return [check_item(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]

    return check


def _map_check(shape: MapShape) -> Check:
    check_key, check_value = _check_for(shape.key), _check_for(shape.value)
    check_length = _length_check(shape, "size")

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, dict):
            problems.append(_problem(value, path, "be a map (JSON object)"))
            return value
        check_length(value, path, problems)
        for key in value:
            check_key(key, f"{path} (key)", problems)
        return {key: check_value(item, f"{path}.{key}", problems) for key, item in value.items()}

    return check


def _string_check(shape: Shape) -> Check:
    check_length = _length_check(shape, "length")
    allowed = tuple(shape.metadata.get("enum", ()))
    younger = YOUNGER_VALUES.get(shape.name, ())
    pattern = shape.metadata.get("pattern")
    matches = _matcher(pattern) if pattern else None

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, str):
            problems.append(_problem(value, path, "be a string"))
            return value
        check_length(value, path, problems)
        if allowed and value not in allowed and value not in younger:
            problems.append(_problem(value, path, f"satisfy enum value set: [{', '.join(allowed)}]"))
        if matches and not matches(value):
            problems.append(_problem(value, path, f"satisfy regular expression pattern: {pattern}"))
        return value

    return check


def _integer_check(shape: Shape) -> Check:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            problems.append(_problem(value, path, "be an integer"))
        elif low is not None and value < low:
            problems.append(_problem(value, path, f"have value greater than or equal to {low}"))
        elif high is not None and value > high:
            problems.append(_problem(value, path, f"have value less than or equal to {high}"))
        return value

    return check


def _boolean_check(_shape: Shape) -> Check:
    def check(value: Any, path: str, problems: Problems) -> Any:
        if not isinstance(value, bool):
            problems.append(_problem(value, path, "be a boolean"))
        return value

    return check


def _blob_check(shape: Shape) -> Check:
    check_length = _length_check(shape, "length")

    def check(value: Any, path: str, problems: Problems) -> Any:
        try:
            decoded = base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error):
            problems.append(_problem(value, path, "be base64 text"))
            return value
        check_length(decoded, path, problems)
        return decoded

    return check


def _length_check(shape: Shape, noun: str) -> Callable[[Any, str, Problems], None]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, path: str, problems: Problems) -> None:
        if low is not None and len(value) < low:
            problems.append(_problem(value, path, f"have {noun} greater than or equal to {low}"))
        elif high is not None and len(value) > high:
            problems.append(_problem(value, path, f"have {noun} less than or equal to {high}"))

    return check


_CLASS_PATTERN = re.compile(r"\[(?:\\p\{[A-Z]\}|\\[tnr]|\|)+\]\+")
_ESCAPES = {r"\t": "\t", r"\n": "\n", r"\r": "\r"}


def _matcher(pattern: str) -> Callable[[str], bool]:
    """Patterns of the model hold for the whole string. Python's ``re`` has no Unicode categories: those are ours."""
    if r"\p" not in pattern:
        # ASCII: \w in AWS's patterns means ASCII letters only, as in Java.
        compiled = re.compile(pattern, re.ASCII)
        return lambda text: compiled.fullmatch(text) is not None
    if not _CLASS_PATTERN.fullmatch(pattern):
        raise NotImplementedError(f"pattern {pattern} is more than one class of Unicode categories")
    categories = frozenset(re.findall(r"\\p\{([A-Z])\}", pattern))
    others = {_ESCAPES[escape] for escape in re.findall(r"\\[tnr]", pattern)} | ({"|"} if "|" in pattern else set())
    return lambda text: (
        bool(text)
        and all(unicodedata.category(character)[0] in categories or character in others for character in text)
    )
