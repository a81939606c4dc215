"""A rerun of named samples: those it names, by the rules of a clear, and none of the others, wherever they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import BatchVerdictError, SettingsError
from airflow_provider_omics.jobs.batch.selection import RerunSettings
from tests.airflow_support import DEFAULT_RUN_SETTING, samples
from tests.operators.reruns import PERMANENT, TRANSIENT, URI, fails, put_settings, records, script, statuses, submitted
from tests.operators.tries import CrashAt, NewTask, Task, stores

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")

COHORT: dict[str, Any] = {"run_settings": samples("S1", "S2", "S3"), "results_s3_uri": URI}
NEWER = {**DEFAULT_RUN_SETTING, "workflowVersionName": "v2"}
VERSIONS = {"workflows": [{"id": "1234567", "name": "wgs", "versions": ["v1", "v2"]}]}


@pytest.fixture
def repair(new_task: NewTask) -> Task:
    """A task of another DAG with the cohort's sheet and file."""
    task = new_task("batch")
    task.instance.dag_id, task.instance.task_id, task.instance.run_id = "repair", "samples", "manual"
    task.arguments.update(COHORT)
    return task


@pytest.fixture
def cohort(new_task: NewTask) -> Task:
    """The task of the cohort."""
    task = new_task("batch", retries=5)
    task.arguments.update(COHORT)
    return task


@pytest.mark.parametrize("rerun", [["S2"], "S2", ("?2",), ["S2", "*2"]], ids=repr)
def test_one_of_a_cohort(cohort: Task, repair: Task, rerun: Any) -> None:
    """The named sample runs and is judged alone; the others stay as they are, in the file and in the verdict."""
    script(cohort, fails(PERMANENT, "S2", "S3"))
    cohort.try_()
    before = records()
    script(cohort)

    ended = repair.try_(rerun=rerun)

    assert ended.error is None
    assert submitted(repair) == [["S1", "S2", "S3"], ["S2"]]
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (1, 1)
    assert {name: record for name, record in records().items() if name != "S2"} == {
        name: before[name] for name in ("S1", "S3")
    }
    assert records()["S2"].dag_id == "repair"


def test_a_batch_that_is_running(cohort: Task, repair: Task) -> None:
    """The repair cancels nothing, and the cohort's batch goes on to its end, in which the repair's result counts."""
    script(cohort, [{"match": {"run_setting_id": "S3"}, "running": 9_000.0}, *fails(PERMANENT, "S2")])
    cohort.try_(wait_for_completion=False)
    cohort.emulator.advance(4_500)
    script(cohort)

    ended = repair.try_(rerun=["S2"])

    assert ended.error is None
    assert repair.statuses() == ["INPROGRESS", "PROCESSED"]
    assert "CancelRunBatch" not in cohort.emulator.calls.by_operation()
    assert "CancelRun" not in cohort.emulator.calls.by_operation()

    ended = cohort.try_(wait_for_completion=True)

    assert ended.error is None
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (3, 3)
    assert submitted(cohort) == [["S1", "S2", "S3"], ["S2"]]


@pytest.mark.parametrize("again", ["retry", "clear"])
def test_the_repair_counts_for_the_cohort(cohort: Task, repair: Task, again: str) -> None:
    """What the repair has completed is not submitted again at the next retry or clear of the cohort."""
    script(cohort, fails(TRANSIENT, "S2", "S3"))
    assert isinstance(cohort.try_().error, BatchVerdictError)
    script(cohort)
    repair.try_(rerun=["S2"])
    if again == "clear":
        cohort.clear()

    ended = cohort.try_()

    assert ended.error is None
    assert submitted(cohort)[2:] == [["S3"]]
    assert set(statuses().values()) == {"COMPLETED"}


def test_a_retry_of_the_repair(cohort: Task, repair: Task) -> None:
    """A retry submits of the named samples those that may pass, and says nothing of the others."""
    script(cohort, fails(PERMANENT, "S1", "S2", "S3"))
    cohort.try_()
    script(cohort, fails(TRANSIENT, "S2"))
    assert isinstance(repair.try_(rerun=["S1", "S2"]).error, BatchVerdictError)
    script(cohort)

    ended = repair.try_()

    assert ended.error is None
    assert submitted(repair)[1:] == [["S1", "S2"], ["S2"]]
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (2, 2)
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "S3": "FAILED"}


@pytest.mark.parametrize(("on_changed", "runs"), [("fail", None), ("rerun", ["S1", "S2"]), ("keep", ["S2"])])
def test_another_version_of_the_workflow(cohort: Task, repair: Task, on_changed: str, runs: list[str] | None) -> None:
    """What completed with another version is decided by ``on_changed``, for named samples alone."""
    script(cohort, fails(PERMANENT, "S2"), **VERSIONS)
    cohort.try_()
    script(cohort, **VERSIONS)

    ended = repair.try_(rerun=["S1", "S2"], default_run_setting=NEWER, on_changed=on_changed)

    assert isinstance(ended.error, SettingsError) is (runs is None)
    assert submitted(repair)[1:] == ([] if runs is None else [runs])
    assert records()["S3"].workflow_version_name is None


def test_what_is_named_has_completed(cohort: Task, repair: Task) -> None:
    """A sample that has completed with the settings of now is not run again, though it is named."""
    cohort.try_()

    ended = repair.try_(rerun=["S2"])

    assert ended.error is None
    assert len(submitted(repair)) == 1
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (1, 1)


def test_in_the_cohort_itself(cohort: Task) -> None:
    """The cohort's own task may be cleared for some samples; later it knows all of them."""
    script(cohort, fails(PERMANENT, "S2", "S3"))
    cohort.try_()
    script(cohort)
    cohort.clear()
    named = cohort.try_(rerun=["S3"])
    cohort.clear()

    ended = cohort.try_(rerun="failed")

    assert (named.error, named.result["total_runs"]) == (None, 1)
    assert ended.error is None
    assert submitted(cohort) == [["S1", "S2", "S3"], ["S3"], ["S2"]]
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (3, 3)
    assert set(statuses().values()) == {"COMPLETED"}


@stores
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("write", [1, 2])
def test_crash(new_task: NewTask, monkeypatch: pytest.MonkeyPatch, store: str, write: int, when: str) -> None:
    """Wherever the process dies, and with other names after that, each named sample runs once."""
    task = new_task("batch", store=store, retries=5)
    task.arguments.update(COHORT)
    with monkeypatch.context() as patch:
        CrashAt(patch, write, when)
        task.try_(rerun=["S1"])

    ended = task.try_(rerun=["S1", "S3"])

    assert ended.error is None
    assert sorted(name for batch in submitted(task) for name in batch) == ["S1", "S3"]
    assert statuses() == {"S1": "COMPLETED", "S3": "COMPLETED"}


def test_an_object_of_the_users(cohort: Task, repair: Task) -> None:
    """Of settings in S3 some are submitted, too."""
    given = put_settings(cohort.emulator, "S1", "S2", "S3")
    script(cohort, fails(PERMANENT, "S2"))
    cohort.try_(**given)
    script(cohort)

    ended = repair.try_(**given, rerun="*2")

    assert ended.error is None
    assert submitted(repair)[1:] == [["S2"]]


@pytest.mark.parametrize(
    ("rerun", "told"),
    [
        pytest.param("faild", "'faild', which names none of the 3 samples", id="slip"),
        pytest.param(["S1", "S4"], "'S4', which names none of the 3 samples", id="unknown"),
        pytest.param([], "rerun = []", id="none"),
        pytest.param("", "rerun = ''", id="empty"),
        pytest.param("['S1']", "render_template_as_native_obj", id="rendered list"),
        pytest.param(True, "rerun = True", id="flag"),
    ],
)
def test_bad_names(cohort: Task, rerun: Any, told: str) -> None:
    """What names no sample is refused before anything is sent; of nothing named, all samples would run."""
    ended = cohort.try_(rerun=rerun)

    assert isinstance(ended.error, SettingsError)
    assert told in str(ended.error)
    assert "'failed', 'all'" in str(ended.error)
    assert cohort.started() == []


def test_no_place_to_remember(new_task: NewTask) -> None:
    """Where no later try could learn what was chosen, nothing is sent."""
    ended = new_task("batch", store="none").try_(run_settings=samples("S1", "S2"), rerun=["S1"])

    assert isinstance(ended.error, SettingsError)
    assert "rerun = set" in str(ended.error)


def test_memory_is_gone(cohort: Task, forget: Callable[[], None]) -> None:
    """Of what is not named, too, nothing is forgotten silently: S1 has completed, and nobody knows it any more."""
    script(cohort, fails(TRANSIENT, "S2", "S3"))
    cohort.try_()
    cohort.try_()
    forget()

    ended = cohort.try_(rerun=["S2"])

    assert isinstance(ended.error, SettingsError)
    assert "1 samples cannot be read" in str(ended.error)
    assert len(submitted(cohort)) == 2


@pytest.fixture
def forget(cohort: Task) -> Callable[[], None]:
    """Remove all that lies at the place of the results."""

    def forget() -> None:
        s3 = cohort.emulator.client("s3")
        bucket, _, prefix = URI.removeprefix("s3://").partition("/")
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix.removesuffix(".jsonl.gz"))["Contents"]:
            s3.delete_object(Bucket=bucket, Key=item["Key"])

    return forget


def test_on_changed_that_does_not_exist() -> None:
    """Another word is refused with what is allowed."""
    RerunSettings("failed", None, "keep", None, None).check()
    with pytest.raises(SettingsError, match="on_changed = 'rerrun': 'fail', 'rerun' or 'keep'"):
        RerunSettings("failed", None, "rerrun", None, None).check()
