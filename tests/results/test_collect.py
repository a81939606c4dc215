"""What is collected of a batch, when, and with how many calls."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import Sample
from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.results import collect as collect_module
from airflow_provider_omics.results.file import write_samples
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, quick_hook
from tests.operators.tries import at_sleep
from tests.results.batches import (
    DENIED,
    FAILS,
    URI,
    a_task,
    calls,
    collect,
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
    from tests.airflow_support import Connect, SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")


def test_progress_is_told(emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]]) -> None:
    """Every 30 s the log says how far a collection is."""
    connect({"calls_per_second": 0.2})  # 5 s a call
    batch_id = end(emulator, *(f"S{number}" for number in range(16)))
    emulator.calls.clear()

    collect(batch_id)

    told = [line for line in log_lines() if "so far" in line]
    assert told == [f"Results of batch {batch_id}: {new} new so far, of 16 runs" for new in (6, 12)]


def test_everything_about_a_sample(emulator: OmicsEmulator) -> None:
    """A full record of a completed run says what made a file: run, workflow, role, place, times, and who started it."""
    tags = {
        "airflow:dag_id": "wgs",
        "airflow:run_id": "manual__1",
        "airflow:try_number": "2",
        "airflow:request_id": "r1",
    }
    batch_id = end(emulator, "S1", tags=tags)

    write_samples(OmicsHook(), S3Place(URI, None), "r1", [Sample("S1", "abc", {"patient": "P7"})])

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
        "batch_created_at": emulator.client()
        .get_batch(batchId=batch_id)["creationTime"]
        .isoformat(timespec="milliseconds"),
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
        "workflow_owner_id": None,
        "run_arn": run["arn"],
        "task_id": None,
        "map_index": None,
        "provenance_uri": None,
        "inputs": None,
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
        "incomplete_runs": 0,
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


def refuse_after(sleeps: int, emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Let GetRun fail once there have been so many sleeps."""

    def refuse() -> None:
        emulator.faults.add(operation="GetRun", error="InternalServerException")

    at_sleep(stepped, refuse, number=sleeps + 1)


def kept_of_interrupted(emulator: OmicsEmulator, stepped: SteppedTime, batch_id: str, *, sleeps: int) -> list[str]:
    """Collect until GetRun fails after so many sleeps, and tell whose records the file has then."""
    refuse_after(sleeps, emulator, stepped)
    with pytest.raises(Unavailable):
        collect(batch_id, hook=quick_hook())
    kept = list(records())
    emulator.faults.clear()
    emulator.calls.clear()
    return kept


def test_death_during_collection(emulator: OmicsEmulator, connect: Connect, stepped: SteppedTime) -> None:
    """A collection that dies goes on from its last checkpoint: nothing twice, nothing short, few calls again."""
    connect({"calls_per_second": 0.1})  # ten seconds a call: a checkpoint after 30 runs
    batch_id = end(emulator, *[f"S{number}" for number in range(100)])

    kept = len(kept_of_interrupted(emulator, stepped, batch_id, sleeps=70))
    collected = collect(batch_id)

    assert 30 <= kept < 70
    assert list(records()) == [f"S{number}" for number in range(100)]
    assert calls(emulator)["GetRun"] == collected.new == 100 - kept


@pytest.mark.parametrize(
    ("detail", "refused", "expected"),
    [
        pytest.param("full", 0, {"GetBatch": 1, "ListRunsInBatch": 3, "GetRun": 300}, id="full"),
        # ListRuns by batch and status refused once: all runs are listed, of which few are wanted.
        pytest.param("listed", 1, {"GetBatch": 1, "ListRunsInBatch": 3, "ListRuns": 4}, id="pages of few items"),
    ],
)
def test_pace(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    connect: Connect,
    detail: str,
    refused: int,
    expected: dict[str, int],
) -> None:
    """Calls keep the connection's pace, each page is one, and so the account's quota of 10 a second."""
    connect({"calls_per_second": 9})
    emulator.set_scenario({"runs": [rule("F*", **FAILS)], "limits": {"submissions_per_second": 100}})
    batch_id = end(emulator, "F0", *[f"S{number}" for number in range(299)])
    if refused:
        emulator.faults.add(operation="ListRuns", error="ValidationException", times=refused)
    began = stepped.time()

    collect(batch_id, detail=ResultsDetail(detail))

    assert calls(emulator) == expected
    assert (sum(expected.values()) - 1) / (stepped.time() - began) == pytest.approx(9, rel=0.001)


def test_what_was_read_before_an_error_is_kept(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A collection that ends with an error writes what it has, long before the next checkpoint."""
    batch_id = end(emulator, "S1", "S2", "S3", "S4")

    kept = kept_of_interrupted(emulator, stepped, batch_id, sleeps=3)
    collect(batch_id)

    assert kept == ["S1", "S2"]
    assert calls(emulator)["GetRun"] == 2
    assert list(records()) == ["S1", "S2", "S3", "S4"]


def test_error_that_nothing_can_be_written_after(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """The error that ended the collection is what is raised, also where S3 then refuses."""
    batch_id = end(emulator, "S1", "S2")
    refuse_after(2, emulator, stepped)
    with pytest.raises(Unavailable, match="GetRun"):
        collect(batch_id, "s3://no-such-bucket/wgs.jsonl", hook=quick_hook())

    assert any("is lost: PutObject: NoSuchBucket" in line for line in log_lines(logging.WARNING))


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


def test_task_where_the_batch_has_no_tags(emulator: OmicsEmulator) -> None:
    """Without tags of Airflow, who collects for the task that started the batch says which it was."""
    batch_id = end(emulator, "S1")

    collect(batch_id, started_by=a_task(batch_id))

    record = records()["S1"]
    assert (record.dag_id, record.dag_run_id, record.try_number) == ("wgs", "manual__1", 3)


def test_outputs_that_are_wanted_later(emulator: OmicsEmulator) -> None:
    """Records that tell all but the outputs are replaced by such that do; those are not asked for again."""
    batch_id = end(emulator, "S1", "S2")
    collect(batch_id)

    first, second = (collect(batch_id, read_outputs=True).new for _ in range(2))

    assert (first, second) == (2, 0)
    assert all(record.outputs for record in records().values())


@pytest.mark.usefixtures("omics_connection")
@pytest.mark.parametrize(
    ("uri", "summary", "expected"),
    [
        pytest.param(None, b"{}", None, id="no place"),
        pytest.param("s3://results/1", b'{"bam": 1}', {"bam": 1}, id="summary"),
        pytest.param("s3://results/1/", b"{", None, id="no JSON"),
        pytest.param("s3://results/1", b'{"bam": "%s"}' % (b"x" * 100_000), None, id="too large"),
        pytest.param("s3://results/1", b'{"depth": NaN}', None, id="NaN"),
        pytest.param("s3://results/1", b"[1, [-1e999]]", None, id="infinite"),
        pytest.param("s3://results/1", b"[" * 99 + b"]" * 99, json.loads("[" * 99 + "]" * 99), id="deep"),
        pytest.param("s3://results/1", b"[" * 101 + b"]" * 101, None, id="too deep"),
        pytest.param("s3://results/1", b"[" * 90_000, None, id="abyss"),
        pytest.param("s3://results/1", b'"\xff"', None, id="not UTF-8"),
        pytest.param("s3://results/1", None, [], id="nothing there"),
    ],
)
def test_summary_of_outputs(
    omics_emulator: OmicsEmulator,
    monkeypatch: pytest.MonkeyPatch,
    uri: str | None,
    summary: bytes | None,
    expected: Any,
) -> None:
    """A summary is read if it is JSON and not too large; without one, objects are listed."""
    monkeypatch.setattr(collect_module, "MAX_SUMMARY_BYTES", 100_000)
    s3 = omics_emulator.client("s3")
    s3.create_bucket(Bucket="results")
    if summary is not None:
        s3.put_object(Bucket="results", Key=f"1/{collect_module.SUMMARIES[0]}", Body=summary)

    reader = collect_module.OutputsReader(OmicsHook())
    read = reader.read(RunSnapshot("1", "COMPLETED", run_output_uri=uri))

    assert read == expected
    assert (reader.left_out is not None) is (expected is None and uri is not None)


@pytest.mark.parametrize(
    ("lagging_looks", "is_told"), [(1, True), (3, True), (4, False)], ids=["one", "three", "too many"]
)
def test_run_whose_own_record_lags_behind_the_counts(
    emulator: OmicsEmulator, stepped: SteppedTime, lagging_looks: int, is_told: bool
) -> None:
    """The batch is PROCESSED and GetRun still says STOPPING: it is asked four times, ten seconds apart."""
    batch_id = start(emulator, "S1", "S2", "S3")
    emulator.advance(100_000)
    hook, looks = OmicsHook(), dict.fromkeys("123", 0)
    lagging = {run["id"] for run in emulator.service.started_runs() if run["runSettingId"] == "S2"}

    def lag(parsed: dict[str, Any], **_: Any) -> None:
        looks[parsed["name"][-1]] += 1
        if parsed["id"] in lagging and looks["2"] <= lagging_looks:
            parsed["status"] = "STOPPING"
            parsed.pop("stopTime")

    hook.conn.meta.events.register("after-call.omics.GetRun", lag)

    collected = collect(batch_id, hook=hook)

    expected = {"S1": "COMPLETED", "S3": "COMPLETED", **({"S2": "COMPLETED"} if is_told else {})}
    assert statuses() == expected
    assert looks == {"1": 1, "2": min(lagging_looks + 1, 4), "3": 1}
    assert [second for second in stepped.slept if second >= 10] == [10.0] * min(lagging_looks, 3)
    assert sum(collected.counts.values()) == len(expected)
