"""A sample sheet's mapping, checked and compiled for the columns of one file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_omics.core.errors import GivenWords, Problem, show_value
from airflow_provider_omics.core.sheet.cells import Row
from airflow_provider_omics.core.sheet.nodes import EMPTY, CellFault, Leaf, Literal, Node, Object, Text
from airflow_provider_omics.core.sheet.sample_sheet import TYPES, SampleSheet
from airflow_provider_omics.core.sheet.templates import Compiler, in_sheet
from airflow_provider_omics.core.text import nearest_name, visible

# The name of a setting in AWS's spelling -> the field of SampleSheet that it comes from.
SETTINGS = {
    "name": "name",
    "outputUri": "output_uri",
    "outputBucketOwnerId": "output_bucket_owner_id",
    "priority": "priority",
    "runTags": "run_tags",
    "engineSettings": "engine_settings",
    "parameters": "parameters",
}
_JSON_SETTINGS = ("engineSettings", "parameters")
_LISTED_COLUMNS = 20
_COMPARED_COLUMNS = 1_000
MAX_MISSING = 50
"""Missing columns that are told."""


class SheetMapping:
    """The mapping of a sheet's rows to run settings, compiled.

    :param sheet: the sheet.
    :param columns: of the file; for a file whose lines name their own (JSON Lines), those of its first line.
    :param fixed: whether all rows have these columns.
    """

    def __init__(self, sheet: SampleSheet, columns: Sequence[str], *, fixed: bool) -> None:
        self._sheet = sheet
        self.columns = tuple(columns)
        self.fixed = fixed
        self.problems = _field_problems(sheet)
        self.types = _types(sheet, self.problems)
        self.empty = _empty_texts(sheet, self.problems)
        self._compiler = Compiler(self.types, self.problems, empty=self.empty)
        for column in self.types:
            self._compiler.use(column, f"types[{column!r}]")
        self.where = self._compiler.where(sheet.where or {}, "where")
        self.identity = self._identity(sheet)
        self._settings = self._compiled_settings(sheet)
        kept = sheet.keep_columns if isinstance(sheet.keep_columns, (list, tuple)) else ()
        self._kept = Object({str(column): self._cell(column, "keep_columns") for column in kept}, nulls=True)
        # Without `parameters` each column is one, unless the columns go to the run in a sheet of its own.
        self.all_columns = sheet.parameters is None and sheet.input_sheet is None and sheet.build is None
        self._all_parameters: dict[tuple[str, ...], Object] = {}

    @property
    def filled(self) -> Iterable[str]:
        """The columns whose cells become part of a setting and have no type of their own."""
        columns = self.columns if self.all_columns else self._compiler.filled
        return [column for column in columns if column not in self.types]

    def takes(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Choose the rows that ``each`` and ``one`` take, where the mapping has some.

        :param rows: those of one id.
        """
        markers = self._compiler.markers
        if not markers or self._sheet.input_sheet is not None:
            return rows
        lines = {row.line for marker in markers for row in marker.taken(rows)}
        return [row for row in rows if row.line in lines]

    @property
    def used(self) -> Mapping[str, str]:
        """Column -> the first place of the mapping that uses it."""
        return self._compiler.used

    def fill(self, run_setting_id: str, rows: Sequence[Row], faults: list[CellFault]) -> dict[str, Any]:
        """Make the run setting of the rows of one id.

        :param run_setting_id: their id.
        :param rows: at least one.
        :param faults: faults of the rows; added to.
        :return: in the spelling of AWS, without settings that have no value.
        """
        return {"runSettingId": run_setting_id, **self._tree(rows).fill(rows, faults)}

    def keep(self, rows: Sequence[Row], faults: list[CellFault]) -> dict[str, Any]:
        """Collect the columns that the results keep of the rows of one id.

        :param rows: at least one.
        :param faults: faults of the rows; added to.
        :return: column -> value, None for an empty cell.
        """
        kept: dict[str, Any] = self._kept.fill(rows, faults)
        return kept

    def leaves(self, rows: Sequence[Row]) -> Iterator[Leaf]:
        """Name the origin of each value of the run setting.

        :param rows: those of one id.
        """
        yield from self.identity.leaves(rows, "['runSettingId']")
        yield from self._tree(rows).leaves(rows, "")

    def own_columns(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """List the columns of the sheet itself, without the members of nested objects that the mapping uses.

        :param rows: some of its rows; only they know where each names its own columns.
        """
        if self.fixed:
            return self.columns
        named = dict.fromkeys(column for row in rows for column in row.cells)
        return tuple(
            column
            for column in named
            if column not in self.used or column.split(".")[0] not in named or "." not in column
        )

    def missing_problems(self, missing: Sequence[str], file: str) -> list[Problem]:
        """Find the columns that are missing.

        :param missing: columns that are used and not there.
        :param file: name of the sheet.
        """
        # The first line may be no header, but a row: its cells are a user's values.
        listed = ", ".join(map(visible, self.columns[:_LISTED_COLUMNS]))
        listed += ", ..." if len(self.columns) > _LISTED_COLUMNS else ""
        problems = []
        for column in missing[:MAX_MISSING]:
            near = nearest_name(column, self.columns[:_COMPARED_COLUMNS])
            hint = f"did you mean {near!r}?" if near else f"the sheet has {listed}"
            used = f"used by {self.used[column]}"
            allowed = GivenWords(f"{used}; {hint}", f"{used}; the sheet has {len(self.columns):,} other columns")
            problems.append(Problem(f"{file} column {visible(column)}", "missing", allowed))
        return problems

    def _tree(self, rows: Sequence[Row]) -> Object:
        if not self.all_columns:
            return self._settings
        columns = self.own_columns(rows)
        if columns not in self._all_parameters:
            parameters = Object({column: self._cell(column, "parameters") for column in columns}, nulls=False)
            self._all_parameters[columns] = Object({**self._settings.members, "parameters": parameters}, nulls=False)
        return self._all_parameters[columns]

    def _identity(self, sheet: Any) -> Node:
        if isinstance(sheet.run_setting_id, str):
            return self._compiler.text(sheet.run_setting_id, "run_setting_id")
        if sheet.run_setting_id is None and self.columns:
            return self._cell(self.columns[0], "run_setting_id", typed=False)
        return Literal(EMPTY)

    def _compiled_settings(self, sheet: SampleSheet) -> Object:
        members = {
            name: self._compiler.tree(getattr(sheet, member), member, typed=name in _JSON_SETTINGS)
            for name, member in SETTINGS.items()
            if getattr(sheet, member) is not None
        }
        return Object(members, nulls=False)

    def _cell(self, column: Any, place: str, *, typed: bool = True) -> Text:
        # Made directly: the name of a column may hold braces.
        self._compiler.use(column, place)
        return Text(("", ""), (str(column),), place, typed)


def _field_problems(sheet: Any) -> list[Problem]:
    problems = []
    if not isinstance(sheet.run_setting_id, (str, type(None))):
        allowed = "a format string such as '{sample}'"
        problems.append(Problem(in_sheet("run_setting_id"), show_value(sheet.run_setting_id), allowed))
    if not isinstance(sheet.group_by_id, bool):
        problems.append(Problem(in_sheet("group_by_id"), show_value(sheet.group_by_id), "True or False"))
    if not isinstance(sheet.keep_columns, (list, tuple)):
        problems.append(Problem(in_sheet("keep_columns"), show_value(sheet.keep_columns), "a list of column names"))
    if sheet.input_sheet is not None:
        given = sheet.parameters if isinstance(sheet.parameters, Mapping) else {}
        if not isinstance(sheet.input_sheet, str) or not sheet.input_sheet:
            problems.append(Problem(in_sheet("input_sheet"), show_value(sheet.input_sheet), "a parameter's name"))
        elif sheet.input_sheet in given:
            allowed = "a parameter that 'parameters' does not set: it gets the URI of the run's own sheet"
            problems.append(Problem(in_sheet("input_sheet"), show_value(sheet.input_sheet), allowed))
    if sheet.build is not None:
        if not callable(sheet.build):
            allowed = "a function from the rows of one id to its run setting"
            problems.append(Problem(in_sheet("build"), show_value(sheet.build), allowed))
        for member in SETTINGS.values():
            if getattr(sheet, member) is not None:
                shown = show_value(getattr(sheet, member))
                problems.append(Problem(in_sheet(member), shown, "not together with build, which makes the setting"))
    return problems


def _empty_texts(sheet: Any, problems: list[Problem]) -> frozenset[str]:
    given = sheet.empty
    if not isinstance(given, (list, tuple)) or not all(isinstance(text, str) for text in given):
        allowed = "a list of the texts that count as an empty cell: ('NA', 'N/A')"
        problems.append(Problem(in_sheet("empty"), show_value(given), allowed))
        return frozenset()
    return frozenset(text.strip() for text in given)


def _types(sheet: Any, problems: list[Problem]) -> dict[str, str]:
    given = sheet.types or {}
    if not isinstance(given, Mapping):
        problems.append(Problem(in_sheet("types"), show_value(given), "a dict: column -> type"))
        return {}
    types = {}
    for column, kind in given.items():
        name = getattr(kind, "__name__", kind)
        if name in TYPES:
            types[str(column)] = name
        else:
            problems.append(Problem(in_sheet(f"types[{column!r}]"), show_value(name), f"one of {', '.join(TYPES)}"))
    return types
