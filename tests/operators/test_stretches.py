"""Batches that are collected while they go: when a task comes back, what it has then, and what it carries on."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.providers.common.compat.sdk import DAG, TaskDeferred

from airflow_provider_omics.core.errors import BatchTimedOut
from airflow_provider_omics.emulator import in_process_client
from airflow_provider_omics.emulator.http.loopback import LOOPBACK, LoopbackServer
from airflow_provider_omics.jobs.batch.stretches import BatchStretches
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results import RunRecord, read_batch_results
from airflow_provider_omics.results.roster import Roster
from tests.airflow_support import (
    BUCKET,
    DEFAULT_RUN_SETTING,
    ONE_TRY,
    TaskInstanceRecord,
    execute,
    fire,
    perform,
    rebuilt,
    rendered,
    samples,
    stored,
)
from tests.operators.tries import Crash, crash
from tests.results.batches import rule

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime
    from tests.conftest import RunDag
    from tests.operators.tries import NewTask

URI = f"s3://{BUCKET}/results/cohort.jsonl.gz"
WAVES = {"A*": 3000, "B*": 9000, "C*": 15000}
NAMES = [f"{wave}{number:02d}" for wave in "ABC" for number in range(15)]
ends = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])


def script(emulator: OmicsEmulator, *more: dict[str, Any], **waves: int) -> None:
    """Let the runs of a wave end together, after so many seconds."""
    rules = [rule(pattern, running=seconds) for pattern, seconds in (waves or WAVES).items()]
    emulator.set_scenario({"runs": [*more, *rules], "limits": {"submissions_per_second": 100}})


def cohort(**arguments: Any) -> OmicsStartRunBatchOperator:
    shared: dict[str, Any] = {
        "task_id": "cohort",
        "default_run_setting": DEFAULT_RUN_SETTING,
        "run_settings": samples(*NAMES),
        "results_s3_uri": URI,
        "collect_every": 1200,
        "poll_interval": 300,
    }
    return OmicsStartRunBatchOperator(**{**shared, **arguments})


def statuses(**options: Any) -> Counter[str]:
    return Counter(record.status.value for record in read_batch_results(URI, **options))


class Seen:
    """What a reader from outside sees whenever something sleeps."""

    def __init__(self, stepped: SteppedTime, emulator: OmicsEmulator) -> None:
        self.found: list[dict[str, int]] = []
        self._s3, self._etags = in_process_client(emulator, "s3"), list[str]()
        stepped.at_sleep = self.look

    def look(self) -> None:
        listed = self._s3.list_objects_v2(Bucket=BUCKET, Prefix="results/cohort.jsonl.gz").get("Contents", ())
        etags = [item["ETag"] for item in listed]
        if etags != self._etags:
            self._etags = etags
            seen = dict(statuses())
            if seen not in self.found:
                self.found.append(seen)


@ends
def test_results_come_in_waves(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """What has ended is in the file while the rest goes on; each run is read once, and at the end the last is left."""
    script(emulator)
    seen = Seen(stepped, emulator)

    ended = perform(cohort(deferrable=deferrable))

    assert ended.error is None
    seen.look()
    assert seen.found == [{"COMPLETED": 15}, {"COMPLETED": 30}, {"COMPLETED": 45}]
    assert emulator.calls.by_operation()["GetRun"] == 45
    assert [record.run_setting_id for record in read_batch_results(URI)] == NAMES


def test_unfinished_on_request(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Who asks for them gets the samples that go on, with what they were when the file was last written."""
    script(emulator)
    found: list[tuple[dict[str, int], dict[str, int]]] = []
    s3 = in_process_client(emulator, "s3")

    def look() -> None:
        if found:
            return
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="results/cohort/")
        if any(".roster." in item["Key"] for item in listed.get("Contents", ())):
            found.append((dict(statuses()), dict(statuses(unfinished=True))))

    stepped.at_sleep = look

    ended = perform(cohort(deferrable=True))

    assert ended.error is None
    assert found == [({"COMPLETED": 15}, {"COMPLETED": 15, "RUNNING": 30})]
    assert statuses(unfinished=True) == {"COMPLETED": 45}


def test_nothing_new_no_stretch(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """While nothing ends, the task stays where it waits."""
    script(emulator, **{"*": 15000})

    ended = perform(cohort(deferrable=True))

    assert ended.error is None
    assert len(ended.triggers) == 1


@pytest.mark.parametrize(
    ("state", "try_number", "alive"),
    [
        pytest.param("running", 3, True, id="a node drain on the last try"),
        pytest.param(None, 3, True, id="Airflow does not answer on the last try"),
        pytest.param("running", 1, True, id="a node drain"),
        pytest.param("failed", 1, False, id="a user marks it failed"),
        pytest.param("restarting", 3, False, id="a user clears it"),
    ],
)
@ends
def test_killed_while_collecting(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    new_task: NewTask,
    monkeypatch: pytest.MonkeyPatch,
    *,
    deferrable: bool,
    state: str | None,
    try_number: int,
    alive: bool,
) -> None:
    """Only a user's end cancels a batch while its results are collected, on the last try too."""
    script(emulator)
    task = new_task("batch", deferrable=deferrable)
    task.instance.try_number = try_number - 1
    monkeypatch.setattr(BatchStretches, "_explain", lambda *_: task.kill(state))

    ended = task.try_(run_settings=samples(*NAMES), results_s3_uri=URI, collect_every=1200.0, poll_interval=60)

    assert isinstance(ended.error, Crash)
    assert task.statuses() == (["INPROGRESS"] if alive else ["STOPPING"])
    assert statuses() == {"COMPLETED": 15}


@ends
def test_a_retry_goes_on(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    new_task: NewTask,
    monkeypatch: pytest.MonkeyPatch,
    *,
    deferrable: bool,
) -> None:
    """A worker that dies while it collects loses nothing: the next try adopts the batch, and reads what is left."""
    script(emulator)
    task = new_task("batch", deferrable=deferrable)
    with monkeypatch.context() as patched:
        patched.setattr(Roster, "write", lambda _: crash())
        task.try_(run_settings=samples(*NAMES), results_s3_uri=URI, collect_every=1200.0, poll_interval=60)

    ended = task.try_()

    assert ended.error is None
    assert task.statuses() == ["PROCESSED"]
    assert [record.run_setting_id for record in read_batch_results(URI)] == NAMES
    assert emulator.calls.by_operation()["GetRun"] == 45


@pytest.mark.parametrize("operation", ["ListRuns", "ListRunsInBatch", "GetRun"])
def test_trouble_is_no_end(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], operation: str
) -> None:
    """What cannot be collected now is collected later, and the wait goes on."""
    script(emulator)
    emulator.faults.add(operation=operation, error="AccessDeniedException", times=1)

    ended = perform(cohort(deferrable=True, botocore_config=ONE_TRY))

    assert ended.error is None
    assert any("is collected later: " in line and operation in line for line in log_lines(logging.WARNING))
    assert [record.run_setting_id for record in read_batch_results(URI)] == NAMES


def test_the_deadline_is_carried(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The time that the task has counts from its start, however often it has come back."""
    script(emulator, **{"A*": 3000, "*": 90_000})
    began = stepped.time()

    ended = perform(cohort(deferrable=True, execution_timeout=timedelta(hours=3)))

    deadlines = {arguments["deadline"] for _, arguments in ended.triggers}
    assert isinstance(ended.error, BatchTimedOut)
    assert len(ended.triggers) == 2
    assert deadlines == {began + 3 * 3600 - 60}
    assert stepped.time() - began < 3 * 3600 + 300


def test_the_event_alone_is_enough(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """What a task carries beside its trigger may be dropped: the trigger has it too, and its event returns it."""
    script(emulator)
    instance = TaskInstanceRecord(task_id="cohort")
    context = {"ti": instance, "task_instance": instance}
    task = cohort(deferrable=True)
    step = partial(execute, rendered(task, context), context)
    carried: list[str] = []
    result: dict[str, Any] = {}
    for _ in range(10):
        try:
            result = step()
            break
        except TaskDeferred as deferral:
            event = fire(rebuilt(stored(deferral.trigger)))
            carried.append(event["stretch"]["carried"]["request_id"])
            step = partial(rendered(task, context).execute_complete, context, event=event)

    assert result["completed_runs"] == 45
    assert (len(carried) >= 3, len(set(carried))) == (True, 1)
    assert emulator.calls.by_operation()["GetRun"] == 45


def test_three_stretches_of_a_dag(emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag) -> None:
    """A DAG run comes back for each wave, and its task succeeds in the end."""
    script(emulator)
    with DAG("stretches", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        cohort(deferrable=True)

    outcome = run_dag(dag)

    assert outcome.task_states == {"cohort": "success"}
    assert outcome.xcoms["cohort"]["return_value"]["completed_runs"] == 45
    assert emulator.calls.by_operation()["GetRun"] == 45


def test_causes_are_told_as_they_appear(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """A failure has its reason, cause and failed task in its record within a stretch, and the log tells new causes."""
    task = {"name": "MARKDUPLICATES", "outcome": "FAILED", "failure_reason": "FILE_SYSTEM_OUT_OF_SPACE"}
    fails = {"outcome": "FAILED", "failure_reason": "RUN_TASK_FAILED", "tasks": [task]}
    script(emulator, {**rule("A*", **fails), "running": 3000})
    found: list[RunRecord] = []

    def look() -> None:
        if not found and any("Results of batch" in line for line in log_lines()):
            found.extend(read_batch_results(URI))

    stepped.at_sleep = look

    ended = perform(cohort(deferrable=True, max_failed_runs=15))

    cause = "FILE_SYSTEM_OUT_OF_SPACE in MARKDUPLICATES"
    assert ended.error is None
    assert [(record.status.value, record.cause) for record in found] == [("FAILED", cause)] * 15
    assert [line for line in log_lines(logging.WARNING) if "new:" in line] == [f"Batch 2000001, new: 15 {cause}"]


@pytest.mark.parametrize("breaks", [False, True], ids=["heard", "broken"])
def test_people_are_told(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], *, breaks: bool
) -> None:
    """A callback hears of a new cause and of the end; one that fails changes nothing."""
    script(emulator, {**rule("A*", outcome="FAILED", failure_reason="INPUT_URI_NOT_FOUND"), "running": 3000})
    heard: list[str] = []

    def tell(context: Any) -> None:
        heard.append(context["omics_progress"])
        if breaks:
            raise RuntimeError("no such topic")

    ended = perform(cohort(deferrable=False, max_failed_runs=15, on_progress=tell))

    page = f"s3://{BUCKET}/results/cohort/report.html"
    failed = "cohort: 15 of 45 failed, 15 INPUT_URI_NOT_FOUND (data owner); "
    assert ended.error is None
    assert heard == [f"{failed}30 going", f"{failed}all have ended; {page}"]
    assert any("no such topic" in line for line in log_lines(logging.WARNING)) is breaks


@pytest.fixture
def topic(connect: Connect) -> Iterator[list[dict[str, str]]]:
    """What has been published to SNS, as its protocol has it: the connection's SNS is a server on loopback."""
    heard: list[dict[str, str]] = []

    def publish(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        heard.append(dict(parse_qsl(environ["wsgi.input"].read().decode())))
        start_response("200 OK", [("Content-Type", "text/xml")])
        return [b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"]

    server = LoopbackServer(publish)
    server.start()
    connect(service_config={"sns": {"endpoint_url": f"http://{LOOPBACK}:{server.port}"}})
    yield heard
    server.stop()


def test_a_topic_is_told(emulator: OmicsEmulator, stepped: SteppedTime, topic: list[dict[str, str]]) -> None:
    """Each message of a notifier is its own, and none has an id of a sample: the Amazon provider's, for SNS."""
    script(emulator, {**rule("A*", outcome="FAILED", failure_reason="INPUT_URI_NOT_FOUND"), "running": 3000})
    arn = "arn:aws:sns:us-east-1:123456789012:cohorts"
    notifier = SnsNotifier(target_arn=arn, subject="{{ ti.task_id }}", message="{{ omics_progress }}")
    with DAG("stretches", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
        task = cohort(deferrable=False, max_failed_runs=15, on_progress=notifier)

    ended = perform(task, dag=dag)

    assert ended.error is None
    assert {message["Action"] for message in topic} == {"Publish"}
    assert {(message["TargetArn"], message["Subject"]) for message in topic} == {(arn, "cohort")}
    failed = "cohort: 15 of 45 failed, 15 INPUT_URI_NOT_FOUND (data owner); "
    page = f"s3://{BUCKET}/results/cohort/report.html"
    told = [json.loads(message["Message"])["default"] for message in topic]
    assert told == [f"{failed}30 going", f"{failed}all have ended; {page}"]
    assert not any(name in str(topic) for name in NAMES)


def test_the_page_grows(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The page is written anew with the results, and tells what goes on."""
    script(emulator)
    found: list[str] = []

    def look() -> None:
        s3 = in_process_client(emulator, "s3")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="results/cohort/report.html").get("Contents", ())
        if listed and not found:
            found.append(s3.get_object(Bucket=BUCKET, Key=listed[0]["Key"])["Body"].read().decode())

    stepped.at_sleep = look

    ended = perform(cohort(deferrable=True))

    assert ended.error is None
    assert ("30" in found[0], "running" in found[0]) == (True, True)
