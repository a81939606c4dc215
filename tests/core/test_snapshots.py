from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.snapshots import _COUNTS, BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import Phase

# How long one example takes says nothing on a machine that others use too.
UNHURRIED = settings(deadline=None)
NOON = datetime(2026, 6, 22, 12, 0, 0, 123456, timezone.utc)
TEXT = st.none() | st.text(min_size=1)
ZONES = st.sampled_from([timezone.utc, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(hours=11))])
TIME = st.none() | st.datetimes(timezones=ZONES)
RUNS = st.builds(RunSnapshot, id=st.text(), status=st.text(), uuid=TEXT, arn=TEXT, creation_time=TIME, start_time=TIME)
BATCHES = st.builds(
    BatchSnapshot,
    id=st.text(),
    status=st.text(),
    uuid=TEXT,
    total_runs=st.integers(0, 100_000),
    counts=st.dictionaries(st.sampled_from(sorted(_COUNTS)), st.integers(0, 100_000)),
    creation_time=TIME,
)
GET_RUN: dict[str, Any] = {
    "id": "1234567",
    "uuid": "uuid-1",
    "arn": "arn:aws:omics:us-east-1:123456789012:run/1234567",
    "status": "FAILED",
    "name": "sample-1",
    "runOutputUri": "s3://bucket/out/1234567",
    "failureReason": "RUN_TASK_FAILED",
    "statusMessage": "Task align failed",
    "creationTime": NOON,
    "startTime": NOON,
    "stopTime": NOON,
    "workflowId": "7654321",
    "workflowUuid": "uuid-w",
    "workflowVersionName": "v1",
    "digest": "sha256:abc",
    "engineVersion": "25.10.0",
    "roleArn": "arn:aws:iam::123456789012:role/omics",
    "batchId": "99",
    "runGroupId": "5",
    "logLevel": "ALL",
    "parameters": {"large": "x" * 1000},
    "definition": "s3://bucket/definition.zip",
    "tags": {},
    "ResponseMetadata": {"HTTPStatusCode": 200},
}
GET_BATCH: dict[str, Any] = {
    "id": "99",
    "uuid": "uuid-2",
    "arn": "arn:aws:omics:us-east-1:123456789012:runBatch/99",
    "status": "INPROGRESS",
    "name": "night",
    "totalRuns": 63,
    "creationTime": NOON,
    "runSummary": {"pendingRunCount": 3, "runningRunCount": 40, "completedRunCount": 7, "failedRunCount": 1},
    "submissionSummary": {"successfulStartSubmissionCount": 51, "pendingStartSubmissionCount": 9},
}


def test_a_run_takes_every_field_from_getrun() -> None:
    """Each field comes from its camelCase member; large members are left behind."""
    run = RunSnapshot.from_response(GET_RUN)

    assert run == RunSnapshot(
        id="1234567",
        status="FAILED",
        uuid="uuid-1",
        arn="arn:aws:omics:us-east-1:123456789012:run/1234567",
        name="sample-1",
        run_output_uri="s3://bucket/out/1234567",
        failure_reason="RUN_TASK_FAILED",
        status_message="Task align failed",
        creation_time=NOON,
        start_time=NOON,
        stop_time=NOON,
        workflow_id="7654321",
        workflow_uuid="uuid-w",
        workflow_version_name="v1",
        digest="sha256:abc",
        engine_version="25.10.0",
        role_arn="arn:aws:iam::123456789012:role/omics",
        batch_id="99",
        run_group_id="5",
        log_level="ALL",
    )
    assert run.phase is Phase.FAILED
    assert len(json.dumps(run.to_payload())) < 1000


def test_a_run_takes_what_startrun_gives() -> None:
    """What the response does not have, or has as null, is None."""
    run = RunSnapshot.from_response({"id": "1", "status": "PENDING", "uuid": "uuid-1", "runOutputUri": None})

    assert run == RunSnapshot("1", "PENDING", "uuid-1")
    assert run.to_payload() == {"id": "1", "status": "PENDING", "uuid": "uuid-1"}


@pytest.mark.parametrize(
    ("level", "streams"),
    [("ALL", ("run/1", "run/1/engine")), (None, ("run/1", "run/1/engine")), ("OFF", ())],
)
def test_log_streams_of_a_run(level: str | None, streams: tuple[str, ...]) -> None:
    """A run has a stream and an engine stream, unless its logs are off."""
    assert RunSnapshot("1", "RUNNING", log_level=level).log_streams == streams


def test_a_batch_takes_every_field_from_getbatch() -> None:
    """Fields come from members, counts from the two summaries; a count that is missing is 0."""
    batch = BatchSnapshot.from_response(GET_BATCH)

    known = {
        "pending_runs": 3,
        "running_runs": 40,
        "completed_runs": 7,
        "failed_runs": 1,
        "successful_submissions": 51,
        "pending_submissions": 9,
    }
    assert batch == BatchSnapshot(
        id="99",
        status="INPROGRESS",
        uuid="uuid-2",
        arn="arn:aws:omics:us-east-1:123456789012:runBatch/99",
        name="night",
        total_runs=63,
        counts={**dict.fromkeys(_COUNTS, 0), **known},
        creation_time=NOON,
    )
    assert batch.count("completed_runs") == 7
    assert batch.phase is Phase.ACTIVE


def test_each_count_is_that_of_its_member() -> None:
    """No two are mixed up."""
    runs = ["pending", "starting", "running", "stopping", "completed", "deleted", "failed", "cancelled"]
    submissions = ["successfulStart", "failedStart", "pendingStart", "successfulCancel", "failedCancel"]
    response = {
        "id": "99",
        "status": "STOPPING",
        "runSummary": {f"{name}RunCount": number for number, name in enumerate(runs, 1)},
        "submissionSummary": {f"{name}SubmissionCount": number for number, name in enumerate(submissions, 11)},
    }

    assert BatchSnapshot.from_response(response).counts == {
        **{f"{name}_runs": number for number, name in enumerate(runs, 1)},
        "successful_submissions": 11,
        "failed_submissions": 12,
        "pending_submissions": 13,
        "successful_cancels": 14,
        "failed_cancels": 15,
    }


@pytest.mark.parametrize("summary", [{}, {"runSummary": None, "totalRuns": None}, {"runSummary": {}}], ids=str)
def test_a_batch_takes_what_startrunbatch_gives(summary: dict[str, Any]) -> None:
    """Without summaries every count is 0."""
    batch = BatchSnapshot.from_response({"id": "99", "status": "CREATING", **summary})

    assert batch.total_runs == 0
    assert set(batch.counts.values()) == {0}
    assert BatchSnapshot("99", "CREATING").count("failed_runs") == 0


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({}, "INPROGRESS: nothing yet of 63"),
        (
            {"pending_runs": 3, "pending_submissions": 9, "running_runs": 40, "completed_runs": 7, "failed_runs": 1},
            "INPROGRESS: pending 12, running 40, completed 7, failed 1 of 63",
        ),
        (
            {"starting_runs": 1, "stopping_runs": 2, "cancelled_runs": 3, "failed_submissions": 4},
            "INPROGRESS: starting 1, stopping 2, cancelled 3, not submitted 4 of 63",
        ),
        ({"successful_submissions": 5, "deleted_runs": 6, "failed_cancels": 7}, "INPROGRESS: nothing yet of 63"),
    ],
)
def test_progress_of_a_batch(counts: dict[str, int], line: str) -> None:
    """One line with the states that have runs, in the order of life."""
    assert BatchSnapshot("99", "INPROGRESS", total_runs=63, counts=counts).progress == line


@UNHURRIED
@given(RUNS)
def test_runs_survive_json(run: RunSnapshot) -> None:
    """A payload that went through JSON gives the same snapshot."""
    assert RunSnapshot.from_payload(json.loads(json.dumps(run.to_payload()))) == run


@UNHURRIED
@given(BATCHES)
def test_batches_survive_json(batch: BatchSnapshot) -> None:
    """A payload that went through JSON gives the same snapshot."""
    assert BatchSnapshot.from_payload(json.loads(json.dumps(batch.to_payload()))) == batch


def test_a_time_without_zone_is_utc() -> None:
    """A time is never naive, so that it can be compared."""
    run = RunSnapshot.from_payload({"id": "1", "status": "RUNNING", "start_time": "2026-06-22T12:00:00"})

    assert run.start_time == datetime(2026, 6, 22, 12, tzinfo=timezone.utc)


def test_unknown_keys_and_nulls_are_ignored() -> None:
    """A newer version may write more; null is the same as absent."""
    payload = {"id": "1", "status": "RUNNING", "uuid": None, "start_time": None, "colour": "blue"}

    assert RunSnapshot.from_payload(payload) == RunSnapshot("1", "RUNNING")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": None},
        {"id": 1},
        {"status": ["RUNNING"]},
        {"uuid": 5},
        {"total_runs": "8"},
        {"total_runs": True},
        {"total_runs": 8.5},
        {"counts": 3},
        {"counts": ["completed_runs"]},
        {"counts": {"completed_runs": "7"}},
        {"counts": {"completed_runs": None}},
        {"creation_time": 1_750_000_000},
        {"creation_time": "yesterday"},
    ],
    ids=str,
)
def test_a_payload_of_the_wrong_form_is_refused(wrong: dict[str, Any]) -> None:
    """Each value is of its type; text where a number belongs does not get as far as a verdict."""
    payload = {"id": "1", "status": "PROCESSED", "total_runs": 8, "counts": {}, **wrong}

    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        BatchSnapshot.from_payload(payload)
