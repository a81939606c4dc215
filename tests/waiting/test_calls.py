"""Whose turn a call is, and how many are made: in one poller, and in several that share a Region."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.wait.rounds import Budget
from airflow_provider_omics.emulator.api import service
from airflow_provider_omics.waiting.calls import Calls, Urgency
from airflow_provider_omics.waiting.client import CANCELS, LOOKS
from tests.watching_support import World, world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.airflow_support import Connect

__all__ = ["world"]

MINUTE = {"pending": 0, "starting": 5, "running": 50, "stopping": 5}


class Budgets:
    """Has what calls need of a shared client: budgets, and a hook that nobody asks for anything.

    :param limit: calls a second.
    """

    def __init__(self, limit: float) -> None:
        self.budget, self.spare = Budget(), Budget()
        self.budget.join(self, limit)
        self.spare.join(self, limit / 4)

    async def get(self) -> Any:
        return None


def calls_within(limit: float) -> Calls:
    return Calls(Budgets(limit), asyncio.Event())  # type: ignore[arg-type]  # nothing is sent


async def begin(calls: Calls, now: float) -> None:
    """Let calls begin, until nothing is left to do in the event loop itself."""
    for _ in range(5):
        await asyncio.sleep(0)
    calls.begin(now)
    for _ in range(5):
        await asyncio.sleep(0)


async def until_none_is_under_way(calls: Calls) -> None:
    while calls.under_way:  # noqa: ASYNC110  # threads end when they end
        await asyncio.sleep(0.001)


async def test_the_most_urgent_call_is_next() -> None:
    """Cancels at once, whatever the budget; then by urgency; what can wait gets a quarter of the budget."""
    calls = calls_within(1.0)
    made: list[Urgency] = []
    asked = [
        asyncio.ensure_future(calls.make(urgency, partial(lambda urgency, _: made.append(urgency), urgency)))
        for urgency in sorted(Urgency, reverse=True)
    ]

    order: list[list[Urgency]] = []
    for second in range(10):
        made.clear()
        await begin(calls, float(second))
        await until_none_is_under_way(calls)
        order.append(sorted(made))  # made in threads: those of one moment end in any order

    assert order[0] == [Urgency.CANCEL, Urgency.MANIFEST, Urgency.LAST_LOOK]
    assert order[1:5] == [[urgency] for urgency in sorted(Urgency)[3:7]]
    assert order[5:] == [[], [], [], [Urgency.EXPLAIN], []]
    await asyncio.gather(*asked)


@pytest.mark.parametrize(("urgency", "places"), [(Urgency.ROUND, LOOKS), (Urgency.CANCEL, CANCELS)])
async def test_calls_under_way_are_bounded(urgency: Urgency, places: int) -> None:
    """A budget of a thousand calls a second: ten at once all the same, and the next when one of them has ended."""
    calls = calls_within(1000.0)
    gate = threading.Event()
    asked = [asyncio.ensure_future(calls.make(urgency, lambda _: gate.wait())) for _ in range(3 * places)]
    seen = []
    for second in range(3):
        await begin(calls, float(second))
        seen.append(calls.under_way)
    gate.set()
    while not all(call.done() for call in asked):
        await begin(calls, 10.0)

    assert seen == [places] * 3


async def test_place_is_free_when_its_thread_is() -> None:
    """Ten looks hang, and nobody waits for them any more: no eleventh begins, but a cancel does."""
    calls = calls_within(1000.0)
    gate = threading.Event()
    hanging = [asyncio.ensure_future(calls.make(Urgency.ROUND, lambda _: gate.wait())) for _ in range(LOOKS)]
    await begin(calls, 0.0)
    for call in hanging:
        call.cancel()
    await asyncio.wait(hanging)

    look = asyncio.ensure_future(calls.make(Urgency.LAST_LOOK, lambda _: "seen"))
    cancel = asyncio.ensure_future(calls.make(Urgency.CANCEL, lambda _: "cancelled"))
    await begin(calls, 1.0)

    assert await cancel == "cancelled"
    assert not look.done()
    gate.set()
    await until_none_is_under_way(calls)
    await begin(calls, 2.0)
    assert await look == "seen"


def test_connections_of_a_region_share_one_budget(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three connections of one account and Region: together they keep to a quota of ten calls a second."""
    connection = connect()
    names = ["aws_default", "aws_lab", "aws_night"]
    for name in names:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))
    assert os.environ["AIRFLOW_CONN_AWS_LAB"]
    world.scenario(MINUTE)
    for operation in ("GetRun", "ListRuns"):
        world.emulator.faults.add(operation=operation, calls_per_second=10)
    runs = world.start(60)

    events = world.play(
        *(world.wait(world.trigger(run, aws_conn_id=names[i % 3])) for i, run in enumerate(runs)),
    )

    assert {event.snapshot.status for event in events} == {"COMPLETED"}
    codes = world.emulator.calls.by_code()
    assert {code for operation in ("GetRun", "ListRuns") for code in codes[operation]} == {"OK"}


def test_budget_that_is_not_enough_is_shared_evenly(
    world: World, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four waits, a call each ten seconds, a quarter of an hour: no wait has more than its part of the looks."""
    looks: Counter[str] = Counter()
    get_run = service._HANDLERS["GetRun"]

    def counted(state: Any, request: Any, *more: Any) -> Any:
        looks[request["id"]] += 1
        return get_run(state, request, *more)

    monkeypatch.setitem(service._HANDLERS, "GetRun", counted)
    connect({"calls_per_second": 0.1})
    world.scenario({**MINUTE, "running": 900})

    world.play(*(world.wait(world.trigger(run)) for run in world.start(4)))

    assert len(looks) == 4
    assert max(looks.values()) - min(looks.values()) <= 2


def test_defaults_of_the_connection_that_cannot_be_read(
    world: World, connect: Connect, log_lines: Callable[..., list[str]]
) -> None:
    """A wait does not fail for a mistake in settings that it does not use: its budget is the default one."""
    connect({"role_arm": "arn"})
    world.scenario(MINUTE)

    (event,) = world.play(world.wait(world.trigger(world.start()[0])))

    assert event.snapshot.status == "COMPLETED"
    assert any("The budget of calls is the default one" in line and "role_arm" in line for line in log_lines())


def test_refusals_slow_the_calls_down(world: World) -> None:
    """The account has three calls a second left of our five: once that is felt, few calls are refused."""
    world.scenario(MINUTE)
    world.emulator.faults.add(operation="GetRun", calls_per_second=3)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(100)))

    assert {event.snapshot.status for event in events} == {"COMPLETED"}
    codes = world.emulator.calls.by_code()["GetRun"]
    assert 0 < codes["ThrottlingException"] < 0.25 * codes["OK"], codes
