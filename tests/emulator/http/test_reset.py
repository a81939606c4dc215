"""One emulator serves all tests of a process: what `reset` leaves behind would be the next test's trouble."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_omics.emulator import OmicsEmulator
from tests.emulator.conftest import BUCKET, ROLE

OTHER_ACCOUNT = "111122223333"
SCENARIO = {
    "runs": [{"outcome": "FAILED", "failure_reason": "FILE_SYSTEM_OUT_OF_SPACE"}],
    "workflows": [{"id": "1234567", "name": "wgs"}],
    "faults": [{"operation": "GetRunGroup", "error": "ThrottlingException", "times": 3}],
    "limits": {"stored_runs": 2},
}
SETTING = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": f"s3://{BUCKET}/runs"}


def listed(emulator: OmicsEmulator, account: str, operation: str, **arguments: Any) -> Any:
    return emulator.client(account=account).get_paginator(operation).paginate(**arguments).build_full_result()["items"]


def objects(emulator: OmicsEmulator) -> dict[str, list[str]]:
    s3 = emulator.client("s3")
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    return {name: [item["Key"] for item in s3.list_objects_v2(Bucket=name).get("Contents", ())] for name in names}


def log_streams(emulator: OmicsEmulator) -> dict[str, list[str]]:
    logs = emulator.client("logs")
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    return {
        name: [stream["logStreamName"] for stream in logs.describe_log_streams(logGroupName=name)["logStreams"]]
        for name in groups
    }


LOOKS: dict[str, Callable[[OmicsEmulator], Any]] = {
    "calls": lambda emulator: emulator.calls.by_code(),  # first: the other looks are counted as well
    "faults": lambda emulator: emulator.faults.active(),
    "runs": lambda emulator: listed(emulator, emulator.account, "list_runs"),
    "runs of another account": lambda emulator: listed(emulator, OTHER_ACCOUNT, "list_runs"),
    "runs ever started": lambda emulator: emulator.service.started_runs(),
    "batches": lambda emulator: listed(emulator, emulator.account, "list_batch"),
    "batches ever started": lambda emulator: emulator.service.started_batches(),
    "groups": lambda emulator: listed(emulator, emulator.account, "list_run_groups"),
    "caches": lambda emulator: listed(emulator, emulator.account, "list_run_caches"),
    "workflows": lambda emulator: [
        each["name"] for each in listed(emulator, emulator.account, "list_workflows", type="PRIVATE")
    ],
    "objects": objects,
    "logs": log_streams,
    "rules": lambda emulator: emulator.client("events").list_rules()["Rules"],
    "queues": lambda emulator: emulator.client("sqs").list_queues().get("QueueUrls", []),
    "scenario": lambda emulator: emulator.service.scenario,
}


def start(emulator: OmicsEmulator) -> list[Any]:
    """Start a run and a batch, always by the same request ids; the answers name what was started."""
    omics = emulator.client()
    one = omics.start_run(**SETTING, name="one", requestId="one")
    settings = {"inlineSettings": [{"runSettingId": name} for name in ("S1", "S2")]}
    batch = omics.start_run_batch(defaultRunSetting=SETTING, batchRunSettings=settings, requestId="two")
    return [(one["id"], one["uuid"]), (batch["id"], batch["uuid"])]


def use(emulator: OmicsEmulator) -> list[Any]:
    """Leave something of everything."""
    emulator.set_scenario(SCENARIO)
    sqs, events = emulator.client("sqs"), emulator.client("events")
    url = sqs.create_queue(QueueName="omics-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="omics", EventPattern=json.dumps({"source": ["aws.omics"]}))
    events.put_targets(Rule="omics", Targets=[{"Id": "queue", "Arn": arn}])
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="another")
    s3.put_object(Bucket=BUCKET, Key="sheets/cohort.csv", Body=b"sample\n")
    omics = emulator.client()
    omics.create_run_group(name="cohort", requestId="group")
    omics.create_run_cache(name="cache", cacheS3Location=f"s3://{BUCKET}/cache", requestId="cache")
    emulator.client(account=OTHER_ACCOUNT).start_run(**SETTING, requestId="one")
    started = start(emulator)
    emulator.advance(100_000)
    omics.delete_run(id=started[0][0])
    return started


def looks(emulator: OmicsEmulator) -> dict[str, Any]:
    return {name: look(emulator) for name, look in LOOKS.items()}


def cleared(emulator: OmicsEmulator) -> OmicsEmulator:
    emulator.set_scenario({})
    emulator.reset()
    return emulator


@pytest.mark.parametrize("part", LOOKS)
def test_nothing_is_left(emulator: OmicsEmulator, part: str) -> None:
    """With its scenario cleared and after a reset, an emulator shows what it shows when it is new."""
    new = LOOKS[part](emulator)
    use(emulator)
    used = LOOKS[part](emulator)

    assert used != new, "the test leaves nothing of this kind: it would pass without a reset"
    assert LOOKS[part](cleared(emulator)) == new


def test_requests_are_forgotten(emulator: OmicsEmulator) -> None:
    """The same requests start anew after a reset, with the first ids and uuids, and end by the new scenario."""
    before = start(emulator)
    cleared(emulator)
    use(emulator)

    after = start(cleared(emulator))

    assert after == before
    assert len(emulator.service.started_runs()) == 1
    emulator.advance(100_000)
    runs = emulator.service.started_runs()
    assert [run["status"] for run in runs] == ["COMPLETED"] * 3


def test_forgotten_runs_write_nothing(emulator: OmicsEmulator) -> None:
    """Runs that were under way at the reset write no object and no log line when their time comes."""
    new = looks(emulator)
    start(emulator)
    emulator.advance(1)
    cleared(emulator)

    emulator.advance(100_000)

    assert looks(emulator) == new
