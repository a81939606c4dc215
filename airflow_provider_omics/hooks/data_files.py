"""botocore's data files, read piece by piece and without the parts that no client of ours needs."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from botocore.loaders import JSONFileLoader

PIECE = 1 << 14
"""Characters that are read at a time."""

_SERVICES = ("iam", "omics", "sts")
"""Those that the Amazon provider's hook of any service calls, beside the service itself."""

_SPACE = re.compile(r"[ \t\n\r]*")

_OF_NUMBERS = "0123456789+-.eE"

_decode_all = json.JSONDecoder().raw_decode


class LeanFiles(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
    """Reads data files of botocore without the parts that no client of ours needs: a client takes 2 MB, not 12.

    Left out are documentation, and the endpoints of services that are never called. Plain dicts keep the order of their
    keys as botocore's do, in half the memory. They are made in Python, which lets the event loop run meanwhile.
    """

    def load_file(self, file_path: str) -> Any:
        """Read a file, as botocore asks for it.

        :param file_path: without its suffix.
        :return: its data; None if there is no such file.
        """
        for suffix, open_file in ((".json", open), (".json.gz", gzip.open)):
            path = Path(file_path + suffix)
            if path.is_file():
                with open_file(path, "rt", encoding="utf-8") as file:
                    if path.name.startswith("endpoints."):
                        return Document(file, only={"services": _SERVICES}).read(depth=4)
                    return Document(file).read(depth=2)
        return None


class Document:
    """A JSON document that is read piece by piece.

    The thread that makes a client would keep the memory of a whole text: allocators give little back.

    :param file: the document.
    :param only: name of an object -> the members that are kept of it; it must lie above the depth that is read.
    """

    def __init__(self, file: TextIO, only: dict[str, Collection[str]] | None = None) -> None:
        self._file = file
        self._only = only or {}
        self._text = ""
        self._at = 0
        self._object = _Objects()
        self._decode = json.JSONDecoder(object_pairs_hook=self._object).raw_decode

    def read(self, depth: int, name: str = "") -> Any:
        """Read the next value, without documentation.

        :param depth: how many levels of it to read member by member; what lies deeper is read as a whole.
        :param name: under which it stands.
        :return: the value.
        :raises json.JSONDecodeError: this is no JSON.
        """
        sign = self._sign()
        if depth and sign == "{":
            return self._object(self._members(depth, self._only.get(name)))
        if depth and sign == "[":
            return [*self._items(depth)]
        return self._value()

    def _members(self, depth: int, only: Collection[str] | None) -> Iterable[tuple[str, Any]]:
        for _ in self._members_left("{", "}"):
            self._sign()
            name = self._value(_decode_all)
            self._step_over(":")
            self._sign()
            if only is None or name in only:
                yield name, self.read(depth - 1, name)
            else:
                self._value(_decode_all)

    def _items(self, depth: int) -> Iterable[Any]:
        for _ in self._members_left("[", "]"):
            yield self.read(depth - 1)

    def _members_left(self, begin: str, end: str) -> Iterator[None]:
        """Step over all signs between the members of an object or a list, which are read meanwhile."""
        self._step_over(begin)
        if self._sign() != end:
            yield
            while self._sign() != end:
                self._step_over(",")
                yield
        self._step_over(end)

    def _step_over(self, sign: str) -> None:
        if self._sign() != sign:
            raise json.JSONDecodeError(f"Expecting {sign!r}", self._text, self._at)
        self._at += 1

    def _value(self, decode: Callable[[str, int], tuple[Any, int]] | None = None) -> Any:
        while True:
            try:
                value, end = (decode or self._decode)(self._text, self._at)
            except json.JSONDecodeError:
                if not self._read_on():
                    raise
                continue
            # The sign behind a number may belong to it, and the rest of it stand in the next piece: "1." is 1 so far.
            is_over = end < len(self._text) and self._text[end] not in _OF_NUMBERS
            if is_over or not self._read_on():
                self._at = end
                return value

    def _sign(self) -> str:
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read_on():
                raise json.JSONDecodeError("The document ends early", self._text, self._at)

    def _read_on(self) -> bool:
        piece = self._file.read(PIECE)
        if piece:
            self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)


class _Objects:
    """Makes the objects of one document. What stands in it again and again is kept once."""

    def __init__(self) -> None:
        self._strings: dict[str, str] = {}
        self._references: dict[str, dict[str, Any]] = {}

    def __call__(self, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        one = self._strings.setdefault
        made = {
            one(name, name): one(value, value) if isinstance(value, str) else value
            for name, value in pairs
            # A member of a shape may have this name as well: then it is described by a dict.
            if name != "documentation" or not isinstance(value, str)
        }
        # Half of a service model are references to shapes, which botocore only reads.
        if len(made) == 1 and isinstance(shape := made.get("shape"), str):
            return self._references.setdefault(shape, made)
        return made
