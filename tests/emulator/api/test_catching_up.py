"""A large batch that is behind keeps nobody waiting."""

from __future__ import annotations

import gc
import json
import math
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from airflow_provider_omics.emulator.api.service import HealthOmics
from airflow_provider_omics.emulator.script.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "genomics-outputs"
SETTING = {
    "workflowId": "1234567",
    "roleArn": "arn:aws:iam::123456789012:role/omics",
    "outputUri": f"s3://{BUCKET}/runs",
}
RUNS = 20_000
#: More than a batch of so many runs takes.
LONG = 10_000_000.0


def start_batch(emulator: OmicsEmulator, runs: int = RUNS) -> str:
    """Start a batch from a settings file."""
    settings = json.dumps([{"runSettingId": f"S{number}"} for number in range(runs)])
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=settings.encode())
    source = {"s3UriSettings": f"s3://{BUCKET}/settings.json"}
    return str(emulator.client().start_run_batch(defaultRunSetting=SETTING, batchRunSettings=source)["id"])


@pytest.fixture
def holds(emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Seconds of its thread's CPU time for which the lock of the service was held, each time."""
    held: list[float] = []
    lock = emulator.service._lock

    class Watch:
        """The lock, with a stop watch; what is entered twice counts as one."""

        def __init__(self) -> None:
            self._depth, self._since = 0, 0.0

        def __enter__(self) -> None:
            lock.acquire()
            if self._depth == 0:
                self._since = time.thread_time()
            self._depth += 1

        def __exit__(self, *_: object) -> None:
            self._depth -= 1
            if self._depth == 0:
                held.append(time.thread_time() - self._since)
            lock.release()

    monkeypatch.setattr(emulator.service, "_lock", Watch())
    # What thousands of tests have left would be searched for garbage in here: 1.3 seconds. It stays left out, as all
    # that was imported does (conftest.py).
    gc.collect()
    gc.freeze()
    yield held
    emulator.stop()


@pytest.mark.parametrize("advance", ["advance()", "the clock alone"])
def test_lock_is_never_held_for_long(emulator: OmicsEmulator, holds: list[float], advance: str) -> None:
    """Neither by who steps the clock, nor by a call that finds a batch behind, nor while its settings are read."""
    batch, omics = start_batch(emulator), emulator.client()
    if advance == "advance()":
        emulator.advance(LONG)
        assert omics.get_batch(batchId=batch)["status"] == "PROCESSED"
    else:
        assert isinstance(emulator.clock, SteppedClock)
        emulator.clock.advance(LONG)
        status = first = omics.get_batch(batchId=batch)["status"]
        while status != "PROCESSED":
            status = omics.get_batch(batchId=batch)["status"]
        assert first != "PROCESSED"
    assert omics.get_batch(batchId=batch)["runSummary"]["completedRunCount"] == RUNS
    # CPU time, of which a busy machine has less to give in the same time. The garbage collector is part of it.
    assert max(holds) < 0.25
    assert len(holds) > 20


def test_calls_come_in_between(emulator: OmicsEmulator) -> None:
    """While one thread steps the clock over a batch, another one's calls are answered, with what there is by then."""
    batch, omics, seen = start_batch(emulator), emulator.client(), []
    stepping = threading.Thread(target=emulator.advance, args=(LONG,))
    stepping.start()
    while stepping.is_alive():
        counts = omics.get_batch(batchId=batch)["submissionSummary"]
        seen.append(counts["successfulStartSubmissionCount"])
    stepping.join()

    assert seen == sorted(seen)
    assert len({count for count in seen if 0 < count < RUNS}) > 3


def test_who_is_behind_catches_up_unasked() -> None:
    """One call is enough to set it going, as a poll once a minute must not be what moves the batch on."""
    with OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET]) as emulator:
        emulator.reset()
        start_batch(emulator)
        assert isinstance(emulator.clock, SteppedClock)
        emulator.clock.advance(LONG)
        emulator.client().list_runs()
        thread = emulator.service._catching_up
        assert thread is not None
        thread.join(60)
        assert emulator.service.snapshot()["runs"] == {"COMPLETED": RUNS}


def test_stop_ends_who_catches_up() -> None:
    """No thread outlives an emulator, however far it is behind; started again, it goes on."""
    with OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET]) as emulator:
        emulator.reset()
        batch = start_batch(emulator)
        assert isinstance(emulator.clock, SteppedClock)
        emulator.clock.advance(LONG)
        emulator.client().list_runs()
        emulator.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "omics-catch-up"]
        emulator.start()
        emulator.advance(0)
        assert emulator.client().get_batch(batchId=batch)["status"] == "PROCESSED"


def ends(patience: float) -> list[tuple[str, float]]:
    """Let a service with so much patience carry a batch out; return when each run has started."""
    clock = SteppedClock()
    service = HealthOmics(clock=clock, limits=Limits(concurrent_dynamic_runs=3), patience=patience)
    settings: list[dict[str, Any]] = [{"runSettingId": f"S{number}", "priority": number % 3} for number in range(50)]
    request = {"requestId": "r", "defaultRunSetting": SETTING, "batchRunSettings": {"inlineSettings": settings}}
    batch = service.call("StartRunBatch", request)["id"]
    clock.advance(LONG)
    while service.call("GetBatch", {"batchId": batch})["status"] != "PROCESSED":
        service.catch_up()
    service.close()
    return [(run["runSettingId"], run["startTime"].timestamp()) for run in service.started_runs()]


def test_patience_changes_no_end() -> None:
    """A service that is looked at piece by piece comes to the same end as one that does all at once."""
    assert ends(0.0) == ends(math.inf)


def test_events_of_a_batch_come_in_order(emulator: OmicsEmulator) -> None:
    """However the work is cut: with a rule, each run's changes arrive once, and oldest first."""
    sqs, events = emulator.client("sqs"), emulator.client("events")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.omics"], "detail-type": ["Run Status Change"]}
    events.put_rule(Name="r", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    start_batch(emulator, 20)
    emulator.advance(LONG)
    received: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    times = [event["time"] for event in received]
    assert times == sorted(times)
    changes = [(event["detail"]["runId"], event["detail"]["status"]) for event in received]
    assert len(set(changes)) == len(changes) == 20 * 5
