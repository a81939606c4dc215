"""Threads for calls that block: daemons, started when they are needed, one set for all event loops of a process.

A ``ThreadPoolExecutor`` joins its threads when the process ends, so a call that hangs would hold up the end for its
whole read timeout. Daemons do not. A thread cannot be cancelled: its answer is dropped when nobody waits for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

Work = Callable[[], Callable[[], None]]
"""The work of a thread, which returns a call to be made once the thread is free again."""


class Threads:
    """A set of threads that grows by one whenever none is free; callers limit how much is under way at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[SimpleQueue[Work]] = []

    def begin(self, work: Work) -> None:
        """Hand some work to a thread; the one that became free last has the warmest caches.

        :param work: the work.
        """
        with self._lock:
            inbox = self._free.pop() if self._free else None
        if inbox is None:
            inbox = SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name="omics-poller", daemon=True).start()
        inbox.put(work)

    def _serve(self, inbox: SimpleQueue[Work]) -> None:
        while True:
            work = inbox.get()
            tell = work()
            with self._lock:
                self._free.append(inbox)
            tell()
            del work, tell  # else their results would live until there is other work


_threads = Threads()


def _begin_anew() -> None:
    """Forget the threads of the parent process: a fork does not copy them."""
    global _threads  # noqa: PLW0603 - one set a process
    _threads = Threads()


os.register_at_fork(after_in_child=_begin_anew)


async def in_thread(work: Callable[[], T], ended: Callable[[], None] = lambda: None) -> T:
    """Do some work in a thread, in an empty context: Airflow routes log lines by context, and these are no trigger's.

    :param work: it may block, and must not ask Airflow for anything.
    :param ended: called in the event loop when the thread is free again, whether or not somebody still waits.
    :return: its result.
    :raises BaseException: as the work.
    """
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    outcome: list[tuple[T, None] | tuple[None, BaseException]] = []

    def do() -> Callable[[], None]:
        outcome.append(contextvars.Context().run(_outcome, work))
        return tell

    def tell() -> None:
        with suppress(RuntimeError):  # the event loop has been closed
            loop.call_soon_threadsafe(told)

    def told() -> None:
        ended()
        if not over.done():
            over.set_result(None)

    _threads.begin(do)
    await over
    result, error = outcome.pop()
    if error is None:
        return result  # type: ignore[return-value]  # without an error it is a T
    try:
        raise error
    finally:
        del error  # its traceback knows this frame: a circle would keep connections open until they are collected


def _outcome(work: Callable[[], T]) -> tuple[T, None] | tuple[None, BaseException]:
    try:
        return work(), None
    except BaseException as error:  # noqa: BLE001 - raised where the answer is awaited
        _let_go(error)
        return None, error


def _let_go(error: BaseException | None) -> None:
    """Clear the variables of an error's frames, those of its causes included; files and lines stay.

    urllib3 closes connections when nothing refers to their pool any more, and an error is kept for long: by the wait
    that met it, until that looks again.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
