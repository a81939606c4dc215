"""The stream of run settings from a sample sheet.

Rows come in one by one and settings go out one by one. Without ``group_by_id`` only the ids are held in memory (about
200 bytes each); with it all rows are, until the sheet has been read, since rows of one id may stand anywhere.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.errors import GivenWords, Problem, SettingsError, show_value
from airflow_provider_omics.core.settings.checks import RunSettingRules, convert_value
from airflow_provider_omics.core.settings.fields import FIELDS, Place
from airflow_provider_omics.core.sheet.cells import CELL_TYPES, Row, convert_cells, is_empty, text_of
from airflow_provider_omics.core.sheet.checks import setting_faults
from airflow_provider_omics.core.sheet.lookalikes import difference, folded
from airflow_provider_omics.core.sheet.mapping import SheetMapping
from airflow_provider_omics.core.sheet.nodes import CellFault, near_faults
from airflow_provider_omics.core.sheet.odd_cells import ColumnKinds, is_not_there, spreadsheet_fault
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.core.sheet.templates import in_sheet
from airflow_provider_omics.core.text import visible

MAX_PROBLEMS = 50
"""Problems of one sheet in an error; reading stops there."""
_PRIORITY = FIELDS[Place.PER_RUN]["priority"]
_NO_RULES = RunSettingRules(default={}, required={}, parameters_size=0)


@dataclass
class SheetRows:
    """The rows of a file, from its reader.

    :param file: its name, for messages.
    :param columns: its columns; None: each row names its own (JSON Lines).
    :param rows: for each row its line and its cells by column; a Problem in place of a row that cannot be read.
    :param unit: of the rows' numbers. Default: lines.
    :param comments: counts the comments that were left out so far. Default: none were.
    """

    file: str
    columns: tuple[str, ...] | None
    rows: Iterable[tuple[int, Mapping[str, Any]] | Problem]
    unit: str = "line"
    comments: Callable[[], int] = int


@dataclass(frozen=True)
class SheetRun:
    """One run of a sheet.

    :param setting: its run setting, in the spelling of AWS, checked.
    :param kept: column -> value of the sheet's ``keep_columns``.
    :param line: of its first row.
    :param input_sheet: the text of its own sheet, a CSV; None unless the sheet asks for ``input_sheet``.
    """

    setting: dict[str, Any]
    kept: dict[str, Any]
    line: int
    input_sheet: str | None = None


class SheetRuns:
    """The runs of a sheet, to be iterated over once.

    The iteration ends with a SettingsError that holds all problems of the sheet (the first 50), if there are any. From
    the first problem on it yields no more runs, but goes on checking: so a caller sends nothing before the iteration
    has ended well.

    :param sheet: the sheet, with its mapping.
    :param rows: the rows.
    :param rules: the batch's defaults as rules for each run, from ``run_setting_rules``. Default: nothing is required.
    :param template: the workflow's ``parameterTemplate``, which the merged parameters must fit. Default: not compared.
    :param input_sheet_uri: returns the future ``s3://`` URI of a run's own sheet, from the run's id and the sheet's
        text. Needed if the sheet asks for ``input_sheet``; the caller writes the sheet there.
    :param max_runs: more runs than this end the reading. Default: as many as a batch may have.
    """

    def __init__(
        self,
        sheet: SampleSheet,
        rows: SheetRows,
        *,
        rules: RunSettingRules | None = None,
        template: Mapping[str, Mapping[str, Any]] | None = None,
        input_sheet_uri: Callable[[str, str], str] | None = None,
        max_runs: int | None = None,
    ) -> None:
        self.rows = 0
        """Rows read so far."""
        self.left_out = 0
        """Rows that ``where`` has left out so far."""
        self.runs = 0
        """Runs yielded so far."""
        self._sheet = sheet
        self._source = rows
        self._rules = rules or _NO_RULES
        self._template = template
        self._input_sheet_uri = input_sheet_uri
        self.warnings: list[Problem] = []
        """What is odd in the sheet, and may be meant; complete at the end of the iteration."""
        self._max_runs = max_runs
        self._problems: list[Problem] = []
        self._told: set[CellFault] = set()
        self._complete = True
        self._unseen: set[str] = set()
        self._spellings: dict[str, tuple[str, int]] = {}
        self._kinds: dict[str, ColumnKinds] = {}
        self._first_line = 0
        self._not_taken: list[int] = []

    @property
    def summary(self) -> str:
        """What has been read so far, in one sentence without a full stop, for a log."""
        left_out = f", {self.left_out:,} left out by where" if self._sheet.where else ""
        comments = f", {self._source.comments():,} comments" if self._source.comments() else ""
        file = visible(self._source.file)
        return f"{file}: {self.rows:,} rows{left_out}{comments}, {self.runs:,} runs"

    def __iter__(self) -> Iterator[SheetRun]:
        """List the runs in the order of their first rows.

        :raises SettingsError: at the end, or after 50 problems.
        """
        mapping = None if self._source.columns is None else self._mapping(self._source.columns)
        groups: dict[str, list[Row]] = {}
        for item in self._source.rows:
            if isinstance(item, Problem):
                self._add(item)
                continue
            line, cells = item
            self.rows += 1
            if mapping is None:
                mapping = self._mapping(tuple(cells))
            row = self._row(mapping, line, cells)
            run_setting_id = None if row is None else self._run_setting_id(mapping, row)
            if row is None or run_setting_id is None or not self._is_spelled_alike(mapping, row, run_setting_id):
                continue
            if self._sheet.group_by_id is True:
                groups.setdefault(run_setting_id, []).append(row)
            else:
                yield from self._given(mapping, run_setting_id, (row,))
            if self._max_runs is not None and len(self._spellings) > self._max_runs:
                break  # who asks for fewer counts them
        if mapping is not None:
            self._add_missing(mapping, [column for column in mapping.used if column in self._unseen])
            for run_setting_id in list(groups):
                yield from self._given(mapping, run_setting_id, groups.pop(run_setting_id))
        self._end()

    def _mapping(self, columns: tuple[str, ...]) -> SheetMapping:
        fixed = self._source.columns is not None
        mapping = SheetMapping(self._sheet, columns, fixed=fixed)
        for problem in mapping.problems:
            self._complete = False
            self._add(problem)
        if self._sheet.input_sheet is not None and self._input_sheet_uri is None and self._complete:
            allowed = "a place for the sheets of the runs: the operator's staging_s3_uri, or input_sheet_uri"
            self._add(Problem(in_sheet("input_sheet"), show_value(self._sheet.input_sheet), allowed))
        if fixed:
            known = frozenset(columns)
            self._add_missing(mapping, [column for column in mapping.used if column not in known])
        else:
            self._unseen = set(mapping.used)
        return mapping

    def _row(self, mapping: SheetMapping, line: int, cells: Mapping[str, Any]) -> Row | None:
        if not mapping.fixed:
            cells = _with_members(cells, mapping.used)
            if self._unseen:
                self._unseen.difference_update(cells)
        own = cells
        if mapping.empty:
            cells = {name: None if is_empty(cell, mapping.empty) else cell for name, cell in cells.items()}
        values = cells
        if mapping.types:
            values = {**cells, **self._converted(mapping, line, cells, mapping.where.columns)}
        if mapping.where.columns and not mapping.where.matches(values):
            near = [*near_faults(mapping.where, (Row(line, cells, values, own),), "where")]
            for fault in near:
                self._tell(fault)
            self.left_out += not near
            return None
        self._look_at(mapping, line, cells)
        if mapping.types:
            rest = [column for column in mapping.types if column not in mapping.where.columns]
            values = {**values, **self._converted(mapping, line, cells, rest)}
        return Row(line, cells, values, own)

    def _look_at(self, mapping: SheetMapping, line: int, cells: Mapping[str, Any]) -> None:
        """Find what is no value, and count the kinds of what is one."""
        self._first_line = self._first_line or line
        broken = set()
        for column in cells if self._sheet.input_sheet or mapping.all_columns else mapping.used:
            cell = cells.get(column)
            if type(cell) is str and cell[:1] in ("#", "=") and (fault := spreadsheet_fault(cell)):
                broken.add(column)
                allowed = GivenWords(f"{fault[0]}, not {fault[1]}", f"its value, not {fault[0]}")
                self._add(Problem(self._label(line, (column,)), show_value(cell), allowed))
        if not self._kinds:
            self._kinds = {column: ColumnKinds() for column in mapping.filled}
        for column, kinds in self._kinds.items():
            cell = cells.get(column)
            if not is_empty(cell) and column not in broken:
                kinds.add(line, cell)

    def _is_spelled_alike(self, mapping: SheetMapping, row: Row, run_setting_id: str) -> bool:
        """Whether no other row has an id that looks like a row's, and, without groups, none has the same."""
        spelled, line = self._spellings.setdefault(folded(run_setting_id), (run_setting_id, row.line))
        if spelled == run_setting_id and (line == row.line or self._sheet.group_by_id is True):
            return True
        columns = tuple(column for leaf in mapping.identity.leaves((row,), "") for column in leaf.columns)
        if spelled != run_setting_id:
            what = f"an id that differs by {difference(run_setting_id, spelled)} only"
            tail = f"of {self._source.unit} {line}: spell both alike, or tell them apart"
            allowed = GivenWords(f"{what} from {spelled!r} {tail}", f"{what} from that {tail}")
            fault = CellFault(None, columns, "run_setting_id", show_value(run_setting_id), allowed)
            if fault not in self._told:
                self._told.add(fault)
                self._add(Problem(self._label(row.line, columns), fault.shown, allowed))
            return False
        same = f"unique in the batch; {self._source.unit} {line} has the same: with group_by_id they make one run"
        self._add(Problem(self._label(row.line, columns), show_value(run_setting_id), same))
        return True

    def _converted(
        self, mapping: SheetMapping, line: int, cells: Mapping[str, Any], columns: Sequence[str]
    ) -> dict[str, Any]:
        typed = [column for column in columns if column in mapping.types]
        values, wrong = convert_cells(cells, mapping.types, typed)
        for column in wrong:
            allowed: str = f"{CELL_TYPES[mapping.types[column]].allowed}, as types[{column!r}] says"
            if is_not_there(cells[column]):
                allowed = GivenWords(f"{allowed}; empty=[{cells[column].strip()!r}] makes such cells empty", allowed)
            self._add(Problem(self._label(line, (column,)), show_value(cells[column]), allowed))
        return values

    def _run_setting_id(self, mapping: SheetMapping, row: Row) -> str | None:
        run_setting_id = mapping.identity.fill((row,), [])
        if isinstance(run_setting_id, str) and not is_empty(run_setting_id):
            if run_setting_id.startswith("#") and self._sheet.comment is None:
                allowed = "an id: '#' begins a comment, which comment='#' leaves out; comment='' takes it as it is"
                columns = tuple(column for leaf in mapping.identity.leaves((row,), "") for column in leaf.columns)
                self._add(Problem(self._label(row.line, columns), show_value(run_setting_id), allowed))
            return run_setting_id
        for leaf in mapping.identity.leaves((row,), ""):
            empty = tuple(column for column in leaf.columns if is_empty(row.cells.get(column)))
            # A column that the sheet does not have is reported once, not for each row.
            if empty and not (mapping.fixed and set(empty) - set(mapping.columns)):
                self._add(Problem(self._label(row.line, empty), "empty", "the id of a run: every row needs one"))
            elif not leaf.columns and not mapping.problems:
                self._tell(CellFault(None, (), "run_setting_id", "empty", "a format string such as '{sample}'"))
        return None

    def _given(self, mapping: SheetMapping, run_setting_id: str, rows: Sequence[Row]) -> Iterator[SheetRun]:
        if not self._complete:
            return  # what the mapping or the sheet lacks would be missed again in every run
        run = self._run(mapping, run_setting_id, rows)
        if run is not None and not self._problems:
            self.runs += 1
            yield run

    def _run(self, mapping: SheetMapping, run_setting_id: str, rows: Sequence[Row]) -> SheetRun | None:
        faults: list[CellFault] = []
        mapping.identity.fill(rows, faults)
        del faults[1:]  # other cells that read as the same id: one of them says enough
        if self._sheet.build is not None:
            setting = self._built(run_setting_id, rows)
        else:
            setting = mapping.fill(run_setting_id, rows, faults)
        if setting is None:
            return None
        kept = mapping.keep(rows, faults)
        if self._sheet.build is None and len(taken := mapping.takes(rows)) < len(rows):
            lines = {row.line for row in taken}
            self._not_taken += [row.line for row in rows if row.line not in lines]
        if "priority" in setting:
            setting["priority"] = convert_value(_PRIORITY, setting["priority"])
        own_sheet = None
        if self._sheet.input_sheet and self._input_sheet_uri:
            own_sheet = _csv_text(mapping, rows)
            given = setting.get("parameters") or {}
            if isinstance(given, Mapping):  # else the checks below refuse it
                uri = self._input_sheet_uri(run_setting_id, own_sheet)
                setting["parameters"] = {**given, self._sheet.input_sheet: uri}
        # A column that differs between the rows is reported once, however many places use it.
        told: dict[Any, CellFault] = {}
        for fault in faults:
            told.setdefault((fault.line, fault.columns or fault.place), fault)
        leaves = None if self._sheet.build else mapping.leaves(rows)
        for fault in [*told.values(), *setting_faults(setting, rows, leaves, self._rules, self._template)]:
            self._tell(fault)
        return SheetRun(setting, kept, rows[0].line, own_sheet)

    def _built(self, run_setting_id: str, rows: Sequence[Row]) -> dict[str, Any] | None:
        assert self._sheet.build is not None  # noqa: S101 - for mypy: the caller has checked it
        given = [
            {column: None if is_empty(cell) else row.values[column] for column, cell in row.cells.items()}
            for row in rows
        ]
        label = self._label(rows[0].line, (), "build")
        try:
            built = self._sheet.build(given)
        except Exception as error:
            allowed = "a function that makes a run setting of these rows; see the error above"
            problem = Problem(label, f"raised {type(error).__name__}", allowed)
            raise SettingsError([*self._problems, problem]) from error
        if not isinstance(built, Mapping):
            self._add(Problem(label, f"returned {type(built).__name__}", "a run setting, as AWS spells it: a dict"))
            return None
        if built.get("runSettingId", run_setting_id) != run_setting_id:
            allowed = "the value of run_setting_id for these rows, or left out"
            self._add(Problem(f"{label}['runSettingId']", show_value(built["runSettingId"]), allowed))
            return None
        return {"runSettingId": run_setting_id, **built}

    def _tell(self, fault: CellFault) -> None:
        if fault.line is None:
            if fault in self._told:
                return
            self._told.add(fault)
        if fault.line is not None:
            place = self._label(fault.line, fault.columns, fault.place)
        elif fault.columns and self._sheet.parameters is None:  # the columns are the parameters, by their own names
            place = self._label(None, fault.columns)
        else:
            place = in_sheet(fault.place)
        allowed = fault.allowed
        if self._sheet.parameters is None and ";" in allowed and not isinstance(allowed, GivenWords):
            allowed = GivenWords(allowed, _first_part(allowed))  # what follows may name a column
        self._add(Problem(place, fault.shown, allowed))

    def _add_missing(self, mapping: SheetMapping, missing: Sequence[str]) -> None:
        for problem in mapping.missing_problems(missing, self._source.file):
            self._complete = False
            self._add(problem)

    def _label(self, line: int | None, columns: Sequence[str], place: str = "") -> str:
        file = visible(self._source.file)
        words = file if line is None else f"{file} {self._source.unit} {line}"
        plural = "s" if len(columns) > 1 else ""
        named = " and ".join(column if column.isidentifier() else repr(column) for column in columns)
        full = (f"{words} column{plural} {named}" if columns else words) + (f" ({place})" if place else "")
        if self._sheet.parameters is not None or not columns or self._source.columns is None:
            return full
        # The columns' names come from the file, whose first line may be no header but a row.
        numbers = [str(self._source.columns.index(name) + 1) for name in columns if name in self._source.columns]
        return GivenWords(full, f"{words} column number {' and '.join(numbers)}" if numbers else words)

    def _add(self, problem: Problem) -> None:
        self._problems.append(problem)
        if len(self._problems) >= MAX_PROBLEMS:
            rest = Problem("...", "not looked for", f"more than these {MAX_PROBLEMS}; correct them first")
            raise SettingsError([*self._problems, rest])

    def _end(self) -> None:
        for column, kinds in self._kinds.items():
            self._add_odd(column, kinds)
        if self._not_taken:
            lines = f"{len(self._not_taken):,} row{'s' if len(self._not_taken) > 1 else ''}"
            place = self._label(self._not_taken[0], ())
            what = "the first that no each(...) or one(...) of its run takes; where leaves rows out on purpose"
            self.warnings.append(Problem(place, lines, what))
        if not self.rows and not self._problems:
            self._add(Problem(self._source.file, "empty", "at least one row, below the names of the columns"))
        elif self.left_out == self.rows and not self._problems:
            self._add(Problem(in_sheet("where"), f"none of {self.rows:,} rows", "values that at least one row has"))
        if self._problems:
            raise SettingsError(self._problems)

    def _add_odd(self, column: str, kinds: ColumnKinds) -> None:
        """Tell of a cell like NA, or a text in the place of a title, in a column of URIs or numbers."""
        if kinds.first_not_there and kinds.kind:
            line, cell = kinds.first_not_there
            more = f"; {kinds.not_there:,} cells are like it" if kinds.not_there > 1 else ""
            remedy = f"empty=[...] names what counts as empty, types={{{column!r}: 'str'}} takes it as text"
            words = f"one of the {kinds.kind} that the other rows have; {remedy}{more}"
            allowed = GivenWords(words, _first_part(words))
            self._add(Problem(self._label(line, (column,)), show_value(cell), allowed))
        elif kinds.first_other and kinds.uris and not kinds.numbers:
            line, cell = kinds.first_other
            if kinds.others == 1 and line == self._first_line:
                remedy = f"types={{{column!r}: 'str'}} takes it as text"
                words = f"a URI, as in the other rows, unless the header is this line and not the one above; {remedy}"
                allowed = GivenWords(words, _first_part(words))
                self._add(Problem(self._label(line, (column,)), show_value(cell), allowed))
            else:
                place = self._label(line, (column,))
                others = f"{kinds.others:,} {'text' if kinds.others == 1 else 'texts'} among {kinds.uris:,} URIs"
                self.warnings.append(Problem(place, others, "one kind of value in a column, where it is not meant so"))


def _first_part(text: str) -> str:
    return text.partition(";")[0]


def _with_members(cells: Mapping[str, Any], used: Iterable[str]) -> Mapping[str, Any]:
    """Add the members of nested objects that the mapping uses: ``{row.patient}`` of a results file."""
    found = {}
    for column in used:
        if column not in cells and "." in column:
            value: Any = cells
            for name in column.split("."):
                value = value.get(name) if isinstance(value, Mapping) else None
            if value is not None:
                found[column] = value
    return {**cells, **found} if found else cells


def _csv_text(mapping: SheetMapping, rows: Sequence[Row]) -> str:
    columns = mapping.own_columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([text_of(row.own.get(column)) for column in columns] for row in rows)
    return text.getvalue()
