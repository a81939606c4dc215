"""What a retry of Airflow's own submits of a batch: tries of one task on the emulator."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import BatchVerdictError
from tests.airflow_support import DEFAULT_RUN_SETTING, samples
from tests.operators.reruns import (
    PERMANENT,
    SIZING,
    TRANSIENT,
    UNCLEAR,
    URI,
    fails,
    places,
    records,
    script,
    statuses,
    submitted,
)
from tests.operators.tries import NewTask, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.airflow_support import Connect


pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")


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
    (tolerated,) = [line for line in log_lines() if line.startswith("Tolerated: ")]
    runs = task.emulator.service.started_runs()
    (failed,) = [run["id"] for run in runs if run["runSettingId"] == "S3"]
    assert tolerated.startswith(f"Tolerated: S3 (run {failed}) {PERMANENT}: ")
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
    assert warnings == ["cacheId is not set: all tasks of these samples are recomputed"]


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


@places
@pytest.mark.parametrize("rerun", ["failed", "all"])
def test_unclear_failure_after_a_transient_one_is_tried_once_more(
    new_task: NewTask, uri: str | None, rerun: str
) -> None:
    """What may pass by itself is not counted: the first unclear failure of a sample is tried again, the second not."""
    task = new_task("batch", retries=5)
    ends = []
    for reason in (TRANSIENT, UNCLEAR, UNCLEAR):
        script(task, fails(reason, "S1"))
        ends.append(task.try_(results_s3_uri=uri, rerun=rerun).error)

    assert [isinstance(error, AirflowFailException) for error in ends] == [False, False, True]
    if rerun == "failed":
        assert submitted(task) == [["S1", "S2"], ["S1"], ["S1"]]


@places
def test_unclear_failures_are_counted_for_each_sample(new_task: NewTask, uri: str | None) -> None:
    """A sample that has failed unclear twice is left, while others have their tries; a clear begins anew."""
    task = new_task("batch", retries=5)
    for first, second, third in (
        (TRANSIENT, UNCLEAR, UNCLEAR),
        (UNCLEAR, UNCLEAR, TRANSIENT),
        (UNCLEAR, TRANSIENT, UNCLEAR),
    ):
        script(task, fails(first, "S1"), fails(second, "S2"), fails(third, "S3"))
        task.try_(run_settings=samples("S1", "S2", "S3"), results_s3_uri=uri)
    task.clear()
    task.try_()

    assert submitted(task) == [["S1", "S2", "S3"], ["S1", "S2", "S3"], ["S1", "S3"], ["S1", "S2", "S3"]]


@waits
@pytest.mark.parametrize("where", ["task", "connection"])
def test_rerun_setting_that_changes_nothing(
    new_task: NewTask, connect: Connect, *, where: str, deferrable: bool
) -> None:
    """What was too small is not tried again with what it has had, wherever that came from."""
    task = new_task("batch", deferrable=deferrable)
    script(task, fails(SIZING, "S2"))
    have = {"storageType": "STATIC", "storageCapacity": 2400}
    connect({"default_run_setting": have} if where == "connection" else {})
    more = have if where == "task" else {}

    ended = task.try_(
        default_run_setting={**DEFAULT_RUN_SETTING, **more},
        rerun_setting={"storageType": "STATIC", "storageCapacity": "2400"},
        results_s3_uri=URI,
    )

    assert isinstance(ended.error, BatchVerdictError)
    assert isinstance(ended.error, AirflowFailException)
