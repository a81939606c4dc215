"""The time limits of a wait: when they have passed, and what is cancelled then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_omics.core.commands import INFO, WARNING, Say, Sleep
from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import WaitPlan
from tests.core.wait.flows import (
    BATCH,
    CANCEL,
    CONFLICT,
    DENIED,
    GONE,
    INVALID,
    LOOK,
    MANIFEST,
    RUN,
    START,
    THROTTLED,
    Result,
    batch,
    play,
    run,
    sleeps,
    steadily,
    warnings,
)


def test_the_last_sleep_ends_at_the_deadline() -> None:
    """A sleep never goes beyond the deadline, and the deadline itself is too late."""
    plan = replace(RUN, deadline=START + 40.0)

    event, commands, seconds = play(steadily(plan), [run("RUNNING"), run("RUNNING"), run("RUNNING"), None])

    assert event == WaitEvent(Outcome.TIMED_OUT, run("RUNNING"), limit="execution_timeout", cancelled=True)
    assert commands == [
        *[LOOK, Say(INFO, "Run 1: RUNNING"), Sleep(30.0), LOOK, Sleep(10.0), LOOK],
        *[Say(WARNING, "execution_timeout passed; cancelling run 1"), CANCEL, Say(INFO, "Cancelled run 1")],
    ]
    assert seconds == 40.0


def test_a_deadline_shorter_than_the_interval() -> None:
    """The first sleep is cut to the deadline."""
    _, commands, _ = play(steadily(replace(RUN, deadline=START + 7.0)), [run("RUNNING"), run("RUNNING"), None])

    assert sleeps(commands) == [7.0]


def test_the_moment_before_the_deadline_is_in_time() -> None:
    """A limit is passed when it is reached, not before."""
    running = run("RUNNING", started=0.0)
    for limit, late, early in (
        ("execution_timeout", replace(RUN, deadline=START), replace(RUN, deadline=START + 0.125)),
        ("run_timeout", replace(RUN, run_timeout=0.0), replace(RUN, run_timeout=0.125)),
    ):
        event, commands, _ = play(steadily(late), [running, None])
        assert (event.limit, sleeps(commands)) == (limit, [])
        event, commands, _ = play(steadily(early), [running, running, None])
        assert (event.limit, sleeps(commands)) == (limit, [0.125])

    plan = replace(RUN, deadline=START, run_timeout=5.0)
    assert plan.limits(run("RUNNING")) == {"execution_timeout": START}
    assert plan.limits(running) == {"execution_timeout": START, "run_timeout": START + 5.0}


def test_run_timeout_counts_from_the_start_of_the_run() -> None:
    """Queueing is free: the timeout begins with startTime, and its end cuts the sleep."""
    running = run("RUNNING", started=100.0)
    script = [*[run("PENDING")] * 5, running, running, None]

    event, commands, seconds = play(steadily(replace(RUN, run_timeout=60.0)), script)

    assert event == WaitEvent(Outcome.TIMED_OUT, running, limit="run_timeout", cancelled=True)
    assert sleeps(commands) == [30.0] * 5 + [10.0]
    assert seconds == 160.0


@pytest.mark.parametrize("late", [0.0, 1.0, 86_400.0])
@pytest.mark.parametrize("ended", [run("COMPLETED", started=-100), run("FAILED", started=-100)], ids=str)
def test_a_run_found_finished_wins_over_the_deadline(ended: RunSnapshot, late: float) -> None:
    """However late the look is, what has ended is not timed out and not cancelled."""
    plan = replace(RUN, deadline=START, run_timeout=1.0)

    event, commands, _ = play(steadily(plan), [late, ended])

    assert event == WaitEvent(Outcome.ENDED, ended)
    assert CANCEL not in commands


@pytest.mark.parametrize("plan", [replace(RUN, deadline=START), replace(RUN, run_timeout=60.0)], ids=["task", "run"])
def test_found_cancelled_after_a_limit(plan: WaitPlan) -> None:
    """A triggerer has died between its cancel and its event: the next one tells of the limit, and cancels nothing."""
    cancelled = run("CANCELLED", started=-100)

    event, commands, _ = play(steadily(plan), [cancelled])

    limit = "execution_timeout" if plan.deadline else "run_timeout"
    assert event == WaitEvent(Outcome.TIMED_OUT, cancelled, limit=limit, cancelled=True)
    assert CANCEL not in commands


@pytest.mark.parametrize(
    "plan",
    [replace(RUN, deadline=START, cancel=False), replace(RUN, deadline=START + 1.0), RUN],
    ids=["does not cancel", "in time", "no limit"],
)
def test_cancelled_by_somebody_else(plan: WaitPlan) -> None:
    """Where this wait cannot have cancelled it, somebody else has."""
    event, _, _ = play(steadily(plan), [run("CANCELLED")])

    assert event == WaitEvent(Outcome.ENDED, run("CANCELLED"))


def test_cancelled_before_the_cancel_of_the_next_triggerer_came() -> None:
    """Found stopping after the limit, and at its end when the second cancel is refused."""
    script = [batch("STOPPING"), CONFLICT, batch("CANCELLED")]

    event, _, _ = play(steadily(replace(BATCH, deadline=START)), script)

    assert event == WaitEvent(Outcome.TIMED_OUT, batch("CANCELLED"), limit="execution_timeout", cancelled=True)


def test_without_cancel_a_time_limit_leaves_it_going() -> None:
    """With cancel off nothing is cancelled, and the log says so."""
    plan = replace(RUN, deadline=START, cancel=False)

    event, commands, _ = play(steadily(plan), [run("RUNNING")])

    assert event == WaitEvent(Outcome.TIMED_OUT, run("RUNNING"), limit="execution_timeout", cancelled=False)
    assert warnings(commands) == ["execution_timeout passed; run 1 is left going, as cancel_on_kill is off"]
    assert CANCEL not in commands


@pytest.mark.parametrize("refusal", [CONFLICT, INVALID], ids=lambda error: error.code)
def test_it_ended_before_the_cancel_came(refusal: ServiceError) -> None:
    """A refused cancel is followed by a look; what has ended meanwhile is the outcome."""
    script = [run("RUNNING"), refusal, run("COMPLETED")]

    event, commands, _ = play(steadily(replace(RUN, deadline=START)), script)

    assert event == WaitEvent(Outcome.ENDED, run("COMPLETED"))
    assert commands[3:] == [CANCEL, LOOK, Say(INFO, "run 1 has already ended: COMPLETED")]


def test_a_cancel_that_fails_is_told() -> None:
    """A run that may not be cancelled is going on: the event does not say otherwise."""
    event, _, _ = play(steadily(replace(RUN, deadline=START)), [run("RUNNING"), DENIED])

    assert event == WaitEvent(Outcome.TIMED_OUT, run("RUNNING"), limit="execution_timeout", cancelled=False)


def test_a_batch_that_is_still_created_at_its_deadline() -> None:
    """CREATING refuses the cancel; it comes through as soon as the batch is PENDING."""
    creating = batch("CREATING")

    event, _, seconds = play(
        steadily(replace(BATCH, deadline=START)), [creating, CONFLICT, creating, None, batch("CANCELLED")]
    )

    assert event == WaitEvent(Outcome.TIMED_OUT, creating, limit="execution_timeout", cancelled=True)
    assert seconds == 5.0


@pytest.mark.parametrize(("told", "outcome"), [(run("COMPLETED"), Outcome.ENDED), (None, Outcome.VANISHED)], ids=str)
def test_it_is_gone_when_the_cancel_comes(told: Result, outcome: Outcome) -> None:
    """Retention may remove a completed run just before its cancel: its manifest is read, and it was not cancelled."""
    event, commands, _ = play(steadily(replace(RUN, deadline=START)), [run("RUNNING"), GONE, told])

    assert (event.outcome, event.cancelled) == (outcome, False)
    assert MANIFEST in commands


def test_the_deadline_ends_the_wait_during_an_outage() -> None:
    """Looks that fail do not put the deadline off; the cancel is tried all the same."""
    plan = replace(RUN, deadline=START + 50.0)

    event, commands, seconds = play(steadily(plan), [run("RUNNING"), THROTTLED, THROTTLED, None])

    assert event == WaitEvent(Outcome.TIMED_OUT, run("RUNNING"), limit="execution_timeout", cancelled=True)
    assert (sleeps(commands), seconds) == ([30.0, 20.0], 50.0)
