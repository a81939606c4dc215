"""The page of a run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_omics.core.cost.usage import RunUsage, TaskUsage
from airflow_provider_omics.core.failure.diagnosis import FailedTask, RunDiagnosis
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.reports.html import render
from airflow_provider_omics.reports.run import RunFacts, RunPage, run_page
from tests.reports.markup import parsed
from tests.reports.test_html import NASTY, script_free

BEGAN = datetime(2026, 6, 22, 12, tzinfo=timezone.utc)


def after(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


RUN = RunSnapshot(
    "1000001",
    "COMPLETED",
    "uuid-1",
    run_output_uri="s3://omics-results/outputs/1000001",
    creation_time=BEGAN,
    start_time=after(5),
    stop_time=after(95),
    workflow_id="1234567",
    digest="sha256:ab",
    log_level="ALL",
)
ALIGN = TaskUsage(
    "11",
    "ALIGN",
    "COMPLETED",
    "omics.m.xlarge",
    after(5),
    after(10),
    after(70),
    vcpus=4,
    vcpus_maximum=3.5,
    memory=16,
    memory_maximum=12.25,
)
SORT = replace(
    ALIGN, task_id="12", name="SORT", status="FAILED", created=after(70), started=after(72), stopped=after(90)
)
CACHED = TaskUsage("13", "INDEX", "COMPLETED", is_cached=True)


def page(run: RunSnapshot = RUN, *tasks: TaskUsage, **members: Any) -> RunPage:
    usage = RunUsage(run.id, run.uuid, "us-east-1", run.status, engine="NEXTFLOW", tasks=tasks)
    return run_page(RunFacts("dag / align", "us-east-1", after(100), run, usage, **members))


@pytest.mark.parametrize(
    ("status", "state", "headline"),
    [
        ("COMPLETED", "succeeded", "Run 1000001 completed"),
        ("FAILED", "failed", "Run 1000001 failed"),
        ("CANCELLED", "failed", "Run 1000001 cancelled"),
        ("RUNNING", "running", "Run 1000001 is going"),
    ],
)
def test_end(status: str, state: str, headline: str) -> None:
    """The heading says how it ended."""
    found = page(replace(RUN, status=status))

    assert (found.state, found.headline) == (state, headline)
    assert found.verdict == "It waited 5 min, and ran 1 h 30 min."


def test_tasks() -> None:
    """Each task has its times, and what it used of what it asked for; those that failed come first."""
    rows = page(RUN, CACHED, ALIGN, SORT).tasks

    assert [(row.name, row.status, row.waited, row.ran, row.vcpus, row.memory) for row in rows] == [
        ("SORT", "FAILED", 120, 1080, "3.5 of 4", "12.2 of 16 GiB"),
        ("ALIGN", "COMPLETED", 300, 3600, "3.5 of 4", "12.2 of 16 GiB"),
        ("INDEX", "CACHED", None, None, "", ""),
    ]
    assert [row.log is not None for row in rows] == [True, True, False]
    assert str(rows[0].log and rows[0].log.url).endswith("run%2F1000001%2Ftask%2F12")


def test_timeline() -> None:
    """Tasks that ran have a bar with their name; what a cache answered has none."""
    picture = page(RUN, CACHED, ALIGN, SORT).picture

    assert picture is not None
    assert [(bar.name, bar.kind) for bar in picture.bars] == [("ALIGN", "completed"), ("SORT", "failed")]
    assert all(bar.label_x is not None for bar in picture.bars)
    assert picture.words == "2 tasks in 1 h 25 min; 1 more came from the run cache."
    assert picture.bars[0].words == "ALIGN: completed, waited 5 min, ran 1 h 0 min; 3.5 of 4 vCPUs, 12.2 of 16 GiB"


def test_without_a_manifest() -> None:
    """A run whose manifest cannot be read has a page without tasks."""
    found = run_page(RunFacts("dag / align", "us-east-1", after(100), RUN))

    assert (found.picture, found.tasks) == (None, ())
    assert "Over time" not in render(found)


def test_logs_are_off() -> None:
    """Without logs there are no links to them."""
    assert "log-events" not in render(page(replace(RUN, log_level="OFF"), ALIGN))


@pytest.mark.parametrize("masks", [False, True])
def test_why(masks: bool) -> None:
    """A failure has its cause, whose move it is, and the end of the log, unless parameters are masked."""
    task = FailedTask("12", "SORT", "OUT_OF_MEMORY_ERROR", "exit 137 of 1950-01-01", log_lines=("born 1950-01-01",))
    run = replace(RUN, status="FAILED", failure_reason="WORKFLOW_RUN_FAILED")

    html = render(page(run, SORT, diagnosis=RunDiagnosis(run, "us-east-1", (task,)), masks=masks))

    assert ("1950-01-01" in html) is not masks
    article = parsed(html).one("article")
    assert article.one("h3").text == "OUT_OF_MEMORY_ERROR in SORT"
    assert "pipeline author" in article.text
    assert len(list(article.all("a"))) == 2


@pytest.mark.parametrize("text", NASTY)
def test_text_stays_text(text: str) -> None:
    """Names of tasks, messages and log lines are text whatever they contain."""
    run = replace(RUN, status="FAILED", status_message=text, workflow_id=text)
    task = FailedTask("12", text, message=text, log_lines=(text,))
    diagnosis = RunDiagnosis(run, "us-east-1", (task,))

    html = render(page(run, replace(ALIGN, name=text), diagnosis=diagnosis, cost=[text]))

    html.encode()
    script_free(parsed(html))
