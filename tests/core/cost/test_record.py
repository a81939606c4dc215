from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.batch.sample import COST_MEMBERS, RunRecord
from airflow_provider_omics.core.cost.record import cost_lines, cost_members, earlier_run, is_awaited, is_early
from airflow_provider_omics.core.cost.usage import RunUsage
from tests.core.cost.manifests import RATES, run_object, task_object, usage

RAN_OUT = task_object(
    status="FAILED",
    failureReason="OUT_OF_MEMORY_ERROR",
    metrics={"memoryReservedGiB": 32, "memoryMaximumGiB": 31.8},
)


def test_members_are_those_of_a_record() -> None:
    """A record takes them, and gives them back as they were."""
    members = cost_members(usage(run_object(status="FAILED"), RAN_OUT), RATES, "RUN_TASK_FAILED")
    record = {"run_setting_id": "s1", "status": "FAILED", **members}

    assert members.keys() <= set(COST_MEMBERS)
    assert members["size_advice"] == "ALIGN (s1) used 31.8 of 32 GiB: give 48"
    assert RunRecord.from_json(json.loads(json.dumps(record))).costs == members
    assert RunRecord.from_json(record).to_json().items() >= members.items()


@pytest.mark.parametrize(
    ("run", "task", "code", "advice"),
    [
        ({}, RAN_OUT, "OUT_OF_MEMORY_ERROR", "ALIGN (s1) used 31.8 of 32 GiB: give 48"),
        (
            {},
            task_object(status="FAILED", metrics={"memoryReservedGiB": 4}),
            "OUT_OF_MEMORY_ERROR",
            "ALIGN (s1) had 4 GiB: give 6",
        ),
        (
            {"metrics": {"storageMaximumGiB": 1199.0}},
            task_object(status="FAILED"),
            "FILE_SYSTEM_OUT_OF_SPACE",
            "its storage used 1,199 of 1,200 GiB: give 2,400, or storageType DYNAMIC",
        ),
        ({}, task_object(status="FAILED"), "RUN_TASK_FAILED", None),
        ({}, task_object(), None, None),
    ],
)
def test_advice(run: dict[str, Any], task: dict[str, Any], code: str | None, advice: str | None) -> None:
    """Of a failure of size alone: what it had, what it used, and what to give."""
    assert cost_members(usage(run_object(**run), task), RATES, code).get("size_advice") == advice


NO_AVERAGE = "no average of DYNAMIC storage, which runs under two hours do not have"


@pytest.mark.parametrize(
    ("run", "lines"),
    [
        ({}, ["0.60 USD: 0.12 for its tasks, 0.48 for its storage"]),
        (
            {"storageType": "DYNAMIC"},
            [f"Its cost is not known, 0.20 USD at most: {NO_AVERAGE}"],
        ),
    ],
)
def test_lines(run: dict[str, Any], lines: list[str]) -> None:
    """With what they rest on, and do not hold."""
    members = cost_members(usage(run_object(**run), task_object()), RATES, None)

    basis = "By prices as of 2026-11-01; without CloudWatch Logs, S3, data transfer"
    assert cost_lines(members) == [*lines, basis]


@pytest.mark.parametrize(
    ("stopped_at", "early"),
    [("1970-01-01T00:00:00+00:00", True), ("1969-12-31T23:50:00+00:00", False), (None, False)],
)
def test_a_manifest_may_come_late(stopped_at: str | None, *, early: bool) -> None:
    """For ten minutes after the end of its run; one that was missing then is asked for again, at any later time."""
    assert is_early(stopped_at, 0.0) is early
    assert is_awaited(cost_members(None, RATES, None, early=early)) is early
    assert not is_awaited(cost_members(usage(run_object()), RATES, None, early=early))


def test_an_earlier_run_keeps_its_end() -> None:
    """Also where its row has left the sheet since."""
    record = {"run_setting_id": "s", "run_uuid": "u", "status": "REMOVED", "status_before_removal": "FAILED"}

    assert earlier_run({**record, "cost_usd": 1.0}) == {"run_uuid": "u", "status": "FAILED", "cost_usd": 1.0}


@given(st.lists(st.sampled_from([task_object(), RAN_OUT, task_object(cacheHit=True), task_object(gpus=1)])))
def test_usage_is_kept_whole(tasks: list[dict[str, Any]]) -> None:
    """What is written beside the results is what the manifest said."""
    used = usage(run_object(), *tasks)

    assert RunUsage.from_json(json.loads(json.dumps(used.to_json()))) == used
