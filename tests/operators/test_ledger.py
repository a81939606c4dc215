"""The ledger beside a results file: what each attempt has asked for, and what HealthOmics told of each run."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.ledger import sha256_of
from airflow_provider_omics.core.errors import BatchVerdictError
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples
from tests.operators.reruns import TRANSIENT, URI, fails, put_settings, records, script
from tests.results.batches import delete_manifests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime
    from tests.operators.tries import NewTask, Task

pytestmark = pytest.mark.usefixtures("looks_seldom")

FOLDER = "results/wgs"
PATIENT = "Mrs-Vlahos-1950"


def entries(emulator: OmicsEmulator, kind: str, bucket: str = BUCKET) -> dict[str, Any]:
    """Give the entries of a kind, by their URIs."""
    s3 = emulator.client("s3")
    found = {}
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"{FOLDER}/{kind}/").get("Contents", ()):
        body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        unpacked = gzip.decompress(body) if item["Key"].endswith(".gz") else body
        found[f"s3://{bucket}/{item['Key']}"] = json.loads(unpacked)
    return found


def cohort(new_task: NewTask, **arguments: Any) -> Task:
    """Make a task with results; its first try is still to come."""
    task = new_task("batch")
    task.arguments = {"results_s3_uri": URI, **arguments}
    return task


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_every_attempt_and_every_run_has_its_entry(new_task: NewTask, *, deferrable: bool) -> None:
    """The results file has the last run of a sample; the ledger has all, and each record says where its own is."""
    s3 = new_task("batch").emulator.client("s3")
    s3.put_object(Bucket=BUCKET, Key="in.bam", Body=b"reads")
    runs = [{"runSettingId": name, "parameters": {"bam": f"s3://{BUCKET}/in.bam"}} for name in ("S1", "S2")]
    task = cohort(new_task, deferrable=deferrable, run_settings=runs)
    script(task, fails(TRANSIENT, "S2"))
    assert isinstance(task.try_().error, BatchVerdictError)
    script(task)

    assert task.try_().error is None

    started = task.emulator.service.started_runs()
    found = entries(task.emulator, "runs")
    assert {uri.rpartition("/")[2] for uri in found} == {f"{run['uuid']}.json.gz" for run in started}
    ends = {entry["run"]["id"]: entry["run"]["status"] for entry in found.values()}
    assert ends == {run["id"]: run["status"] for run in started}
    for record in records().values():
        entry = found[str(record.provenance_uri)]
        assert (entry["run"]["arn"], entry["run"]["uuid"]) == (record.run_arn, record.run_uuid)
        assert entry["run"]["resourceDigests"]
        of_run, *of_tasks = entry["manifest"]
        assert of_run["uuid"] == record.run_uuid
        assert all(item["imageDigest"].startswith("sha256:") for item in of_tasks)
    first, second = sorted(entries(task.emulator, "attempts").values(), key=lambda entry: entry["attempt"])
    assert [len(one["request"]["batchRunSettings"]["inlineSettings"]) for one in (first, second)] == [2, 1]
    assert second["previous_request_id"] == first["request_id"]
    assert {batch["requestId"] for batch in task.started()} == {first["request_id"], second["request_id"]}


def test_attempt(emulator: OmicsEmulator, new_task: NewTask, tmp_path: Path) -> None:
    """An entry of an attempt has the request as it was sent, who sent it, with what, and for which task."""
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("sample,genome\nS1,GRCh38\n")
    task = cohort(new_task, run_settings=None, sample_sheet={"path": str(sheet), "parameters": {"g": "{genome}"}})
    dag_run = SimpleNamespace(triggering_user_name="anna", note="lane 3 came in late")
    context = task._context
    task._context = lambda: {**context(), "dag_run": dag_run}  # type: ignore[method-assign]

    assert task.try_().error is None

    ((uri, entry),) = entries(emulator, "attempts").items()
    (batch,) = task.started()
    setting = {"runSettingId": "S1", "parameters": {"g": "GRCh38"}}
    assert uri == f"s3://{BUCKET}/{FOLDER}/attempts/{batch['requestId']}.json"
    tags = entry["request"]["defaultRunSetting"].pop("runTags")
    assert (entry["request"]["defaultRunSetting"], tags["airflow:dag_id"]) == (DEFAULT_RUN_SETTING, "a_dag")
    assert entry["request"]["batchRunSettings"] == {"inlineSettings": [setting]}
    assert entry["request"]["requestId"] == entry["request_id"] == batch["requestId"]
    line = json.dumps(setting, separators=(",", ":")).encode()
    assert entry["run_settings"] == {"count": 1, "sha256": hashlib.sha256(line).hexdigest()}
    assert entry["sheet"] == {"path": str(sheet), "sha256": hashlib.sha256(sheet.read_bytes()).hexdigest()}
    assert entry["caller_arn"].startswith("arn:aws:")
    assert entry["versions"].keys() >= {"apache-airflow", "boto3"}
    assert entry["airflow"] == {
        "dag_id": "a_dag",
        "dag_run_id": "manual__2026-01-01T00:00:00+00:00",
        "task_id": "a_task",
        "map_index": None,
        "try_number": 1,
        "user": "anna",
        "note": "lane 3 came in late",
    }


def test_settings_in_an_object_of_the_users(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """The object may be gone in a year: its version and the hash of its settings are known."""
    task = cohort(new_task, **put_settings(emulator, "S1", "S2"))

    assert task.try_().error is None

    (entry,) = entries(emulator, "attempts").values()
    etag = emulator.client("s3").head_object(Bucket=BUCKET, Key="settings.json")["ETag"]
    assert (entry["run_settings_etag"], entry["run_settings"]["count"], entry["sheet"]) == (etag, 2, None)


def test_masked_values_are_hashes(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """With mask_parameters the ledger has names and hashes of parameters, so that one can be compared, and no value."""
    parameters = {"patient": PATIENT, "born": PATIENT}
    task = cohort(
        new_task,
        mask_parameters=True,
        default_run_setting={**DEFAULT_RUN_SETTING, "parameters": {"doctor": PATIENT}},
        run_settings=[{"runSettingId": "S1", "parameters": parameters}],
    )

    assert task.try_().error is None

    (attempt,) = entries(emulator, "attempts").values()
    (run,) = entries(emulator, "runs").values()
    assert PATIENT not in json.dumps([attempt, run])
    (setting,) = attempt["request"]["batchRunSettings"]["inlineSettings"]
    assert setting["parameters"] == {"names": ["born", "patient"], "sha256": sha256_of(parameters)}
    whole = {**parameters, "doctor": PATIENT}
    masked = {"names": ["born", "doctor", "patient"], "sha256": sha256_of(whole)}
    assert run["run"]["parameters"] == run["manifest"][0]["parameters"] == masked


def test_nothing_is_written_twice(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """In a bucket whose objects are locked each entry has one version, however often the batch is collected."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 365}}
    s3.put_object_lock_configuration(
        Bucket="locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    uri = "s3://locked/results/wgs.jsonl.gz"
    task = cohort(new_task, results_s3_uri=uri)
    result = task.try_().result
    known = {record.provenance_uri for record in records(uri).values()}
    s3.delete_object(Bucket="locked", Key="results/wgs.jsonl.gz")

    again = perform(
        OmicsCollectBatchResultsOperator(task_id="collect", batch_id=result["batch_id"], results_s3_uri=uri)
    )

    assert again.result["new_records"] == 2
    assert {record.provenance_uri for record in records(uri).values()} == known
    versions = [item["Key"] for item in s3.list_object_versions(Bucket="locked")["Versions"]]
    written = [key for key in versions if "/runs/" in key or "/attempts/" in key]
    assert len(written) == len(set(written)) == 3


@pytest.mark.parametrize(
    ("arguments", "attempts", "runs"),
    [
        ({}, 1, 2),
        ({"ledger": False}, 0, 0),
        ({"ledger": "false"}, 0, 0),
        ({"results_detail": "listed"}, 1, 0),
        ({"results_s3_uri": None}, 0, 0),
    ],
)
def test_what_there_is(
    emulator: OmicsEmulator, new_task: NewTask, arguments: dict[str, Any], attempts: int, runs: int
) -> None:
    """Without a place there is no ledger, nor where nobody wants one; lists tell too little of a run for an entry."""
    assert cohort(new_task, **arguments).try_().error is None

    assert (len(entries(emulator, "attempts")), len(entries(emulator, "runs"))) == (attempts, runs)


def test_entries_that_lack_are_added(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """Another collection adds the entries of a batch; a run that is gone by then keeps its record."""
    task = cohort(new_task, ledger=False)
    batch_id = task.try_().result["batch_id"]
    before = records()
    gone, *_ = emulator.service.started_runs()
    emulator.service.remove_run(gone["id"])
    delete_manifests(emulator, gone["id"])
    again = OmicsCollectBatchResultsOperator(task_id="collect", batch_id=batch_id, results_s3_uri=URI)

    assert perform(again).error is None

    lacking = [name for name, record in records().items() if record.provenance_uri is None]
    assert lacking == [gone["runSettingId"]]
    assert records()[lacking[0]] == before[lacking[0]]


@pytest.mark.parametrize(("seconds", "looks"), [(0, 4), (3600, 1)], ids=["just ended", "ended long ago"])
def test_manifest_that_does_not_come(
    emulator: OmicsEmulator, stepped: SteppedTime, seconds: int, looks: int, new_task: NewTask
) -> None:
    """A manifest that may come yet is looked for again, for half a minute; then the entry goes without it."""
    task = cohort(new_task, wait_for_completion=False, run_settings=samples("S1"))
    batch_id = task.try_().result["batch_id"]
    while emulator.client().get_batch(batchId=batch_id)["status"] != "PROCESSED":
        emulator.advance(10)
    emulator.advance(seconds)
    delete_manifests(emulator)
    emulator.calls.clear()

    perform(OmicsCollectBatchResultsOperator(task_id="collect", batch_id=batch_id, results_s3_uri=URI))

    (entry,) = entries(emulator, "runs").values()
    assert (entry["manifest"], entry["run"]["status"]) == ([], "COMPLETED")
    assert emulator.calls.by_operation()["GetRun"] == looks


def test_logs_out_of_reach(
    emulator: OmicsEmulator, connect: Connect, new_task: NewTask, log_lines: Callable[..., list[str]]
) -> None:
    """Where neither CloudWatch Logs nor STS answer, the entries say that what they would tell is not known."""
    nowhere = {"endpoint_url": "http://127.0.0.1:1"}
    connect(service_config={"logs": nowhere, "sts": nowhere})

    assert cohort(new_task).try_().error is None

    assert [entry["manifest"] for entry in entries(emulator, "runs").values()] == [None, None]
    assert [entry["caller_arn"] for entry in entries(emulator, "attempts").values()] == [None]
    told = log_lines(logging.WARNING)
    assert sum("lacks the caller's ARN" in line for line in told) == 1


def test_attempt_is_there_before_its_request_is_sent(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """Of what is paid nothing is missing, whenever the process dies; the try that sends it again finds the entry."""
    task = cohort(new_task)
    emulator.faults.add(operation="StartRunBatch", lost_response=True, times=1)
    seen: list[int] = []

    def listen(operator: Any) -> None:
        events = operator.hook.conn.meta.events
        events.register("before-call.omics.StartRunBatch", lambda **_: seen.append(len(entries(emulator, "attempts"))))

    task.before_execute = listen

    assert task.try_().error is None

    assert seen[0] == 1
    assert len(entries(emulator, "attempts")) == 1
