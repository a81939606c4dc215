"""Calls in turn: by urgency, under the budget, not too many at once, each in a thread."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Protocol, TypeVar

from airflow_provider_omics.core.errors import CredentialsExpired, ServiceError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.client import CANCELS, LOOKS, SharedClient
from airflow_provider_omics.waiting.threads import in_thread

T = TypeVar("T")


class Urgency(IntEnum):
    """Whose turn it is."""

    CANCEL = 0
    """At once, outside the budget, and in threads that nothing else uses: no cancel waits behind looks that hang."""
    MANIFEST = 1
    """For the end of a vanished run: CloudWatch Logs answers, so it is outside the budget."""
    LAST_LOOK = 2
    """At a run or batch that is cancelled unless it has just ended: a time limit of its wait has come."""
    FIRST_LOOK = 3
    """At a run or batch that may have ended already."""
    DEPARTURE = 4
    """At a run that ListRuns no longer shows."""
    ROUND = 5
    CONFIRM = 6
    """GetRun of a run that ListRuns shows as going: this and what follows gets a part of the budget only."""
    EXPLAIN = 7


class Turn(Protocol):
    """A turn that is waited for: a future, or what has these of its methods."""

    def done(self) -> bool:
        """Return whether nobody waits for it any more."""

    def set_result(self, result: None, /) -> None:
        """Begin: the turn has come."""

    def set_exception(self, exception: BaseException, /) -> None:
        """End the waiting: the turn will not come."""


class Calls:
    """Makes the calls of a poller.

    :param client: the client, and the budget.
    :param news: set when a call was asked for or has ended: then :meth:`begin` may have something to do.
    """

    def __init__(self, client: SharedClient, news: asyncio.Event) -> None:
        self._client = client
        self._news = news
        self._cancels = _Line(CANCELS)
        self._looks = _Line(LOOKS)
        self._numbers = itertools.count()

    @property
    def under_way(self) -> int:
        """Calls under way, those included that nobody waits for any more."""
        return self._cancels.taken + self._looks.taken

    async def make(self, urgency: Urgency, call: Callable[[OmicsHook], T]) -> T:
        """Make one call when it is its turn. Refused credentials are renewed, and the call is made again.

        :param urgency: its turn.
        :param call: given the hook, in a thread; it must not ask Airflow for anything.
        :return: its result.
        :raises ServiceError: the call was refused or did not get through.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line_up(urgency, turn)
        await turn
        return await self.carry_out(urgency, call)

    def line_up(self, urgency: Urgency, turn: Turn) -> None:
        """Have a turn begin when it comes.

        :param urgency: whose turn it is.
        :param turn: makes its call by :meth:`carry_out` then, in a task that begins at once.
        """
        heapq.heappush(self._line(urgency).queue, (urgency, next(self._numbers), turn))
        self._news.set()

    async def carry_out(self, urgency: Urgency, call: Callable[[OmicsHook], T]) -> T:
        """Make one call whose turn has come.

        :param urgency: its turn.
        :param call: as for :meth:`make`, which documents the errors, too.
        :return: its result.
        """
        place = _Place(self._line(urgency), self._news)
        try:
            hook = await self._client.get()
            try:
                return await place.work(partial(call, hook))
            except ServiceError as error:
                if isinstance(error, CredentialsExpired) and self._client.replace(hook):
                    return await place.work(partial(call, await self._client.get()))
                self._client.check(error)
                raise
        finally:
            place.leave()

    def _line(self, urgency: Urgency) -> _Line:
        return self._cancels if urgency is Urgency.CANCEL else self._looks

    def begin(self, now: float) -> float:
        """Begin the calls whose turn has come.

        :param now: seconds on a clock that never goes back.
        :return: when to ask again; infinity: when there is news.
        """
        for line in (self._cancels, self._looks):
            begun = 0
            while line.queue:
                urgency, _, turn = line.queue[0]
                if not turn.done():
                    if line.taken + begun >= line.places:
                        break
                    delay = self._delay(urgency, now)
                    if delay:
                        return now + delay
                    turn.set_result(None)
                    begun += 1
                heapq.heappop(line.queue)
        return math.inf

    def _delay(self, urgency: Urgency, now: float) -> float:
        """Take a call from the budget, or return the seconds after which to ask again."""
        if urgency <= Urgency.MANIFEST:
            return 0.0
        can_wait = urgency >= Urgency.CONFIRM
        delay = self._client.spare.delay(now) if can_wait else 0.0
        delay = delay or self._client.budget.take(now)
        if can_wait and not delay:
            self._client.spare.take(now)
        return delay

    def fail(self, error: BaseException) -> None:
        """Fail the calls that wait for a turn that will not come.

        :param error: why.
        """
        for line in (self._cancels, self._looks):
            queue, line.queue = line.queue, []
            for _, _, turn in queue:
                if not turn.done():
                    turn.set_exception(error)


class _Line:
    """Calls that wait for their turn, and places for those that are under way.

    :param places: how many calls may be under way at once.
    """

    def __init__(self, places: int) -> None:
        self.queue: list[tuple[Urgency, int, Turn]] = []
        self.places = places
        self.taken = 0


class _Place:
    """A place of a line; free again once its call was abandoned or answered, and its thread has ended.

    :param line: the line.
    :param news: set when the place is free again.
    """

    def __init__(self, line: _Line, news: asyncio.Event) -> None:
        self._line = line
        self._news = news
        self._users = 1
        line.taken += 1

    async def work(self, work: Callable[[], T]) -> T:
        """Work in a thread."""
        self._users += 1
        return await in_thread(work, self.leave)

    def leave(self) -> None:
        """Note that the call, or its thread, needs the place no more."""
        self._users -= 1
        if not self._users:
            self._line.taken -= 1
            self._news.set()
