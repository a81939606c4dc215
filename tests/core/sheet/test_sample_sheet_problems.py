"""What is wrong with a sheet: told by file, line and column, all of it at once."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.settings.checks import run_setting_rules
from airflow_provider_omics.core.sheet.runs import MAX_PROBLEMS, SheetRows, SheetRuns
from airflow_provider_omics.sheets import SampleSheet, each, one

ROW = {"id": "A", "x": "1"}
LANES = [{"id": "A", "x": "1", "y": "p"}, {"id": "B", "x": "2", "y": "q"}, {"id": "A", "x": "3", "y": "p"}]


def problems_of(rows: list[Any], *, columns: bool = True, checks: dict[str, Any] | None = None, **sheet: Any) -> str:
    """Map rows that cannot be mapped; give the text of the error without its first line."""
    names = tuple(rows[0]) if columns and rows else None
    items = [row if isinstance(row, Problem) else (line, row) for line, row in enumerate(rows, 2 if columns else 1)]
    made = SampleSheet.from_mapping({"path": "s.csv", **sheet})
    runs = SheetRuns(made, SheetRows("s.csv", names, items), **(checks or {}))
    with pytest.raises(SettingsError) as refused:
        list(runs)
    return "\n".join(str(problem) for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("rows", "sheet", "told"),
    [
        # Ids
        ([ROW, ROW], {}, "s.csv line 3 column id = 'A': unique in the batch; line 2 has the same: with group_by_id"),
        (
            [{"g": "a_b", "r": "c"}, {"g": "a", "r": "b_c"}],
            {"run_setting_id": "{g}_{r}"},
            "s.csv line 3 columns g and r = 'a_b_c': unique in the batch; line 2 has the same",
        ),
        (
            [{"g": "a_b", "r": "c"}, {"g": "a", "r": "b_c"}],
            {"run_setting_id": "{g}_{r}", "group_by_id": True, "parameters": {}},
            "s.csv line 3 column g (run_setting_id) = not as in line 2: one value for all rows of an id",
        ),
        ([ROW, {"id": "", "x": "2"}], {}, "s.csv line 3 column id = empty: the id of a run: every row needs one"),
        ([{"g": "a", "r": " "}], {"run_setting_id": "{g}_{r}"}, "s.csv line 2 column r = empty"),
        ([{"id": "A" * 129}], {"parameters": {}}, "line 2 column id (runSettingId) = 'AAAA"),
        ([{"id": "A" * 129}], {"parameters": {}}, "(129 characters): text of 1 to 128 characters"),
        ([{"id": "A\u200b"}], {"parameters": {}}, "s.csv line 2 column id (runSettingId) = 'A\\u200b': text of 1 to"),
        ([ROW], {"run_setting_id": ""}, "sample_sheet['run_setting_id'] = empty: a format string such as '{sample}'"),
        ([ROW], {"run_setting_id": 5}, "sample_sheet['run_setting_id'] = 5: a format string such as '{sample}'"),
        # Columns
        (
            [{"id": "A", "fastq_1": "x"}],
            {"parameters": {"r1": "{fastq_1}", "r2": ["{fastq1}"]}},
            "s.csv column fastq1 = missing: used by parameters['r2'][0]; did you mean 'fastq_1'?",
        ),
        ([ROW], {"where": {"qqq": 1}}, "s.csv column qqq = missing: used by where; the sheet has id, x"),
        ([ROW], {"types": {"qqq": "int"}}, "s.csv column qqq = missing: used by types['qqq']"),
        ([ROW], {"keep_columns": ["qqq"]}, "s.csv column qqq = missing: used by keep_columns"),
        ([ROW], {"run_setting_id": "{qqq}"}, "s.csv column qqq = missing: used by run_setting_id"),
        ([ROW], {"parameters": {"a": one("{x}", where={"qqq": 1})}}, "s.csv column qqq = missing"),
        # Types
        (
            [ROW, {"id": "B", "x": "1.5"}],
            {"types": {"x": int}},
            "s.csv line 3 column x = '1.5': a whole number, as types['x'] says",
        ),
        ([{"id": "A", "x": "1,5"}], {"types": {"x": "float"}}, "column x = '1,5': a finite number"),
        ([{"id": "A", "x": "nan"}], {"types": {"x": "float"}}, "column x = 'nan': a finite number"),
        ([{"id": "A", "x": "1e999"}], {"types": {"x": "float"}}, "column x = '1e999': a finite number"),
        ([{"id": "A", "x": "1_000"}], {"types": {"x": "int"}}, "column x = '1_000': a whole number"),
        ([{"id": "A", "x": "t"}], {"types": {"x": "bool"}}, "column x = 't': true or false"),
        ([{"id": "A", "x": "{"}], {"types": {"x": "json"}}, "column x = '{': JSON"),
        ([{"id": "A", "x": "NaN"}], {"types": {"x": "json"}}, "column x = 'NaN': JSON"),
        ([{"id": "A", "x": "z"}], {"types": {"x": "int"}, "where": {"x": 1}}, "column x = 'z': a whole number"),
        # URIs
        ([{"id": "A", "x": "s3:/b/k"}], {}, "s.csv line 2 column x (parameters['x']) = 's3:/b/k': s3://bucket/key"),
        ([{"id": "A", "x": "S3://buc/k"}], {}, "column x (parameters['x']) = 'S3://buc/k'"),
        ([{"id": "A", "x": " s3://buc/k"}], {}, "column x (parameters['x']) = ' s3://buc/k'"),
        ([{"id": "A", "x": "s3:///k"}], {}, "column x (parameters['x']) = 's3:///k'"),
        ([{"id": "A", "x": "https:/h"}], {}, "column x (parameters['x']) = 'https:/h'"),
        ([{"id": "A", "x": "omics://"}], {}, "column x (parameters['x']) = 'omics://'"),
        (
            [ROW, {"id": "B", "x": ""}],
            {"output_uri": "{x}/out"},
            "s.csv line 2 column x (outputUri) = '1/out': an S3 URI: s3://bucket/...",
        ),
        ([ROW], {"output_uri": "bucket/{{x}}"}, "sample_sheet['output_uri'] = 'bucket/{x}': an S3 URI"),
        ([ROW], {"priority": "{id}"}, "s.csv line 2 column id (priority) = 'A': a whole number from 0 to 100000"),
        ([ROW], {"output_bucket_owner_id": "{x}"}, "s.csv line 2 column x (outputBucketOwnerId) = '1': text of 12"),
        ([ROW], {"run_tags": {"t": "{x}", "aws:t": "{x}"}}, "line 2 column x (runTags['aws:t']) = '1': another key"),
        # Groups
        (
            LANES,
            {"group_by_id": True, "parameters": {"y": "{y}", "x": "{x}"}, "name": "{x}"},
            "s.csv line 4 column x (name) = not as in line 2: one value for all rows of an id; each(...) takes one",
        ),
        (LANES, {"group_by_id": True, "keep_columns": ["x"], "parameters": {}}, "line 4 column x (keep_columns)"),
        (
            LANES,
            {"group_by_id": True, "parameters": {"a": one("{x}", where={"y": "q"})}},
            "s.csv line 2 (parameters['a']) = no row with y = 'q': exactly one such row for an id (lines 2, 4)",
        ),
        (
            LANES,
            {"group_by_id": True, "parameters": {"a": one("{x}", where={"y": ["p", "q"]}, optional=True)}},
            "s.csv line 2 (parameters['a']) = 2 rows with y = 'p' or 'q': at most one such row for an id (lines 2, 4)",
        ),
        (
            [ROW, {"id": "A", "x": "s3:/k"}],
            {"group_by_id": True, "parameters": {"reads": each({"r": ["{x}"]})}},
            "s.csv line 3 column x (parameters['reads'][1]['r'][0]) = 's3:/k'",
        ),
        # The sheet's own words
        ([ROW], {"parameters": {"a": "{x"}}, "sample_sheet['parameters']['a'] = '{x': a column's name between braces"),
        ([ROW], {"parameters": {"a": "x}"}}, "sample_sheet['parameters']['a'] = 'x}'"),
        ([ROW], {"parameters": {"a": "{}"}}, "sample_sheet['parameters']['a'] = '{}'"),
        ([ROW], {"name": "{"}, "sample_sheet['name'] = '{'"),
        ([ROW], {"parameters": "{x}"}, "s.csv line 2 column x (parameters) = str: a JSON object (dict)"),
        ([ROW], {"parameters": {"a": (1, {2})}}, "sample_sheet['parameters']['a'][1] = set: JSON carries"),
        ([ROW], {"parameters": {"a": each(each("{x}"))}}, "= $each within $each: each(tree) or one(tree, where={...})"),
        ([ROW], {"parameters": {"a": one([each("{x}")], {"x": 1})}}, "sample_sheet['parameters']['a'][0] = $each wi"),
        ([ROW], {"parameters": {"a": {"$each": 1, "b": 2}}}, "sample_sheet['parameters']['a'] = keys $each, b"),
        ([ROW], {"parameters": {"a": {"$one": "{x}"}}}, "sample_sheet['parameters']['a'] = keys $one"),
        ([ROW], {"parameters": {"a": {"$one": 1, "where": 5}}}, "sample_sheet['parameters']['a'] = 5: a dict: column"),
        ([ROW], {"where": "x=1"}, "sample_sheet['where'] = 'x=1': a dict: column -> value, or list of values"),
        ([ROW], {"where": {"x": "z"}, "types": {"x": "int"}}, "sample_sheet['where']['x'] = 'z': values of the column"),
        ([ROW], {"where": {"x": "2"}}, "sample_sheet['where'] = none of 1 rows: values that at least one row has"),
        (
            [ROW],
            {"types": {"x": "number"}},
            "sample_sheet['types']['x'] = 'number': one of str, int, float, bool, json",
        ),
        ([ROW], {"types": "int"}, "sample_sheet['types'] = 'int': a dict: column -> type"),
        ([ROW], {"group_by_id": "True"}, "sample_sheet['group_by_id'] = 'True': True or False"),
        ([ROW], {"keep_columns": "x"}, "sample_sheet['keep_columns'] = 'x': a list of column names"),
        ([ROW], {"input_sheet": ""}, "sample_sheet['input_sheet'] = '': a parameter's name"),
        ([ROW], {"input_sheet": "in"}, "sample_sheet['input_sheet'] = 'in': a place for the sheets of the runs"),
        ([ROW], {"input_sheet": "in", "parameters": {"in": 1}}, "sample_sheet['input_sheet'] = 'in': a parameter that"),
        ([ROW], {"build": 5}, "sample_sheet['build'] = 5: a function"),
        ([ROW], {"build": dict, "name": "{x}"}, "sample_sheet['name'] = '{x}': not together with build"),
        # build
        ([ROW], {"build": len}, "s.csv line 2 (build) = returned int: a run setting, as AWS spells it: a dict"),
        (
            [ROW],
            {"build": lambda _: {"runSettingId": "B"}},
            "line 2 (build)['runSettingId'] = 'B': the value of run_setting_id",
        ),
        ([ROW], {"build": lambda _: {"nme": "B"}}, "s.csv line 2 (nme) = str: unknown; did you mean 'name'?"),
        ([ROW], {"build": lambda _: {"parameters": {"u": "s3:/u"}}}, "s.csv line 2 (parameters['u']) = 's3:/u'"),
        # Nothing there
        ([], {}, "s.csv = empty: at least one row, below the names of the columns"),
    ],
)
def test_every_problem_is_told_where_it_is(rows: list[Any], sheet: dict[str, Any], told: str) -> None:
    """Each mistake is told once, with file, line and column, or with the place in the mapping."""
    text = problems_of(rows, **sheet)

    assert told in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (
            {"x": {}, "e": {"optional": True}},
            "s.csv column id = str: the workflow has no such parameter; it takes e, x",
        ),
        ({"id": {}, "x": {}, "e": {}}, "s.csv line 3 column e (parameters['e']) = not set: required by the workflow"),
        (
            {"id": {}, "e": {"optional": True}},
            "s.csv column x = str: the workflow has no such parameter; it takes e, id",
        ),
        (
            {"id": {}, "x": {}, "e": {"optional": True}, "ref": {}},
            "sample_sheet['parameters']['ref'] = not set: required by the workflow",
        ),
    ],
)
def test_parameters_fit_the_workflow(template: dict[str, Any], told: str) -> None:
    """What is the mapping's fault is told once; a cell that leaves a required parameter out is told by line."""
    rows = [{"id": "A", "x": "1", "e": "1"}, {"id": "B", "x": "1", "e": ""}]
    text = problems_of(rows, checks={"template": template})

    assert text.startswith(told)
    assert "\n" not in text


def test_parameters_that_the_mapping_names_wrongly() -> None:
    """A name that was typed in the mapping is told there, whatever column fills it, and once for all rows."""
    text = problems_of(LANES[:2], checks={"template": {"read": {}}}, parameters={"raed": "{x}"})

    assert text.splitlines() == [
        "sample_sheet['parameters']['raed'] = str: the workflow has no such parameter; did you mean 'read'?",
        (
            "sample_sheet['parameters']['read'] = not set: required by the workflow; 'raed' was given, which it does "
            "not know"
        ),
    ]


def test_parameters_of_a_wrong_kind_get_no_own_sheet() -> None:
    """What is no dict is refused as such, also where a parameter would be added to it."""
    checks = {"input_sheet_uri": lambda name, _: f"s3://staging/{name}", "template": {"in": {}}}

    text = problems_of([ROW], checks=checks, input_sheet="in", build=lambda _: {"parameters": [1]})

    assert text == "s.csv line 2 (parameters) = list: a JSON object (dict) of names and values"


def test_what_all_runs_lack_is_told_once() -> None:
    """Without an output URI in sheet and default, one problem says so, not one for each run."""
    rules = run_setting_rules({}, require=["priority"])

    assert problems_of(LANES[:2], checks={"rules": rules}).splitlines() == [
        (
            "sample_sheet['output_uri'] = not set: every run needs an output URI; give it here or in "
            "default_run_setting['outputUri']"
        ),
        (
            "sample_sheet['priority'] = not set: required by the connection's require_settings; give it here or in "
            "default_run_setting['priority']"
        ),
    ]


def test_large_parameters_are_told_for_each_run() -> None:
    """Parameters over the service's size are told by line, without a column: it is their sum that is too large."""
    rows = [{"id": "A", "x": "v" * 256_000}, {"id": "B", "x": "1"}, {"id": "C", "x": "v" * 256_000}]

    assert [line.partition(" = ")[0] for line in problems_of(rows).splitlines()] == [
        "s.csv line 2 (parameters)",
        "s.csv line 4 (parameters)",
    ]


def test_values_of_cells_stay_out_of_errors() -> None:
    """Cells may identify a patient: besides ids, wrong types and URIs, none is shown."""
    rows = [{"id": "A", "who": "Jane Roe", "n": "1"}, {"id": "A", "who": "Jane R.", "n": float("nan")}]
    text = problems_of(rows, group_by_id=True, parameters={"who": "{who}", "n": each("{n}")})

    assert text.splitlines() == [
        (
            "s.csv line 3 column who (parameters['who']) = not as in line 2: one value for all rows of an id; "
            "each(...) takes one of every row, one(...) picks a row"
        ),
        (
            "s.csv line 3 column n (parameters['n'][1]) = float: a finite number: JSON has no NaN, no Infinity; "
            "use null or text"
        ),
    ]


def test_all_problems_are_told_at_once() -> None:
    """Problems of reading, of the mapping and of rows stand in one error, in the order in which they were found."""
    rows = [
        {"id": "A", "x": "1", "u": ""},
        Problem("s.csv line 3", "3 cells", "2"),
        {"id": "", "x": "2"},
        {"id": "A", "x": "z", "u": "s3:/u"},
        {"id": "C", "x": "y"},
    ]
    text = problems_of(rows, types={"x": "int"}, parameters={"u": "s3:/x", "v": "{u}"})

    assert [line.partition(" = ")[0] for line in text.splitlines()] == [
        "sample_sheet['parameters']['u']",
        "s.csv line 3",
        "s.csv line 4 column id",
        "s.csv line 5 column x",
        "s.csv line 5 column id",
        "s.csv line 5 column u (parameters['v'])",
        "s.csv line 6 column x",
    ]


def test_a_broken_mapping_does_not_hide_the_rows() -> None:
    """With a column missing, rows are still read and judged by what is known of them."""
    text = problems_of([ROW, ROW, Problem("s.csv line 4", "3 cells", "2")], parameters={"a": "{qqq}"})

    assert [line.partition(" = ")[0] for line in text.splitlines()] == [
        "s.csv column qqq",
        "s.csv line 3 column id",
        "s.csv line 4",
    ]


def test_a_column_that_no_line_has_is_missing() -> None:
    """In JSON Lines, where each line names its own columns, this is known only at the end."""
    text = problems_of([{"id": "A"}, {"id": "B", "x": 1}], columns=False, parameters={"x": "{x}", "y": "{yy}"})

    assert text == "s.csv column yy = missing: used by parameters['y']; the sheet has id"


@pytest.mark.parametrize(("bad", "told"), [(49, 49), (50, 51), (120, 51)])
def test_the_first_fifty_are_told(bad: int, told: int) -> None:
    """Reading stops at the fiftieth problem, and the error says so."""
    rows = [{"id": "", "x": str(number)} for number in range(bad)]
    lines = problems_of(rows).splitlines()

    assert len(lines) == told
    assert (lines[-1] == f"... = not looked for: more than these {MAX_PROBLEMS}; correct them first") is (bad >= 50)


def test_after_a_problem_no_run_is_given() -> None:
    """Whoever writes while the sheet is read writes nothing behind a problem, and gets the error in the end."""
    rows = [{"id": "A"}, {"id": "B"}, {"id": "A"}, {"id": "C"}]
    runs = SheetRuns(SampleSheet("s"), SheetRows("s", ("id",), list(enumerate(rows, 2))))
    given = iter(runs)

    assert [next(given).setting["runSettingId"], next(given).setting["runSettingId"]] == ["A", "B"]
    with pytest.raises(SettingsError):
        next(given)
    assert (runs.rows, runs.runs) == (4, 2)


def test_an_error_in_build_names_the_row() -> None:
    """What a user's function raises is the cause of an error that tells the line."""
    runs = SheetRuns(
        SampleSheet("s", build=lambda rows: {}[rows[0]["id"]]), SheetRows("s", ("id",), [(7, {"id": "A"})])
    )

    with pytest.raises(SettingsError, match=r"s line 7 \(build\) = raised KeyError") as refused:
        list(runs)

    assert isinstance(refused.value.__cause__, KeyError)


def test_parquet_counts_rows() -> None:
    """Where a file has no lines, messages speak of rows."""
    rows = SheetRows("s.parquet", ("id",), [(1, {"id": "A"}), (2, {"id": "A"})], unit="row")

    with pytest.raises(SettingsError, match=r"s\.parquet row 2 column id = 'A': unique in the batch; row 1 has"):
        list(SheetRuns(SampleSheet("s"), rows))
