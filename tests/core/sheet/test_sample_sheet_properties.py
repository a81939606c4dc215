"""What goes into a sheet comes out of it, and nothing is guessed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.checks import run_setting_rules
from airflow_provider_omics.core.settings.requests import merged_run_settings
from airflow_provider_omics.core.sheet.cells import CELL_TYPES, is_empty
from airflow_provider_omics.core.sheet.runs import SheetRows, SheetRuns
from airflow_provider_omics.sheets import SampleSheet, each, one

# How long one example takes says nothing on a machine that others use too.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# No surrogates, which have no UTF-8 form; what looks like a URI, or like a spreadsheet's, is checked as one.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda text: "/" not in text and text[:1] not in ("=", "#")
)
COLUMN = st.text(st.characters(exclude_categories=["Cs", "C"]), min_size=1, max_size=6).filter(str.strip)
ID = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=5)


@st.composite
def tables(draw: st.DrawFn) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Columns, the first of which is an id that rows may share, and rows of text."""
    columns = tuple(draw(st.lists(COLUMN, min_size=1, max_size=4, unique=True)))
    ids = st.sampled_from(draw(st.lists(ID, min_size=1, max_size=4, unique=True)))
    cells = st.fixed_dictionaries({column: ids if column == columns[0] else TEXT for column in columns})
    return columns, draw(st.lists(cells, min_size=1, max_size=8))


def runs(table: tuple[tuple[str, ...], list[dict[str, Any]]], **sheet: Any) -> SheetRuns:
    columns, rows = table
    return SheetRuns(SampleSheet("s.csv", **sheet), SheetRows("s.csv", columns, list(enumerate(rows, 2))))


@UNHURRIED
@given(tables())
def test_rows_with_ids_of_their_own_come_out_as_they_are(table: tuple[tuple[str, ...], list[dict[str, Any]]]) -> None:
    """Without group_by_id there is one run for each row, in order, or an error for each repeated id."""
    columns, rows = table
    ids = [row[columns[0]] for row in rows]
    if len(set(ids)) < len(ids):
        with pytest.raises(SettingsError) as refused:
            list(runs(table))
        repeated = [line for line, name in enumerate(ids, 2) if ids.index(name) != line - 2]
        assert [problem.argument.split()[2] for problem in refused.value.problems] == [str(line) for line in repeated]
        return

    assert [run.setting for run in runs(table)] == [
        {"runSettingId": row[columns[0]], "parameters": {name: cell for name, cell in row.items() if cell.strip()}}
        for row in rows
    ]


@UNHURRIED
@given(tables())
def test_grouping_loses_and_invents_nothing(table: tuple[tuple[str, ...], list[dict[str, Any]]]) -> None:
    """``each`` holds every row once, in row order, in the run of its id; runs stand in the order of first rows."""
    columns, rows = table
    # A column's name may hold braces, which a format string cannot name.
    named = {f"c{position}": column for position, column in enumerate(columns)}
    plain = (tuple(named), [{short: row[column] for short, column in named.items()} for row in rows])
    found = list(runs(plain, group_by_id=True, parameters={"rows": each({short: f"{{{short}}}" for short in named})}))

    assert [run.setting["runSettingId"] for run in found] == list(dict.fromkeys(row[columns[0]] for row in rows))
    for run in found:
        assert run.setting["parameters"]["rows"] == [
            {short: cell if cell.strip() else None for short, cell in row.items()}
            for row in plain[1]
            if row["c0"] == run.setting["runSettingId"]
        ]


@UNHURRIED
@given(tables(), st.data())
def test_one_is_exactly_one(table: tuple[tuple[str, ...], list[dict[str, Any]]], data: st.DataObject) -> None:
    """``one`` gives the row's own value where a single row matches, and is an error for every other number."""
    columns, rows = table
    rows = [
        {"id": row[columns[0]], "role": data.draw(st.sampled_from("ab")), "n": str(n)} for n, row in enumerate(rows)
    ]
    fitting = {
        name: [row["n"] for row in rows if (row["id"], row["role"]) == (name, "a")]
        for name in dict.fromkeys(row["id"] for row in rows)
    }
    sheet = runs((("id", "role", "n"), rows), group_by_id=True, parameters={"n": one("{n}", where={"role": "a"})})
    wrong = [name for name, found in fitting.items() if len(found) != 1]
    if wrong:
        with pytest.raises(SettingsError) as refused:
            list(sheet)
        assert len(refused.value.problems) == len(wrong)
        return

    assert {run.setting["runSettingId"]: run.setting["parameters"]["n"] for run in sheet} == {
        name: found[0] for name, found in fitting.items()
    }


@UNHURRIED
@given(st.dictionaries(ID, TEXT), st.dictionaries(ID, TEXT))
def test_a_row_wins_over_the_default_key_by_key(default: dict[str, str], row: dict[str, str]) -> None:
    """Merged as the service merges: the row's cells, and the default's values where a cell is empty."""
    source = SheetRows("s.csv", ("run id", *row), [(2, {"run id": "A", **row})])
    parameters = {name: f"{{{name}}}" for name in row}
    (run,) = SheetRuns(
        SampleSheet("s.csv", "{run id}", parameters), source, rules=run_setting_rules({"outputUri": "s3://out/x"})
    )
    (merged,) = merged_run_settings({"parameters": default}, [run.setting])

    assert merged["parameters"] == {**default, **{name: cell for name, cell in row.items() if cell.strip()}}


@UNHURRIED
@given(st.lists(st.sampled_from(["{{", "}}", "{a}", "{b c}", "x", " ", "$", "s3"]), max_size=8), TEXT, TEXT)
def test_a_template_is_its_pieces(pieces: list[str], first: str, second: str) -> None:
    """A format string is filled piece by piece; what a cell holds is never taken for a column again."""
    cells = {"{{": "{", "}}": "}", "{a}": first, "{b c}": second}
    source = SheetRows("s.csv", ("id", "a", "b c"), [(2, {"id": "A", "a": first, "b c": second})])
    (run,) = SheetRuns(SampleSheet("s.csv", parameters={"x": "".join(pieces)}), source)
    empty = any(piece in ("{a}", "{b c}") and is_empty(cells[piece]) for piece in pieces)

    assert run.setting["parameters"] == ({} if empty else {"x": "".join(cells.get(piece, piece) for piece in pieces)})


@UNHURRIED
@given(st.text(max_size=20) | st.text("{}xid ", max_size=12))
def test_any_string_is_a_template_or_refused(template: str) -> None:
    """Whatever the string, the sheet either maps or says what is wrong with it."""
    source = SheetRows("s.csv", ("id", "x"), [(2, {"id": "A", "x": "1"})])
    found = SheetRuns(SampleSheet("s.csv", parameters={"x": template}), source)
    braced = {piece for piece in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[{}]", template) if piece not in ("{{", "}}")}
    if braced <= {"{id}", "{x}"}:
        (run,) = found
        assert json.loads(json.dumps(run.setting)) == run.setting
    else:
        with pytest.raises(SettingsError, match=r"missing|between braces"):
            list(found)


@UNHURRIED
@given(st.sampled_from(sorted(CELL_TYPES)), st.integers() | st.floats() | st.booleans() | st.text(max_size=6))
def test_types_are_exact(kind: str, cell: Any) -> None:
    """A cell has the type that is declared, with nothing lost on the way, or it is refused."""
    try:
        value = CELL_TYPES[kind].convert(cell)
    except ValueError:
        return
    if kind == "int":
        assert isinstance(value, int)
        assert value == (cell if not isinstance(cell, str) else int(cell))
    elif kind == "float":
        assert value == float(cell)
    elif kind == "bool":
        assert isinstance(value, bool)
        assert str(cell).strip().lower() in (("true", "yes", "1") if value else ("false", "no", "0"))
    elif kind == "str":
        assert value == (cell if isinstance(cell, str) else json.dumps(cell))
    else:
        assert isinstance(cell, str) or value is cell
