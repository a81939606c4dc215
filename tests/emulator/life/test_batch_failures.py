from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator.statuses import SUBMISSION_FAILURE_REASONS

if TYPE_CHECKING:
    from collections.abc import Callable


def submissions_told(batch: dict[str, Any]) -> dict[str, int]:
    return {key.removesuffix("SubmissionCount"): count for key, count in batch["submissionSummary"].items() if count}


def runs_told(batch: dict[str, Any]) -> dict[str, int]:
    return {key.removesuffix("RunCount"): count for key, count in batch["runSummary"].items() if count}


@pytest.mark.parametrize("reason", SUBMISSION_FAILURE_REASONS)
def test_submission_of_a_run_may_fail(make_omics: Callable[..., Any], reason: str) -> None:
    """A scripted submission failure is told with its reason; the other runs go on."""
    rule = {"match": {"run_setting_id": "S1"}, "submission_failure": {"reason": reason, "message": "Sorry"}}
    omics = make_omics({"runs": [rule]})
    batch_id = omics.start_batch()
    omics.advance(1000)
    failed = omics.entries(batch_id, submissionStatus="FAILED")
    assert failed == [
        {
            "runSettingId": "S1",
            "submissionStatus": "FAILED",
            "submissionFailureReason": reason,
            "submissionFailureMessage": "Sorry",
        }
    ]
    batch = omics.batch(batch_id)
    assert batch["status"] == "PROCESSED"
    assert submissions_told(batch) == {"successfulStart": 2, "failedStart": 1}
    assert runs_told(batch) == {"completed": 2}


def test_batch_without_any_run_is_processed_at_once(make_omics: Callable[..., Any]) -> None:
    """When every submission fails, PROCESSED follows the last one."""
    omics = make_omics({"runs": [{"submission_failure": {"reason": "AccessDeniedException"}}]})
    batch_id = omics.start_batch(2)
    omics.advance(5.3)
    batch = omics.batch(batch_id)
    assert (batch["status"], runs_told(batch)) == ("PROCESSED", {})


def test_failed_samples_succeed_in_the_next_batch(make_omics: Callable[..., Any]) -> None:
    """Attempts are counted by runSettingId over batches, failed submissions included."""
    omics = make_omics(
        {
            "runs": [
                {"match": {"run_setting_id": "S0", "attempt": 1}, "outcome": "FAILED"},
                {
                    "match": {"run_setting_id": "S1", "attempt": 1},
                    "submission_failure": {"reason": "ConflictException"},
                },
            ]
        }
    )
    first = omics.start_batch(3)
    omics.advance(1000)
    assert runs_told(omics.batch(first)) == {"completed": 1, "failed": 1}
    second = omics.start_batch(2)
    omics.advance(1000)
    assert runs_told(omics.batch(second)) == {"completed": 2}


def test_parameters_are_checked_run_by_run(omics: Any) -> None:
    """A run whose merged parameters do not fit the template is a failed submission, not an error of the batch."""
    settings = [
        {"runSettingId": "good", "parameters": {"fastq_1": "a"}},
        {"runSettingId": "missing"},
        {"runSettingId": "unknown", "parameters": {"fastq_1": "a", "fastq_3": "b"}},
    ]
    batch_id = omics.start_batch(settings, {"workflowId": "2345678", "parameters": {"sample_name": "s"}})
    omics.advance(10)
    told = [(entry["submissionStatus"], entry.get("submissionFailureReason")) for entry in omics.entries(batch_id)]
    assert told == [("SUCCESS", None), ("FAILED", "ValidationException"), ("FAILED", "ValidationException")]


@pytest.mark.parametrize("noun", ["Workflow", "RunGroup", "RunCache"])
def test_what_is_deleted_meanwhile_fails_submissions(omics: Any, noun: str) -> None:
    """A workflow, group or cache that goes away before the runs are submitted: ResourceNotFoundException for each."""
    default: dict[str, Any] = {}
    if noun == "RunGroup":
        resource = default["runGroupId"] = omics("CreateRunGroup", requestId="r")["id"]
    elif noun == "RunCache":
        resource = default["cacheId"] = omics("CreateRunCache", requestId="r", cacheS3Location="s3://cache")["id"]
    else:
        resource = "1234567"
    batch_id = omics.start_batch(3, default)
    omics.advance(4)
    omics(f"Delete{noun}", id=resource)
    omics.advance(4)
    assert {entry["submissionFailureReason"] for entry in omics.entries(batch_id)} == {"ResourceNotFoundException"}


def test_tags_are_merged_before_they_are_counted(omics: Any) -> None:
    """A run whose own tags and those of the batch are more than 50 together is not submitted; the others are."""
    default = {"runTags": {f"shared-{number}": "x" for number in range(30)}}
    many = {f"own-{number}": "x" for number in range(21)}

    batch_id = omics.start_batch([{"runSettingId": "S0"}, {"runSettingId": "S1", "runTags": many}], default)
    omics.advance(60)

    told = [(entry["submissionStatus"], entry.get("submissionFailureReason")) for entry in omics.entries(batch_id)]
    assert told == [("SUCCESS", None), ("FAILED", "ValidationException")]


def test_entries_appear_when_their_submission_was_tried(omics: Any) -> None:
    """ListRunsInBatch has no status for an entry that waits: it is not listed yet."""
    batch_id = omics.start_batch(10)
    assert omics.entries(batch_id) == []
    omics.advance(5.5)
    assert [entry["runSettingId"] for entry in omics.entries(batch_id)] == ["S0", "S1", "S2"]
    assert submissions_told(omics.batch(batch_id)) == {"successfulStart": 3, "pendingStart": 7}


def test_list_runs_in_batch_takes_one_filter(omics: Any) -> None:
    """submissionStatus, runSettingId or runId select; two of them are a ValidationException."""
    batch_id = omics.start_batch(5)
    omics.advance(10)
    entries = omics.entries(batch_id)
    assert omics.entries(batch_id, maxItems=2) == entries
    assert (
        omics.entries(batch_id, runSettingId="S3") == omics.entries(batch_id, runId=entries[3]["runId"]) == [entries[3]]
    )
    assert omics.entries(batch_id, runSettingId="S9") == omics.entries(batch_id, runId="9") == []
    assert omics.entries(batch_id, submissionStatus="SUCCESS", maxItems=2) == entries
    assert omics.entries(batch_id, submissionStatus="FAILED") == []
    both = {"runSettingId": "S3", "submissionStatus": "SUCCESS"}
    assert omics.refuses("ListRunsInBatch", batchId=batch_id, **both) == "ValidationException"
    run = omics.run(entries[3]["runId"])
    assert (run["arn"], run["uuid"]) == (entries[3]["runArn"], entries[3]["runInternalUuid"])


@pytest.mark.parametrize("after_runs", [0, 1, 2])
def test_batch_may_fail(make_omics: Callable[..., Any], after_runs: int) -> None:
    """A failed batch tells why, submits nothing more, and what it has started goes on."""
    omics = make_omics({"batches": [{"failure": {"reason": "An internal error.", "after_runs": after_runs}}]})
    batch_id = omics.start_batch(3)
    omics.advance(1000)
    batch = omics.batch(batch_id)
    assert (batch["status"], batch["failureReason"]) == ("FAILED", "An internal error.")
    assert batch["failedTime"] > batch["creationTime"]
    assert {"submittedTime", "processedTime"}.isdisjoint(batch)
    assert submissions_told(batch).get("successfulStart", 0) == after_runs
    assert [run["status"] for run in omics.pages("ListRuns", batchId=batch_id)] == ["COMPLETED"] * after_runs


@pytest.mark.parametrize("when", [3, 5.5, 20, 100])
def test_cancel_stops_what_runs_and_what_waits(omics: Any, when: float) -> None:
    """CancelRunBatch: nothing more is submitted, what was started is cancelled."""
    batch_id = omics.start_batch(10)
    omics.advance(when)
    started = len(omics.entries(batch_id))
    omics("CancelRunBatch", batchId=batch_id)
    omics.advance(100)
    batch = omics.batch(batch_id)
    assert batch["status"] == "CANCELLED"
    assert runs_told(batch) == ({"cancelled": started} if started else {})
    told = {"successfulStart": started, "pendingStart": 10 - started, "successfulCancel": started}
    assert submissions_told(batch) == {key: count for key, count in told.items() if count}
    assert {entry["submissionStatus"] for entry in omics.entries(batch_id)} <= {"CANCEL_SUCCESS"}


def test_cancel_leaves_ended_runs_alone(make_omics: Callable[..., Any]) -> None:
    """A run that ended before the cancel stays what it was."""
    omics = make_omics({"runs": [{"match": {"run_setting_id": "S0"}, "running": 1}]})
    batch_id = omics.start_batch(2)
    omics.advance(200)
    omics("CancelRunBatch", batchId=batch_id)
    omics.advance(100)
    assert runs_told(omics.batch(batch_id)) == {"completed": 1, "cancelled": 1}
    assert [entry["submissionStatus"] for entry in omics.entries(batch_id)] == ["SUCCESS", "CANCEL_SUCCESS"]


def test_cancels_may_fail(make_omics: Callable[..., Any]) -> None:
    """A run whose cancel fails goes on; the batch is CANCELLED when it has ended."""
    omics = make_omics({"batches": [{"cancel_failures": 1}]})
    batch_id = omics.start_batch(3)
    omics.advance(100)
    omics("CancelRunBatch", batchId=batch_id)
    omics.advance(100)
    assert omics.batch(batch_id)["status"] == "STOPPING"
    omics.advance(1000)
    batch = omics.batch(batch_id)
    assert (batch["status"], runs_told(batch)) == ("CANCELLED", {"completed": 1, "cancelled": 2})
    assert submissions_told(batch) == {"successfulStart": 3, "successfulCancel": 2, "failedCancel": 1}
    assert len(omics.entries(batch_id, submissionStatus="CANCEL_FAILED")) == 1


def test_cancelled_batch_is_never_processed(make_omics: Callable[..., Any]) -> None:
    """Runs that end by themselves before their cancel has its turn do not make a STOPPING batch PROCESSED."""
    omics = make_omics({"limits": {"cancels_per_second": 0.01}})
    batch_id = omics.start_batch(2)
    omics.advance(650)
    omics("CancelRunBatch", batchId=batch_id)
    omics.advance(60)
    assert {run["status"] for run in omics.pages("ListRuns")} == {"CANCELLED", "COMPLETED"}
    assert omics.batch(batch_id)["status"] == "STOPPING"
    omics.advance(40)
    assert omics.batch(batch_id)["status"] == "CANCELLED"


def test_runs_of_a_batch_are_deleted(omics: Any) -> None:
    """DeleteRunBatch: the runs go, the batch stays and says so."""
    batch_id = omics.start_batch(3)
    omics.advance(1000)
    omics("DeleteRunBatch", batchId=batch_id)
    omics.advance(10)
    batch = omics.batch(batch_id)
    assert (batch["status"], runs_told(batch)) == ("RUNS_DELETED", {"deleted": 3})
    assert submissions_told(batch) == {"successfulStart": 3, "successfulDelete": 3}
    assert omics.pages("ListRuns") == []
    assert {entry["submissionStatus"] for entry in omics.entries(batch_id)} == {"DELETE_SUCCESS"}


def test_deletions_may_fail(make_omics: Callable[..., Any]) -> None:
    """A run whose deletion fails stays, and the batch is RUNS_DELETE_FAILED."""
    omics = make_omics({"batches": [{"delete_failures": 2}]})
    batch_id = omics.start_batch(3)
    omics.advance(1000)
    omics("DeleteRunBatch", batchId=batch_id)
    omics.advance(10)
    batch = omics.batch(batch_id)
    assert (batch["status"], runs_told(batch)) == ("RUNS_DELETE_FAILED", {"completed": 2, "deleted": 1})
    assert len(omics.pages("ListRuns")) == len(omics.entries(batch_id, submissionStatus="DELETE_FAILED")) == 2


@pytest.mark.parametrize(("operation", "seconds"), [("CancelRunBatch", 0.95), ("DeleteRunBatch", 0.95)])
def test_cancels_and_deletions_are_paced(omics: Any, operation: str, seconds: float) -> None:
    """Ten cancels or deletions a second: the tenth run has its turn before a second is over, the twentieth not."""
    batch_id = omics.start_batch(20)
    omics.advance(30 if operation == "CancelRunBatch" else 1000)
    omics(operation, batchId=batch_id)
    omics.advance(seconds)
    told = submissions_told(omics.batch(batch_id))
    assert told["successfulCancel" if operation == "CancelRunBatch" else "successfulDelete"] == 10


def test_settings_file_is_read(omics: Any) -> None:
    """s3UriSettings: the runs of the file, whose number is known once the batch is PENDING."""
    settings = [{"runSettingId": f"S{number}", "parameters": {"n": number}} for number in range(150)]
    batch_id = omics.start_batch(omics.put_settings(settings))
    assert "totalRuns" not in omics.batch(batch_id)
    assert "totalRuns" not in omics("ListBatch")["items"][0]
    omics.advance(2)
    assert omics.batch(batch_id)["totalRuns"] == 150
    omics.advance(5000)
    batch = omics.batch(batch_id)
    assert (batch["status"], runs_told(batch)) == ("PROCESSED", {"completed": 150})
    assert omics.run(omics.entries(batch_id, runSettingId="S149")[0]["runId"])["parameters"] == {"n": 149}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param(b"not JSON", "not valid JSON", id="not JSON"),
        pytest.param(b'[{"runSettingId": "S", "parameters": {"a": NaN}}]', "NaN", id="NaN"),
        pytest.param(b"\xff", "not valid JSON", id="not UTF-8"),
        pytest.param(b'{"runSettingId": "S"}\n{"runSettingId": "T"}', "not valid JSON", id="JSON Lines"),
        pytest.param({"inlineSettings": []}, "JSON array", id="object"),
        pytest.param([], "no run settings", id="empty"),
        pytest.param(["S"], "Run setting 0", id="no objects"),
        pytest.param([{"runSettingId": "S"}, {"name": "n"}], "Run setting 1", id="no runSettingId"),
        pytest.param([{"runSettingId": "S", "workflowId": "1"}], "workflowId", id="unknown member"),
        pytest.param([{"runSettingId": "S", "priority": "1"}], "priority", id="wrong type"),
        pytest.param([{"runSettingId": "S", "name": "n" * 129}], "name", id="too long"),
        pytest.param([{"runSettingId": "S"}, {"runSettingId": "S"}], "not unique", id="duplicate"),
        pytest.param([{"runSettingId": str(number)} for number in range(4)], "up to 3 runs", id="too many"),
    ],
)
def test_settings_file_that_is_wrong_fails_the_batch(make_omics: Callable[..., Any], settings: Any, words: str) -> None:
    """What cannot be understood in the file makes the batch FAILED, with prose that says what; no run starts."""
    omics = make_omics({"limits": {"runs_per_batch": 3}})
    batch_id = omics.start_batch(omics.put_settings(settings))
    assert omics.batch(batch_id)["status"] == "CREATING"
    omics.advance(1000)
    batch = omics.batch(batch_id)
    assert batch["status"] == "FAILED"
    assert words in batch["failureReason"]
    assert omics.pages("ListRuns") == []


@pytest.mark.parametrize(("when", "fails"), [(0, True), (2, True), (6, False)])
@pytest.mark.parametrize("change", ["changed", "removed"])
def test_settings_file_must_not_change(omics: Any, when: float, change: str, fails: bool) -> None:
    """A file that is changed or removed before its runs are submitted fails the batch."""
    uri = omics.put_settings([{"runSettingId": "S"}])
    batch_id = omics.start_batch(uri)
    omics.advance(when)
    omics.batch(batch_id)  # What is due by now is carried out now, before the change.
    if change == "changed":
        omics.put_settings([{"runSettingId": "T"}])
    else:
        omics.surroundings.objects.clear()
    if when == 0:
        omics.advance(2)
        assert omics.batch(batch_id)["status"] == "FAILED", "seen when it is read, not later"
    omics.advance(1000)
    batch = omics.batch(batch_id)
    assert batch["status"] == ("FAILED" if fails else "PROCESSED")
    assert ("ETag" in batch.get("failureReason", "")) is fails


def test_file_run_without_output_is_a_failed_submission(omics: Any) -> None:
    """A run of a file that ends with no outputUri, or a wrong one, is a failed submission of its own."""
    settings = [
        {"runSettingId": "A"},
        {"runSettingId": "B", "outputUri": "s3://b"},
        {"runSettingId": "C", "outputUri": "c"},
    ]
    batch_id = omics.start_batch(omics.put_settings(settings), {"outputUri": None})
    omics.advance(10)
    assert [entry["submissionStatus"] for entry in omics.entries(batch_id)] == ["FAILED", "SUCCESS", "FAILED"]
