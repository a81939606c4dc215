"""Only what failed runs again: tries of one task on the emulator, retried and cleared, with sheets that change."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import AttemptError, BatchFailed, BatchVerdictError, SettingsError
from airflow_provider_omics.results import RunRecord, read_batch_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples
from tests.operators.tries import STAGING, Crash, CrashAt, NewTask, Task, at_sleep, crash, stores, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")

URI = f"s3://{BUCKET}/results/wgs.jsonl.gz"
TRANSIENT, SIZING, PERMANENT, UNCLEAR = (
    "SERVICE_ERROR",
    "OUT_OF_MEMORY_ERROR",
    "INPUT_URI_NOT_FOUND",
    "WORKFLOW_RUN_FAILED",
)
places = pytest.mark.parametrize("uri", [URI, None], ids=["results", "no place"])


def fails(reason: str, *names: str) -> list[dict[str, Any]]:
    """Script runs of these names to fail."""
    rule = {"outcome": "FAILED", "failure_reason": reason}
    return [{"match": {"run_setting_id": name}, **rule} for name in names]


def script(task: Task, *rules: list[dict[str, Any]], **more: Any) -> None:
    task.emulator.set_scenario({"runs": [rule for some in rules for rule in some], **more})


def submitted(task: Task) -> list[list[str]]:
    """Tell the samples of each batch that was started."""
    runs = task.emulator.service.started_runs()
    return [sorted(run["runSettingId"] for run in runs if run["batchId"] == batch["id"]) for batch in task.started()]


def records(uri: str = URI) -> dict[str, RunRecord]:
    found = list(read_batch_results(uri))
    assert len({record.run_setting_id for record in found}) == len(found)
    return {record.run_setting_id: record for record in found}


def statuses(uri: str = URI) -> dict[str, str]:
    return {name: record.status.value for name, record in records(uri).items()}


def changed(*names: str) -> list[dict[str, Any]]:
    """Give the samples S1 to S3, of which some have another parameter."""
    return [
        {**item, "parameters": {**item["parameters"], "fixed": True}} if item["runSettingId"] in names else item
        for item in samples("S1", "S2", "S3")
    ]


# -- a retry of Airflow's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["task state", "S3"])
@places
@waits
def test_retry(
    new_task: NewTask, log_lines: Callable[..., list[str]], store: str, uri: str | None, *, deferrable: bool
) -> None:
    """What may pass is submitted again and nothing else; the result tells of all samples, and so do the results."""
    task = new_task("batch", store=store, deferrable=deferrable)
    script(task, fails(TRANSIENT, "S2"), fails(PERMANENT, "S3"))
    settings = samples("S1", "S2", "S3")

    first = task.try_(run_settings=settings, results_s3_uri=uri, max_failed_runs=1)
    script(task, fails(PERMANENT, "S3"))
    second = task.try_()

    assert isinstance(first.error, BatchVerdictError)
    assert not isinstance(first.error, AirflowFailException)
    assert submitted(task) == [["S1", "S2", "S3"], ["S2"]]
    expected = {"total_runs": 3, "completed_runs": 2, "failed_runs": 1, "attempts": 2, "carried_forward": 2}
    assert expected.items() <= second.result.items()
    assert second.result["failed_run_setting_ids"] == ["S3"]
    assert second.result["batch_id"] == task.started()[1]["id"]
    assert "submit 1: 1 failed; keep 1; leave 1 that did not complete" in log_lines()
    if uri:
        assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "S3": "FAILED"}
        assert {name: record.attempt for name, record in records().items()} == {"S1": 1, "S2": 2, "S3": 1}


@places
@pytest.mark.parametrize(
    ("classes", "arguments", "again"),
    [
        pytest.param({"S1": TRANSIENT, "S2": UNCLEAR}, {}, ["S1", "S2"], id="may pass, unclear"),
        pytest.param({"S1": PERMANENT, "S2": UNCLEAR}, {}, ["S2"], id="comes back, unclear"),
        pytest.param({"S1": PERMANENT, "S2": SIZING}, {}, None, id="all come back"),
        pytest.param(
            {"S1": PERMANENT, "S2": SIZING}, {"rerun_setting": {"storageType": "DYNAMIC"}}, ["S2"], id="more memory"
        ),
        pytest.param(
            {"S1": PERMANENT, "S2": SIZING}, {"retry_permanent_failures": True}, ["S1", "S2"], id="whatever it is"
        ),
    ],
)
def test_retry_of_each_class(
    new_task: NewTask, classes: dict[str, str], arguments: dict[str, Any], again: list[str] | None, uri: str | None
) -> None:
    """Whether Airflow spends a retry, and on which samples."""
    task = new_task("batch")
    script(task, *(fails(reason, name) for name, reason in classes.items()))

    first = task.try_(run_settings=samples("S1", "S2", "S3"), results_s3_uri=uri, **arguments)

    assert isinstance(first.error, AirflowFailException) is (again is None)
    if again is not None:
        task.try_()
        assert submitted(task)[1] == again


def test_unclear_failure_is_tried_once_more(new_task: NewTask) -> None:
    """The second time in a row ends the task, whatever its retries."""
    task = new_task("batch", retries=5)
    script(task, fails(UNCLEAR, "S1", "S2"))

    errors = [task.try_(results_s3_uri=URI).error for _ in range(2)]

    assert [isinstance(error, AirflowFailException) for error in errors] == [False, True]


def test_more_from_the_second_attempt_on(new_task: NewTask, log_lines: Callable[..., list[str]]) -> None:
    """rerun_setting is merged into the defaults of a rerun, which changes no sample; without a cache it warns once."""
    task = new_task("batch")
    script(task, fails(SIZING, "S2"))
    more = {"storageType": "DYNAMIC", "parameters": {"memory": "64 GB"}}

    task.try_(rerun_setting=more, results_s3_uri=URI)
    script(task)
    second = task.try_()
    task.clear()
    third = task.try_()

    first_batch, second_batch = (
        task.emulator.client().get_batch(batchId=batch["id"])["defaultRunSetting"] for batch in task.started()
    )
    assert second.error is third.error is None
    assert submitted(task) == [["S1", "S2"], ["S2"]]
    assert "storageType" not in first_batch
    assert (second_batch["storageType"], second_batch["parameters"]) == ("DYNAMIC", {"memory": "64 GB"})
    warnings = [line for line in log_lines(logging.WARNING) if "cacheId" in line]
    assert warnings == ["cacheId is not set: what these samples have computed before is computed anew"]


# -- a clear -----------------------------------------------------------------------------------------------------------


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


# -- tolerance ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tolerance", "succeeds"),
    [
        ({"max_failed_runs": 0}, False),
        ({"max_failed_runs": 1}, True),
        ({"max_failed_percent": 25}, True),
        ({"max_failed_percent": 24}, False),
        ({"max_failed_runs": 1, "must_succeed": ["BAD"]}, False),
        ({"max_failed_runs": 1, "must_succeed": ["S*"]}, True),
    ],
)
def test_tolerance_is_for_all_samples(new_task: NewTask, tolerance: dict[str, Any], succeeds: bool) -> None:
    """What an earlier attempt has left counts, among all samples of the sheet."""
    task = new_task("batch")
    script(task, fails(PERMANENT, "BAD"), fails(TRANSIENT, "S3"))
    task.try_(run_settings=samples("S1", "S2", "S3", "BAD"), results_s3_uri=URI)
    script(task, fails(PERMANENT, "BAD"))

    ended = task.try_(**tolerance)

    assert (ended.error is None) is succeeds
    assert succeeds or isinstance(ended.error, BatchVerdictError)
    assert submitted(task)[1] == ["S3"]


# -- across DAG runs ---------------------------------------------------------------------------------------------------


@waits
def test_previous_results(
    emulator: OmicsEmulator, new_task: NewTask, log_lines: Callable[..., list[str]], *, deferrable: bool
) -> None:
    """What completed in another DAG run is not submitted; the new results file is complete all the same."""
    task = new_task("batch", deferrable=deferrable)
    earlier = f"s3://{BUCKET}/results/earlier.jsonl.gz"
    script(task, fails(PERMANENT, "S2"))
    task.try_(results_s3_uri=earlier, run_settings=samples("S1", "S2", "GONE"), max_failed_runs=3)
    other = new_task("batch", deferrable=deferrable)
    other.instance.run_id = "manual__2026-02-02T00:00:00+00:00"
    script(task)

    ended = other.try_(results_s3_uri=URI, run_settings=samples("S1", "S2", "S3"), previous_results=earlier)

    assert ended.error is None
    assert submitted(task)[1] == ["S2", "S3"]
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "S3": "COMPLETED"}
    assert ended.result["carried_forward"] == 1
    assert "submit 2: 1 failed, 1 new; keep 1" in log_lines()


def test_previous_results_in_the_same_file(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """A file to which several DAG runs add keeps what others have put there."""
    task = new_task("batch")
    script(task, fails(PERMANENT, "S2"))
    task.try_(results_s3_uri=URI, run_settings=samples("S1", "S2", "OTHER"), max_failed_runs=3)
    other = new_task("batch")
    other.instance.run_id = "manual__2026-02-02T00:00:00+00:00"
    script(task)

    ended = other.try_(results_s3_uri=URI, run_settings=samples("S1", "S2"), previous_results=URI)

    assert ended.error is None
    assert submitted(task)[1] == ["S2"]
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "OTHER": "COMPLETED"}


def test_rerun_failed_of(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """Of a batch that somebody else started only what did not complete runs, with today's settings."""
    emulator.set_scenario({"runs": fails(PERMANENT, "S2")})
    started = emulator.client().start_run_batch(
        requestId="by hand",
        defaultRunSetting=DEFAULT_RUN_SETTING,
        batchRunSettings={"inlineSettings": [{"runSettingId": name} for name in ("S1", "S2")]},
    )
    emulator.advance(100_000)
    emulator.set_scenario({})
    task = new_task("batch")

    ended = task.try_(rerun_failed_of=started["id"])

    assert ended.error is None
    assert submitted(task)[1] == ["S2"]
    assert (ended.result["completed_runs"], ended.result["carried_forward"]) == (2, 1)


def test_rerun_of_what_is_still_going(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """A batch that may yet complete its samples is refused, before anything is started."""
    task = new_task("batch")
    script(task, [{"running": 90_000}])
    task.try_(wait_for_completion=False)
    other = new_task("batch")
    other.instance.run_id = "another"

    ended = other.try_(rerun_failed_of=task.started()[0]["id"])

    assert isinstance(ended.error, SettingsError)
    assert "a batch that has ended; it is " in str(ended.error)
    assert len(task.started()) == 1


# -- large batches -----------------------------------------------------------------------------------------------------

MANY = [f"S{number:03d}" for number in range(150)]


def test_settings_of_a_crashed_attempt_are_deleted_by_the_next(new_task: NewTask, stepped: SteppedTime) -> None:
    """Nobody was there when the batch of a dead worker ended: the attempt that replaces it deletes what was staged."""
    task = new_task("batch")
    script(task, fails(TRANSIENT, *MANY[:2]))
    at_sleep(stepped, crash, number=2)
    assert isinstance(task.try_(run_settings=samples(*MANY), staging_s3_uri=STAGING, results_s3_uri=URI).error, Crash)
    task.emulator.advance(7200)
    script(task)

    ended = task.try_()

    assert ended.error is None
    listed = task.emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="staging/run-settings/")
    assert listed["KeyCount"] == 0


def test_earlier_results_count_for_rows_that_come_later(new_task: NewTask) -> None:
    """previous_results is read for each attempt: a row that a clear brings in is not run again if it is done there."""
    earlier = new_task("batch")
    earlier.try_(run_settings=samples("S1", "S3"), results_s3_uri=f"s3://{BUCKET}/results/earlier.jsonl.gz")
    task = new_task("batch")
    task.instance.task_id = "later"
    script(task, fails(PERMANENT, "S4"))
    arguments = {"previous_results": f"s3://{BUCKET}/results/earlier.jsonl.gz", "results_s3_uri": URI}
    task.try_(run_settings=samples("S1", "S4"), **arguments)
    script(task)
    task.clear()

    task.try_(run_settings=samples("S1", "S3", "S4"))

    assert submitted(task)[1:] == [["S4"], ["S4"]]


@pytest.mark.parametrize("bad", [MANY[:3], MANY[:120]], ids=["inline", "staged"])
@places
def test_large_batch(new_task: NewTask, uri: str | None, bad: list[str]) -> None:
    """More than 100 samples are chosen from as well; few of them go into the request, many through S3."""
    task = new_task("batch", store="S3")
    script(task, fails(TRANSIENT, *bad), limits={"submissions_per_second": 100})

    task.try_(run_settings=samples(*MANY), staging_s3_uri=STAGING, results_s3_uri=uri)
    script(task, limits={"submissions_per_second": 100})
    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[1] == bad
    assert ended.result["completed_runs"] == 150


@pytest.mark.parametrize("staged", [True, False])
def test_settings_in_an_object_of_the_users(new_task: NewTask, emulator: OmicsEmulator, *, staged: bool) -> None:
    """run_settings_s3_uri is read for a rerun; more than 100 of its runs need a staging place."""
    body = json.dumps(samples(*MANY))
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=body)
    task = new_task("batch")
    script(task, fails(TRANSIENT, "S003"), limits={"submissions_per_second": 100})
    where = {"run_settings": None, "run_settings_s3_uri": f"s3://{BUCKET}/settings.json"}

    task.try_(**where, staging_s3_uri=STAGING if staged else None)
    script(task)
    ended = task.try_()

    assert submitted(task)[1:] == ([["S003"]] if staged else [])
    assert isinstance(ended.error, SettingsError) is not staged


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


# -- something goes wrong ----------------------------------------------------------------------------------------------


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
    assert "results_s3_uri or staging_s3_uri" in str(ended.error)
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
