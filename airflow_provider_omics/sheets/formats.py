"""Rows of CSV, TSV and JSON Lines, as they stand in the file: nothing is stripped, cut or guessed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError, show_value
from airflow_provider_omics.core.sheet.delimiters import Misfit, fitting_delimiter
from airflow_provider_omics.core.sheet.runs import SheetRows
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.sheets.lines import DAMAGE, Lines, UnreadableLine
from airflow_provider_omics.sheets.parquet import MAX_COLUMNS, parquet_rows

JSON_LINES = (".jsonl", ".ndjson", ".json")
_BY_EXTENSION = {".tsv": "\t", ".tab": "\t", ".csv": ","}
_TEXT = (*_BY_EXTENSION, *JSON_LINES)
_YAML = (".yaml", ".yml")
# How `surrogateescape` keeps a byte that is not UTF-8.
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_PARQUET = b"PAR1"

_MAX_PROBLEMS = 50
_LISTED_SECTIONS = 20

# A line of Illumina's SampleSheet, which a spreadsheet may have padded: "[Data],,,".
_SECTION = re.compile(r'\s*"?\[([A-Za-z][\w .-]*)\]"?[\s,;]*')
# Its sections of samples, by the name that people ask for (Illumina, "Sample Sheet v2": BCLConvert_Data was Data).
_SECTION_NAMES = {"data": ("data", "bclconvert_data"), "bclconvert_data": ("bclconvert_data",)}
_BLANK = " \t\r\n,;|"
# The line by which Excel is told the delimiter.
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)

Rows = Iterator["tuple[int, Mapping[str, Any]] | Problem"]


@dataclass(frozen=True)
class Dress:
    """How a sheet is written, as far as its user says.

    :param delimiter: one character between cells. Default: the one that fits the lines.
    :param comment: the beginning of lines that are left out; "": no line is one. Default: a line that begins with
        ``#`` is refused.
    :param section: the section of an Illumina SampleSheet that is read. Default: the sheet has none.
    """

    delimiter: Any = None
    comment: Any = None
    section: Any = None

    def problems(self) -> Iterator[Problem]:
        """Find what cannot be meant."""
        if self.delimiter is not None and not (
            isinstance(self.delimiter, str) and len(self.delimiter) == 1 and self.delimiter not in '"\r\n'
        ):
            yield Problem("sample_sheet['delimiter']", show_value(self.delimiter), "one character, such as ','")
        if self.comment is not None and (not isinstance(self.comment, str) or self.comment[:1].isspace()):
            yield Problem("sample_sheet['comment']", show_value(self.comment), "the beginning of a comment: '#'")
        if self.section is not None and (not isinstance(self.section, str) or not self.section.strip("[] ")):
            yield Problem("sample_sheet['section']", show_value(self.section), "the name of a section: 'Data'")


@contextmanager
def rows_of(stream: io.BufferedReader[Any], file: str, dress: Dress | None = None) -> Iterator[SheetRows]:
    """Read the rows of a sheet, as a stream.

    The format is told by the name (``.csv``, ``.tsv``, ``.tab``, ``.jsonl``, ``.ndjson``, ``.json``, ``.parquet``; with
    or without ``.gz``), else by the content. In text, a line without any content is skipped.

    :param stream: its bytes, unpacked.
    :param file: its name, for messages.
    :param dress: how it is written. Default: as it looks.
    :return: the rows, as a context: the stream is closed at its end.
    :raises SettingsError: the header cannot be used, or the file cannot be read at all.
    """
    dress, file = dress or Dress(), visible(file)
    if problems := [*dress.problems()]:
        raise SettingsError(problems)
    extension = _extension(file)
    if extension in _YAML:
        raise SettingsError([Problem(file, "YAML", "a table: CSV, TSV, JSON Lines or Parquet")])
    try:
        is_parquet = extension == ".parquet" or (extension not in _TEXT and stream.peek(4).startswith(_PARQUET))
    except DAMAGE as error:
        raise SettingsError([Problem(file, "damaged", f"a whole gzip file: {error}")]) from error
    if is_parquet:
        with parquet_rows(stream, file) as rows:
            yield rows
        return
    # newline="": csv needs the line ends as they are, quoted cells may hold some.
    with io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="") as text:
        try:
            rows = _TextSheet(Lines(text, dress.comment), file, extension, dress).rows()
        except UnreadableLine as error:
            raise SettingsError([_unreadable(file, error)]) from error
        yield rows


def _extension(file: str) -> str:
    name = file.lower().removesuffix(".gz")
    return name[name.rfind(".") :] if "." in name else ""


class _TextSheet:
    """A sheet in lines of text.

    :param lines: its lines.
    :param file: its name, for messages.
    :param extension: of the name, without ``.gz``.
    :param dress: how it is written.
    """

    def __init__(self, lines: Lines, file: str, extension: str, dress: Dress) -> None:
        self._lines = lines
        self._file = file
        self._extension = extension
        self._dress = dress

    def rows(self) -> SheetRows:
        """Read the header.

        :return: the rows below it.
        :raises SettingsError: it cannot be used.
        :raises UnreadableLine: the file ends there.
        """
        first = self._next_content()
        if _SECTION.fullmatch(first):
            first = self._enter_section(first)
        elif self._dress.section is not None:
            allowed = "of an Illumina SampleSheet, whose first line is [Header]; this sheet has no sections"
            raise SettingsError([Problem("sample_sheet['section']", show_value(self._dress.section), allowed)])
        given = self._dress.delimiter
        if separator := _SEP.fullmatch(first):
            given = given or separator[1]
            first = self._next_content()
        if not first:
            return SheetRows(self._file, None, ())
        self._lines.put_back(first)
        start = first.lstrip()[:1]  # "": a vertical tab, a cell like any other
        is_json = self._extension in JSON_LINES or (self._extension not in _TEXT and start in ("{", "["))
        if given is None and is_json:
            if start == "[":
                allowed = "one JSON object in each line: jq -c '.[]' makes them"
                raise SettingsError([Problem(self._file, "a JSON array", allowed)])
            return self._sheet_rows(None, self._json_records())
        return self._table(given)

    def _next_content(self) -> str:
        """Read on to the next line with content; "" at the end."""
        self._lines.begin_record = True
        for line in self._lines:
            self._lines.begin_record = True
            if line.strip(_BLANK):
                return line
        return ""

    def _enter_section(self, first: str) -> str:
        """Go to the header of the section that is asked for."""
        if self._dress.section is None:
            named = [found[1] for line in [first, *self._lines.ahead()[0]] if (found := _SECTION.fullmatch(line))]
            data = next((name for name in named if name.lower() in _SECTION_NAMES["data"]), "Data")
            allowed = f"a table; sample_sheet['section']={data!r} reads the rows of one section"
            shown = f"an Illumina SampleSheet with the sections {', '.join(named[:_LISTED_SECTIONS])}"
            raise SettingsError([Problem(self._file, shown, allowed)])
        wanted = self._dress.section.strip("[] ").lower()
        accepted = _SECTION_NAMES.get(wanted, (wanted,))
        named = []
        line = first
        while line:
            if found := _SECTION.fullmatch(line):
                named.append(found[1])
                if found[1].lower() in accepted:
                    self._lines.until = _SECTION
                    return self._next_content()
            line = self._next_content()
        allowed = f"a section of {self._file}: {', '.join(named[:_LISTED_SECTIONS])}"
        raise SettingsError([Problem("sample_sheet['section']", show_value(self._dress.section), allowed)])

    def _table(self, given: str | None) -> SheetRows:
        seen, more = self._lines.ahead()
        fitting = fitting_delimiter(seen, given=given, expected=_BY_EXTENSION.get(self._extension), cut_off=more)
        first = self._lines.number + 1
        if isinstance(fitting, Misfit):
            raise SettingsError([Problem(f"{self._file} line {first}", fitting.shown, fitting.allowed)])
        # strict: text after a closing quote, or a quote that is not closed, is an error and not a guess.
        reader = csv.reader(self._lines, delimiter=fitting, strict=True)
        self._lines.begin_record = True
        try:
            header = next(reader)
        except csv.Error as error:
            raise SettingsError([_broken(self._file, first, error)]) from error
        if problems := [*islice(self._header_problems(header, first, fitting), _MAX_PROBLEMS)]:
            raise SettingsError(problems)
        columns = tuple(column for column in header if column.strip())
        return self._sheet_rows(columns, self._records(reader, header))

    def _header_problems(self, header: Sequence[str], line: int, delimiter: str) -> Iterator[Problem]:
        place = f"{self._file} line {line}"
        if len(header) > MAX_COLUMNS:
            yield Problem(place, f"{len(header):,} columns", f"at most {MAX_COLUMNS:,}")
            return
        if not self._dress.comment and self._dress.comment != "" and _is_remark(header[0], "#"):
            allowed = "the names of the columns; comment='#' leaves lines out that begin so"
            yield Problem(place, show_value(header[0]), allowed)
        comment = self._dress.comment
        if comment and self._lines.comments:
            above = next(csv.reader([self._lines.last_comment], delimiter=delimiter), [])
            if 1 < len(above) == len(header) and not _is_remark(above[0], comment):
                shown = show_value(above[0])
                allowed = f"is it the header? comment={comment!r} leaves it out: give more of what comments begin with"
                yield Problem(f"{place}, the comment before it", shown, allowed)
        if not any(column.strip() for column in header):
            yield Problem(place, "empty", "the names of the columns")
        positions: dict[str, int] = {}
        for position, column in enumerate(header, 1):
            label = f"{place} column number {position}"
            if _BAD_BYTE.search(column):
                yield Problem(label, _bad_byte(column), "UTF-8; save the sheet in it")
            elif column.strip() and positions.setdefault(column, position) != position:
                allowed = f"names that differ; column number {positions[column]} has this one"
                yield Problem(label, show_value(column), allowed)

    def _records(self, reader: Any, header: Sequence[str]) -> Rows:
        file, lines, width = self._file, self._lines, len(header)
        columns = [column for column in header if column.strip()]
        named = None if len(columns) == width else [at for at, column in enumerate(header) if column.strip()]
        again = [column.strip().lower() for column in header]
        refuse_comments = self._dress.comment is None
        while True:
            lines.begin_record = True
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield _broken(file, lines.start, error)
                return
            line = lines.start
            joined = "".join(cells)
            if not joined or joined.isspace():
                continue
            if refuse_comments and cells[0].startswith("#"):
                allowed = "a row: comment='#' leaves lines out that begin so, comment='' takes them for rows"
                yield Problem(f"{file} line {line}", show_value(cells[0]), allowed)
            elif len(cells) != width and (len(cells) < width or "".join(cells[width:]).strip()):
                yield Problem(f"{file} line {line}", _count(cells), _width_allowed(cells, width, reader))
            elif (not joined.isascii() or "\0" in joined) and (found := _undecodable(cells, header, file, line)):
                yield from found
            elif cells[0].strip("\ufeff ").lower() == again[0] and _is_header(cells, again):
                yield Problem(f"{file} line {line}", "the header once more", "rows; remove the line")
            elif named is None:
                yield line, dict(zip(columns, cells))  # noqa: B905 - surplus cells are empty
            elif values := [at for at in range(width) if cells[at].strip() and not header[at].strip()]:
                label = f"{file} line {line} column number {values[0] + 1}"
                yield Problem(label, show_value(cells[values[0]]), "a name for its column, in the header")
            else:
                yield line, dict(zip(columns, (cells[at] for at in named), strict=True))

    def _json_records(self) -> Rows:
        for line in self._lines:
            self._lines.begin_record = True
            if not line.strip():
                continue
            number = self._lines.number
            label = f"{self._file} line {number}"
            if not line.isascii() and _BAD_BYTE.search(line):
                yield Problem(label, _bad_byte(line), "UTF-8; save the sheet in it")
                continue
            try:
                row = json.loads(line.lstrip("\ufeff"), parse_constant=_refuse)
            except (ValueError, RecursionError) as error:
                yield Problem(label, "not JSON", f"one JSON object in each line: {error}")
                continue
            if not isinstance(row, dict):
                yield Problem(label, type(row).__name__, "one JSON object in each line, not a list of them")
            elif len(row) > MAX_COLUMNS:
                yield Problem(label, f"{len(row):,} columns", f"at most {MAX_COLUMNS:,}")
            else:
                yield number, row

    def _sheet_rows(self, columns: tuple[str, ...] | None, rows: Rows) -> SheetRows:
        return SheetRows(self._file, columns, self._whole(rows), comments=lambda: self._lines.comments)

    def _whole(self, rows: Rows) -> Rows:
        """Report a file that ends within its compressed data together with all other problems."""
        try:
            yield from rows
        except UnreadableLine as error:
            place = f"{self._file} after line" if error.shown == "damaged" else f"{self._file} line"
            yield Problem(f"{place} {error.line}", error.shown, error.allowed)


def _is_remark(cell: str, comment: str) -> bool:
    """Tell a comment from a name that begins with the same character, such as ``#SampleID`` or ``#OTU ID``."""
    text = cell.removeprefix(comment)
    return cell.startswith(comment) and (text[:1] in ("", "#", " ", "\t") or len(text.split()) > 2)


def _is_header(cells: Sequence[str], again: Sequence[str]) -> bool:
    return [cell.strip("\ufeff ").strip().lower() for cell in cells[: len(again)]] == [*again]


def _count(cells: Sequence[str]) -> str:
    return f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"


def _width_allowed(cells: Sequence[str], width: int, reader: Any) -> str:
    mark = reader.dialect.delimiter
    advice = f"a cell with {mark!r} in it is quoted" if len(cells) > width else "empty cells have their delimiter too"
    return f"{width}, as in the first line; {advice}"


def _undecodable(cells: Sequence[str], header: Sequence[str], file: str, line: int) -> list[Problem]:
    problems = []
    for column, cell in zip(header, cells):  # noqa: B905 - surplus cells are empty
        label = f"{file} line {line} column {column}"
        if _BAD_BYTE.search(cell):
            problems.append(Problem(label, _bad_byte(cell), "UTF-8; save the sheet in it"))
        elif "\0" in cell:
            problems.append(Problem(label, "byte 0x00", "text"))
    return problems


def _bad_byte(text: str) -> str:
    found = _BAD_BYTE.search(text)
    return f"byte 0x{ord(found.group()) - 0xDC00:02x}" if found else ""


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _broken(file: str, line: int, error: Exception) -> Problem:
    allowed = f"{error}; a cell with quotes in it is quoted, and its quotes are doubled. Reading stopped here"
    return Problem(f"{file} line {line}", "not readable as CSV", allowed)


def _unreadable(file: str, error: UnreadableLine) -> Problem:
    place = file if error.shown == "damaged" else f"{file} line {error.line}"
    return Problem(place, error.shown, error.allowed)
