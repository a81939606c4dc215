"""Rows of CSV, TSV and JSON Lines, as they stand in the file: nothing is stripped, cut or guessed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.sheet.runs import SheetRows
from airflow_provider_omics.sheets.parquet import parquet_rows

JSON_LINES = (".jsonl", ".ndjson", ".json")
_BY_EXTENSION = {".tsv": "\t", ".tab": "\t"}
_TEXT = (".csv", *_BY_EXTENSION, *JSON_LINES)
_CANDIDATES = ("\t", ",", ";", "|")
_QUOTED = re.compile('"[^"]*"')
# How `surrogateescape` keeps a byte that is not UTF-8.
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_PARQUET = b"PAR1"
# What gzip raises for a file that was cut off or changed.
_DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)

Rows = Iterator["tuple[int, Mapping[str, Any]] | Problem"]


@contextmanager
def rows_of(stream: io.BufferedReader[Any], file: str, delimiter: str | None = None) -> Iterator[SheetRows]:
    """Read the rows of a sheet, as a stream.

    The format is told by the name (``.csv``, ``.tsv``, ``.tab``, ``.jsonl``, ``.ndjson``, ``.json``, ``.parquet``; with
    or without ``.gz``), else by the content. In text, a line without any content is skipped.

    :param stream: its bytes, unpacked.
    :param file: its name, for messages.
    :param delimiter: one character between the cells. Default: comma for ``.csv`` whose header has one, tab for
        ``.tsv`` and ``.tab``, else the one of tab, comma, semicolon and bar that the header has most of.
    :return: the rows, as a context: the stream is closed at its end.
    :raises SettingsError: the header cannot be used, or the file cannot be read at all.
    """
    if delimiter is not None and not _is_delimiter(delimiter):
        raise SettingsError([Problem("sample_sheet['delimiter']", repr(delimiter), "one character, such as ','")])
    extension = _extension(file)
    try:
        is_parquet = extension == ".parquet" or (extension not in _TEXT and stream.peek(4).startswith(_PARQUET))
    except _DAMAGE as error:
        raise SettingsError([_damaged(file, error)]) from error
    if is_parquet:
        with parquet_rows(stream, file) as rows:
            yield rows
        return
    # newline="": csv needs the line ends as they are, quoted cells may hold some.
    with io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        yield _text_rows(text, file, extension, delimiter)


def _text_rows(text: Iterable[str], file: str, extension: str, delimiter: str | None) -> SheetRows:
    try:
        line, first = next(((number, line) for number, line in enumerate(text, 1) if line.strip()), (1, ""))
    except _DAMAGE as error:
        raise SettingsError([_damaged(file, error)]) from error
    if not first:
        return SheetRows(file, None, ())
    lines = chain([first], text)
    start = first.lstrip()[0]
    if delimiter is None and (extension in JSON_LINES or (extension not in _TEXT and start in "{[")):
        if start == "[":
            raise SettingsError([Problem(file, "a JSON array", "one JSON object in each line: jq -c '.[]' makes them")])
        return SheetRows(file, None, _whole(_json_lines(lines, line, file), file))
    chosen = delimiter or _BY_EXTENSION.get(extension) or _sniffed(first, extension)
    return _delimited(lines, line, file, chosen)


def _extension(file: str) -> str:
    name = file.lower().removesuffix(".gz")
    return name[name.rfind(".") :] if "." in name else ""


def _is_delimiter(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and value not in '"\r\n'


def _sniffed(header: str, extension: str) -> str:
    bare = _QUOTED.sub("", header)
    if extension == ".csv" and "," in bare:
        return ","
    most = max(_CANDIDATES, key=bare.count)
    return most if most in bare else ","


def _delimited(lines: Iterable[str], first: int, file: str, delimiter: str) -> SheetRows:
    # strict: text after a closing quote, or a quote that is not closed, is an error and not a guess.
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        columns = tuple(next(reader))
    except (csv.Error, *_DAMAGE) as error:
        raise SettingsError([_broken(file, first, error)]) from error
    problems = []
    for position, column in enumerate(columns):
        label = f"{file} line {first} column number {position + 1}"
        if not column.strip():
            problems.append(Problem(label, "empty", "a name for every column, in the first line"))
        elif column in columns[:position]:
            problems.append(Problem(label, repr(column), "names that differ; an earlier column has this one"))
        elif _BAD_BYTE.search(column):
            problems.append(Problem(label, _bad_byte(column), "UTF-8; save the sheet in it"))
    if problems:
        raise SettingsError(problems)
    return SheetRows(file, columns, _whole(_records(reader, columns, first, file), file))


def _records(reader: Any, columns: tuple[str, ...], first: int, file: str) -> Rows:
    width = len(columns)
    line = reader.line_num + first
    try:
        for cells in reader:
            joined = "".join(cells)
            if len(cells) != width:
                if joined.strip():
                    allowed = f"{width}, as in the first line; a cell with {reader.dialect.delimiter!r} in it is quoted"
                    yield Problem(f"{file} line {line}", f"{len(cells)} cell{'s' if len(cells) != 1 else ''}", allowed)
            elif (not joined.isascii() or "\0" in joined) and (found := _undecodable(cells, columns, file, line)):
                yield from found
            elif joined and not joined.isspace():
                yield line, dict(zip(columns, cells, strict=True))
            line = reader.line_num + first
    except csv.Error as error:
        yield _broken(file, line, error)


def _undecodable(cells: list[str], columns: tuple[str, ...], file: str, line: int) -> list[Problem]:
    problems = []
    for column, cell in zip(columns, cells, strict=True):
        if _BAD_BYTE.search(cell):
            label = f"{file} line {line} column {column}"
            problems.append(Problem(label, _bad_byte(cell), "UTF-8; save the sheet in it"))
        elif "\0" in cell:
            problems.append(Problem(f"{file} line {line} column {column}", "byte 0x00", "text"))
    return problems


def _bad_byte(text: str) -> str:
    found = _BAD_BYTE.search(text)
    return f"byte 0x{ord(found.group()) - 0xDC00:02x}" if found else ""


def _json_lines(lines: Iterable[str], first: int, file: str) -> Rows:
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        label = f"{file} line {number}"
        if not line.isascii() and _BAD_BYTE.search(line):
            yield Problem(label, _bad_byte(line), "UTF-8; save the sheet in it")
            continue
        try:
            row = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            yield Problem(label, "not JSON", f"one JSON object in each line: {error}")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            yield Problem(label, type(row).__name__, "one JSON object in each line, not a list of them")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _whole(rows: Rows, file: str) -> Rows:
    """Report a file that ends within its compressed data together with all other problems."""
    line = 1
    try:
        for row in rows:
            if isinstance(row, tuple):
                line = row[0]
            yield row
    except _DAMAGE as error:
        yield _damaged(f"{file} after line {line}", error)


def _broken(file: str, line: int, error: Exception) -> Problem:
    if isinstance(error, csv.Error):
        allowed = f"{error}; a cell with quotes in it is quoted, and its quotes are doubled. Reading stopped here"
        return Problem(f"{file} line {line}", "not readable as CSV", allowed)
    return _damaged(file, error)


def _damaged(label: str, error: Exception) -> Problem:
    return Problem(label, "damaged", f"a whole gzip file: {error}")
