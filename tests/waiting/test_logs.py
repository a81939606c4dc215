"""A log handler that raises, and rounds that are cancelled: each trigger has its event, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.wait.events import Outcome
from airflow_provider_omics.triggers import base
from airflow_provider_omics.waiting.rounds import Rounds
from tests.airflow_support import TASK_LOG, TaskInstanceRecord, pollers, rest
from tests.watching_support import World, world

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["world"]

MINUTE = {"pending": 0, "starting": 5, "running": 50, "stopping": 5}


class Raising(logging.Handler):
    """A handler whose place is full."""

    struck = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.struck += 1
        raise OSError("No space left on device")


@pytest.fixture
def raising() -> Iterator[Raising]:
    """Let every line of the tasks and of the poller raise."""
    handler = Raising()
    loggers = [TASK_LOG, logging.getLogger("airflow_provider_omics")]
    for log in loggers:
        log.addHandler(handler)
        log.setLevel(logging.INFO)
    yield handler
    for log in loggers:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)


@pytest.mark.parametrize("count", [1, 12], ids=["looks", "rounds"])
@pytest.mark.parametrize("fault", [None, "AccessDeniedException", "ThrottlingException"])
def test_each_wait_has_its_event(world: World, raising: Raising, count: int, fault: str | None) -> None:
    """A full disk ends no wait: neither the lines of the waits themselves nor those of the poller."""
    world.scenario(MINUTE)
    if fault is not None:
        world.emulator.faults.add(operation="ListRuns", error=fault, times=2)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(count)))

    assert {(event.outcome, event.snapshot.status) for event in events} == {(Outcome.ENDED, "COMPLETED")}
    assert raising.struck


def test_death_of_the_poller_that_cannot_be_told(
    world: World, raising: Raising, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies once, and the line about it raises: the waits ask again, and a new one answers."""
    plan, deaths = Rounds.plan, [1]

    def dying(self: Rounds, *values: Any) -> None:
        if deaths[0]:
            deaths[0] -= 1
            raise KeyError("a bug")
        plan(self, *values)

    monkeypatch.setattr(Rounds, "plan", dying)
    world.scenario(MINUTE)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(3)))

    assert [event.outcome for event in events] == [Outcome.ENDED] * 3
    assert deaths == [0]


def test_event_of_a_wait_that_breaks(world: World, raising: Raising, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait itself has a bug, and the line about it raises: there is an event all the same."""

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("a bug")

    monkeypatch.setattr(base, "wait", broken)
    world.scenario(MINUTE)

    (event,) = world.play(world.wait(world.trigger(world.start()[0])))

    assert event.outcome is Outcome.LOST_CONTACT
    assert "KeyError" in (event.error or "")


@pytest.mark.parametrize("answers", [True, False], ids=["failed", "no answer"])
def test_kill_cancels(world: World, raising: Raising, *, answers: bool) -> None:
    """A user's kill cancels, whether or not Airflow's answer, or the lack of it, can be told."""
    world.scenario({"running": 5000.0})
    run = world.start()[0]
    trigger = world.trigger(run)

    class Silent(TaskInstanceRecord):
        def current_state(self) -> str:
            raise ConnectionError("the api-server is down")

    instance: Any = TaskInstanceRecord() if answers else Silent()
    trigger.task_instance = instance

    world.play(trigger.on_kill())

    assert world.told(run)["status"] in ("STOPPING", "CANCELLED")


@pytest.mark.parametrize("pages", [1, 2, 5])
def test_rounds_that_are_cancelled_leave_nothing_behind(world: World, pages: int) -> None:
    """All triggers go while a page is under way: no place stays taken, no task's error is left to nobody."""
    world.scenario({"running": 50_000.0})
    triggers = [world.trigger(run) for run in world.start(250)]
    unheard: list[dict[str, Any]] = []

    async def go() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
        waits = [asyncio.ensure_future(drain(trigger)) for trigger in triggers]
        seen: list[Any] = []
        while world.calls.get("ListRuns", 0) < pages:
            await world.time.sleep(0.5)
        seen = list(pollers())
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await rest()
        assert not pollers()
        assert [poller._calls.under_way for poller in seen] == [0]
        assert [len(poller._tasks) for poller in seen] == [0]

    async def drain(trigger: Any) -> None:
        async for _ in trigger.run():
            pass

    world.play(go())
    gc.collect()

    assert unheard == []
