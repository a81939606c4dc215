"""What a cleared task submits of a batch, with sheets that change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import BatchVerdictError, SettingsError
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, samples
from tests.operators.reruns import (
    PERMANENT,
    URI,
    changed,
    fails,
    places,
    put_settings,
    records,
    script,
    statuses,
    submitted,
)
from tests.operators.tries import CrashAt, NewTask, stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")


@places
@stores
def test_clear(new_task: NewTask, uri: str | None, store: str) -> None:
    """All that failed or was not submitted runs again, with today's settings: fix the input, clear the task."""
    task = new_task("batch", store=store, retries=0)
    denied = {"reason": "AccessDeniedException", "message": "No."}
    refused = [{"match": {"run_setting_id": "S3"}, "submission_failure": denied}]
    script(task, fails(PERMANENT, "S2"), refused)

    task.try_(run_settings=samples("S1", "S2", "S3"), results_s3_uri=uri)
    task.clear()
    script(task)
    second = task.try_(run_settings=changed("S2"))

    assert second.error is None
    assert submitted(task) == [["S1", "S2"], ["S2", "S3"]]
    again = task.emulator.client().get_run(id=task.emulator.service.started_runs()[-2]["id"])
    assert again["parameters"] == {"sample": "S2", "fixed": True}
    assert (second.result["completed_runs"], second.result["attempts"]) == (3, 2)


@places
@pytest.mark.parametrize(
    ("on_changed", "again"), [("fail", None), ("rerun", ["S1", "S2"]), ("keep", ["S2"])], ids=["fail", "rerun", "keep"]
)
def test_completed_sample_whose_settings_changed(
    new_task: NewTask, uri: str | None, on_changed: str, again: list[str] | None
) -> None:
    """By default nothing is started, and it is named; or it runs again, or its result stays."""
    task = new_task("batch", retries=0)
    script(task, fails(PERMANENT, "S2"))

    task.try_(run_settings=samples("S1", "S2", "S3"), results_s3_uri=uri)
    task.clear()
    script(task)
    ended = task.try_(run_settings=changed("S1"), on_changed=on_changed)

    assert submitted(task)[1:] == ([again] if again else [])
    if again is None:
        assert isinstance(ended.error, SettingsError)
        assert "1 completed samples have other settings now (S1)" in str(ended.error)
        assert isinstance(task.try_().error, SettingsError)


def test_other_storage_is_no_change(new_task: NewTask) -> None:
    """What does not change what a run computes, such as priority and role, makes no sample run again."""
    task = new_task("batch", retries=0)
    script(task, fails(PERMANENT, "S2"))

    task.try_(results_s3_uri=URI)
    task.clear()
    script(task)
    task.try_(default_run_setting={**DEFAULT_RUN_SETTING, "priority": 7})

    assert submitted(task) == [["S1", "S2"], ["S2"]]


@places
def test_rows_that_come_and_go(new_task: NewTask, uri: str | None) -> None:
    """A new row runs, a row that is gone counts no more, and one that comes back is known."""
    task = new_task("batch", retries=0)
    script(task, fails(PERMANENT, "S2"))

    task.try_(run_settings=samples("S1", "S2", "S3"), results_s3_uri=uri)
    task.clear()
    second = task.try_(run_settings=samples("S1", "S4"))
    removed = statuses() if uri else {}
    task.clear()
    third = task.try_(run_settings=samples("S1", "S3", "S4"))

    assert submitted(task) == [["S1", "S2", "S3"], ["S4"]]
    assert (second.result["total_runs"], second.result["completed_runs"]) == (2, 2)
    assert (third.result["total_runs"], third.result["completed_runs"]) == (3, 3)
    if uri:
        assert removed == {"S1": "COMPLETED", "S2": "REMOVED", "S3": "REMOVED", "S4": "COMPLETED"}
        assert statuses() == {"S1": "COMPLETED", "S2": "REMOVED", "S3": "COMPLETED", "S4": "COMPLETED"}


def test_nothing_left(new_task: NewTask, log_lines: Callable[..., list[str]]) -> None:
    """All completed: the stored result, and how to force a rerun; which then starts over."""
    task = new_task("batch")

    first = task.try_(results_s3_uri=URI).result
    task.clear()
    second = task.try_().result

    assert second == {**first, "carried_forward": 2}
    assert len(task.started()) == 1
    assert "Nothing is left to submit: nothing is started; rerun='all' forces it" in log_lines()
    task.clear()
    task.try_(rerun="all")
    assert submitted(task) == [["S1", "S2"]] * 2
    assert {record.attempt for record in records().values()} == {2}


def test_unknown_end_is_not_run_again(new_task: NewTask, stepped: SteppedTime) -> None:
    """A sample whose run nobody can tell of may have completed: it is named, counts as failed, and is left alone."""
    task = new_task("batch", retries=0)
    script(task, fails(PERMANENT, "S2"))
    task.try_(results_s3_uri=URI, wait_for_completion=False)
    task.emulator.advance(100_000)
    (batch,) = task.started()
    task.emulator.service.call("DeleteRunBatch", {"batchId": batch["id"]})
    task.emulator.advance(1000)
    task.emulator.service.call("DeleteBatch", {"batchId": batch["id"]})
    task.clear()

    ended = task.try_(wait_for_completion=True)

    assert isinstance(ended.error, BatchVerdictError)
    assert isinstance(ended.error, AirflowFailException)
    assert ended.error.counts["unknown_runs"] == 2
    assert len(task.started()) == 1
    assert statuses() == {"S1": "UNKNOWN", "S2": "UNKNOWN"}


def test_clear_while_it_runs(new_task: NewTask, stepped: SteppedTime) -> None:
    """The old batch is cancelled and waited for: what completed meanwhile is kept."""
    task = new_task("batch")
    script(task, [{"match": {"run_setting_id": "S1"}, "running": 60}], [{"running": 90_000, "cancel_takes": 600.0}])
    task.try_(wait_for_completion=False, results_s3_uri=URI)
    task.emulator.advance(1000)
    task.clear()
    script(task)

    ended = task.try_(wait_for_completion=True)

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S2"]]
    assert ended.result["completed_runs"] == 2


@pytest.mark.parametrize("listed", ["settings", "object"])
def test_rerun_of_everything_without_some_rows(new_task: NewTask, emulator: OmicsEmulator, listed: str) -> None:
    """What has left the sheet is REMOVED and counts no more; it is known if it comes back."""
    task = new_task("batch", retries=0)

    def given(*names: str) -> dict[str, Any]:
        return {"run_settings": samples(*names)} if listed == "settings" else put_settings(emulator, *names)

    script(task, fails(PERMANENT, "S2"))
    task.try_(**given("S1", "S2", "S3"), results_s3_uri=URI)
    task.clear()
    second = task.try_(**given("S1", "S4"), rerun="all")
    removed = {name: (record.status.value, record.end.value) for name, record in records().items()}
    task.clear()
    script(task)
    third = task.try_(**given("S1", "S2", "S3", "S4"), rerun="failed")

    assert submitted(task) == [["S1", "S2", "S3"], ["S1", "S4"], ["S2"]]
    assert removed == {
        "S1": ("COMPLETED", "COMPLETED"),
        "S2": ("REMOVED", "FAILED"),
        "S3": ("REMOVED", "COMPLETED"),
        "S4": ("COMPLETED", "COMPLETED"),
    }
    assert (second.result["total_runs"], third.result["total_runs"], third.result["completed_runs"]) == (2, 4, 4)
    assert statuses() == dict.fromkeys(("S1", "S2", "S3", "S4"), "COMPLETED")


@pytest.mark.parametrize("uri", [URI, None], ids=["results", "no place"])
@pytest.mark.parametrize("write", [1, 2])
def test_crash_of_a_rerun_of_everything(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, write: int, uri: str | None
) -> None:
    """Wherever the process dies, the rows that left are known when they come back."""
    task = new_task("batch", retries=5)
    task.try_(run_settings=samples("S1", "S2"), results_s3_uri=uri)
    task.clear()
    with monkeypatch.context() as patch:
        CrashAt(patch, write, "after")
        task.try_(run_settings=samples("S1"), rerun="all")
    task.try_()
    task.clear()
    ended = task.try_(run_settings=samples("S1", "S2"), rerun="failed")

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S1"]]
    assert not uri or statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}


@pytest.mark.parametrize("rerun", ["failed", "all"])
@pytest.mark.parametrize("where", ["nowhere", "default_run_setting", "rerun_setting"])
def test_rerun_without_a_cache(
    new_task: NewTask, log_lines: Callable[..., list[str]], *, rerun: str, where: str
) -> None:
    """A rerun for which nobody has set cacheId warns once that all is computed anew; a first try does not."""
    task = new_task("batch", retries=0)
    cache = task.emulator.client().create_run_cache(cacheS3Location=f"s3://{BUCKET}/cache", requestId="cache")["id"]
    script(task, fails(PERMANENT, "S2"))
    more = {"cacheId": cache}
    arguments: dict[str, Any] = {"rerun_setting": more} if where == "rerun_setting" else {}
    if where == "default_run_setting":
        arguments = {"default_run_setting": {**DEFAULT_RUN_SETTING, **more}}
    task.try_(results_s3_uri=URI, **arguments)
    before = [line for line in log_lines() if "cacheId" in line]
    task.clear()

    task.try_(rerun=rerun)

    after = [line for line in log_lines() if "cacheId" in line]
    assert (len(before), len(after)) == (0, where == "nowhere")


def test_clear_after_which_some_runs_go_on(new_task: NewTask, stepped: SteppedTime) -> None:
    """A run that the cancel of its batch has missed is cancelled by itself, and has its end before it runs again."""
    task = new_task("batch")
    script(task, [{"running": 90_000}], batches=[{"cancel_failures": 1}])
    task.try_(wait_for_completion=False, results_s3_uri=URI)
    task.emulator.advance(1000)
    task.clear()
    script(task)

    ended = task.try_(wait_for_completion=True)

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S1", "S2"]]
    first = [run["status"] for run in task.emulator.service.started_runs()[:2]]
    assert first == ["CANCELLED", "CANCELLED"]
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}
