"""A batch that an earlier try has cancelled, and that is still stopping when the next one comes."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core.attempt.commands import Choose, Start
from airflow_provider_omics.core.attempt.record import Ended, Present
from airflow_provider_omics.core.commands import Cancel, ListActive, Look
from airflow_provider_omics.core.errors import AttemptError, ServiceError
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.wait.flow import LIST_LAG, SECOND_LOOK
from tests.core.attempt.flows import DENIED, GONE, THROTTLED, cleared, known, play, present, seen, started

BADLY = known(ended=Ended.BADLY)
LOOK = Look("batch", "7")
STOPPING, CANCELLED = seen("batch", "STOPPING"), seen("batch", "CANCELLED")
PARTLY = BatchSnapshot("7", "STOPPING", "uuid-7", counts={"failed_cancels": 1})

ways = pytest.mark.parametrize(
    "now_present", [present("batch", chooses=True), cleared("batch", chooses=True)], ids=["retry", "clear"]
)
ways_with_all = pytest.mark.parametrize("now_present", [present("batch"), cleared("batch")], ids=["retry", "clear"])


def order(played: Any) -> list[Any]:
    """Give the commands up to the start, without the saves."""
    return [c for c in played.done if isinstance(c, (Look, Cancel, ListActive, Choose, Start))]


@ways
def test_its_end_is_waited_for(now_present: Present) -> None:
    """What completes while it stops must not be submitted again: the choice comes when it has ended."""
    played = play(BADLY, now_present, [STOPPING, STOPPING, STOPPING, CANCELLED, True, started("batch")])

    assert order(played)[:4] == [LOOK] * 4
    assert [type(command) for command in order(played)[4:]] == [Choose, Start]
    assert played.slept == [LIST_LAG] * 2
    assert "Waiting for the end of batch 7" in played.said


@ways
def test_runs_whose_own_cancel_failed_are_cancelled_while_it_stops(now_present: Present) -> None:
    """They would be paid beside the new ones, and the batch may wait for their end: once, and again at its end."""
    ended = BatchSnapshot("7", "CANCELLED", "uuid-7", counts={"failed_cancels": 1})
    script = [STOPPING, PARTLY, ("11",), None, PARTLY, ended, (), True, started("batch")]

    played = play(BADLY, now_present, script)

    assert order(played)[:4] == [LOOK, LOOK, ListActive("7"), Cancel("run", "11")]
    assert order(played)[4:7] == [LOOK, LOOK, ListActive("7")]


@ways_with_all
@pytest.mark.parametrize("status", ["STOPPING", "CANCELLED"])
def test_with_all_runs_anew_it_is_not_waited_for(now_present: Present, status: str) -> None:
    """Whatever completes is submitted again; what its cancel has missed is cancelled all the same."""
    partly = BatchSnapshot("7", status, "uuid-7", counts={"failed_cancels": 1})

    played = play(BADLY, now_present, [partly, ("11",), None, started("batch")])

    assert order(played)[:3] == [LOOK, ListActive("7"), Cancel("run", "11")]
    assert played.slept == []


def test_without_cancel_on_kill_nothing_is_cancelled() -> None:
    """The switch holds for the runs of a batch that is stopping, too; its end is waited for."""
    played = play(
        BADLY, present("batch", chooses=True, cancel=False), [PARTLY, PARTLY, CANCELLED, True, started("batch")]
    )

    assert not [command for command in played.done if isinstance(command, (ListActive, Cancel))]


@pytest.mark.parametrize("status", ["PROCESSED", "FAILED", "CANCELLED", "RUNS_DELETING", "RUNS_DELETED"])
@ways
def test_one_that_has_ended_costs_one_look(now_present: Present, status: str) -> None:
    """The common case: it had failed, or its verdict was bad."""
    played = play(BADLY, now_present, [seen("batch", status), True, started("batch")])

    assert [type(command) for command in order(played)] == [Look, Choose, Start]
    assert played.slept == []


def test_one_that_failed_with_runs_going() -> None:
    """A batch may fail under our cancel: its runs go on, and are cancelled."""
    failed = BatchSnapshot("7", "FAILED", "uuid-7", counts={"successful_submissions": 2, "completed_runs": 1})

    played = play(BADLY, present("batch", chooses=True), [failed, ("11",), None, True, started("batch")])

    assert order(played)[:3] == [LOOK, ListActive("7"), Cancel("run", "11")]


@ways
@pytest.mark.parametrize("other", [GONE, seen("batch", "STOPPING", uuid="uuid-of-another")], ids=["gone", "reused"])
@pytest.mark.parametrize("before", [[], [STOPPING]], ids=["at first", "while it stops"])
def test_not_found_is_believed_the_second_time(now_present: Present, other: Any, before: list[Any]) -> None:
    """A moment of "not found" must not hide what goes on; twice, some time apart, it is gone."""
    once = play(BADLY, now_present, [*before, other, STOPPING, CANCELLED, True, started("batch")])
    twice = play(BADLY, now_present, [*before, other, other, True, started("batch")])

    assert once.slept[0] == twice.slept[0] == SECOND_LOOK
    assert order(once).count(LOOK) == 3 + len(before)
    assert order(twice).count(LOOK) == 2 + len(before)


@ways
@pytest.mark.parametrize("before", [[], [STOPPING]], ids=["at first", "while it stops"])
def test_refused_look_does_not_keep_a_task_from_starting(now_present: Present, before: list[Any]) -> None:
    """That it ended badly is on record: without leave to look, the task says so and goes on."""
    played = play(BADLY, now_present, [*before, DENIED, True, started("batch")])

    assert played.error is None
    assert isinstance(order(played)[-1], Start)
    assert "may still be stopping" in played.said


@pytest.mark.parametrize(
    ("script", "error"),
    [([THROTTLED], ServiceError), ([STOPPING] * 2, AttemptError)],
    ids=["no answer", "goes on stopping"],
)
def test_it_is_waited_for_no_longer_than_patience(script: list[Any], error: type[Exception]) -> None:
    """After that the try ends, and has started nothing."""
    played = play(BADLY, present("batch", chooses=True, patience=0.0), script)

    assert isinstance(played.error, error)
    assert Start not in map(type, played.done)


@pytest.mark.parametrize("clear", [False, True], ids=["retry", "clear"])
def test_run_that_is_stopping_is_left_alone(*, clear: bool) -> None:
    """A new run does all of the work anew, so there is nothing to wait for."""
    played = play(BADLY, cleared("run") if clear else present("run"), [started("run")])

    assert [type(command) for command in order(played)] == [Start]
