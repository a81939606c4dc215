"""Whole pages, as they are; ``python -m tests.reports.test_golden`` writes them anew after a change that is meant."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.failure.diagnosis import FailedTask, RunDiagnosis
from airflow_provider_omics.reports.html import render
from tests.reports import test_run
from tests.reports.cohorts import failed, page_of, record

if TYPE_CHECKING:
    from airflow_provider_omics.reports.cohort import CohortPage
    from airflow_provider_omics.reports.run import RunPage

PAGES = Path(__file__).parent / "pages"


def pages() -> dict[str, CohortPage | RunPage]:
    """Make the pages: a cohort that failed, one that is going, and a run that failed."""
    mixed = [record(n, row={"sex": "FM"[n % 2]}) for n in range(6)]
    mixed += [failed(6), failed(7, message="<b>exit 137</b>"), record(8, "NOT_SUBMITTED", cause="THROTTLED")]
    going = [record(0), record(1), record(2, "RUNNING", stopped_at=None, output_uri=None)]
    counts = BatchCounts(10, 2, 0, 0, 0, 0)
    task = FailedTask("12", "SORT", "OUT_OF_MEMORY_ERROR", "exit 137", log_lines=("Killed",))
    run = replace(test_run.RUN, status="FAILED", failure_reason="WORKFLOW_RUN_FAILED")
    diagnosis = RunDiagnosis(run, "us-east-1", (task,))
    return {
        "cohort_failed": page_of(mixed, attempts=2, carried_forward=3),
        "cohort_going": page_of(going, counts=counts, verdict=None, going={"running": 3, "waiting": 5}),
        "run_failed": test_run.page(run, test_run.CACHED, test_run.ALIGN, test_run.SORT, diagnosis=diagnosis),
    }


def shown(page: CohortPage | RunPage) -> str:
    """Render a page without its style and script, which are files, and without packed rows, which other tests read."""
    html = render(page)
    html = re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", html, flags=re.DOTALL)
    html = re.sub(r"'sha256-[^']*'", "'sha256-'", html.replace("&#39;", "'"))
    return re.sub(r'(<script type="text/plain" class="rows">).*?(?=</script>)', r"\1", html)


@pytest.mark.parametrize("name", ["cohort_failed", "cohort_going", "run_failed"])
def test_golden(name: str) -> None:
    """The page is the one that was looked at."""
    assert shown(pages()[name]) == (PAGES / f"{name}.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for name, page in pages().items():
        (PAGES / f"{name}.html").write_text(shown(page), encoding="utf-8")
