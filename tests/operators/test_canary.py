"""A canary: some samples go first, and the others only when these have completed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import BatchVerdictError, SettingsError
from tests.airflow_support import samples
from tests.operators.reruns import PERMANENT, TRANSIENT, URI, fails, records, script, statuses, submitted
from tests.operators.tries import waits

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.operators.tries import NewTask, Task

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")

NAMES = ["S1", "S2", "S3", "T1", "T2"]
COHORT: dict[str, Any] = {"run_settings": samples(*NAMES), "results_s3_uri": URI}


@pytest.fixture
def cohort(new_task: NewTask) -> Task:
    task = new_task("batch", retries=5)
    task.arguments.update(COHORT)
    return task


@pytest.mark.parametrize(
    ("canary", "first"),
    [(2, ["S1", "S2"]), ("2", ["S1", "S2"]), ("T*", ["T1", "T2"]), (["S3", "T?"], ["S3", "T1", "T2"])],
    ids=repr,
)
@waits
def test_the_others_follow(new_task: NewTask, canary: Any, first: list[str], *, deferrable: bool) -> None:
    """Once the canary has completed, the same try submits the others, and the verdict is about all."""
    task = new_task("batch", deferrable=deferrable)

    ended = task.try_(**COHORT, canary=canary)

    assert ended.error is None
    assert submitted(task) == [first, [name for name in NAMES if name not in first]]
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (5, 5)
    assert ended.result["carried_forward"] == len(first)
    assert statuses() == dict.fromkeys(NAMES, "COMPLETED")


def test_a_wrong_setting_costs_the_canary_alone(cohort: Task) -> None:
    """A canary that fails ends the task with its diagnosis, whatever is tolerated; a clear begins with it."""
    script(cohort, fails(PERMANENT, "S*", "T*"))

    ended = cohort.try_(canary=2, max_failed_runs=4)

    assert isinstance(ended.error, BatchVerdictError)
    assert ended.error.diagnosis is not None
    assert ended.error.diagnosis["failed_runs"] == 2
    assert submitted(cohort) == [["S1", "S2"]]

    script(cohort)
    cohort.clear()
    ended = cohort.try_()

    assert ended.error is None
    assert submitted(cohort) == [["S1", "S2"], ["S1", "S2"], ["S3", "T1", "T2"]]
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (5, 5)
    assert len(records()) == 5


def test_a_retry_begins_with_the_canary(cohort: Task) -> None:
    """A retry submits what may pass of the canary, and the others after it."""
    script(cohort, fails(TRANSIENT, "S2"))
    cohort.try_(canary=2)
    script(cohort)

    ended = cohort.try_()

    assert ended.error is None
    assert submitted(cohort) == [["S1", "S2"], ["S2"], ["S3", "T1", "T2"]]


def test_nothing_of_the_canary_may_pass(cohort: Task) -> None:
    """A retry that cannot help the canary submits nothing, and nothing else either."""
    script(cohort, fails(PERMANENT, "S2"))
    cohort.try_(canary=2, max_failed_runs=1)

    ended = cohort.try_()

    assert isinstance(ended.error, BatchVerdictError)
    assert submitted(cohort) == [["S1", "S2"]]


def test_failures_of_the_others_are_judged_as_ever(cohort: Task) -> None:
    """The tolerance is about all samples, once the canary has completed."""
    script(cohort, fails(PERMANENT, "T1"))

    ended = cohort.try_(canary=2, max_failed_runs=1)

    assert ended.error is None
    assert (ended.result["completed_runs"], ended.result["failed_runs"]) == (4, 1)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"canary": -1}, "canary"),
        ({"canary": True}, "canary"),
        ({"canary": ["U*"]}, "canary"),
        ({"canary": 2, "rerun": "all"}, "canary"),
        ({"canary": 2, "rerun": ["S1"]}, "canary"),
    ],
    ids=repr,
)
def test_refused(cohort: Task, emulator: OmicsEmulator, arguments: dict[str, Any], argument: str) -> None:
    """A canary that cannot be read, or names nobody, is refused before anything is sent."""
    ended = cohort.try_(**arguments)

    assert isinstance(ended.error, SettingsError)
    assert {problem.argument for problem in ended.error.problems} == {argument}
    assert emulator.service.started_batches() == []
