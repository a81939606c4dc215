"""Calls in turn: by urgency, under the budget, not too many at once."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import TypeVar

from airflow_provider_omics.core.errors import CredentialsExpired, ServiceError
from airflow_provider_omics.hooks.async_client import PollerClient
from airflow_provider_omics.triggers.shared_client import SharedClient

T = TypeVar("T")

CONCURRENCY = 10
"""Calls under way at once: as many connections as botocore's pool has."""


class Urgency(IntEnum):
    """Whose turn it is."""

    CANCEL = 0
    """At once, and outside the budget."""
    LAST_LOOK = 1
    """At a run or batch that is cancelled unless it has just ended: a time limit of its wait has come."""
    FIRST_LOOK = 2
    """At a run or batch that may have ended already."""
    DEPARTURE = 3
    """At a run that ListRuns no longer shows."""
    ROUND = 4
    CONFIRM = 5
    """GetRun of a run that ListRuns shows as going: this and what follows gets a part of the budget only."""
    EXPLAIN = 6


class Calls:
    """Makes the calls of a poller.

    :param client: the client, and the budget.
    :param news: set when a call was asked for or has ended: then :meth:`begin` may have something to do.
    """

    def __init__(self, client: SharedClient, news: asyncio.Event) -> None:
        self._client = client
        self._news = news
        self._queue: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self.under_way = 0

    async def make(self, urgency: Urgency, call: Callable[[PollerClient], Awaitable[T]]) -> T:
        """Make one call when it is its turn. Refused credentials are renewed, and the call is made again.

        :param urgency: its turn.
        :param call: is given the client.
        :return: what it returns.
        :raises ServiceError: the call was refused or did not get through.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (urgency, next(self._numbers), turn))
        self._news.set()
        await turn
        self.under_way += 1
        try:
            client = await self._client.get()
            try:
                return await call(client)
            except ServiceError as error:
                if isinstance(error, CredentialsExpired) and self._client.replace(client):
                    return await call(await self._client.get())
                self._client.check(error)
                raise
        finally:
            self.under_way -= 1
            self._news.set()

    def begin(self, now: float) -> float:
        """Let those begin whose turn has come.

        :param now: seconds on a clock that never goes back.
        :return: when to ask again; infinity: when there is news.
        """
        begun = 0
        while self._queue:
            urgency, _, turn = self._queue[0]
            if not turn.done() and urgency is not Urgency.CANCEL:
                if self.under_way + begun >= CONCURRENCY:
                    break
                can_wait = urgency >= Urgency.CONFIRM
                delay = self._client.spare.delay(now) if can_wait else 0.0
                delay = delay or self._client.budget.take(now)
                if delay:
                    return now + delay
                if can_wait:
                    self._client.spare.take(now)
            heapq.heappop(self._queue)
            if not turn.done():
                turn.set_result(None)
                begun += 1
        return math.inf

    def fail(self, error: BaseException) -> None:
        """Fail the calls that wait for their turn: nobody is left to give it to them.

        :param error: why.
        """
        queue, self._queue = self._queue, []
        for _, _, turn in queue:
            if not turn.done():
                turn.set_exception(error)
