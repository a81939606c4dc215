"""Looks at single runs and batches: GetRun, GetBatch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.core.wait.rounds import CONFIRM_AFTER
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.calls import Calls, Urgency
from airflow_provider_omics.waiting.wait import Subject

MakeCall = Callable[[Urgency, Callable[[OmicsHook], Snapshot]], Coroutine[Any, Any, Snapshot]]


class Looks:
    """Looks at runs and batches one by one, and answers their waits.

    :param calls: makes the calls.
    :param spawn: starts a task of the poller.
    """

    def __init__(self, calls: Calls, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        self._calls = calls
        self._spawn = spawn
        self._under_way: dict[asyncio.Task[None], Subject] = {}
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
        self._calls.line_up(urgency, _QueuedLook(self, subject, urgency))

    def last(self, subject: Subject) -> None:
        """Begin to look at a run or batch that is about to be cancelled, whatever else is planned for it.

        :param subject: the run or batch.
        """
        if not subject.is_last_look:
            subject.is_last_look = True
            self._calls.line_up(Urgency.LAST_LOOK, _QueuedLook(self, subject, Urgency.LAST_LOOK))

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
                await self._look(subject, Urgency.CONFIRM, self._calls.make)

    def begin(self, subject: Subject, urgency: Urgency) -> None:
        """Look at a run or batch: its turn has come.

        :param subject: the run or batch.
        :param urgency: its turn.
        """
        look = self._spawn(self._look(subject, urgency, self._calls.carry_out))
        self._under_way[look] = subject
        look.add_done_callback(self._under_way.pop)

    def leave(self, subject: Subject) -> None:
        """Look no more at a run or batch that nobody waits for.

        :param subject: the run or batch.
        """
        for look, looked_at in self._under_way.items():  # as many as there are threads
            if looked_at is subject:
                look.cancel()

    async def _look(self, subject: Subject, urgency: Urgency, make: MakeCall) -> None:
        """Look by GetRun or GetBatch."""
        try:
            seen = await make(urgency, lambda hook: hook.look(subject.kind, subject.id))
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


class _QueuedLook:
    """A look that waits for its turn; its task is made when that comes.

    Ten thousand tasks that wait for their turn would hold the event loop for 0.3 s while they are made, and each pass
    of Python's garbage collector would walk through them.

    :param looks: looks.
    :param subject: the run or batch.
    :param urgency: whose turn it is.
    """

    __slots__ = ("_looks", "_subject", "_urgency")

    def __init__(self, looks: Looks, subject: Subject, urgency: Urgency) -> None:
        self._looks = looks
        self._subject = subject
        self._urgency = urgency

    def done(self) -> bool:
        return not self._subject.waits

    def set_result(self, _: None) -> None:
        self._looks.begin(self._subject, self._urgency)

    def set_exception(self, _: BaseException) -> None:
        """Do nothing: the poller that has stopped fails all who ask."""
