"""What the tests of collected results share: batches that somebody has started, and what the file holds of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import BatchOrigin, Sample
from airflow_provider_omics.core.snapshots import LOG_GROUP
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.results import RunRecord, read_batch_results
from airflow_provider_omics.results.collect import Collected, collect_results
from airflow_provider_omics.results.file import write_samples
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, TASK_LOG, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

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
    write_samples(OmicsHook(), S3Place(URI, None), "r1", [Sample(name) for name in names])
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
