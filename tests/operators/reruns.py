"""What the tests of reruns share: scripts of what fails, and what was submitted and told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.results import RunRecord, read_batch_results
from tests.airflow_support import BUCKET, samples
from tests.operators.tries import Task

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

URI = f"s3://{BUCKET}/results/wgs.jsonl.gz"
TRANSIENT, SIZING, PERMANENT, UNCLEAR = (
    "SERVICE_ERROR",
    "OUT_OF_MEMORY_ERROR",
    "INPUT_URI_NOT_FOUND",
    "WORKFLOW_RUN_FAILED",
)
places = pytest.mark.parametrize("uri", [URI, None], ids=["results", "no place"])


def fails(reason: str, *names: str) -> list[dict[str, Any]]:
    """Script runs of these names to fail."""
    rule = {"outcome": "FAILED", "failure_reason": reason}
    return [{"match": {"run_setting_id": name}, **rule} for name in names]


def script(task: Task, *rules: list[dict[str, Any]], **more: Any) -> None:
    task.emulator.set_scenario({"runs": [rule for some in rules for rule in some], **more})


def submitted(task: Task) -> list[list[str]]:
    """Tell the samples of each batch that was started."""
    runs = task.emulator.service.started_runs()
    return [sorted(run["runSettingId"] for run in runs if run["batchId"] == batch["id"]) for batch in task.started()]


def records(uri: str = URI) -> dict[str, RunRecord]:
    found = list(read_batch_results(uri))
    assert len({record.run_setting_id for record in found}) == len(found)
    return {record.run_setting_id: record for record in found}


def statuses(uri: str = URI) -> dict[str, str]:
    return {name: record.status.value for name, record in records(uri).items()}


def changed(*names: str) -> list[dict[str, Any]]:
    """Give the samples S1 to S3, of which some have another parameter."""
    return [
        {**item, "parameters": {**item["parameters"], "fixed": True}} if item["runSettingId"] in names else item
        for item in samples("S1", "S2", "S3")
    ]


MANY = [f"S{number:03d}" for number in range(102)]
"""More than go into a request."""


def put_settings(emulator: OmicsEmulator, *names: str) -> dict[str, Any]:
    """Put run settings into an S3 object, as a user does."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=json.dumps(samples(*names)))
    return {"run_settings": None, "run_settings_s3_uri": f"s3://{BUCKET}/settings.json"}
