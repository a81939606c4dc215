"""The page of a cohort or a run for a viewer in Airflow: the stored page or, before that exists, a fresh one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.cost.usage import listed_usage
from airflow_provider_omics.core.errors import NotFound, OmicsError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.reports.cohort import CohortFacts, CohortPage, cohort_page, going
from airflow_provider_omics.reports.html import render, render_sentence
from airflow_provider_omics.reports.run import MAX_TASKS, RunFacts, RunPage, run_page
from airflow_provider_omics.results.read import cohort_records

TIMEOUT = 2
"""Seconds for an answer of AWS: routes of plugins share their threads with the workers' heartbeats."""

AT_ONCE = 4
KEPT_SECONDS = 30
KEPT_SHARE = 20
"""A page is kept for so many times the seconds that it took, if they are more: one of 100,000 samples takes several."""

MAX_KEPT = 50
"""Pages that are kept for other viewers."""

LARGEST = 6_000_000
"""Bytes of a stored page; ours have less than 5 MB."""

_CALLING = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Recorded:
    """The task's own record of its cohort or run: a viewer cannot supply a URI or a connection.

    :param title: the task instance.
    :param batch: values of its link to the batch; None: it has started none.
    :param report: those of its link to the page; None: there is none yet.
    :param results: those of its link to the results file.
    :param run: those of its link to the run; None: it has started none.
    :param is_going: whether the task has yet to end. Default False.
    """

    title: str
    batch: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    results: Mapping[str, Any] | None = None
    run: Mapping[str, Any] | None = None
    is_going: bool = False


@dataclass(eq=False)
class SharedPages:
    """Pages that all viewers share for a moment, so that AWS is asked only once."""

    _kept: dict[str, tuple[float, str]] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str, make: Callable[[], str]) -> str:
        """Return a page that was made a moment ago, or make it.

        :param key: of the page.
        :param make: makes it.
        """
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            began = time.monotonic()
            until, page = self._kept.get(key, (0.0, ""))
            if not page or began > until:
                page = make()
                now = time.monotonic()
                with self._guard:
                    self._kept[key] = (now + max(KEPT_SECONDS, KEPT_SHARE * (now - began)), page)
                    for old in list(self._kept)[:-MAX_KEPT]:
                        del self._kept[old]
                        self._locks.pop(old, None)
        return page


_PAGES = SharedPages()


def cohort_html(recorded: Recorded) -> str:
    """Make the page of a task's cohort, or of its run.

    :param recorded: what the task has recorded.
    :return: the HTML: the stored page once the task has ended; else what is known by now; else a sentence.
    """
    title, report = recorded.title, recorded.report
    batch, run = recorded.batch, recorded.run
    try:
        if report is not None and not recorded.is_going:
            return _PAGES.get(f"{title} {report}", lambda: _stored(report))
        if batch is not None:
            return _PAGES.get(repr(recorded), lambda: render(_batch_page(recorded, batch)))
        if run is not None:
            return _PAGES.get(repr(recorded), lambda: render(_run_page(recorded, run)))
        sentence = "This task has started no run and no batch of AWS HealthOmics."
    except OmicsError as error:
        sentence = f"The cohort cannot be shown here: {error}"
    return render_sentence(title, sentence, KEPT_SECONDS if recorded.is_going else None)


def hook_of(values: Mapping[str, Any]) -> OmicsHook:
    """Make the hook of a task's connection, with the limits of an api-server.

    :param values: of one of the task's links.
    """
    limits = {"connect_timeout": TIMEOUT, "read_timeout": TIMEOUT, "retries": {"total_max_attempts": 1}}
    connection = values.get("aws_conn_id", "aws_default")
    return OmicsHook(aws_conn_id=connection, region_name=values.get("region_name"), config=limits)


def call(ask: Callable[[], Any]) -> Any:
    """Ask AWS, as one of at most :data:`AT_ONCE`.

    :param ask: the question.
    :return: its answer.
    :raises Unavailable: too many are asking.
    """
    if not _CALLING.acquire(timeout=TIMEOUT):
        raise Unavailable("ShowCohort", "Busy", "many pages are being read; look again in a moment")
    try:
        return ask()
    finally:
        _CALLING.release()


def _stored(report: Mapping[str, Any]) -> str:
    def read() -> str:
        with S3Store(hook_of(report)).get(report["uri"]) as found:
            return str(found.stream.read(LARGEST).decode("utf-8", "replace"))

    return str(call(read))


def _batch_page(recorded: Recorded, batch: Mapping[str, Any]) -> CohortPage:
    """Draw a cohort by GetBatch and what was collected by now."""
    snapshot = BatchSnapshot.from_response(call(lambda: hook_of(batch).get_batch(batch["batch_id"])))
    results = recorded.results or {}
    carried = results.get("carried") or {}
    is_active = snapshot.phase is Phase.ACTIVE
    judged = "the task is about to judge it" if recorded.is_going else "the task has judged nothing"
    facts = CohortFacts(
        title=recorded.title,
        region=batch["region_name"],
        made_at=datetime.now(timezone.utc),
        counts=BatchCounts.of_statuses(carried) + BatchCounts.of(snapshot),
        problem=None if is_active else f"The batch is {snapshot.status}; {judged}.",
        going=going(snapshot) if is_active else {},
        batch_id=snapshot.id,
        carried_forward=sum(carried.values()),
        results_uri=results.get("uri"),
        masks=results.get("masks", True),
    )
    page = call(lambda: _with_samples(facts, results)) if results else cohort_page((), facts)
    return replace(
        page,
        state=page.state if is_active else "ended",
        reload_after=KEPT_SECONDS if is_active or recorded.is_going else None,
    )


def _with_samples(facts: CohortFacts, results: Mapping[str, Any]) -> CohortPage:
    hook, uri = hook_of(results), results["uri"]
    try:
        collected_at = S3Store(hook).head(uri)["LastModified"]
    except NotFound:
        return cohort_page((), facts)
    records = cohort_records(hook, uri, facts.batch_id if facts.going else None)
    return cohort_page(records, replace(facts, samples_as_of=collected_at))


def _run_page(recorded: Recorded, values: Mapping[str, Any]) -> RunPage:
    """Draw a run by GetRun and ListRunTasks."""
    hook, run_id = hook_of(values), values["run_id"]
    run = RunSnapshot.from_response(call(lambda: hook.get_run(run_id)))
    tasks = call(lambda: list(islice(hook.list_run_tasks(run_id), MAX_TASKS + 1)))
    facts = RunFacts(
        title=recorded.title,
        region=values["region_name"],
        made_at=datetime.now(timezone.utc),
        run=run,
        usage=listed_usage(run, tasks[:MAX_TASKS]),
        has_more_tasks=len(tasks) > MAX_TASKS,
    )
    is_going = run.phase is Phase.ACTIVE or recorded.is_going
    return replace(run_page(facts), reload_after=KEPT_SECONDS if is_going else None)
