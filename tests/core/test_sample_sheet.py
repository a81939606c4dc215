"""Sample sheets as plain data, and what their strings make of rows."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.run_setting_checks import run_setting_rules
from airflow_provider_omics.core.sample_sheet import SampleSheet, each, one
from airflow_provider_omics.core.sheet_runs import SheetRows, SheetRun, SheetRuns

LANES = [
    {"sample": "A", "lane": "1", "fastq_1": "s3://reads/A1_1.gz", "fastq_2": "s3://reads/A1_2.gz", "n": "007"},
    {"sample": "B", "lane": "1", "fastq_1": "s3://reads/B1_1.gz", "fastq_2": "", "n": "1"},
    {"sample": "A", "lane": "2", "fastq_1": "s3://reads/A2_1.gz", "fastq_2": "", "n": "007"},
]
TRIO = [
    {"family": "F1", "role": "mother", "gvcf": "s3://gvcf/m", "sex": "2"},
    {"family": "F1", "role": "child", "gvcf": "s3://gvcf/c", "sex": "1"},
]


def runs_of(rows: list[dict[str, Any]], *, columns: bool = True, **sheet: Any) -> list[SheetRun]:
    """Map rows, the first of which stands in line 2, as in a CSV; without columns, in line 1 of JSON Lines."""
    names = tuple(rows[0]) if columns and rows else None
    source = SheetRows("samples.csv", names, list(enumerate(rows, 2 if columns else 1)))
    made = SampleSheet.from_mapping({"path": "samples.csv", **sheet})
    return list(SheetRuns(made, source, input_sheet_uri=lambda name, text: f"s3://staging/{name}-{len(text)}.csv"))


def setting_of(row: dict[str, Any], **sheet: Any) -> dict[str, Any]:
    """Map one row."""
    (run,) = runs_of([row], **sheet)
    return run.setting


def parameters_of(tree: Any, row: dict[str, Any], **sheet: Any) -> dict[str, Any]:
    """Map one row to one parameter named x; give all parameters."""
    parameters: dict[str, Any] = setting_of(row, run_setting_id="id", parameters={"x": tree}, **sheet)["parameters"]
    return parameters


# Plain data

FULL = SampleSheet(
    path="s3://bucket/{{ ds }}.csv",
    run_setting_id="{sample}",
    parameters={"pairs": each(["{fastq_1}", "{fastq_2}"]), "t": one("{bam}", {"status": "1"}, optional=True)},
    name="{sample}",
    output_uri="s3://bucket/{{ ds }}/{sample}/",
    priority=3,
    run_tags={"cohort": "{cohort}"},
    engine_settings={"profile": ["x"]},
    output_bucket_owner_id="123456789012",
    types={"lane": "int", "depth": "float"},
    where={"qc": ["pass", "warn"]},
    group_by_id=True,
    input_sheet="input",
    keep_columns=["patient"],
    delimiter=";",
)


def test_a_sheet_is_plain_data() -> None:
    """A sheet with everything in it survives JSON, so Airflow can render and store it."""
    mapping = json.loads(json.dumps(FULL))

    assert SampleSheet.from_mapping(mapping) == FULL


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda sheet: pickle.loads(pickle.dumps(sheet))])
def test_a_sheet_is_copied_whole(copied: Any) -> None:
    """Fields and dict come through pickle and both kinds of copies, as a DAG goes through them."""
    again = copied(FULL)

    assert type(again) is SampleSheet
    assert again == FULL
    assert vars(again) == vars(FULL)


def test_a_sheet_is_a_dict_of_what_is_given() -> None:
    """What stands at its default is not in the dict; a tuple is a list there."""
    assert SampleSheet("s.csv", keep_columns=("a",), where=None) == {"path": "s.csv", "keep_columns": ["a"]}


@pytest.mark.parametrize("kind", [str, int, float, bool])
def test_types_are_written_by_name(kind: type) -> None:
    """``types={"n": int}`` and ``types={"n": "int"}`` are the same mapping."""
    assert SampleSheet("s.csv", types={"n": kind})["types"] == {"n": kind.__name__}


@pytest.mark.parametrize("sheet", ["s.csv", Path("s.csv"), {"path": "s.csv"}, {"path": Path("s.csv"), "where": None}])
def test_a_path_alone_is_a_sheet(sheet: Any) -> None:
    """A plain path is a sheet with everything at its default."""
    assert SampleSheet.from_mapping(sheet) == SampleSheet("s.csv")
    assert SampleSheet.from_mapping(sheet) == {"path": "s.csv"}


@pytest.mark.parametrize(
    ("sheet", "told"),
    [
        ({"path": "s.csv", "run_seting_id": "{a}"}, "sample_sheet['run_seting_id']"),
        ({"path": "s.csv", "run_seting_id": "{a}"}, "did you mean 'run_setting_id'?"),
        ({"path": "s.csv", "zz": 1}, "known are path, run_setting_id"),
        ({}, "sample_sheet['path'] = not set"),
        ({"path": ""}, "sample_sheet['path'] = ''"),
        ({"path": 5}, "sample_sheet['path'] = 5"),
        (5, "sample_sheet = int: a path, a mapping"),
    ],
)
def test_what_is_no_sheet_is_refused(sheet: Any, told: str) -> None:
    """Unknown keys and a missing path are named, with what is meant."""
    with pytest.raises(SettingsError) as refused:
        SampleSheet.from_mapping(sheet)

    assert told in str(refused.value)


def test_markers_are_plain_data() -> None:
    """``each`` and ``one`` give dicts whose keys no workflow language uses."""
    assert each(["{a}"]) == {"$each": ["{a}"]}
    assert one("{a}", where={"b": "1"}) == {"$one": "{a}", "where": {"b": "1"}, "optional": False}


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


# Groups


def test_rows_of_an_id_make_one_run() -> None:
    """``each`` is a list with an element for each row, also for one row, in row order; runs stand in order too."""
    runs = runs_of(
        LANES,
        group_by_id=True,
        run_setting_id="{sample}",
        types={"lane": "int"},
        parameters={
            "n": "{n}",
            "pairs": each(["{fastq_1}", "{fastq_2}"]),
            "lanes": each({"r2": "{fastq_2}", "rg": "{sample}.{lane}", "lane": "{lane}", "k": 1}),
        },
    )

    assert [run.setting for run in runs] == [
        {
            "runSettingId": "A",
            "parameters": {
                "n": "007",
                "pairs": [["s3://reads/A1_1.gz", "s3://reads/A1_2.gz"], ["s3://reads/A2_1.gz", None]],
                "lanes": [
                    {"r2": "s3://reads/A1_2.gz", "rg": "A.1", "lane": 1, "k": 1},
                    {"r2": None, "rg": "A.2", "lane": 2, "k": 1},
                ],
            },
        },
        {
            "runSettingId": "B",
            "parameters": {
                "n": "1",
                "pairs": [["s3://reads/B1_1.gz", None]],
                "lanes": [{"r2": None, "rg": "B.1", "lane": 1, "k": 1}],
            },
        },
    ]


def test_one_picks_a_row() -> None:
    """``one`` gives the value of the row that matches; an optional one drops its key where there is none."""
    (run,) = runs_of(
        TRIO,
        group_by_id=True,
        types={"sex": "int"},
        parameters={
            "child": one("{gvcf}", where={"role": "child"}),
            "woman": one({"gvcf": "{gvcf}", "sex": "{sex}"}, where={"sex": 2}),
            "father": one("{gvcf}", where={"role": "father"}, optional=True),
        },
    )

    assert run.setting["parameters"] == {"child": "s3://gvcf/c", "woman": {"gvcf": "s3://gvcf/m", "sex": 2}}


def test_all_rows_can_make_one_run() -> None:
    """An id without a column in it is one run of the whole sheet."""
    (run,) = runs_of(TRIO, group_by_id=True, run_setting_id="joint", parameters={"gvcfs": each("{gvcf}")})

    assert run.setting == {"runSettingId": "joint", "parameters": {"gvcfs": ["s3://gvcf/m", "s3://gvcf/c"]}}


def test_kept_columns_stand_beside_the_setting() -> None:
    """``keep_columns`` gives typed values, null for an empty cell, and puts nothing into the request."""
    row = {"id": "A", "n": "5", "e": ""}
    (run,) = runs_of([row], keep_columns=["n", "e"], types={"n": "int"}, parameters={})

    assert run.kept == {"n": 5, "e": None}
    assert run.setting == {"runSettingId": "A", "parameters": {}}


def test_a_run_can_have_a_sheet_of_its_own() -> None:
    """``input_sheet`` gives each run its rows as a CSV with the sheet's columns, cells as they stand."""
    rows = [{"sample": "A", "x": 'q"1,2'}, {"sample": "B", "x": ""}, {"sample": "A", "x": "007"}]
    runs = runs_of(rows, group_by_id=True, input_sheet="input", types={"x": "str"})

    assert [run.setting for run in runs] == [
        {"runSettingId": "A", "parameters": {"input": "s3://staging/A-26.csv"}},
        {"runSettingId": "B", "parameters": {"input": "s3://staging/B-12.csv"}},
    ]
    assert [run.input_sheet for run in runs] == ['sample,x\nA,"q""1,2"\nA,007\n', "sample,x\nB,\n"]


def test_own_sheets_stand_beside_parameters() -> None:
    """``input_sheet`` adds one parameter to those that are given, and checks them together."""
    setting = setting_of({"id": "A"}, input_sheet="input", parameters={"genome": "GRCh38"})

    assert setting["parameters"] == {"genome": "GRCh38", "input": "s3://staging/A-5.csv"}


def test_a_function_can_make_the_setting() -> None:
    """``build`` gets the rows of one id, typed, empty cells None, and its setting gets the id."""
    seen = []

    def build(rows: list[dict[str, Any]]) -> dict[str, Any]:
        seen.append(rows)
        return {"parameters": {"n": sum(row["n"] for row in rows)}}

    rows = [{"id": "A", "n": "1", "e": ""}, {"id": "A", "n": "2", "e": "x"}]
    (run,) = runs_of(rows, build=build, group_by_id=True, types={"n": int}, keep_columns=["id"])

    assert seen == [[{"id": "A", "n": 1, "e": None}, {"id": "A", "n": 2, "e": "x"}]]
    assert run.setting == {"runSettingId": "A", "parameters": {"n": 3}}
    assert run.kept == {"id": "A"}


def test_defaults_count_in_the_checks() -> None:
    """A template's parameter may come from the batch's default, and a required setting too."""
    rules = run_setting_rules({"outputUri": "s3://out/x", "parameters": {"ref": "r"}})
    rows = SheetRows("s.csv", ("id", "x"), [(2, {"id": "A", "x": "1"})])
    sheet = SampleSheet("s.csv", parameters={"x": "{x}"})
    runs = SheetRuns(sheet, rows, rules=rules, template={"ref": {}, "x": {}, "opt": {"optional": True}})

    assert [run.setting for run in runs] == [{"runSettingId": "A", "parameters": {"x": "1"}}]
