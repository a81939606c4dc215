from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import BatchFailed, Conflict, InvalidRequest, LostContact
from airflow_provider_omics.operators.run_batch import (
    OmicsCancelRunBatchOperator,
    OmicsDeleteBatchOperator,
    OmicsDeleteRunBatchOperator,
    OmicsStartRunBatchOperator,
)
from tests.airflow_support import DEFAULT_RUN_SETTING, ONE_TRY, perform, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Ended, SteppedTime


def start_batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    defaults: dict[str, Any] = {
        "task_id": "align_all",
        "default_run_setting": DEFAULT_RUN_SETTING,
        "run_settings": samples("S1", "S2", "S3"),
    }
    return OmicsStartRunBatchOperator(**{**defaults, **arguments})


def only_batch(emulator: OmicsEmulator) -> dict[str, Any]:
    (batch,) = emulator.service.started_batches()
    return batch


@pytest.fixture
def batch_id(emulator: OmicsEmulator, stepped: SteppedTime) -> str:
    """A batch of three runs that somebody else has started."""
    started: str = emulator.client().start_run_batch(
        requestId="theirs",
        defaultRunSetting=DEFAULT_RUN_SETTING,
        batchRunSettings={"inlineSettings": samples("S1", "S2", "S3")},
    )["id"]
    return started


def do(operator: Any, batch_id: str, **arguments: Any) -> Ended:
    return perform(operator(task_id="do", batch_id="{{ batch }}", **arguments), batch=batch_id)


@pytest.mark.parametrize(("age", "expected"), [(3, "CANCELLED"), (200, "CANCELLED"), (3600, "PROCESSED")])
def test_cancel_batch(emulator: OmicsEmulator, batch_id: str, age: float, expected: str) -> None:
    """A batch is cancelled once and again; one that has ended counts as done."""
    emulator.advance(age)

    assert do(OmicsCancelRunBatchOperator, batch_id).error is None
    assert do(OmicsCancelRunBatchOperator, batch_id).error is None
    emulator.advance(600)
    assert only_batch(emulator)["status"] == expected


def test_batch_that_is_being_created_is_not_cancelled(emulator: OmicsEmulator, batch_id: str) -> None:
    """A batch in CREATING refuses the cancel: the task does not say that it was cancelled."""
    assert isinstance(do(OmicsCancelRunBatchOperator, batch_id).error, Conflict)


@pytest.mark.parametrize(("age", "done"), [(200, False), (3600, True)], ids=["going", "ended"])
def test_cancel_that_is_refused_as_invalid(emulator: OmicsEmulator, batch_id: str, age: float, *, done: bool) -> None:
    """Which error a state gets that does not allow a cancel is not documented: a look tells what it meant."""
    emulator.advance(age)
    emulator.faults.add(operation="CancelRunBatch", error="ValidationException")

    assert isinstance(do(OmicsCancelRunBatchOperator, batch_id).error, type(None) if done else InvalidRequest)


@pytest.mark.parametrize(
    "operator", [OmicsCancelRunBatchOperator, OmicsDeleteRunBatchOperator, OmicsDeleteBatchOperator]
)
def test_batch_that_is_gone_counts_as_done(emulator: OmicsEmulator, stepped: SteppedTime, operator: Any) -> None:
    """There is nothing to cancel or delete any more, and that is no error."""
    assert do(operator, "424242").error is None


@pytest.mark.parametrize("wait", [True, False])
def test_delete_runs_of_a_batch(emulator: OmicsEmulator, batch_id: str, *, wait: bool) -> None:
    """The runs of an ended batch are deleted, waited for or not; a second delete has nothing to do."""
    emulator.set_scenario({"limits": {"deletes_per_second": 0.01}})
    emulator.advance(3600)

    assert do(OmicsDeleteRunBatchOperator, batch_id, wait_for_completion=wait).error is None
    assert only_batch(emulator)["status"] == ("RUNS_DELETED" if wait else "RUNS_DELETING")
    assert do(OmicsDeleteRunBatchOperator, batch_id).error is None
    assert {run["status"] for run in emulator.service.started_runs()} == {"DELETED"}


def test_runs_that_cannot_be_deleted_are_an_error(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A delete that AWS reports as failed is not told as done."""
    emulator.set_scenario({"batches": [{"delete_failures": 1}]})
    batch_id = perform(start_batch()).result["batch_id"]

    error = do(OmicsDeleteRunBatchOperator, batch_id).error

    assert isinstance(error, BatchFailed)
    assert error.status == "RUNS_DELETE_FAILED"


def test_delete_whose_end_nobody_saw_is_an_error(emulator: OmicsEmulator, batch_id: str) -> None:
    """When the batch cannot be looked at any more, the task does not say that its runs were deleted."""
    emulator.advance(3600)
    emulator.faults.add(operation="GetBatch", error="AccessDeniedException")

    error = do(OmicsDeleteRunBatchOperator, batch_id, botocore_config=ONE_TRY).error

    assert isinstance(error, LostContact)


def test_runs_of_an_active_batch_are_not_deleted(emulator: OmicsEmulator, batch_id: str) -> None:
    """A batch that is still going refuses, and that is an error."""
    assert isinstance(do(OmicsDeleteRunBatchOperator, batch_id).error, Conflict)


def test_delete_batch(emulator: OmicsEmulator, batch_id: str) -> None:
    """The record of an ended batch is deleted and its runs stay; an active one is not."""
    assert isinstance(do(OmicsDeleteBatchOperator, batch_id).error, Conflict)
    emulator.advance(3600)

    assert do(OmicsDeleteBatchOperator, batch_id).error is None
    assert only_batch(emulator)["exists"] is False
    assert all(run["exists"] for run in emulator.service.started_runs())
