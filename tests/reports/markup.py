"""HTML as the tests read it: strictly nested, with the text of each element."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass, field
from gzip import decompress
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VOID = {"meta", "input", "br", "rect", "line", "polygon"}
"""Elements without an end tag, and those of SVG that the pages close at once."""


@dataclass
class Element:
    """An element with all that is in it."""

    name: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text within, spaces collapsed."""
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return " ".join(" ".join(parts).split())

    def all(self, name: str, **attributes: str) -> Iterator[Element]:
        """Find elements by name and attributes; ``class_`` is one of the classes."""
        for child in self.children:
            if isinstance(child, str):
                continue
            given = child.attributes
            wanted = {key: value for key, value in attributes.items() if key != "class_"}
            has_class = attributes.get("class_") in (None, *(given.get("class") or "").split())
            if name in (child.name, "*") and has_class and wanted.items() <= given.items():
                yield child
            yield from child.all(name, **attributes)

    def one(self, name: str, **attributes: str) -> Element:
        """Find the one element of its kind."""
        (found,) = self.all(name, **attributes)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        element = Element(tag, dict(attrs))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)

    def finish(self) -> Element:
        self.close()
        assert self._open == [self.root], "something is left open"
        return self.root


def parsed(html: str) -> Element:
    """Read a page; fails where elements are not closed in the order in which they were opened."""
    reader = _Reader()
    reader.feed(html)
    return reader.finish()


def packed_rows(page: Element) -> list[dict[str, Any]]:
    """Read the rows that the script shows."""
    rows = []
    for chunk in page.all("script", class_="rows"):
        lists = json.loads(decompress(b64decode(chunk.text)))
        rows += [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    return rows
