"""Results of batches that did not end well, and of runs whose records are gone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.errors import NotFound
from tests.airflow_support import ONE_TRY, quick_hook
from tests.results.batches import (
    FAILS,
    a_task,
    calls,
    collect,
    delete_manifests,
    details,
    end,
    records,
    rule,
    start,
    statuses,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

pytestmark = pytest.mark.usefixtures("stepped")


@details
def test_cancelled_batch(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """Samples that a cancelled batch never submitted are NOT_SUBMITTED, as far as the task's samples tell of them."""
    emulator.set_scenario({"limits": {"submissions_per_second": 0.02}, "runs": [{"running": 90_000}]})
    batch_id = start(emulator, "S1", "S2", "S3")
    emulator.client().cancel_run_batch(batchId=batch_id)
    emulator.advance(100_000)

    collected = collect(batch_id, detail=detail, started_by=a_task(batch_id, "S1", "S2", "S3"))

    submitted = {run["runSettingId"] for run in emulator.service.started_runs()}
    assert collected.batch.status == "CANCELLED"
    assert 0 < len(submitted) < 3
    assert statuses() == {name: "CANCELLED" if name in submitted else "NOT_SUBMITTED" for name in ("S1", "S2", "S3")}
    assert {record.submission_status for record in records().values()} == {"CANCEL_SUCCESS", None}


@details
def test_failed_batch_with_runs_still_going(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """Runs that a failed batch left going have no record until they end."""
    emulator.set_scenario({"batches": [{"failure": {"reason": "Internal error", "after_runs": 2}}]})
    batch_id = start(emulator, "S1", "S2", "S3")
    task = a_task(batch_id, "S1", "S2", "S3")

    collect(batch_id, detail=detail, started_by=task)
    going = dict(statuses())
    emulator.advance(100_000)
    collect(batch_id, detail=detail, started_by=task)

    assert going == {"S3": "NOT_SUBMITTED"}
    assert statuses() == {"S3": "NOT_SUBMITTED", "S1": "COMPLETED", "S2": "COMPLETED"}


@details
def test_runs_removed_by_retention(emulator: OmicsEmulator, detail: ResultsDetail, connect: Connect) -> None:
    """A run that is gone is told from its manifest; without one it is UNKNOWN, never COMPLETED."""
    emulator.set_scenario({"runs": [rule("F", **FAILS)]})
    batch_id = end(emulator, "S", "F", "S2", "OFF")
    runs = {run["runSettingId"]: run["id"] for run in emulator.service.started_runs()}
    for name in ("S", "F", "OFF"):
        emulator.service.remove_run(runs[name])
    delete_manifests(emulator, runs["OFF"])

    collect(batch_id, detail=detail)

    assert statuses() == {"S": "COMPLETED", "F": "FAILED", "S2": "COMPLETED", "OFF": "UNKNOWN"}


@details
def test_deleted_runs(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """Runs whose records were deleted with the batch's are told from their manifests; nobody looks for them."""
    batch_id = end(emulator, "S1", "S2")
    emulator.client().delete_run_batch(batchId=batch_id)
    emulator.advance(1000)
    emulator.calls.clear()

    collected = collect(batch_id, detail=detail)

    assert collected.batch.status == "RUNS_DELETED"
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}
    assert "GetRun" not in calls(emulator)
    assert all(record.run_uuid for record in records().values())


@pytest.mark.parametrize("listed", [True, False], ids=["manifests there", "no log group"])
def test_unknown_is_asked_for_again(emulator: OmicsEmulator, *, listed: bool) -> None:
    """A run that nobody could tell of is looked for again, and its record replaced once somebody can."""
    batch_id = end(emulator, "S1", "S2")
    delete_manifests(emulator, group=not listed)
    emulator.faults.add(operation="GetRun", error="ResourceNotFoundException")

    first = collect(batch_id, hook=quick_hook())
    again = collect(batch_id, hook=quick_hook())
    emulator.faults.clear()
    last = collect(batch_id)

    assert (first.counts, first.new) == ({"UNKNOWN": 2}, 2)
    assert (again.counts, again.new) == ({"UNKNOWN": 2}, 0)
    assert (last.counts, last.new) == ({"COMPLETED": 2}, 2)


def test_logs_that_cannot_be_read(
    emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]]
) -> None:
    """Where CloudWatch Logs refuses, vanished runs are UNKNOWN, and the log says so once."""
    batch_id = end(emulator, "S1", "S2")
    for run in emulator.service.started_runs():
        emulator.service.remove_run(run["id"])
    connect(service_config={"logs": {"endpoint_url": "http://127.0.0.1:1"}}, config_kwargs=ONE_TRY)

    collected = collect(batch_id)

    assert collected.counts == {"UNKNOWN": 2}
    told = [line for line in log_lines(logging.WARNING) if "runs that are gone are UNKNOWN" in line]
    assert len(told) == 1
    assert "GetLogEvents" in told[0]


def test_batch_that_is_gone(emulator: OmicsEmulator) -> None:
    """There is nothing to collect of a batch whose record was deleted."""
    with pytest.raises(NotFound):
        collect("999")


@details
def test_partial_cancel(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """A run that the cancel of its batch has missed has no record until it ends, and then the one of its end."""
    emulator.set_scenario({"batches": [{"cancel_failures": 1}], "runs": [{"running": 50_000}]})
    batch_id = start(emulator, "S1", "S2", "S3")
    emulator.client().cancel_run_batch(batchId=batch_id)
    emulator.advance(1000)

    collect(batch_id, detail=detail)
    early = dict(statuses())
    emulator.advance(100_000)
    collected = collect(batch_id, detail=detail)

    assert list(early.values()) == ["CANCELLED", "CANCELLED"]
    assert sorted(statuses().values()) == ["CANCELLED", "CANCELLED", "COMPLETED"]
    assert collected.new == 1


def test_unknown_stays_unknown(emulator: OmicsEmulator) -> None:
    """What a full collection could not find out, a listed one does not find out by counts."""
    batch_id = end(emulator, "S1", "S2")
    lost, _ = emulator.service.started_runs()
    batch = emulator.service.call("GetBatch", {"batchId": batch_id})
    emulator.service.remove_run(lost["id"])
    delete_manifests(emulator, lost["id"])
    collect(batch_id, detail=ResultsDetail.FULL)
    after_full = dict(statuses())

    collect(batch_id, detail=ResultsDetail.LISTED)

    assert batch["runSummary"]["completedRunCount"] == 2
    assert statuses() == after_full == {"S1": "UNKNOWN", "S2": "COMPLETED"}
