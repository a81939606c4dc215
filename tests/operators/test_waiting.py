from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowTaskTimeout

from airflow_provider_omics.core.errors import BatchTimedOut, EventError, LostContact, RunTimedOut, RunVanished
from airflow_provider_omics.emulator.api import service
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import (
    DEFAULT_RUN_SETTING,
    ONE_TRY,
    RUN,
    TaskInstanceRecord,
    execute,
    perform,
    rendered,
    samples,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Meanwhile, SteppedTime

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
HOUR = timedelta(hours=1)


def start_run(**arguments: Any) -> OmicsStartRunOperator:
    return OmicsStartRunOperator(**{"task_id": "align", **RUN, "botocore_config": ONE_TRY, **arguments})


def start_batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    return OmicsStartRunBatchOperator(
        **{
            "task_id": "align_all",
            "default_run_setting": DEFAULT_RUN_SETTING,
            "run_settings": samples("S1", "S2"),
            "botocore_config": ONE_TRY,
            **arguments,
        }
    )


def statuses(emulator: OmicsEmulator) -> list[str]:
    """Give the statuses of all runs once their cancels had time."""
    emulator.advance(120)
    return [run["status"] for run in emulator.service.started_runs()]


# -- time limits -----------------------------------------------------------------------------------------------------


@deferrable
@pytest.mark.parametrize("limit", ["run_timeout", "execution_timeout"])
def test_time_limit_cancels_the_run(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool, limit: str
) -> None:
    """A run over its limit is cancelled, and the typed error says which limit it was and what became of the run."""
    emulator.set_scenario({"runs": [{"running": 36000}]})
    limits: dict[str, Any] = {limit: HOUR}

    error = perform(start_run(deferrable=deferrable, **limits)).error

    assert isinstance(error, RunTimedOut)
    assert isinstance(error, AirflowException)
    assert not isinstance(error, AirflowFailException)
    assert limit in str(error)
    assert "it was cancelled" in str(error)
    assert statuses(emulator) == ["CANCELLED"]


@deferrable
def test_time_limit_cancels_the_batch(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """The same for a batch with all its runs; its result is pushed."""
    emulator.set_scenario({"runs": [{"running": 36000}]})

    ended = perform(start_batch(deferrable=deferrable, execution_timeout=HOUR))

    assert isinstance(ended.error, BatchTimedOut)
    assert ended.xcoms["return_value"]["succeeded"] is False
    assert statuses(emulator) == ["CANCELLED", "CANCELLED"]


@deferrable
@pytest.mark.parametrize("cancel_on_kill", [False, "{{ 'False' }}"])
def test_time_limit_without_cancel(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool, cancel_on_kill: Any
) -> None:
    """With cancel_on_kill off the run goes on, and the error says that it may."""
    emulator.set_scenario({"runs": [{"running": 36000}]})

    error = perform(start_run(deferrable=deferrable, execution_timeout=HOUR, cancel_on_kill=cancel_on_kill)).error

    assert isinstance(error, RunTimedOut)
    assert "may still be going" in str(error)
    assert statuses(emulator) == ["RUNNING"]


@deferrable
def test_queueing_does_not_count_for_run_timeout(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool
) -> None:
    """run_timeout counts from the run's own start: hours in PENDING are free."""
    emulator.set_scenario({"runs": [{"pending": 7200, "running": 3000}]})

    assert perform(start_run(deferrable=deferrable, run_timeout=HOUR)).result["status"] == "COMPLETED"


@deferrable
def test_execution_timeout_counts_the_queue(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """execution_timeout bounds the whole wait, and leaves time for the cancel before Airflow's own end."""
    emulator.set_scenario({"runs": [{"pending": 36000}]})
    began = stepped.time()

    error = perform(start_run(deferrable=deferrable, execution_timeout=HOUR)).error

    assert isinstance(error, RunTimedOut)
    assert 3500 <= stepped.time() - began < 3600


def test_airflow_timeout_in_the_middle_of_a_wait(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """When Airflow's own timeout comes first, the run is cancelled and the error is the typed one."""

    def time_out() -> None:
        stepped.at_sleep = None
        raise AirflowTaskTimeout

    stepped.at_sleep = time_out

    error = perform(start_run(execution_timeout=HOUR)).error

    assert isinstance(error, RunTimedOut)
    assert statuses(emulator) == ["CANCELLED"]


def test_what_has_ended_wins_over_the_timeout(emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """A run that completed before it could be cancelled is a success, not a timeout."""

    def time_out(_: str) -> None:
        raise AirflowTaskTimeout

    meanwhile("COMPLETED", time_out)

    ended = perform(start_run(execution_timeout=HOUR))

    assert ended.error is None
    assert ended.result["status"] == "COMPLETED"


# -- kills -----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for what Airflow raises after on_kill."""


def kill_while_waiting(stepped: SteppedTime, task: Any) -> None:
    """Let a user end the task in its first sleep: Airflow calls on_kill in the middle of it."""
    task = rendered(task, {})
    record = TaskInstanceRecord(task_id=task.task_id, state="failed")

    def kill() -> None:
        stepped.at_sleep = None
        task.on_kill()
        raise Killed

    stepped.at_sleep = kill
    with pytest.raises(Killed):
        execute(task, {"ti": record, "task_instance": record})


@pytest.mark.parametrize(("make", "number"), [(start_run, 1), (start_batch, 2)])
def test_kill_cancels(emulator: OmicsEmulator, stepped: SteppedTime, make: Callable[..., Any], number: int) -> None:
    """A task that a user ends cancels what it has started."""
    kill_while_waiting(stepped, make())

    assert statuses(emulator) == ["CANCELLED"] * number


@pytest.mark.parametrize("cancel_on_kill", [False, "false"])
def test_kill_leaves_the_run_if_so_wanted(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], cancel_on_kill: Any
) -> None:
    """With cancel_on_kill off, as a flag or as the text of a template, the run goes on and the log says so."""
    kill_while_waiting(stepped, start_run(cancel_on_kill=cancel_on_kill))

    assert emulator.calls["CancelRun"] == 0
    assert any("cancel_on_kill is off" in line for line in log_lines(logging.WARNING))


def test_kill_before_the_start_does_nothing(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """There is nothing to cancel yet, and no call is made."""
    rendered(start_run(), {}).on_kill()

    assert emulator.calls.by_operation() == {}


# -- trouble on the way ----------------------------------------------------------------------------------------------

PASSING = [
    {"error": "ThrottlingException"},
    {"error": "InternalServerException"},
    {"error": "RequestTimeoutException"},
    {"lost_request": True},
    {"lost_response": True},
]


@deferrable
@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_trouble_that_passes_is_borne(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    log_lines: Callable[..., list[str]],
    *,
    deferrable: bool,
    fault: dict[str, Any],
) -> None:
    """Throttling, errors of the service and lost connections delay the wait; one warning is enough."""
    emulator.faults.add(operation="GetRun", times=5, **fault)

    ended = perform(start_run(deferrable=deferrable))

    assert ended.error is None
    assert ended.result["status"] == "COMPLETED"
    assert len(log_lines(logging.WARNING)) == 1


@deferrable
@pytest.mark.parametrize("fault", [PASSING[0], PASSING[3]], ids=["throttled", "no connection"])
def test_patience_ends(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool, fault: dict[str, Any]
) -> None:
    """Trouble longer than patience loses contact: the error says so, and nothing was cancelled."""
    emulator.faults.add(operation="GetRun", **fault)

    error = perform(start_run(deferrable=deferrable, patience=timedelta(minutes=10))).error

    assert isinstance(error, LostContact)
    assert isinstance(error, AirflowException)
    assert 600 <= error.seconds < 1200
    assert emulator.calls["CancelRun"] == 0
    assert error.resource_id == emulator.service.started_runs()[0]["id"]


@deferrable
@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
def test_refusal_is_not_believed_at_once(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool, code: str
) -> None:
    """One refused look, as it happens moments after a change of permissions, does not end the wait."""
    emulator.faults.add(operation="GetRun", error=code, times=1)

    assert perform(start_run(deferrable=deferrable)).result["status"] == "COMPLETED"


@deferrable
def test_refused_looks_end_the_wait(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """Who may not look loses contact: the error names the missing permission."""
    emulator.faults.add(operation="GetRun", error="AccessDeniedException")

    error = perform(start_run(deferrable=deferrable)).error

    assert isinstance(error, LostContact)
    assert "omics:GetRun" in str(error)
    assert statuses(emulator) != ["CANCELLED"]


@deferrable
def test_unknown_status_is_waited_out(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    log_lines: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    *,
    deferrable: bool,
) -> None:
    """A status that AWS may add some day means: still going. One warning, however long it lasts."""
    get_run = service._HANDLERS["GetRun"]

    def hibernating(*arguments: Any) -> dict[str, Any]:
        answer = get_run(*arguments)
        return {**answer, "status": "HIBERNATING"} if answer["status"] == "RUNNING" else answer

    monkeypatch.setitem(service._HANDLERS, "GetRun", hibernating)

    ended = perform(start_run(deferrable=deferrable))

    assert ended.result["status"] == "COMPLETED"
    (warning,) = log_lines(logging.WARNING)
    assert "HIBERNATING" in warning


@deferrable
def test_run_under_a_reused_id_is_another_run(
    emulator: OmicsEmulator, meanwhile: Meanwhile, *, deferrable: bool
) -> None:
    """Ids are used again after deletion: the run of somebody else under ours is not taken for ours."""
    emulator.set_scenario({"limits": {"reuse_run_ids": True}})

    def replace(run_id: str) -> None:
        emulator.service.remove_run(run_id)
        request = {**DEFAULT_RUN_SETTING, "requestId": "theirs"}
        assert emulator.service.call("StartRun", request)["id"] == run_id

    meanwhile("RUNNING", replace)

    error = perform(start_run(deferrable=deferrable)).error

    assert isinstance(error, RunVanished)
    assert isinstance(error, AirflowFailException)
    assert error.run_uuid == emulator.service.started_runs()[0]["uuid"]
    assert statuses(emulator)[1] != "CANCELLED"


# -- what a trigger tells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [start_run, start_batch])
@pytest.mark.parametrize("event", [None, {}, {"status": "success"}, {"version": 1, "kind": "other"}, [1]])
def test_unreadable_event_is_no_success(
    emulator: OmicsEmulator, stepped: SteppedTime, make: Callable[..., Any], event: Any
) -> None:
    """An event that nobody can read fails the task."""
    record = TaskInstanceRecord()

    with pytest.raises(EventError) as caught:
        make().execute_complete({"ti": record}, event)

    assert isinstance(caught.value, AirflowException)
