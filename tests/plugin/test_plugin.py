"""The page of a cohort in Airflow's UI, but for Airflow: its routes are tried in a running one, in ``tests/page``."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import threading
from dataclasses import replace
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics import plugin
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.links.omics import (
    OmicsCohortReportLink,
    OmicsResultsFileLink,
    OmicsRunBatchLink,
    OmicsRunLink,
    OmicsRunReportLink,
)
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.plugin import OmicsPlugin, cohort
from airflow_provider_omics.plugin.cohort import Recorded, SharedPages, cohort_html
from airflow_provider_omics.reports.cohort import going
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, TaskInstanceRecord, perform, samples
from tests.reports.markup import parsed

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

in_steps = pytest.mark.usefixtures("stepped")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has pages of its own."""
    monkeypatch.setattr(cohort, "_PAGES", SharedPages())


def recorded(*, waits: bool = True) -> Recorded:
    """Run a task, and take what it has recorded."""
    task = OmicsStartRunBatchOperator(
        task_id="wgs",
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=samples("S1", "S2"),
        results_s3_uri=f"s3://{BUCKET}/wgs.jsonl.gz",
        wait_for_completion=waits,
    )
    xcoms = perform(task).xcoms
    return Recorded("dag / wgs", xcoms.get(OmicsRunBatchLink.key), xcoms.get(OmicsCohortReportLink.key))


def test_every_process_loads_little() -> None:
    """The module that all of Airflow's processes import loads neither FastAPI nor anything else of ours."""
    program = (
        "import sys, airflow.providers.common.compat.sdk as sdk; sdk.AirflowPlugin, sdk.conf; before = {*sys.modules};"
        "import airflow_provider_omics.plugin; print('LOADED', *sorted({*sys.modules} - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    loaded = {*done.stdout.rpartition("LOADED")[2].split()} - {"airflow_provider_omics"}
    assert loaded == {"airflow_provider_omics.plugin"}


def test_entry_point() -> None:
    """The plugin is that of the entry point."""
    entries = distribution("airflow-provider-omics").entry_points.select(group="airflow.plugins")

    assert [entry.load() for entry in entries] == [OmicsPlugin]


@pytest.mark.parametrize(
    ("address", "href"),
    [
        ("", "/omics/tab/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}"),
        ("http://localhost:8080", "/omics/tab/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}"),
        ("https://company.org/air/flow/", "/air/flow/omics/tab/{DAG_ID}/{RUN_ID}/{TASK_ID}/{MAP_INDEX}"),
    ],
)
def test_behind_a_path(monkeypatch: pytest.MonkeyPatch, address: str, href: str) -> None:
    """Where Airflow's address has a path the tab's has it, too."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", address)

    loaded = runpy.run_path(plugin.__file__)["OmicsPlugin"]

    assert loaded.external_views[0]["href"] == href


@in_steps
def test_ended(emulator: OmicsEmulator) -> None:
    """Once the batch has ended the tab is the page beside the results."""
    stored = emulator.client("s3")
    known = recorded()

    html = cohort_html(known)

    assert html == stored.get_object(Bucket=BUCKET, Key="wgs/report.html")["Body"].read().decode()


@in_steps
def test_going(emulator: OmicsEmulator) -> None:
    """While the batch is going the tab has its counts, and loads itself anew; AWS is asked once for all viewers."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S2"}, "running": 90_000}]})
    known = recorded(waits=False)
    emulator.advance(30_000)
    emulator.calls.clear()

    pages = [cohort_html(known) for _ in range(3)]

    page = parsed(pages[0])
    assert page.one("h1").text == "1 of 2 samples completed running"
    assert page.one("p", class_="progress").text == "1 of 2 have ended."
    assert page.one("html").attributes["data-reload-after"] == "30"
    assert set(pages) == {pages[0]}
    assert emulator.calls.by_operation() == {"GetBatch": 1}


@in_steps
def test_going_with_results(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Once a stretch of the wait was collected, the samples are there as well: counts of now, samples as of then."""
    waves = {"A?": 3_000, "B?": 9_000, "C?": 90_000}
    rules = [{"match": {"run_setting_id": name}, "running": seconds} for name, seconds in waves.items()]
    failing = {"match": {"run_setting_id": "A1"}, "outcome": "FAILED", "running": 3_000}
    emulator.set_scenario({"runs": [failing, *rules]})
    instance = TaskInstanceRecord(task_id="wgs")
    pages: list[str] = []

    def look() -> None:
        xcoms = instance.xcoms
        if not pages and OmicsResultsFileLink.key in xcoms:
            emulator.advance(6_000)
            links = {"batch": OmicsRunBatchLink, "report": OmicsCohortReportLink, "results": OmicsResultsFileLink}
            values = {name: xcoms[link.key] for name, link in links.items()}
            pages.append(cohort_html(Recorded("dag / wgs", **values, is_going=True)))

    stepped.at_sleep = look
    task = OmicsStartRunBatchOperator(
        task_id="wgs",
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=samples("A1", "A2", "B1", "B2", "C1", "C2"),
        results_s3_uri=f"s3://{BUCKET}/wgs.jsonl.gz",
        collect_every=1_200,
        poll_interval=600,
        max_failed_runs=1,
    )

    ended = perform(task, ti=instance)

    page = parsed(pages[0])
    assert ended.error is None
    assert page.one("h1").text == "3 of 6 samples completed running"
    assert page.one("h2", id="why").text == "Why they failed"
    rows = [row.all("td") for row in page.one("table", id="table").one("tbody").all("tr")]
    assert [next(iter(cells)).text for cells in rows] == ["failed", "completed", *["running"] * 4]
    assert page.one("html").attributes["data-reload-after"] == "30"
    judged = Recorded("dag / wgs", report=instance.xcoms[OmicsCohortReportLink.key])
    assert parsed(cohort_html(judged)).one("h1").text == "5 of 6 samples completed succeeded"
    assert instance.xcoms[OmicsResultsFileLink.key]["carried"] == {"COMPLETED": 0}


@in_steps
def test_earlier_attempts_count(emulator: OmicsEmulator) -> None:
    """What earlier attempts have left counts, and messages are hidden unless the task says that they may be seen."""
    known = recorded(waits=False)
    emulator.advance(30_000)
    place = {**(known.batch or {}), "uri": f"s3://{BUCKET}/nothing.jsonl.gz"}
    results = {**place, "carried": {"COMPLETED": 3, "FAILED": 1}}

    page = parsed(cohort_html(replace(known, results=results, is_going=True)))

    assert page.one("h1").text.startswith("5 of 6 samples completed")
    assert "are hidden" in page.one("footer").text


@pytest.mark.parametrize("has_place", [True, False])
@in_steps
def test_run(emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect, has_place: bool) -> None:
    """A single run has its tasks over time: as HealthOmics lists them while it goes, then as its report has them."""
    if has_place:
        connect(service_config={"omics": {"results_s3_uri": f"s3://{BUCKET}/results/"}})
    tasks = [{"name": "FASTQC", "duration": 600}, {"name": "ALIGN", "duration": 6_000}]
    emulator.set_scenario({"runs": [{"running": 9_000, "tasks": tasks}]})
    instance = TaskInstanceRecord(task_id="align")
    pages: list[str] = []

    def seen(*, is_going: bool) -> str:
        links = {"run": OmicsRunLink, "report": OmicsRunReportLink}
        values = {name: instance.xcoms.get(link.key) for name, link in links.items()}
        return cohort_html(Recorded("dag / align", **values, is_going=is_going))

    def look() -> None:
        if not pages and OmicsRunLink.key in instance.xcoms:
            emulator.advance(2_000)
            pages.append(seen(is_going=True))

    stepped.at_sleep = look
    ended = perform(OmicsStartRunOperator(task_id="align", **RUN), ti=instance)
    emulator.advance(100)
    page, last = parsed(pages[0]), parsed(seen(is_going=False))

    assert ended.error is None
    assert page.one("h1").text.endswith("is going running")
    assert page.one("h2", id="time").text == "Over time"
    rows = page.one("section", **{"aria-labelledby": "tasks"}).one("tbody").all("tr")
    assert {row.one("th").text: next(iter(row.all("td"))).text for row in rows} == {
        "FASTQC": "completed",
        "ALIGN": "running",
    }
    assert page.one("html").attributes["data-reload-after"] == "30"
    assert last.one("h1").text.endswith("completed succeeded")
    assert last.one("h2", id="tasks").text == "Tasks"
    assert "data-reload-after" not in last.one("html").attributes
    assert ("Settings in effect" in last.one("main").text) is has_place  # the stored page knows more


@in_steps
def test_ended_and_not_judged(emulator: OmicsEmulator) -> None:
    """A batch that no task waits for has its counts at its end, and no verdict."""
    known = recorded(waits=False)
    emulator.advance(100_000)

    page = parsed(cohort_html(known))

    assert page.one("h1").text == "2 of 2 samples completed ended"
    assert "data-reload-after" not in page.one("html").attributes


def test_other_tasks() -> None:
    """A task that has started no run and no batch has one line, and AWS is not asked."""
    page = parsed(cohort_html(Recorded("<b>dag</b> / task")))

    assert page.one("h1").text == "<b>dag</b> / task"
    assert page.one("main").one("p").text == "This task has started no run and no batch of AWS HealthOmics."
    assert not list(page.all("meta", **{"http-equiv": "refresh"}))


def test_not_started_yet() -> None:
    """A task that goes on may start a batch any moment: the line loads itself anew until it has."""
    page = parsed(cohort_html(Recorded("dag / task", is_going=True)))

    assert page.one("meta", **{"http-equiv": "refresh"}).attributes["content"] == "30"


@in_steps
def test_what_is_missing(emulator: OmicsEmulator) -> None:
    """Without access to the results the tab says in a sentence what is missing."""
    known = recorded()
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    emulator.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)

    sentence = parsed(cohort_html(known)).one("main").one("p").text

    assert sentence.startswith("The cohort cannot be shown here: ")
    assert f"s3://{BUCKET}/wgs/report.html" in sentence


@in_steps
def test_batch_is_gone(emulator: OmicsEmulator) -> None:
    """A batch whose record was deleted is a sentence."""
    known = recorded(waits=False)
    gone: dict[str, Any] = {**(known.batch or {}), "batch_id": "9999999"}

    assert "The cohort cannot be shown here" in cohort_html(Recorded(known.title, gone))


def test_viewers_wait_for_one_answer() -> None:
    """Viewers who come while a page is being made get that page; another page is not held up."""
    pages, entered, finish = SharedPages(), threading.Event(), threading.Event()
    made: list[str] = []

    def slow() -> str:
        entered.set()
        finish.wait(30)
        made.append("slow")
        return "page"

    answers: list[str] = []
    viewers = [threading.Thread(target=lambda: answers.append(pages.get("a", slow))) for _ in range(3)]
    for viewer in viewers:
        viewer.start()
    entered.wait(30)
    assert pages.get("b", lambda: "another") == "another"
    finish.set()
    for viewer in viewers:
        viewer.join()

    assert (answers, made) == (["page"] * 3, ["slow"])


def test_costly_pages_are_kept_longer(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that takes long to make is made less often: others need the server, too."""
    monkeypatch.setattr(cohort, "time", stepped)
    pages = SharedPages()

    def slow() -> str:
        emulator.advance(10)
        return "slow"

    assert pages.get("a", slow) == "slow"
    emulator.advance(190)
    assert pages.get("a", lambda: "made anew") == "slow"
    emulator.advance(20)
    assert pages.get("a", lambda: "made anew") == "made anew"
    emulator.advance(31)
    assert pages.get("a", lambda: "once more") == "once more"


def test_few_pages_are_kept() -> None:
    """A server that is asked for many cohorts keeps the newest."""
    pages = SharedPages()
    for number in range(200):
        pages.get(str(number), lambda: "page")

    assert len(pages._kept) == len(pages._locks) == cohort.MAX_KEPT
    assert pages.get("199", lambda: "made anew") == "page"
    assert pages.get("0", lambda: "made anew") == "made anew"


def test_going_counts() -> None:
    """Runs that are not submitted yet wait, as those that are pending."""
    counts = {"running_runs": 2, "pending_runs": 3, "pending_submissions": 4, "completed_runs": 1}

    assert going(BatchSnapshot("1", "INPROGRESS", total_runs=10, counts=counts)) == {"running": 2, "waiting": 7}
