"""A task that is tried or cleared again, on the emulator: what is new, what is kept, and who may touch it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import AttemptError, BatchVerdictError, NotOwner, RunFailed, SettingsError
from tests.airflow_support import samples
from tests.operators.tries import ENDED_WELL, CrashAt, NewTask, Task, at_sleep, crash, kinds, stores, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.airflow_support import SteppedTime


FAILS: dict[str, Any] = {"runs": [{"match": {"attempt": [1]}, "outcome": "FAILED"}]}
"""The first run of each name fails. The names of runs are new in each attempt, so those tests name them."""


def fails_first(task: Task) -> dict[str, Any]:
    """Give arguments under which the scenario FAILS lets the first attempt fail and the second succeed."""
    return {"run_name": "nightly"} if task.kind == "run" else {}


# -- it ended badly ----------------------------------------------------------------------------------------------------


@kinds
@waits
@stores
def test_retry_after_a_failure_is_a_new_start(new_task: NewTask, kind: str, store: str, *, deferrable: bool) -> None:
    """A failed attempt is over: new run, new request id."""
    task = new_task(kind, deferrable=deferrable, store=store)
    task.emulator.set_scenario(FAILS)
    assert isinstance(task.try_(**fails_first(task)).error, RunFailed if kind == "run" else BatchVerdictError)

    ended = task.try_()

    assert ended.error is None
    first, second = task.started()
    assert first["requestId"] != second["requestId"]
    assert task.id_of(ended.result) == second["id"]


@kinds
def test_retry_after_a_failure_that_nobody_saw_is_a_new_start(
    new_task: NewTask, stepped: SteppedTime, kind: str
) -> None:
    """The same when the worker was dead at the time."""
    task = new_task(kind)
    task.emulator.set_scenario(FAILS)
    at_sleep(stepped, crash)
    task.try_(**fails_first(task))
    task.emulator.advance(7200.0)

    assert task.try_().error is None

    assert len(task.started()) == 2


@kinds
def test_settings_that_have_become_wrong_leave_a_word_of_what_is_going(
    new_task: NewTask, stepped: SteppedTime, log_lines: Callable[..., list[str]], kind: str
) -> None:
    """A retry that is refused before it takes over what is going says its id: nothing goes on unseen."""
    task = new_task(kind)
    at_sleep(stepped, crash, number=2)
    task.try_()

    broken: dict[str, Any] = {"run": {"storage_type": "CHEAP"}, "batch": {"default_run_setting": {"workflowId": "1"}}}
    ended = task.try_(**broken[kind])

    assert isinstance(ended.error, SettingsError)
    (started,) = task.started()
    assert any(f"{kind} {started['id']} of try 1 may still be going" in line for line in log_lines())


EVERYTHING: dict[str, dict[str, Any]] = {"run": {}, "batch": {"rerun": "all"}}
"""Arguments with which a new attempt waits for nothing: it need not know what has completed."""

# -- a user clears the task --------------------------------------------------------------------------------------------


@kinds
@stores
@pytest.mark.parametrize("answered", [True, False], ids=["waiting", "start not answered"])
def test_clear_while_it_is_going(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, *, kind: str, store: str, answered: bool
) -> None:
    """Exactly one new one; the old one is cancelled and not waited for."""
    task = new_task(kind, store=store)
    task.emulator.set_scenario({"runs": [{"cancel_takes": 5000.0}]})
    with monkeypatch.context() as patch:
        if answered:
            at_sleep(stepped, crash, number=2)
        else:
            CrashAt(patch, 2, "before")
        task.try_(**EVERYTHING[kind])
    task.clear()

    began = stepped.time()
    ended = task.try_()

    assert ended.error is None
    old, new = task.started()
    assert old["requestId"] != new["requestId"]
    assert (old["status"], new["status"]) in [("STOPPING", ENDED_WELL[kind]), ("CANCELLED", ENDED_WELL[kind])]
    assert new["creationTime"].timestamp() - began < 60
    assert task.id_of(ended.result) == new["id"]


@kinds
def test_clear_while_it_is_going_without_cancel_on_kill(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """cancel_on_kill=False leaves the old one going: another run is started beside it, and no sample of a batch is."""
    task = new_task(kind)
    at_sleep(stepped, crash, number=2)
    task.try_(cancel_on_kill=False)
    task.clear()

    assert task.try_().error is None

    assert task.statuses() == [ENDED_WELL[kind]] * (2 if kind == "run" else 1)


@kinds
@stores
def test_clear_after_success(new_task: NewTask, kind: str, store: str) -> None:
    """A run is made anew; a batch whose settings are the same is not submitted again, unless that is forced."""
    task = new_task(kind, store=store)
    first = task.try_().result
    task.clear()

    second = task.try_().result

    assert len(task.started()) == (2 if kind == "run" else 1)
    if kind == "batch":
        assert second == {**first, "carried_forward": 2}
    if kind == "batch":
        task.clear()
        third = task.try_(rerun="all")
        assert third.error is None
        assert len(task.started()) == 2


def test_clear_after_success_with_other_settings(new_task: NewTask) -> None:
    """A batch with other settings is another batch."""
    task = new_task("batch")
    task.try_()
    task.clear()

    assert task.try_(run_settings=samples("S1", "S2", "S3")).result["total_runs"] == 3

    assert len(task.started()) == 2


@kinds
def test_clear_after_failure(new_task: NewTask, kind: str) -> None:
    """Cleared after its last failure: a new start."""
    task = new_task(kind, retries=0)
    task.emulator.set_scenario(FAILS)
    assert task.try_(**fails_first(task)).error is not None
    task.clear()

    assert task.try_().error is None

    assert len(task.started()) == 2


# -- switched off, or not waited for -----------------------------------------------------------------------------------


@kinds
def test_without_durable_each_try_starts_and_a_clear_cancels_the_last(
    new_task: NewTask, stepped: SteppedTime, kind: str
) -> None:
    """durable=False adopts nothing, and its record still lets a clear cancel what is going."""
    task = new_task(kind)
    task.emulator.set_scenario({"runs": [{"running": 4e3}]})
    for _ in range(2):
        at_sleep(stepped, crash, number=2)
        task.try_(durable=False, **EVERYTHING[kind])
    assert len(task.started()) == 2
    task.clear()

    assert task.try_().error is None

    assert len(task.started()) == 3
    assert task.statuses()[1:] in (["CANCELLED", ENDED_WELL[kind]], ["STOPPING", ENDED_WELL[kind]])


@kinds
@waits
def test_without_waiting(new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str, *, deferrable: bool) -> None:
    """wait_for_completion=False: a retry after a crash adopts as well; a clear cancels and starts anew."""
    task = new_task(kind, deferrable=deferrable)
    with monkeypatch.context() as patch:
        CrashAt(patch, 2, "before")
        task.try_(wait_for_completion=False)

    ended = task.try_()
    assert not ended.deferred
    assert len(task.started()) == 1
    task.clear()
    again = task.try_()

    assert again.error is None
    assert len(task.started()) == 2
    assert task.statuses()[0] in ("STOPPING", "CANCELLED")


@stores
def test_two_deployments_keep_apart(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    """The same DAG, task and run ids in one account: neither adopts, cancels or returns what the other started."""
    deployments = [("one", new_task(store=store)), ("two", new_task(store=store))]
    for place, task in deployments:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"https://{place}.example.com")
        monkeypatch.setenv("AIRFLOW__WEBSERVER__BASE_URL", f"https://{place}.example.com")
        with monkeypatch.context() as patch:
            CrashAt(patch, 2, "before")
            task.try_()
    results = []
    for place, task in deployments:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"https://{place}.example.com")
        monkeypatch.setenv("AIRFLOW__WEBSERVER__BASE_URL", f"https://{place}.example.com")
        results.append(task.try_().result["run_id"])

    assert results == [run["id"] for run in task.started()]
    assert task.statuses() == ["COMPLETED"] * 2


def test_overlapping_older_try_writes_first(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orphan is answered while the new try searches: the new one reads again, and adopts."""
    task = new_task(store="S3")
    with monkeypatch.context() as patch:
        CrashAt(patch, 2, "before")
        task.try_()
    left = task.record()
    assert left is not None
    (run,) = task.started()
    # The listed run is not seen yet, so the search sleeps; meanwhile the orphan saves what it was answered.
    task.emulator.set_scenario({"list_lag": 5.0})
    orphan = task.operator._task.owner.store
    at_sleep(stepped, lambda: orphan.save(_answered(left, run)))

    ended = task.try_()

    assert ended.error is None
    assert [run["status"] for run in task.started()] == ["COMPLETED"]


def test_orphan_starts_nothing(new_task: NewTask, stepped: SteppedTime) -> None:
    """While an orphan still waits for its start to get through, a later try has taken over: the orphan ends."""
    task = new_task(store="S3")
    fault = task.emulator.faults.add(operation="StartRun", error="ThrottlingException")

    def overtake() -> None:
        task.emulator.faults.remove(fault)
        other = new_task(store="S3")
        other.instance.try_number = 1
        assert other.try_().error is None

    at_sleep(stepped, overtake)

    assert isinstance(task.try_().error, NotOwner)
    assert task.statuses() == ["COMPLETED"]


def test_unreadable_record_stops_the_try(new_task: NewTask) -> None:
    """Nothing is started on a record that cannot be read, and Airflow spends no retry on it."""
    task = new_task()
    assert task.task_state_store is not None
    task.task_state_store.values["omics_attempt"] = '"nonsense"'

    assert isinstance(task.try_().error, AttemptError)
    assert task.started() == []


def _answered(record: Any, run: dict[str, Any]) -> Any:
    return type(record)(**{**vars(record), "resource_id": run["id"], "resource_uuid": run["uuid"]})
