"""A task that is taken up after its deferral, while its record cannot be read, or lacks what was started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_omics.core.errors import BatchVerdictError
from airflow_provider_omics.jobs.stores import S3AttemptStore, TaskStateAttemptStore
from tests.operators.reruns import TRANSIENT, fails, script, submitted
from tests.operators.tries import ENDED_WELL, NewTask, kinds, stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.airflow_support import SteppedTime


def breaks(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> list[int]:
    """Have one call of a method of the stores fail; gives how many are to come until then."""
    left = [number]

    def wrapped(method: Any) -> Any:
        def called(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise ConnectionError("the api-server is down, or S3")
            return method(*arguments)

        return called

    for store in (TaskStateAttemptStore, S3AttemptStore):
        monkeypatch.setattr(store, name, wrapped(getattr(store, name)))
    return left


@kinds
@stores
def test_record_that_cannot_be_read_loses_no_result(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]], kind: str, store: str
) -> None:
    """How the wait has ended is known: that is the task's result, and a clear starts with what is recorded."""
    task = new_task(kind, store=store, deferrable=True)
    waited = task._waited
    monkeypatch.setattr(task, "_waited", lambda trigger: (waited(trigger), breaks(monkeypatch, "load", 1))[0])

    ended = task.try_()

    assert ended.error is None
    assert ended.result["status"] == ENDED_WELL[kind]
    assert [line for line in log_lines() if "cannot be read" in line]
    assert task.record().resource_id == task.id_of(ended.result)  # type: ignore[union-attr]


@stores
@pytest.mark.parametrize("again", ["retry", "clear"])
def test_id_that_was_not_recorded_at_the_start(
    new_task: NewTask, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch, store: str, again: str
) -> None:
    """The batch of an attempt is recorded when it ends at the latest: what has completed is not submitted again."""
    task = new_task("batch", store=store, deferrable=True)
    script(task, fails(TRANSIENT, "S2"))
    left = breaks(monkeypatch, "save", 2)
    first = task.try_()
    assert left[0] < 0
    assert isinstance(first.error, BatchVerdictError)
    script(task)
    if again == "clear":
        task.clear()

    ended = task.try_()

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S2"]]
    assert ended.result["completed_runs"] == 2


@kinds
@stores
@pytest.mark.parametrize("told", [True, False], ids=["carried", "by the record"])
def test_event_of_a_try_that_has_failed(new_task: NewTask, *, kind: str, store: str, told: bool) -> None:
    """Airflow 3.0 takes the next try up where the deferral of the last one ended: it begins anew all the same."""
    task = new_task(kind, store=store, deferrable=True)
    task.arguments["allow_nested_operators"] = False  # Airflow lets nobody but itself call `execute` then
    task.emulator.set_scenario({"runs": [{"outcome": "FAILED", "failure_reason": TRANSIENT}]})
    failed = task.try_()
    assert failed.error is not None
    record = task.record()
    assert record is not None
    task.instance.try_number += 1

    operator = task._made()
    context: Any = {**task._context(), "task": operator}

    with pytest.raises(TaskDeferred):
        operator.execute_complete(
            context, failed.event, record.request_id, connected=True, try_number=1 if told else None
        )

    assert len(task.started()) == 2
