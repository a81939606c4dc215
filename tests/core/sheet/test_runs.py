"""How the rows of a sample sheet become runs: groups, one of many, sheets of their own, functions."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.core.settings.run_setting import run_setting_rules
from airflow_provider_omics.core.sheet.runs import SheetRows, SheetRuns
from airflow_provider_omics.sheets import SampleSheet, each, one
from tests.core.sheet.sheet_rows import LANES, TRIO, runs_of, setting_of


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
