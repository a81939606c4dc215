"""Rounds by ListRuns: many runs are looked at for the price of a few pages."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any

from airflow_provider_omics.core.errors import ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import ListedRun, RunSnapshot
from airflow_provider_omics.core.wait.rounds import (
    CONFIRM_AFTER,
    ListingCost,
    brought_up_to_date,
    is_same_run,
    statuses_to_list,
)
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.calls import Calls, Urgency
from airflow_provider_omics.waiting.looks import Looks
from airflow_provider_omics.waiting.task_log import TaskLog
from airflow_provider_omics.waiting.wait import Subject

log = TaskLog(logging.getLogger(__name__))

UNCONFIRMED = 60.0
"""Seconds after which a wait logs that only ListRuns has shown its run so far. 75 waits are confirmed in that time;
a line for each of thousands costs more than all their looks by ListRuns."""


class Rounds:
    """Looks at runs that are due together, in the cheaper way.

    :param calls: makes the calls.
    :param looks: looks at single runs.
    :param spawn: starts a task of the poller.
    :param due: called when there is something to plan.
    """

    def __init__(
        self,
        calls: Calls,
        looks: Looks,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        due: Callable[[float], None],
    ) -> None:
        self._calls = calls
        self._looks = looks
        self._spawn = spawn
        self._due = due
        self._is_listing = False
        self._costs: defaultdict[str | None, ListingCost] = defaultdict(ListingCost)

    def stop(self) -> None:
        """Take note that the poller has ended, and its calls with it."""
        self._is_listing = False

    def plan(self, ready: list[Subject], soon: list[Subject], now: float) -> None:
        """Look at the runs that are due: by ListRuns with those that are due soon, where that costs less.

        :param ready: runs that are due.
        :param soon: runs that may be looked at with them.
        :param now: seconds on a clock that never goes back.
        """
        both = [*ready, *soon]
        batch_id = _common_batch(both)
        for scope in dict.fromkeys((batch_id, None)):
            if not self._costs[scope].is_worth(len(both), now):
                continue
            if not self._is_listing:
                self._begin(both, scope)
                return
            if self._costs[scope].is_worth(len(ready), now):
                return  # with the next round: this one's end plans anew
        for subject in ready:
            self._looks.at(subject)

    def _begin(self, subjects: list[Subject], batch_id: str | None) -> None:
        self._is_listing = True
        for subject in subjects:
            subject.is_busy = True
        round_ = self._spawn(self._round({subject.id: subject for subject in subjects}, batch_id))
        round_.set_name("round by ListRuns")

    async def _round(self, targets: dict[str, Subject], batch_id: str | None) -> None:
        """Look by ListRuns, then by GetRun at each run that it does not show."""
        missing = dict(targets)
        cost = self._costs[batch_id]
        try:
            pages = 0
            statuses = statuses_to_list(subject.status for subject in targets.values())
            async with aclosing(self._pages(statuses, batch_id)) as listed:
                async for runs in listed:
                    pages += 1
                    for run in runs:
                        if run.id in missing:
                            self._listed(missing[run.id], run)
                            del missing[run.id]
                    if not missing or pages >= len(targets):
                        break
            cost.measured(pages, time.monotonic())
        except Exception as error:  # noqa: BLE001 - raised in each wait, as the error of a look is
            if isinstance(error, ServiceError) and not isinstance(error, Unavailable):
                log.warning("Runs are looked at one by one for a while: %s", error)
                cost.refused(time.monotonic())
                self._look_at_each(missing.values(), Urgency.ROUND)
                return
            for subject in missing.values():
                subject.is_busy = False
                subject.fail(error)
        else:
            self._look_at_each(missing.values(), Urgency.DEPARTURE)
        finally:
            self._is_listing = False
            self._due(time.monotonic())

    def _look_at_each(self, subjects: Iterable[Subject], urgency: Urgency) -> None:
        """Begin to look at runs by GetRun; the urgency is that of those that were seen before."""
        for subject in subjects:
            self._looks.at(subject, urgency if subject.seen else Urgency.FIRST_LOOK)

    async def _pages(self, statuses: Iterable[str], batch_id: str | None) -> AsyncGenerator[list[ListedRun], None]:
        for status in statuses:
            token: str | None = None
            while True:
                page = partial(OmicsHook.list_runs_page, status=status, token=token, batch_id=batch_id)
                runs, token = await self._calls.make(Urgency.ROUND, page)
                yield runs
                if token is None:
                    break

    def _listed(self, subject: Subject, run: ListedRun) -> None:
        """Take note of a run that ListRuns shows as going."""
        now = time.monotonic()
        if isinstance(subject.seen, RunSnapshot) and not is_same_run(subject.seen, run):
            self._looks.at(subject, Urgency.FIRST_LOOK)
            return
        subject.is_busy = False
        subject.status = run.status
        if isinstance(subject.seen, RunSnapshot):
            subject.seen = brought_up_to_date(subject.seen, run)
            subject.show(subject.seen)
        else:
            subject.not_before = now + subject.interval
            if now - subject.joined_at >= UNCONFIRMED:
                subject.say(f"Run {run.id}: {run.status}, says ListRuns; GetRun confirms it when the budget has room")
            self._due(subject.not_before)
            if subject.limit_by(run) <= time.time():
                self._looks.last(subject)
        if now - subject.confirmed_at >= CONFIRM_AFTER:
            self._looks.confirm(subject)


def _common_batch(subjects: Iterable[Subject]) -> str | None:
    """Return the batch that all of some runs belong to: ListRuns can be asked for its runs alone."""
    batch_ids = {subject.seen.batch_id if isinstance(subject.seen, RunSnapshot) else None for subject in subjects}
    return batch_ids.pop() if len(batch_ids) == 1 else None
