"""Where results are collected, they are what the verdict rests on, and never told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import BatchCancelled, BatchVerdictError
from airflow_provider_omics.core.snapshots import LOG_GROUP
from tests.airflow_support import samples
from tests.operators.reruns import PERMANENT, TRANSIENT, URI, fails, script, statuses, submitted
from tests.operators.tries import Crash, NewTask, crash, waits

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Meanwhile

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")


def remove_runs(emulator: OmicsEmulator, *names: str) -> None:
    """Let retention take the runs of these samples; their manifests stay."""
    for run in emulator.service.started_runs():
        if run["runSettingId"] in names:
            emulator.service.remove_run(run["id"])


def delete_manifests(emulator: OmicsEmulator, *names: str) -> None:
    logs = emulator.client("logs")
    for run in emulator.service.started_runs():
        if run["runSettingId"] in names:
            prefix = f"manifest/run/{run['id']}/"
            for stream in logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=prefix)["logStreams"]:
                logs.delete_log_stream(logGroupName=LOG_GROUP, logStreamName=stream["logStreamName"])


def agree(told: dict[str, Any]) -> bool:
    """Tell whether a result counts what the results file holds."""
    found = list(statuses().values())
    return told["total_runs"] == len(found) and (
        [told[f"{status}_runs"] for status in ("completed", "failed", "cancelled", "unknown")]
        == [found.count(status.upper()) for status in ("completed", "failed", "cancelled", "unknown")]
    )


@waits
@pytest.mark.parametrize("detail", ["full", "listed"])
def test_runs_that_retention_has_taken(
    new_task: NewTask, emulator: OmicsEmulator, meanwhile: Meanwhile, *, detail: str, deferrable: bool
) -> None:
    """Runs that are gone by the end are judged by their manifests: what completed has completed, the rest has not."""
    task = new_task("batch", deferrable=deferrable)
    script(task, fails(PERMANENT, "S2"))
    meanwhile("PROCESSED", lambda _: remove_runs(emulator, "S1", "S2"))

    ended = task.try_(
        run_settings=samples("S1", "S2", "S3"), results_s3_uri=URI, results_detail=detail, max_failed_runs=1
    )

    assert ended.error is None
    assert statuses() == {"S1": "COMPLETED", "S2": "FAILED", "S3": "COMPLETED"}
    assert agree(ended.result)
    assert ended.result["failed_run_setting_ids"] == ["S2"]


def test_must_succeed_by_the_manifest(new_task: NewTask, emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """A sample that must succeed has, if its manifest says so, and has not, if nothing does."""
    task = new_task("batch", retries=0)

    def remove(_: str) -> None:
        remove_runs(emulator, "S1", "S2")
        delete_manifests(emulator, "S2")

    meanwhile("PROCESSED", remove)

    ended = task.try_(results_s3_uri=URI, max_failed_runs=2, must_succeed=["S1"])
    task.clear()
    again = task.try_(must_succeed=["S2"])

    assert ended.error is None
    assert agree(ended.result)
    assert ended.result["unknown_runs"] == 1
    assert isinstance(again.error, BatchVerdictError)
    assert len(task.started()) == 1


def test_unknown_end_that_somebody_finds_out(new_task: NewTask, emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """A sample of unknown end counts as completed once its record tells so; until then it is not run again."""
    task = new_task("batch", retries=0)

    def hide(_: str) -> None:
        emulator.faults.add(operation="GetRun", error="ResourceNotFoundException")
        delete_manifests(emulator, "S1", "S2")

    meanwhile("PROCESSED", hide)
    first = task.try_(results_s3_uri=URI)
    after_first = statuses()
    emulator.faults.clear()
    task.clear()
    second = task.try_()

    assert isinstance(first.error, BatchVerdictError)
    assert set(after_first.values()) == {"UNKNOWN"}
    assert second.error is None
    assert agree(second.result)
    assert len(task.started()) == 1


def test_try_that_takes_up_an_ended_batch(new_task: NewTask, emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """A try after a crash judges by the results as well: nothing that has completed is submitted again."""
    task = new_task("batch")

    def die(_: str) -> None:
        remove_runs(emulator, "S1", "S2")
        crash()

    meanwhile("PROCESSED", die)

    first = task.try_(results_s3_uri=URI)
    second = task.try_()

    assert isinstance(first.error, Crash)
    assert second.error is None
    assert agree(second.result)
    assert submitted(task) == [["S1", "S2"]]


def test_batch_that_was_cancelled(new_task: NewTask, emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """The counts that are pushed are those of the results, also where the batch has no verdict."""
    task = new_task("batch", retries=0)
    script(task, [{"running": 90_000}], limits={"submissions_per_second": 0.02})
    meanwhile("SUBMITTING", lambda id_: emulator.service.call("CancelRunBatch", {"batchId": id_}))

    ended = task.try_(run_settings=samples("S1", "S2", "S3", "S4"), results_s3_uri=URI, poll_interval=30)

    told = task.instance.xcoms["return_value"]
    assert isinstance(ended.error, BatchCancelled)
    assert told["failed_submissions"] == list(statuses().values()).count("NOT_SUBMITTED") > 0
    assert agree(told)


def test_diagnosis_counts_all_samples(new_task: NewTask) -> None:
    """The text that tells the causes counts the samples that earlier attempts have left, too."""
    task = new_task("batch")
    script(task, fails(TRANSIENT, "S2"), fails(PERMANENT, "S3"))
    task.try_(run_settings=samples("S1", "S2", "S3"), results_s3_uri=URI)
    script(task, fails(PERMANENT, "S2"))

    ended = task.try_()

    assert isinstance(ended.error, AirflowFailException)
    assert isinstance(ended.error, BatchVerdictError)
    assert ended.error.diagnosis is not None
    assert ended.error.diagnosis["summary"].startswith("2 of 3 samples failed")
