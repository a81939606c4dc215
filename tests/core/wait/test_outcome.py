from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_provider_omics.core.errors import (
    BatchCancelled,
    BatchDeleted,
    BatchError,
    BatchFailed,
    BatchTimedOut,
    BatchVanished,
    LostContact,
    OmicsError,
    RunCancelled,
    RunDeleted,
    RunError,
    RunFailed,
    RunTimedOut,
    RunVanished,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import BatchStatus, Phase, RunStatus
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.outcome import batch_result, closing_line, error_of, run_result

NOON = datetime(2026, 6, 22, 12, tzinfo=timezone.utc)


def run(status: str, **more: Any) -> RunSnapshot:
    return RunSnapshot("1", status, "uuid-1", failure_reason="RUN_TASK_FAILED", status_message="align failed", **more)


def batch(status: str) -> BatchSnapshot:
    counts = {"completed_runs": 5, "failed_runs": 1, "cancelled_runs": 1}
    return BatchSnapshot("2", status, "uuid-2", failure_reason="why", total_runs=8, counts=counts)


@pytest.mark.parametrize(
    ("event", "kind", "text"),
    [
        (WaitEvent(Outcome.ENDED, run("FAILED")), RunFailed, "The run failed."),
        (WaitEvent(Outcome.ENDED, run("CANCELLED")), RunCancelled, "The run was cancelled, and not by this task."),
        (WaitEvent(Outcome.ENDED, run("DELETED")), RunDeleted, "The run was deleted while it was waited for"),
        (WaitEvent(Outcome.ENDED, batch("FAILED")), BatchFailed, "The batch failed."),
        (
            WaitEvent(Outcome.ENDED, batch("CANCELLED")),
            BatchCancelled,
            "The batch was cancelled, and not by this task.",
        ),
        (WaitEvent(Outcome.ENDED, batch("RUNS_DELETED")), BatchDeleted, "The runs of the batch were deleted"),
        (WaitEvent(Outcome.ENDED, batch("RUNS_DELETE_FAILED")), BatchDeleted, "The runs of the batch were deleted"),
        (
            WaitEvent(Outcome.TIMED_OUT, run("RUNNING"), limit="run_timeout", cancelled=True),
            RunTimedOut,
            "run_timeout passed; it was cancelled.",
        ),
        (
            WaitEvent(Outcome.TIMED_OUT, batch("INPROGRESS"), limit="execution_timeout"),
            BatchTimedOut,
            "execution_timeout passed; it may still be going.",
        ),
        (WaitEvent(Outcome.VANISHED, run("RUNNING"), error="404"), RunVanished, r"Its record is gone, .* \(404\)"),
        (WaitEvent(Outcome.VANISHED, batch("PENDING"), error="404"), BatchVanished, r"Its record is gone, .* \(404\)"),
        (
            WaitEvent(Outcome.LOST_CONTACT, run("RUNNING"), error="429", seconds=60.0),
            LostContact,
            "Lost contact with run 1: no look at it succeeded for 60 s. .* Last error: 429",
        ),
        (
            WaitEvent(Outcome.REFUSED, batch("PENDING"), error="403", seconds=5.0),
            LostContact,
            "Lost contact with batch 2: no look at it succeeded for 5 s. .* Last error: 403",
        ),
        (WaitEvent(Outcome.LOST_CONTACT, run("RUNNING")), LostContact, "Last error: none"),
    ],
    ids=lambda value: f"{value.kind} {value.snapshot.status} {value.error}" if isinstance(value, WaitEvent) else None,
)
def test_error_of_an_end(event: WaitEvent, kind: type[OmicsError], text: str) -> None:
    """Each end that is no success is an error of one class with one sentence."""
    error = error_of(event, "us-east-1")

    assert type(error) is kind
    assert re.search(text, str(error))


@pytest.mark.parametrize("status", [each for each in RunStatus if run(each.value).phase is not Phase.ACTIVE])
def test_every_end_of_a_run_is_a_success_or_an_error(status: RunStatus) -> None:
    """No final status of a run falls through; only COMPLETED is a success."""
    error = error_of(WaitEvent(Outcome.ENDED, run(status.value)), "us-east-1")

    assert (error is None) is (status is RunStatus.COMPLETED)
    assert error is None or isinstance(error, RunError)


@pytest.mark.parametrize("status", [each for each in BatchStatus if batch(each.value).phase is not Phase.ACTIVE])
def test_every_end_of_a_batch_is_to_be_judged_or_an_error(status: BatchStatus) -> None:
    """No final status of a batch falls through; only PROCESSED waits for its verdict."""
    error = error_of(WaitEvent(Outcome.ENDED, batch(status.value)), "us-east-1")

    assert (error is None) is (status is BatchStatus.PROCESSED)
    assert error is None or isinstance(error, BatchError)


def test_error_of_a_run_carries_what_was_seen() -> None:
    """Ids, status, reason, log streams and console page are attributes."""
    error = error_of(WaitEvent(Outcome.ENDED, run("FAILED")), "eu-west-1")

    assert error is not None
    assert vars(error) == {
        "run_id": "1",
        "run_uuid": "uuid-1",
        "status": "FAILED",
        "failure_reason": "RUN_TASK_FAILED",
        "status_message": "align failed",
        "log_streams": ("run/1", "run/1/engine"),
        "console_url": "https://console.aws.amazon.com/omics/home?region=eu-west-1#/runs/1",
    }


def test_error_of_a_batch_carries_what_was_seen() -> None:
    """Ids, status, reason, counts and console page are attributes."""
    error = error_of(WaitEvent(Outcome.ENDED, batch("FAILED")), "eu-west-1")

    assert error is not None
    assert vars(error) == {
        "batch_id": "2",
        "batch_uuid": "uuid-2",
        "status": "FAILED",
        "failure_reason": "why",
        "counts": {
            "total_runs": 8,
            "completed_runs": 5,
            "failed_runs": 1,
            "cancelled_runs": 1,
            "unknown_runs": 1,
            "failed_submissions": 0,
            "incomplete_runs": 0,
        },
        "failed_run_settings": {},
        "console_url": "https://console.aws.amazon.com/omics/home?region=eu-west-1#/runs",
    }


def test_lost_contact_carries_ids_and_seconds() -> None:
    """What is needed to look for it by hand is in attributes."""
    error = error_of(WaitEvent(Outcome.LOST_CONTACT, batch("PENDING"), error="429", seconds=9.0), "us-east-1")

    assert error is not None
    assert vars(error) == {
        "kind": "batch",
        "resource_id": "2",
        "resource_uuid": "uuid-2",
        "seconds": 9.0,
        "cause": "429",
    }


def test_result_of_a_run() -> None:
    """Enough to say years later what made a file, as JSON."""
    seen = run(
        "COMPLETED",
        arn="arn:aws:omics:us-east-1:123456789012:run/1",
        run_output_uri="s3://bucket/out/1",
        start_time=NOON,
        workflow_id="7",
        workflow_uuid="uuid-w",
        workflow_version_name="v1",
        digest="sha256:abc",
        engine_version="25.10.0",
        role_arn="arn:aws:iam::123456789012:role/omics",
    )

    result = run_result(seen)

    assert result == {
        "run_id": "1",
        "run_uuid": "uuid-1",
        "run_arn": "arn:aws:omics:us-east-1:123456789012:run/1",
        "status": "COMPLETED",
        "run_output_uri": "s3://bucket/out/1",
        "started_at": "2026-06-22T12:00:00+00:00",
        "stopped_at": None,
        "workflow_id": "7",
        "workflow_uuid": "uuid-w",
        "workflow_version_name": "v1",
        "workflow_digest": "sha256:abc",
        "engine_version": "25.10.0",
        "role_arn": "arn:aws:iam::123456789012:role/omics",
    }
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("succeeded", [True, False, None])
def test_result_of_a_batch(succeeded: bool | None) -> None:
    """Counts, verdict and the first twenty ids: the same size for any number of runs."""
    failed = tuple(f"sample-{number}" for number in range(1000))

    result = batch_result(batch("PROCESSED"), succeeded=succeeded, failed_ids=failed)

    assert result == {
        "batch_id": "2",
        "batch_uuid": "uuid-2",
        "batch_arn": None,
        "status": "PROCESSED",
        "total_runs": 8,
        "completed_runs": 5,
        "failed_runs": 1,
        "cancelled_runs": 1,
        "unknown_runs": 1,
        "failed_submissions": 0,
        "incomplete_runs": 0,
        "succeeded": succeeded,
        "attempts": 1,
        "carried_forward": 0,
        "failed_run_setting_ids": list(failed[:20]),
        "causes": [],
    }
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize(
    ("kind", "result", "line"),
    [
        ("run", {}, "Nothing started, 0:01:30 after the try began"),
        ("run", {"run_id": "1"}, "Run 1, 0:01:30 after its request"),
        (
            "run",
            {"run_id": "1", "status": "FAILED", "run_output_uri": "s3://b/out/1", "report_uri": None},
            "Run 1 FAILED, 0:01:30 after its request; outputs: s3://b/out/1",
        ),
        (
            "batch",
            {"batch_id": "2", "status": "PROCESSED", "results_uri": "s3://b/r.jsonl", "report_uri": "s3://b/r.html"},
            "Batch 2 PROCESSED, 0:01:30 after its request; results: s3://b/r.jsonl; report: s3://b/r.html",
        ),
    ],
)
def test_closing_line(kind: str, result: dict[str, Any], line: str) -> None:
    """The log closes with what ended, how long it took, and each place that there is."""
    assert closing_line(kind, result, 90.0) == line
