"""Waits that come and go at random, amid trouble: each is answered once, and right."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from airflow_provider_omics.core.wait.events import WaitEvent
from tests.airflow_support import pollers
from tests.watching_support import World, world

__all__ = ["world"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_waits_that_come_and_go(world: World, seed: int) -> None:
    """A hundred waits in five minutes; throttling, 5xx, lost calls, and a poller that is cancelled now and then."""
    chance = random.Random(seed)
    lives = [{"pending": 0, "starting": 5, "running": 20 + 60 * n, "stopping": 5} for n in range(5)]
    rules: list[dict[str, Any]] = [{"match": {"name": f"life{n}-*"}, **life} for n, life in enumerate(lives)]
    rules[0]["outcome"] = rules[3]["outcome"] = "FAILED"
    world.scenario(*rules, list_lag=3)
    runs = [run for n in range(5) for run in world.start(20, f"life{n}")]
    for error in ("ThrottlingException", "InternalServerException"):
        world.emulator.faults.add(error=error, probability=0.04)
    world.emulator.faults.add(lost_request=True, probability=0.01)
    events: dict[str, WaitEvent] = {}
    left: set[str] = set()

    async def visit(run: str) -> None:
        await world.time.sleep(chance.uniform(0, 300))
        waiting = asyncio.ensure_future(world.wait(world.trigger(run)))
        if chance.random() < 1 / 3:
            await world.time.sleep(chance.uniform(0, 100))
            if waiting.cancel():
                left.add(run)
        try:
            events[run] = await waiting
        except asyncio.CancelledError:
            assert run in left

    async def disturb() -> None:
        for _ in range(4):
            await world.time.sleep(chance.uniform(30, 90))
            for poller in pollers():
                if poller._polling is not None:
                    poller._polling.cancel()

    async def soak() -> None:
        await asyncio.gather(*(visit(run) for run in runs), disturb())
        assert pollers() == []

    world.play(soak())

    assert set(events) | left == set(runs)
    assert {run: event.snapshot.status for run, event in events.items()} == {
        run: world.told(run)["status"] for run in events
    }
    assert {event.snapshot.status for event in events.values()} == {"COMPLETED", "FAILED"}
