"""What the page of a cohort says."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core.batch.verdict import BatchCounts, Tolerance, judge
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.failure.diagnosis import FailedTask, RunDiagnosis
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.reports.html import render
from tests.reports.cohorts import BEGAN, failed, page_of, record
from tests.reports.markup import packed_rows, parsed

MIXED = [
    record(1),
    failed(2),
    record(3, "NOT_SUBMITTED", cause="VALIDATION_EXCEPTION", failure_reason="VALIDATION_EXCEPTION"),
    record(4, "CANCELLED", cause="CANCELLED"),
    record(5, "UNKNOWN", cause="UNKNOWN"),
    failed(6),
]


@pytest.mark.parametrize(
    ("records", "tolerance", "state", "sentence"),
    [
        ([record(1)], Tolerance(), "succeeded", "The task succeeded."),
        (
            [record(1), failed(2)],
            Tolerance(),
            "failed",
            "The task failed: 1 did not complete, and no failure is tolerated.",
        ),
        (
            [record(1), failed(2)],
            Tolerance(max_failed_runs=1),
            "succeeded",
            "The task succeeded: 1 did not complete, and up to 1 may fail.",
        ),
        (
            [failed(1), failed(2)],
            Tolerance(max_failed_percent=50),
            "failed",
            "The task failed: 2 did not complete, and at most 1 may fail.",
        ),
        (
            [record(1), failed(2)],
            Tolerance(1, None, ("S0002",)),
            "failed",
            "The task failed: S0002 must succeed, and did not.",
        ),
    ],
)
def test_verdict(records: list[dict[str, Any]], tolerance: Tolerance, state: str, sentence: str) -> None:
    """The verdict and its tolerance are one sentence, and the state stands beside the heading."""
    bad = [line["run_setting_id"] for line in records if line["status"] != "COMPLETED"]
    counts = BatchCounts.of_statuses({"COMPLETED": len(records) - len(bad), "FAILED": len(bad)})

    page = page_of(records, verdict=judge(counts, tolerance, bad))

    assert (page.state, page.verdict) == (state, sentence)
    assert page.headline == f"{len(records) - len(bad)} of {len(records)} sample{'s'[: len(records) > 1]} completed"


def test_counts() -> None:
    """Every state that has samples has its number, and its part of the bar; together they fill it."""
    counts = {count.kind: count for count in page_of(MIXED).counts}

    assert {kind: count.number for kind, count in counts.items()} == {
        "completed": 1,
        "failed": 2,
        "unsubmitted": 1,
        "cancelled": 1,
        "unknown": 1,
    }
    assert sum(count.width for count in counts.values()) == pytest.approx(100, abs=0.1)
    assert counts["failed"].x == pytest.approx(100 / 6, abs=0.01)


def test_one_of_very_many_is_seen() -> None:
    """One sample of 100,000 that failed has a part of the bar that the eye can find, and within the bar."""
    counts = BatchCounts.of_statuses({"COMPLETED": 99_999, "FAILED": 1})

    _, bad = page_of([failed(1)], counts=counts, verdict=judge(counts, Tolerance())).counts

    assert bad.width == 0.5
    assert bad.x + bad.width <= 100


def test_going() -> None:
    """While the batch is going the page says how far it is, and how long it takes at the pace so far."""
    counts = BatchCounts(10, 3, 0, 0, 0, 0)
    records = [record(1), record(2), record(3), record(4, "RUNNING", stopped_at=None, output_uri=None)]

    page = page_of(records, counts=counts, verdict=None, going={"running": 2, "pending": 5})

    assert page.state == "running"
    assert [(count.words, count.number) for count in page.counts] == [
        ("completed", 3),
        ("running", 2),
        ("pending", 5),
    ]
    # Five wait for two places, an hour each, and those that run have half an hour left on average.
    assert page.progress == (
        "3 of 10 have ended; about 3 h 0 min more, if 2 run at a time for 1 h 0 min each, the median so far."
    )
    assert page.groups == ()


def test_nothing_has_ended() -> None:
    """Without records there is a page: counts, and no estimate."""
    page = page_of([], counts=BatchCounts(10, 0, 0, 0, 0, 0), verdict=None)

    assert page.progress == "0 of 10 have ended."
    assert [(count.words, count.number) for count in page.counts] == [("not ended", 10)]
    assert "0 of 10 samples completed" in parsed(render(page)).one("h1").text


def test_causes() -> None:
    """The largest cause comes first, with AWS's words, whose move it is, what to do, and links to the runs."""
    records = [record(1), failed(2, "INPUT_URI_NOT_FOUND"), failed(3), failed(4)]

    first, second = page_of(records).groups

    assert (first.cause, first.count, first.message) == ("OUT_OF_MEMORY_ERROR in ALIGN", 2, "exit 137")
    assert (first.owner, first.failure_class) == ("pipeline author", "sizing")
    assert "memory" in first.action
    assert [(link.words, link.url) for link in first.samples] == [
        (f"S{n:04}", f"https://console.aws.amazon.com/omics/home?region=us-east-1#/runs/{1_000_000 + n}")
        for n in (3, 4)
    ]
    assert (second.cause, second.owner) == ("INPUT_URI_NOT_FOUND", "data owner")


def test_log_of_the_failed_task() -> None:
    """Where the failed task of a sample was looked up, its log is one click away from the cause."""
    run = RunSnapshot("1000002", "FAILED", log_level="ALL")
    found = RunDiagnosis(run, "us-east-1", (FailedTask("77", "ALIGN"),))
    diagnosis = BatchDiagnosis("2000001", 2, 2, (), {"S0002": found}, "")

    (group,) = page_of([failed(2), failed(3)], diagnosis=diagnosis).groups

    assert [log.words for log in group.logs] == ["log of ALIGN of S0002"]
    assert str(group.logs[0].url).endswith("/log-events/run%2F1000002%2Ftask%2F77")


def test_many_causes_are_bounded() -> None:
    """More causes than anybody reads are counted."""
    records = [failed(number, f"CODE_{'x' * (number % 40 + 1)}") for number in range(80)]

    page = page_of(records)

    assert len(page.groups) == 30
    assert page.more_groups == (10, 20)
    assert "10 more causes, of 20 samples" in parsed(render(page)).one("main").text


def test_table_shows_failures_first() -> None:
    """Failures come first, in the table of the page and for the script, each with all that is known."""
    records = [record(1, row={"sex": "F"}), failed(2, row={"sex": "M"})]

    page = parsed(render(page_of(records)))
    lines = page.one("table", id="table").one("tbody").all("tr")
    rows = [[cell.text for cell in line.children if not isinstance(cell, str)] for line in lines]

    assert rows == [
        ["S0002", "failed", "OUT_OF_MEMORY_ERROR in ALIGN", "1", "12 min", "1 h 0 min", "1000002 log", "", "M"],
        [
            "S0001",
            "completed",
            "",
            "1",
            "11 min",
            "1 h 0 min",
            "1000001 log",
            "s3://omics-results/outputs/1000001",
            "F",
        ],
    ]
    assert [(row["sample"], row["cause"], row["ran"], row["kept"]) for row in packed_rows(page)] == [
        ("S0002", "OUT_OF_MEMORY_ERROR in ALIGN", 3600, ["M"]),
        ("S0001", None, 3600, ["F"]),
    ]


def test_cause_of_the_table_is_that_of_its_group() -> None:
    """The button of a cause filters the table by it, so the two are the same text, whatever the record has."""
    records = [
        failed(1),
        failed(2, cause="", failure_reason="ECR_PERMISSION_ERROR"),
        failed(3, cause="", failure_reason=None),
        record(4, "UNKNOWN", cause=None),
        record(5, "NOT_SUBMITTED", cause=None, failure_reason="THROTTLED"),
    ]

    page = page_of(records)

    assert {row.cause for row in page.samples.first} == {group.cause for group in page.groups}


def test_what_has_left_the_sheet_does_not_count() -> None:
    """A sample whose row was removed is in the file, and on no list of the page."""
    page = page_of([record(1), record(2, "REMOVED", status_before_removal="FAILED")])

    assert page.removed == 1
    assert page.samples.total == 1
    assert "1 more have left the sheet" in parsed(render(page)).one("main").text


def test_masked() -> None:
    """Where parameters are masked no message is shown, as AWS puts values into them; ids and codes stay."""
    records = [failed(1, message="the value 1950-01-01 of born is no number")]

    shown, masked = render(page_of(records)), render(page_of(records, masks=True))

    assert "1950-01-01" in shown
    assert "1950-01-01" not in masked
    assert "OUT_OF_MEMORY_ERROR" in masked
    assert "mask_parameters" in parsed(masked).one("footer").text


def test_no_value_of_a_parameter() -> None:
    """Parameters are counted; their values are on no page."""
    html = render(page_of([record(1)]))

    assert "GRCh38" not in html
    assert "2 parameters" in html


def test_provenance() -> None:
    """Each kind has its values; where there are several, each says for how many samples."""
    records = [record(1), record(2), record(3, batch_id="2000002", workflow_digest="sha256:ab")]

    facts = {fact.name: [value.words for value in fact.values] for fact in page_of(records, attempts=2).provenance}

    assert facts["workflow"] == ["1234567"]
    assert facts["batch"] == ["2000001 (2 of 3 samples)", "2000002 (1 of 3 samples)"]
    assert facts["digest"] == ["sha256:ab"]
    assert facts["attempts"] == ["2"]


def test_cost() -> None:
    """Costs are shown where the records have them, with what they do not hold; nowhere else."""
    priced = [record(1, cost_usd=2.5), failed(2, cost_usd=1.25), record(3, cost_usd=None)]

    assert page_of([record(1)]).cost == ()
    assert page_of(priced).cost == (
        "3.75 USD for 2 of 3 runs of 3 samples",
        "The cost of 1 runs is not known, and in no sum",
        "1.25 USD went into 1 runs that failed for OUT_OF_MEMORY_ERROR in ALIGN",
        "By prices; without CloudWatch Logs, S3, data transfer",
    )
    assert [row["cost"] for row in packed_rows(parsed(render(page_of(priced))))] == [1.25, 2.5, None]


def test_stragglers() -> None:
    """Runs that took twice the median are named."""
    late = record(9, stopped_at=BEGAN.replace(hour=23).isoformat())

    page = page_of([*(record(number) for number in range(5)), late])

    assert [run.words for run in page.stragglers] == ["S0009 (10 h 41 min)"]
    assert page_of([record(number) for number in range(5)]).stragglers == ()


@pytest.mark.parametrize("extra", [{"cost_usd": "free"}, {"started_at": "soon"}, {"row": None}, {"run_arn": "arn:x"}])
def test_other_versions_of_a_record(extra: dict[str, Any]) -> None:
    """Members of another version, or of another form, spoil no page."""
    html = render(page_of([{**record(1), **extra}]))

    assert "S0001" in html
