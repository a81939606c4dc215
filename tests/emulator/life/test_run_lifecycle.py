from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator.statuses import RUN_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable

Scripted = dict[str, Any]

ROLE = "arn:aws:iam::123456789012:role/r"

#: Seconds after StartRun at which a run of the default rule is in each status: 5, 60, 600 and 30 seconds.
AGES = {"PENDING": 0, "STARTING": 5, "RUNNING": 65, "STOPPING": 665, "COMPLETED": 695}


def bring_to(make_omics: Callable[..., Any], status: str, more: Scripted | None = None) -> tuple[Any, str]:
    """Make a service with one run in a status."""
    scenario: Scripted = {"deleted_visible": 100, **(more or {})}
    if status == "FAILED":
        scenario["runs"] = [{"outcome": "FAILED"}]
    omics = make_omics(scenario)
    run_id = omics.start_run()["id"]
    if status == "FAILED":
        omics.advance(700)
    elif status in ("CANCELLED", "DELETED"):
        omics("CancelRun", id=run_id)
        omics.advance(20)
        if status == "DELETED":
            omics("DeleteRun", id=run_id)
    else:
        omics.advance(AGES[status])
    assert omics.run(run_id)["status"] == status
    return omics, run_id


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        (0, "PENDING"),
        (4.999, "PENDING"),
        (5, "STARTING"),
        (64.999, "STARTING"),
        (65, "RUNNING"),
        (664.999, "RUNNING"),
        (665, "STOPPING"),
        (694.999, "STOPPING"),
        (695, "COMPLETED"),
        (1e6, "COMPLETED"),
    ],
)
def test_run_goes_through_its_statuses(omics: Any, seconds: float, status: str) -> None:
    """A run is in each status for the seconds that its rule says."""
    run_id = omics.start_run()["id"]
    omics.advance(seconds)
    assert omics.run(run_id)["status"] == status


def test_times_are_those_of_the_changes_not_of_the_look(omics: Any) -> None:
    """However late somebody looks: startTime is the entry into RUNNING, stopTime the end."""
    start = omics.clock.now()
    run_id = omics.start_run()["id"]
    assert {"startTime", "stopTime"}.isdisjoint(omics.run(run_id))
    omics.advance(100_000)
    run = omics.run(run_id)
    assert [run[key] - start for key in ("creationTime", "startTime", "stopTime")] == [
        timedelta(seconds=seconds) for seconds in (0, 65, 695)
    ]


@pytest.mark.parametrize("status", RUN_STATUSES)
def test_each_status_can_be_produced(make_omics: Callable[..., Any], status: str) -> None:
    """Every status of the model is reached by some script, and found by ListRuns."""
    omics, run_id = bring_to(make_omics, status)
    assert [run["id"] for run in omics.pages("ListRuns", status=status)] == [run_id]


@pytest.mark.parametrize(
    ("status", "cancel", "delete"),
    [
        ("PENDING", "", "ConflictException"),
        ("STARTING", "", "ConflictException"),
        ("RUNNING", "", "ConflictException"),
        ("STOPPING", "", "ConflictException"),
        ("COMPLETED", "ConflictException", ""),
        ("FAILED", "ConflictException", ""),
        ("CANCELLED", "ConflictException", ""),
        ("DELETED", "ConflictException", "ConflictException"),
    ],
)
def test_what_is_allowed_in_each_status(make_omics: Callable[..., Any], status: str, cancel: str, delete: str) -> None:
    """Active runs can be cancelled, ended ones deleted; the other way round is a conflict."""
    omics, run_id = bring_to(make_omics, status)
    assert omics.refuses("CancelRun", id=run_id) == cancel
    omics, run_id = bring_to(make_omics, status)
    assert omics.refuses("DeleteRun", id=run_id) == delete


@pytest.mark.parametrize("status", ["PENDING", "STARTING", "RUNNING"])
def test_cancelled_run_stops_and_ends(make_omics: Callable[..., Any], status: str) -> None:
    """CancelRun leads over STOPPING to CANCELLED; a second one changes nothing."""
    omics, run_id = bring_to(make_omics, status)
    assert omics("CancelRun", id=run_id) == {}
    assert omics.run(run_id)["status"] == "STOPPING"
    omics.advance(10)
    omics("CancelRun", id=run_id)
    omics.advance(10)
    assert omics.run(run_id)["status"] == "CANCELLED"
    omics.advance(10_000)
    assert omics.run(run_id)["status"] == "CANCELLED"


def test_cancel_that_comes_too_late_changes_nothing(make_omics: Callable[..., Any]) -> None:
    """A run that is STOPPING because it has finished takes a CancelRun, and completes."""
    omics, run_id = bring_to(make_omics, "STOPPING")
    omics("CancelRun", id=run_id)
    omics.advance(30)
    assert omics.run(run_id)["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("fails_in", "seconds_to_stopping", "has_start"),
    [("PENDING", 5, False), ("STARTING", 65, False), ("RUNNING", 265, True)],
)
def test_failed_run_tells_why(
    make_omics: Callable[..., Any], fails_in: str, seconds_to_stopping: int, has_start: bool
) -> None:
    """A run fails out of the status that its rule says, with its reason and message."""
    rule = {
        "outcome": "FAILED",
        "fails_in": fails_in,
        "failure_reason": "IMPORT_FAILED",
        "status_message": "No such key",
    }
    omics = make_omics({"runs": [rule]})
    run_id = omics.start_run()["id"]
    omics.advance(seconds_to_stopping - 0.001)
    assert omics.run(run_id)["status"] == fails_in
    omics.advance(0.001)
    assert omics.run(run_id)["status"] == "STOPPING"
    omics.advance(30)
    run = omics.run(run_id)
    assert (run["status"], run["failureReason"], run["statusMessage"]) == ("FAILED", "IMPORT_FAILED", "No such key")
    assert ("startTime" in run) is has_start


def test_run_over_the_longest_duration_times_out(make_omics: Callable[..., Any]) -> None:
    """A run that is in RUNNING for longer than the quota fails with RUN_TIMED_OUT."""
    omics = make_omics({"limits": {"run_duration": 100}})
    run_id = omics.start_run()["id"]
    omics.advance(65 + 100 + 30)
    assert (omics.run(run_id)["status"], omics.run(run_id)["failureReason"]) == ("FAILED", "RUN_TIMED_OUT")


def test_deleted_run_is_gone(omics: Any) -> None:
    """DeleteRun: neither GetRun nor ListRuns knows it; that it was started is still told."""
    run_id = omics.start_run()["id"]
    omics.advance(700)
    omics("DeleteRun", id=run_id)
    assert omics.refuses("GetRun", id=run_id) == "ResourceNotFoundException"
    assert omics.pages("ListRuns") == []
    (told,) = omics.service.started_runs()
    assert (told["id"], told["exists"], told["status"]) == (run_id, False, "DELETED")


def test_deleted_run_may_be_told_for_a_while(make_omics: Callable[..., Any]) -> None:
    """With deleted_visible a deleted run is told as DELETED, and then gone."""
    omics, run_id = bring_to(make_omics, "DELETED", {"deleted_visible": 50})
    omics.advance(49)
    assert omics.run(run_id)["status"] == "DELETED"
    omics.advance(1)
    assert omics.refuses("GetRun", id=run_id) == "ResourceNotFoundException"


def test_finished_run_may_vanish(make_omics: Callable[..., Any]) -> None:
    """With vanish_after a run is forgotten so many seconds after its end."""
    omics = make_omics({"runs": [{"vanish_after": 10}], "deleted_visible": 10})
    run_id, deleted = (omics.start_run()["id"] for _ in range(2))
    omics.advance(704)
    omics("DeleteRun", id=deleted)
    assert omics.run(run_id)["status"] == "COMPLETED"
    omics.advance(1)
    assert omics.refuses("GetRun", id=run_id) == "ResourceNotFoundException"


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "COMPLETED"])
def test_run_can_be_removed_by_hand(make_omics: Callable[..., Any], status: str) -> None:
    """remove_run lets a run vanish in any status; nothing of it happens any more."""
    omics, run_id = bring_to(make_omics, status)
    omics.service.remove_run(run_id)
    omics.advance(1_000)
    assert omics.refuses("GetRun", id=run_id) == "ResourceNotFoundException"
    with pytest.raises(KeyError):
        omics.service.remove_run(run_id)


def test_removed_run_gives_its_place_back(make_omics: Callable[..., Any]) -> None:
    """A waiting run takes the place of an active one that is removed; a removed waiting one takes none."""
    omics = make_omics({"limits": {"concurrent_dynamic_runs": 1}})
    first, second, third = (omics.start_run()["id"] for _ in range(3))
    omics.advance(10)
    omics.service.remove_run(second)
    omics.service.remove_run(first)
    assert omics.run(third)["status"] == "STARTING"


@pytest.mark.parametrize("reuse", [False, True])
def test_ids_of_deleted_runs_may_be_reused(make_omics: Callable[..., Any], reuse: bool) -> None:
    """Ids are new, or with reuse_run_ids that of a deleted run; the uuid is new in any case."""
    omics = make_omics({"limits": {"reuse_run_ids": reuse}})
    first = omics.start_run()
    omics.advance(700)
    omics("DeleteRun", id=first["id"])
    second = omics.start_run()
    assert (second["id"] == first["id"]) is reuse
    assert second["uuid"] != first["uuid"]
    assert omics.run(second["id"])["status"] == "PENDING"


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_outcome_may_depend_on_the_attempt(make_omics: Callable[..., Any], attempt: int) -> None:
    """Attempts of one name in one workflow are counted; other names and workflows do not count."""
    omics = make_omics({"runs": [{"match": {"name": "a", "attempt": attempt}, "outcome": "FAILED"}]})
    omics.start_run(name="b")
    omics.start_run(name="a", workflowId="3456789")
    runs = [omics.start_run(name="a")["id"] for _ in range(3)]
    omics.advance(1000)
    failed = [number for number, run_id in enumerate(runs, 1) if omics.run(run_id)["status"] == "FAILED"]
    assert failed == [attempt]


@pytest.mark.parametrize("reason", ["AccessDeniedException", "ThrottlingException", "ServiceQuotaExceededException"])
def test_single_run_may_fail_to_start(make_omics: Callable[..., Any], reason: str) -> None:
    """A scripted submission failure is StartRun's own error; the attempt counts."""
    rule = {"match": {"attempt": 1, "name": "*"}, "submission_failure": {"reason": reason}}
    omics = make_omics({"runs": [rule]})
    request = {
        "workflowId": "1234567",
        "roleArn": ROLE,
        "outputUri": "s3://o",
        "name": "a",
    }
    assert [omics.refuses("StartRun", requestId=f"r{number}", **request) for number in range(2)] == [reason, ""]
