"""Waits, and the runs and batches that they wait for, as their poller sees them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from airflow_provider_omics.core.snapshots import ListedRun, RunSnapshot, Snapshot
from airflow_provider_omics.core.wait.flow import WaitPlan
from airflow_provider_omics.core.wait.queueing import queueing_seconds
from airflow_provider_omics.core.wait.rounds import limit_of, stretched
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.calls import Urgency

T = TypeVar("T")


class Owner(Protocol):
    """The part of the poller that a wait needs; documented there."""

    @property
    def pending_notice(self) -> float: ...  # noqa: D102

    @property
    def load(self) -> tuple[int, float]: ...  # noqa: D102

    def asked(self, wait: Wait) -> None: ...  # noqa: D102

    async def call(self, urgency: Urgency, call: Callable[[OmicsHook], T]) -> T: ...  # noqa: D102

    def explain(self, seen: RunSnapshot, seconds: float) -> asyncio.Task[str]: ...  # noqa: D102

    async def leave(self, wait: Wait) -> None: ...  # noqa: D102


class Wait:
    """One wait's place at the poller: a context manager, as the poller ends with its last wait.

    The poller's lines for a wait are logged here, in the wait's own task: Airflow routes log lines by context.

    :param poller: the poller.
    :param subject: the run or batch.
    :param plan: the subject and the limits of the wait.
    :param task_log: the wait's own log.
    """

    def __init__(self, poller: Owner, subject: Subject, plan: WaitPlan, task_log: Any) -> None:
        self.subject = subject
        self.interval = plan.poll_interval
        self.by = math.inf
        self.limit = math.inf
        self.answer: asyncio.Future[Snapshot | str] | None = None
        self._poller = poller
        self.plan = plan
        self._log = task_log
        self._last: Snapshot | None = None
        self._seen_at = 0.0
        self._said: tuple[str, ...] = ()
        self._explanation: asyncio.Task[str] | None = None

    async def __aenter__(self) -> Wait:  # noqa: PYI034  # Self is new in Python 3.11
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._poller.leave(self)

    async def look(self, within: float = 0.0) -> Snapshot:
        """Look at the run or batch.

        :param within: seconds after which the look is due. It may come earlier, with a round that is shared, and comes
            later when the budget is used up; not for a wait whose own time limit is reached.
        :return: the latest snapshot: from GetRun or GetBatch, or for a run that is still going from ListRuns.
        :raises ServiceError: the look failed.
        """
        now = time.monotonic()
        self.by = now + within
        limit = now + limit_of(self.plan, self._last) - time.time()
        self.limit = limit if limit > now else math.inf  # the poller knows of one that has passed
        seen = await self._answer()
        while isinstance(seen, str):
            self._log.info("%s", seen)
            seen = await self._answer()
        self._tell_delay(within)
        self._tell_queueing(seen)
        self._last = seen
        return seen

    async def call(self, call: Callable[[OmicsHook], T], urgency: Urgency = Urgency.CANCEL) -> T:
        """Make a call in a thread.

        :param call: given a hook; it must not ask Airflow for anything.
        :param urgency: its turn; default: at once, outside the budget, like a cancel.
        :return: its result.
        :raises ServiceError: the call was refused or did not get through.
        """
        return await self._poller.call(urgency, call)

    def is_new(self, what: str) -> bool:
        """Return whether something is said for the first time."""
        if what in self._said:
            return False
        self._said += (what,)
        return True

    async def _answer(self) -> Snapshot | str:
        self.answer = asyncio.get_running_loop().create_future()
        self._poller.asked(self)
        try:
            return await self.answer
        finally:
            self.answer = None

    def _tell_delay(self, within: float) -> None:
        now = time.monotonic()
        since_last, self._seen_at = now - self._seen_at, now
        line = stretched(self.interval, since_last, now - self.by, *self._poller.load) if within else None
        if line and self.is_new("stretched"):
            self._log.info("%s", line)

    def _tell_queueing(self, seen: Snapshot) -> None:
        if self._explanation is not None and self._explanation.done():
            if not self._explanation.cancelled() and self._explanation.exception() is None:
                self._log.info("%s", self._explanation.result())
            self._explanation = None
        if isinstance(seen, RunSnapshot):
            seconds = queueing_seconds(seen, time.time())
            if seconds >= self._poller.pending_notice and self.is_new("queueing"):
                self._explanation = self._poller.explain(seen, seconds)


class Subject:
    """A run or batch that one wait or several wait for.

    :param kind: ``"run"`` or ``"batch"``.
    :param id: its id.
    """

    def __init__(self, kind: str, id: str) -> None:
        self.kind = kind
        self.id = id
        self.waits: set[Wait] = set()
        self.joined_at = time.monotonic()
        self.seen: Snapshot | None = None
        """From GetRun or GetBatch, with newer fields of ListRuns."""
        self.confirmed_at = -math.inf
        """When GetRun or GetBatch showed it."""
        self.status: str | None = None
        self.is_busy = False
        """In a round, or about to be looked at: not to be planned again."""
        self.is_last_look = False
        """About to be looked at because a time limit has come."""
        self.has_failed = False
        """The last look failed, so that a list proves nothing."""
        self.not_before = -math.inf

    @property
    def asked(self) -> tuple[float, float]:
        """When the next look is asked for, and the first time limit of those who ask; infinity while nobody asks."""
        by = limit = math.inf
        for wait in self.waits:
            if wait.answer:
                by, limit = min(by, wait.by), min(limit, wait.limit)
        return by, limit

    @property
    def is_listable(self) -> bool:
        """Whether ListRuns can show it."""
        return self.kind == "run" and not self.has_failed

    @property
    def interval(self) -> float:
        """The shortest poll interval of its waits."""
        return min((wait.interval for wait in self.waits), default=math.inf)

    def limit_by(self, run: ListedRun) -> float:
        """Return the first time limit of its waits, by the status from ListRuns, in seconds since the epoch."""
        return min((limit_of(wait.plan, run) for wait in self.waits), default=math.inf)

    def show(self, seen: Snapshot) -> None:
        """Answer all who ask."""
        for answer in self._open_answers():
            answer.set_result(seen)

    def fail(self, error: BaseException) -> None:
        """Fail all who ask."""
        for answer in self._open_answers():
            answer.set_exception(error)

    def say(self, line: str) -> None:
        """Have all who ask write a line, once, and go on waiting."""
        for wait in self.waits:
            if wait.answer and not wait.answer.done() and wait.is_new("unconfirmed"):
                wait.answer.set_result(line)

    def _open_answers(self) -> list[asyncio.Future[Snapshot | str]]:
        return [wait.answer for wait in self.waits if wait.answer and not wait.answer.done()]
