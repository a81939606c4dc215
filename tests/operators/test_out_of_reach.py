"""A worker that cannot reach HealthOmics: settings that are wrong end it at once, the rest is told and borne."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import botocore.endpoint
import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_omics.core.errors import LostContact, SettingsError, Unavailable
from tests.operators.tries import START, NewTask, at_sleep, kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens at this port."""


def connect_to(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any], **extra: Any) -> None:
    keys = {key: value for key, value in {**connection["extra"], **extra}.items() if value is not None}
    changed = {**connection, "extra": keys}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(changed))


@kinds
@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ({"endpoint_url": "localhost:5000"}, "endpoint_url"),
        ({"verify": "/no/such/bundle.pem"}, "verify"),
        ({"profile_name": "lab"}, "profile_name"),
        ({"region_name": None}, "region_name"),
    ],
)
def test_settings_that_no_other_try_corrects(
    new_task: NewTask, connect: Connect, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, kind: str,
    extra: dict[str, Any], key: str,
) -> None:  # fmt: skip
    """They end the task at once, and for good, with connection and key in the error."""
    task = new_task(kind)
    connect_to(monkeypatch, connect(), **extra)
    began = stepped.time()

    error = task.try_().error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowException)
    assert f"{key} of the connection 'aws_default'" in str(error)
    assert stepped.time() == began


@kinds
@pytest.mark.parametrize("during", ["the start", "the wait"])
def test_address_where_nothing_answers(
    new_task: NewTask, emulator: OmicsEmulator, connect: Connect, stepped: SteppedTime,
    monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]], kind: str, during: str,
) -> None:  # fmt: skip
    """The log has the address at the first try and again each minute, and the patience is what it was."""
    task = new_task(kind)
    connection = connect()
    cut_at: list[float] = []
    told_at: dict[str, float] = {}

    def look() -> None:
        for line in log_lines(logging.WARNING):
            told_at.setdefault(line, stepped.time() - stepped.slept[-1] - cut_at[0])

    def cut() -> None:
        connect_to(monkeypatch, connection, endpoint_url=NOWHERE)
        cut_at.append(stepped.time())
        stepped.at_sleep = look
        if during == "the wait":
            task.operator.hook.renew()

    if during == "the start":
        cut()
    else:
        at_sleep(stepped, cut)
    error = task.try_(patience=timedelta(minutes=10), poll_interval=5).error

    assert isinstance(error, Unavailable if during == "the start" else LostContact)
    assert stepped.time() - cut_at[0] == pytest.approx(600, abs=15)
    assert len(emulator.service.started_runs()) == (during == "the wait") * (1 if kind == "run" else 2)
    moments = list(told_at.values())
    assert all(NOWHERE in line for line in told_at)
    assert moments[0] <= 10
    assert len(moments) >= 6
    assert max(later - earlier for earlier, later in pairwise(moments)) <= 130


@kinds
@pytest.mark.parametrize(
    "fault", [{"error": "ThrottlingException"}, {"error": "InternalServerException"}, {"lost_response": True}]
)
@pytest.mark.parametrize("during", ["start", "look"])
def test_patience_counts_the_resends_of_botocore(
    new_task: NewTask, emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, kind: str,
    fault: dict[str, Any], during: str,
) -> None:  # fmt: skip
    """Eight seconds are eight seconds, with botocore's ten attempts a call as with one."""
    monkeypatch.setattr(botocore.endpoint, "time", stepped)
    task = new_task(kind)
    operation = START[kind] if during == "start" else {"run": "GetRun", "batch": "GetBatch"}[kind]
    emulator.faults.add(operation=operation, **fault)
    began = stepped.time()

    error = task.try_(patience=timedelta(seconds=8), botocore_config=None).error

    assert isinstance(error, Unavailable if during == "start" else LostContact)
    assert stepped.time() - began <= 8 + 2


@kinds
def test_poll_interval_of_nothing(new_task: NewTask, emulator: OmicsEmulator, stepped: SteppedTime, kind: str) -> None:
    """The account's quota is not one worker's: it keeps to the connection's calls a second."""
    task = new_task(kind)
    task.emulator.set_scenario({"runs": [{"running": 60.0}]})
    began = stepped.time()

    assert task.try_(poll_interval=0).error is None

    looks = emulator.calls["GetRun" if kind == "run" else "GetBatch"]
    assert looks > 100
    assert looks / (stepped.time() - began) <= 5.5


@kinds
def test_settings_that_a_deferred_wait_meets(
    new_task: NewTask, connect: Connect, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Somebody has broken the connection meanwhile: the wait ends after a second look, and says what is wrong."""
    task = new_task(kind, deferrable=True)
    connection, waited = connect(), task._waited

    def wait(trigger: Any) -> Any:
        with monkeypatch.context() as patch:
            connect_to(patch, connection, endpoint_url="localhost:5000")
            return waited(trigger)

    monkeypatch.setattr(task, "_waited", wait)
    error = task.try_().error

    assert isinstance(error, LostContact)
    assert "endpoint_url of the connection 'aws_default' = 'localhost:5000'" in str(error)
