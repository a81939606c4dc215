"""Cancelling, driven by hand: what is borne, what is believed, and what a partial cancel leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_omics.core.commands import INFO, Cancel, ListActive, Look, Say, Sleep
from airflow_provider_omics.core.errors import NotFound
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import cancel, cancel_stragglers
from tests.core.wait.flows import (
    BATCH,
    CANCEL,
    CONFLICT,
    DENIED,
    GONE,
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


def test_a_batch_in_creating_is_cancelled_once_it_is_pending() -> None:
    """CREATING refuses a cancel; it is tried again every five seconds."""
    script = [CONFLICT, batch("CREATING"), CONFLICT, batch("CREATING"), None, batch("CANCELLED")]
    left, commands, seconds = play(cancel(BATCH), script)

    again = [Cancel("batch", "2"), Look("batch", "2"), Sleep(5.0)]
    assert left is None
    cancelled = [Cancel("batch", "2"), Say(INFO, "Cancelled batch 2"), Look("batch", "2")]
    assert commands == [*again, *again, *cancelled]
    assert seconds == 10.0


def test_what_is_stopping_counts_as_cancelled() -> None:
    """A cancel that is refused because one is under way is done."""
    left, commands, _ = play(cancel(BATCH), [CONFLICT, batch("STOPPING")])

    assert left is None
    assert commands[-1] == Say(INFO, "batch 2 is already stopping")


def test_a_cancel_bears_throttling() -> None:
    """What may pass by itself is tried again, also when the look between fails."""
    left, commands, _ = play(cancel(RUN), [THROTTLED, CONFLICT, THROTTLED, THROTTLED, None])

    assert left is None
    assert sleeps(commands) == [5.0] * 3


@pytest.mark.parametrize(("patience", "pauses"), [(60.0, [5.0] * 12), (4.0, [4.0]), (7.0, [5.0, 2.0]), (0.0, [])])
def test_a_cancel_is_given_up_at_the_end_of_its_patience(patience: float, pauses: list[float]) -> None:
    """The last pause is cut to the patience: a worker has five seconds before it is killed."""
    tries = len(pauses) + 1

    left, commands, _ = play(cancel(RUN, patience=patience), [THROTTLED] * tries)

    assert isinstance(left, RunSnapshot)
    assert left.phase is Phase.ACTIVE
    assert sleeps(commands) == pauses
    assert commands.count(CANCEL) == tries
    assert "may still be going" in warnings(commands)[0]


def test_a_cancel_without_permission_is_not_repeated() -> None:
    """A refusal that does not pass by itself is told at once; the run counts as going."""
    event, commands, _ = play(steadily(replace(RUN, deadline=START)), [run("RUNNING"), DENIED])

    assert event == WaitEvent(Outcome.TIMED_OUT, run("RUNNING"), limit="execution_timeout", cancelled=False)
    assert "run 1 was not cancelled and may still be going: GetRun: AccessDeniedException" in warnings(commands)[-1]


@pytest.mark.parametrize("answer", [[GONE], [CONFLICT, run("RUNNING", uuid="other")]], ids=["gone", "reused"])
def test_there_is_nothing_to_cancel(answer: list[Result]) -> None:
    """An id that is gone, or that another run has now, is left alone and told as NotFound."""
    left, commands, _ = play(cancel(RUN), answer)

    assert isinstance(left, NotFound)
    assert commands.count(CANCEL) == 1


# -- what a partial cancel leaves ----------------------------------------------------------------------------------


def test_runs_whose_own_cancel_failed_are_cancelled_one_by_one() -> None:
    """The cancel of a batch is not atomic: once it has ended, what it left is cancelled run by run."""
    ended = batch("CANCELLED", failed_cancels=2)
    left, commands, _ = play(cancel(BATCH), [None, batch("STOPPING"), ended, ("11", "12"), None, CONFLICT])

    assert left is None
    assert commands[-4:] == [
        ListActive("2"),
        Cancel("run", "11"),
        Cancel("run", "12"),
        Say(INFO, "Cancelled 1 of 2 runs that outlived batch 2"),
    ]


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({"successful_submissions": 8, "completed_runs": 2, "running_runs": 6}, id="run counts lag"),
        pytest.param({"successful_submissions": 8, "cancelled_runs": 3, "running_runs": 1}, id="some cancelled before"),
    ],
)
def test_runs_whose_own_cancel_failed_are_cancelled_before_the_batch_ends(counts: dict[str, int]) -> None:
    """The batch may wait for their end: once it has tried to cancel each of its runs, the others are cancelled."""
    first = batch("STOPPING", successful_cancels=1, failed_cancels=1, **{**counts, "running_runs": 6})
    last = batch("STOPPING", successful_cancels=5, failed_cancels=1, **counts)

    left, commands, seconds = play(cancel(BATCH), [None, first, last, ("11",), None])

    assert (left, seconds) == (None, 5.0)
    assert commands[-3:-1] == [ListActive("2"), Cancel("run", "11")]


def test_runs_that_the_batch_is_still_to_cancel_are_left_to_it() -> None:
    """Of a large batch it takes hours: a cancel that failed is no reason to cancel all the others one by one."""
    many = {"successful_submissions": 100_000, "cancelled_runs": 60_000, "running_runs": 39_000}

    _, commands, _ = play(
        cancel(BATCH, settle=4.0), [None, *[batch("STOPPING", successful_cancels=60_999, failed_cancels=1, **many)] * 2]
    )

    assert ListActive("2") not in commands


def test_runs_of_a_batch_that_failed_under_the_cancel_are_cancelled() -> None:
    """A batch may fail with runs going, and refuses a cancel from then on; what has ended or gone is passed over."""
    script = [None, batch("FAILED"), ("11", "12", "13"), GONE, CONFLICT, None]

    _, commands, _ = play(cancel(BATCH), script)

    assert commands[-1] == Say(INFO, "Cancelled 1 of 3 runs that outlived batch 2")
    assert warnings(commands) == []


@pytest.mark.parametrize("end", [batch("PROCESSED"), batch("CANCELLED"), GONE], ids=["processed", "cancelled", "gone"])
def test_a_batch_that_has_ended_is_not_waited_for(end: Result) -> None:
    """The first look that shows an end is the last."""
    left, commands, seconds = play(cancel(BATCH), [None, end])

    assert (left, seconds) == (None, 0.0)
    assert commands[-1] == Look("batch", "2")


@pytest.mark.parametrize("looks", [[batch("STOPPING")] * 3, [THROTTLED] * 3])
def test_a_batch_that_stops_slowly_is_waited_for_no_longer_than_asked(looks: list[Result]) -> None:
    """A worker has a few seconds: it does not wait for the end of the batch."""
    left, commands, seconds = play(cancel(BATCH, settle=7.0), [None, *looks])

    assert left is None
    assert seconds == 7.0
    assert sleeps(commands) == [5.0, 2.0]


def test_a_straggler_that_cannot_be_cancelled_is_named() -> None:
    """The others are cancelled all the same."""
    _, commands, _ = play(cancel_stragglers("2"), [("11", "12"), DENIED, None])

    assert warnings(commands) == [f"Run 11 of batch 2 was not cancelled: {DENIED}"]
    assert Cancel("run", "12") in commands


def test_a_list_that_fails_is_told() -> None:
    """Nobody is left believing that nothing is going."""
    _, commands, _ = play(cancel_stragglers("2"), [THROTTLED])

    assert warnings(commands) == [f"The runs of batch 2 could not be listed and may be going: {THROTTLED}"]
