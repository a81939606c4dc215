"""A rerun that goes wrong: crashes, failed batches, bad arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import AttemptError, BatchFailed, SettingsError
from tests.airflow_support import DEFAULT_RUN_SETTING, perform, samples
from tests.operators.reruns import PERMANENT, TRANSIENT, URI, fails, places, script, statuses, submitted
from tests.operators.tries import CrashAt, NewTask, waits

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")


@pytest.mark.parametrize("write", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
@places
def test_crash_of_a_rerun(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, write: int, when: str, uri: str | None
) -> None:
    """Wherever the process dies, the same samples are submitted, once."""
    task = new_task("batch", retries=5)
    script(task, fails(TRANSIENT, "S2"))
    task.try_(results_s3_uri=uri)
    script(task)
    with monkeypatch.context() as patch:
        CrashAt(patch, write, when)
        task.try_()

    ended = task.try_()

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S2"]]
    assert ended.result["completed_runs"] == 2
    assert not uri or statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}


def test_sheet_changes_between_a_lost_start_and_the_next_try(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sheet is never sent under the old request id; what it follows is known all the same."""
    task = new_task("batch", retries=5)
    script(task, fails(TRANSIENT, "S2"))
    task.try_(results_s3_uri=URI)
    script(task)
    with monkeypatch.context() as patch:
        CrashAt(patch, 1, "after")
        task.try_()

    ended = task.try_(run_settings=samples("S1", "S2", "S3"))

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S2", "S3"]]


def test_failed_batch_that_had_started_runs(new_task: NewTask) -> None:
    """What it had started is cancelled and has its record; a retry submits what did not complete."""
    task = new_task("batch")
    script(task, [{"running": 90_000}], batches=[{"failure": {"reason": "Internal", "after_runs": 1}}])

    first = task.try_(results_s3_uri=URI)
    after_first = statuses()
    script(task)
    second = task.try_()

    assert isinstance(first.error, BatchFailed)
    assert after_first == {"S1": "CANCELLED", "S2": "NOT_SUBMITTED"}
    assert second.error is None
    assert submitted(task) == [["S1"], ["S1", "S2"]]
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}


def test_refuses_to_start_over_blindly(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """No record, no results, and not the first try: nothing is started, and the error says what to do."""
    task = new_task("batch", store="none")
    task.instance.try_number = 1

    ended = task.try_()

    assert isinstance(ended.error, AttemptError)
    assert isinstance(ended.error, AirflowFailException)
    told = str(ended.error).splitlines()
    assert told[1].endswith("starting all again would be paid twice.")
    assert told[2].startswith("  action: Look for the batch in the console; ")
    assert told[2].endswith("results_s3_uri or staging_s3_uri.")
    assert task.started() == []


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"rerun": "some"}, "rerun"),
        ({"on_changed": "maybe"}, "on_changed"),
        ({"rerun_setting": "storageType"}, "rerun_setting"),
        ({"rerun_setting": {"storage": "DYNAMIC"}}, "rerun_setting['storage']"),
        ({"rerun_setting": {"cacheBehavior": "CACHE_ALWAYS"}}, "rerun_setting['cacheBehavior']"),
        ({"rerun": "all", "previous_results": URI}, "previous_results"),
        ({"rerun_failed_of": "2000001"}, "rerun_failed_of"),
    ],
)
def test_bad_arguments(emulator: OmicsEmulator, connect: Connect, arguments: dict[str, Any], argument: str) -> None:
    """Each is named, and nothing is sent."""
    from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

    task = OmicsStartRunBatchOperator(
        task_id="wgs", default_run_setting=DEFAULT_RUN_SETTING, run_settings=samples("S1"), **arguments
    )

    error = perform(task).error

    assert isinstance(error, SettingsError)
    assert [problem.argument for problem in error.problems] == [argument]
    assert emulator.calls.by_operation() == {}


@waits
def test_progress_is_kept_with_the_task(new_task: NewTask, *, deferrable: bool) -> None:
    """The numbers of the last line of progress are under one key of Airflow's task state store."""
    task = new_task("batch", deferrable=deferrable)
    script(task, fails(PERMANENT, "S2"))

    task.try_()

    assert task.task_state_store is not None
    assert task.task_state_store.get("omics_progress") == {
        "batch_id": task.started()[0]["id"],
        "status": "PROCESSED",
        "total_runs": 2,
        "successful_submissions": 2,
        "completed_runs": 1,
        "failed_runs": 1,
    }
