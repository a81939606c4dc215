"""Sheets as spreadsheets, laboratories and sequencers export them: none makes a wrong cohort without a word."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.sheet.runs import MAX_PROBLEMS
from airflow_provider_omics.sheets import SampleSheet, each, one, run_settings_from_sheet
from airflow_provider_omics.sheets.read import open_runs

S3 = "s3://omics-inputs/"
GROUPED: dict[str, Any] = {"run_setting_id": "{sample}", "group_by_id": True, "parameters": {"reads": each("{fq}")}}
ILLUMINA = """[Header]{pad}
FileFormatVersion,2{pad}
Date,1/2/2024{pad}
{pad}
[Reads]{pad}
Read1Cycles,151{pad}
{pad}
[{section}]{pad}
Lane,Sample_ID,index,Description
1,E1,ACGT,
2,E2,TGCA,"a, b"

[Cloud_Settings]{pad}
GeneratedVersion,1{pad}
"""


def written(folder: Path, content: str | bytes, name: str = "s.csv") -> str:
    """Write a sheet; give its path."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def read(folder: Path, content: str | bytes, name: str = "s.csv", **sheet: Any) -> list[dict[str, Any]]:
    """Read a sheet that makes runs."""
    return run_settings_from_sheet({"path": written(folder, content, name), **sheet})


def told(folder: Path, content: str | bytes, name: str = "s.csv", **sheet: Any) -> list[str]:
    """Read a sheet that makes none; give its problems."""
    with pytest.raises(SettingsError) as refused:
        read(folder, content, name, **sheet)
    return [str(problem) for problem in refused.value.problems]


# Look-alikes


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ("S1 ", "white space"),
        (" S1", "white space"),
        ("S1\u00a0", "white space"),
        ("s1", "case"),
        ("s1 ", "white space, case, Unicode form or invisible characters"),
        ("\uff331", "Unicode form"),
    ],
)
@pytest.mark.parametrize("sheet", [{}, GROUPED], ids=["plain", "grouped"])
def test_ids_that_look_alike(other: str, difference: str, sheet: dict[str, Any], tmp_path: Path) -> None:
    """They are refused once for each spelling, with both lines."""
    content = f"sample,fq\nS1,{S3}1\n{other},{S3}2\nS3,{S3}3\n" + (f"{other},{S3}4\n" if sheet else "")

    (problem,) = told(tmp_path, content, **sheet)

    assert problem == (
        f"s.csv line 3 column sample = {other!r}: an id that differs by {difference} only from 'S1' of line 2: "
        "spell both alike, or tell them apart"
    )


@pytest.mark.parametrize(("one_id", "other"), [("Jos\u00e9", "Jose\u0301"), ("a b", "a  b"), ("a b", "a\u00a0b")])
def test_ids_of_two_spellings(one_id: str, other: str, tmp_path: Path) -> None:
    """Unicode forms and white space within an id count as well, and ids made of two columns."""
    problems = told(tmp_path, f"g,fq\n{one_id},{S3}1\n{other},{S3}2\n", run_setting_id="{g}_x", parameters={})

    assert [problem.partition(" = ")[0] for problem in problems] == ["s.csv line 3 column g"]


@pytest.mark.parametrize(
    ("cell", "difference"),
    [("1 ", "white space"), ("1.0", "the form of a number"), ("1\u200b", "invisible characters")],
)
@pytest.mark.parametrize(
    "sheet",
    [
        {"where": {"status": 1}},
        {"where": {"status": ["1", "2"]}, "parameters": {}},
        {"group_by_id": True, "parameters": {"t": one("{fq}", where={"status": "1"}, optional=True)}},
        {"group_by_id": True, "parameters": {"t": each("{fq}", where={"status": "1"})}},
    ],
    ids=["where", "where-list", "one", "each"],
)
def test_cells_that_are_compared(cell: str, difference: str, sheet: dict[str, Any], tmp_path: Path) -> None:
    """A cell that a condition does not take, though it looks like what the condition wants, is refused by line."""
    (problem,) = told(tmp_path, f"sample,status,fq\nS1,1,{S3}1\nS2,{cell},{S3}2\n", **sheet)

    assert problem.startswith("s.csv line 3 column status (")
    assert f" = {cell!r}: differs by {difference} only from '1': correct it, or name it in where as well" in problem


def test_cells_that_differ_for_good(tmp_path: Path) -> None:
    """Nothing is told of rows that another cell leaves out, nor where both spellings are wanted."""
    content = "sample,status,sex\nS1,pass,XX\nS2,Pass ,XY\nS3,fail,XX\nS4,PASS,XX\n"
    wanted = {"status": ["pass", "PASS"], "sex": "XX"}

    found = read(tmp_path, content, where=wanted)

    assert [setting["runSettingId"] for setting in found] == ["S1", "S4"]


# Lines that are no samples


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (f"sample,fq\nS1,{S3}1\n#S2,{S3}2\n", "s.csv line 3 = '#S2': a row: comment='#' leaves lines out"),
        (f"sample,fq\nS1,{S3}1\n# the end\n", "s.csv line 3 = '# the end': a row: comment='#' leaves lines out"),
        (f"# from the LIMS, June\nsample,fq\nS1,{S3}1\n", "s.csv line 1 = '# from the LIMS': the names of the columns"),
        (f"##made by x\nsample,fq\nS1,{S3}1\n", "s.csv line 1 = 1 name above lines of 2 cells"),
        (f"Cohort of June\nsample,fq\nS1,{S3}1\n", "s.csv line 1 = 1 name above lines of 2 cells"),
        (f"Cohort,\nsample,fq\nS1,{S3}1\n", "s.csv line 2 column number 2 = 'fq': a name for its column"),
        (f"Cohort, June\nsample,fq\nS1,{S3}1\nS2,{S3}2\n", "line 2 column ' June' = 'fq': a URI, as in the other rows"),
        (f"sample,fq\nS1,{S3}1\nsample,fq\nS2,{S3}2\n", "s.csv line 3 = the header once more: rows; remove the line"),
        (f"sample,fq\nS1,{S3}1\n\ufeffSample, fq \nS2,{S3}2\n", "s.csv line 3 = the header once more"),
    ],
)
def test_lines_that_are_no_samples(content: str, place: str, tmp_path: Path) -> None:
    """A comment, a title and a second header are told for what they are, and make no run."""
    assert place in told(tmp_path, content)[0]


def test_comments(tmp_path: Path) -> None:
    """``comment`` leaves lines out, before the header and below it, not within a cell; they are counted."""
    content = '# of "June, 1\n#S0,x\nsample,note\nS1,"a\n#b"\n#S2,"\nS3,c\n'
    path = written(tmp_path, content)

    with pytest.raises(SettingsError, match=r"'#S0': is it the header\? comment='#' leaves it out"):
        run_settings_from_sheet({"path": path, "comment": "#"})
    path = written(tmp_path, content.replace("#S0,x\n", ""))
    with open_runs(SampleSheet(path, comment="#")) as runs:
        found = [run.setting["parameters"] for run in runs]

    assert found == [{"sample": "S1", "note": "a\n#b"}, {"sample": "S3", "note": "c"}]
    assert runs.summary == "s.csv: 2 rows, 2 comments, 2 runs"


@pytest.mark.parametrize("name", ["#SampleID", "#OTU ID"])
def test_a_header_may_begin_with_a_number_sign(name: str, tmp_path: Path) -> None:
    """QIIME's headers do. Rows that do are taken with ``comment=""`` only."""
    content = f"{name}\tx\n#1\t1\n"

    assert "comment=''" in told(tmp_path, content, "s.tsv")[0]
    assert read(tmp_path, content, "s.tsv", comment="") == [
        {"runSettingId": "#1", "parameters": {name: "#1", "x": "1"}}
    ]
    assert "is it the header?" in told(tmp_path, f"{name}\tx\nS1\t1\n", "s.tsv", comment="#")[0]


# The delimiter


@pytest.mark.parametrize("name", ["s.csv", "s.tsv", "s.txt", "s"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_that_of_all_lines(mark: str, name: str, tmp_path: Path) -> None:
    """Whatever the name of the file, and whatever stands in one header cell or in decimal numbers."""
    other = "," if mark != "," else ";"
    rows = [["sample", f"note{other} free", "depth"], ["S1", "x", f"1{other}5"], ["S2", "y", "2"]]
    content = "".join(f"{mark.join(row)}\n" for row in rows)

    found = read(tmp_path, content, name)

    assert [setting["parameters"] for setting in found] == [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("s.csv", f"sample fq\nS1 {S3}1\n", "s.csv line 1 = one column, whose name and cells hold blanks"),
        (
            "s.txt",
            f"sample   fq\nS1   {S3}1\nS2   {S3}2  x\n",
            "s.txt line 1 = one column, whose name and",
        ),
        ("s.txt", f"sample: S1\nfq: {S3}1\n", "s.txt line 1 = no table: it looks like YAML"),
        ("s.csv", f"- sample: S1\n  fq: {S3}1\n", "s.csv line 1 = no table: it looks like YAML"),
        ("s.yml", f"- sample: S1\n  fq: {S3}1\n", "s.yml = YAML: a table: CSV, TSV, JSON Lines or Parquet"),
        ("s.csv", "a;b,c\n1;2,3\n", "s.csv line 1 = 2 columns with a comma and with a semicolon between them"),
    ],
)
def test_a_sheet_without_a_delimiter(name: str, content: str, place: str, tmp_path: Path) -> None:
    """What only looks like one column is refused, and so is what two delimiters fit."""
    assert told(tmp_path, content, name)[0].startswith(place)


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_given_delimiter_that_does_not_occur(delimiter: str, tmp_path: Path) -> None:
    """It makes no runs of whole lines."""
    (problem,) = told(tmp_path, f"sample;fq\nS1;{S3}1\n", delimiter=delimiter)

    assert problem.startswith("s.csv line 1 = one column, whose name holds a semicolon")


# NA


@pytest.mark.parametrize("cell", ["NA", "na", "N/A", ".", "NULL", "#N/A", "None", "-", "not collected"])
def test_cells_that_say_that_there_is_nothing(cell: str, tmp_path: Path) -> None:
    """They are told among URIs and numbers, by line and column; ``empty`` makes them empty, ``types`` texts."""
    content = f"sample\tr2\tdepth\tnote\nA\t{S3}1\t30\tNA\nB\t{cell}\t{cell}\tx\n"
    sheet: dict[str, Any] = {"parameters": {"r2": "{r2}", "depth": "{depth}", "note": "{note}"}}

    problems = told(tmp_path, content, "s.tsv", **sheet)

    assert [problem.partition(" = ")[0] for problem in problems] == [
        "s.tsv line 3 column r2",
        "s.tsv line 3 column depth",
    ]
    assert all(repr(cell) in problem and "empty=[" in problem for problem in problems)
    assert read(tmp_path, content, "s.tsv", **sheet, empty=[cell])[1]["parameters"] == {"note": "x"}
    if cell != "#N/A":
        texts = {"r2": "str", "depth": "str"}
        assert read(tmp_path, content, "s.tsv", **sheet, types=texts)[1]["parameters"]["r2"] == cell


def test_empty_texts_count_everywhere_but_in_the_own_sheet(tmp_path: Path) -> None:
    """In types, conditions and lists such a cell is empty; the sheet that goes to the run keeps it."""
    content = f"sample\tr1\tr2\tdepth\nA\t{S3}1\tNA\tNA\nA\t{S3}3\t{S3}4\tNA\nB\tNA\tNA\t7\n"
    sheet = {
        "run_setting_id": "{sample}",
        "group_by_id": True,
        "types": {"depth": "int"},
        "empty": ("NA",),
        "where": {"r1": [f"{S3}1", f"{S3}3", "NA"]},
        "input_sheet": "input",
        "parameters": {"pairs": each(["{r1}", "{r2}"]), "depth": "{depth}", "cold": one("x", where={"r2": "NA"})},
    }
    path = written(tmp_path, content, "s.tsv")
    with open_runs(SampleSheet.from_mapping({"path": path, **sheet}), input_sheet_uri=lambda *_: "s3://abc/x") as runs:
        first, second = runs

    given = {"pairs": [[f"{S3}1", None], [f"{S3}3", f"{S3}4"]], "cold": "x", "input": "s3://abc/x"}
    assert first.setting["parameters"] == given
    assert second.setting["parameters"] == {"pairs": [[None, None]], "depth": 7, "cold": "x", "input": "s3://abc/x"}
    assert first.input_sheet == f"sample,r1,r2,depth\nA,{S3}1,NA,NA\nA,{S3}3,{S3}4,NA\n"


def test_na_where_a_number_is_declared(tmp_path: Path) -> None:
    """The message names the way out."""
    (problem,) = told(tmp_path, "sample,depth\nA,30\nB,NA\n", types={"depth": "int"})

    assert problem == (
        "s.csv line 3 column depth = 'NA': a whole number, as types['depth'] says; empty=['NA'] makes such cells empty"
    )


def test_texts_among_uris_are_told(tmp_path: Path) -> None:
    """A column that holds both may be meant so: the sheet is read, with a warning."""
    path = written(tmp_path, f"sample,ref\nA,{S3}1\nB,GRCh38\nC,GRCh37\n")

    with open_runs(SampleSheet(path)) as runs:
        assert len(list(runs)) == 3

    assert [str(warning) for warning in runs.warnings] == [
        "s.csv line 3 column ref = 2 texts among 1 URIs: one kind of value in a column, where it is not meant so"
    ]


# Spreadsheets


@pytest.mark.parametrize(
    "content",
    [
        f"sample,fq,,\r\nS1,{S3}1,,\r\n",
        f",sample,fq\n,S1,{S3}1\n",
        f"sample,fq\nS1,{S3}1,,,\n",
        f"sep=;\r\nsample;fq\r\nS1;{S3}1\r\n",
        f'"sep=,"\nsample,fq\nS1,{S3}1\n',
        f",,\n;;\nsample,fq\nS1,{S3}1\n,\n",
        f"\ufeff\ufeffsample,fq\nS1,{S3}1\n",
    ],
)
def test_leftovers_of_spreadsheets(content: str, tmp_path: Path) -> None:
    """Columns and cells with nothing in them are none, ``sep=`` names the delimiter, marks before the header go."""
    assert read(tmp_path, content) == [{"runSettingId": "S1", "parameters": {"sample": "S1", "fq": f"{S3}1"}}]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("sample,fq,\nS1,x,\nS2,y,z\n", "s.csv line 3 column number 3 = 'z': a name for its column, in the header"),
        ("sample,fq\nS1,x,y\n", "s.csv line 2 = 3 cells: 2, as in the first line; a cell with ',' in it is quoted"),
        ("sample,fq\nS1\n", "s.csv line 2 = 1 cell: 2, as in the first line; empty cells have their delimiter too"),
        (
            "sample,fq\nS1,#REF!\n",
            "s.csv line 2 column fq = '#REF!': the error of a formula, not its value",
        ),
        ('sample,fq\nS1,=A2&".fq"\n', "s.csv line 2 column fq = '=A2&\".fq\"': a formula, not its value: export"),
        ("sample,fq\nS1,#####\n", "s.csv line 2 column fq = '#####': a number that did not fit its column, not its"),
        ("a,a,b\n1,2,3\n", "s.csv line 1 column number 2 = 'a': names that differ; column number 1 has this one"),
        ("s\0a\0,\0b\0\n\0".encode("latin-1"), "s.csv = text in UTF-16 without a mark: save it as UTF-8"),
        ("sample,fq\n".encode("utf-16-be"), "s.csv = text in UTF-16 without a mark: save it as UTF-8"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "s.csv = an old or encrypted Excel workbook (.xls): save the sheet as"),
    ],
)
def test_what_spreadsheets_break(content: str | bytes, problem: str, tmp_path: Path) -> None:
    """What would be lost or is no value is told for what it is."""
    (found,) = told(tmp_path, content)

    assert problem in found


def test_errors_of_formulas_where_nobody_looks(tmp_path: Path) -> None:
    """A column that no setting uses may hold anything; with a sheet of its own, a run gets them all."""
    content = f"sample,fq,old\nS1,{S3}1,#REF!\n"

    assert read(tmp_path, content, parameters={"fq": "{fq}"})[0]["parameters"] == {"fq": f"{S3}1"}
    sheet = {"path": str(tmp_path / "s.csv"), "input_sheet": "input"}
    with pytest.raises(SettingsError, match="column old = '#REF!': the error of a formula"):
        run_settings_from_sheet(sheet, input_sheet_uri=lambda *_: "s3://abc/x")


@pytest.mark.parametrize("cell", ["30", "30.0", "30.", " 30.00 ", "+30"])
def test_whole_numbers_as_pandas_writes_them(cell: str, tmp_path: Path) -> None:
    """They are whole where a whole number is wanted; 30.5 is none."""
    content = f"sample,depth\nS1,{cell}\nS2,\n"

    assert read(tmp_path, content, types={"depth": int})[0]["parameters"]["depth"] == 30
    assert "a whole number" in told(tmp_path, content.replace(cell, "30.5"), types={"depth": int})[0]


# Illumina


@pytest.mark.parametrize("pad", ["", ",,"], ids=["bare", "padded"])
@pytest.mark.parametrize(
    ("inside", "asked"), [("Data", "Data"), ("Data", "[data]"), ("BCLConvert_Data", "Data"), ("X_Data", "X_Data")]
)
def test_a_section_of_an_illumina_sheet(pad: str, inside: str, asked: str, tmp_path: Path) -> None:
    """``section`` reads the rows of one, up to the next, with the lines of the file."""
    content = ILLUMINA.format(pad=pad, section=inside)
    sheet: dict[str, Any] = {"run_setting_id": "{Sample_ID}", "section": asked, "parameters": {"index": "{index}"}}

    assert [(setting["runSettingId"], setting["parameters"]) for setting in read(tmp_path, content, **sheet)] == [
        ("E1", {"index": "ACGT"}),
        ("E2", {"index": "TGCA"}),
    ]
    assert told(tmp_path, content.replace("E2", ""), **sheet)[0].startswith("s.csv line 11 column Sample_ID = empty")


@pytest.mark.parametrize("name", ["SampleSheet.csv", "SampleSheet"])
def test_an_illumina_sheet_is_recognised(name: str, tmp_path: Path) -> None:
    """One problem says what it is, and how it is read."""
    content = ILLUMINA.format(pad="", section="BCLConvert_Data")

    (problem,) = told(tmp_path, content, name)
    assert problem == (
        f"{name} = an Illumina SampleSheet with the sections Header, Reads, BCLConvert_Data, Cloud_Settings: a table; "
        "sample_sheet['section']='BCLConvert_Data' reads the rows of one section"
    )
    assert told(tmp_path, content, name, section="Manifests") == [
        f"sample_sheet['section'] = 'Manifests': a section of {name}: Header, Reads, BCLConvert_Data, Cloud_Settings"
    ]
    assert "has no sections" in told(tmp_path, "sample\nS1\n", section="Data")[0]


@pytest.mark.parametrize(
    "field", [{"comment": 5}, {"comment": " #"}, {"section": "[]"}, {"section": 1}, {"empty": "NA"}]
)
def test_fields_of_a_wrong_kind(field: dict[str, Any], tmp_path: Path) -> None:
    """They are refused by name."""
    (name,) = field

    assert told(tmp_path, "sample\nS1\n", **field)[0].startswith(f"sample_sheet['{name}'] = ")


# Nothing is lost


CELLS = st.sampled_from(
    ["S1", "S1 ", "s1", "S2", "#S2", "NA", "", "1", "1.0", f"{S3}1", "sample", "status", "=A1", '"']
)
SHAPES: list[dict[str, Any]] = [
    {},
    {"group_by_id": True, "parameters": {"rows": each(["{status}", "{fq}"])}},
    {"group_by_id": True, "parameters": {"t": each("{fq}", where={"status": "1"}), "n": one("{fq}", {"status": "S2"})}},
    {"where": {"status": "1"}},
    {"comment": "#"},
    {"empty": ["NA"], "group_by_id": True, "parameters": {"rows": each(["{status}", "{fq}"])}},
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    table=st.lists(st.lists(CELLS, min_size=3, max_size=3) | st.lists(CELLS, min_size=1, max_size=4), max_size=6),
    sheet=st.sampled_from(SHAPES),
    mark=st.sampled_from([",", ";", "\t"]),
    name=st.sampled_from(["s.csv", "s.tsv", "s.txt"]),
)
def test_no_row_is_lost(
    table: list[list[str]], sheet: dict[str, Any], mark: str, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each line with content is in one run, is counted as left out or as a comment, or is told."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, lineterminator="\n")
    writer.writerows([["sample", "status", "fq"], *table])
    path = written(tmp_path_factory.getbasetemp(), text.getvalue(), name)
    filled = [row for row in table if "".join(row).strip()]
    found = []
    with open_runs(SampleSheet.from_mapping({"path": path, "run_setting_id": "{sample}", **sheet})) as runs:
        try:
            found = list(runs)
        except SettingsError as error:
            told_at_all = len(error.problems)
        else:
            told_at_all = 0
    assert told_at_all <= MAX_PROBLEMS + 1
    if told_at_all:
        return
    comments = sum(row[0].startswith("#") for row in filled) if sheet.get("comment") else 0
    assert runs.rows + comments == len(filled)
    assert len({run.setting["runSettingId"].strip().casefold() for run in found}) == len(found)
    if not sheet.get("group_by_id"):
        assert len(found) + runs.left_out == runs.rows
    elif "rows" in sheet["parameters"]:
        assert sum(len(run.setting["parameters"]["rows"]) for run in found) == runs.rows
    else:
        taken = sum(len(run.setting["parameters"]["t"]) + 1 for run in found)
        not_taken = sum(int(warning.value.split()[0]) for warning in runs.warnings if "takes" in warning.allowed)
        assert taken + not_taken == runs.rows


def test_rows_that_no_condition_takes(tmp_path: Path) -> None:
    """They are told: a sample that relapsed is no part of its patient's run."""
    content = "sample,status\nP1,0\nP1,1\nP1,2\n"
    parameters = {"normal": one("{status}", {"status": "0"}), "tumours": each("{status}", where={"status": "1"})}
    path = written(tmp_path, content)

    with open_runs(SampleSheet(path, "{sample}", parameters, group_by_id=True)) as runs:
        (run,) = runs

    assert run.setting["parameters"] == {"normal": "0", "tumours": ["1"]}
    (warning,) = runs.warnings
    assert str(warning) == (
        "s.csv line 4 = 1 row: the first that no each(...) or one(...) of its run takes; where leaves rows out on "
        "purpose"
    )


# Bounds


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        (b"", "s.csv.gz line 1 = a line of more than 4,194,304 characters"),
        (b"a,b\n1,", "s.csv.gz line 2 = a line of more than 4,194,304 characters"),
    ],
)
def test_a_small_file_that_is_large_inside(start: bytes, problem: str, tmp_path: Path) -> None:
    """It is refused, and takes no memory."""
    path = written(tmp_path, gzip.compress(start + b"0" * 100_000_000, 1, mtime=0), "s.csv.gz")
    tracemalloc.start()
    try:
        with pytest.raises(SettingsError) as refused:
            run_settings_from_sheet(path)
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert problem in str(refused.value)
    assert used < 64 << 20


def test_what_a_packed_file_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than a limit are not read."""
    monkeypatch.setattr("airflow_provider_omics.sheets.opening.LARGEST_UNPACKED", 1 << 18)

    (problem,) = told(tmp_path, gzip.compress(b"id\n" + b"\n" * (1 << 19)), "s.csv.gz")

    assert "more than 262,144 bytes, unpacked: a smaller file" in problem


def test_how_many_lines_a_sheet_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty ones count: nobody waits for the end of a thousand million of them."""
    monkeypatch.setattr("airflow_provider_omics.sheets.lines.MOST_LINES", 100)

    assert told(tmp_path, "id\nA\n" + "\n" * 200) == [
        "s.csv line 101 = one line more: at most 100 lines: split the sheet"
    ]


@pytest.mark.parametrize("mapped", [{}, {"parameters": {"x": "{c1}", "gone": "{d}"}}], ids=["all", "some"])
def test_many_columns_take_no_square_of_time(mapped: dict[str, Any], tmp_path: Path) -> None:
    """As many as Excel has are read in the time of their cells; more are refused."""
    columns = [f"c{number}" for number in range(16_384)]
    content = f"{','.join(columns)}\n{','.join('s3:/x' for _ in columns)}\n"
    begun = time.process_time()

    assert len(told(tmp_path, content, **mapped)) >= 1
    assert time.process_time() - begun < 5
    assert told(tmp_path, content.replace("c0,", "c0,d,", 1)) == ["s.csv line 1 = 16,385 columns: at most 16,384"]


def test_reading_ends_with_one_run_too_many(tmp_path: Path) -> None:
    """What is refused for its number is not read to its end."""
    path = written(tmp_path, "id\n" + "".join(f"S{n}\n" for n in range(1_000)))

    with open_runs(SampleSheet(path), max_runs=10) as runs:
        assert len(list(runs)) == 11
    assert runs.rows == 11


# Values that are not shown


@pytest.mark.parametrize(
    ("content", "sheet"),
    [
        ("Jane Roe,1950\nJohn Doe,1960\n", {"parameters": {"x": "{fq}"}}),
        ("Jane Roe,Jane Roe\nJohn Doe,1960\n", {}),
        ("Jane Roe,\nJohn Doe,1960\n", {}),
        ("Jane Roe,ref\nJohn Doe,s3:/x\n", {}),
        ("Jane Roe,ref\nJohn Doe,NA\nx,1\n", {}),
        ("Jane Roe,ref\nJohn Doe,#REF!\n", {}),
        ("Jane Roe,ref\nJohn Doe,1\nJohn Doe ,1\n", {}),
        ("Jane Roe,ref\n#John Doe,1\n", {}),
        ("# Jane Roe of,1950\nJohn,1\n", {}),
        ("# Jane Roe,1950\nJohn,1\n", {}),
        ("#Jane,Roe\nid,x\nJohn Doe,1\n", {"comment": "#"}),
        ("id,x\nJohn Doe,1\nJohn Doe,2\n", {}),
        ("id,x\n1,Jane\n1,Roe\n", {"group_by_id": True, "parameters": {"x": one("{id}", {"x": "Doe"})}}),
        ("id,x\n1,Roe \n", {"where": {"x": "Roe"}}),
        ("id,x\nDoe,1950.5\n", {"types": {"x": "int"}}),
        ("id,x\nDoe,NA\n", {"types": {"x": "int"}}),
    ],
)
def test_masked_errors_show_no_cell(content: str, sheet: dict[str, Any], tmp_path: Path) -> None:
    """A masked problem has its place and the remedy, and nothing of a row, even where the header is one."""
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, content, **sheet)

    text = str(pickle.loads(pickle.dumps(refused.value)).masked())
    assert not [word for word in ("Jane", "Roe", "John", "Doe", "1950", "1960", "'NA'", "#REF!") if word in text]
    assert "s.csv" in text


@pytest.mark.parametrize("letter", ["\x1b", "\u202e", "\u200b", "\u2028", "\u00a0"])
def test_names_are_shown_without_what_steers_a_terminal(letter: str, tmp_path: Path) -> None:
    """Control, bidirectional, invisible and line characters of headers and file names are escapes in messages."""
    problems = [
        *told(tmp_path, f"a{letter}b,c\n1,s3:/x\n", f"s{letter}.csv"),
        *told(tmp_path, f"a{letter}b,c\n1,x\n", f"s{letter}.csv", parameters={"x": f"{{d{letter}e}}"}),
        *told(tmp_path, f"a{letter}b,c\n1,s3:/x\n", f"s{letter}.csv", run_setting_id="{c}"),
        *told(tmp_path, f"a\n1,2\n#{letter},2\n", f"s{letter}.csv"),
        *told(tmp_path, f"id\n{letter}", f"s{letter}.yml"),
    ]

    assert not [problem for problem in problems if letter in problem]
