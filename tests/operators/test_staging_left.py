"""Which staged settings stay behind, and why: a batch that may be going may read them, and nothing else keeps them."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import botocore.endpoint
import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

from airflow_provider_omics.core.errors import (
    AccessDenied,
    InvalidRequest,
    LostContact,
    NotFound,
    Throttled,
    Unavailable,
)
from airflow_provider_omics.hooks.omics import OmicsHook
from tests.airflow_support import BUCKET, TaskInstanceRecord, execute, rebuilt, rendered, samples
from tests.operators.tries import STAGING, NewTask, Task, at_sleep, crash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

MANY = samples(*(f"S{number:03d}" for number in range(110)))


@pytest.fixture
def task(new_task: NewTask) -> Task:
    """A task that starts a batch from staged settings, before its first try."""
    task = new_task("batch")
    task.arguments.update(run_settings=MANY, staging_s3_uri=STAGING)
    return task


def keys(emulator: OmicsEmulator, folder: str = "run-settings") -> list[str]:
    listed = emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"staging/{folder}/")
    return [item["Key"] for item in listed.get("Contents", ())]


def stays(log: list[str]) -> list[str]:
    return [line for line in log if line.startswith("The staged settings ") and " stay: " in line]


def test_batch_that_nobody_waits_for(task: Task, log_lines: Callable[..., list[str]]) -> None:
    """Without a wait they stay, as the batch is about to read them; the log says so, and where they are."""
    ended = task.try_(wait_for_completion=False)

    (key,) = keys(task.emulator)
    (line,) = stays(log_lines())
    assert ended.error is None
    assert f"s3://{BUCKET}/{key}" in line
    assert "nothing waits for the batch" in line


def test_short_batch_that_nobody_waits_for(task: Task, log_lines: Callable[..., list[str]]) -> None:
    """Of settings that went into the request there is nothing to say."""
    task.try_(wait_for_completion=False, run_settings=MANY[:2])

    assert (keys(task.emulator), stays(log_lines())) == ([], [])


@pytest.mark.parametrize("keep_staging", [False, True])
def test_user_who_ends_the_waiting_task(task: Task, stepped: SteppedTime, *, keep_staging: bool) -> None:
    """On a worker, the kill that cancels the batch removes them."""
    task.emulator.set_scenario({"runs": [{"running": 100_000.0}]})
    at_sleep(stepped, lambda: task.kill("failed"), number=3)

    task.try_(keep_staging=keep_staging)

    assert task.statuses() == ["STOPPING"]
    assert len(keys(task.emulator)) == keep_staging


def test_node_that_is_drained(task: Task, stepped: SteppedTime) -> None:
    """What is left going for the next try keeps them, and loses them at its end."""
    task.emulator.set_scenario({"batches": [{"pending": 600.0}]})
    at_sleep(stepped, lambda: task.kill("running"))

    task.try_()
    left = keys(task.emulator)
    ended = task.try_()

    assert len(left) == 1
    assert ended.error is None
    assert keys(task.emulator) == []


@pytest.mark.parametrize("state", ["failed", "deferred"])
def test_user_who_ends_the_deferred_task(task: Task, state: str) -> None:
    """In the triggerer the kill removes them as well, and only a kill does."""
    task.emulator.set_scenario({"runs": [{"running": 100_000.0}]})
    stored_trigger = deferred(task)
    trigger = rebuilt(stored_trigger)
    trigger.task_instance = TaskInstanceRecord(state=state)

    async def state_of_task() -> str:
        return state

    trigger._task_state = state_of_task
    asyncio.run(trigger.on_kill())

    assert len(keys(task.emulator)) == (state == "deferred")
    assert (task.statuses() == ["CANCELLED"]) is (state == "failed")


def deferred(task: Task) -> Any:
    """Start the task's batch, and give the trigger that it defers to, as Airflow stores it."""
    from airflow.providers.common.compat.sdk import TaskDeferred

    task.deferrable = True
    task.instance.try_number = 1
    context = task._context()
    with pytest.raises(TaskDeferred) as deferral:
        execute(rendered(task._made(), context), context)
    trigger: Any = deferral.value.trigger
    return trigger.serialize()


@pytest.mark.parametrize(
    ("fault", "kind", "left"),
    [
        ({"error": "ThrottlingException"}, Throttled, False),
        ({"error": "ResourceNotFoundException"}, NotFound, False),
        ({"error": "InternalServerException"}, Unavailable, True),
    ],
    ids=["throttled", "not found", "broken"],
)
def test_start_that_is_given_up(
    task: Task, log_lines: Callable[..., list[str]], fault: dict[str, Any], kind: type[Exception], *, left: bool
) -> None:
    """A start that was refused each time leaves nothing; one that may have arrived leaves them, and the log says so."""
    task.emulator.faults.add(operation="StartRunBatch", **fault)

    ended = task.try_(patience=timedelta(minutes=5))

    assert isinstance(ended.error, kind)
    assert len(keys(task.emulator)) == left
    assert ["may have arrived" in line for line in stays(log_lines())] == [True] * left


def test_refusal_after_an_answer_that_was_lost(task: Task, stepped: SteppedTime) -> None:
    """A resend that is refused says nothing of the start before it: its batch reads them."""
    task.emulator.set_scenario({"batches": [{"pending": 600.0}]})
    faults = task.emulator.faults
    faults.add(operation="StartRunBatch", lost_response=True, times=1)
    at_sleep(stepped, lambda: faults.add(operation="StartRunBatch", error="AccessDeniedException"))

    ended = task.try_()
    task.emulator.advance(1_000_000)

    assert isinstance(ended.error, AccessDenied)
    assert len(keys(task.emulator)) == 1
    assert task.statuses() == ["PROCESSED"]


def test_refusal_after_an_answer_that_botocore_has_lost(
    task: Task, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same goes for a resend of botocore's own, within one call."""
    monkeypatch.setattr(botocore.endpoint, "time", stepped)
    task.arguments["botocore_config"] = {"retries": {"mode": "standard", "total_max_attempts": 2}}
    faults = task.emulator.faults
    faults.add(operation="StartRunBatch", lost_response=True, times=1)
    at_sleep(stepped, lambda: faults.add(operation="StartRunBatch", error="AccessDeniedException"))

    ended = task.try_()

    assert isinstance(ended.error, AccessDenied)
    assert task.emulator.calls["StartRunBatch"] == 2
    assert len(task.started()) == len(keys(task.emulator)) == 1


def test_refusal_of_what_an_earlier_try_may_have_started(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same goes for the start of an earlier try, whose process died before the answer."""
    with monkeypatch.context() as patch:
        patch.setattr(OmicsHook, "start_run_batch", lambda *_: crash())
        task.try_()
    task.emulator.faults.add(operation="StartRunBatch", error="ValidationException", times=1)

    ended = task.try_()

    assert isinstance(ended.error, InvalidRequest)
    assert len(keys(task.emulator)) == 1


def test_contact_that_is_lost(task: Task, stepped: SteppedTime, log_lines: Callable[..., list[str]]) -> None:
    """A batch that nobody can look at may be going."""
    task.emulator.set_scenario({"batches": [{"pending": 1e6}]})
    at_sleep(stepped, lambda: task.emulator.faults.add(operation="GetBatch", error="InternalServerException"))

    ended = task.try_(patience=timedelta(minutes=5))

    assert isinstance(ended.error, LostContact)
    assert len(keys(task.emulator)) == 1
    assert len(stays(log_lines())) == 1


def test_clear_that_leaves_the_old_batch_going(
    task: Task, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """With cancel_on_kill off the old batch goes on: its settings are not taken from under it."""
    task.emulator.set_scenario({"batches": [{"pending": 600.0}]})
    task.arguments.update(cancel_on_kill=False, rerun="all")
    at_sleep(stepped, crash)
    task.try_()
    (first,) = keys(task.emulator)
    task.clear()

    ended = task.try_()
    task.emulator.advance(100_000)

    assert ended.error is None
    assert task.statuses() == ["PROCESSED", "PROCESSED"]
    assert keys(task.emulator) == [first]
    assert any("of an earlier attempt is PENDING and reads them" in line for line in stays(log_lines()))


@pytest.mark.parametrize(
    ("error", "stay"),
    [
        ("ResourceNotFoundException", None),
        ("AccessDeniedException", "whether batch {} still reads them cannot be told"),
    ],
)
def test_settings_of_an_earlier_batch_that_cannot_be_seen(
    task: Task, log_lines: Callable[..., list[str]], error: str, stay: str | None
) -> None:
    """They go with a batch that is gone; while nobody can tell whether a batch reads them, they stay."""
    task.try_(wait_for_completion=False)
    record = task.record()
    assert record is not None
    task.emulator.faults.add(operation="GetBatch", error=error)

    task.operator._task.job._staging(earlier=True).unstage_earlier(record.request_id, record.resource_id)

    assert len(keys(task.emulator)) == (stay is not None)
    assert stay is None or stay.format(record.resource_id) in stays(log_lines())[-1]


def test_clear_that_ends_the_old_batch(task: Task, stepped: SteppedTime) -> None:
    """What an earlier attempt has staged goes when the next one starts."""
    task.emulator.set_scenario({"runs": [{"running": 100_000.0}]})
    at_sleep(stepped, crash, number=3)
    task.try_(rerun="all")
    task.emulator.set_scenario({})
    task.clear()

    ended = task.try_()

    assert ended.error is None
    assert sorted(task.statuses()) == ["CANCELLED", "PROCESSED"]
    assert keys(task.emulator) == []


def test_own_sheets_stay(task: Task, tmp_path: Path, log_lines: Callable[..., list[str]]) -> None:
    """Runs' own sheets are put there once for all starts of a try, and stay: other batches may share them."""
    path = tmp_path / "samples.csv"
    path.write_text("sample\nS1\nS2\n")
    task.arguments.update(run_settings=None, sample_sheet={"path": str(path), "input_sheet": "input"})
    task.emulator.faults.add(operation="StartRunBatch", error="ThrottlingException", times=3)

    ended = task.try_()

    assert ended.error is None
    assert len(keys(task.emulator, "input-sheets")) == 2
    assert sum("own sheets are below" in line for line in log_lines()) == 1


def test_own_sheets_are_written_with_one_client(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the connection is asked for nor a client made in the threads that write: Airflow is asked in turn."""
    path = tmp_path / "samples.csv"
    path.write_text("sample\n" + "".join(f"S{number}\n" for number in range(30)))
    task.arguments.update(run_settings=None, sample_sheet={"path": str(path), "input_sheet": "input"})
    threads: set[str] = set()

    def noted(method: Any) -> Any:
        def called(*arguments: Any, **more: Any) -> Any:
            threads.add(threading.current_thread().name)
            return method(*arguments, **more)

        return called

    for name in ("_get_config", "get_session"):
        monkeypatch.setattr(AwsGenericHook, name, noted(getattr(AwsGenericHook, name)))
    get_connection = AwsGenericHook.get_connection
    monkeypatch.setattr(AwsGenericHook, "get_connection", staticmethod(noted(get_connection)))

    assert task.try_().error is None

    assert len(keys(task.emulator, "input-sheets")) == 30
    assert threads == {threading.current_thread().name}
