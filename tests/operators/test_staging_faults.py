"""What becomes of staged run settings when a worker dies, is killed or is overtaken at any point of the upload."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.errors import (
    AccessDenied,
    AttemptError,
    BatchFailed,
    BatchTimedOut,
    InvalidRequest,
    NotOwner,
    StartTimedOut,
)
from airflow_provider_omics.hooks import s3
from airflow_provider_omics.hooks.omics import OmicsHook
from tests.airflow_support import BUCKET, samples
from tests.operators.tries import STAGING, Crash, NewTask, Task, at_sleep, crash

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

ROOT = Path(__file__).parents[2]

MANY = samples(*(f"S{number:03d}" for number in range(110)))
LARGE = [{**setting, "parameters": {"text": "x" * 80_000}} for setting in MANY]
"""9 MB: an upload of two parts."""


class Bucket:
    """What lies in the bucket below the staging place, the records of attempts left aside."""

    def __init__(self, emulator: OmicsEmulator) -> None:
        self.client = emulator.client("s3")

    def keys(self) -> list[str]:
        listed = self.client.list_objects_v2(Bucket=BUCKET, Prefix="staging/run-settings/")
        return [item["Key"] for item in listed.get("Contents", ())]

    def uploads(self) -> list[str]:
        """Tell the uploads whose parts are there, and which are neither complete nor removed."""
        return [item["Key"] for item in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]

    def versions(self) -> list[tuple[str, str]]:
        """Tell key and version of all that was ever written."""
        listed = self.client.list_object_versions(Bucket=BUCKET, Prefix="staging/run-settings/")
        return [(item["Key"], item["VersionId"]) for item in listed.get("Versions", ())]

    def keep_versions(self) -> None:
        self.client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


@pytest.fixture
def bucket(emulator: OmicsEmulator) -> Bucket:
    """The bucket with the staging place."""
    return Bucket(emulator)


@pytest.fixture
def task(new_task: NewTask) -> Task:
    """A task that starts a batch whose settings are staged, before its first try."""
    task = new_task("batch")
    task.arguments.update(run_settings=MANY, staging_s3_uri=STAGING)
    return task


@pytest.fixture
def large_task(task: Task) -> Task:
    """The same with settings that are uploaded in two parts."""
    task.arguments.update(run_settings=LARGE)
    return task


@pytest.fixture
def at_second_part(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Do something once, when the second part of the upload is about to be read."""

    def at_second_part(act: Callable[[], object]) -> None:
        reads = []
        read = s3._CheckedFile.read

        def acting(file: Any, size: int | None = -1, /) -> bytes:
            reads.append(size)
            if len(reads) == 2:
                act()
            return read(file, size)

        monkeypatch.setattr(s3._CheckedFile, "read", acting)

    return at_second_part


# -- during the upload -------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
import threading

sys.path.append(sys.argv[1])

from airflow_provider_omics.hooks import s3
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, TaskInstanceRecord, execute, rendered
from tests.operators.test_staging_faults import LARGE

read = s3._CheckedFile.read
reads = []

def hang(file, size=-1, /):
    reads.append(size)
    if len(reads) == 2:
        print("at the second part", flush=True)
        threading.Event().wait()
    return read(file, size)

s3._CheckedFile.read = hang
instance = TaskInstanceRecord(max_tries=2)
context = {"ti": instance, "task_instance": instance}
task = OmicsStartRunBatchOperator(
    task_id="a_task", default_run_setting=DEFAULT_RUN_SETTING, run_settings=LARGE, deferrable=False
)
execute(rendered(task, context), context)
"""


def test_worker_that_dies_during_the_upload(new_task: NewTask, bucket: Bucket) -> None:
    """SIGKILL between two parts leaves no object; the next try uploads anew and starts one batch under the same id."""
    task = new_task("batch", store="S3")
    worker = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ROOT)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert worker.stdout is not None
    assert any("at the second part" in line for line in worker.stdout)
    while not bucket.uploads():  # boto3 creates the upload in another thread than the one that reads the parts
        continue
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    left = task.record()
    assert left is not None
    assert bucket.keys() == []
    assert len(bucket.uploads()) == 1
    task.instance.try_number = 1

    ended = task.try_(run_settings=LARGE)

    assert ended.error is None
    (batch,) = task.started()
    assert batch["requestId"] == left.request_id
    assert batch["totalRuns"] == 110
    assert bucket.keys() == []


@pytest.mark.parametrize(
    ("error", "told"), [(AirflowTaskTimeout("10 s"), StartTimedOut), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_upload_that_is_interrupted(
    large_task: Task,
    bucket: Bucket,
    at_second_part: Callable[..., None],
    error: BaseException,
    told: type[BaseException],
) -> None:
    """A process that lives on removes the parts that it has sent."""
    raised = threading.Event()

    def raise_error(*_: object) -> None:
        raised.set()
        raise error

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGALRM)  # taken in the main thread, which waits for the upload
        raised.wait(10)

    before = signal.signal(signal.SIGALRM, raise_error)
    at_second_part(interrupt)
    try:
        ended = large_task.try_()
    finally:
        signal.signal(signal.SIGALRM, before)

    assert isinstance(ended.error, told)
    assert (bucket.keys(), bucket.uploads(), large_task.started()) == ([], [], [])


def test_upload_that_s3_refuses(large_task: Task, bucket: Bucket, at_second_part: Callable[..., None]) -> None:
    """A refusal in the midst of it names the action, removes the parts, and starts nothing; the next try does."""
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/staging/run-settings/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    at_second_part(lambda: bucket.client.put_bucket_policy(Bucket=BUCKET, Policy=policy))

    refused = large_task.try_()

    assert isinstance(refused.error, AccessDenied)
    assert "s3:PutObject" in str(refused.error)
    assert (bucket.keys(), bucket.uploads(), large_task.started()) == ([], [], [])
    bucket.client.delete_bucket_policy(Bucket=BUCKET)
    assert large_task.try_().error is None
    assert len(large_task.started()) == 1


@pytest.mark.parametrize("size", ["one part", "two parts"])
def test_user_who_ends_the_task_during_the_upload(
    task: Task, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, at_second_part: Callable[..., None], size: str
) -> None:
    """The upload stops, nothing is left of it, and no batch is started any more."""

    def end() -> None:
        task.instance.state = "failed"
        task.operator.on_kill()

    if size == "two parts":
        task.arguments["run_settings"] = LARGE
        at_second_part(end)
    else:
        upload = s3.S3Store.upload

        def upload_and_end(*arguments: Any) -> None:
            upload(*arguments)
            end()

        monkeypatch.setattr(s3.S3Store, "upload", upload_and_end)

    bucket.keep_versions()

    ended = task.try_()

    assert isinstance(ended.error, AttemptError)
    assert (bucket.keys(), bucket.uploads(), task.started()) == ([], [], [])
    assert len(bucket.versions()) == (size == "one part")


def test_try_that_is_overtaken_during_the_upload(
    large_task: Task, bucket: Bucket, at_second_part: Callable[..., None]
) -> None:
    """An orphaned process that comes out of its upload after a later try has begun starts nothing."""

    def overtake() -> None:
        record = large_task.record()
        assert record is not None
        assert large_task.task_state_store is not None
        later = replace(record, owner_try=2)
        large_task.task_state_store.set("omics_attempt", later.to_json(), retention=timedelta.max)

    at_second_part(overtake)

    ended = large_task.try_()

    assert isinstance(ended.error, NotOwner)
    assert large_task.started() == []


# -- between the upload and the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["list", "sheet"])
def test_worker_that_dies_before_the_start(
    large_task: Task, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, source: str
) -> None:
    """The next try finds the object, leaves it as it is, and sends the same request."""
    bucket.keep_versions()
    if source == "sheet":
        path = tmp_path / "samples.csv"
        path.write_text("sample,text\n" + "".join(f"{setting['runSettingId']},x\n" for setting in MANY))
        large_task.arguments.update(run_settings=None, sample_sheet=str(path))
    with monkeypatch.context() as patch:
        patch.setattr(OmicsHook, "start_run_batch", lambda *_: crash())
        assert isinstance(large_task.try_(keep_staging=True).error, Crash)
    left = large_task.record()
    assert left is not None
    (written,) = bucket.versions()
    before = bucket.client.head_object(Bucket=BUCKET, Key=written[0])
    assert large_task.started() == []

    ended = large_task.try_()

    assert ended.error is None
    (batch,) = large_task.started()
    after = bucket.client.head_object(Bucket=BUCKET, Key=written[0])
    assert batch["requestId"] == left.request_id
    assert written[0].endswith(f"/{left.request_id}.json")
    assert bucket.versions() == [written]
    assert (after["ETag"], after["LastModified"]) == (before["ETag"], before["LastModified"])
    assert ended.result["completed_runs"] == 110


def test_settings_that_differ_on_the_retry(task: Task, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings never go under an id that was used: they get an object and a request of their own."""
    with monkeypatch.context() as patch:
        patch.setattr(OmicsHook, "start_run_batch", lambda *_: crash())
        task.try_(keep_staging=True, run_settings=MANY)
    first = bucket.keys()

    ended = task.try_(run_settings=MANY[:105])

    assert ended.error is None
    (batch,) = task.started()
    assert batch["totalRuns"] == 105
    (second,) = set(bucket.keys()) - set(first)
    assert second.endswith(f"/{batch['requestId']}.json")


def test_object_that_is_changed_after_the_start(large_task: Task, bucket: Bucket, stepped: SteppedTime) -> None:
    """HealthOmics holds on to the object as it was: the batch fails, the task says why, and the object is removed."""
    large_task.emulator.set_scenario({"batches": [{"pending": 600.0}]})

    def change() -> None:
        (key,) = bucket.keys()
        bucket.client.put_object(Bucket=BUCKET, Key=key, Body=b"[]")

    at_sleep(stepped, change)

    ended = large_task.try_()

    assert isinstance(ended.error, BatchFailed)
    assert "was modified or removed after submission" in str(ended.error)
    assert bucket.keys() == []


@pytest.mark.parametrize("keep_staging", [False, True])
def test_start_that_is_refused(task: Task, bucket: Bucket, *, keep_staging: bool) -> None:
    """The object of a batch that is never started is removed, unless it is wanted."""
    task.emulator.faults.add(operation="StartRunBatch", error="ValidationException", times=1)

    ended = task.try_(keep_staging=keep_staging)

    assert isinstance(ended.error, InvalidRequest)
    assert len(bucket.keys()) == keep_staging


def test_start_without_an_answer(task: Task, bucket: Bucket) -> None:
    """The object stays where it is as long as the start may have arrived: the resend is the same request."""
    task.emulator.faults.add(operation="StartRunBatch", lost_response=True, times=1)
    bucket.keep_versions()

    ended = task.try_()

    assert ended.error is None
    assert len(task.started()) == 1
    assert len(bucket.versions()) == 1


def test_batch_that_takes_too_long(task: Task, bucket: Bucket) -> None:
    """The settings of a batch that was cancelled at the deadline are removed as well."""
    task.emulator.set_scenario({"runs": [{"running": 1_000_000.0}]})

    ended = task.try_(execution_timeout=timedelta(hours=1))

    assert isinstance(ended.error, BatchTimedOut)
    assert bucket.keys() == []
