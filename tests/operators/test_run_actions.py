from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import AccessDenied, Conflict
from airflow_provider_omics.operators.run import OmicsCancelRunOperator, OmicsDeleteRunOperator
from tests.airflow_support import OUTPUT, ROLE, perform

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime


def started(emulator: OmicsEmulator) -> str:
    request = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": OUTPUT, "requestId": "theirs"}
    run_id: str = emulator.service.call("StartRun", request)["id"]
    return run_id


@pytest.mark.parametrize(("age", "expected"), [(0, "CANCELLED"), (200, "CANCELLED"), (3600, "COMPLETED")])
def test_cancel_run(emulator: OmicsEmulator, stepped: SteppedTime, age: float, expected: str) -> None:
    """A run is cancelled wherever it is; one that has ended counts as done."""
    run_id = started(emulator)
    emulator.advance(age)

    ended = perform(OmicsCancelRunOperator(task_id="cancel", run_id="{{ run }}"), run=run_id)

    assert ended.error is None
    emulator.advance(60)
    assert emulator.client().get_run(id=run_id)["status"] == expected


@pytest.mark.parametrize("operator", [OmicsCancelRunOperator, OmicsDeleteRunOperator])
def test_run_that_is_gone_counts_as_done(emulator: OmicsEmulator, stepped: SteppedTime, operator: Any) -> None:
    """There is nothing to cancel or delete any more, and that is no error."""
    assert perform(operator(task_id="clean", run_id="424242")).error is None


@pytest.mark.parametrize("deleted_visible", [0, 3600])
def test_delete_run(emulator: OmicsEmulator, stepped: SteppedTime, deleted_visible: float) -> None:
    """The record of an ended run is deleted; a second delete has nothing to do."""
    emulator.set_scenario({"deleted_visible": deleted_visible})
    run_id = started(emulator)
    emulator.advance(3600)
    task = OmicsDeleteRunOperator(task_id="delete", run_id=run_id)

    assert perform(task).error is None
    assert [run["status"] for run in emulator.service.started_runs()] == ["DELETED"]
    assert perform(task).error is None


def test_delete_of_an_active_run_is_an_error(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A run that is still going is not deleted, and the task does not say that it was."""
    run_id = started(emulator)

    assert isinstance(perform(OmicsDeleteRunOperator(task_id="delete", run_id=run_id)).error, Conflict)


@pytest.mark.parametrize("age", [200, 3600, 30_000], ids=["running", "completed", "removed"])
@pytest.mark.parametrize("code", ["ConflictException", "ValidationException"])
def test_cancel_that_the_state_does_not_allow(
    emulator: OmicsEmulator, stepped: SteppedTime, code: str, age: float
) -> None:
    """Whichever error tells it: a run that is going was not cancelled; of one that has ended nothing is left to do."""
    emulator.set_scenario({"runs": [{"vanish_after": 7200.0}]})
    run_id = started(emulator)
    emulator.advance(age)
    emulator.faults.add(operation="CancelRun", error=code)

    error = perform(OmicsCancelRunOperator(task_id="cancel", run_id=run_id)).error

    assert (type(error).__name__ if error else None) == (
        {"ConflictException": "Conflict", "ValidationException": "InvalidRequest"}[code] if age == 200 else None
    )


def test_refused_cancel_is_an_error(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A cancel without permission fails the task, and names the action that is missing."""
    emulator.faults.add(operation="CancelRun", error="AccessDeniedException")

    error = perform(OmicsCancelRunOperator(task_id="cancel", run_id=started(emulator))).error

    assert isinstance(error, AccessDenied)
    assert "omics:CancelRun" in str(error)
