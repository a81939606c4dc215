from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import NotFound, SettingsError
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

pytestmark = pytest.mark.usefixtures("stepped")

URI = f"s3://{BUCKET}/wgs.jsonl"


def start(emulator: OmicsEmulator, *names: str) -> str:
    """Start a batch as somebody else would."""
    started = emulator.client().start_run_batch(
        requestId="somebody-else",
        defaultRunSetting=DEFAULT_RUN_SETTING,
        batchRunSettings={"inlineSettings": samples(*names)},
    )
    return str(started["id"])


def collect(batch_id: str, **arguments: Any) -> OmicsCollectBatchResultsOperator:
    return OmicsCollectBatchResultsOperator(task_id="collect", batch_id=batch_id, **arguments)


@pytest.mark.parametrize("detail", ["full", "listed", "{{ params.detail }}"])
def test_batch_that_airflow_did_not_start(emulator: OmicsEmulator, detail: str) -> None:
    """The task succeeds whatever became of the runs; its result has the counts and the place."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S2"}, "outcome": "FAILED"}]})
    batch_id = start(emulator, "S1", "S2")
    emulator.advance(100_000)

    ended = perform(
        collect("{{ params.batch }}", results_s3_uri="s3://{{ params.bucket }}/wgs.jsonl", results_detail=detail),
        params={"batch": batch_id, "bucket": BUCKET, "detail": "full"},
    )

    assert ended.error is None
    assert ended.result == {
        "batch_id": batch_id,
        "status": "PROCESSED",
        "total_runs": 2,
        "completed_runs": 1,
        "failed_runs": 1,
        "cancelled_runs": 0,
        "not_submitted_runs": 0,
        "unknown_runs": 0,
        "incomplete_runs": 0,
        "new_records": 2,
        "results_uri": URI,
        "report_uri": f"s3://{BUCKET}/wgs/report.html",
    }
    assert {record.run_setting_id: record.status.value for record in read_batch_results(URI)} == {
        "S1": "COMPLETED",
        "S2": "FAILED",
    }


def test_again_and_again(emulator: OmicsEmulator) -> None:
    """While the batch is going each collection adds what has ended since the last one."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S2"}, "running": 50_000}]})
    batch_id = start(emulator, "S1", "S2")
    told = []
    for seconds in (0, 20_000, 100, 100_000):
        emulator.advance(seconds)
        result = perform(collect(batch_id, results_s3_uri=URI)).result
        told.append((result["completed_runs"], result["new_records"]))

    assert told == [(0, 0), (1, 1), (1, 0), (2, 1)]


def test_place_of_the_connection(emulator: OmicsEmulator, connect: Connect) -> None:
    """Without an argument each task instance has a file of its own under the connection's place."""
    connect({"results_s3_uri": f"s3://{BUCKET}/results/"})
    batch_id = start(emulator, "S1")
    emulator.advance(100_000)

    result = perform(collect(batch_id)).result

    uri = f"s3://{BUCKET}/results/a_dag/manual__2026-01-01T00:00:00+00:00/collect.jsonl.gz"
    assert result["results_uri"] == uri
    assert [record.run_setting_id for record in read_batch_results(uri)] == ["S1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "results_s3_uri = not set: s3://bucket/key.jsonl.gz, or results_s3_uri in the connection"),
        ({"results_s3_uri": "s3://bucket/wgs.csv"}, r"results_s3_uri = 's3://bucket/wgs.csv': s3://bucket/key.jsonl"),
        ({"results_s3_uri": URI, "results_detail": "some"}, "results_detail = 'some': 'full' or 'listed'"),
        ({"results_s3_uri": URI, "results_detail": "listed", "read_outputs": True}, "read_outputs = True: with"),
    ],
)
def test_bad_arguments(emulator: OmicsEmulator, arguments: dict[str, Any], message: str) -> None:
    """Bad arguments end the task without a retry, before anything is asked."""
    error = perform(collect("2000001", **arguments)).error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowFailException)
    assert message in str(error)
    assert emulator.calls.by_operation() == {}


def test_batch_that_is_gone(emulator: OmicsEmulator) -> None:
    """A batch whose record was deleted is told as what it is."""
    error = perform(collect("2000009", results_s3_uri=URI)).error

    assert isinstance(error, NotFound)


def page(emulator: OmicsEmulator) -> str:
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key="wgs/report.html")["Body"]
    return str(body.read().decode())


def test_page_of_what_was_collected(emulator: OmicsEmulator) -> None:
    """The page beside the results is written anew with them; one that tells more stays, where nothing is new."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S2"}, "running": 50_000}]})
    batch_id = start(emulator, "S1", "S2")
    emulator.advance(20_000)

    perform(collect(batch_id, results_s3_uri=URI))

    assert "1 of 2 samples completed" in page(emulator)
    assert "The batch is going" in page(emulator)
    emulator.advance(100_000)
    result = perform(collect(batch_id, results_s3_uri=URI)).result
    assert result["report_uri"] == f"s3://{BUCKET}/wgs/report.html"
    assert "2 of 2 samples completed" in page(emulator)
    emulator.client("s3").put_object(Bucket=BUCKET, Key="wgs/report.html", Body=b"of the batch's task")
    perform(collect(batch_id, results_s3_uri=URI))
    assert page(emulator) == "of the batch's task"


def test_no_page(emulator: OmicsEmulator) -> None:
    """Who wants no page gets none."""
    batch_id = start(emulator, "S1")
    emulator.advance(100_000)

    assert perform(collect(batch_id, results_s3_uri=URI, report=False)).result["report_uri"] is None
    assert "Contents" not in emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="wgs/report")
