"""Reading a JSON array of any length, one element at a time."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO, Any

from airflow_provider_omics.core.errors import Problem, SettingsError

CHUNK = 1 << 16
"""Bytes read at once."""

LONGEST_ELEMENT = 1 << 22
"""Characters after which something is no element: the parameters of a run have 256,000 bytes at most."""


def json_array(stream: IO[bytes], name: str) -> Iterator[Any]:
    """Read the elements of a JSON array.

    :param stream: the array, in UTF-8.
    :param name: where it comes from, for messages.
    :return: one element after the other.
    :raises SettingsError: it is something else.
    """
    decoder, parser = codecs.getincrementaldecoder("utf-8-sig")(errors="replace"), json.JSONDecoder()
    text, awaited, count = "", "[", 0
    while chunk := stream.read(CHUNK):
        text += decoder.decode(chunk)
        while text := text.lstrip(" \t\r\n"):
            if text[0] == "]" and awaited in ("first", ","):
                return
            if awaited in ("first", "element"):
                try:
                    element, end = parser.raw_decode(text)
                except json.JSONDecodeError:
                    element, end = None, len(text)
                if end == len(text):  # it may go on in the next chunk
                    break
                yield element
                text, awaited, count = text[end:], ",", count + 1
            elif text[0] == awaited:
                text, awaited = text[1:], "first" if awaited == "[" else "element"
            else:
                raise SettingsError([_problem(name, count)])
        if len(text) > LONGEST_ELEMENT:
            break
    raise SettingsError([_problem(name, count)])


def _problem(name: str, count: int) -> Problem:
    return Problem(name, f"no JSON after element {count:,}", "a JSON array of run settings, as StartRunBatch takes it")
