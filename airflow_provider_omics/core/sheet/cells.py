"""Cells of a sample sheet: when they are empty, how they read as text, and their values by type."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from airflow_provider_omics.core.sheet.lookalikes import difference, look_alike

# pandas and Excel write 30 as 30.0 where a column of whole numbers has gaps.
_INT = re.compile(r"([+-]?[0-9]{1,300})(\.0*)?")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class Row(NamedTuple):
    """One row of a sheet.

    :param line: the line where it begins, from 1; in a Parquet file its number, from 1.
    :param cells: column -> cell, as it stands in the file: text, or what JSON and Parquet hold.
    :param values: the same with the columns of ``types`` converted.
    :param own: the cells once more, those that ``empty`` makes empty included.
    """

    line: int
    cells: Mapping[str, Any]
    values: Mapping[str, Any]
    own: Mapping[str, Any]


class NearMiss(NamedTuple):
    """A cell that a condition does not take, though it looks like what the condition wants.

    :param column: its column.
    :param wanted: the value that it looks like.
    :param difference: between them.
    """

    column: str
    wanted: str
    difference: str


@dataclass(frozen=True)
class CellType:
    """A type that a sheet can declare for a column.

    :param convert: makes the value of a cell that is not empty; raises ValueError where that would be a guess.
    :param allowed: the values that a cell may hold.
    """

    convert: Callable[[Any], Any]
    allowed: str


def is_empty(cell: Any, empty: frozenset[str] = frozenset()) -> bool:
    """Whether a cell holds nothing: null, or no character but white space.

    :param cell: the cell; None: null, or absent.
    :param empty: other texts that count as nothing. Default: none.
    """
    return cell is None or (isinstance(cell, str) and (not cell or cell.isspace() or cell.strip() in empty))


def plain_cell(value: Any) -> Any:
    """Take a value as a cell: dates and decimal numbers become text, all else stays.

    :param value: of a Parquet file, or of a row that a task has returned.
    """
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def text_of(cell: Any) -> str:
    """Write a cell as text.

    :param cell: text stays as it is; null is "", anything else is written as JSON does.
    """
    if isinstance(cell, str):
        return cell
    return "" if cell is None else json.dumps(cell, ensure_ascii=False, sort_keys=True, default=str)


def _int(cell: Any) -> int:
    if isinstance(cell, str) and (whole := _INT.fullmatch(cell.strip())):
        return int(whole[1])
    # Parquet files written by pandas have floats where a column of whole numbers has gaps.
    if isinstance(cell, (int, float)) and not isinstance(cell, bool) and math.isfinite(cell) and cell == int(cell):
        return int(cell)
    raise ValueError


def _float(cell: Any) -> float:
    if (isinstance(cell, (int, float)) and not isinstance(cell, bool)) or (
        isinstance(cell, str) and _FLOAT.fullmatch(cell.strip())
    ):
        number = float(cell)
    else:
        raise ValueError
    if not math.isfinite(number):
        raise ValueError
    return number


def _bool(cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    word = str(cell).strip().lower()
    if isinstance(cell, (str, int)) and word in _BOOLS:
        return _BOOLS[word]
    raise ValueError


def _json(cell: Any) -> Any:
    return json.loads(cell, parse_constant=_no_constant) if isinstance(cell, str) else cell


def _no_constant(name: str) -> Any:
    raise ValueError(name)


CELL_TYPES: Mapping[str, CellType] = {
    "str": CellType(text_of, "text"),
    "int": CellType(_int, "a whole number"),
    "float": CellType(_float, "a finite number with a decimal point, if any"),
    "bool": CellType(_bool, "true or false, yes or no, 1 or 0"),
    "json": CellType(_json, "JSON, without NaN and Infinity"),
}
"""What ``types`` of a sheet can name; nothing is rounded, cut or guessed."""


class Where:
    """A condition on the cells of a row.

    :param wanted: column -> value, or list of values.
    :param types: column -> name of its type; where there is one, wanted values are converted as cells are.
    :param empty: texts that count as an empty cell. Default: none.
    :raises ValueError: a wanted value is not of its column's type; the column is its argument.
    """

    def __init__(
        self, wanted: Mapping[str, Any], types: Mapping[str, str], empty: frozenset[str] = frozenset()
    ) -> None:
        self.columns = tuple(wanted)
        self._wanted: list[tuple[str, frozenset[str]]] = []
        for column, values in wanted.items():
            listed = values if isinstance(values, (list, tuple)) else [values]
            try:
                texts = [
                    self._as_text(None if is_empty(value, empty) else value, types.get(column)) for value in listed
                ]
            except (ValueError, OverflowError):
                raise ValueError(column) from None
            self._wanted.append((column, frozenset(texts)))

    @staticmethod
    def _as_text(value: Any, kind: str | None) -> str:
        if is_empty(value):
            return ""
        return text_of(CELL_TYPES[kind].convert(value) if kind else value)

    def matches(self, values: Mapping[str, Any]) -> bool:
        """Whether a row is meant.

        :param values: column -> value, converted.
        """
        for column, texts in self._wanted:
            value = values.get(column)
            if ("" if is_empty(value) else text_of(value)) not in texts:
                return False
        return True

    def near_misses(self, values: Mapping[str, Any]) -> list[NearMiss]:
        """Find the cells for which alone a row is not meant, though they look like what is wanted.

        :param values: column -> value, converted, of a row that is not meant.
        :return: none where another cell differs for good.
        """
        found = []
        for column, texts in self._wanted:
            value = values.get(column)
            text = "" if is_empty(value) else text_of(value)
            if text in texts:
                continue
            like = next((wanted for wanted in texts if wanted and look_alike(text, wanted)), None)
            if like is None:
                return []
            found.append(NearMiss(column, like, difference(text, like)))
        return found

    def __str__(self) -> str:
        """The condition in words: ``status = '1' or '2' and sex = ''``."""
        return " and ".join(
            f"{column} = {' or '.join(repr(text) for text in sorted(texts))}" for column, texts in self._wanted
        )


def convert_cells(
    cells: Mapping[str, Any], types: Mapping[str, str], columns: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """Convert some cells of a row.

    :param cells: column -> cell; not changed.
    :param types: column -> name of its type.
    :param columns: which of the typed columns; an empty cell becomes None.
    :return: column -> value of these columns, and the columns whose cell is not of its type.
    """
    values: dict[str, Any] = {}
    wrong = []
    for column in columns:
        cell = cells.get(column)
        if is_empty(cell):
            values[column] = None
            continue
        try:
            values[column] = CELL_TYPES[types[column]].convert(cell)
        except (ValueError, OverflowError, RecursionError):
            wrong.append(column)
    return values, wrong
