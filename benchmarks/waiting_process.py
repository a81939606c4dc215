"""One process that waits for runs in one event loop, as a triggerer does, and tells what that cost.

Started afresh by ``waits.py`` for each measurement, so that nothing of an earlier one is left in it. What to do is its
argument; it prints ``ready`` once everything is imported, reads the ids of the runs, and prints the measurement (JSON).
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import EndpointConnectionError

HEARTBEAT = 0.05
"""Seconds between two beats; the watchdog of Airflow's triggerer beats half as often.

What a beat is late by is how long the event loop was blocked, less the time for which its thread was ready to run and
had no processor: that is others' use of the machine (the emulator's, for one).
"""


@dataclass
class Measurement:
    """What the waits of one process cost.

    :param waits: how many there were.
    :param cpu_ms: CPU time of all that a triggerer pays, in ms per wait: the imports of the first client, and the
        process from the first wait to the last event, its heartbeat included.
    :param cpu_ms_of_waits: the same less those imports and the heartbeat, which does not grow with the waits.
    :param memory_kb: how far the peak of the resident memory rose meanwhile, in KB per wait.
    :param resident_mb: the resident memory of the whole process after the last event, with all that is imported, in MB.
    :param longest_block: the longest for which the event loop was blocked, in seconds.
    :param longest_blocks: the five longest: seconds since the start, how long, and for how long there was no processor.
    :param seconds: from the first wait to the last event, by the wall clock.
    :param ended_at: by run id: when the event was there, in seconds since the epoch by the emulator's clock.
    :param outcomes: by run id: the status that its event told, one entry an event.
    :param left: ids of runs whose wait was cancelled.
    :param leaked: tasks, sockets and clients that were there at the end.
    """

    waits: int
    cpu_ms: float = 0.0
    cpu_ms_of_waits: float = 0.0
    memory_kb: float = 0.0
    resident_mb: float = 0.0
    longest_block: float = 0.0
    longest_blocks: list[tuple[float, float, float]] = field(default_factory=list)
    seconds: float = 0.0
    ended_at: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)


class ScaledTime:
    """The module ``time`` of a process whose seconds pass ``speed`` times as fast."""

    def __init__(self, speed: float, now: float) -> None:
        self._speed = speed
        self._offset = now - time.monotonic() * speed

    def time(self) -> float:
        """Tell the emulator's time."""
        return self._offset + time.monotonic() * self._speed

    monotonic = time


class ScaledAsyncio:
    """The module ``asyncio``, but for ``sleep``."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    async def sleep(self, seconds: float) -> None:
        """Sleep so many of the emulator's seconds."""
        await asyncio.sleep(seconds / self._speed)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


class Heart:
    """A timer of the running event loop; how late each beat is tells for how long the loop was blocked."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._blocks = [(0.0, 0.0, 0.0)]
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HEARTBEAT, self._beat, self._began, seconds_without_processor())

    def _beat(self, before: float, without_processor: float) -> None:
        now, queued = time.monotonic(), seconds_without_processor()
        kept_waiting = queued - without_processor
        blocked = now - before - HEARTBEAT - kept_waiting
        if blocked > HEARTBEAT / 10:
            self._blocks.append((before - self._began, blocked, kept_waiting))
        self._timer = self._loop.call_later(HEARTBEAT, self._beat, now, queued)

    def stop(self) -> list[tuple[float, float, float]]:
        """Beat no more.

        :return: the longest blocks: see :class:`Measurement`.
        """
        self._timer.cancel()
        longest = sorted(self._blocks, key=lambda beat: -beat[1])[:5]
        return [(round(at, 2), round(blocked, 3), round(kept, 3)) for at, blocked, kept in longest]


async def heartbeat_cost(seconds: float = 5.0) -> float:
    """Tell what the heartbeat takes by itself, in seconds of CPU time a second."""
    heart = Heart()
    before = time.process_time()
    await asyncio.sleep(seconds)
    cost = time.process_time() - before
    heart.stop()
    return cost / seconds


async def measure(
    triggers: dict[str, Any], clock: Callable[[], float], comings: float, heartbeat: float, first_client: float
) -> Measurement:
    """Wait with all triggers.

    :param triggers: by run id.
    :param clock: the emulator's.
    :param comings: seconds over which waits come and a third of them goes before its end; 0: all come at once and stay.
    :param heartbeat: what :func:`heartbeat_cost` has told.
    :param first_client: seconds of CPU time that the imports of the first client have taken.
    """
    found = Measurement(waits=len(triggers))

    async def wait(run_id: str, trigger: Any) -> None:
        async for event in trigger.run():
            found.ended_at[run_id] = clock()
            payload = event.payload
            told = payload.get("snapshot", {}).get("status") if payload.get("outcome") == "ended" else None
            found.outcomes.setdefault(run_id, []).append(told or str(payload.get("outcome") or payload.get("status")))

    async def visit(run_id: str, trigger: Any) -> None:
        await asyncio.sleep(random.uniform(0, comings * 0.7))
        waiting = asyncio.ensure_future(wait(run_id, trigger))
        if random.random() < 1 / 3:
            await asyncio.wait([waiting], timeout=random.uniform(0, comings * 0.3))
            if waiting.cancel():
                found.left.append(run_id)
        with suppress(asyncio.CancelledError):
            await waiting

    gc.collect()
    gc.freeze()  # what is imported is no cost of the waits; a pass of the collector over all of Airflow takes 0.2 s
    forget_peak()
    memory, sockets = resident_kb("VmRSS"), open_sockets()
    started = time.process_time()
    began = time.monotonic()
    heart = Heart()
    work = visit if comings else wait
    waits = []
    for item in triggers.items():
        waits.append(asyncio.ensure_future(work(*item)))
        await asyncio.sleep(0)  # as a triggerer does after each (TriggerRunner.create_triggers)
    await asyncio.gather(*waits)
    found.seconds = time.monotonic() - began
    cpu = time.process_time() - started
    found.cpu_ms = (first_client + cpu) * 1000 / len(triggers)
    found.cpu_ms_of_waits = (cpu - heartbeat * found.seconds) * 1000 / len(triggers)
    found.memory_kb = (resident_kb("VmHWM") - memory) / len(triggers)
    found.resident_mb = resident_kb("VmRSS") / 1024
    await asyncio.sleep(2 * HEARTBEAT)
    found.longest_blocks = heart.stop()
    found.longest_block = found.longest_blocks[0][1]
    left = asyncio.all_tasks() - {asyncio.current_task()}
    found.leaked = [repr(task) for task in left] + sorted(open_sockets() - sockets)
    return found


_schedule = os.open("/proc/self/schedstat", os.O_RDONLY)


def seconds_without_processor() -> float:
    """Tell for how long the main thread, which is the event loop's, was ready to run and had no processor so far."""
    return int(os.pread(_schedule, 100, 0).split()[1]) / 1e9


def forget_peak() -> None:
    """Have the peak of this process's memory begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def resident_kb(name: str) -> int:
    """Read a figure of this process's memory: ``VmRSS`` or ``VmHWM``, its peak."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


def open_sockets() -> set[str]:
    """List the sockets of this process that are connections."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(entry.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                    if copy.family == socket.AF_INET:
                        found.add(f"{copy.getsockname()} -> {copy.getpeername()}")
    return found


def import_all() -> None:
    """Import what the first client and the first call of any service import."""
    sts = boto3.client("sts", **_NOWHERE)
    with suppress(EndpointConnectionError):
        sts.get_caller_identity()


async def import_all_of_stock() -> None:
    """The same for the stock pattern, which needs aiobotocore."""
    from aiobotocore.session import AioSession

    async with AioSession().create_client("sts", **_NOWHERE) as sts:
        with suppress(EndpointConnectionError):
            await sts.get_caller_identity()


_NOWHERE = {
    "region_name": "us-east-1",
    "endpoint_url": "http://127.0.0.1:9",
    "aws_access_key_id": "none",
    "aws_secret_access_key": "none",
}


_IN_ITS_TIME = ("airflow_provider_omics.triggers.", "airflow_provider_omics.waiting.")


def our_triggers(runs: list[str], order: dict[str, Any], scaled: ScaledTime | None) -> dict[str, Any]:
    """Make a trigger of ours for each run, whose time passes as the emulator's does."""
    from airflow_provider_omics.triggers import base
    from airflow_provider_omics.triggers.run import OmicsRunTrigger
    from airflow_provider_omics.waiting import poller

    if scaled is not None and order["speed"] != 1:
        for name, module in list(sys.modules.items()):
            if name.startswith(_IN_ITS_TIME) and hasattr(module, "time"):
                vars(module)["time"] = scaled
        for module in (base, poller):
            vars(module)["asyncio"] = ScaledAsyncio(order["speed"])
    return {run: OmicsRunTrigger(run, poll_interval=order["interval"]) for run in runs}


def stock_triggers(runs: list[str], order: dict[str, Any], scaled: ScaledTime | None) -> dict[str, Any]:
    """Make a trigger of the Amazon provider's pattern for each run, likewise."""
    from airflow.providers.amazon.aws.utils import waiter_with_logging
    from stock_trigger import StockRunTrigger

    if scaled is not None:
        vars(waiter_with_logging)["asyncio"] = ScaledAsyncio(order["speed"])
    return {run: StockRunTrigger(run, waiter_delay=order["interval"]) for run in runs}


def main() -> None:
    """Do what the argument says."""
    order = json.loads(sys.argv[1])
    logging.disable(logging.INFO)

    triggers_of = our_triggers if order["pattern"] == "ours" else stock_triggers
    triggers_of([], order, None)  # the triggers' own imports: imports.py measures them
    before = time.process_time()
    import_all()  # ahead of the waits, so that the figures of the loop are those of a triggerer at work
    if order["pattern"] == "stock":
        asyncio.run(import_all_of_stock())
    first_client = time.process_time() - before
    heartbeat = asyncio.run(heartbeat_cost())
    print("ready", flush=True)
    given = json.loads(sys.stdin.readline())
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = given["connection"]
    scaled = ScaledTime(order["speed"], given["now"])
    triggers = triggers_of(given["runs"], order, scaled)
    random.seed(0)
    profiler = None
    if order.get("profile"):
        import cProfile

        profiler = cProfile.Profile(time.process_time)  # what the wall clock adds is others' use of the CPU
        profiler.enable()
    found = asyncio.run(measure(triggers, scaled.time, order["comings"], heartbeat, first_client))
    if profiler is not None:
        profiler.disable()
        profiler.dump_stats(order["profile"])
    print(json.dumps(asdict(found)), flush=True)


if __name__ == "__main__":
    main()
