"""Looks at single runs and batches: GetRun, GetBatch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.core.wait.rounds import CONFIRM_AFTER
from airflow_provider_omics.waiting.calls import Calls, Urgency
from airflow_provider_omics.waiting.wait import Subject


class Looks:
    """Looks at runs and batches one by one, and answers their waits.

    :param calls: makes the calls.
    :param spawn: starts a task of the poller.
    """

    def __init__(self, calls: Calls, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._calls = calls
        self._spawn = spawn
        self._unconfirmed: dict[Subject, None] = {}  # in order, each once
        self._confirming: asyncio.Task[None] | None = None

    def at(self, subject: Subject, urgency: Urgency | None = None) -> None:
        """Begin to look at a run or batch; until that is done it is not planned again.

        :param subject: the run or batch.
        :param urgency: its turn; None: by whether it was seen before.
        """
        subject.is_busy = True
        if urgency is None:
            urgency = Urgency.FIRST_LOOK if subject.seen is None else Urgency.ROUND
        self._begin(subject, urgency)

    def last(self, subject: Subject) -> None:
        """Begin to look at a run or batch that is about to be cancelled, whatever else is planned for it.

        :param subject: the run or batch.
        """
        if not subject.is_last_look:
            subject.is_last_look = True
            self._begin(subject, Urgency.LAST_LOOK)

    def confirm(self, subject: Subject) -> None:
        """Have a run that ListRuns shows as going confirmed by GetRun, when the budget has room.

        One by one: thousands of tasks that wait for their turn would cost more than the looks.

        :param subject: the run.
        """
        self._unconfirmed[subject] = None
        if self._confirming is None or self._confirming.done():
            self._confirming = self._spawn(self._confirm())

    async def _confirm(self) -> None:
        while self._unconfirmed:
            subject = next(iter(self._unconfirmed))
            del self._unconfirmed[subject]
            if subject.waits and time.monotonic() - subject.confirmed_at >= CONFIRM_AFTER:
                await self._look(subject, Urgency.CONFIRM)

    def _begin(self, subject: Subject, urgency: Urgency) -> None:
        look = self._spawn(self._look(subject, urgency))
        subject.looks.add(look)
        look.add_done_callback(subject.looks.discard)

    async def _look(self, subject: Subject, urgency: Urgency) -> None:
        """Look by GetRun or GetBatch."""
        try:
            seen = await self._calls.make(urgency, lambda hook: hook.look(subject.kind, subject.id))
        except Exception as error:  # noqa: BLE001  # raised in each wait: a ServiceError is its flow's, others its event
            if urgency is Urgency.CONFIRM and isinstance(error, Unavailable):
                return
            subject.has_failed = True
            subject.fail(error)
        else:
            subject.has_failed = False
            subject.seen, subject.status, subject.confirmed_at = seen, seen.status, time.monotonic()
            subject.show(seen)
        finally:
            if urgency is Urgency.LAST_LOOK:
                subject.is_last_look = False
            elif urgency is not Urgency.CONFIRM:
                subject.is_busy = False
