"""Some of more than 100 samples run again."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.core.errors import SettingsError
from tests.airflow_support import BUCKET, samples
from tests.operators.reruns import MANY, TRANSIENT, URI, fails, places, put_settings, script, submitted
from tests.operators.tries import STAGING, Crash, NewTask, at_sleep, crash, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")


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


@pytest.mark.parametrize("bad", [MANY[:3], MANY[:101]], ids=["inline", "staged"])
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
    assert ended.result["completed_runs"] == len(MANY)


@waits
@pytest.mark.parametrize("bad", [MANY[:1], MANY[:101]], ids=["inline", "staged"])
@pytest.mark.parametrize("place", [{"staging_s3_uri": STAGING}, {"results_s3_uri": URI}], ids=["staging", "results"])
def test_settings_in_an_object_of_the_users(
    new_task: NewTask, emulator: OmicsEmulator, *, place: dict[str, str], bad: list[str], deferrable: bool
) -> None:
    """Some of them are submitted again, put into S3 where they are many, and nothing of that is left there."""
    task = new_task("batch", deferrable=deferrable)
    script(task, fails(TRANSIENT, *bad), limits={"submissions_per_second": 100})

    task.try_(**put_settings(emulator, *MANY), **place)
    script(task, limits={"submissions_per_second": 100})
    ended = task.try_()

    assert ended.error is None
    assert submitted(task)[1] == bad
    assert ended.result["completed_runs"] == len(MANY)
    keys = [item["Key"] for item in emulator.client("s3").list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert not [key for key in keys if "run-settings" in key]


@pytest.mark.parametrize(
    ("rerun", "many", "starts"), [("failed", True, False), ("all", True, True), ("failed", False, True)]
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_object_that_a_rerun_could_not_choose_from(
    new_task: NewTask, emulator: OmicsEmulator, *, rerun: str, many: bool, starts: bool, dry_run: bool
) -> None:
    """Over 100 settings need a place for a rerun, which the first try tells before anything is sent."""
    task = new_task("batch")
    script(task, limits={"submissions_per_second": 100})
    where = put_settings(emulator, *(MANY if many else MANY[:100]))
    emulator.calls.clear()

    ended = task.try_(**where, rerun=rerun, dry_run=dry_run)

    if starts:
        assert ended.error is None
    else:
        assert isinstance(ended.error, SettingsError)
        (problem,) = ended.error.problems
        assert (problem.argument, problem.value) == ("run_settings_s3_uri", "more than 100 runs")
        assert "staging_s3_uri or results_s3_uri" in problem.allowed
        assert emulator.calls.by_operation() == {}


def test_object_that_the_connection_may_not_read(
    new_task: NewTask, emulator: OmicsEmulator, log_lines: Callable[..., list[str]]
) -> None:
    """The batch is started, as HealthOmics reads the object with another role, and a warning says what is not known."""
    where = put_settings(emulator, "S1")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    emulator.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)

    ended = new_task("batch").try_(**where, wait_for_completion=False)
    emulator.client("s3").delete_bucket_policy(Bucket=BUCKET)

    assert ended.error is None
    assert any("could submit some of these runs cannot be told" in line for line in log_lines(logging.WARNING))
