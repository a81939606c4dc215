from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def started(omics: Any) -> list[str]:
    """Names of the runs that have left PENDING, in the order in which they were created."""
    return [run["name"] for run in omics.pages("ListRuns") if run["status"] != "PENDING"]


@pytest.mark.parametrize(
    ("storage", "limit"), [("DYNAMIC", "concurrent_dynamic_runs"), ("STATIC", "concurrent_static_runs")]
)
def test_runs_over_the_quota_wait_in_pending(make_omics: Callable[..., Any], storage: str, limit: str) -> None:
    """Each storage type has a quota of its own; a run that ends lets the next one start."""
    omics = make_omics({"limits": {"concurrent_dynamic_runs": 9, "concurrent_static_runs": 9, limit: 2}})
    for name in "abcd":
        omics.start_run(name=name, storageType=storage)
    omics.start_run(name="other", storageType="STATIC" if storage == "DYNAMIC" else "DYNAMIC")
    omics.advance(10)
    assert started(omics) == ["a", "b", "other"]
    assert omics.service.snapshot()["queued_runs"] == 2
    omics.advance(684)
    assert started(omics) == ["a", "b", "other"]
    omics.advance(1)
    assert started(omics) == ["a", "b", "c", "d", "other"]


def test_higher_priority_goes_first_and_then_the_older(make_omics: Callable[..., Any]) -> None:
    """Waiting runs start by priority, larger first, then by age."""
    omics = make_omics({"limits": {"concurrent_dynamic_runs": 1}})
    for name, priority in (("first", 0), ("low", 1), ("high", 5), ("high too", 5)):
        omics.start_run(name=name, priority=priority)
    order = []
    for _ in range(4):
        omics.advance(695)
        order += [name for name in started(omics) if name not in order]
    assert order == ["first", "high", "high too", "low"]


def test_cancelled_run_leaves_the_queue(make_omics: Callable[..., Any]) -> None:
    """A run cancelled while it waits never starts, and takes no place."""
    omics = make_omics({"limits": {"concurrent_dynamic_runs": 1}})
    _, second, third = (omics.start_run(name=name)["id"] for name in "abc")
    omics.advance(100)
    omics("CancelRun", id=second)
    omics.advance(600)
    assert [omics.run(run_id)["status"] for run_id in (second, third)] == ["CANCELLED", "STARTING"]
    assert "startTime" not in omics.run(second)


def test_cancelled_run_gives_its_place_when_it_has_ended(make_omics: Callable[..., Any]) -> None:
    """STOPPING still takes a place."""
    omics = make_omics({"limits": {"concurrent_dynamic_runs": 1}})
    first, second = (omics.start_run()["id"] for _ in range(2))
    omics.advance(100)
    omics("CancelRun", id=first)
    omics.advance(19)
    assert omics.run(second)["status"] == "PENDING"
    omics.advance(1)
    assert omics.run(second)["status"] == "STARTING"


def test_larger_quota_lets_waiting_runs_start(make_omics: Callable[..., Any]) -> None:
    """set_scenario with a larger quota starts what waits at once."""
    from airflow_provider_omics.emulator.script.scenario import Scenario

    omics = make_omics({"limits": {"concurrent_dynamic_runs": 1}})
    for name in "abc":
        omics.start_run(name=name)
    omics.advance(10)
    omics.service.set_scenario(Scenario.from_mapping({"limits": {"concurrent_dynamic_runs": 2}}))
    assert started(omics) == ["a", "b"]


GROUP_RULES = [
    {"match": {"name": "big"}, "tasks": [{"name": "T", "duration": 600, "cpus": 8, "gpus": 2}]},
    {"tasks": [{"name": "T", "duration": 600, "cpus": 4, "gpus": 1}]},
]


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        ({}, ["a", "b", "big", "c", "alone"]),
        ({"maxRuns": 1}, ["a", "alone"]),
        ({"maxRuns": 3}, ["a", "b", "big", "alone"]),
        ({"maxCpus": 8}, ["a", "b", "alone"]),
        ({"maxCpus": 16}, ["a", "b", "big", "alone"]),
        ({"maxGpus": 2}, ["a", "b", "alone"]),
        ({"maxGpus": 4, "maxRuns": 2}, ["a", "b", "alone"]),
    ],
)
def test_caps_of_a_group_hold_its_runs_back(
    make_omics: Callable[..., Any], caps: dict[str, int], expected: list[str]
) -> None:
    """maxRuns, maxCpus and maxGpus queue the runs of the group, and of no other."""
    omics = make_omics({"runs": GROUP_RULES})
    group = omics("CreateRunGroup", requestId="g", **caps)["id"]
    for name in ("a", "b", "big", "c"):
        omics.start_run(name=name, runGroupId=group)
    omics.start_run(name="alone")
    omics.advance(10)
    assert started(omics) == expected


def test_small_run_does_not_overtake_a_large_one_of_its_group(make_omics: Callable[..., Any]) -> None:
    """A run for which there would be room waits behind one of its group for which there is none."""
    omics = make_omics({"runs": GROUP_RULES})
    group = omics("CreateRunGroup", requestId="g", maxCpus=10)["id"]
    for name in ("a", "big", "c"):
        omics.start_run(name=name, runGroupId=group)
        omics.advance(5)
    assert started(omics) == ["a"]


def test_queue_of_a_group_moves_on_when_a_run_ends(make_omics: Callable[..., Any]) -> None:
    """A place in a group is given back at the end of a run, and UpdateRunGroup makes more at once."""
    omics = make_omics()
    group = omics("CreateRunGroup", requestId="g", maxRuns=1)["id"]
    for name in "abcd":
        omics.start_run(name=name, runGroupId=group)
    omics.advance(695)
    assert started(omics) == ["a", "b"]
    assert omics("UpdateRunGroup", id=group, maxRuns=2) == {}
    assert started(omics) == ["a", "b", "c"]


def test_longest_duration_of_a_group_fails_its_runs(omics: Any) -> None:
    """maxDuration, in minutes, is counted from the run's startTime."""
    group = omics("CreateRunGroup", requestId="g", maxDuration=2)["id"]
    run_id = omics.start_run(runGroupId=group)["id"]
    omics.advance(65 + 119)
    assert omics.run(run_id)["status"] == "RUNNING"
    omics.advance(31)
    run = omics.run(run_id)
    assert (run["status"], run["failureReason"]) == ("FAILED", "RUN_TIMED_OUT")
    tasks = omics.pages("ListRunTasks", id=run_id)
    assert [task["status"] for task in tasks] == ["CANCELLED"]


def test_stored_runs_are_limited(make_omics: Callable[..., Any]) -> None:
    """With RETAIN runs only, the limit refuses a start with 402; a deletion makes room."""
    omics = make_omics({"limits": {"stored_runs": 2}})
    first = omics.start_run()["id"]
    omics.start_run()
    omics.advance(700)
    request = {"workflowId": "1234567", "roleArn": "arn:aws:iam::123456789012:role/r", "outputUri": "s3://o"}
    assert omics.refuses("StartRun", requestId="r", **request) == "ServiceQuotaExceededException"
    omics("DeleteRun", id=first)
    assert omics.refuses("StartRun", requestId="r", **request) == ""


def test_oldest_finished_remove_run_makes_room(make_omics: Callable[..., Any]) -> None:
    """At the limit the oldest finished REMOVE run vanishes; RETAIN runs and active ones stay."""
    omics = make_omics({"limits": {"stored_runs": 3}})
    retained = omics.start_run()["id"]
    older, newer = (omics.start_run(retentionMode="REMOVE")["id"] for _ in range(2))
    request = {"workflowId": "1234567", "roleArn": "arn:aws:iam::123456789012:role/r", "outputUri": "s3://o"}
    assert omics.refuses("StartRun", requestId="r", **request) == "ServiceQuotaExceededException", "none has finished"
    omics.advance(700)
    latest = omics.start_run()["id"]
    assert [run["id"] for run in omics.pages("ListRuns")] == [retained, newer, latest]
    assert omics.refuses("GetRun", id=older) == "ResourceNotFoundException"


def test_batch_over_the_stored_runs_has_failed_submissions(make_omics: Callable[..., Any]) -> None:
    """Runs of a batch beyond the limit fail to be submitted with ServiceQuotaExceededException."""
    omics = make_omics({"limits": {"stored_runs": 2}})
    batch_id = omics.start_batch(3)
    omics.advance(10)
    (failed,) = omics.entries(batch_id, submissionStatus="FAILED")
    assert failed["submissionFailureReason"] == "ServiceQuotaExceededException"


def test_batch_of_remove_runs_passes_the_limit(make_omics: Callable[..., Any]) -> None:
    """With REMOVE a batch may be larger than what is stored: runs vanish while others start, and all are counted."""
    limits = {"stored_runs": 10, "concurrent_dynamic_runs": 5, "submissions_per_second": 0.005}
    omics = make_omics({"limits": limits})
    batch_id = omics.start_batch(40, {"retentionMode": "REMOVE"})
    omics.advance(1e5)
    batch = omics.batch(batch_id)
    assert (batch["status"], batch["runSummary"]["completedRunCount"]) == ("PROCESSED", 40)
    assert len(omics.pages("ListRuns")) == 10
