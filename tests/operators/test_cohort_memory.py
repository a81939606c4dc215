"""Each sample once: whoever else writes the results file, and whatever of the memory is edited, expired or foreign."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import AttemptError, BatchVerdictError, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import read_batch_results
from airflow_provider_omics.results.collect import collect_results
from airflow_provider_omics.results.file import JsonLinesFile
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, TASK_LOG, samples
from tests.operators.reruns import PERMANENT, TRANSIENT, URI, changed, fails, records, script, statuses, submitted
from tests.operators.tries import Crash, NewTask, Task, at_sleep, crash, stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")

OTHER = f"s3://{BUCKET}/results/other.jsonl.gz"
OTHER_WORKFLOW = {**DEFAULT_RUN_SETTING, "workflowId": "7777777"}
WORKFLOWS = {"workflows": [{"id": "1234567", "name": "wgs"}, {"id": "7777777", "name": "another"}]}
THREE = samples("S1", "S2", "S3")


def another(new_task: NewTask, *, run_id: str = "manual__2026-02-02T00:00:00+00:00", task_id: str = "a_task") -> Task:
    """Make the same task of another DAG run, or another task."""
    task = new_task("batch")
    task.instance.run_id, task.instance.task_id = run_id, task_id
    return task


def forget_samples(task: Task, uri: str = URI) -> None:
    """Let a lifecycle rule take what the attempts have kept beside the results."""
    s3 = task.emulator.client("s3")
    prefix = uri.removeprefix(f"s3://{BUCKET}/").removesuffix(".jsonl.gz") + "/"
    for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=item["Key"])


# -- two DAG runs, one results file ------------------------------------------------------------------------------------


@pytest.mark.parametrize("clear", [False, True], ids=["retry", "clear"])
def test_two_dag_runs_and_one_file(new_task: NewTask, clear: bool) -> None:
    """The retry or clear of one submits what failed, whatever another DAG run has written to the file since."""
    task, other = new_task("batch"), another(new_task)
    script(task, fails(TRANSIENT, "S3"))
    assert isinstance(task.try_(run_settings=THREE, results_s3_uri=URI).error, BatchVerdictError)
    other.try_(run_settings=THREE, results_s3_uri=URI)
    script(task)
    if clear:
        task.clear()

    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[2:] == [["S3"]]
    assert ended.result["completed_runs"] == 3
    assert set(statuses().values()) == {"COMPLETED"}


def test_later_failure_of_another_dag_run(new_task: NewTask) -> None:
    """What one DAG run has completed stays completed for it, when another one fails with it later."""
    task, other = new_task("batch"), another(new_task)
    script(task, fails(TRANSIENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    script(task, fails(PERMANENT, "S1"))
    other.try_(run_settings=THREE, results_s3_uri=URI)
    script(task)

    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[2:] == []  # S3 has completed in the other one
    assert set(statuses().values()) == {"COMPLETED"}


def test_other_settings_of_another_dag_run(new_task: NewTask) -> None:
    """A later result of other settings neither counts for this DAG run, nor makes what it has completed run again."""
    task, other = new_task("batch"), another(new_task)
    script(task, fails(TRANSIENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    script(task)
    other.try_(run_settings=changed("S1", "S2", "S3"), results_s3_uri=URI)

    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[2:] == [["S3"]]
    assert (ended.result["completed_runs"], ended.result["total_runs"]) == (3, 3)


def before(patch: pytest.MonkeyPatch, method: str, number: int, act: Callable[[], object]) -> None:
    """Do something once, before the results file is read or written for this time."""
    made, left = getattr(JsonLinesFile, method), [number]

    def called(file: JsonLinesFile, *arguments: Any) -> Any:
        left[0] -= file.uri == URI
        if left[0] == 0:
            left[0] = -1
            patch.setattr(JsonLinesFile, method, made)
            act()
        return made(file, *arguments)

    patch.setattr(JsonLinesFile, method, called)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_other_settings_while_samples_are_chosen(
    new_task: NewTask, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whenever another task replaces a record with one of other settings, what has completed does not run again."""
    task, other = new_task("batch"), another(new_task, task_id="other")
    script(task, fails(TRANSIENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI, on_changed="rerun")
    script(task)
    before(monkeypatch, "read", number, lambda: other.try_(run_settings=changed("S1")[:1], results_s3_uri=URI))

    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[-2:] in ([["S1"], ["S3"]], [["S3"], ["S1"]])  # the other task's, and the retry


def test_other_settings_while_results_are_written(new_task: NewTask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that another task has replaced between the reading and the writing is not lost for the verdict."""
    task, other = new_task("batch"), another(new_task, task_id="other")
    run = {"run_settings": changed("S1")[:1], "results_s3_uri": URI}
    before(monkeypatch, "replace", 1, lambda: other.try_(**run))

    ended = task.try_(run_settings=THREE, results_s3_uri=URI)

    assert len(submitted(task)) == 2
    assert ended.error is None
    assert (ended.result["completed_runs"], ended.result["total_runs"]) == (3, 3)


@pytest.mark.parametrize("clear", [False, True], ids=["retry", "clear"])
def test_repair_by_another_task(new_task: NewTask, clear: bool) -> None:
    """What a repair task has completed in the file is not submitted again; with other settings it does not count."""
    task, repair = new_task("batch"), another(new_task, run_id="repair", task_id="repair")
    script(task, fails(TRANSIENT, "S2", "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    script(task)
    (_, s2, _), (_, _, s3) = samples("S1", "S2", "S3"), changed("S3")
    repair.try_(run_settings=[s2, s3], results_s3_uri=URI)
    if clear:
        task.clear()

    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[2:] == [["S3"]]
    assert {name: record.dag_run_id for name, record in records().items()}["S2"] == "repair"


# -- two workflows, one results file -----------------------------------------------------------------------------------


def test_two_workflows_and_one_file(new_task: NewTask) -> None:
    """A sample of another workflow never counts, though its id is the same: the file has both."""
    task, other = new_task("batch"), another(new_task, task_id="other")
    script(task, fails(PERMANENT, "S1"))
    assert isinstance(task.try_(results_s3_uri=URI).error, BatchVerdictError)
    script(task, **WORKFLOWS)
    other.try_(results_s3_uri=URI, default_run_setting=OTHER_WORKFLOW)

    ended = task.try_()  # a retry, for which the failure comes back

    assert isinstance(ended.error, BatchVerdictError)
    found = {(record.workflow_id, record.run_setting_id): record.status.value for record in read_batch_results(URI)}
    assert found == {
        (DEFAULT_RUN_SETTING["workflowId"], "S1"): "FAILED",
        (DEFAULT_RUN_SETTING["workflowId"], "S2"): "COMPLETED",
        ("7777777", "S1"): "COMPLETED",
        ("7777777", "S2"): "COMPLETED",
    }
    task.clear()
    assert task.try_().error is None
    assert submitted(task)[2:] == [["S1"]]


# -- memory that is gone -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 2])
@stores
def test_samples_that_have_expired(new_task: NewTask, store: str, attempts: int) -> None:
    """What the attempt has kept is gone: the results file knows what completed."""
    task = new_task("batch", store=store)
    script(task, fails(PERMANENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    if attempts == 2:
        task.clear()
        task.try_()
    forget_samples(task)
    script(task)
    task.clear()

    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[attempts:] == [["S3"]]
    assert ended.result["completed_runs"] == 3


def test_results_that_were_moved(new_task: NewTask) -> None:
    """At another place nobody knows what completed with which settings: it is refused, and the old file is a way on."""
    task = new_task("batch")
    script(task, fails(PERMANENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    script(task)
    task.clear()

    refused = task.try_(results_s3_uri=OTHER)
    task.clear()
    ended = task.try_(previous_results=URI)

    assert isinstance(refused.error, SettingsError)
    assert ended.error is None
    assert submitted(task)[1:] == [["S3"]]
    assert statuses(OTHER) == {"S1": "COMPLETED", "S2": "COMPLETED", "S3": "COMPLETED"}


def test_all_memory_that_is_gone(new_task: NewTask) -> None:
    """Neither file nor samples: what earlier attempts have carried is not known, and never counts as not run.

    A refused try has collected the last batch into a new file, which tells nothing of what came before that batch.
    """
    task = new_task("batch")
    script(task, fails(PERMANENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    task.clear()
    task.try_()
    forget_samples(task)
    task.emulator.client("s3").delete_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")
    script(task)
    task.clear()

    for _ in range(2):
        refused = task.try_()

        assert isinstance(refused.error, SettingsError)
        for way in ("their memory is not beside", "previous_results", "rerun='all'"):
            assert way in str(refused.error)
        task.clear()
    assert len(task.started()) == 2
    assert task.try_(rerun="all").error is None
    assert submitted(task)[2:] == [["S1", "S2", "S3"]]


def test_results_file_that_has_expired(new_task: NewTask) -> None:
    """The samples beside it and the service know what it has held."""
    task = new_task("batch")
    script(task, fails(PERMANENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    task.emulator.client("s3").delete_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")
    script(task)
    task.clear()

    assert task.try_().error is None
    assert submitted(task)[1:] == [["S3"]]
    assert set(statuses().values()) == {"COMPLETED"}


def test_samples_that_expire_while_they_wait(new_task: NewTask, stepped: SteppedTime) -> None:
    """A verdict without what the batch has left alone would be a false one: none is given."""
    task = new_task("batch", retries=5)
    script(task, fails(TRANSIENT, "S2"), fails(PERMANENT, "S3"))
    task.try_(run_settings=THREE, results_s3_uri=URI)
    script(task, [{"running": 3000}])
    at_sleep(stepped, lambda: forget_samples(task), number=5)

    ended = task.try_()

    assert isinstance(ended.error, AttemptError)
    assert "which samples it left as they were is not known any more" in str(ended.error)
    script(task)
    task.clear()
    refused = task.try_()
    assert "1 completed samples have results without settings" in str(refused.error)
    assert task.try_(trust_foreign=True).error is None
    assert submitted(task) == [["S1", "S2", "S3"], ["S2"], ["S3"]]


# -- results without fingerprints --------------------------------------------------------------------------------------


def foreign(emulator: OmicsEmulator, workflow_id: str) -> str:
    """Let somebody run a batch by hand, and collect it."""
    emulator.set_scenario(WORKFLOWS)
    started = emulator.client().start_run_batch(
        requestId=workflow_id,
        defaultRunSetting={**DEFAULT_RUN_SETTING, "workflowId": workflow_id},
        batchRunSettings={"inlineSettings": samples("S1", "S2")},
    )
    emulator.advance(100_000)
    collect_results(OmicsHook(), started["id"], OTHER, TASK_LOG)
    return str(started["id"])


@pytest.mark.parametrize("by", ["previous_results", "rerun_failed_of"])
@pytest.mark.parametrize(
    ("workflow_id", "arguments", "again"),
    [
        ("7777777", {}, None),
        ("7777777", {"trust_foreign": True}, None),
        ("7777777", {"on_changed": "rerun"}, ["S1", "S2"]),
        ("1234567", {}, None),
        ("1234567", {"trust_foreign": "True"}, []),
        ("1234567", {"on_changed": "keep"}, []),
    ],
)
def test_foreign_results(
    new_task: NewTask,
    emulator: OmicsEmulator,
    by: str,
    workflow_id: str,
    arguments: dict[str, Any],
    again: list[str] | None,
) -> None:
    """Results that do not tell their settings are not taken for the same; those of another workflow never are."""
    batch_id = foreign(emulator, workflow_id)
    task = new_task("batch")

    ended = task.try_(results_s3_uri=URI, **{by: OTHER if by == "previous_results" else batch_id}, **arguments)

    if again is None:
        assert isinstance(ended.error, SettingsError)
        told = "results of another workflow" if workflow_id == "7777777" else "results without settings"
        assert f"2 completed samples have {told}" in str(ended.error)
    else:
        assert ended.error is None
        assert ended.result["completed_runs"] == 2
    assert submitted(task)[1:] == ([again] if again else [])


# -- a sheet that is edited before a retry -----------------------------------------------------------------------------


def died(task: Task, stepped: SteppedTime, *, running: float, **arguments: Any) -> None:
    """Let the worker die while its batch is going."""
    script(task, [{"running": running}])
    at_sleep(stepped, crash, number=3)
    assert isinstance(task.try_(**arguments).error, Crash)
    script(task)


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
@pytest.mark.parametrize("ended_before", [False, True], ids=["going", "ended"])
@pytest.mark.parametrize("uri", [URI, None], ids=["results", "no place"])
@pytest.mark.parametrize("rerun", ["failed", "all"])
def test_sheet_that_is_edited_before_a_retry(
    new_task: NewTask, stepped: SteppedTime, uri: str | None, rerun: str, *, deferrable: bool, ended_before: bool
) -> None:
    """The batch is adopted; then what is new or corrected runs, in the same try."""
    task = new_task("batch")
    died(task, stepped, running=3000, results_s3_uri=uri, on_changed="rerun", rerun=rerun)
    task.deferrable = deferrable
    if ended_before:
        task.emulator.advance(100_000)

    ended = task.try_(run_settings=changed("S2"))

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S2", "S3"]]
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (3, 3)


def put_object(task: Task, *settings: dict[str, Any]) -> dict[str, Any]:
    """Put run settings into the user's object, always the same one."""
    task.emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=json.dumps(settings))
    return {"run_settings": None, "run_settings_s3_uri": f"s3://{BUCKET}/settings.json"}


@stores
def test_object_that_is_edited_before_a_retry(new_task: NewTask, stepped: SteppedTime, store: str) -> None:
    """The request is the same to the letter, and names another list: what is new or changed runs in the same try."""
    task = new_task("batch", store=store)
    given = put_object(task, *samples("S1", "S2"))
    at_sleep(stepped, crash)
    task.try_(**given, results_s3_uri=URI, on_changed="rerun")
    put_object(task, *changed("S2"))

    ended = task.try_()

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S2", "S3"]]
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (3, 3)


@pytest.mark.parametrize("becomes", ["the same", "written again", "tidied away"])
def test_object_that_is_not_edited_before_a_retry(new_task: NewTask, stepped: SteppedTime, becomes: str) -> None:
    """An object with the same content, or that has been tidied away, changes nothing: the batch's result counts."""
    task = new_task("batch")
    given = put_object(task, *samples("S1", "S2"))
    at_sleep(stepped, crash)
    task.try_(**given, results_s3_uri=URI)
    s3 = task.emulator.client("s3")
    if becomes == "written again":
        put_object(task, *samples("S1", "S2"))
    elif becomes == "tidied away":
        s3.delete_object(Bucket=BUCKET, Key="settings.json")

    ended = task.try_()

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"]]
    assert ended.result["attempts"] == 1


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_completed_sample_that_is_edited_before_a_retry(
    new_task: NewTask, stepped: SteppedTime, *, deferrable: bool
) -> None:
    """By default it is named in an error, and nothing is started: its result is of other settings."""
    task = new_task("batch")
    died(task, stepped, running=3000, results_s3_uri=URI)
    task.deferrable = deferrable

    ended = task.try_(run_settings=changed("S2"))

    assert isinstance(ended.error, SettingsError)
    assert "1 completed samples have other settings now (S2)" in str(ended.error)
    assert len(task.started()) == 1


def test_what_is_no_change_starts_nothing(new_task: NewTask, stepped: SteppedTime) -> None:
    """Another priority makes no further batch, and what was tolerated is not tried again for it."""
    task = new_task("batch")
    script(task, [{**fails(TRANSIENT, "S2")[0], "running": 3000}])
    at_sleep(stepped, crash, number=3)
    task.try_(results_s3_uri=URI, max_failed_runs=1)
    script(task)

    ended = task.try_(default_run_setting={**DEFAULT_RUN_SETTING, "priority": 7})

    assert ended.error is None
    assert (ended.result["completed_runs"], ended.result["failed_runs"]) == (1, 1)
    assert len(task.started()) == 1


def test_corrected_sample_that_failed(new_task: NewTask, stepped: SteppedTime) -> None:
    """What failed for good with its old settings is submitted with the corrected ones, by a plain retry."""
    task = new_task("batch")
    script(task, [{**fails(PERMANENT, "S2")[0], "running": 3000}])
    at_sleep(stepped, crash, number=3)
    task.try_(results_s3_uri=URI)
    script(task)

    ended = task.try_(run_settings=changed("S2"))

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S2", "S3"]]


# -- runs that outlive their batch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 25_000], ids=["created", "running"])
def test_cleared_while_it_goes_on(new_task: NewTask, log_lines: Callable[..., list[str]], seconds: int) -> None:
    """With cancel_on_kill off a clear waits for what is going: nothing is submitted beside it."""
    task = new_task("batch")
    script(task, [{"running": 30_000}])
    task.try_(results_s3_uri=URI, cancel_on_kill=False, wait_for_completion=False)
    task.emulator.advance(seconds)
    task.clear()
    script(task)

    ended = task.try_(run_settings=THREE, wait_for_completion=True, patience=timedelta(hours=12))

    assert ended.error is None
    assert submitted(task) == [["S1", "S2"], ["S3"]]
    assert any(line.startswith("Waiting for the end of 2 runs that outlived batch") for line in log_lines())
