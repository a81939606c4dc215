"""The record of the earlier tries is gone: what they have started is found, and no second one starts beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.attempt.identity import DEPLOYMENT_TAG
from airflow_provider_omics.core.errors import BatchTimedOut, NotOwner, RunTimedOut
from tests.airflow_support import BUCKET, ROLE, samples
from tests.operators.tries import (
    ALIVE,
    ENDED_WELL,
    LONG,
    START,
    STOPPED,
    Crash,
    NewTask,
    Task,
    at_sleep,
    crash,
    kinds,
    stores,
)

if TYPE_CHECKING:
    from tests.airflow_support import SteppedTime


def begun(task: Task, stepped: SteppedTime) -> None:
    """Let a first try die while it waits, and its record with it."""
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, crash, number=6)
    assert isinstance(task.try_().error, Crash)
    assert [status in ALIVE for status in task.statuses()] == [True]
    task.lose_record()


@kinds
@stores
@pytest.mark.parametrize("name", [None, "my own name"])
def test_retry_adopts(new_task: NewTask, stepped: SteppedTime, kind: str, store: str, name: str | None) -> None:
    """It cannot be a clear: the run is taken over, whatever its name."""
    task = new_task(kind, store=store)
    task.arguments = {{"run": "run_name", "batch": "batch_name"}[kind]: name} if name else {}
    begun(task, stepped)

    ended = task.try_()

    assert ended.error is None
    assert task.statuses() == [ENDED_WELL[kind]]


@kinds
@stores
def test_clear_cancels(new_task: NewTask, stepped: SteppedTime, kind: str, store: str) -> None:
    """The first try after a clear does what a clear does: one at a time is going."""
    task = new_task(kind, store=store)
    begun(task, stepped)
    task.clear()

    ended = task.try_()

    assert ended.error is None
    first, second = task.statuses()
    assert first in STOPPED
    assert second == ENDED_WELL[kind]


@kinds
def test_clear_leaves_what_it_is_told_to_leave(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """cancel_on_kill=False holds for what is found, too."""
    task = new_task(kind)
    task.arguments = {"cancel_on_kill": False, **({"rerun": "all"} if kind == "batch" else {})}
    begun(task, stepped)
    task.clear()

    assert task.try_().error is None

    assert not set(task.statuses()) & set(STOPPED)


@kinds
def test_retry_after_a_clear_adopts_what_its_series_has_started(
    new_task: NewTask, stepped: SteppedTime, kind: str
) -> None:
    """The first try after the clear cancelled the old one and started its own; the next one takes that over."""
    task = new_task(kind)
    begun(task, stepped)
    task.clear()
    # The old one is cancelled and, of a batch, waited for.
    at_sleep(stepped, lambda: crash() if len(task.started()) == 2 else at_each(stepped, task), number=1)
    task.try_()
    assert len(task.started()) == 2
    task.lose_record()

    assert task.try_().error is None

    assert len(task.started()) == 2
    assert task.statuses()[1] == ENDED_WELL[kind]


def at_each(stepped: SteppedTime, task: Task) -> None:
    """Look at each sleep again whether the second one has started."""
    at_sleep(stepped, lambda: crash() if len(task.started()) == 2 else at_each(stepped, task))


@kinds
def test_what_has_ended_well_is_returned(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """It completed while nobody looked: a retry starts nothing."""
    task = new_task(kind)
    begun(task, stepped)
    stepped.sleep(5000.0)

    ended = task.try_()

    assert ended.error is None
    assert len(task.started()) == 1


@kinds
def test_list_that_lags(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """A try that died right after its start, and a retry at once: the second search finds it."""
    task = new_task(kind)
    task.emulator.set_scenario({**LONG, "list_lag": 8.0})
    at_sleep(stepped, crash)
    task.try_()
    task.lose_record()

    assert task.try_().error is None

    assert len(task.started()) == 1


@kinds
def test_search_that_is_denied(
    new_task: NewTask, stepped: SteppedTime, log_lines: Callable[..., list[str]], kind: str
) -> None:
    """Without the permission to list, the log says that a run may be going."""
    task = new_task(kind)
    begun(task, stepped)
    operation = {"run": "ListRuns", "batch": "ListBatch"}[kind]
    task.emulator.faults.add(operation=operation, error="AccessDeniedException")

    task.try_()

    assert any("cannot be searched for" in line and operation in line for line in log_lines())


@kinds
def test_without_tags_it_says_that_nothing_can_be_searched(
    new_task: NewTask, stepped: SteppedTime, log_lines: Callable[..., list[str]], kind: str
) -> None:
    """Names alone do not tell one DAG run from another."""
    task = new_task(kind)
    task.arguments = {"tag_with_airflow_context": False}
    begun(task, stepped)

    task.try_()

    assert any("cannot be searched for" in line for line in log_lines())


def test_search_that_fails_for_a_while(new_task: NewTask, stepped: SteppedTime) -> None:
    """Throttled lists are asked again."""
    task = new_task()
    begun(task, stepped)
    task.emulator.faults.add(operation="ListRuns", error="ThrottlingException", times=3)

    assert task.try_().error is None

    assert len(task.started()) == 1


@kinds
@pytest.mark.parametrize(
    "other",
    [
        {"airflow:run_id": "another"},
        {"airflow:map_index": "3"},
        {"airflow:task_id": "another"},
        {"airflow:try_number": "2"},
        {DEPLOYMENT_TAG: "another"},
    ],
    ids=lambda other: next(iter(other)),
)
@pytest.mark.parametrize("clear", [False, True])
def test_what_others_have_started_is_theirs(
    new_task: NewTask, stepped: SteppedTime, kind: str, other: dict[str, str], *, clear: bool
) -> None:
    """Another DAG run, task, later try or Airflow of the same DAG: it is neither cancelled nor adopted."""
    task = new_task(kind)
    begun(task, stepped)
    client = task.emulator.client()
    (mine,) = task.started()
    response = client.get_run(id=mine["id"]) if kind == "run" else client.get_batch(batchId=mine["id"])
    client.tag_resource(resourceArn=response["arn"], tags=other)
    if clear:
        task.clear()

    task.try_()

    assert len(task.started()) == 2
    assert task.statuses()[0] not in STOPPED


@stores
def test_try_before_which_nothing_was_started(new_task: NewTask, stepped: SteppedTime, store: str) -> None:
    """The first try had bad settings: the search finds nothing, and one run starts."""
    task = new_task(store=store)
    task.try_(role_arn="no role")

    assert task.try_(role_arn=ROLE).error is None

    assert task.statuses() == ["COMPLETED"]


def test_results_tell_what_has_completed(new_task: NewTask, stepped: SteppedTime) -> None:
    """Record and batch are gone, the results file is there: only what did not complete is submitted after a clear."""
    task = new_task("batch")
    task.emulator.set_scenario({"runs": [{"match": {"name": "S2"}, "outcome": "FAILED"}, {}]})
    task.arguments = {"results_s3_uri": f"s3://{BUCKET}/results/", "run_settings": samples("S1", "S2")}
    assert task.try_().error is not None
    task.emulator.client().delete_batch(batchId=task.started()[0]["id"])
    task.emulator.set_scenario({})
    task.lose_record()
    task.clear()

    ended = task.try_()

    assert ended.error is None
    assert ended.result["completed_runs"] == 2
    assert task.emulator.calls.by_code()[START["batch"]] == {"OK": 2}
    names = [run["name"] for run in task.emulator.service.started_runs()]
    assert sorted(names) == ["S1", "S2", "S2"]


@kinds
def test_deadline_after_the_record_is_lost(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """S3 cannot tell whether a later try has taken over: what goes on is left to the next try, which adopts it."""
    task = new_task(kind, store="S3")
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, task.lose_record, number=6)

    error = task.try_(execution_timeout=timedelta(minutes=10)).error

    assert isinstance(error, NotOwner)
    assert "is gone" in str(error)
    assert task.statuses()[0] in ALIVE

    assert task.try_(execution_timeout=None).error is None
    assert task.statuses() == [ENDED_WELL[kind]]


@kinds
@pytest.mark.parametrize("left", [{"retries": 0}, {"durable": False}], ids=str)
def test_deadline_after_the_record_is_lost_where_nobody_adopts(
    new_task: NewTask, stepped: SteppedTime, kind: str, left: dict[str, Any]
) -> None:
    """The last try cancels what nobody comes for, and so does one whose runs no other try adopts."""
    task = new_task(kind, store="S3", **({} if "durable" in left else left))
    task.emulator.set_scenario(LONG)
    at_sleep(stepped, task.lose_record, number=6)

    error = task.try_(execution_timeout=timedelta(minutes=10), **left).error

    assert isinstance(error, {"run": RunTimedOut, "batch": BatchTimedOut}[kind])
    assert task.statuses()[0] in STOPPED
