"""Compiled format strings and trees of a sample sheet: filled from the rows of each id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from airflow_provider_omics.core.errors import GivenWords, show_value
from airflow_provider_omics.core.sheet.cells import Row, Where, is_empty, text_of

MAX_LINES = 20
"""Lines that a message names."""


class Empty(Enum):
    """Marks the absence of a value: a string with an empty cell in it has none."""

    EMPTY = "empty"


EMPTY: Final = Empty.EMPTY


class CellFault(NamedTuple):
    """A fault in the value that the rows of one id make.

    :param line: where; None: the mapping is to blame, for all rows alike.
    :param columns: which cells; empty: the row as a whole. Without a line, those that the mapping puts there.
    :param place: the value that they make: ``parameters['tumor']``.
    :param shown: the value there, shortened.
    :param allowed: the allowed values, and the remedy.
    """

    line: int | None
    columns: tuple[str, ...]
    place: str
    shown: str
    allowed: str


class Leaf(NamedTuple):
    """Where a value of a filled tree came from.

    :param path: of the value: ``"['parameters']['reads'][0]"``.
    :param line: of the row.
    :param columns: that are in it; none for a literal.
    """

    path: str
    line: int
    columns: tuple[str, ...]


class Node(Protocol):
    """A part of a compiled tree."""

    def fill(self, rows: Sequence[Row], faults: list[CellFault]) -> Any:
        """Compute its value for the rows of one id, EMPTY where there is none; faults are added to the list."""

    def leaves(self, rows: Sequence[Row], path: str) -> Iterator[Leaf]:
        """Name the origin of each value below it."""


@dataclass(frozen=True)
class Literal:
    """A value that is the same for all rows."""

    value: Any

    def fill(self, rows: Sequence[Row], faults: list[CellFault]) -> Any:
        """See :class:`Node`."""
        return self.value

    def leaves(self, rows: Sequence[Row], path: str) -> Iterator[Leaf]:
        """See :class:`Node`."""
        yield Leaf(path, rows[0].line, ())


@dataclass(frozen=True)
class Text:
    """A format string.

    :param texts: the texts before each column, and after the last.
    :param columns: the columns.
    :param place: the value that it fills.
    :param typed: the string is one column alone, and becomes that column's value, not its text.
    """

    texts: tuple[str, ...]
    columns: tuple[str, ...]
    place: str
    typed: bool

    def fill(self, rows: Sequence[Row], faults: list[CellFault]) -> Any:
        """See :class:`Node`."""
        if len(rows) > 1:
            faults.extend(self._differences(rows))
        row = rows[0]
        if self.typed:
            column = self.columns[0]
            return EMPTY if is_empty(row.cells.get(column)) else row.values[column]
        filled = self.texts[0]
        for column, text in zip(self.columns, self.texts[1:], strict=True):
            cell = row.cells.get(column)
            if is_empty(cell):
                return EMPTY
            filled += text_of(cell) + text
        return filled

    def leaves(self, rows: Sequence[Row], path: str) -> Iterator[Leaf]:
        """See :class:`Node`."""
        yield Leaf(path, rows[0].line, self.columns)

    def _differences(self, rows: Sequence[Row]) -> Iterator[CellFault]:
        for column in self.columns:
            first = rows[0].cells.get(column)
            other = next((row.line for row in rows if row.cells.get(column) != first), None)
            if other is not None:
                allowed = "one value for all rows of an id; each(...) takes one of every row, one(...) picks a row"
                yield CellFault(other, (column,), self.place, f"not as in line {rows[0].line}", allowed)


@dataclass(frozen=True)
class Object:
    """A dict.

    :param members: key -> node.
    :param nulls: keep a key without value, as null, instead of dropping it.
    """

    members: Mapping[str, Node]
    nulls: bool

    def fill(self, rows: Sequence[Row], faults: list[CellFault]) -> Any:
        """See :class:`Node`."""
        filled = {}
        for key, node in self.members.items():
            value = node.fill(rows, faults)
            if value is not EMPTY:
                filled[key] = value
            elif self.nulls:
                filled[key] = None
        return filled

    def leaves(self, rows: Sequence[Row], path: str) -> Iterator[Leaf]:
        """See :class:`Node`."""
        for key, node in self.members.items():
            yield from node.leaves(rows, f"{path}[{key!r}]")


@dataclass(frozen=True)
class Array:
    """A list; an element without value is null, so that positions stay."""

    items: Sequence[Node]

    def fill(self, rows: Sequence[Row], faults: list[CellFault]) -> Any:
        """See :class:`Node`."""
        return [_or_null(node.fill(rows, faults)) for node in self.items]

    def leaves(self, rows: Sequence[Row], path: str) -> Iterator[Leaf]:
        """See :class:`Node`."""
        for position, node in enumerate(self.items):
            yield from node.leaves(rows, f"{path}[{position}]")


@dataclass(frozen=True)
class Each:
    """One element for each row, or for each that a condition takes."""

    element: Node
    where: Where | None
    place: str

    def fill(self, rows: Sequence[Row], faults: list[CellFault]) -> Any:
        """See :class:`Node`."""
        if self.where is not None:
            faults.extend(near_faults(self.where, rows, self.place))
        return [_or_null(self.element.fill((row,), faults)) for row in self.taken(rows)]

    def leaves(self, rows: Sequence[Row], path: str) -> Iterator[Leaf]:
        """See :class:`Node`."""
        for position, row in enumerate(self.taken(rows)):
            yield from self.element.leaves((row,), f"{path}[{position}]")

    def taken(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Choose its rows from those of an id."""
        return rows if self.where is None else [row for row in rows if self.where.matches(row.values)]


@dataclass(frozen=True)
class One:
    """The value of exactly one row."""

    value: Node
    where: Where
    optional: bool
    place: str

    def fill(self, rows: Sequence[Row], faults: list[CellFault]) -> Any:
        """See :class:`Node`."""
        near = [*near_faults(self.where, rows, self.place)]
        faults.extend(near)
        found = self.taken(rows)
        if len(found) == 1:
            return self.value.fill(found, faults)
        if near:
            return EMPTY
        if found or not self.optional:
            lines = ", ".join(str(row.line) for row in (found or rows)[:MAX_LINES])
            lines += ", ..." if len(found or rows) > MAX_LINES else ""
            count = f"{len(found)} rows" if found else "no row"
            shown = GivenWords(f"{count} with {self.where}", f"{count} that fit")
            allowed = f"{'at most' if self.optional else 'exactly'} one such row for an id (lines {lines})"
            faults.append(CellFault(rows[0].line, (), self.place, shown, allowed))
        return EMPTY

    def leaves(self, rows: Sequence[Row], path: str) -> Iterator[Leaf]:
        """See :class:`Node`."""
        found = self.taken(rows)
        if len(found) == 1:
            yield from self.value.leaves(found, path)

    def taken(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Choose the rows that fit from those of an id."""
        return [row for row in rows if self.where.matches(row.values)]


def near_faults(where: Where, rows: Sequence[Row], place: str) -> Iterator[CellFault]:
    """Find cells that a condition does not take, though they look like what it wants.

    :param where: the condition.
    :param rows: those that it is asked about.
    :param place: its use.
    """
    for row in rows:
        if not where.matches(row.values):
            for miss in where.near_misses(row.values):
                less = f"differs by {miss.difference} only from what is wanted: correct it, or name it in where as well"
                allowed = GivenWords(less.replace("what is wanted", repr(miss.wanted)), less)
                yield CellFault(row.line, (miss.column,), place, show_value(row.cells.get(miss.column)), allowed)


def _or_null(value: Any) -> Any:
    return None if value is EMPTY else value
