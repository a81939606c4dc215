"""Some of more than 100 samples run again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.core.errors import SettingsError
from tests.airflow_support import BUCKET, samples
from tests.operators.reruns import (
    MANY,
    TRANSIENT,
    URI,
    fails,
    places,
    script,
    submitted,
)
from tests.operators.tries import STAGING, Crash, NewTask, at_sleep, crash

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")


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
