"""An input that was replaced under the same key is another input, where check_inputs has looked at both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import BatchVerdictError, SettingsError
from tests.airflow_support import BUCKET
from tests.operators.reruns import PERMANENT, TRANSIENT, URI, fails, places, records, script, statuses, submitted

if TYPE_CHECKING:
    from tests.operators.tries import NewTask, Task

pytestmark = pytest.mark.usefixtures("looks_seldom")


def put(task: Task, name: str, content: bytes = b"reads") -> None:
    task.emulator.client("s3").put_object(Bucket=BUCKET, Key=f"{name}.bam", Body=content)


def cohort(new_task: NewTask, *, uri: str | None = URI, task_id: str = "a_task", **arguments: Any) -> Task:
    """Make a task of two samples with an input each, and a reference that both share."""
    task = new_task("batch")
    task.instance.task_id = task_id
    for name in ("S1", "S2", "ref"):
        put(task, name)
    runs = [
        {"runSettingId": name, "parameters": {"bam": f"s3://{BUCKET}/{name}.bam", "ref": f"s3://{BUCKET}/ref.bam"}}
        for name in ("S1", "S2")
    ]
    task.arguments = {"results_s3_uri": uri, "run_settings": runs, "check_inputs": True, **arguments}
    return task


@places
@pytest.mark.parametrize(("on_changed", "again"), [("rerun", [["S1"]]), ("keep", [])])
def test_on_changed_decides(new_task: NewTask, uri: str | None, on_changed: str, again: list[list[str]]) -> None:
    """A completed sample whose input was replaced is treated as one whose settings have changed."""
    task = cohort(new_task, uri=uri)
    assert task.try_().error is None
    put(task, "S1", b"other reads")
    task.clear()

    assert task.try_(on_changed=on_changed).error is None

    assert submitted(task) == [["S1", "S2"], *again]


@places
def test_it_is_told(new_task: NewTask, uri: str | None) -> None:
    """By default nothing is started, and the error names the sample and what has changed."""
    task = cohort(new_task, uri=uri)
    assert task.try_().error is None
    put(task, "S1", b"other reads")
    task.clear()

    error = task.try_().error

    assert isinstance(error, SettingsError)
    (problem,) = error.problems
    assert problem.allowed.startswith("1 completed samples have inputs that were replaced since (S1): on_changed=")
    assert len(submitted(task)) == 1


def the_same(task: Task) -> None:
    put(task, "S1")


def gone(task: Task) -> None:
    task.emulator.client("s3").delete_object(Bucket=BUCKET, Key="S1.bam")


def not_looked_at(task: Task) -> None:
    put(task, "S1", b"other reads")
    task.arguments["check_inputs"] = False


@pytest.mark.parametrize("change", [the_same, gone, not_looked_at])
def test_what_is_not_known_to_be_another_is_the_same(new_task: NewTask, change: Any) -> None:
    """An input that was written again as it was, tidied away, or not looked at has not changed."""
    task = cohort(new_task)
    assert task.try_().error is None
    change(task)
    task.clear()

    assert task.try_().error is None

    assert len(submitted(task)) == 1


def test_corrected_input_is_tried_by_a_retry(new_task: NewTask) -> None:
    """What failed for good with the old input has not failed with the new one yet."""
    task = cohort(new_task)
    script(task, fails(TRANSIENT, "S1"), fails(PERMANENT, "S2"))
    assert isinstance(task.try_().error, BatchVerdictError)
    put(task, "S2", b"other reads")
    script(task)

    assert task.try_().error is None

    assert submitted(task)[1:] == [["S1", "S2"]]


def test_another_task_has_completed_it_with_the_old_input(new_task: NewTask) -> None:
    """A repair's result of the old input does not stand for the new one, which has failed."""
    task = cohort(new_task)
    script(task, fails(TRANSIENT, "S1"))
    assert isinstance(task.try_().error, BatchVerdictError)
    script(task)
    assert cohort(new_task, task_id="repair", rerun="S1").try_().error is None
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}
    put(task, "S1", b"other reads")
    script(task, fails(TRANSIENT, "S1"))
    task.clear()

    assert isinstance(task.try_(on_changed="rerun").error, BatchVerdictError)

    assert statuses() == {"S1": "FAILED", "S2": "COMPLETED"}


def test_records_tell_the_version(new_task: NewTask) -> None:
    """Samples with the same inputs have the same hash in their records, and others another; without a look none."""
    task = cohort(new_task)
    runs = task.arguments["run_settings"]
    runs[1]["parameters"]["bam"] = runs[0]["parameters"]["bam"]
    runs += [{**runs[0], "runSettingId": "S3", "parameters": {"bam": f"s3://{BUCKET}/S2.bam"}}]

    assert task.try_().error is None

    found = {name: record.inputs for name, record in records().items()}
    assert found["S1"] == found["S2"] != found["S3"]
    assert None not in found.values()
    task.clear()
    task.try_(rerun="all", check_inputs=False)
    assert {record.inputs for record in records().values()} == {None}
