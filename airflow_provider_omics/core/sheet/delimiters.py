"""The delimiter of a text table: the one that fits its lines, not the one that occurs first."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import NamedTuple

CANDIDATES = (",", "\t", ";", "|")
"""Tried in this order where nothing else decides."""

_NAMES = {"\t": "a tab", ",": "a comma", ";": "a semicolon", "|": "a bar"}
_QUOTE = "quote the names and cells, if they are as they should be"


class Misfit(NamedTuple):
    """The reason why lines are no table.

    :param shown: what they are.
    :param allowed: what is allowed, and the remedy.
    """

    shown: str
    allowed: str


def fitting_delimiter(
    lines: Sequence[str], *, given: str | None = None, expected: str | None = None, cut_off: bool = False
) -> str | Misfit:
    """Choose the delimiter of a table.

    The one that cuts all lines into as many cells as the header, at least two, whatever the file is called; of several
    the one that makes most cells. Where none fits all lines, the expected one, else the one that fits most: what does
    not fit is told by line later. A table without any has one column, unless it looks like something else.

    :param lines: the header and the lines below it, as many as are known.
    :param given: the user's delimiter, which is only looked at. Default: none.
    :param expected: what the file's name says. Default: nothing.
    :param cut_off: whether more lines follow, so that the last record may be a part of one. Default False.
    :return: the delimiter.
    """
    widths = {mark: _widths(lines, mark, cut_off=cut_off) for mark in (CANDIDATES if given is None else (given,))}
    splitting = [mark for mark, found in widths.items() if found and found[0] > 1]
    if not splitting:
        return _one_column(lines, given)
    if given is not None:
        return given
    fits = {mark: sum(width == widths[mark][0] for width in widths[mark]) for mark in splitting}
    whole = [mark for mark in splitting if fits[mark] == len(widths[mark])]
    if expected in (whole or splitting) and (not whole or expected == "\t"):
        return expected or ","
    if not whole:
        return max(splitting, key=lambda mark: (fits[mark], widths[mark][0]))
    most = max(widths[mark][0] for mark in whole)
    best = [mark for mark in whole if widths[mark][0] == most]
    if len(best) == 1:
        return best[0]
    shown = f"{most} columns with {' and with '.join(_NAMES[mark] for mark in best)} between them"
    return Misfit(shown, "one delimiter that fits; say which: sample_sheet['delimiter']")


def _widths(lines: Sequence[str], delimiter: str, *, cut_off: bool = False) -> list[int]:
    """Count the cells of each record, empty ones behind the header's columns left out; lines without content too."""
    found: list[int] = []
    try:
        for cells in csv.reader(lines, delimiter=delimiter):
            if "".join(cells).strip():
                surplus = cells[found[0] :] if found else []
                found.append(len(cells) if "".join(surplus).strip() or not found else min(len(cells), found[0]))
    except csv.Error:
        pass  # the reader tells it, with its line
    return found[:-1] if cut_off and len(found) > 1 else found


def _one_column(lines: Sequence[str], given: str | None) -> str | Misfit:
    header = lines[0].strip()
    if header.startswith('"'):
        return given or ","
    other = next((mark for mark in CANDIDATES if mark in header), None)
    if other:
        return Misfit(
            f"one column, whose name holds {_NAMES[other]}", f"the sheet's own delimiter between cells; {_QUOTE}"
        )
    if header.endswith(":") or ": " in header or header in ("---", "..."):
        return Misfit("no table: it looks like YAML", f"CSV, TSV, JSON Lines or Parquet; {_QUOTE}")
    for mark in CANDIDATES:
        below = _widths(lines[1:], mark)
        if below and below[0] > 1 and len(set(below)) == 1:
            allowed = f"a first line with all names; a title above them has to go; {_QUOTE}"
            return Misfit(f"1 name above lines of {below[0]} cells", allowed)
    if given is None and len(header.split()) > 1 and any(len(line.split()) > 1 for line in lines[1:]):
        allowed = f"tab, comma, semicolon or bar between the cells, or sample_sheet['delimiter']; {_QUOTE}"
        return Misfit("one column, whose name and cells hold blanks", allowed)
    return given or ","
