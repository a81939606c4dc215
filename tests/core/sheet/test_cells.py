"""What the strings, types and conditions of a sample sheet make of the cells of a row."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.sheet.runs import SheetRows, SheetRuns
from airflow_provider_omics.sheets import SampleSheet, each, one
from tests.core.sheet.sheet_rows import LANES, parameters_of, runs_of, setting_of

# Strings


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{a}", "A"),
        ("{a}_{b}", "A_B"),
        ("s3://out/{a}/{b}/", "s3://out/A/B/"),
        ("{Sample name}", "S"),
        ("GRCh38", "GRCh38"),
        ("", ""),
        ("{{a}}", "{a}"),
        ("{{{a}}}", "{A}"),
        ("{a}{a}", "AA"),
        ("{zeros}", "007"),
        ("{spaced}", " x "),
        ("{braces}", "{a}"),
        (5, 5),
        (1.5, 1.5),
        (True, True),
        (None, None),
        (["{a}", 1], ["A", 1]),
        ({"k": {"l": "{a}"}, "m": []}, {"k": {"l": "A"}, "m": []}),
        (("{a}",), ["A"]),
    ],
)
def test_a_string_is_filled_from_the_row(template: Any, value: Any) -> None:
    """Columns fill format strings, literally; whatever is no string stays as it is."""
    row = {"a": "A", "b": "B", "Sample name": "S", "zeros": "007", "spaced": " x ", "braces": "{a}"}

    assert parameters_of(template, row) == {"x": value}


@pytest.mark.parametrize("cell", ["", " ", "\t \n", None])
@pytest.mark.parametrize(
    ("tree", "parameters"),
    [
        ("{e}", {}),
        ("pre_{e}", {}),
        ("{a}_{e}", {}),
        ({"k": "{e}", "l": "{a}"}, {"x": {"l": "A"}}),
        ({"k": "{e}"}, {"x": {}}),
        (["{a}", "{e}"], {"x": ["A", None]}),
        (each({"k": "{e}"}), {"x": [{"k": None}]}),
        (each("{e}"), {"x": [None]}),
        (one("{e}", {"a": "A"}), {}),
        (one({"k": "{e}"}, {"a": "A"}), {"x": {}}),
    ],
)
def test_an_empty_cell_drops_its_key(tree: Any, parameters: Any, cell: Any) -> None:
    """What has an empty cell in it has no value; in a list and within ``each`` it is null instead."""
    assert parameters_of(tree, {"a": "A", "e": cell}) == parameters


def test_every_field_becomes_its_setting() -> None:
    """Each field of a sheet is the setting that AWS calls differently; an empty cell drops a setting too."""
    row = {"sample": "A", "owner": "111122223333", "p": "7", "cohort": "C", "none": ""}
    setting = setting_of(
        row,
        run_setting_id="{sample}",
        name="run {sample}",
        output_uri="s3://out-{none}/",
        output_bucket_owner_id="{owner}",
        priority="{p}",
        run_tags={"cohort": "{cohort}", "none": "{none}"},
        engine_settings={"profile": "{cohort}"},
        parameters={"a": "{sample}"},
    )

    assert setting == {
        "runSettingId": "A",
        "name": "run A",
        "outputBucketOwnerId": "111122223333",
        "priority": 7,
        "runTags": {"cohort": "C"},
        "engineSettings": {"profile": "C"},
        "parameters": {"a": "A"},
    }


def test_without_parameters_each_column_is_one() -> None:
    """The plain path: the first column is the id, and each column a parameter of its own name."""
    assert setting_of({"sample": "A", "Sample name": "x", "{odd}": "o", "e": ""}) == {
        "runSettingId": "A",
        "parameters": {"sample": "A", "Sample name": "x", "{odd}": "o"},
    }


# Types


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("str", "007", "007"),
        ("str", 7, "7"),
        ("int", "007", 7),
        ("int", " -7 ", -7),
        ("int", 7.0, 7),
        ("float", "1.50", 1.5),
        ("float", "1e3", 1000.0),
        ("float", ".5", 0.5),
        ("float", 2, 2.0),
        ("bool", "TRUE", True),
        ("bool", "no", False),
        ("bool", "1", True),
        ("bool", False, False),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
        ("json", "null", None),
        ("json", '""', ""),
        ("json", [1], [1]),
    ],
)
def test_a_column_gives_the_type_that_it_has(kind: str, cell: Any, value: Any) -> None:
    """A string of one column alone has the value that ``types`` makes of the cell."""
    result = parameters_of("{c}", {"c": cell}, types={"c": kind})["x"]

    assert (result, type(result)) == (value, type(value))


def test_a_typed_column_is_text_elsewhere() -> None:
    """Amid other text, and where AWS takes text, the cell stands as the sheet has it."""
    setting = setting_of(
        {"n": "007"}, run_setting_id="{n}", name="{n}", types={"n": "int"}, parameters={"x": "n{n}", "y": "{n}"}
    )

    assert setting == {"runSettingId": "007", "name": "007", "parameters": {"x": "n007", "y": 7}}


def test_values_of_json_keep_their_types() -> None:
    """In JSON Lines a number is a number; as text it is written as JSON writes it."""
    row = {"id": 7, "flag": True, "list": [1, "b"], "none": None}
    (run,) = runs_of([row], columns=False, run_setting_id="{id}-{flag}", parameters={"l": "{list}", "n": "{none}"})

    assert run.setting == {"runSettingId": "7-true", "parameters": {"l": [1, "b"]}}


def test_members_of_json_objects_are_columns() -> None:
    """A results file keeps columns in ``row``: ``{row.patient}`` reads them."""
    rows = [{"run_setting_id": "A", "row": {"patient": "P"}}, {"run_setting_id": "B", "row": {}}]
    runs = runs_of(rows, columns=False, parameters={"p": "{row.patient}"})

    assert [run.setting["parameters"] for run in runs] == [{"p": "P"}, {}]


def test_json_lines_may_lack_keys() -> None:
    """A key that a line does not have is an empty cell, as long as some line has it."""
    runs = runs_of([{"id": "A"}, {"id": "B", "x": "1"}], columns=False)

    assert [run.setting.get("parameters") for run in runs] == [{"id": "A"}, {"id": "B", "x": "1"}]


# where


@pytest.mark.parametrize(
    ("where", "types", "ids"),
    [
        ({"n": "1"}, None, ["B"]),
        ({"n": 1}, None, ["B"]),
        ({"n": ["1", "007"]}, None, ["A", "B", "C"]),
        ({"n": "7"}, None, []),
        ({"n": 7}, {"n": "int"}, ["A", "C"]),
        ({"n": "07"}, {"n": int}, ["A", "C"]),
        ({"e": ""}, None, ["B", "C"]),
        ({"e": None}, {"e": "int"}, ["B", "C"]),
        ({"e": ["", "5"]}, None, ["A", "B", "C"]),
        ({"n": "007", "e": "5"}, None, ["A"]),
        ({}, None, ["A", "B", "C"]),
    ],
)
def test_where_leaves_rows_out(where: dict[str, Any], types: Any, ids: list[str]) -> None:
    """Only rows whose cells all have one of the wanted values make runs; the others are counted."""
    rows = [
        {"id": "A", "n": "007", "e": "5"},
        {"id": "B", "n": "1", "e": ""},
        {"id": "C", "n": "007", "e": " "},
    ]
    sheet = SampleSheet("s", where=where, types=types, parameters={})
    runs = SheetRuns(sheet, SheetRows("s", ("id", "n", "e"), list(enumerate(rows, 2))))
    if ids:
        assert [run.setting["runSettingId"] for run in runs] == ids
    else:
        with pytest.raises(SettingsError, match="none of 3 rows"):
            list(runs)

    assert (runs.rows, runs.left_out, runs.runs) == (3, 3 - len(ids), len(ids))


def test_rows_left_out_are_not_judged() -> None:
    """An id twice, an empty id or a wrong type is no matter in a row that is left out."""
    rows = [{"id": "A", "use": "y", "n": "1"}, {"id": "A", "use": "n", "n": "x"}, {"id": "", "use": "n", "n": ""}]

    assert len(runs_of(rows, where={"use": "y"}, types={"n": "int"})) == 1


def test_the_summary_counts_what_was_left_out() -> None:
    """The sentence for the log says how many rows there were, and how many runs they make."""
    sheet = SampleSheet("s", where={"lane": "1"}, parameters={})
    runs = SheetRuns(sheet, SheetRows("s.csv", tuple(LANES[0]), list(enumerate(LANES, 2))))
    list(runs)

    assert runs.summary == "s.csv: 3 rows, 1 left out by where, 2 runs"
