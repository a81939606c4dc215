"""Who shares a poller, and what a wait sees of its trouble: none."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory

from airflow_provider_omics.core.wait.events import Outcome
from airflow_provider_omics.emulator.api import service
from airflow_provider_omics.emulator.errors import ServiceError, error_statuses
from airflow_provider_omics.emulator.http import application
from airflow_provider_omics.triggers.run import OmicsRunTrigger
from airflow_provider_omics.waiting import poller as waiting_poller
from airflow_provider_omics.waiting.client import SharedClient
from airflow_provider_omics.waiting.poller import Poller, poller_of
from tests.airflow_support import TASK_LOG, fire, pollers
from tests.watching_support import World, world

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from airflow_provider_omics.hooks.omics import OmicsHook
    from tests.airflow_support import Connect

__all__ = ["world"]

MINUTE = {"pending": 0, "starting": 5, "running": 50, "stopping": 5}
Lines = Callable[..., list[str]]


def no_hook() -> OmicsHook:
    raise AssertionError("nobody has asked for a look")


# -- who shares ------------------------------------------------------------------------------------------------------


async def test_one_poller_for_each_connection_region_verify_and_config() -> None:
    """The same four: the same poller; each difference: another."""
    same = ("aws_default", "us-east-1", None, {"retries": {"total_max_attempts": 2}})
    others: list[tuple[Any, ...]] = [
        ("aws_lab", *same[1:]),
        ("aws_default", None, *same[2:]),
        (*same[:2], False, same[3]),
        (*same[:3], {"retries": {"total_max_attempts": 3}}),
        (*same[:3], None),
    ]
    ours = poller_of(no_hook, *same)

    assert poller_of(no_hook, *same[:3], {"retries": {"total_max_attempts": 2}}) is ours
    assert len({id(poller_of(no_hook, *other)) for other in others} | {id(ours)}) == 6


def test_event_loops_in_several_threads(emulator: OmicsEmulator, connect: Connect) -> None:
    """Each loop has its own poller, also at the same time; none is left when its loop has ended."""
    world = World(emulator, None)  # type: ignore[arg-type]  # no virtual time: the runs have ended
    world.scenario(MINUTE)
    runs = world.start(4)
    emulator.advance(3600)
    with ThreadPoolExecutor(4) as pool:
        payloads = list(pool.map(fire, [OmicsRunTrigger(run) for run in runs]))

    assert [payload["snapshot"]["status"] for payload in payloads] == ["COMPLETED"] * 4
    gc.collect()
    assert not [loop for loop, found in waiting_poller._pollers.items() if found]


def test_one_client_for_all_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty waits: one client, which is closed with the last of them."""
    opened: list[object] = []
    make = SharedClient._make

    async def counted(shared: Any) -> Any:
        opened.append(shared)
        return await make(shared)

    monkeypatch.setattr(SharedClient, "_make", counted)
    world.scenario(MINUTE)

    world.play(*(world.wait(world.trigger(run)) for run in world.start(30)))

    assert len(opened) == 1


def test_nothing_is_left(world: World) -> None:
    """No task, no poller, no connection when the last wait has ended; a wait after that finds a new poller."""
    world.scenario(MINUTE)
    runs = world.start(12)
    left: list[Any] = []

    async def look_around() -> None:
        await asyncio.gather(*(world.wait(world.trigger(run)) for run in runs))
        left.extend(pollers())
        left.extend(asyncio.all_tasks() - {asyncio.current_task(), *others})
        await world.wait(world.trigger(runs[0]))

    others: set[Any] = set()

    async def play() -> None:
        others.add(asyncio.current_task())
        await world.time.play(look_around())

    asyncio.run(play())

    assert left == []


# -- cancellation, death ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 0.2, 20.0, 57.0])
def test_cancelling_one_trigger_leaves_the_others(world: World, after: float) -> None:
    """Whether it waits for its first look, is in a round, or for the next one."""
    world.scenario(MINUTE)
    gone, *runs = world.start(12)

    async def leave() -> None:
        waiting = asyncio.ensure_future(world.wait(world.trigger(gone)))
        await world.time.sleep(after)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    _, *events = world.play(leave(), *(world.wait(world.trigger(run)) for run in runs))

    assert [event.snapshot.status for event in events] == ["COMPLETED"] * 11
    assert gone not in world.ended_at


def test_two_waits_on_one_run(world: World) -> None:
    """A task and a sensor wait for the same run: one look serves both, and one may leave."""
    world.scenario(MINUTE)
    run = world.start()[0]

    async def leave() -> None:
        waiting = asyncio.ensure_future(world.wait(world.trigger(run)))
        await world.time.sleep(15)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    *events, _ = world.play(world.wait(world.trigger(run)), world.wait(world.trigger(run)), leave())

    assert [event.snapshot.status for event in events] == ["COMPLETED", "COMPLETED"]
    assert world.calls["GetRun"] <= 8


def test_cancelled_poller_is_replaced(world: World) -> None:
    """Somebody cancels all tasks that he does not know: every wait goes on."""
    world.scenario(MINUTE)

    async def cancel() -> None:
        for _ in range(5):
            await world.time.sleep(9)
            for poller in pollers():
                assert poller._polling is not None
                poller._polling.cancel()

    *events, _ = world.play(*(world.wait(world.trigger(run)) for run in world.start(12)), cancel())

    assert [event.snapshot.status for event in events] == ["COMPLETED"] * 12


def test_poller_that_dies_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bug in passing ends no wait, and stands in the triggerer's log, not in a task's."""
    breaks_in(monkeypatch, times=1)
    world.scenario(MINUTE)

    async def wait(run: str) -> Any:
        whose.set(run)
        return await world.wait(world.trigger(run))

    with noted() as lines:
        events = world.play(*(wait(run) for run in world.start(12)))

    assert [event.snapshot.status for event in events] == ["COMPLETED"] * 12
    assert [context for line, context in lines if line == "The poller died"] == ["nobody's"]


def test_poller_that_dies_again_and_again_fails_every_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that stays reaches each wait as its event: none hangs."""
    breaks_in(monkeypatch, times=1000)
    world.scenario(MINUTE)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(12)))

    assert {event.outcome for event in events} == {Outcome.LOST_CONTACT}
    assert {event.error for event in events} == {"RuntimeError: a bug"}


def breaks_in(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    plan = Poller._plan
    left = [times]

    def broken(poller: Poller, now: float) -> float:
        if any(subject.seen for subject in poller._subjects.values()) and left[0]:
            left[0] -= 1
            raise RuntimeError("a bug")
        return plan(poller, now)

    monkeypatch.setattr(Poller, "_plan", broken)


# -- logs, credentials -----------------------------------------------------------------------------------------------


whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose", default="nobody's")


@contextmanager
def noted() -> Iterator[list[tuple[str, str]]]:
    """Note each line and the context that it was written in: Airflow routes lines into task logs by context."""
    lines: list[tuple[str, str]] = []

    class Note(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((record.getMessage(), whose.get()))

    handler = Note()
    loggers = (TASK_LOG, logging.getLogger("airflow_provider_omics"))
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def test_lines_land_in_the_right_log(world: World) -> None:
    """What is said to a wait is written in its own context; what the poller says is written in no wait's."""
    world.scenario(MINUTE)
    world.emulator.faults.add(operation="ListRuns", error="AccessDeniedException")
    runs = world.start(8)

    async def wait(run: str) -> None:
        whose.set(run)
        await world.wait(world.trigger(run))

    with noted() as lines:
        world.play(*(wait(run) for run in runs))

    of_runs = [(line, context) for line, context in lines if line.startswith("Run 1")]
    assert {context for _, context in of_runs} == set(runs)
    assert all(line.startswith(f"Run {context}:") for line, context in of_runs)
    assert {context for line, context in lines if "one by one" in line} == {"nobody's"}


def test_assumed_role_is_renewed_beside_the_event_loop(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials for 15 minutes are renewed at every call, as botocore renews so long before: never in the loop."""
    threads: list[threading.Thread] = []
    renew = BaseSessionFactory._refresh_credentials

    def renewed(factory: Any) -> Any:
        threads.append(threading.current_thread())
        return renew(factory)

    monkeypatch.setattr(BaseSessionFactory, "_refresh_credentials", renewed)
    connect(
        role_arn="arn:aws:iam::123456789012:role/waits",
        assume_role_kwargs={"DurationSeconds": 900},
        service_config={"sts": {"endpoint_url": world.emulator.url}},
    )
    world.scenario(MINUTE)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(2)))

    assert [event.snapshot.status for event in events] == ["COMPLETED", "COMPLETED"]
    assert len(threads) > 4
    assert threading.main_thread() not in threads


def test_refused_credentials_are_read_anew(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    """Keys are rotated while runs are waited for: a new client reads the connection again, and no wait ends."""
    rotated: list[float] = []
    get_run = service._HANDLERS["GetRun"]
    make = SharedClient._make

    def refused(*arguments: Any) -> Any:
        if rotated and opened[-1] < rotated[0]:
            raise ServiceError("ExpiredTokenException", "The security token included in the request is expired")
        return get_run(*arguments)

    async def noted_make(shared: Any) -> Any:
        opened.append(world.time.now)
        return await make(shared)

    opened: list[float] = []
    # An error of AWS's front end, which no model lists.
    monkeypatch.setitem(error_statuses(), "ExpiredTokenException", 403)
    monkeypatch.setitem(application._wire()._error_statuses, "ExpiredTokenException", 403)
    monkeypatch.setitem(service._HANDLERS, "GetRun", refused)
    monkeypatch.setattr(SharedClient, "_make", noted_make)
    world.scenario(MINUTE)

    async def rotate() -> None:
        await world.time.sleep(35)
        rotated.append(world.time.now)

    *events, _ = world.play(*(world.wait(world.trigger(run)) for run in world.start(3)), rotate())

    assert [event.snapshot.status for event in events] == ["COMPLETED"] * 3
    assert len(opened) == 2
    assert max(map(world.delay, world.ended_at)) <= 12
    assert not log_lines(logging.WARNING)
