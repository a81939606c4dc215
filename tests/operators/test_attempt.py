"""One task instance across its tries, on the emulator: what is started, adopted, cancelled, returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.attempt.record import Ended as RecordEnded
from airflow_provider_omics.core.errors import AttemptError, LostContact, Throttled
from tests.airflow_support import samples
from tests.operators.tries import ENDED_WELL, GET, START, Crash, CrashAt, NewTask, at_sleep, crash, kinds, stores, waits

if TYPE_CHECKING:
    from tests.airflow_support import SteppedTime


# -- the process dies --------------------------------------------------------------------------------------------------


@kinds
@waits
@stores
@pytest.mark.parametrize(
    ("write", "when", "left"),
    [
        pytest.param(1, "before", 0, id="before the request id is saved"),
        pytest.param(1, "after", 0, id="before the call"),
        pytest.param(2, "before", 1, id="between the call and saving the id"),
        pytest.param(2, "after", 1, id="once the id is saved"),
    ],
)
def test_crash_while_starting(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, *, kind: str, deferrable: bool, store: str, write: int,
    when: str, left: int,
) -> None:  # fmt: skip
    """Whatever write the process dies at: the retry ends with one start in all, and its result."""
    task = new_task(kind, deferrable=deferrable, store=store)
    with monkeypatch.context() as patch:
        CrashAt(patch, write, when)
        assert isinstance(task.try_().error, Crash)
    assert len(task.started()) == left

    ended = task.try_()

    assert ended.error is None
    assert ended.deferred is deferrable
    (only,) = task.started()
    assert (task.id_of(ended.result), only["status"]) == (only["id"], ENDED_WELL[kind])
    assert only["tags"]["airflow:try_number"] == ("2" if (write, when) == (1, "before") else "1")
    record = task.record()
    assert record is not None
    assert (record.resource_id, record.owner_try, record.ended) == (only["id"], 2, RecordEnded.WELL)


@kinds
@stores
def test_crash_while_waiting(new_task: NewTask, stepped: SteppedTime, kind: str, store: str) -> None:
    """A worker dies while it waits: the next try waits for the same."""
    task = new_task(kind, store=store)
    at_sleep(stepped, crash, number=2)
    assert isinstance(task.try_().error, Crash)
    assert len(task.started()) == 1

    ended = task.try_()

    assert ended.error is None
    assert task.statuses() == [ENDED_WELL[kind]]


@kinds
def test_triggerer_dies(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """Another triggerer takes the wait up: same try, one start, nothing cancelled."""
    task = new_task(kind, deferrable=True)
    at_sleep(stepped, crash, number=2)

    ended = task.try_()

    assert ended.error is None
    assert task.statuses() == [ENDED_WELL[kind]]


@kinds
@stores
@pytest.mark.parametrize("write", [1, 2, None])
def test_crash_after_the_end_was_seen(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, kind: str, store: str, write: int | None
) -> None:
    """Finished while no process looked: the retry starts nothing and returns the result."""
    task = new_task(kind, store=store)
    with monkeypatch.context() as patch:
        if write is None:
            at_sleep(stepped, crash)
        else:
            CrashAt(patch, 1 + write, "before")  # 2: the run's id; 3: that it ended well
        assert isinstance(task.try_().error, Crash)
    task.emulator.advance(7200.0)

    ended = task.try_()

    assert ended.error is None
    assert ended.result["status"] == ENDED_WELL[kind]
    assert len(task.started()) == 1


def test_without_a_store_a_crash_costs_a_second_start(new_task: NewTask, stepped: SteppedTime) -> None:
    """No store that lasts: the limit that the documentation tells."""
    task = new_task("run", store="none")
    at_sleep(stepped, crash)
    task.try_()

    assert task.try_().error is None

    assert len(task.started()) == 2


@pytest.mark.parametrize("arguments", [{"rerun": "all"}, {"durable": False}, {}], ids=str)
def test_without_a_store_a_batch_is_not_started_again(
    new_task: NewTask, stepped: SteppedTime, arguments: dict[str, Any]
) -> None:
    """Where nothing tells what was started, a cohort is not paid for twice, unless the user wants just that."""
    task = new_task("batch", store="none")
    at_sleep(stepped, crash)
    task.try_(**arguments)

    ended = task.try_()

    assert len(task.started()) == (2 if arguments else 1)
    assert arguments or isinstance(ended.error, AttemptError)
    assert arguments or "results_s3_uri or staging_s3_uri" in str(ended.error)


# -- the call does not get through -------------------------------------------------------------------------------------


@kinds
@waits
@pytest.mark.parametrize("store", ["task state", "S3", "none"])
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"lost_response": True, "times": 1}, id="answer lost"),
        pytest.param({"lost_request": True, "times": 3}, id="request lost"),
        pytest.param({"error": "ThrottlingException", "times": 40}, id="throttled 40 times"),
        pytest.param({"error": "InternalServerException", "times": 5}, id="500"),
    ],
)
def test_trouble_at_the_start(
    new_task: NewTask, kind: str, store: str, fault: dict[str, Any], *, deferrable: bool
) -> None:
    """Within one try, with any store or none: sent until it is answered, and started once."""
    task = new_task(kind, deferrable=deferrable, store=store)
    task.emulator.faults.add(operation=START[kind], **fault)

    ended = task.try_()

    assert ended.error is None
    assert task.statuses() == [ENDED_WELL[kind]]


@kinds
def test_start_that_never_gets_through_goes_on_in_the_next_try(new_task: NewTask, kind: str) -> None:
    """The retry sends the same request under the same id."""
    task = new_task(kind)
    fault = task.emulator.faults.add(operation=START[kind], error="ThrottlingException")
    assert isinstance(task.try_().error, Throttled)
    before = task.record()
    task.emulator.faults.remove(fault)

    assert task.try_().error is None

    (only,) = task.started()
    assert before is not None
    assert only["requestId"] == before.request_id


@kinds
@stores
def test_forgotten_request_id(new_task: NewTask, monkeypatch: pytest.MonkeyPatch, kind: str, store: str) -> None:
    """The service has forgotten the id, so that the same request would start a second one: it is found by its name."""
    task = new_task(kind, store=store)
    with monkeypatch.context() as patch:
        CrashAt(patch, 2, "before")
        task.try_()
    task.emulator.service.forget_request_ids()
    calls = task.emulator.calls[START[kind]]

    assert task.try_().error is None

    assert task.statuses() == [ENDED_WELL[kind]]
    assert task.emulator.calls[START[kind]] == calls


@kinds
@waits
def test_lost_contact_then_retry(new_task: NewTask, kind: str, *, deferrable: bool) -> None:
    """Out of reach for longer than patience: the try fails, nothing is cancelled, and the retry adopts."""
    task = new_task(kind, deferrable=deferrable)
    task.emulator.set_scenario({"runs": [{"running": 2e4}]})
    fault = task.emulator.faults.add(operation=GET[kind], error="InternalServerException")
    assert isinstance(task.try_().error, LostContact)
    record = task.record()
    assert record is not None
    assert record.ended is RecordEnded.LOST
    assert task.statuses() in (["RUNNING"], ["INPROGRESS"])
    task.emulator.faults.remove(fault)

    assert task.try_().error is None

    assert task.statuses() == [ENDED_WELL[kind]]
    assert task.emulator.calls["CancelRun"] == task.emulator.calls["CancelRunBatch"] == 0


# -- the DAG has changed -----------------------------------------------------------------------------------------------

CHANGES = {
    "run": [
        ({}, {"parameters": {"genome": "GRCh38"}}),
        ({"run_name": "one"}, {"run_name": "one", "parameters": {"genome": "GRCh38"}}),
        ({"run_name": "one"}, {"run_name": "two"}),
        ({}, {"run_name": "two"}),
        ({"run_name": "one"}, {"run_name": None}),
        ({}, {"tag_with_airflow_context": False}),
    ],
    "batch": [
        ({}, {"run_settings": samples("S1", "S2", "S3")}),
        ({"batch_name": "one"}, {"batch_name": "two"}),
        ({}, {"batch_name": "two"}),
        ({"batch_name": "one"}, {"batch_name": None, "tag_with_airflow_context": False}),
    ],
}


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [pytest.param(kind, *change, id=f"{kind} {change}") for kind, changes in CHANGES.items() for change in changes],
)
@pytest.mark.parametrize("arrived", [True, False], ids=["arrived", "never arrived"])
def test_settings_changed_before_the_start_was_answered(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, *, kind: str, before: dict[str, Any], after: dict[str, Any],
    arrived: bool,
) -> None:  # fmt: skip
    """The old request is looked for by what it was, not by what the DAG says now: adopted, or never sent again.

    A sample that is new makes a further batch, once the adopted one has ended.
    """
    task = new_task(kind)
    with monkeypatch.context() as patch:
        CrashAt(patch, *((2, "before") if arrived else (1, "after")))
        task.try_(**before)
    old = task.record()
    assert old is not None
    assert old.resource_id is None

    ended = task.try_(**after)

    assert ended.error is None
    first, *further = task.started()
    changed = set(after) != {"tag_with_airflow_context"}
    assert (first["requestId"] == old.request_id) is (arrived or not changed)
    assert first["status"] == ENDED_WELL[kind]
    assert [batch["totalRuns"] for batch in further] == ([1] if arrived and "run_settings" in after else [])


@kinds
def test_settings_changed_while_it_is_going(new_task: NewTask, stepped: SteppedTime, kind: str) -> None:
    """What is going is brought to its end first, with a warning; only a new attempt takes the new settings."""
    task = new_task(kind)
    at_sleep(stepped, crash, number=2)
    task.try_()

    ended = task.try_(tags={"new": "tag"})

    assert ended.error is None
    (only,) = task.started()
    assert "new" not in only["tags"]
