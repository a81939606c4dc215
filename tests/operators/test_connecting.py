"""A worker whose connection Airflow does not find, or whose credentials are refused: it stays who it was."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import ServiceError, Unavailable
from airflow_provider_omics.emulator import errors as emulator_errors
from airflow_provider_omics.emulator.http import application
from airflow_provider_omics.jobs.connection import DOUBT, SUSPICION
from tests.connection_support import be_machine, fails, misses, others
from tests.operators.tries import START, Crash, NewTask, Task, at_sleep, crash, kinds, stores, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

__all__ = ["others"]


# -- the connection is not found ---------------------------------------------------------------------------------------


@kinds
@stores
@pytest.mark.parametrize(("affected", "times"), [(1, 1), (2, 1), (2, 4)])
def test_connection_is_lost_for_a_moment(
    new_task: NewTask, stepped: SteppedTime, others: OmicsEmulator, monkeypatch: pytest.MonkeyPatch, kind: str,
    store: str, affected: int, times: int,
) -> None:  # fmt: skip
    """A secrets backend fails, which Airflow tells as "not found", in the try that starts or in the next: one start."""
    task = new_task(kind, store=store)
    at_sleep(stepped, crash)
    for number in (1, 2):
        with monkeypatch.context() as patch:
            left = misses(patch, times if number == affected else 0)
            error = task.try_().error
            assert isinstance(error, Crash) if number == 1 else error is None
            assert left == [0]

    assert len(task.started()) == 1
    assert not others.calls[START[kind]]


def after_deferral(task: Task, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something between the trigger's event and what the worker makes of it."""
    waited = task._waited

    def then(trigger: Any) -> Any:
        event = waited(trigger)
        act()
        return event

    monkeypatch.setattr(task, "_waited", then)


@kinds
@stores
def test_connection_is_lost_after_a_deferral(
    new_task: NewTask, others: OmicsEmulator, monkeypatch: pytest.MonkeyPatch, kind: str, store: str
) -> None:
    """The task has had it, so it is waited for, and the end is recorded where the next try looks."""
    task = new_task(kind, store=store, deferrable=True)
    after_deferral(task, monkeypatch, lambda: misses(monkeypatch, times=12))

    ended = task.try_()

    assert ended.error is None
    record = task.record()
    assert record is not None
    assert record.ended is not None


def test_connection_stays_away(
    new_task: NewTask, stepped: SteppedTime, others: OmicsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try that cannot get the connection of the one before fails, as nobody else, and the next takes the run over."""
    task = new_task(store="task state")
    at_sleep(stepped, crash)
    task.try_()
    began = stepped.time()

    with monkeypatch.context() as patch:
        misses(patch)
        failed = task.try_()

    assert isinstance(failed.error, Unavailable)
    assert "aws_conn_id=None" in str(failed.error)
    assert DOUBT - 30 <= stepped.time() - began <= DOUBT
    assert not others.calls.by_operation()
    assert task.try_().error is None
    assert len(task.started()) == 1


@kinds
@waits
@pytest.mark.parametrize("store", ["task state", "none"])
def test_task_without_a_connection_is_not_delayed(
    new_task: NewTask, emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, kind: str,
    store: str, *, deferrable: bool,
) -> None:  # fmt: skip
    """There is none, and the machine itself is meant: neither the start nor the end has to wait."""
    be_machine(monkeypatch, emulator)
    misses(monkeypatch)
    task = new_task(kind, store=store, deferrable=deferrable)
    started: list[int] = []
    at_sleep(stepped, lambda: started.append(len(task.started())))
    pauses: list[int] = []
    after_deferral(task, monkeypatch, lambda: pauses.append(len(stepped.slept)))

    assert task.try_().error is None

    assert started == [1]  # by the first time that anything waits
    assert pauses == [len(stepped.slept)] * deferrable


@pytest.mark.parametrize(("store", "pauses"), [("task state", 0.0), ("none", SUSPICION)])
def test_retry_without_a_connection(
    new_task: NewTask, emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, store: str,
    pauses: float,
) -> None:  # fmt: skip
    """Where a record says that there was none before, a retry waits for nothing; elsewhere for some seconds."""
    be_machine(monkeypatch, emulator)
    misses(monkeypatch)
    task = new_task(store=store)
    at_sleep(stepped, crash)
    task.try_()
    before = len(stepped.slept)

    assert task.try_().error is None

    assert sum(seconds for seconds in stepped.slept[before:] if seconds < 10) == pauses
    assert {"task state": 1, "none": 2}[store] == len(task.started())


# -- the credentials are refused ---------------------------------------------------------------------------------------


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Access keys that HealthOmics refuses; an error of AWS's front end, which no model lists."""
    keys: set[str] = set()
    call = application.Application._call

    def checked(self: Any, *arguments: Any) -> Any:
        if arguments[-1].access_key in keys:
            raise emulator_errors.ServiceError("ExpiredTokenException", "The security token in the request is expired")
        return call(self, *arguments)

    for statuses in (emulator_errors.error_statuses(), application._wire()._error_statuses):
        monkeypatch.setitem(statuses, "ExpiredTokenException", 403)
    monkeypatch.setattr(application.Application, "_call", checked)
    return keys


def connect_with(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], **keys: Any) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**connection, **keys}))


@kinds
def test_refused_credentials_are_read_anew_in_a_wait(
    new_task: NewTask, stepped: SteppedTime, connect: Connect, monkeypatch: pytest.MonkeyPatch, refused: set[str],
    kind: str,
) -> None:  # fmt: skip
    """Keys are rotated while a worker waits: it goes on with the connection's new ones."""
    task = new_task(kind)
    connection = connect()
    connect_with(monkeypatch, connection, login="AKIAOLD")

    def rotate() -> None:
        refused.add("AKIAOLD")
        connect_with(monkeypatch, connection, login="AKIANEW")

    at_sleep(stepped, rotate)

    ended = task.try_(patience=timedelta(minutes=10))

    assert ended.error is None
    assert refused


def test_refused_credentials_are_read_anew_at_a_start(
    new_task: NewTask, stepped: SteppedTime, connect: Connect, monkeypatch: pytest.MonkeyPatch, refused: set[str]
) -> None:
    """Keys are rotated right after they were read: the start is sent again with the new ones."""
    task = new_task()
    connection = connect()
    connect_with(monkeypatch, connection, login="AKIAOLD")
    refused.add("AKIAOLD")
    at_sleep(stepped, lambda: connect_with(monkeypatch, connection, login="AKIANEW"), number=2)

    assert task.try_().error is None

    assert len(task.started()) == 1


def test_late_credentials_of_the_machine(
    new_task: NewTask, stepped: SteppedTime, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance metadata service was late when the client was made, which has no credentials for its whole life."""
    task = new_task()
    connect_with(monkeypatch, connect(), login=None, password=None)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)

    def come() -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "machine")

    at_sleep(stepped, come)

    assert task.try_().error is None

    assert len(task.started()) == 1


def test_refused_credentials_and_a_connection_that_is_lost(
    new_task: NewTask, stepped: SteppedTime, connect: Connect, others: OmicsEmulator, refused: set[str],
    monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]],
) -> None:  # fmt: skip
    """Nobody goes on as somebody else: until the connection is told again, the old keys are tried."""
    task = new_task()
    connection = connect()
    connect_with(monkeypatch, connection, login="AKIAOLD")
    left: list[list[int]] = []

    def rotate() -> None:
        refused.add("AKIAOLD")
        connect_with(monkeypatch, connection, login="AKIANEW")
        left.append(misses(monkeypatch, times=2))

    at_sleep(stepped, rotate)

    assert task.try_().error is None

    assert left == [[0]]
    assert not others.calls.by_operation()


def test_connection_that_cannot_be_read_anew_ends_no_wait(
    new_task: NewTask, stepped: SteppedTime, connect: Connect, refused: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's api-server is away, too: the wait goes on, and asks again."""
    task = new_task()
    connection = connect()
    connect_with(monkeypatch, connection, login="AKIAOLD")
    left: list[list[int]] = []

    def rotate() -> None:
        refused.add("AKIAOLD")
        connect_with(monkeypatch, connection, login="AKIANEW")
        left.append(fails(monkeypatch, lambda: RuntimeError("API_SERVER_ERROR"), times=2))

    at_sleep(stepped, rotate)

    assert task.try_().error is None

    assert left == [[0]]


def test_credentials_that_stay_refused_end_the_try(
    new_task: NewTask, connect: Connect, monkeypatch: pytest.MonkeyPatch, refused: set[str]
) -> None:
    """Reading them anew does not make wrong ones right: the start gives up as before."""
    task = new_task()
    connect_with(monkeypatch, connect(), login="AKIAOLD")
    refused.add("AKIAOLD")

    error = task.try_().error

    assert isinstance(error, ServiceError)
    assert "ExpiredTokenException" in str(error)
    assert task.emulator.calls["StartRun"] == 4
