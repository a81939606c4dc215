from __future__ import annotations

import pytest

from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import (
    ACTIVE_RUN_STATUSES,
    BATCH_PHASES,
    PHASES,
    RUN_PHASES,
    BatchStatus,
    Phase,
    RunStatus,
)
from airflow_provider_omics.emulator.statuses import BATCH_CANCELLABLE


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("PENDING", Phase.ACTIVE),
        ("STARTING", Phase.ACTIVE),
        ("RUNNING", Phase.ACTIVE),
        ("STOPPING", Phase.ACTIVE),
        ("COMPLETED", Phase.SUCCEEDED),
        ("FAILED", Phase.FAILED),
        ("CANCELLED", Phase.CANCELLED),
        ("DELETED", Phase.DELETED),
        ("PAUSED", Phase.ACTIVE),
        ("completed", Phase.ACTIVE),
        ("PROCESSED", Phase.ACTIVE),
        ("", Phase.ACTIVE),
    ],
)
def test_phase_of_a_run(status: str, phase: Phase) -> None:
    """Each status has its phase; what is no status of a run counts as still going."""
    run = RunSnapshot("1", status)

    assert run.phase is phase
    assert (run.status in PHASES["run"]) is (status in {each.value for each in RunStatus})


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("CREATING", Phase.ACTIVE),
        ("PENDING", Phase.ACTIVE),
        ("SUBMITTING", Phase.ACTIVE),
        ("INPROGRESS", Phase.ACTIVE),
        ("STOPPING", Phase.ACTIVE),
        ("PROCESSED", Phase.PROCESSED),
        ("FAILED", Phase.FAILED),
        ("CANCELLED", Phase.CANCELLED),
        ("RUNS_DELETING", Phase.ACTIVE),
        ("RUNS_DELETED", Phase.DELETED),
        ("RUNS_DELETE_FAILED", Phase.DELETED),
        ("COMPLETED", Phase.ACTIVE),
        ("", Phase.ACTIVE),
    ],
)
def test_phase_of_a_batch(status: str, phase: Phase) -> None:
    """Each status has its phase; no status of a batch means success by itself."""
    batch = BatchSnapshot("1", status)

    assert batch.phase is phase
    assert (batch.status in PHASES["batch"]) is (status in {each.value for each in BatchStatus})


def test_only_a_completed_run_succeeds() -> None:
    """Success is one status of a run, and none of a batch."""
    assert [status for status, phase in RUN_PHASES.items() if phase is Phase.SUCCEEDED] == ["COMPLETED"]
    assert Phase.SUCCEEDED not in BATCH_PHASES.values()


def test_active_run_statuses_are_in_the_order_of_life() -> None:
    """A run that moves while the statuses are listed one after the other is seen twice, never missed."""
    assert [status.value for status in ACTIVE_RUN_STATUSES] == ["PENDING", "STARTING", "RUNNING", "STOPPING"]


def test_only_what_is_going_can_be_cancelled() -> None:
    """CREATING and STOPPING refuse a cancel though they are active, as the user guide's table of states has it."""
    active = {status for status, phase in BATCH_PHASES.items() if phase is Phase.ACTIVE}

    assert active - BATCH_CANCELLABLE == {"CREATING", "STOPPING", "RUNS_DELETING"}
    assert active > BATCH_CANCELLABLE
