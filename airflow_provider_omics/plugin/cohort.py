"""The page of a cohort for a viewer in Airflow: the stored one, or, while the batch is going, one drawn afresh."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.errors import OmicsError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.reports.cohort import CohortFacts, cohort_page, going
from airflow_provider_omics.reports.html import render, render_sentence

TIMEOUT = 2
"""Seconds for an answer of AWS: routes of plugins share their threads with the workers' heartbeats."""

AT_ONCE = 4
KEPT_SECONDS = 30
MAX_KEPT = 50
"""Pages that are kept for other viewers."""

LARGEST = 6_000_000
"""Bytes of a stored page; ours have less than 5 MB."""

_CALLING = threading.BoundedSemaphore(AT_ONCE)


@dataclass(frozen=True)
class Recorded:
    """What a task has recorded of its cohort: no place and no connection comes from a viewer.

    :param title: the task instance.
    :param batch: values of its link to the batch; None: it has started none.
    :param report: those of its link to the page; None: there is none yet.
    :param results: those of its link to the results file.
    """

    title: str
    batch: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    results: Mapping[str, Any] | None = None


@dataclass(eq=False)
class SharedPages:
    """Pages that all viewers share for a moment: however many look, AWS is asked once."""

    _kept: dict[str, tuple[float, str]] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: str, make: Callable[[], str]) -> str:
        """Return a page that was made within :data:`KEPT_SECONDS`, or make it.

        :param key: of the page.
        :param make: makes it.
        """
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            made_at, page = self._kept.get(key, (0.0, ""))
            if not page or time.monotonic() - made_at > KEPT_SECONDS:
                page = make()
                with self._guard:
                    self._kept[key] = (time.monotonic(), page)
                    for old in list(self._kept)[:-MAX_KEPT]:
                        del self._kept[old]
                        self._locks.pop(old, None)
        return page


_PAGES = SharedPages()


def cohort_html(recorded: Recorded) -> str:
    """Make the page of a task's cohort.

    :param recorded: what the task has recorded.
    :return: the HTML: the stored page once the batch has ended; while it is going, its counts; else a sentence.
    """
    if recorded.batch is None:
        return render_sentence(recorded.title, "This task has started no batch of AWS HealthOmics.")
    try:
        if recorded.report is not None:
            return _PAGES.get(f"{recorded.title} {recorded.report}", lambda: _stored(recorded.report or {}))
        return _PAGES.get(f"{recorded.title} {recorded.batch}", lambda: _going(recorded, recorded.batch or {}))
    except OmicsError as error:
        return render_sentence(recorded.title, f"The cohort cannot be shown here: {error}")


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


def _going(recorded: Recorded, batch: Mapping[str, Any]) -> str:
    snapshot = BatchSnapshot.from_response(call(lambda: hook_of(batch).get_batch(batch["batch_id"])))
    is_going = snapshot.phase is Phase.ACTIVE
    facts = CohortFacts(
        title=recorded.title,
        region=batch["region_name"],
        made_at=datetime.now(timezone.utc),
        counts=BatchCounts.of(snapshot),
        problem=None if is_going else f"The batch is {snapshot.status}; the task has judged nothing.",
        going=going(snapshot) if is_going else {},
        batch_id=snapshot.id,
    )
    page = cohort_page((), facts)
    return render(replace(page, reload_after=KEPT_SECONDS) if is_going else replace(page, state="ended"))
