from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.emulator.statuses import BATCH_STATUSES
from tests.model_support import sendable

if TYPE_CHECKING:
    from collections.abc import Callable

#: Three runs: submitted at 5.0, 5.2 and 5.4 s, in PENDING 5 s, STARTING 60 s, RUNNING 600 s, STOPPING 30 s.
AGES = {"CREATING": 0, "PENDING": 2, "SUBMITTING": 5, "INPROGRESS": 5.5, "PROCESSED": 701}

CONFLICT = "ConflictException"


def bring_to(make_omics: Callable[..., Any], status: str) -> tuple[Any, str]:
    """Make a service with one batch of three runs in a status."""
    rule: dict[str, Any] = {"delete_failures": 1 if status == "RUNS_DELETE_FAILED" else 0}
    if status == "FAILED":
        rule["failure"] = {"reason": "Boom", "after_runs": 1}
    omics = make_omics({"batches": [rule]})
    batch_id = omics.start_batch()
    if status in ("STOPPING", "CANCELLED"):
        omics.advance(100)
        omics("CancelRunBatch", batchId=batch_id)
        omics.advance(0 if status == "STOPPING" else 100)
    elif status.startswith("RUNS_DELET"):
        omics.advance(1000)
        omics("DeleteRunBatch", batchId=batch_id)
        omics.advance(0 if status == "RUNS_DELETING" else 100)
    else:
        omics.advance(AGES.get(status, 10))
    assert omics.batch(batch_id)["status"] == status
    return omics, batch_id


def runs_told(batch: dict[str, Any]) -> dict[str, int]:
    return {key.removesuffix("RunCount"): count for key, count in batch["runSummary"].items() if count}


def submissions_told(batch: dict[str, Any]) -> dict[str, int]:
    return {key.removesuffix("SubmissionCount"): count for key, count in batch["submissionSummary"].items() if count}


@pytest.mark.parametrize("status", BATCH_STATUSES)
def test_each_status_can_be_produced(make_omics: Callable[..., Any], status: str) -> None:
    """Every status is reached by some script, and found by ListBatch, also one that the installed model lacks."""
    omics, batch_id = bring_to(make_omics, status)
    assert [batch["id"] for batch in omics.pages("ListBatch", status=status)] == [batch_id]


@pytest.mark.parametrize(
    ("status", "cancel", "delete_runs", "delete"),
    [
        ("CREATING", CONFLICT, CONFLICT, CONFLICT),
        ("PENDING", "", CONFLICT, CONFLICT),
        ("SUBMITTING", "", CONFLICT, CONFLICT),
        ("INPROGRESS", "", CONFLICT, CONFLICT),
        ("STOPPING", CONFLICT, CONFLICT, CONFLICT),
        ("CANCELLED", CONFLICT, "", ""),
        ("PROCESSED", CONFLICT, "", ""),
        ("FAILED", CONFLICT, CONFLICT, ""),
        ("RUNS_DELETING", CONFLICT, CONFLICT, CONFLICT),
        ("RUNS_DELETED", CONFLICT, CONFLICT, ""),
        ("RUNS_DELETE_FAILED", CONFLICT, CONFLICT, ""),
    ],
)
def test_what_is_allowed_in_each_status(
    make_omics: Callable[..., Any], status: str, cancel: str, delete_runs: str, delete: str
) -> None:
    """Each of cancel, delete runs and delete is allowed in the documented statuses only."""
    for operation, code in (("CancelRunBatch", cancel), ("DeleteRunBatch", delete_runs), ("DeleteBatch", delete)):
        omics, batch_id = bring_to(make_omics, status)
        assert omics.refuses(operation, batchId=batch_id) == code, operation


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (0, "CREATING"),
        (1.99, "CREATING"),
        (2, "PENDING"),
        (4.99, "PENDING"),
        (5, "SUBMITTING"),
        (5.39, "SUBMITTING"),
        (5.41, "INPROGRESS"),
        (700.39, "INPROGRESS"),
        (700.41, "PROCESSED"),
    ],
)
def test_batch_goes_through_its_statuses(omics: Any, seconds: float, status: str) -> None:
    """Three runs at five submissions a second; PROCESSED when the last of them ends."""
    batch_id = omics.start_batch()
    omics.advance(seconds)
    assert omics.batch(batch_id)["status"] == status


def test_times_of_a_processed_batch(omics: Any) -> None:
    """SubmittedTime is the last submission, processedTime the end of the last run."""
    start = omics.clock.now()
    batch_id = omics.start_batch()
    omics.advance(10_000)
    batch = omics.batch(batch_id)
    times = [batch[key] - start for key in ("creationTime", "submittedTime", "processedTime")]
    assert times == [timedelta(seconds=seconds) for seconds in (0, 5.4, 700.4)]
    assert {"failedTime", "failureReason"}.isdisjoint(batch)


def test_get_batch_gives_back_what_was_asked(omics: Any) -> None:
    """GetBatch tells name, tags and the default settings as they were sent."""
    everything = {
        "name": "n",
        "parameters": {"a": [1]},
        "scratchStorageMode": "LOCAL",
        "requesterPaysEnabled": True,
        "runTags": {"x": "y"},
        "outputBucketOwnerId": "111122223333",
    }
    default = sendable(Place.DEFAULT_RUN_SETTING, everything)
    batch_id = omics.start_batch(2, default, batchName="nightly", tags={"team": "genomics"})
    batch = omics.batch(batch_id)
    assert (batch["name"], batch["tags"], batch["totalRuns"]) == ("nightly", {"team": "genomics"}, 2)
    assert default.items() <= batch["defaultRunSetting"].items()
    assert set(batch["submissionSummary"].values()) == {0, 2}


def test_runs_get_the_merged_settings(omics: Any) -> None:
    """Parameters and runTags are merged key by key, the run's value wins; all else is replaced."""
    everything = {
        "name": "default",
        "priority": 1,
        "parameters": {"a": 1, "b": {"x": 1}},
        "runTags": {"k": "v", "l": "v"},
        "engineSettings": {"profile": "p", "agentMode": "true"},
        "scratchStorageMode": "LOCAL",
        "logLevel": "ERROR",
    }
    everything_of_one = {
        "name": "own",
        "priority": 0,
        "parameters": {"b": {"y": 2}, "c": None},
        "runTags": {"l": "w"},
        "engineSettings": {"profile": "q"},
        "outputUri": "s3://elsewhere",
    }
    default = sendable(Place.DEFAULT_RUN_SETTING, everything)
    own = sendable(Place.PER_RUN, everything_of_one)
    batch_id = omics.start_batch([{"runSettingId": "S0"}, {"runSettingId": "S1", **own}], default, tags={"no": "run's"})
    omics.advance(10)
    plain, special = (omics.run(entry["runId"]) for entry in omics.entries(batch_id))
    told = ("name", "priority", "parameters", "tags", "engineSettings", "outputUri", "scratchStorageMode", "logLevel")
    assert [plain.get(key) for key in told] == [
        "default",
        1,
        default["parameters"],
        default["runTags"],
        default.get("engineSettings"),
        "s3://results/runs",
        default.get("scratchStorageMode"),
        "ERROR",
    ]
    assert [special.get(key) for key in told] == [
        "own",
        0,
        {"a": 1, "b": {"y": 2}, "c": None},
        {"k": "v", "l": "w"},
        own.get("engineSettings"),
        "s3://elsewhere",
        default.get("scratchStorageMode"),
        "ERROR",
    ]
    assert plain["batchId"] == special["batchId"] == batch_id


@pytest.mark.parametrize(
    ("runs", "default", "code"),
    [
        (1, {"workflowType": "READY2RUN", "workflowId": "9500764"}, "ValidationException"),
        (1, {"workflowId": "999"}, "ResourceNotFoundException"),
        (1, {"runGroupId": "999"}, "ResourceNotFoundException"),
        (1, {"cacheId": "999"}, "ResourceNotFoundException"),
        (1, {"cacheBehavior": "CACHE_ALWAYS"}, "ValidationException"),
        (1, {"networkingMode": "VPC"}, "ValidationException"),
        (1, {"outputUri": None}, "ValidationException"),
        (1, {"outputUri": "results"}, "ValidationException"),
        (1, {"runTags": {str(number): "" for number in range(51)}}, "ValidationException"),
        ([{"runSettingId": "S"}, {"runSettingId": "S"}], {}, "ValidationException"),
        ([{"runSettingId": "S", "outputUri": "results"}], {}, "ValidationException"),
        ([{"runSettingId": "S", "outputUri": "s3://own"}], {"outputUri": None}, ""),
        (100, {}, ""),
        ("s3://staging/missing.json", {}, "ValidationException"),
        ("s3://staging", {}, "ValidationException"),
        ("https://staging/x", {}, "ValidationException"),
    ],
)
def test_what_start_run_batch_checks(omics: Any, runs: Any, default: dict[str, Any], code: str) -> None:
    """StartRunBatch refuses what no run of it could start with, and starts nothing then."""
    if isinstance(runs, int):
        runs = [{"runSettingId": f"S{number}"} for number in range(runs)]
    settings = {
        "workflowId": "1234567",
        "roleArn": "arn:aws:iam::123456789012:role/r",
        "outputUri": "s3://o",
        **default,
    }
    source = {"s3UriSettings" if isinstance(runs, str) else "inlineSettings": runs}
    request = {"defaultRunSetting": settings, "batchRunSettings": source}
    assert omics.refuses("StartRunBatch", requestId="r", **request) == code
    assert len(omics.pages("ListBatch")) == (0 if code else 1)


@pytest.mark.parametrize(
    "operation", ["GetBatch", "ListRunsInBatch", "CancelRunBatch", "DeleteRunBatch", "DeleteBatch"]
)
def test_deleted_batch_is_gone_and_its_runs_stay(omics: Any, operation: str) -> None:
    """After DeleteBatch no operation knows the batch; its runs are as they were."""
    batch_id = omics.start_batch(1)
    omics.advance(1000)
    run_id = omics.entries(batch_id)[0]["runId"]
    omics("DeleteBatch", batchId=batch_id)
    assert omics.pages("ListBatch") == []
    assert (omics.run(run_id)["status"], omics.run(run_id)["batchId"]) == ("COMPLETED", batch_id)
    # GetBatch and ListRunsInBatch have it in the model; the harness checks that.
    assert omics.refuses(operation, batchId=batch_id) == "ResourceNotFoundException"
    assert [batch["exists"] for batch in omics.service.started_batches()] == [False]


def test_list_batch_filters(omics: Any) -> None:
    """ListBatch selects by status, name or run group, one at a time, and pages."""
    group = omics("CreateRunGroup", requestId="g")["id"]
    first = omics.start_batch(1, batchName="a")
    second = omics.start_batch(1, {"runGroupId": group}, batchName="b")
    omics.advance(701)
    third = omics.start_batch(1, batchName="a")

    def listed(**filters: Any) -> list[str]:
        return [batch["id"] for batch in omics.pages("ListBatch", **filters)]

    assert listed() == listed(maxItems=1) == [first, second, third]
    assert listed(name="a") == [first, third]
    assert listed(runGroupId=group) == [second]
    assert listed(status="PROCESSED") == [first, second]
    assert omics.refuses("ListBatch", name="a", status="PROCESSED") == "ValidationException"
    assert set(omics("ListBatch")["items"][0]) == {"id", "name", "status", "createdAt", "totalRuns", "workflowId"}


def test_rules_are_found_by_name_and_workflow(make_omics: Callable[..., Any]) -> None:
    """A batch rule is for the batches whose name and workflow fit."""
    omics = make_omics({"batches": [{"match": {"name": "slow-*", "workflow": "any*"}, "creating": 50}]})
    slow, other = omics.start_batch(1, batchName="slow-1"), omics.start_batch(1, batchName="fast")
    elsewhere = omics.start_batch(1, {"workflowId": "3456789"}, batchName="slow-1")
    omics.advance(2)
    assert [omics.batch(batch_id)["status"] for batch_id in (slow, other, elsewhere)] == [
        "CREATING",
        "PENDING",
        "PENDING",
    ]


def test_counts_lag_while_runs_are_at_work(make_omics: Callable[..., Any]) -> None:
    """RunSummary is renewed every count_lag seconds, and exact once the batch is PROCESSED."""
    omics = make_omics({"batches": [{"count_lag": 100}]})
    batch_id = omics.start_batch()
    omics.advance(99)
    assert runs_told(omics.batch(batch_id)) == {}
    omics.advance(1)
    assert runs_told(omics.batch(batch_id)) == {"running": 3}
    omics.advance(599)
    assert {run["status"] for run in omics.pages("ListRuns", batchId=batch_id)} == {"STOPPING"}
    assert runs_told(omics.batch(batch_id)) == {"running": 3}
    omics.advance(1.3)
    assert runs_told(omics.batch(batch_id)) == {"stopping": 3}, "one has completed since the last renewal"
    omics.advance(0.2)
    batch = omics.batch(batch_id)
    assert (batch["status"], runs_told(batch)) == ("PROCESSED", {"completed": 3})


def test_counts_may_be_exact(make_omics: Callable[..., Any]) -> None:
    """With count_lag 0 runSummary agrees with the runs at every moment."""
    omics = make_omics({"batches": [{"count_lag": 0}], "runs": [{"match": {"run_setting_id": "S1"}, "pending": 300}]})
    batch_id = omics.start_batch(5)
    for _ in range(110):
        omics.advance(10)
        runs = omics.pages("ListRuns", batchId=batch_id)
        expected = {run["status"].lower(): 0 for run in runs}
        for run in runs:
            expected[run["status"].lower()] += 1
        assert runs_told(omics.batch(batch_id)) == expected
    assert runs_told(omics.batch(batch_id)) == {"completed": 5}


def test_individually_cancelled_and_deleted_runs_are_counted(omics: Any) -> None:
    """PROCESSED with a run that was cancelled; deleting one later moves it to deletedRunCount."""
    batch_id = omics.start_batch()
    omics.advance(100)
    first, second, _ = (entry["runId"] for entry in omics.entries(batch_id))
    omics("CancelRun", id=first)
    omics.advance(1000)
    omics("DeleteRun", id=second)
    batch = omics.batch(batch_id)
    assert (batch["status"], runs_told(batch)) == ("PROCESSED", {"completed": 1, "cancelled": 1, "deleted": 1})


def test_submissions_take_turns(omics: Any) -> None:
    """Two batches share the pace of submissions."""
    first, second = omics.start_batch(20), omics.start_batch(20)
    omics.advance(5 + 4)
    counts = [submissions_told(omics.batch(batch_id))["successfulStart"] for batch_id in (first, second)]
    assert abs(counts[0] - counts[1]) <= 1
    assert sum(counts) in (20, 21, 22)
