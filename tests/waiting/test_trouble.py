"""Trouble beside the service's own: a connection that Airflow does not tell, a client nobody waits for, a bug."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.core.wait.events import Outcome
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.triggers import base
from airflow_provider_omics.triggers.run import OmicsRunTrigger
from airflow_provider_omics.waiting import client as shared_client
from airflow_provider_omics.waiting import pending
from airflow_provider_omics.waiting.client import SharedClient
from airflow_provider_omics.waiting.rounds import Rounds
from tests.airflow_support import DEFAULT_RUN_SETTING, TaskInstanceRecord, pollers, quick_hook
from tests.connection_support import fails, misses, others
from tests.watching_support import World, with_log, world

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

__all__ = ["others", "world"]

MINUTE = {"pending": 0, "starting": 5, "running": 50, "stopping": 5}


# -- the connection --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 12])
def test_connection_that_cannot_be_read_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Airflow's api-server is away when the client is opened: no wait ends, whether looked at alone or in a round."""
    left = fails(monkeypatch, lambda: AirflowException("API_SERVER_ERROR"), times=3)
    world.scenario(MINUTE)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(count)))

    assert {event.outcome for event in events} == {Outcome.ENDED}
    assert left == [0]


@pytest.mark.parametrize("count", [3, 12])
def test_connection_that_is_not_found_for_a_while(
    world: World, others: OmicsEmulator, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A secrets backend fails, which Airflow tells as "not found": what the machine itself sees proves nothing."""
    left = misses(monkeypatch, times=2)
    world.scenario(MINUTE)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(count)))

    assert {event.outcome for event in events} == {Outcome.ENDED}
    assert {event.snapshot.status for event in events} == {"COMPLETED"}
    assert left == [0]
    assert others.calls["GetRun"]


def test_connection_that_there_is_none_of(world: World, others: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some minutes what the machine's own identity sees is believed: the connection may be meant to be empty."""
    misses(monkeypatch)
    started = world.time.now
    run = world.start()[0]

    (event,) = world.play(world.wait(world.trigger(run)))

    assert event.outcome is Outcome.VANISHED
    assert shared_client.DOUBT <= world.ended_at[run] - started < 2 * shared_client.DOUBT


# -- a client that is being opened -----------------------------------------------------------------------------------


class SlowHook(OmicsHook):
    """A hook whose client takes its time, and then cannot be made."""

    may_fail = threading.Event()

    def get_client_type(self, *_: Any, **__: Any) -> Any:
        self.may_fail.wait()
        raise AirflowException("STS does not answer")


async def test_end_of_a_poller_waits_for_no_client(connect: Connect) -> None:
    """Ten looks wait for a client, and are given up: it is made once, and the poller ends without it."""
    SlowHook.may_fail.clear()
    made: list[OmicsHook] = []

    def make_hook() -> OmicsHook:
        made.append(SlowHook())
        return made[-1]

    client = SharedClient(make_hook)
    looks = [asyncio.ensure_future(client.get()) for _ in range(10)]
    await asyncio.sleep(0.01)
    for look in looks:
        look.cancel()
    await asyncio.wait(looks)

    client.close()

    assert len(made) == 1
    another = asyncio.ensure_future(client.get())
    SlowHook.may_fail.set()
    with pytest.raises(Unavailable, match="STS does not answer"):
        await another
    assert len(made) == 2


async def test_client_that_is_made_too_late_is_closed(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """The poller has ended meanwhile: who still waits is told to ask again, and nothing is left open."""
    may_go_on, begun = asyncio.Event(), asyncio.Event()
    make = SharedClient._make
    closed: list[str] = []

    async def slowly(shared: SharedClient) -> Any:
        begun.set()
        await may_go_on.wait()
        made = await make(shared)
        monkeypatch.setattr(made[0].conn, "close", lambda: closed.append("client"))
        return made

    monkeypatch.setattr(SharedClient, "_make", slowly)
    client = SharedClient(quick_hook)
    asked = asyncio.ensure_future(client.get())
    await begun.wait()

    client.close()
    may_go_on.set()

    with pytest.raises(Unavailable, match="PollerStopped"):
        await asked
    assert closed == ["client"]
    assert client.budget._limits == {}


async def test_kill_outlives_the_poller(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poller is cancelled while a kill waits for its client: the run is cancelled all the same."""
    run = emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": "theirs"})
    make, begun = SharedClient._make, asyncio.Event()

    async def slowly(shared: SharedClient) -> Any:
        if not begun.is_set():
            begun.set()
            pollers()[0]._polling.cancel()  # type: ignore[union-attr]
        return await make(shared)

    monkeypatch.setattr(SharedClient, "_make", slowly)
    trigger: Any = with_log(OmicsRunTrigger(run["id"]))
    trigger.task_instance = TaskInstanceRecord(state="failed")

    await trigger.on_kill()

    assert begun.is_set()
    assert emulator.calls["CancelRun"] == 1
    assert pollers() == []


# -- bugs, and limits in a crowd -------------------------------------------------------------------------------------


def test_round_that_breaks_reaches_every_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no round foresees becomes the event of those that it looked at: none hangs."""

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Rounds, "_listed", broken)
    world.scenario(MINUTE)

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(12)))

    assert {event.error for event in events if event.outcome is Outcome.LOST_CONTACT} == {"RuntimeError: a bug"}
    assert {event.outcome for event in events} <= {Outcome.LOST_CONTACT, Outcome.ENDED}


def test_explanation_that_breaks_ends_no_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]]
) -> None:
    """Why a run stays PENDING cannot be told: the wait goes on, and says so."""

    def broken(*_: Any, **__: Any) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(pending, "queueing_line", broken)
    world.scenario({**MINUTE, "pending": 2400})

    (event,) = world.play(world.wait(world.trigger(world.start()[0])))

    assert event.outcome is Outcome.ENDED
    assert [line for line in log_lines() if "why could not be asked: a bug" in line]


def test_run_timeout_is_kept_when_many_join_at_once(world: World) -> None:
    """A triggerer has started anew, and GetRun has a part of the budget only: ListRuns tells whose time is up."""
    world.scenario({**MINUTE, "running": 36_000})
    runs = world.start(60)
    world.emulator.advance(10)  # all of them have been RUNNING for 5 seconds
    due = world.time.now - 5 + 60

    events = world.play(*(world.wait(world.trigger(run, run_timeout=60.0)) for run in runs))

    assert {(event.outcome, event.limit) for event in events} == {(Outcome.TIMED_OUT, "run_timeout")}
    # 60 looks at 5 a second, and the cancels.
    assert max(world.ended_at.values()) - due < 30


def test_patience_of_a_kill() -> None:
    """A kill stays within the 30 s that Airflow gives it; the end of its poller takes no time."""
    assert base.KILL_PATIENCE < 30
