from __future__ import annotations

import gzip
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.collecting import ResultsDetail
from airflow_provider_omics.core.errors import NotFound, SettingsError, Unavailable
from airflow_provider_omics.core.run_record import BatchOrigin, Sample
from airflow_provider_omics.core.snapshots import LOG_GROUP
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import RunRecord, read_batch_results
from airflow_provider_omics.results.collecting import Collected, collect_results
from airflow_provider_omics.results.samples import write_samples
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, ONE_TRY, TASK_LOG, quick_hook, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")

URI = f"s3://{BUCKET}/results/wgs.jsonl.gz"
FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "status_message": "ALIGN ran out of memory"}
DENIED = {"submission_failure": {"reason": "AccessDeniedException", "message": "The role cannot read it."}}
details = pytest.mark.parametrize("detail", list(ResultsDetail), ids=lambda detail: detail.value)


def rule(pattern: str, **rest: Any) -> dict[str, Any]:
    return {"match": {"run_setting_id": pattern}, **rest}


def start(emulator: OmicsEmulator, *names: str, **more: Any) -> str:
    """Start a batch as somebody else would."""
    body = json.dumps(samples(*names))
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=body)
    started = emulator.client().start_run_batch(
        requestId="one",
        defaultRunSetting={**DEFAULT_RUN_SETTING, **more.pop("default", {})},
        batchRunSettings={"s3UriSettings": f"s3://{BUCKET}/settings.json"},
        **more,
    )
    emulator.advance(60)
    return str(started["id"])


def end(emulator: OmicsEmulator, *names: str, **more: Any) -> str:
    """Run a batch to its end, and count calls from then on."""
    batch_id = start(emulator, *names, **more)
    emulator.advance(100_000)
    emulator.calls.clear()
    return batch_id


def a_task(batch_id: str, *names: str) -> BatchOrigin:
    """Stand for a task that has started a batch of these samples."""
    write_samples(OmicsHook(), URI, "r1", [Sample(name) for name in names])
    return BatchOrigin(batch_id, None, None, "wgs", "manual__1", 3, "r1")


def collect(batch_id: str, uri: str = URI, **more: Any) -> Collected:
    return collect_results(more.pop("hook", None) or OmicsHook(), batch_id, uri, TASK_LOG, **more)


def records(uri: str = URI) -> dict[str, RunRecord]:
    found = list(read_batch_results(uri))
    assert len({record.run_setting_id for record in found}) == len(found), "a sample has one record"
    return {record.run_setting_id: record for record in found}


def statuses(uri: str = URI) -> dict[str, str]:
    return {name: record.status.value for name, record in records(uri).items()}


def delete_manifests(emulator: OmicsEmulator, run_id: str = "", *, group: bool = False) -> None:
    """Delete the manifest of a run, or of all, or their whole log group."""
    logs = emulator.client("logs")
    streams = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"manifest/run/{run_id}")
    for stream in streams["logStreams"]:
        logs.delete_log_stream(logGroupName=LOG_GROUP, logStreamName=stream["logStreamName"])
    if group:
        logs.delete_log_group(logGroupName=LOG_GROUP)


def calls(emulator: OmicsEmulator) -> dict[str, int]:
    ours = ("GetBatch", "GetRun", "ListRuns", "ListRunsInBatch")
    return {name: count for name, count in emulator.calls.by_operation().items() if name in ours}


def test_everything_about_a_sample(emulator: OmicsEmulator) -> None:
    """A full record of a completed run says what made a file: run, workflow, role, place, times, and who started it."""
    tags = {
        "airflow:dag_id": "wgs",
        "airflow:run_id": "manual__1",
        "airflow:try_number": "2",
        "airflow:request_id": "r1",
    }
    batch_id = end(emulator, "S1", tags=tags)

    write_samples(OmicsHook(), URI, "r1", [Sample("S1", "abc", {"patient": "P7"})])

    collected = collect(batch_id)

    (item,) = emulator.client().list_runs_in_batch(batchId=batch_id)["runs"]
    run = emulator.client().get_run(id=item["runId"])
    assert records()["S1"].to_json() == {
        "run_setting_id": "S1",
        "run_id": run["id"],
        "run_uuid": run["uuid"],
        "status": "COMPLETED",
        "submission_status": "SUCCESS",
        "failure_reason": None,
        "message": None,
        "cause": None,
        "output_uri": run["runOutputUri"],
        "started_at": run["startTime"].isoformat(),
        "stopped_at": run["stopTime"].isoformat(),
        "attempt": 1,
        "fingerprint": "abc",
        "batch_id": batch_id,
        "workflow_id": "1234567",
        "workflow_uuid": run["workflowUuid"],
        "workflow_version_name": None,
        "workflow_digest": run["digest"],
        "engine_version": run["engineVersion"],
        "role_arn": DEFAULT_RUN_SETTING["roleArn"],
        "dag_id": "wgs",
        "dag_run_id": "manual__1",
        "try_number": 2,
        "row": {"patient": "P7"},
    }
    assert collected.to_result() == {
        "batch_id": batch_id,
        "status": "PROCESSED",
        "total_runs": 1,
        "completed_runs": 1,
        "failed_runs": 0,
        "cancelled_runs": 0,
        "not_submitted_runs": 0,
        "unknown_runs": 0,
        "new_records": 1,
        "results_uri": URI,
    }


@details
def test_each_end_of_a_run(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """Completed, failed, cancelled and not submitted samples have their records; lists know no reasons of runs."""
    emulator.set_scenario({"runs": [rule("F", **FAILS), rule("D", **DENIED), rule("C", running=90_000)]})
    batch_id = start(emulator, "S", "F", "D", "C")
    (cancelled,) = [run["id"] for run in emulator.service.started_runs() if run["runSettingId"] == "C"]
    emulator.client().cancel_run(id=cancelled)
    emulator.advance(100_000)

    collected = collect(batch_id, detail=detail)

    found = records()
    is_full = detail is ResultsDetail.FULL
    assert statuses() == {"S": "COMPLETED", "F": "FAILED", "D": "NOT_SUBMITTED", "C": "CANCELLED"}
    assert (found["F"].failure_reason, found["F"].message) == (
        ("OUT_OF_MEMORY_ERROR", "ALIGN ran out of memory") if is_full else (None, None)
    )
    assert (found["D"].failure_reason, found["D"].message, found["D"].run_id) == (
        "AccessDeniedException",
        "The role cannot read it.",
        None,
    )
    assert {name for name, record in found.items() if record.output_uri} == ({"S", "F", "C"} if is_full else set())
    assert (found["S"].dag_id, found["S"].attempt, found["S"].fingerprint) == (None, 1, None)
    assert collected.counts == {"COMPLETED": 1, "FAILED": 1, "CANCELLED": 1, "NOT_SUBMITTED": 1}


@pytest.mark.parametrize(
    ("detail", "failing", "expected"),
    [
        pytest.param("full", 0, {"GetBatch": 1, "ListRunsInBatch": 3, "GetRun": 250}, id="full"),
        pytest.param("full", 20, {"GetBatch": 1, "ListRunsInBatch": 3, "GetRun": 250}, id="full, some failed"),
        pytest.param("listed", 0, {"GetBatch": 1, "ListRunsInBatch": 3}, id="listed, all well"),
        pytest.param("listed", 20, {"GetBatch": 1, "ListRunsInBatch": 3, "ListRuns": 1}, id="listed, some failed"),
    ],
)
def test_least_calls(
    emulator: OmicsEmulator, connect: Connect, detail: str, failing: int, expected: dict[str, int]
) -> None:
    """No run is looked at twice, and no list is asked for that the counts make needless."""
    connect({"calls_per_second": 1000})
    emulator.set_scenario({"runs": [rule("F*", **FAILS)], "limits": {"submissions_per_second": 100}})
    names = [f"{'F' if number < failing else 'S'}{number}" for number in range(250)]
    batch_id = end(emulator, *names)

    collected = collect(batch_id, detail=ResultsDetail(detail))

    assert calls(emulator) == expected
    assert collected.counts == {"COMPLETED": 250 - failing, **({"FAILED": failing} if failing else {})}


@details
def test_second_collection_asks_for_no_run(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """What has its record is not asked for again, and the file is left as it is."""
    emulator.set_scenario({"runs": [rule("F", **FAILS), rule("D", **DENIED)]})
    batch_id = end(emulator, "S", "F", "D")
    collect(batch_id, detail=detail)
    before = emulator.client("s3").head_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")["ETag"]
    emulator.calls.clear()

    again = collect(batch_id, detail=detail)

    assert calls(emulator).get("GetRun", 0) == 0
    assert (again.new, again.counts) == (0, {"COMPLETED": 1, "FAILED": 1, "NOT_SUBMITTED": 1})
    assert emulator.client("s3").head_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")["ETag"] == before


def test_full_after_listed(emulator: OmicsEmulator) -> None:
    """Who wants to know more later gets it: listed records are replaced by full ones, in their places."""
    batch_id = end(emulator, "S1", "S2")
    collect(batch_id, detail=ResultsDetail.LISTED)

    collected = collect(batch_id)

    assert collected.new == 2
    assert list(records()) == ["S1", "S2"]
    assert all(record.output_uri for record in records().values())


@details
def test_running_batch(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """Of a batch that is going, only what has ended is added, however often it is collected."""
    emulator.set_scenario({"runs": [rule("SLOW*", running=50_000), rule("F", **FAILS)]})
    batch_id = start(emulator, "SLOW1", "S1", "F", "SLOW2")

    seen = []
    for _ in range(4):
        seen.append((collect(batch_id, detail=detail).new, dict(statuses())))
        emulator.advance(10_000)
    emulator.advance(100_000)
    last = collect(batch_id, detail=detail)

    assert seen[0] == (0, {})
    assert (2, {"S1": "COMPLETED", "F": "FAILED"}) in seen
    assert sum(new for new, _ in seen) == 2
    assert (last.new, last.to_result()["status"]) == (2, "PROCESSED")
    assert statuses() == {"S1": "COMPLETED", "F": "FAILED", "SLOW1": "COMPLETED", "SLOW2": "COMPLETED"}


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
    assert len([line for line in log_lines(logging.WARNING) if "so they are UNKNOWN: DescribeLogStreams" in line]) == 1


def test_death_during_collection(emulator: OmicsEmulator, connect: Connect, stepped: SteppedTime) -> None:
    """A collection that dies goes on from its last checkpoint: nothing twice, nothing short, few calls again."""
    connect({"calls_per_second": 0.1})  # ten seconds a call: a checkpoint after 30 runs
    batch_id = end(emulator, *[f"S{number}" for number in range(100)])
    calls_left = iter(range(70))

    def die_later() -> None:
        if next(calls_left, None) is None:
            emulator.faults.add(operation="GetRun", error="InternalServerException")

    stepped.at_sleep = die_later
    with pytest.raises(Unavailable):
        collect(batch_id, hook=quick_hook())
    kept = len(records())
    stepped.at_sleep = None
    emulator.faults.clear()
    emulator.calls.clear()
    collected = collect(batch_id)

    assert 30 <= kept < 70
    assert list(records()) == [f"S{number}" for number in range(100)]
    assert calls(emulator)["GetRun"] == collected.new == 100 - kept


def test_pace(emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect) -> None:
    """Calls keep the connection's pace, and so the account's quota of 10 a second."""
    connect({"calls_per_second": 9})
    batch_id = end(emulator, *[f"S{number}" for number in range(300)])
    began = stepped.time()

    collect(batch_id)

    assert sum(calls(emulator).values()) / (stepped.time() - began) == pytest.approx(9, rel=0.02)


def test_two_collections_into_one_file(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Who finds the file written by another one meanwhile adds to it, and loses nothing of either."""
    first = end(emulator, "A1", "A2")
    second_id = emulator.client().start_run_batch(
        requestId="two",
        defaultRunSetting=DEFAULT_RUN_SETTING,
        batchRunSettings={"inlineSettings": samples("B1", "B2")},
    )["id"]
    emulator.advance(100_000)

    def meanwhile() -> None:
        stepped.at_sleep = None
        collect(second_id)

    stepped.at_sleep = meanwhile
    collect(first)

    assert set(records()) == {"A1", "A2", "B1", "B2"}


def test_later_batch_replaces(emulator: OmicsEmulator) -> None:
    """A sample that ran again in another batch has the record of that one; the others keep theirs."""
    emulator.set_scenario({"runs": [{**rule("S2", **FAILS), "match": {"run_setting_id": "S2", "attempt": 1}}]})
    collect(end(emulator, "S1", "S2"))
    again = emulator.client().start_run_batch(
        requestId="two", defaultRunSetting=DEFAULT_RUN_SETTING, batchRunSettings={"inlineSettings": samples("S2")}
    )["id"]
    emulator.advance(100_000)

    collected = collect(again)

    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}
    assert {name: record.attempt for name, record in records().items()} == {"S1": 1, "S2": 2}
    assert collected.counts == {"COMPLETED": 1}


@pytest.mark.parametrize(("workflow", "expected"), [("2345678", dict), ("3456789", dict), ("1234567", list)])
def test_outputs(emulator: OmicsEmulator, workflow: str, expected: type) -> None:
    """WDL and CWL give their parsed summary, Nextflow the URIs of its objects; failed runs give none."""
    emulator.set_scenario({"runs": [rule("F", **FAILS)]})
    more = {"default": {"workflowId": workflow, "parameters": {"sample_name": "x", "fastq_1": "y"}}}
    if workflow == "2345678":
        emulator.set_scenario(
            {
                "runs": [rule("F", **FAILS)],
                "workflows": [{"id": "2345678", "name": "germline", "engine": "WDL"}],
            }
        )
    batch_id = end(emulator, "S", "F", **more)

    collect(batch_id, read_outputs=True)

    found = records()
    output_uri = found["S"].output_uri
    assert isinstance(found["S"].outputs, expected)
    assert f"{output_uri}/out/results.json" in json.dumps(found["S"].outputs)
    assert found["F"].outputs is None


@pytest.mark.parametrize("uri", [URI, f"s3://{BUCKET}/plain.jsonl"])
def test_form_of_the_file(emulator: OmicsEmulator, uri: str) -> None:
    """The file is JSON Lines, the id first; packed when its name ends in .gz."""
    collect(end(emulator, "S1", "S2"), uri)

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = emulator.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    text = gzip.decompress(body) if uri.endswith(".gz") else body
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["run_setting_id"] for line in lines] == ["S1", "S2"]
    assert {next(iter(line)) for line in lines} == {"run_setting_id"}


def test_task_where_the_batch_has_no_tags(emulator: OmicsEmulator) -> None:
    """Without tags of Airflow, who collects for the task that started the batch says which it was."""
    batch_id = end(emulator, "S1")

    collect(batch_id, started_by=a_task(batch_id))

    record = records()["S1"]
    assert (record.dag_id, record.dag_run_id, record.try_number) == ("wgs", "manual__1", 3)


def test_another_file_is_not_overwritten(emulator: OmicsEmulator) -> None:
    """A file that holds no results is left alone."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz", Body=b'{"sample": "S1"}\n')

    with pytest.raises(SettingsError, match=r"line 1: a results file.*KeyError"):
        collect(end(emulator, "S1"))

    body = emulator.client("s3").get_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")["Body"].read()
    assert body == b'{"sample": "S1"}\n'


def test_batch_that_is_gone(emulator: OmicsEmulator) -> None:
    """There is nothing to collect of a batch whose record was deleted."""
    with pytest.raises(NotFound):
        collect("999")


def test_bucket_that_does_not_exist(emulator: OmicsEmulator) -> None:
    """Where nothing can be written, S3's error is told."""
    with pytest.raises(NotFound, match="PutObject: NoSuchBucket"):
        collect(end(emulator, "S1"), "s3://no-such-bucket/wgs.jsonl")
