"""Frozen dataclasses read from plain mappings, with errors that name the place."""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints


class ScenarioError(ValueError):
    """A scenario that cannot be understood.

    :param path: place of the mistake, e.g. ``runs[2].outcome``.
    :param problem: the mistake, and the values that are allowed.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path or 'scenario'}: {self.problem}"


def read_dataclass(kind: type[Any], value: object, path: str = "") -> Any:
    """Make a dataclass from a mapping, nested ones too.

    Fields may carry ``allowed`` (a tuple), ``minimum``, ``maximum`` and ``longest`` (characters) in their metadata.

    :param kind: a dataclass whose field types are bool, int, float, str, tuple[X, ...], Mapping[str, X], dataclasses,
        and any of these with None.
    :param value: the mapping.
    :param path: its place in the scenario, for errors.
    :return: an instance of ``kind``.
    :raises ScenarioError: something is unknown, missing or wrong.
    """
    if not isinstance(value, Mapping):
        raise ScenarioError(path, f"{value!r} is not a mapping")
    known = {item.name: item for item in fields(kind)}
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ScenarioError(_join(path, key), f"unknown key; {hint}known are {sorted(known)}")
    hints = get_type_hints(kind)
    arguments = {}
    for name, item in known.items():
        if name in value:
            arguments[name] = _read(hints[name], value[name], _join(path, name), item)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ScenarioError(_join(path, name), "is missing")
    try:
        return kind(**arguments)
    except ScenarioError as error:
        raise ScenarioError(_join(path, error.path), error.problem) from None


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path and key else f"{path}{key}"


def _read(hint: Any, value: Any, path: str, item: Field[Any]) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _read(next(kind for kind in arguments if kind is not type(None)), value, path, item)
    if origin is tuple:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            # One value stands for a list of one: `attempt: 1`.
            value = [value]
        return tuple(_read(arguments[0], element, f"{path}[{number}]", item) for number, element in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ScenarioError(path, f"{value!r} is not a mapping")
        return {str(key): _read(arguments[1], element, _join(path, key), item) for key, element in value.items()}
    if is_dataclass(hint):
        return read_dataclass(hint, value, path)  # type: ignore[arg-type]  # a class here, never an instance
    return _read_scalar(hint, value, path, item)


def _read_scalar(hint: Any, value: Any, path: str, item: Field[Any]) -> Any:
    if hint is Any:
        return value
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        # YAML reads an unquoted id as a number; one with leading zeros would be octal and is not ours to guess.
        value = str(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        expected = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}[hint]
        raise ScenarioError(path, f"{value!r} is not {expected}")
    rules = item.metadata
    if "allowed" in rules and value not in rules["allowed"]:
        raise ScenarioError(path, f"{value!r} is not allowed; use one of {list(rules['allowed'])}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ScenarioError(path, f"{value!r} is not a finite number")
    if "minimum" in rules and value < rules["minimum"]:
        raise ScenarioError(path, f"{value!r} is too small; at least {rules['minimum']}")
    if "maximum" in rules and value > rules["maximum"]:
        raise ScenarioError(path, f"{value!r} is too large; at most {rules['maximum']}")
    if "longest" in rules and not 1 <= len(value) <= rules["longest"]:
        raise ScenarioError(path, f"{value!r} has {len(value)} characters; 1 to {rules['longest']} are allowed")
    return value
