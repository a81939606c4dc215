"""The results that the operator of a batch writes before its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.batch.sample import sample_fingerprint
from airflow_provider_omics.core.errors import (
    BatchCancelled,
    BatchFailed,
    BatchVerdictError,
    NotFound,
    SettingsError,
    Unavailable,
)
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator, OmicsStartRunBatchOperator
from airflow_provider_omics.results import RunRecord, read_batch_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples
from tests.operators.tries import Crash, crash

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Meanwhile
    from tests.operators.tries import NewTask

pytestmark = pytest.mark.usefixtures("stepped")

URI = f"s3://{BUCKET}/results/wgs.jsonl.gz"
FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}
deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])


def start_batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    defaults: dict[str, Any] = {
        "task_id": "wgs",
        "default_run_setting": DEFAULT_RUN_SETTING,
        "run_settings": samples("S1", "S2", "BAD"),
        "results_s3_uri": URI,
    }
    return OmicsStartRunBatchOperator(**{**defaults, **arguments})


def bad(**rule: Any) -> dict[str, Any]:
    return {"runs": [{"match": {"run_setting_id": "BAD"}, **rule}]}


def statuses(uri: str = URI) -> dict[str, str]:
    return {record.run_setting_id: record.status.value for record in read_batch_results(uri)}


def record(name: str) -> RunRecord:
    (found,) = [record for record in read_batch_results(URI) if record.run_setting_id == name]
    return found


@deferrable
@pytest.mark.parametrize("max_failed_runs", [0, 1])
def test_results_before_the_verdict(emulator: OmicsEmulator, *, deferrable: bool, max_failed_runs: int) -> None:
    """Whatever the verdict, each sample has its result, and the task's result says where."""
    emulator.set_scenario(bad(**FAILS))

    ended = perform(start_batch(deferrable=deferrable, max_failed_runs=max_failed_runs))

    assert (ended.error is None) == bool(max_failed_runs)
    assert ended.error is None or isinstance(ended.error, BatchVerdictError)
    result = ended.result or ended.xcoms["return_value"]
    assert result["results_uri"] == URI
    assert result["succeeded"] is bool(max_failed_runs)
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "BAD": "FAILED"}


@pytest.mark.parametrize("tagged", [True, False])
@deferrable
def test_what_the_task_knows(
    emulator: OmicsEmulator, meanwhile: Meanwhile, tmp_path: Path, *, deferrable: bool, tagged: bool
) -> None:
    """A record names the task, and has the fingerprint and the kept columns of its sample as it was submitted."""
    (tmp_path / "sheet.csv").write_text("sample,patient\nS1,P1\nS2,P2\n")
    sheet = {
        "path": str(tmp_path / "sheet.csv"),
        "parameters": {"sample": "{sample}"},
        "keep_columns": ["patient"],
    }
    default = {**DEFAULT_RUN_SETTING, "parameters": {"genome": "GRCh38"}, "priority": 3}

    task = start_batch(
        default_run_setting=default,
        run_settings=None,
        sample_sheet=sheet,
        deferrable=deferrable,
        tag_with_airflow_context=tagged,
    )
    meanwhile("INPROGRESS", lambda _: (tmp_path / "sheet.csv").write_text("sample,patient\nS9,P9\n"))
    assert perform(task).error is None

    found = record("S2")
    assert found.row == {"patient": "P2"}
    assert found.fingerprint == sample_fingerprint(
        {"workflowId": DEFAULT_RUN_SETTING["workflowId"], "parameters": {"genome": "GRCh38", "sample": "S2"}}
    )
    assert (found.dag_id, found.dag_run_id, found.try_number) == ("a_dag", "manual__2026-01-01T00:00:00+00:00", 1)


def test_place_of_the_connection(emulator: OmicsEmulator, connect: Connect) -> None:
    """A connection's place is enough to have results."""
    connect({"results_s3_uri": f"s3://{BUCKET}/team/"})

    result = perform(start_batch(results_s3_uri=None)).result

    assert result["results_uri"] == f"s3://{BUCKET}/team/a_dag/manual__2026-01-01T00:00:00+00:00/wgs.jsonl.gz"
    assert len(statuses(result["results_uri"])) == 3


def test_no_place_no_results(emulator: OmicsEmulator) -> None:
    """Without a place nothing is read or written, and the result says so."""
    result = perform(start_batch(results_s3_uri=None)).result

    assert result["results_uri"] is None
    assert emulator.calls.by_operation().keys() == {"StartRunBatch", "GetBatch"}


def test_listed_results(emulator: OmicsEmulator) -> None:
    """results_detail and read_outputs reach the collection."""
    emulator.set_scenario(bad(**FAILS))

    perform(start_batch(results_detail="{{ 'listed' }}", max_failed_runs=3))
    listed = record("S1")
    perform(start_batch(read_outputs=True, max_failed_runs=3))
    full = record("S1")

    assert (listed.status.value, listed.output_uri, listed.outputs) == ("COMPLETED", None, None)
    assert full.outputs
    assert str(full.output_uri) in str(full.outputs)


def test_cause(emulator: OmicsEmulator) -> None:
    """A record says why its sample did not complete, with the task that failed; one that completed says nothing."""
    task = {"name": "ALIGN", "outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}
    emulator.set_scenario(bad(outcome="FAILED", failure_reason="RUN_TASK_FAILED", tasks=[task]))

    perform(start_batch(max_failed_runs=1))

    assert (record("BAD").cause, record("BAD").failure_reason) == ("OUT_OF_MEMORY_ERROR in ALIGN", "RUN_TASK_FAILED")
    assert record("S1").cause is None


def test_sample_that_was_not_submitted(emulator: OmicsEmulator) -> None:
    """A failed submission is a result as well, with AWS's reason."""
    emulator.set_scenario(bad(submission_failure={"reason": "AccessDeniedException", "message": "No."}))

    perform(start_batch(max_failed_runs=1))

    assert (record("BAD").status.value, record("BAD").failure_reason) == ("NOT_SUBMITTED", "AccessDeniedException")


@pytest.mark.parametrize(
    ("scenario", "cancel", "expected", "ends"),
    [
        pytest.param(
            {"batches": [{"failure": {"reason": "Internal", "after_runs": 2}}], "runs": [{"running": 5}]},
            False,
            BatchFailed,
            {"NOT_SUBMITTED"},
            id="failed",
        ),
        pytest.param({"runs": [{"running": 90_000}]}, True, BatchCancelled, {"CANCELLED"}, id="cancelled"),
    ],
)
def test_batch_that_does_not_end_well(
    emulator: OmicsEmulator,
    meanwhile: Meanwhile,
    *,
    scenario: dict[str, Any],
    cancel: bool,
    expected: type[Exception],
    ends: set[str],
) -> None:
    """What is known of the samples of a failed or cancelled batch is written, and its own error is raised."""
    emulator.set_scenario(scenario)
    if cancel:
        meanwhile("INPROGRESS", lambda id_: emulator.service.call("CancelRunBatch", {"batchId": id_}))

    ended = perform(start_batch())

    assert isinstance(ended.error, expected)
    assert ended.xcoms["return_value"]["results_uri"] == URI
    assert set(statuses().values()) >= ends
    assert "COMPLETED" not in statuses().values()


def test_place_that_cannot_be_written(emulator: OmicsEmulator) -> None:
    """A place without leave to write is found out before anything is started."""
    ended = perform(start_batch(results_s3_uri="s3://no-such-bucket/wgs.jsonl"))

    assert isinstance(ended.error, NotFound)
    assert "PutObject was refused: NoSuchBucket" in str(ended.error)
    assert emulator.service.started_batches() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"results_s3_uri": "s3://bucket/wgs"}, "results_s3_uri = 's3://bucket/wgs': s3://bucket/key.jsonl"),
        ({"results_detail": "some"}, "results_detail = 'some': 'full' or 'listed'"),
        ({"results_detail": "listed", "read_outputs": True}, "read_outputs = True: with results_detail='full'"),
    ],
)
def test_bad_arguments(emulator: OmicsEmulator, arguments: dict[str, Any], message: str) -> None:
    """Bad arguments are told before anything is started."""
    error = perform(start_batch(**arguments)).error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowFailException)
    assert message in str(error)
    assert emulator.calls.by_operation() == {}


def test_lost_task_is_collected_later(emulator: OmicsEmulator) -> None:
    """What a task that does not wait, or was lost, has started is collected by another, with all that it knew."""
    begun = perform(start_batch(wait_for_completion=False)).result
    emulator.advance(100_000)

    collect = OmicsCollectBatchResultsOperator(
        task_id="collect", batch_id=begun["batch_id"], results_s3_uri=begun["results_uri"]
    )
    result = perform(collect).result

    assert result["completed_runs"] == 3
    assert record("S1").fingerprint is not None
    assert record("S1").dag_id == "a_dag"


@pytest.mark.parametrize("dead", [False, True], ids=["refused", "dead"])
@pytest.mark.parametrize("store", ["task state", "S3"])
def test_collection_that_fails_is_taken_up(
    emulator: OmicsEmulator, new_task: NewTask, meanwhile: Meanwhile, *, dead: bool, store: str
) -> None:
    """A try that cannot read the results, or dies over it, is no failed batch: the next one collects them."""
    task = new_task("batch", store=store)
    if dead:
        meanwhile("PROCESSED", lambda _: crash())
    else:
        emulator.faults.add(operation="GetRun", error="InternalServerException")

    first = task.try_(results_s3_uri=URI)
    emulator.faults.clear()
    second = task.try_()

    assert isinstance(first.error, Crash if dead else Unavailable)
    assert not isinstance(first.error, AirflowFailException)
    assert second.error is None
    assert len(task.started()) == 1
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}
