"""One poller for many waits: per connection and event loop one client, and one poll for all.

A wait joins the poller of its connection and asks for looks; the poller answers. A round takes the cheaper way: one
GetRun for each run that is due, or the pages of ListRuns by active status, and GetRun for each that they do not show.
:mod:`airflow_provider_omics.core.wait.rounds` decides which that is, and how fast calls follow each other.

ListRuns has neither the uuid nor the end of a run. So a listed run counts only if it has the creation time that GetRun
said, and every wait ends by a GetRun. A run that is listed as going, and that no GetRun has shown yet, is confirmed by
one when the budget has room; the others every half hour.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.wait.flow import WaitPlan
from airflow_provider_omics.core.wait.rounds import SHORTEST_PAUSE
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.calls import Calls, Urgency
from airflow_provider_omics.waiting.client import SharedClient
from airflow_provider_omics.waiting.looks import Looks
from airflow_provider_omics.waiting.pending import PendingReasons
from airflow_provider_omics.waiting.rounds import Rounds
from airflow_provider_omics.waiting.task_log import TaskLog
from airflow_provider_omics.waiting.wait import Subject, Wait

T = TypeVar("T")

log = TaskLog(logging.getLogger(__name__))

GATHER = 0.5
"""Seconds between two plans: looks asked for meanwhile are planned together, and share a round."""

DEATHS = 2
"""Deaths of a poller that the waits survive, within :data:`FORGET_DEATH`."""

FORGET_DEATH = 3600.0
"""Seconds."""


class Poller:
    """The poller of all waits on one connection in one event loop.

    :param make_hook: makes the hook of the connection.
    :param ended: called when the last wait leaves: from then on nobody may join.
    """

    def __init__(self, make_hook: Callable[[], OmicsHook], ended: Callable[[], None] = lambda: None) -> None:
        self._ended = ended
        self._news = asyncio.Event()
        self._client = SharedClient(make_hook)
        self._calls = Calls(self._client, self._news)
        self._reasons = PendingReasons(self._calls)
        self._waits: set[Wait] = set()
        self._subjects: dict[tuple[str, str], Subject] = {}
        self._polling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._next_due = math.inf
        self._planned_at = -math.inf
        self._deaths: list[float] = []
        self._looks = Looks(self._calls, self._spawn)
        self._rounds = Rounds(self._calls, self._looks, self._spawn, self._due)

    def join(self, plan: WaitPlan, task_log: Any) -> Wait:
        """Take in a wait.

        :param plan: of the wait.
        :param task_log: its own log.
        :return: its place here, a context manager.
        """
        subject = self._subjects.setdefault((plan.kind, plan.id), Subject(plan.kind, plan.id))
        wait = Wait(self, subject, plan, task_log)
        subject.waits.add(wait)
        self._waits.add(wait)
        return wait

    async def leave(self, wait: Wait) -> None:
        """Let a wait go. The poller ends with the last one; its client is closed when this returns."""
        subject = wait.subject
        subject.waits.discard(wait)
        if not subject.waits:
            self._subjects.pop((subject.kind, subject.id), None)
            self._looks.leave(subject)
        self._waits.discard(wait)
        if not self._waits:
            self._ended()
            if self._polling is not None:
                self._news.set()
                await asyncio.wait([self._polling])

    def asked(self, wait: Wait) -> None:
        """Note that a wait asks for a look."""
        self._due(min(max(wait.by, wait.subject.not_before), wait.limit))
        self._start()

    async def call(self, urgency: Urgency, call: Callable[[OmicsHook], T]) -> T:
        """Make a call in its turn; see :meth:`Calls.make`."""
        self._start()
        return await self._calls.make(urgency, call)

    def explain(self, seen: RunSnapshot, seconds: float) -> asyncio.Task[str]:
        """Find out why a run may be PENDING for so long; the poller does it when it has time."""
        return self._spawn(self._reasons.explain(seen, seconds))

    @property
    def pending_notice(self) -> float:
        """Seconds in PENDING after which a wait logs why that may be."""
        return self._client.defaults.pending_notice_seconds

    @property
    def load(self) -> tuple[int, float]:
        """How many waits share how many calls a second."""
        return len(self._waits), self._client.budget.limit

    def _start(self) -> None:
        if self._polling is None:
            self._polling = self._apart(self._poll())
            self._polling.add_done_callback(self._stopped, context=contextvars.Context())

    async def _poll(self) -> None:
        try:
            while self._waits:
                self._news.clear()
                now = time.monotonic()
                plan_at = self._plan(now)
                call_at = self._calls.begin(now)
                if not self._calls.under_way:
                    self._client.close_retired()
                await self._pause(min(plan_at, call_at) - now)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._client.close()

    async def _pause(self, seconds: float) -> None:
        """Wait for news, at most so long."""
        if self._news.is_set() or seconds <= 0:
            await asyncio.sleep(0)
            return
        alarm: asyncio.Future[None] | None = None
        if seconds < math.inf:
            alarm = asyncio.ensure_future(asyncio.sleep(max(seconds, SHORTEST_PAUSE)))
            alarm.add_done_callback(self._ring)
        try:
            await self._news.wait()
            if alarm is not None and alarm.done():
                alarm.result()
        finally:
            if alarm is not None:
                alarm.cancel()

    def _ring(self, alarm: asyncio.Future[None]) -> None:
        if not alarm.cancelled():
            self._news.set()

    def _stopped(self, poller: asyncio.Task[None]) -> None:
        """Fail those who wait for a poller that died or was cancelled.

        They get an Unavailable, so that they ask again, which starts a new poller. When it dies again and again, they
        get the cause, which ends them with an event.
        """
        self._polling = None
        self._rounds.stop()
        error: BaseException = Unavailable("Poll", "PollerStopped", "the poller of this connection was stopped")
        cause = None if poller.cancelled() else poller.exception()
        if cause is not None:
            log.error("The poller died", exc_info=cause)
            now = time.monotonic()
            self._deaths = [*(at for at in self._deaths if now - at < FORGET_DEATH), now]
            if len(self._deaths) > DEATHS:
                error = cause
        self._calls.fail(error)
        for subject in self._subjects.values():
            subject.is_busy = subject.is_last_look = False
            subject.fail(error)

    def _apart(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task in an empty context: Airflow routes log lines by context, and these are no trigger's."""
        return contextvars.Context().run(asyncio.ensure_future, work)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._apart(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # unforeseen: what a call raises is its waits' affair
            log.error("A task of the poller broke", exc_info=error)

    def _due(self, moment: float) -> None:
        if moment < self._next_due:
            self._next_due = moment
            self._news.set()

    def _plan(self, now: float) -> float:
        """Begin the looks that are due.

        :param now: seconds on a clock that never goes back.
        :return: when to plan again.
        """
        if now < self._next_due:
            return self._next_due
        if now < self._planned_at + GATHER:
            return self._planned_at + GATHER
        self._planned_at = now
        self._next_due = math.inf
        ready: list[Subject] = []
        soon: list[Subject] = []
        for subject in self._subjects.values():
            asked, limit = subject.asked
            if asked == math.inf:
                continue
            if limit > now:
                self._next_due = min(self._next_due, limit)
            else:
                self._looks.last(subject)
            due = max(asked, subject.not_before)
            if subject.is_busy:
                continue
            if due > now:
                self._next_due = min(self._next_due, due)
                if subject.is_listable and due - now <= subject.interval / 2:
                    soon.append(subject)
            elif subject.is_listable:
                ready.append(subject)
            else:
                self._looks.at(subject)
        if ready:
            self._rounds.plan(ready, soon, now)
        return self._next_due


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Any, ...], Poller]]
_pollers = weakref.WeakKeyDictionary()
_pollers_lock = threading.Lock()


def poller_of(
    make_hook: Callable[[], OmicsHook],
    aws_conn_id: str | None,
    region_name: str | None,
    verify: bool | str | None,
    botocore_config: dict[str, Any] | None,
) -> Poller:
    """Return the poller of a connection in the running event loop; it is made for the first wait.

    :param make_hook: makes a hook of just this connection.
    :param aws_conn_id: the Airflow connection.
    :param region_name: AWS Region; None: the connection's.
    :param verify: TLS verification; None: the connection's.
    :param botocore_config: botocore configuration; None: the connection's.
    """
    key = (aws_conn_id, region_name, verify, json.dumps(botocore_config, sort_keys=True, default=repr))
    with _pollers_lock:
        pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
        if key not in pollers:
            pollers[key] = Poller(make_hook, lambda: _forget(pollers, key))
        return pollers[key]


def _forget(pollers: dict[tuple[Any, ...], Poller], key: tuple[Any, ...]) -> None:
    with _pollers_lock:
        del pollers[key]
