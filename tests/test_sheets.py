"""Reading sheets: their formats, and what is wrong in a file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet, table

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.sheets.formats import Dress, rows_of
from airflow_provider_omics.sheets.read import open_rows, run_settings_from_sheet

DATA = Path(__file__).parent / "data"
LINES = "id,x\nA,1\nB,2\n"
# Without the present time in them: parameters are part of the names of tests, which all processes must agree on.
PACKED_LINES, EMPTY_PACK = gzip.compress(LINES.encode(), mtime=0), gzip.compress(b"", mtime=0)
ROWS = [(2, {"id": "A", "x": "1"}), (3, {"id": "B", "x": "2"})]
# How long one example takes says nothing on a machine that others use too.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rows_in(content: bytes, folder: Path, name: str = "s.csv", **dress: Any) -> list[Any]:
    """Write a file and read its rows and problems; problems as text."""
    path = folder / name
    path.write_bytes(content)
    with open_rows(str(path), Dress(**dress)) as rows:
        return [str(row) if isinstance(row, Problem) else row for row in rows.rows]


def stream_of(content: bytes) -> io.BufferedReader[Any]:
    """Give bytes as the stream that a file would be, unpacked."""
    stream: Any = io.BytesIO(content)
    return io.BufferedReader(gzip.GzipFile(fileobj=stream) if content.startswith(b"\x1f\x8b") else stream)


# Formats


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", LINES),
        ("s.CSV", LINES),
        ("s", LINES),
        ("s.csv", LINES.replace("\n", "\r\n")),
        ("s.csv", LINES.replace("\n", "\r")),
        ("s.csv", LINES.rstrip("\n")),
        ("s.csv", "\ufeff" + LINES),
        ("s.csv", LINES.replace(",", ";")),
        ("s.txt", LINES.replace(",", ";")),
        ("s.txt", LINES.replace(",", "|")),
        ("s.txt", LINES.replace(",", "\t")),
        ("s.csv", LINES.replace(",", "\t")),
        ("s.tsv", LINES.replace(",", "\t")),
        ("s.tab", LINES.replace(",", "\t")),
        ("s.csv", '"id","x"\n"A","1"\n"B","2"\n'),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_text_is_read_in_every_dress(name: str, content: str, packed: bool, tmp_path: Path) -> None:
    """Delimiter, line ends, BOM, quotes and gzip make no difference; gzip is told by its bytes, not by its name."""
    data = gzip.compress(content.encode()) if packed else content.encode()

    assert rows_in(data, tmp_path, name) == ROWS
    assert not packed or rows_in(data, tmp_path, f"{name}.gz") == ROWS


@pytest.mark.parametrize(
    ("name", "content", "delimiter", "rows"),
    [
        ("s.csv", "id;x,y\nA;1,2\n", ";", [(2, {"id": "A", "x,y": "1,2"})]),
        ("s.tsv", "id,x\nA,1\n", ",", [(2, {"id": "A", "x": "1"})]),
        ("s.jsonl", "id^x\nA^1\n", "^", [(2, {"id": "A", "x": "1"})]),
        ("s.csv", "id;x,y;z\nA;1,2;3\n", None, [(2, {"id": "A", "x,y": "1,2", "z": "3"})]),
        (
            "s.csv",
            "id,note; why\nA,x\nB,y\n",
            None,
            [(2, {"id": "A", "note; why": "x"}), (3, {"id": "B", "note; why": "y"})],
        ),
        ("s.txt", '"a;b;c",x\nA,1\n', None, [(2, {"a;b;c": "A", "x": "1"})]),
        ("s.csv", 'id\n"A;1"\n', None, [(2, {"id": "A;1"})]),
        ("s.csv", "Sample name\nHG001\n", None, [(2, {"Sample name": "HG001"})]),
        ("s.csv", "name\nJane Roe\n", None, [(2, {"name": "Jane Roe"})]),
        ("s.tsv", "id,x\nA,1\n", None, [(2, {"id": "A", "x": "1"})]),
        ("s.tsv", "id\tx,y\tz\nA\t1,2\t3\n", None, [(2, {"id": "A", "x,y": "1,2", "z": "3"})]),
    ],
)
def test_the_delimiter_is_told_or_known(
    name: str, content: str, delimiter: str | None, rows: Any, tmp_path: Path
) -> None:
    """A given delimiter wins; else the one that fits all lines, whatever the name; quoted text does not count."""
    assert rows_in(content.encode(), tmp_path, name, delimiter=delimiter) == rows


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """A row has the number of the line where it begins; lines without content count, and are skipped."""
    content = '\n\r\nid,x\n\nA,"1\n1"\n,\n  , \nB,2\n\n'

    assert rows_in(content.encode(), tmp_path) == [(5, {"id": "A", "x": "1\n1"}), (9, {"id": "B", "x": "2"})]


def test_line_breaks_in_cells_stay_as_they_are(tmp_path: Path) -> None:
    """A quoted cell keeps each of its line ends, whatever the line ends of the sheet."""
    content = b'id,x\r\nA,"1\r2\r\n3\n4"\r\n'

    assert rows_in(content, tmp_path) == [(2, {"id": "A", "x": "1\r2\r\n3\n4"})]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["s.jsonl", "s.ndjson", "s.json", "s"])
def test_json_lines_are_read(name: str, packed: bool, tmp_path: Path) -> None:
    """Each line is an object with its own keys and types."""
    content = b'{"id": "A", "n": 1.50, "l": [1, {"a": null}]}\r\n\n{"id": "\xc3\xa4"}\n'

    assert rows_in(gzip.compress(content) if packed else content, tmp_path, name) == [
        (1, {"id": "A", "n": 1.5, "l": [1, {"a": None}]}),
        (3, {"id": "ä"}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("s.csv", b"id,x\nA,1,2\nB,2\nC\n", ["s.csv line 2 = 3 cells: 2, as in the first line; a cell with ',' in it"]),
        ("s.csv", b"id,x\nA,1\nC\n", ["s.csv line 3 = 1 cell: 2, as in the first line"]),
        ("s.csv", b'id,x\n"A\n",1\nB\n', ["s.csv line 4 = 1 cell"]),
        ("s.csv", b"id,x\nA,1\nB,M\xfcller\n", ["s.csv line 3 column x = byte 0xfc: UTF-8; save the sheet in it"]),
        ("s.csv", b"id,x\n\xff,\xfe\n", ["s.csv line 2 column id = byte 0xff", "s.csv line 2 column x = byte 0xfe"]),
        ("s.csv", b'id,x\nA,"1" 2\nB,1\n', ["s.csv line 2 = not readable as CSV: ',' expected after '\"'"]),
        ("s.csv", b'id,x\nA,1\nB,"1\n', ["s.csv line 3 = not readable as CSV: unexpected end of data"]),
        ("s.csv", b"id,x\nA," + b"x" * 140_000, ["s.csv line 2 = not readable as CSV: field larger than field limit"]),
        ("s.jsonl", b'{"a": 1}\n[1]\n', ["s.jsonl line 2 = list: one JSON object in each line"]),
        ("s.jsonl", b'{"a": 1}\n{"a"\n', ["s.jsonl line 2 = not JSON: one JSON object in each line: Expecting"]),
        ("s.jsonl", b'{"a": NaN}\n', ["s.jsonl line 1 = not JSON: one JSON object in each line: NaN is no JSON"]),
        ("s.jsonl", b'{"a": "\xfc"}\n', ["s.jsonl line 1 = byte 0xfc"]),
        ("s.jsonl", b'{"a": ' + b"[" * 100_000 + b"\n", ["s.jsonl line 1 = not JSON"]),
        ("s.csv.gz", gzip.compress(b"id\n" + b"A\n" * 100_000, mtime=0)[:-20], ["s.csv.gz after line"]),
    ],
)
def test_a_bad_row_is_a_problem_among_the_rows(name: str, content: bytes, told: list[str], tmp_path: Path) -> None:
    """Ragged rows, bytes that are no UTF-8, broken quotes, JSON and gzip are told by line, and reading goes on."""
    problems = [row for row in rows_in(content, tmp_path, name) if isinstance(row, str)]

    assert len(problems) >= len(told)
    assert all(problem.startswith(start) for problem, start in zip(problems, told, strict=False))


def test_a_null_byte_is_no_text(tmp_path: Path) -> None:
    """Python 3.10 cannot read it, later ones can: it is refused in all of them, with its line."""
    (problem,) = (row for row in rows_in(b"id,x\nA,1\nB,\0\n", tmp_path) if isinstance(row, str))

    assert problem.startswith("s.csv line 3")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "s.csv",
            b"id,x,id\nA,1,2\n",
            "s.csv line 1 column number 3 = 'id': names that differ; column number 1 has this",
        ),
        ("s.csv", b"id,\xe4\n", "s.csv line 1 column number 2 = byte 0xe4: UTF-8"),
        ("s.csv", b'"id,x\n', "s.csv line 1 = not readable as CSV"),
        ("s.json", b'[{"id": "A"}]', "s.json = a JSON array: one JSON object in each line"),
        ("s", b"[\n]", "s = a JSON array"),
        ("s.csv", "id,x\n".encode("utf-16"), "s.csv = text in UTF-16: save it as UTF-8"),
        ("s.xlsx", b"PK\x03\x04...", "s.xlsx = an Excel workbook or a zip archive: save the sheet as CSV"),
        ("s.csv.bz2", b"BZh9...", "s.csv.bz2 = compressed with bzip2: use gzip"),
        ("s.csv.gz", PACKED_LINES[:12], "s.csv.gz = damaged: a whole gzip file"),
        ("s.csv.gz", PACKED_LINES[:-8] + b"\0" * 8, "s.csv.gz = damaged: a whole gzip file: CRC"),
        ("s.gz", b"\x1f\x8bnothing", "s.gz = damaged: a whole gzip file"),
    ],
)
def test_a_file_that_is_no_sheet_is_refused(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    """What cannot be read at all is an error at once, which says what to do."""
    with pytest.raises(SettingsError) as refused:
        rows_in(content, tmp_path, name)

    assert told in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\n\r\n", b"\xef\xbb\xbf", EMPTY_PACK, b"id,x\n", b"id,x\n\n,\n"])
def test_an_empty_sheet_is_refused(content: bytes, tmp_path: Path) -> None:
    """A sheet without rows makes no batch."""
    (tmp_path / "s.csv").write_bytes(content)

    with pytest.raises(SettingsError, match=r"s\.csv = empty: at least one row"):
        run_settings_from_sheet(str(tmp_path / "s.csv"))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("no/such/sheet.csv", "sheet path = 'no/such/sheet.csv': No such file or directory; a file that can be read"),
        (str(DATA), "Is a directory; a file that can be read here"),
        ("https://host/s.csv", "sheet path = 'https://host/s.csv': a local path, or s3://bucket/key"),
        ("s3://bucket", "sheet path = 's3://bucket': s3://bucket/key of a file"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, told: str) -> None:
    """The error names the path, and what a path may be."""
    with pytest.raises(SettingsError) as refused, open_rows(path):
        pass

    assert told in str(refused.value)


@pytest.mark.parametrize("delimiter", ["", ",,", "\n", '"', 5])
def test_a_delimiter_is_one_character(delimiter: Any) -> None:
    """Anything else is refused by name."""
    with pytest.raises(SettingsError, match=r"sample_sheet\['delimiter'\] = "):
        run_settings_from_sheet({"path": str(DATA / "tumour_normal.csv"), "delimiter": delimiter})


@pytest.mark.parametrize("name", ["s.parquet", "s"])
def test_parquet_keeps_types(name: str, tmp_path: Path) -> None:
    """Numbers stay numbers, dates and decimals become text, rows are counted."""
    import datetime as dt
    from decimal import Decimal

    day = dt.date(2024, 2, 29)
    columns = {"id": ["A", "B"], "n": [1, None], "day": [day, None], "d": [Decimal("1.10"), None], "l": [[1], []]}
    buffer = io.BytesIO()
    parquet.write_table(table(columns), buffer)

    assert rows_in(buffer.getvalue(), tmp_path, name) == [
        (1, {"id": "A", "n": 1, "day": "2024-02-29", "d": "1.10", "l": [1]}),
        (2, {"id": "B", "n": None, "day": None, "d": None, "l": []}),
    ]
    with open_rows(str(tmp_path / name)) as rows:
        assert (rows.unit, rows.columns) == ("row", tuple(columns))


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    """What pyarrow cannot read is a problem of the file."""
    with pytest.raises(SettingsError, match=r"s\.parquet = not readable as Parquet"):
        rows_in(b"PAR1 and nothing else", tmp_path, "s.parquet")


def test_without_pyarrow_parquet_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install, or what to use instead."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.delitem(__import__("sys").modules, "pyarrow.parquet", raising=False)

    with pytest.raises(SettingsError, match="Parquet needs pyarrow, which is not installed here: pip install pyarrow"):
        rows_in(b"PAR1", tmp_path, "s")


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


def shape(row: list[str]) -> list[str]:
    """How a header looks that is written once more."""
    return [cell.strip("\ufeff ").strip().lower() for cell in row]


@UNHURRIED
@given(
    st.lists(CELL.filter(str.strip), min_size=1, max_size=4, unique=True),
    st.data(),
    st.sampled_from(",\t;|"),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_what_is_written_is_read(
    columns: list[str], data: st.DataObject, delimiter: str, end: str, packed: bool
) -> None:
    """Every table survives CSV and gzip, whatever stands in its cells, line breaks and quotes included."""
    cells = st.lists(CELL, min_size=len(columns), max_size=len(columns))
    rows = cells.filter(lambda row: bool("".join(row).strip()) and shape(row) != shape(columns))
    table = data.draw(st.lists(rows, max_size=5))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([columns, *table])
    content = text.getvalue().encode()
    stream = stream_of(gzip.compress(content) if packed else content)
    with rows_of(stream, "s.csv", Dress(delimiter, comment="")) as read:
        found = [row[1] for row in read.rows if isinstance(row, tuple)]

    assert read.columns == tuple(columns)
    assert found == [dict(zip(columns, row, strict=True)) for row in table]


@UNHURRIED
@given(st.binary(max_size=60), st.sampled_from(["s.csv", "s.tsv", "s.jsonl", "s.txt", "s"]))
def test_any_bytes_are_rows_or_problems(content: bytes, name: str) -> None:
    """Whatever the file holds, reading ends with rows and problems, and never with another error."""
    try:
        with rows_of(stream_of(content), name) as read:
            rows = list(read.rows)
    except SettingsError as error:
        rows = list(error.problems)
    for row in rows:
        json.dumps(row) if isinstance(row, tuple) else str(row).encode()


# Rows in memory


def test_rows_in_the_place_of_a_file() -> None:
    """They are mapped as those of JSON Lines; dates and decimal numbers are text, and each row has its own columns."""
    rows = [
        {"sample": "A", "depth": 30, "day": date(2026, 1, 2), "share": Decimal("0.50"), "pair": ["1", "2"]},
        {"sample": "B", "depth": None},
    ]
    mapping = {"depth": "{depth}", "day": "{day}", "share": "{share}", "pair": "{pair}"}

    settings = run_settings_from_sheet({"rows": rows, "run_setting_id": "{sample}", "parameters": mapping})

    assert settings == [
        {
            "runSettingId": "A",
            "parameters": {"depth": 30, "day": "2026-01-02", "share": "0.50", "pair": ["1", "2"]},
        },
        {"runSettingId": "B", "parameters": {}},
    ]


@given(st.lists(st.tuples(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=5))), max_size=6))
def test_rows_are_read_as_json_lines(cells: list[tuple[str, Any]]) -> None:
    """The same rows make the same settings, or the same problems, from memory and from a file."""
    rows = [{"id": name, "value": value} for name, value in cells]

    def outcome(sheet: dict[str, Any]) -> Any:
        try:
            return run_settings_from_sheet({**sheet, "run_setting_id": "{id}"})
        except SettingsError as error:
            return len(error.problems)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        assert outcome({"rows": rows}) == outcome({"path": str(path)})


@pytest.mark.parametrize(
    ("sheet", "told"),
    [
        ({"rows": [{"id": "A"}, "B"]}, "sample_sheet['rows'] row 2"),
        ({"rows": [{"id": "A"}, {7: "B"}]}, "sample_sheet['rows'] row 2"),
        ({"rows": [{"id": "A"}, {"id": "A"}]}, "sample_sheet['rows'] row 2 column id"),
        ({"rows": [{"id": "A", "x": float("nan")}]}, "NaN"),
        ({"rows": [{"id": "A", "x": b"raw"}]}, "bytes"),
        ({"rows": {"id": "A"}}, "sample_sheet['rows']"),
        ({"rows": [{"id": "A"}], "path": "s.csv"}, "sample_sheet['path']"),
        ({"rows": [{"id": "A"}], "delimiter": ";", "comment": "#", "section": "Data"}, "sample_sheet['section']"),
        ({}, "or rows in its place"),
        ({"rows": []}, "at least one row"),
    ],
    ids=str,
)
def test_bad_rows(sheet: dict[str, Any], told: str) -> None:
    """The error names the row, or what cannot stand beside rows."""
    with pytest.raises(SettingsError) as caught:
        run_settings_from_sheet({"run_setting_id": "{id}", "parameters": {"x": "{x}"}, **sheet})

    assert told in str(caught.value)
