"""Many waits in one event loop, in the emulator's time: it moves when all of them have nothing left to do but wait."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from airflow_provider_omics.core.wait.events import WaitEvent, parse_event
from airflow_provider_omics.triggers import base as triggers_base
from airflow_provider_omics.triggers.base import OmicsWaitTrigger
from airflow_provider_omics.triggers.run import OmicsRunTrigger
from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger
from airflow_provider_omics.waiting import poller as waiting_poller
from tests.airflow_support import DEFAULT_RUN_SETTING, ONE_TRY, TASK_LOG, rest, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

T = TypeVar("T")
Trigger = TypeVar("Trigger", bound=OmicsWaitTrigger)

LIMITS = {"concurrent_dynamic_runs": 100_000, "submissions_per_second": 100_000}


class VirtualTime:
    """The module ``asyncio`` whose ``sleep`` ends in the emulator's time."""

    def __init__(self, emulator: OmicsEmulator) -> None:
        self._emulator = emulator
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @property
    def now(self) -> float:
        return self._emulator.clock.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._numbers), awake))
        await awake

    async def play(self, work: Coroutine[Any, Any, T]) -> T:
        """Let time pass until some work is done."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await rest()
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if task.done() or not self._sleepers:
                continue
            moment, _, awake = heapq.heappop(self._sleepers)
            self._emulator.advance(max(0.0, moment - self.now))
            awake.set_result(None)
        return await task


@dataclass
class World:
    """A service, its time, and waits."""

    emulator: OmicsEmulator
    time: VirtualTime
    ended_at: dict[str, float] = field(default_factory=dict)

    def scenario(self, *runs: dict[str, Any], limits: dict[str, Any] | None = None, **more: Any) -> None:
        self.emulator.set_scenario({"limits": {**LIMITS, **(limits or {})}, "runs": list(runs), **more})

    def start(self, count: int = 1, name: str = "run", **more: Any) -> list[str]:
        request = {**DEFAULT_RUN_SETTING, "storageType": "DYNAMIC", **more}
        return [
            self.emulator.service.call("StartRun", {**request, "name": f"{name}-{i}", "requestId": f"{name}-{i}"})["id"]
            for i in range(count)
        ]

    def start_batch(self, *names: str) -> str:
        request = {
            "requestId": "batch",
            "defaultRunSetting": {**DEFAULT_RUN_SETTING, "storageType": "DYNAMIC"},
            "batchRunSettings": {"inlineSettings": samples(*names)},
        }
        return str(self.emulator.service.call("StartRunBatch", request)["id"])

    def told(self, run_id: str) -> dict[str, Any]:
        return next(run for run in self.emulator.service.started_runs() if run["id"] == run_id)

    def trigger(self, run_id: str, **more: Any) -> OmicsRunTrigger:
        arguments = {"poll_interval": 10.0, "run_uuid": self.told(run_id)["uuid"], "botocore_config": ONE_TRY, **more}
        return with_log(OmicsRunTrigger(run_id, **arguments))

    def batch_trigger(self, batch_id: str, **more: Any) -> OmicsRunBatchTrigger:
        return with_log(OmicsRunBatchTrigger(batch_id, poll_interval=10.0, botocore_config=ONE_TRY, **more))

    async def wait(self, trigger: Any, after: float = 0.0) -> WaitEvent:
        """Wait with a trigger from a moment on, as a triggerer does."""
        await self.time.sleep(after)
        events = [event async for event in trigger.run()]
        assert len(events) == 1, f"a trigger fires one event, not {len(events)}"
        self.ended_at[trigger.plan.id] = self.time.now
        return parse_event(json.loads(json.dumps(events[0].payload)), trigger.kind)

    def play(self, *waits: Coroutine[Any, Any, Any]) -> list[Any]:
        """Let all waits end, in one event loop."""

        async def together() -> list[Any]:
            return list(await asyncio.gather(*waits))

        return asyncio.run(self.time.play(together()))

    def delay(self, run_id: str) -> float:
        """Tell how many seconds after its end a run's wait had its event."""
        return float(self.ended_at[run_id] - self.told(run_id)["stopTime"].timestamp())

    @property
    def calls(self) -> dict[str, int]:
        return self.emulator.calls.by_operation()

    def after(self, seconds: float) -> float:
        """Give a moment, in seconds since the epoch."""
        return float((self.emulator.clock.now() + timedelta(seconds=seconds)).timestamp())


def with_log(trigger: Trigger) -> Trigger:
    vars(trigger)["_log"] = TASK_LOG  # Airflow types it as its own kind of logger
    return trigger


def stepped_world(emulator: OmicsEmulator, patch: pytest.MonkeyPatch) -> World:
    """Put many waits into the emulator's time."""
    time = VirtualTime(emulator)
    for module in (triggers_base, waiting_poller):
        patch.setattr(module, "asyncio", time)
    return World(emulator, time)


@pytest.fixture
def world(emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch) -> World:
    """Many waits in the emulator's time."""
    return stepped_world(emulator, monkeypatch)
