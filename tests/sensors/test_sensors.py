from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_omics.core.errors import (
    AccessDenied,
    BatchCancelled,
    BatchDeleted,
    BatchFailed,
    BatchVanished,
    EventError,
    LostContact,
    OmicsError,
    RunCancelled,
    RunDeleted,
    RunFailed,
    RunVanished,
    Throttled,
)
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import WaitPlan
from airflow_provider_omics.hooks.run_logs import ended_run
from airflow_provider_omics.sensors import base as sensors_base
from airflow_provider_omics.sensors.run import OmicsRunSensor
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor
from tests.airflow_support import DEFAULT_RUN_SETTING, ONE_TRY, TaskInstanceRecord, execute, perform, samples

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Ended, Meanwhile, SteppedTime

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["poked", "deferred"])
FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "status_message": "ALIGN ran out of memory"}


def run_sensor(emulator: OmicsEmulator, **arguments: Any) -> OmicsRunSensor:
    run_id = emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": "theirs"})["id"]
    return OmicsRunSensor(**{"task_id": "wait", "run_id": run_id, "botocore_config": ONE_TRY, **arguments})


def batch_sensor(emulator: OmicsEmulator, **arguments: Any) -> OmicsRunBatchSensor:
    request = {
        "requestId": "theirs",
        "defaultRunSetting": DEFAULT_RUN_SETTING,
        "batchRunSettings": {"inlineSettings": samples("S1", "BAD")},
    }
    batch_id = emulator.service.call("StartRunBatch", request)["id"]
    return OmicsRunBatchSensor(**{"task_id": "wait", "batch_id": batch_id, "botocore_config": ONE_TRY, **arguments})


@deferrable
def test_completed_run(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """A run of somebody else is waited for; the result is what its own task would have returned."""
    sensor = run_sensor(emulator, run_id="{{ run }}", deferrable=deferrable)
    (run,) = emulator.service.started_runs()

    ended = perform(sensor, run=run["id"])

    assert ended.error is None
    assert ended.deferred is deferrable
    assert (ended.result["run_uuid"], ended.result["status"]) == (run["uuid"], "COMPLETED")


@deferrable
@pytest.mark.parametrize(("rule", "succeeded"), [({}, True), (FAILS, False)])
def test_processed_batch(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool, rule: dict[str, Any], succeeded: bool
) -> None:
    """A batch has ended when all its runs have; the sensor does not judge, its result does."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "BAD"}, **rule}]})

    ended = perform(batch_sensor(emulator, deferrable=deferrable))

    assert ended.error is None
    expected = {"status": "PROCESSED", "total_runs": 2, "completed_runs": 1 + succeeded, "succeeded": succeeded}
    assert expected.items() <= ended.result.items()


@deferrable
@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize(
    ("rule", "status", "act", "expected"),
    [
        pytest.param(FAILS, "", "", RunFailed, id="FAILED"),
        pytest.param({}, "RUNNING", "CancelRun", RunCancelled, id="CANCELLED"),
        pytest.param({}, "COMPLETED", "DeleteRun", RunDeleted, id="DELETED"),
        pytest.param({}, "RUNNING", "vanish", RunVanished, id="vanished"),
        pytest.param(FAILS, "FAILED", "vanish", RunFailed, id="vanished, FAILED by its manifest"),
    ],
)
def test_bad_end_of_a_run(
    emulator: OmicsEmulator,
    meanwhile: Meanwhile,
    *,
    deferrable: bool,
    soft_fail: bool,
    rule: dict[str, Any],
    status: str,
    act: str,
    expected: type[OmicsError],
) -> None:
    """Each bad end is its typed error, poked or deferred; with soft_fail the task is skipped instead."""
    emulator.set_scenario({"runs": [rule], "deleted_visible": 3600})
    call = emulator.service.call
    meanwhile(status, lambda id_: emulator.service.remove_run(id_) if act == "vanish" else call(act, {"id": id_}))

    error = perform(run_sensor(emulator, deferrable=deferrable, soft_fail=soft_fail)).error

    _check(error, expected, soft_fail=soft_fail)
    if not soft_fail:
        assert isinstance(error, AirflowFailException) is (expected in {RunDeleted, RunVanished})


def _check(error: BaseException | None, expected: type[OmicsError], *, soft_fail: bool) -> None:
    if soft_fail:
        assert isinstance(error, AirflowSkipException)
        assert error.__cause__ is not None
    else:
        assert isinstance(error, expected)
        assert isinstance(error, AirflowException)
        assert not isinstance(error, AirflowSkipException)


@deferrable
@pytest.mark.parametrize("soft_fail", [False, True])
@pytest.mark.parametrize(
    ("scenario", "status", "act", "expected"),
    [
        pytest.param({"batches": [{"failure": {"reason": "No."}}]}, "", "", BatchFailed, id="FAILED"),
        pytest.param({}, "INPROGRESS", "CancelRunBatch", BatchCancelled, id="CANCELLED"),
        pytest.param({}, "PROCESSED", "DeleteRunBatch", BatchDeleted, id="RUNS_DELETED"),
        pytest.param({}, "PROCESSED", "DeleteBatch", BatchVanished, id="vanished"),
    ],
)
def test_bad_end_of_a_batch(
    emulator: OmicsEmulator,
    meanwhile: Meanwhile,
    *,
    deferrable: bool,
    soft_fail: bool,
    scenario: dict[str, Any],
    status: str,
    act: str,
    expected: type[OmicsError],
) -> None:
    """The same for a batch."""
    emulator.set_scenario(scenario)
    meanwhile(status, lambda id_: emulator.service.call(act, {"batchId": id_}))

    error = perform(batch_sensor(emulator, deferrable=deferrable, soft_fail=soft_fail)).error

    _check(error, expected, soft_fail=soft_fail)


def test_vanished_run_that_completed(emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """Retention may take a completed run between two pokes: its manifest says that it completed."""
    meanwhile("COMPLETED", emulator.service.remove_run)

    assert perform(run_sensor(emulator)).result["status"] == "COMPLETED"


@pytest.mark.parametrize("make", [run_sensor, batch_sensor])
def test_what_has_ended_is_not_deferred(emulator: OmicsEmulator, stepped: SteppedTime, make: Any) -> None:
    """One look is enough for what has ended already: no trigger, one call."""
    sensor = make(emulator, deferrable=True)
    emulator.advance(7200)

    ended = perform(sensor)

    assert not ended.deferred
    assert ended.error is None
    assert sum(emulator.calls.by_operation().values()) == 1


@deferrable
def test_bad_end_found_at_once(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """never_fail skips too, also for what had ended before the first look."""
    emulator.set_scenario({"runs": [FAILS]})
    sensor = run_sensor(emulator, deferrable=deferrable, never_fail=True)
    emulator.advance(7200)

    assert isinstance(perform(sensor).error, AirflowSkipException)


@deferrable
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({}, AirflowSensorTimeout), ({"soft_fail": True}, AirflowSkipException)],
    ids=["timeout", "soft_fail"],
)
def test_timeout(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    *,
    deferrable: bool,
    arguments: dict[str, Any],
    expected: type[AirflowException],
) -> None:
    """After its timeout the sensor ends as Airflow's sensors do, in whatever mode, and cancels nothing."""
    emulator.set_scenario({"runs": [{"running": 36000}]})
    began = stepped.time()

    error = perform(run_sensor(emulator, deferrable=deferrable, timeout=3600, **arguments)).error

    assert isinstance(error, expected)
    assert 3600 <= stepped.time() - began < 3800
    assert emulator.calls["CancelRun"] == 0
    assert [run["status"] for run in emulator.service.started_runs()] == ["RUNNING"]


def test_execution_timeout_while_deferred(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A shorter execution_timeout bounds a deferred wait too."""
    emulator.set_scenario({"runs": [{"running": 36000}]})
    began = stepped.time()

    error = perform(run_sensor(emulator, deferrable=True, execution_timeout=timedelta(hours=1))).error

    assert isinstance(error, AirflowSensorTimeout)
    assert stepped.time() - began < 3700


def test_reschedule(emulator: OmicsEmulator, stepped: SteppedTime, airflow_db: Path) -> None:
    """In mode reschedule each try looks once, and the last one gives the result."""
    sensor = run_sensor(emulator, mode="reschedule")

    assert type(perform(sensor).error).__name__ == "AirflowRescheduleException"
    assert emulator.calls["GetRun"] == 1
    emulator.advance(7200)
    assert perform(sensor).result["status"] == "COMPLETED"


@deferrable
def test_trouble_that_passes_is_borne(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """Throttled looks and lost connections are looks without an answer."""
    emulator.faults.add(operation="GetRun", error="ThrottlingException", times=3)
    emulator.faults.add(operation="GetRun", lost_request=True, times=2)

    assert perform(run_sensor(emulator, deferrable=deferrable)).result["status"] == "COMPLETED"


@deferrable
@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_no_is_believed_the_second_time(
    emulator: OmicsEmulator, stepped: SteppedTime, code: str, *, deferrable: bool
) -> None:
    """Denied or not found for a moment, as after a change of permissions: looked at once more, and borne."""
    emulator.faults.add(operation="GetRun", error=code, times=1)

    assert perform(run_sensor(emulator, deferrable=deferrable)).result["status"] == "COMPLETED"


def test_manifest_that_cannot_be_read_just_now(
    emulator: OmicsEmulator, meanwhile: Meanwhile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else tells how a vanished run ended: the next poke reads its manifest again."""
    answers: list[Any] = [Throttled("DescribeLogStreams", "ThrottlingException", "slow down")]
    read = ended_run
    monkeypatch.setattr(sensors_base, "ended_run", lambda *asked: answers.pop() if answers else read(*asked))
    meanwhile("COMPLETED", emulator.service.remove_run)

    assert perform(run_sensor(emulator)).result["status"] == "COMPLETED"
    assert not answers


@deferrable
def test_no_permission(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """Who may not look is told so, with the missing action, at the first look."""
    emulator.faults.add(operation="GetRun", error="AccessDeniedException")

    error = perform(run_sensor(emulator, deferrable=deferrable)).error

    assert isinstance(error, AccessDenied)
    assert "omics:GetRun" in str(error)


def test_permission_lost_while_deferred(emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """Permission that is taken away during the wait ends it, with the reason."""
    meanwhile("RUNNING", lambda _: emulator.faults.add(operation="GetRun", error="AccessDeniedException"))

    error = perform(run_sensor(emulator, deferrable=True)).error

    assert isinstance(error, LostContact)
    assert "omics:GetRun" in str(error)


@pytest.mark.parametrize("make", [run_sensor, batch_sensor])
@pytest.mark.parametrize("event", [None, {}, {"status": "success"}])
def test_unreadable_event(emulator: OmicsEmulator, stepped: SteppedTime, make: Any, event: Any) -> None:
    """An event that nobody can read is no success."""
    with pytest.raises(EventError):
        make(emulator).execute_complete({}, event)


@pytest.mark.parametrize("make", [run_sensor, batch_sensor])
def test_event_of_a_try_that_has_failed(emulator: OmicsEmulator, stepped: SteppedTime, make: Any) -> None:
    """Airflow 3.0 takes the next try up where the deferral of the last one ended: it looks anew all the same."""
    sensor = make(emulator, deferrable=True, allow_nested_operators=False)
    instance = TaskInstanceRecord()
    with pytest.raises(TaskDeferred) as deferral:
        execute(sensor, {"ti": instance})
    carried = deferral.value.kwargs or {}
    lost = WaitEvent(Outcome.LOST_CONTACT, WaitPlan(sensor.kind, sensor.resource_id).unseen(), error="no answer")
    with pytest.raises(LostContact):
        sensor.execute_complete({"ti": instance}, lost.to_payload(), **carried)
    instance.try_number += 1

    with pytest.raises(TaskDeferred) as again:
        sensor.execute_complete({"ti": instance}, lost.to_payload(), **carried)

    assert again.value.kwargs == {"try_number": 2}


@pytest.mark.parametrize("missing", ["resource_id", "_result"])
def test_sensor_that_lacks_a_part(missing: str) -> None:
    """Who derives a sensor of their own is told while the DAG is parsed what it lacks, not when it has waited."""
    parts = {name: vars(OmicsRunSensor)[name] for name in ("resource_id", "_result") if name != missing}

    with pytest.raises(TypeError, match=missing):
        type("OmicsOtherSensor", (sensors_base.OmicsWaitSensor,), parts)(task_id="wait")


def test_result_is_small_json(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """What goes to XCom is plain JSON."""
    ended: Ended = perform(batch_sensor(emulator))

    assert json.loads(json.dumps(ended.result)) == ended.result
