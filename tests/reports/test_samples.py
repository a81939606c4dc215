"""The table of samples: complete where it can be, bounded always."""

from __future__ import annotations

import random

from airflow_provider_omics.reports import samples
from airflow_provider_omics.reports.html import render
from tests.reports.cohorts import failed, page_of, record
from tests.reports.markup import packed_rows, parsed


def test_every_sample_is_there_for_the_script() -> None:
    """Beyond the rows of the page the script has all of them, failures first, over several chunks."""
    lines = [failed(number) if number % 1000 == 0 else record(number) for number in range(4_500)]

    page = page_of(lines)
    rows = packed_rows(parsed(render(page)))

    assert len(page.samples.chunks) == 4  # one of failures, three of the others
    assert len(page.samples.first) == samples.FIRST_ROWS
    assert [row["sample"] for row in rows[:6]] == ["S0000", "S1000", "S2000", "S3000", "S4000", "S0001"]
    assert {row["sample"] for row in rows} == {line["run_setting_id"] for line in lines}
    assert "500 of 4,500 samples are shown, those that failed first." in parsed(render(page)).one("p", id="shown").text


def test_a_column_that_comes_late() -> None:
    """Rows before a new column of the sheet have nothing in it, in the page and for the script."""
    page = page_of([record(1, row={"sex": "F"}), record(2, row={"age": 4, "sex": None})])

    assert page.samples.columns == ("sex", "age")
    assert [row["kept"] for row in packed_rows(parsed(render(page)))] == [["F"], ["", "4"]]


def test_100_000_samples_stay_small() -> None:
    """A cohort of the largest size, with ids, outputs and columns of usual length, is a page below 5 MB."""
    chance = random.Random(1)
    shapes = [failed(0), *(record(number) for number in range(1, 100))]
    lines = [
        {
            **shapes[number % 100],
            "run_setting_id": f"{chance.randrange(16**8):08x}-NA{number}",
            "run_id": str(1_000_000 + number),
            "output_uri": f"s3://omics-results/outputs/{1_000_000 + number}",
            "row": {"sex": chance.choice("FM"), "family": f"FAM{number // 3}"},
        }
        for number in range(100_000)
    ]

    page = page_of(lines)

    assert page.samples.packed == page.samples.total == 100_000
    assert len(render(page).encode()) < 5_000_000


def test_a_table_that_cannot_be_packed_is_cut() -> None:
    """With texts that no packing makes small the page says what it leaves out, and has the failures."""
    chance = random.Random(1)
    lines = [
        record(number, row={f"c{column}": f"{chance.getrandbits(780):x}" for column in range(5)})
        for number in range(12_000)
    ]

    page = page_of([*lines, failed(99_999)])
    html = render(page)

    assert page.samples.packed < page.samples.total == 12_001
    assert packed_rows(parsed(html))[0]["sample"] == "S99999"
    assert f"{page.samples.total - page.samples.packed:,} samples would make this page too large" in html
    assert len(html.encode()) < 5_000_000


def test_long_texts_are_cut() -> None:
    """A cell is a cell: longer texts end in dots; an address stays whole."""
    uri = f"s3://omics-results/{'x' * 300}"

    (row,) = page_of([record(1, row={"note": "y" * 300}, output_uri=uri)]).samples.first

    assert row.kept == ("y" * 197 + "...",)
    assert row.output_uri == uri
