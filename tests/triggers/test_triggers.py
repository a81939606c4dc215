from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_provider_omics.core.wait.events import Outcome, parse_event
from airflow_provider_omics.emulator.api import service
from airflow_provider_omics.triggers import base as triggers_base
from airflow_provider_omics.triggers.run import OmicsRunTrigger
from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger
from tests.airflow_support import (
    DEFAULT_RUN_SETTING,
    ONE_TRY,
    TASK_LOG,
    TaskInstanceRecord,
    fire,
    rebuilt,
    samples,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Meanwhile, SteppedTime

ARGUMENTS: dict[str, Any] = {
    "poll_interval": 12.5,
    "deadline": 1_800_000_000.5,
    "patience": 60.0,
    "cancel_on_kill": False,
    "grace": 7.5,
    "aws_conn_id": "aws_lab",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"retries": {"total_max_attempts": 1}},
}
RUN: dict[str, Any] = {"run_id": "1", "run_uuid": "u", "run_timeout": 3600.0, **ARGUMENTS}
BATCH: dict[str, Any] = {"batch_id": "2", "batch_uuid": "v", "staged_s3_uri": "s3://bucket/key.json", **ARGUMENTS}


def start_run(emulator: OmicsEmulator, **more: Any) -> dict[str, str]:
    answer = emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": "theirs", **more})
    return {"run_id": answer["id"], "run_uuid": answer["uuid"]}


def start_batch(emulator: OmicsEmulator) -> dict[str, Any]:
    answer = emulator.service.call(
        "StartRunBatch",
        {
            "requestId": "theirs",
            "defaultRunSetting": DEFAULT_RUN_SETTING,
            "batchRunSettings": {"inlineSettings": samples("S1", "S2")},
        },
    )
    return {"batch_id": answer["id"], "batch_uuid": answer["uuid"]}


# -- serialisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "path", "arguments"),
    [
        (OmicsRunTrigger(**RUN), "airflow_provider_omics.triggers.run.OmicsRunTrigger", RUN),
        (OmicsRunBatchTrigger(**BATCH), "airflow_provider_omics.triggers.run_batch.OmicsRunBatchTrigger", BATCH),
    ],
    ids=["run", "batch"],
)
def test_serialised_form(trigger: Any, path: str, arguments: dict[str, Any]) -> None:
    """A stored trigger may be read by another version of this package: path and arguments are an API."""
    assert trigger.serialize() == (path, arguments)
    assert rebuilt(stored(trigger)).serialize() == trigger.serialize()


@pytest.mark.parametrize("trigger", [OmicsRunTrigger("1"), OmicsRunBatchTrigger("2")], ids=["run", "batch"])
def test_serialised_defaults(trigger: Any) -> None:
    """What was not given is stored with its default, so that a changed default does not change a stored trigger."""
    arguments = trigger.serialize()[1]

    assert arguments["patience"] == 3 * 3600
    assert arguments["poll_interval"] == 30
    assert arguments["cancel_on_kill"] is True
    assert arguments["grace"] == 60
    assert arguments["aws_conn_id"] == "aws_default"
    assert rebuilt(stored(trigger)).serialize() == trigger.serialize()


@pytest.mark.parametrize("trigger", [OmicsRunTrigger(**RUN), OmicsRunBatchTrigger(**BATCH)], ids=["run", "batch"])
def test_airflow_stores_and_loads(trigger: Any) -> None:
    """The arguments survive the ways in which Airflow 2 and 3 put them into the database, encryption included."""
    from airflow.models.trigger import Trigger  # noqa: TID251  # the table itself

    path, arguments = trigger.serialize()
    row = Trigger.from_object(trigger)
    assert (row.classpath, row.kwargs) == (path, arguments)

    try:
        from airflow.sdk.serde import deserialize, serialize  # noqa: TID251  # Airflow 3.2+, between worker and server
    except ImportError:
        return
    assert deserialize(json.loads(json.dumps(serialize(arguments)))) == arguments


def test_hash_tells_triggers_apart() -> None:
    """Airflow may ask whether two triggers are the same."""
    assert stored(OmicsRunTrigger("1")) == stored(OmicsRunTrigger("1"))
    assert stored(OmicsRunTrigger("1")) != stored(OmicsRunTrigger("2"))


# -- one event -------------------------------------------------------------------------------------------------------


def test_run_ends_in_one_event(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The wait for a run fires one event with its end, and closes."""
    event = parse_event(fire(OmicsRunTrigger(**start_run(emulator))), "run")

    assert (event.outcome, event.snapshot.status) == (Outcome.ENDED, "COMPLETED")


def test_batch_ends_in_one_event(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The wait for a batch fires one event with its counts."""
    event = parse_event(fire(OmicsRunBatchTrigger(**start_batch(emulator))), "batch")

    assert (event.outcome, event.snapshot.status) == (Outcome.ENDED, "PROCESSED")
    assert event.snapshot.count("completed_runs") == 2  # type: ignore[union-attr]


def test_without_a_uuid(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A wait for what someone else has started need not know its uuid."""
    started = start_run(emulator)

    event = parse_event(fire(OmicsRunTrigger(started["run_id"])), "run")

    assert event.snapshot.uuid == started["run_uuid"]


@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_deadline(emulator: OmicsEmulator, stepped: SteppedTime, *, cancel_on_kill: bool) -> None:
    """At its deadline the trigger itself cancels, if it shall, and then tells."""
    emulator.set_scenario({"runs": [{"running": 36000}]})
    trigger = OmicsRunTrigger(**start_run(emulator), deadline=stepped.time() + 600, cancel_on_kill=cancel_on_kill)

    event = parse_event(fire(trigger), "run")

    assert (event.outcome, event.limit) == (Outcome.TIMED_OUT, "execution_timeout")
    assert event.cancelled is cancel_on_kill
    assert emulator.calls["CancelRun"] == int(cancel_on_kill)


def test_run_that_never_was(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A run that does not exist, and that no manifest knows, has vanished: an event, no exception."""
    event = parse_event(fire(OmicsRunTrigger("424242", botocore_config=ONE_TRY)), "run")

    assert event.outcome is Outcome.VANISHED


def test_missing_connection_becomes_an_event(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Even what nobody foresaw becomes an event, with its reason: a trigger that raises loses it."""
    trigger = OmicsRunTrigger("1", aws_conn_id="no_such_connection", region_name="not a region")

    event = parse_event(fire(trigger), "run")

    assert event.outcome is not Outcome.ENDED
    assert event.error


def test_unexpected_error_becomes_an_event(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]]
) -> None:
    """A bug of ours ends in an event as well, with a traceback in the log."""

    def broken() -> None:
        raise RuntimeError("a bug")

    started = start_run(emulator)
    stepped.at_sleep = broken

    event = parse_event(fire(rebuilt(stored(OmicsRunTrigger(**started)))), "run")

    assert event.outcome is Outcome.LOST_CONTACT
    assert event.error == "RuntimeError: a bug"
    assert event.snapshot.id == started["run_id"]
    assert any("broke" in line for line in log_lines(logging.ERROR))


def test_unknown_status_is_waited_out(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]]
) -> None:
    """A batch in a status that nobody knows yet is still going, with one warning."""
    get_batch = service._HANDLERS["GetBatch"]

    def hibernating(*arguments: Any) -> dict[str, Any]:
        answer = get_batch(*arguments)
        return {**answer, "status": "HIBERNATING"} if answer["status"] == "INPROGRESS" else answer

    monkeypatch.setitem(service._HANDLERS, "GetBatch", hibernating)

    event = parse_event(fire(rebuilt(stored(OmicsRunBatchTrigger(**start_batch(emulator))))), "batch")

    assert event.snapshot.status == "PROCESSED"
    assert len([line for line in log_lines(logging.WARNING) if "HIBERNATING" in line]) == 1


def test_lost_connection_is_borne(emulator: OmicsEmulator, stepped: SteppedTime, meanwhile: Meanwhile) -> None:
    """Connections that die in the middle of the wait are made anew."""
    started = start_run(emulator)
    meanwhile("RUNNING", lambda _: emulator.faults.add(operation="GetRun", lost_request=True, times=3))

    event = parse_event(fire(OmicsRunTrigger(**started, botocore_config=ONE_TRY)), "run")

    assert event.snapshot.status == "COMPLETED"


# -- cancellation and kills ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "killed"), [(None, False), ("deferred", False), ("failed", True)])
async def test_cancellation_passes_through(
    emulator: OmicsEmulator, connect: Connect, state: str | None, *, killed: bool
) -> None:
    """A triggerer that stops cancels its triggers: no event, and the run goes on.

    Before Airflow 3.3 a user's kill comes the same way: then, and only there, the run is cancelled.
    """
    trigger: Any = OmicsRunTrigger(**start_run(emulator))
    if state is not None:
        trigger.task_instance = TaskInstanceRecord(state=state)
    events = trigger.run()
    waiting = asyncio.ensure_future(anext(events))
    while not emulator.calls["GetRun"]:  # noqa: ASYNC110  # the emulator's threads know no event of this loop
        await asyncio.sleep(0.01)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    await events.aclose()
    assert emulator.calls["CancelRun"] == int(killed and not hasattr(BaseTrigger, "on_kill"))


@pytest.mark.parametrize(("make", "start"), [(OmicsRunTrigger, start_run), (OmicsRunBatchTrigger, start_batch)])
async def test_kill_cancels_though_interrupted(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    make: Callable[..., BaseTrigger],
    start: Callable[..., dict[str, str]],
) -> None:
    """Airflow interrupts on_kill again and again while it works: the cancel is made all the same, once."""
    started = start(emulator)
    emulator.advance(30)
    killing = asyncio.ensure_future(make(**started).on_kill())

    while not killing.done():
        await asyncio.sleep(0.01)
        killing.cancel()

    assert not killing.cancelled()
    emulator.advance(600)
    assert {run["status"] for run in emulator.service.started_runs()} == {"CANCELLED"}


async def test_kill_of_a_batch_that_is_being_created(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """CREATING refuses a cancel: it is tried again until the batch is PENDING, and no run is ever started."""
    emulator.set_scenario({"batches": [{"creating": 12.0, "pending": 60.0}]})
    started = start_batch(emulator)

    await OmicsRunBatchTrigger(**started, botocore_config=ONE_TRY).on_kill()

    emulator.advance(600)
    assert emulator.calls.by_code()["CancelRunBatch"].pop("OK") == 1
    assert len(stepped.slept) >= 3
    assert [batch["status"] for batch in emulator.service.started_batches()] == ["CANCELLED"]
    assert emulator.service.started_runs() == []


async def test_kill_of_a_batch_sees_to_what_its_cancel_misses(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A run whose own cancel failed is cancelled by itself: no worker comes after a kill."""
    emulator.set_scenario({"runs": [{"running": 90_000.0}], "batches": [{"cancel_failures": 1}]})
    started = start_batch(emulator)
    emulator.advance(600)

    await OmicsRunBatchTrigger(**started, botocore_config=ONE_TRY).on_kill()

    emulator.advance(600)
    assert [run["status"] for run in emulator.service.started_runs()] == ["CANCELLED"] * 2


async def test_kill_leaves_the_run_if_so_wanted(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """With cancel_on_kill off nothing is cancelled."""
    trigger = OmicsRunTrigger(**start_run(emulator), cancel_on_kill=False)

    await trigger.on_kill()

    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize(("state", "cancels"), [("deferred", 0), ("failed", 1), ("success", 1), ("up_for_retry", 1)])
async def test_kill_asks_for_the_state_of_the_task(
    emulator: OmicsEmulator, stepped: SteppedTime, state: str, cancels: int
) -> None:
    """A triggerer that lost its triggers to another is told to kill them: who still waits is not cancelled."""
    trigger: Any = OmicsRunTrigger(**start_run(emulator))
    trigger.task_instance = TaskInstanceRecord(state=state)

    await trigger.on_kill()

    assert emulator.calls["CancelRun"] == cancels


async def test_airflow_is_not_ready_when_a_triggerer_starts(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first question of a triggerer may fail, as nothing depends on it: no warning is told."""

    async def refuse(_: Any) -> str:
        asked.append(True)
        raise RuntimeError("the API server is not ready")

    asked: list[bool] = []
    monkeypatch.setattr(triggers_base, "_is_warm", False)
    monkeypatch.setattr(triggers_base, "state_of", refuse)
    caplog.set_level(logging.DEBUG, TASK_LOG.name)
    trigger = rebuilt(stored(OmicsRunTrigger(**start_run(emulator))))
    trigger.task_instance = TaskInstanceRecord(state="deferred")

    (fired,) = [event async for event in trigger.run()]

    assert (asked, parse_event(fired.payload, "run").outcome) == ([True], Outcome.ENDED)
    told = [record for record in caplog.records if "task states" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.DEBUG]
    assert [record for record in caplog.records if record.exc_info] == []


async def test_kill_bears_throttling(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A throttled cancel is tried again while there is time."""
    started = start_run(emulator)
    emulator.faults.add(operation="CancelRun", error="ThrottlingException", times=2)

    await OmicsRunTrigger(**started, botocore_config=ONE_TRY).on_kill()

    assert emulator.calls.by_code()["CancelRun"] == {"ThrottlingException": 2, "OK": 1}


async def test_kill_of_an_ended_run(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A run that has ended meanwhile needs no cancel, and that is no error."""
    started = start_run(emulator)
    emulator.advance(3600)

    await OmicsRunTrigger(**started).on_kill()

    assert emulator.service.started_runs()[0]["status"] == "COMPLETED"
