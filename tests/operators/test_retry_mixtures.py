"""Retries spent and samples resubmitted, for every mixture of failures that a batch can have."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import BatchVerdictError
from airflow_provider_omics.core.settings.fields import Place
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, samples
from tests.model_support import sendable

if TYPE_CHECKING:
    from tests.operators.tries import NewTask, Task

pytestmark = pytest.mark.usefixtures("stepped")

REASONS = {
    "P": {"failure_reason": "IMPORT_FAILED"},
    "S": {"failure_reason": "FILE_SYSTEM_OUT_OF_SPACE"},
    "T": {"failure_reason": "SERVICE_ERROR"},
    "U": {"failure_reason": "WORKFLOW_RUN_FAILED"},
}
"""A permanent, a sizing, a transient and an unclear failure of a run."""

TASK_REASONS = {
    "P": "CANNOT_START_CONTAINER_ERROR",
    "S": "OUT_OF_MEMORY_ERROR",
    "T": "SERVICE_ERROR",
    "U": "TASK_TIMED_OUT",
}
"""The same of one of its tasks, behind a run that only says RUN_TASK_FAILED."""

MIXTURES = ["".join(mixture) for size in range(1, 5) for mixture in combinations("PSTU", size)]
AGAIN = {
    "by itself": ["TU", "T", "T"],
    "rerun_setting": ["STU", "T", "T"],
    "retry_permanent_failures": ["PSTU", "PSTU", "PSTU"],
}
"""Classes that the second, third and fourth attempt submit: unclear ones once more, sizing ones with other settings."""
ARGUMENTS: dict[str, dict[str, Any]] = {
    "by itself": {},
    "rerun_setting": {"rerun_setting": {"storageType": "DYNAMIC"}},
    "retry_permanent_failures": {"retry_permanent_failures": True},
}


def fails(letter: str, *, in_task: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {"match": {"run_setting_id": f"{letter}*"}, "outcome": "FAILED"}
    if not in_task:
        return {**rule, **REASONS[letter], "tasks": [{"name": "FASTQC"}]}
    task = {"name": "ALIGN", "outcome": "FAILED", "failure_reason": TASK_REASONS[letter]}
    return {**rule, "failure_reason": "RUN_TASK_FAILED", "tasks": [task]}


def expected(mixture: str, how: str) -> list[str]:
    """Give the classes of each attempt, up to the first that has nothing to submit."""
    attempts = [mixture]
    for again in AGAIN[how]:
        left = "".join(letter for letter in mixture if letter in again)
        if not left:
            break
        attempts.append(left)
    return attempts


def submitted(task: Task) -> list[str]:
    """Tell the failing samples of each batch that was started, a letter each."""
    runs = task.emulator.service.started_runs()
    names = [[run["runSettingId"] for run in runs if run["batchId"] == batch["id"]] for batch in task.started()]
    return ["".join(sorted(name[0] for name in batch if name[0] != "O")) for batch in names]


@pytest.mark.parametrize("uri", [None, f"s3://{BUCKET}/results/wgs.jsonl"], ids=["no place", "results"])
@pytest.mark.parametrize("in_task", [False, True], ids=["run", "task"])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_mixture(new_task: NewTask, mixture: str, uri: str | None, *, in_task: bool) -> None:
    """What may pass is submitted as often as the retries allow, what is unclear once more, and nothing else."""
    check(new_task, mixture, "by itself", in_task=in_task, results_s3_uri=uri)


@pytest.mark.parametrize("how", ["rerun_setting", "retry_permanent_failures"])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_mixture_with_more(new_task: NewTask, mixture: str, how: str) -> None:
    """A rerun_setting gives sizing failures one try more, retry_permanent_failures gives all of them every retry."""
    check(new_task, mixture, how, in_task=False)


# Nothing where the installed boto3 does not have the field, which changes nothing either.
SCRATCH = sendable(Place.DEFAULT_RUN_SETTING, {"scratchStorageMode": "LOCAL"})


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
@pytest.mark.parametrize(
    ("default", "rerun_setting", "tries"),
    [
        ({"storageType": "DYNAMIC"}, {"storageType": "DYNAMIC"}, 1),
        (SCRATCH, SCRATCH, 1),
        ({"parameters": {"memory": 64}}, {"parameters": {"memory": 64}}, 1),
        ({"parameters": {"memory": 64}}, {"parameters": {"memory": 128}}, 2),
    ],
)
def test_rerun_setting_that_changes_nothing(
    new_task: NewTask, default: dict[str, Any], rerun_setting: dict[str, Any], tries: int, *, deferrable: bool
) -> None:
    """What a rerun would run with already makes nothing fit: no retry is spent on it."""
    task = new_task("batch", deferrable=deferrable)
    task.emulator.set_scenario({"runs": [fails("S", in_task=False)]})
    task.arguments.update(run_settings=samples("OK", "S1"), rerun_setting=rerun_setting, poll_interval=600)
    task.arguments["default_run_setting"] = {**DEFAULT_RUN_SETTING, **default}

    errors = [task.try_().error for _ in range(tries)]

    assert [isinstance(error, AirflowFailException) for error in errors] == [False] * (tries - 1) + [True]
    assert len(task.started()) == tries


def check(new_task: NewTask, mixture: str, how: str, *, in_task: bool, **arguments: Any) -> None:
    task = new_task("batch", retries=3)
    task.emulator.set_scenario({"runs": [fails(letter, in_task=in_task) for letter in mixture]})
    task.arguments.update(run_settings=samples("OK", *(f"{letter}1" for letter in mixture)), poll_interval=600)
    attempts = expected(mixture, how)

    errors = [task.try_(**arguments, **ARGUMENTS[how]).error for _ in attempts]

    assert submitted(task) == attempts
    assert all(isinstance(error, BatchVerdictError) for error in errors)
    is_last = [isinstance(error, AirflowFailException) for error in errors]
    assert is_last == [False] * (len(attempts) - 1) + [len(attempts) < 4]
