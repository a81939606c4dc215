"""The flow of a new try driven by hand: scripted answers, and a clock that only sleeps move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_omics.core.attempt.commands import Choose, IsSuccess, Save, Start
from airflow_provider_omics.core.attempt.flow import Begun, begin
from airflow_provider_omics.core.attempt.record import AttemptRecord, Present
from airflow_provider_omics.core.commands import Answer, Flow, ListActive, Say, Sleep
from airflow_provider_omics.core.errors import (
    AccessDenied,
    AttemptError,
    Conflict,
    CredentialsExpired,
    NotFound,
    ServiceError,
    Throttled,
    Unavailable,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot

NOW = 1_750_000_000.0
kinds = pytest.mark.parametrize("kind", ["run", "batch"])

THROTTLED = Throttled("StartRun", "ThrottlingException", "slow down")
BROKEN = Unavailable("StartRun", "InternalServerException", "oops")
EXPIRED = CredentialsExpired("StartRun", "ExpiredTokenException", "old")
CONFLICT = Conflict("StartRun", "ConflictException", "request id known")
DENIED = AccessDenied("ListRuns", "AccessDeniedException", "not you")
GONE = NotFound("GetRun", "ResourceNotFoundException", "no such run")


def present(kind: str, **changes: Any) -> Present:
    """Give try 2 of a task with one retry."""
    return replace(Present(kind, 2, 1, "same", "new-id", patience=3600.0), **changes)


def first(**changes: Any) -> AttemptRecord:
    """Give what try 1 left: a request of a minute ago, not answered."""
    return replace(AttemptRecord("old-id", "same", 1, 1, 1, NOW - 60.0), **changes)


def known(**changes: Any) -> AttemptRecord:
    """Give what try 1 left: a start that was answered."""
    return first(resource_id="7", resource_uuid="uuid-7", **changes)


def seen(kind: str, status: str, *, uuid: str = "uuid-7") -> Snapshot:
    return RunSnapshot("7", status, uuid) if kind == "run" else BatchSnapshot("7", status, uuid)


def fresh(**changes: Any) -> AttemptRecord:
    """Give the record of a new attempt of try 2."""
    return replace(AttemptRecord("new-id", "same", 2, 2, 1, NOW), **changes)


FOLLOWING = {"attempts": 2, "attempts_since_clear": 2, "previous_request_id": "old-id", "previous_id": "7"}
"""What a new attempt counts and names after the one that try 1 started."""


def started(kind: str) -> Snapshot:
    return RunSnapshot("8", "PENDING", "uuid-8") if kind == "run" else BatchSnapshot("8", "CREATING", "uuid-8")


def answered(record: AttemptRecord) -> AttemptRecord:
    return replace(record, resource_id="8", resource_uuid="uuid-8")


class Played:
    """A flow driven to its end: each command but Save, Sleep and Say takes the next answer of a script.

    :param default: what each start is answered with when the script is over.
    """

    def __init__(self, flow: Flow[Begun], script: Sequence[Any] = (), *, default: ServiceError | None = None) -> None:
        self.all: list[Any] = []
        self.begun: Begun | None = None
        self.error: Exception | None = None
        self.now = NOW
        left = list(script)
        command: Any = None
        try:
            command = next(flow)
            while True:
                self.all.append(command)
                result: Any = None
                if isinstance(command, Sleep):
                    self.now += command.seconds
                elif not isinstance(command, (Say, Save)):
                    assert left or default, f"nothing left to answer {command} with, after {self.all}"
                    # Searches of a service in trouble find nothing: only a start can be answered by default.
                    result = left.pop(0) if left else default if isinstance(command, Start) else None
                command = flow.send(
                    Answer(self.now, bool(result) if isinstance(command, (IsSuccess, Choose)) else result)
                )
        except StopIteration as end:
            self.begun = end.value
        except (ServiceError, AttemptError) as error:
            self.error = error
        assert not left, f"never asked for: {left}"

    @property
    def done(self) -> list[Any]:
        """Everything that leaves a trace, in order."""
        return [command for command in self.all if not isinstance(command, (Say, Sleep))]

    @property
    def slept(self) -> list[float]:
        return [command.seconds for command in self.all if isinstance(command, Sleep)]

    @property
    def said(self) -> str:
        return "\n".join(command.message for command in self.all if isinstance(command, Say))


def play(record: AttemptRecord | None, now_present: Present, script: Sequence[Any]) -> Played:
    return Played(begin(record, now_present, now=NOW), script)


def stragglers(kind: str, status: str) -> tuple[list[Any], list[Any]]:
    """Give the commands for what an ended batch may have left going, and the answers to them: nothing is going."""
    return ([ListActive("7")], [()]) if (kind, status) == ("batch", "FAILED") else ([], [])


def anew(kind: str, **changes: Any) -> list[Any]:
    """Give the commands of a new attempt, in their order: saved, sent, saved."""
    since_clear = {"attempts_since_clear": 1} if "max_tries" in changes else {}
    record = fresh(**{**FOLLOWING, **since_clear, **changes})
    return [Save(record), Start(record), Save(answered(record))]


def cleared(kind: str, **changes: Any) -> Present:
    return present(kind, max_tries=2, **changes)
