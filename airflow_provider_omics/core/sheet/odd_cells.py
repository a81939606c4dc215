"""Cells that are no values: NA and its like, errors of a spreadsheet, formulas, and texts that stand among URIs."""

from __future__ import annotations

import re
from typing import Any

_SPREADSHEET_ERRORS = frozenset(
    {"#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NUM!", "#NULL!", "#N/A", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!"}
)
_FORMULA = re.compile(r"=[A-Za-z@(+\"'$-].*", re.DOTALL)
_TOO_NARROW = re.compile(r"#{3,}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

# What pandas.read_csv takes for NaN, the missing values of INSDC and SRA, and other customs; in lower case.
_NOT_THERE = frozenset(
    {"na", "n/a", "n.a.", "#n/a", "#n/a n/a", "#na", "<na>", "nan", "-nan", "null", "nil", "none", ".", "-", "--", "?"}
    | {"1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "missing", "tbd", "unknown", "not applicable", "not available"}
    | {"not collected", "not provided", "restricted access"}
)


def spreadsheet_fault(cell: Any) -> tuple[str, str] | None:
    """Tell what a spreadsheet has left in the place of a value.

    :param cell: of any type.
    :return: its kind and the remedy; None: it is something else.
    """
    if not isinstance(cell, str) or cell[:1] not in ("#", "="):
        return None
    text = cell.strip()
    if text in _SPREADSHEET_ERRORS:
        return "the error of a formula", f"its value: correct it, or make such cells empty with empty=[{text!r}]"
    if _TOO_NARROW.fullmatch(text):
        return "a number that did not fit its column", "its value: export the sheet again with wider columns"
    if _FORMULA.fullmatch(text):
        return "a formula", "its value: export the sheet with values"
    return None


def is_not_there(cell: Any) -> bool:
    """Whether a cell says that there is no value.

    :param cell: of any type.
    """
    return isinstance(cell, str) and len(cell) < 20 and cell.strip().lower() in _NOT_THERE


class ColumnKinds:
    """Counts what stands in a column, to find the cells that are of no kind with the others."""

    def __init__(self) -> None:
        self.uris = 0
        """Cells that are URIs."""
        self.numbers = 0
        """Cells that are numbers."""
        self.others = 0
        """Other cells."""
        self.not_there = 0
        """Cells like NA."""
        self.first_other: tuple[int, Any] | None = None
        """Line and cell of the first other one."""
        self.first_not_there: tuple[int, Any] | None = None
        """Line and cell of the first one like NA."""

    def add(self, line: int, cell: Any) -> None:
        """Count a cell that is not empty.

        :param line: where it stands.
        :param cell: the cell.
        """
        if isinstance(cell, str) and cell.startswith("s3://"):  # nearly all of them
            self.uris += 1
        elif isinstance(cell, (int, float)):
            self.numbers += 1
        elif not isinstance(cell, str):
            self.others += 1
            self.first_other = self.first_other or (line, cell)
        elif _URI.match(cell):
            self.uris += 1
        elif is_not_there(cell):
            self.not_there += 1
            self.first_not_there = self.first_not_there or (line, cell)
        elif _NUMBER.fullmatch(cell):
            self.numbers += 1
        else:
            self.others += 1
            self.first_other = self.first_other or (line, cell)

    @property
    def kind(self) -> str | None:
        """What its cells are but for those like NA: ``"URIs"``, ``"numbers"``; None: all kinds of things."""
        if self.others or (self.uris and self.numbers):
            return None
        return "URIs" if self.uris else "numbers" if self.numbers else None
