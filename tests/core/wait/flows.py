"""Flows of the core driven by hand: scripted answers, and a clock that only sleeps move."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from airflow_provider_omics.core.commands import WARNING, Answer, Cancel, Command, Flow, Look, ReadManifest, Say, Sleep
from airflow_provider_omics.core.errors import AccessDenied, Conflict, InvalidRequest, NotFound, ServiceError, Throttled
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.wait.events import WaitEvent
from airflow_provider_omics.core.wait.flow import WaitPlan, wait

T = TypeVar("T")
Result = Snapshot | ServiceError | None

START = 1_750_000_000.0
RUN = WaitPlan("run", "1", "uuid-1")
BATCH = WaitPlan("batch", "2", "uuid-2")
LOOK = Look("run", "1")
CANCEL = Cancel("run", "1")
MANIFEST = ReadManifest("1", "uuid-1")
GONE = NotFound("GetRun", "ResourceNotFoundException", "no such run")
THROTTLED = Throttled("GetRun", "ThrottlingException", "slow down")
DENIED = AccessDenied("GetRun", "AccessDeniedException", "not you")
CONFLICT = Conflict("CancelRun", "ConflictException", "not now")
INVALID = InvalidRequest("CancelRun", "ValidationException", "not now")


def run(status: str, *, uuid: str | None = "uuid-1", started: float | None = None) -> RunSnapshot:
    """Give a look at run 1; ``started`` is in seconds after START."""
    start = None if started is None else datetime.fromtimestamp(START + started, timezone.utc)
    return RunSnapshot("1", status, uuid, run_output_uri="s3://bucket/1", start_time=start)


def batch(status: str, **counts: int) -> BatchSnapshot:
    """Give a look at batch 2."""
    return BatchSnapshot("2", status, "uuid-2", total_runs=8, counts=counts)


def play(flow: Flow[T], script: Sequence[Any]) -> tuple[T, list[Command[Any]], float]:
    """Drive a flow: each look, cancel, list and read takes the next answer; a number before it is how long it takes.

    :return: what the flow returns, every command it gave, and the seconds that passed.
    """
    now, commands, left = START, list[Command[Any]](), list(script)
    command = next(flow)
    while True:
        commands.append(command)
        result: Any = None
        if isinstance(command, Sleep):
            now += command.seconds
        elif not isinstance(command, Say):
            assert left, f"nothing left to answer {command} with, after {commands}"
            result = left.pop(0)
            while isinstance(result, float):
                now += result
                result = left.pop(0)
        try:
            command = flow.send(Answer(now, result))
        except StopIteration as end:
            assert not left, f"never asked for: {left}"
            return end.value, commands, now - START


def steadily(plan: WaitPlan) -> Flow[WaitEvent]:
    """Wait without jitter."""
    return wait(plan, spread=lambda: 0.5)


def sleeps(commands: list[Command[Any]]) -> list[float]:
    return [command.seconds for command in commands if isinstance(command, Sleep)]


def warnings(commands: list[Command[Any]]) -> list[str]:
    return [command.message for command in commands if isinstance(command, Say) and command.level == WARNING]
