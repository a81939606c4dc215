from __future__ import annotations

import gc
import json
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from moto.logs.models import LogEvent
from moto.s3.models import FakeKey

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from airflow_provider_omics.emulator.http.moto_services import DEFAULT_ACCOUNT, MotoServices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "genomics-outputs"
OTHER_ACCOUNT = "111122223333"
LOG_GROUP = "/aws/omics/WorkflowLog"


@pytest.fixture
def moto() -> Iterator[MotoServices]:
    """The services of moto without a HealthOmics."""
    services = MotoServices()
    services.reset()
    yield services
    services.reset()


def listen(emulator: OmicsEmulator, pattern: dict[str, Any]) -> Callable[[], list[dict[str, Any]]]:
    """Send the events that match to a queue; the result reads the queue empty."""
    sqs, events = emulator.client("sqs"), emulator.client("events")
    url = sqs.create_queue(QueueName="omics-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="omics", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="omics", Targets=[{"Id": "queue", "Arn": arn}])

    def received() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += (json.loads(message["Body"]) for message in messages)
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    return received


def test_objects_are_read_as_others_wrote_them(emulator: OmicsEmulator) -> None:
    """What a client put into S3 is what the surroundings read, with the ETag that S3 answered."""
    etag = emulator.client("s3").put_object(Bucket=BUCKET, Key="sheets/ö 样本.json", Body=b"[1]")["ETag"]
    moto = MotoServices()
    stored = moto.read_object(DEFAULT_ACCOUNT, "us-east-1", BUCKET, "sheets/ö 样本.json")
    assert stored is not None
    assert (stored.body, stored.etag) == (b"[1]", etag)
    assert moto.object_etag(DEFAULT_ACCOUNT, "us-east-1", BUCKET, "sheets/ö 样本.json") == etag


@pytest.mark.parametrize(("bucket", "key"), [("no-such-bucket", "k"), ("one", "no-such-key")])
def test_missing_object_is_none(moto: MotoServices, bucket: str, key: str) -> None:
    """A bucket or an object that does not exist reads as None."""
    moto.create_bucket(DEFAULT_ACCOUNT, "us-east-1", "one")
    assert moto.read_object(DEFAULT_ACCOUNT, "us-east-1", bucket, key) is None
    assert moto.object_etag(DEFAULT_ACCOUNT, "us-east-1", bucket, key) is None


def test_output_for_a_missing_bucket_is_dropped(moto: MotoServices) -> None:
    """Writing to a bucket that does not exist writes nothing, and does not create it."""
    moto.put_object(DEFAULT_ACCOUNT, "us-east-1", "later", "k", b"x")
    moto.create_bucket(DEFAULT_ACCOUNT, "us-east-1", "later")
    assert moto.object_etag(DEFAULT_ACCOUNT, "us-east-1", "later", "k") is None
    moto.put_object(DEFAULT_ACCOUNT, "us-east-1", "later", "k", b"x")
    assert moto.object_etag(DEFAULT_ACCOUNT, "us-east-1", "later", "k")


def test_log_events_keep_their_time(emulator: OmicsEmulator) -> None:
    """Log events of any time can be read, whatever the wall clock says; group and stream are made as needed."""
    moto = MotoServices()
    times = [int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp() * 1000) for year in (2020, 2040)]
    moto.put_log_events(DEFAULT_ACCOUNT, "us-east-1", LOG_GROUP, "run/1", [(times[0], "first")])
    moto.put_log_events(DEFAULT_ACCOUNT, "us-east-1", LOG_GROUP, "run/1", [(times[1], "last")])
    answer = emulator.client("logs").get_log_events(logGroupName=LOG_GROUP, logStreamName="run/1", startFromHead=True)
    assert [(event["timestamp"], event["message"]) for event in answer["events"]] == [
        (times[0], "first"),
        (times[1], "last"),
    ]


def test_run_leaves_output_and_logs(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """A completed run's output is in S3 and its log streams are in CloudWatch Logs when somebody looks."""
    omics, s3, logs = emulator.client(), emulator.client("s3"), emulator.client("logs")
    run_id = omics.start_run(**start_run_parameters())["id"]
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    emulator.advance(100_000)
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert keys
    assert all(key.startswith(f"runs/{run_id}") for key in keys)
    assert s3.get_object(Bucket=BUCKET, Key=keys[0])["Body"].read()
    streams = logs.describe_log_streams(logGroupName=LOG_GROUP)["logStreams"]
    assert f"run/{run_id}" in {stream["logStreamName"] for stream in streams}
    assert logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=f"run/{run_id}")["events"]


def test_status_changes_reach_a_queue(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """Each status of a run arrives once, in order, with the emulator's time, in the queue of an EventBridge rule."""
    received = listen(emulator, {"source": ["aws.omics"], "detail-type": ["Run Status Change"]})
    run = emulator.client().start_run(**start_run_parameters())
    emulator.advance(100_000)
    events = received()
    assert [event["detail"]["status"] for event in events][-4:] == ["STARTING", "RUNNING", "STOPPING", "COMPLETED"]
    assert {event["detail"]["runId"] for event in events} == {run["id"]}
    assert events[0]["resources"] == [run["arn"]]
    assert events[0]["time"].startswith("2026-01-01T00:")
    assert received() == []


def test_events_before_the_first_rule_are_nobodys(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """A rule sees what happens after it was made, as in AWS."""
    omics = emulator.client()
    omics.start_run(**start_run_parameters())
    emulator.advance(100_000)
    received = listen(emulator, {"source": ["aws.omics"]})
    assert received() == []
    second = omics.start_run(**start_run_parameters())["id"]
    emulator.advance(100_000)
    runs = [event for event in received() if event["detail-type"] == "Run Status Change"]
    assert {event["detail"]["runId"] for event in runs} == {second}


def test_archive_sees_no_past(emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]) -> None:
    """An event archive, too, holds what happens after it was made."""
    events, omics = emulator.client("events"), emulator.client()
    bus = events.describe_event_bus()["Arn"]
    omics.start_run(**start_run_parameters())
    emulator.advance(100_000)
    events.create_archive(ArchiveName="all", EventSourceArn=bus)
    assert events.describe_archive(ArchiveName="all")["EventCount"] == 0
    omics.start_run(**start_run_parameters())
    assert events.describe_archive(ArchiveName="all")["EventCount"] == 1


def test_waiting_consumer_is_served_at_once(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """A long poll of a queue blocks no other call, and ends with the first event."""
    listen(emulator, {"source": ["aws.omics"]})
    sqs, polling = emulator.client("sqs"), threading.Event()
    url = sqs.get_queue_url(QueueName="omics-events")["QueueUrl"]
    sqs.meta.events.register("before-send.sqs.ReceiveMessage", lambda **_: polling.set())
    with ThreadPoolExecutor() as pool:
        poll = pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        assert polling.wait(10)
        # A little time for the poll to arrive; these would wait for it if it held a lock.
        assert len([emulator.client("s3").list_buckets() for _ in range(5)]) == 5
        emulator.client().start_run(**start_run_parameters())
        (message,) = poll.result(timeout=10)["Messages"]
    assert json.loads(message["Body"])["detail"]["status"] == "PENDING"


def test_account_follows_the_access_key(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """An access key of 12 digits is an account id: runs, buckets and identity of two accounts are apart."""
    here, there = emulator.client(), emulator.client(account=OTHER_ACCOUNT)
    run = there.start_run(**start_run_parameters())
    assert f":{OTHER_ACCOUNT}:run/" in run["arn"]
    assert here.list_runs()["items"] == []
    emulator.client("s3", account=OTHER_ACCOUNT).create_bucket(Bucket="theirs")
    assert [bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]] == [BUCKET]
    assert emulator.client("sts", account=OTHER_ACCOUNT).get_caller_identity()["Account"] == OTHER_ACCOUNT
    assert emulator.client("sts", account="test").get_caller_identity()["Account"] == DEFAULT_ACCOUNT


def test_assumed_role_acts_in_its_own_account(
    emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]
) -> None:
    """Credentials of AssumeRole belong to the account of the role."""
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/omics"
    keys = emulator.client("sts").assume_role(RoleArn=role, RoleSessionName="airflow")["Credentials"]
    run = emulator.client(account=keys["AccessKeyId"]).start_run(**start_run_parameters())
    assert f":{OTHER_ACCOUNT}:run/" in run["arn"]


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_work(emulator: OmicsEmulator, version: str) -> None:
    """A presigned URL of either kind is taken for what it is: a request to S3."""
    from botocore.config import Config

    s3 = emulator.client("s3", config=Config(signature_version=version))
    s3.put_object(Bucket=BUCKET, Key="a b.txt", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a b.txt"})
    with urlopen(url) as response:  # noqa: S310  # loopback
        assert response.read() == b"hello"


def test_large_and_odd_objects_survive(client_of: Callable[..., Any]) -> None:
    """Multipart uploads, copies, metadata and conditional writes work as against moto alone."""
    s3 = client_of("s3")
    body = bytes(range(256)) * 40_000
    s3.put_object(Bucket=BUCKET, Key="big", Body=body, Metadata={"under_score": "1", "da-sh": "2"})
    assert s3.get_object(Bucket=BUCKET, Key="big")["Body"].read() == body
    head = s3.head_object(Bucket=BUCKET, Key="big")
    assert (head["ContentLength"], head["Metadata"]) == (len(body), {"under_score": "1", "da-sh": "2"})
    s3.copy_object(Bucket=BUCKET, Key="copy/of big", CopySource={"Bucket": BUCKET, "Key": "big"})
    assert s3.get_object(Bucket=BUCKET, Key="copy/of big", Range="bytes=1-3")["Body"].read() == b"\x01\x02\x03"
    with pytest.raises(s3.exceptions.ClientError) as caught:
        s3.put_object(Bucket=BUCKET, Key="big", Body=b"", IfNoneMatch="*")
    assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=BUCKET, Key="nothing")


def test_reset_leaves_nothing(moto: MotoServices) -> None:
    """reset() forgets buckets, log groups and rules of all accounts, and what comes after works."""
    moto.create_bucket(OTHER_ACCOUNT, "us-east-1", "one")
    moto.put_object(OTHER_ACCOUNT, "us-east-1", "one", "k", b"x")
    moto.reset()
    assert moto.read_object(OTHER_ACCOUNT, "us-east-1", "one", "k") is None
    moto.create_bucket(DEFAULT_ACCOUNT, "us-east-1", "one")
    moto.put_object(DEFAULT_ACCOUNT, "us-east-1", "one", "k", b"y")
    stored = moto.read_object(DEFAULT_ACCOUNT, "us-east-1", "one", "k")
    assert stored is not None
    assert stored.body == b"y"


def test_reset_keeps_nothing_in_memory(moto: MotoServices) -> None:
    """What moto lists goes with it: objects, be they overwritten, and lines of logs."""
    moto.create_bucket(DEFAULT_ACCOUNT, "us-east-1", BUCKET)
    for body in (b"x", b"y"):
        moto.put_object(DEFAULT_ACCOUNT, "us-east-1", BUCKET, "k", body)
    moto.put_log_events(DEFAULT_ACCOUNT, "us-east-1", LOG_GROUP, "run/1", [(0, "a line")])
    made = [weakref.ref(each) for model in (FakeKey, LogEvent) for each in vars(model)["instances_tracked"]]
    assert len(made) == 3

    moto.reset()
    gc.collect()

    assert [each() for each in made] == [None] * 3


def test_buckets_of_the_start_exist() -> None:
    """Buckets named to the emulator exist from the start; naming one that exists already is no error."""
    for _ in range(2):
        with OmicsEmulator(clock=SteppedClock(), buckets=["given"]) as emulator:
            assert "given" in {bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]}
    MotoServices().reset()
