"""Looks at single runs and batches: GetRun, GetBatch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.triggers.calls import Calls, Urgency
from airflow_provider_omics.triggers.watched import Subject


class Looks:
    """Looks at runs and batches one by one, and answers their waits.

    :param calls: makes the calls.
    :param spawn: starts a task of the poller.
    """

    def __init__(self, calls: Calls, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._calls = calls
        self._spawn = spawn

    def at(self, subject: Subject, urgency: Urgency | None = None) -> None:
        """Begin to look at a run or batch; until that is done it is not planned again.

        :param subject: the run or batch.
        :param urgency: its turn; None: by whether it was seen before.
        """
        subject.is_busy = True
        if urgency is None:
            urgency = Urgency.FIRST_LOOK if subject.seen is None else Urgency.ROUND
        self._begin(subject, urgency)

    def beside(self, subject: Subject, urgency: Urgency) -> None:
        """Begin to look at a run or batch, whatever else is planned for it; once at a time.

        :param subject: the run or batch.
        :param urgency: its turn.
        """
        if urgency not in subject.beside:
            subject.beside.add(urgency)
            self._begin(subject, urgency)

    def _begin(self, subject: Subject, urgency: Urgency) -> None:
        look = self._spawn(self._look(subject, urgency))
        subject.looks.add(look)
        look.add_done_callback(subject.looks.discard)

    async def _look(self, subject: Subject, urgency: Urgency) -> None:
        """Look by GetRun or GetBatch."""
        try:
            seen = await self._calls.make(urgency, lambda client: client.look(subject.kind, subject.id))
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
            if urgency in subject.beside:
                subject.beside.discard(urgency)
            else:
                subject.is_busy = False
