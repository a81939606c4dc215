"""Threads of the poller: one set a process, for all of its event loops, and never in the way of its end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from airflow_provider_omics.waiting.threads import Threads, in_thread

whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody's")


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    """A set of threads as a new process has it."""
    found = Threads()
    monkeypatch.setattr("airflow_provider_omics.waiting.threads._threads", found)
    return found


async def test_result_and_error_come_through() -> None:
    """What the work returns is returned, what it raises is raised."""

    def fail() -> None:
        raise LookupError("gone")

    assert await in_thread(lambda: "an answer") == "an answer"
    with pytest.raises(LookupError, match="gone"):
        await in_thread(fail)


async def test_work_has_an_empty_context() -> None:
    """What a trigger has set in its context is not seen in a thread, not even in one that was started for it."""
    whose.set("a trigger's")

    assert [await in_thread(whose.get) for _ in range(2)] == ["nobody's"] * 2


async def test_threads_are_daemons_and_used_again(threads: Threads) -> None:
    """Started when they are needed: three for three calls at once, and none for three calls in turn."""
    meeting = threading.Barrier(3)

    def meet() -> threading.Thread:
        meeting.wait()
        return threading.current_thread()

    together = set(await asyncio.gather(*(in_thread(meet) for _ in range(3))))
    in_turn = {await in_thread(threading.current_thread) for _ in range(3)}

    assert len(together) == 3
    assert all(thread.daemon for thread in together)
    assert in_turn <= together


def test_event_loops_share_the_threads(threads: Threads) -> None:
    """Four loops, one after the other, take one thread; four side by side take four at most."""

    def one_call(_: Any = None) -> threading.Thread:
        async def call() -> threading.Thread:
            return await in_thread(threading.current_thread)

        return asyncio.run(call())

    in_turn = {one_call() for _ in range(4)}
    with ThreadPoolExecutor(4) as pool:
        side_by_side = set(pool.map(one_call, range(4)))

    assert len(in_turn) == 1
    assert len(in_turn | side_by_side) <= 4


def test_answer_is_dropped_when_its_loop_has_closed(threads: Threads) -> None:
    """The work goes on, nobody is told, and the thread is there for the next loop."""
    gate, done = threading.Event(), threading.Event()

    async def leave() -> None:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()

        def hang() -> None:
            loop.call_soon_threadsafe(begun.set)
            gate.wait()
            done.set()

        asking = asyncio.ensure_future(in_thread(hang))
        await begun.wait()
        asking.cancel()

    asyncio.run(leave())
    gate.set()
    done.wait()

    async def ask() -> str:
        return await in_thread(lambda: "an answer")

    assert asyncio.run(ask()) == "an answer"


async def test_whoever_gives_up_is_still_told_apart_from_the_thread() -> None:
    """The caller's note that the thread is free comes when it is, not when the wait for it is cancelled."""
    gate, free = threading.Event(), asyncio.Event()
    asking = asyncio.ensure_future(in_thread(gate.wait, free.set))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not free.is_set()

    gate.set()

    await free.wait()


async def test_nothing_is_kept(threads: Threads) -> None:
    """A thread that waits for work keeps neither its last work nor the result alive."""

    class Page:
        """A large answer."""

    pages: list[weakref.ref[Page]] = []

    def read() -> Page:
        page = Page()
        pages.append(weakref.ref(page))
        return page

    await in_thread(read)
    await in_thread(lambda: "another")

    assert pages[0]() is None


async def test_error_keeps_nothing_open() -> None:
    """What its frames know, such as a connection, goes with the call, though the error and its causes are kept."""

    class Connection:
        """What the work had open."""

    connections: list[weakref.ref[Connection]] = []

    def send() -> None:
        connection = Connection()
        connections.append(weakref.ref(connection))
        raise ConnectionError("lost")

    def call() -> None:
        try:
            send()
        except ConnectionError as error:
            raise LookupError("gone") from error

    with pytest.raises(LookupError) as kept:
        await in_thread(call)
    await in_thread(lambda: "another")

    assert connections[0]() is None
    assert "in send" in "".join(traceback.format_exception(kept.value))


async def test_error_is_in_no_circle() -> None:
    """It goes when nobody keeps it, not only when the garbage is collected."""
    errors: list[weakref.ref[BaseException]] = []

    class Lost(Exception):
        """An error."""

    def fail() -> None:
        error = Lost()
        errors.append(weakref.ref(error))
        raise error

    gc.collect()
    gc.disable()
    try:
        with suppress(Lost):
            await in_thread(fail)
        await in_thread(lambda: "another")

        assert errors[0]() is None
    finally:
        gc.enable()


FORK = """
import asyncio, os
from airflow_provider_omics.waiting.threads import in_thread

async def ask():
    return await asyncio.wait_for(in_thread(lambda: 7), 10)

asyncio.run(ask())
child = os.fork()
if not child:
    os._exit(asyncio.run(ask()))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""


def test_a_forked_process_starts_threads_of_its_own() -> None:
    """A fork copies no thread: work handed to one of the parent's would never be done."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 0, done.stderr
