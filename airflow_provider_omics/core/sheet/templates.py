"""Format strings and trees of a sample sheet, compiled once for all rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_omics.core.errors import Problem, show_value
from airflow_provider_omics.core.sheet.cells import Where
from airflow_provider_omics.core.sheet.nodes import EMPTY, Array, Each, Literal, Node, Object, One, Text
from airflow_provider_omics.core.sheet.sample_sheet import EACH, ONE

_PIECES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def in_sheet(place: str) -> str:
    """Name a place of the sheet's mapping as it is typed.

    :param place: ``"parameters['x']"``.
    :return: ``"sample_sheet['parameters']['x']"``.
    """
    name, bracket, rest = place.partition("[")
    return f"sample_sheet[{name!r}]{bracket}{rest}"


@dataclass
class Compiler:
    """Makes nodes of the templates of a sheet.

    :param types: column -> name of its type.
    :param problems: problems of the sheet's own words; added to.
    :param used: column -> the first place that uses it; added to.
    :param filled: the columns whose cells become part of a setting; added to.
    :param markers: the uses of ``each`` and ``one``; added to.
    :param empty: texts that count as an empty cell.
    """

    types: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    used: dict[str, str] = field(default_factory=dict)
    filled: dict[str, None] = field(default_factory=dict)
    markers: list[Each | One] = field(default_factory=list)
    empty: frozenset[str] = frozenset()

    def use(self, column: Any, place: str) -> None:
        """Note that a place uses a column."""
        self.used.setdefault(str(column), place)

    def text(self, template: str, place: str, *, typed: bool = False) -> Node:
        """Compile a format string.

        :param template: the string.
        :param place: the value that it fills, for messages.
        :param typed: whether one column alone keeps its type. Default: it becomes text.
        """
        texts, columns = [""], []
        position = 0
        for found in _PIECES.finditer(template):
            texts[-1] += template[position : found.start()]
            position = found.end()
            column, piece = found.group(1), found.group()
            if piece in ("{{", "}}"):
                texts[-1] += piece[0]
            elif column:
                columns.append(column)
                texts.append("")
                self.use(column, place)
                self.filled[column] = None
            else:
                allowed = "a column's name between braces: '{sample}'; a brace itself is written twice"
                self.problems.append(Problem(in_sheet(place), show_value(template), allowed))
                return Literal(EMPTY)
        texts[-1] += template[position:]
        if not columns:
            return Literal(texts[0])
        return Text(tuple(texts), tuple(columns), place, typed and len(columns) == 1 and not any(texts))

    def tree(self, tree: Any, place: str, *, typed: bool = True, inside: str | None = None) -> Node:
        """Compile a tree of format strings.

        :param tree: the user's template: strings, lists, dicts, ``each``, ``one``, other values.
        :param place: the value that it fills, for messages.
        :param typed: whether a string of one column alone keeps that column's type. Default True.
        :param inside: the marker around it. Default: none.
        """
        if isinstance(tree, str):
            return self.text(tree, place, typed=typed)
        if isinstance(tree, (list, tuple)):
            return Array([self.tree(item, f"{place}[{i}]", typed=typed, inside=inside) for i, item in enumerate(tree)])
        if not isinstance(tree, Mapping):
            return Literal(tree)
        if EACH in tree or ONE in tree:
            return self._marker(tree, place, typed=typed, inside=inside)
        members = {
            key: self.tree(value, f"{place}[{key!r}]", typed=typed, inside=inside) for key, value in tree.items()
        }
        return Object(members, nulls=inside == EACH)

    def where(self, wanted: Any, place: str) -> Where:
        """Compile a condition.

        :param wanted: column -> value, or list of values.
        :param place: its use, for messages.
        """
        if not isinstance(wanted, Mapping):
            allowed = "a dict: column -> value, or list of values"
            self.problems.append(Problem(in_sheet(place), show_value(wanted), allowed))
            return Where({}, {})
        for column in wanted:
            self.use(column, place)
        try:
            return Where({str(column): value for column, value in wanted.items()}, self.types, self.empty)
        except ValueError as error:
            column = str(error)
            allowed = f"values of the column's type, {self.types[column]}"
            self.problems.append(Problem(in_sheet(f"{place}[{column!r}]"), show_value(wanted[column]), allowed))
            return Where({}, {})

    def _marker(self, tree: Mapping[str, Any], place: str, *, typed: bool, inside: str | None) -> Node:
        marker = EACH if EACH in tree else ONE
        known = {EACH, "where"} if marker == EACH else {ONE, "where", "optional"}
        if inside or not set(tree) <= known or (marker == ONE and "where" not in tree):
            allowed = "each(tree) or one(tree, where={...}), not within another of them"
            shown = f"{marker} within {inside}" if inside else f"keys {', '.join(map(str, tree))}"
            self.problems.append(Problem(in_sheet(place), shown, allowed))
            return Literal(EMPTY)
        node = self.tree(tree[marker], place, typed=typed, inside=marker)
        where = self.where(tree["where"], place) if "where" in tree else None
        made: Each | One
        if where is None or marker == EACH:
            made = Each(node, where, place)
        else:
            made = One(node, where, tree.get("optional") is True, place)
        self.markers.append(made)
        return made
