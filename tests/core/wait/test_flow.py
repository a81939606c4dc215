"""The wait for a run or a batch, command by command, against a scripted service and a clock that only sleeps move."""

from __future__ import annotations

from dataclasses import replace

import botocore.session
import pytest

from airflow_provider_omics.core.commands import INFO, WARNING, Look, ReadManifest, Say, Sleep
from airflow_provider_omics.core.errors import CredentialsExpired, ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import MANIFEST_LOOKS, SECOND_LOOK, wait
from tests.core.wait.flows import (
    BATCH,
    CANCEL,
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

MODEL = botocore.session.get_session().get_service_model("omics")
RUN_ENDS = {"COMPLETED", "FAILED", "CANCELLED", "DELETED"}
BATCH_ENDS = {"PROCESSED", "FAILED", "CANCELLED", "RUNS_DELETED", "RUNS_DELETE_FAILED"}


@pytest.mark.parametrize("status", MODEL.shape_for("RunStatus").enum)
def test_every_run_status_is_waited_on_or_ends_the_wait(status: str) -> None:
    """A final status ends the wait at the first look; any other is looked at again."""
    again = () if status in RUN_ENDS else (run("COMPLETED"),)

    event, commands, _ = play(steadily(RUN), [run(status), *again])

    assert event == WaitEvent(Outcome.ENDED, again[0] if again else run(status))
    more = [Sleep(30.0), LOOK, Say(INFO, "Run 1: COMPLETED")] if again else []
    assert commands == [LOOK, Say(INFO, f"Run 1: {status}"), *more]


@pytest.mark.parametrize("status", MODEL.shape_for("BatchStatus").enum)
def test_every_batch_status_is_waited_on_or_ends_the_wait(status: str) -> None:
    """The same for batches; PROCESSED ends the wait whatever the counts say."""
    processed = batch("PROCESSED", failed_runs=8)
    again = () if status in BATCH_ENDS else (processed,)

    event, commands, _ = play(steadily(BATCH), [batch(status), *again])

    assert event == WaitEvent(Outcome.ENDED, processed if again else batch(status))
    look = Look("batch", "2")
    more = [Sleep(30.0), look, Say(INFO, "Batch 2: PROCESSED: failed 8 of 8")] if again else []
    assert commands == [look, Say(INFO, f"Batch 2: {status}: nothing yet of 8"), *more]


def test_a_line_is_written_for_a_change_only() -> None:
    """Looks that show the same as the one before are not told."""
    looks = [run(status) for status in ("PENDING", "PENDING", "RUNNING", "RUNNING", "RUNNING", "COMPLETED")]

    _, commands, _ = play(steadily(RUN), looks)

    said = [command.message for command in commands if isinstance(command, Say)]
    assert said == ["Run 1: PENDING", "Run 1: RUNNING", "Run 1: COMPLETED"]
    assert sleeps(commands) == [30.0] * 5


def test_progress_of_a_batch_is_a_change() -> None:
    """A batch is told again when a count has changed, though its status has not."""
    looks = [batch("INPROGRESS", running_runs=8), batch("INPROGRESS", running_runs=8), batch("INPROGRESS")]

    _, commands, _ = play(steadily(BATCH), [*looks, batch("PROCESSED", completed_runs=8)])

    assert [command.message for command in commands if isinstance(command, Say)] == [
        "Batch 2: INPROGRESS: running 8 of 8",
        "Batch 2: INPROGRESS: nothing yet of 8",
        "Batch 2: PROCESSED: completed 8 of 8",
    ]


def test_progress_of_a_large_batch_is_told_once_a_minute() -> None:
    """Over 100 runs some count changes at every look; a change of the status, and the end, are told at once."""
    counts = [batch("INPROGRESS", running_runs=number) for number in range(101, 110)]
    looks = [replace(look, total_runs=101) for look in (batch("PENDING"), *counts, batch("PROCESSED"))]

    _, commands, _ = play(steadily(BATCH), looks)

    said = [command.message.removeprefix("Batch 2: ") for command in commands if isinstance(command, Say)]
    assert said == [
        "PENDING: nothing yet of 101",
        "INPROGRESS: running 101 of 101",
        "INPROGRESS: running 103 of 101",
        "INPROGRESS: running 105 of 101",
        "INPROGRESS: running 107 of 101",
        "INPROGRESS: running 109 of 101",
        "PROCESSED: nothing yet of 101",
    ]


def test_an_unknown_run_status_is_waited_on_with_one_warning() -> None:
    """AWS adds statuses: one that nobody knows is taken for still going."""
    event, commands, _ = play(steadily(RUN), [run("PAUSED"), run("PAUSED"), run("COMPLETED")])

    assert event.snapshot.status == "COMPLETED"
    assert warnings(commands) == ["Run 1: PAUSED (a status unknown to this version: treated as still going)"]


def test_an_unknown_batch_status_is_warned_of_once_whatever_the_counts_do() -> None:
    """Progress in an unknown status is told, but the warning is not repeated."""
    looks = [batch("RETRYING", running_runs=number) for number in (3, 2, 1)]

    _, commands, _ = play(steadily(BATCH), [*looks, batch("PROCESSED")])

    assert [command.level for command in commands if isinstance(command, Say)] == [WARNING, INFO, INFO, INFO]


@pytest.mark.parametrize(("spread", "seconds"), [(0.0, 27.0), (0.5, 30.0), (1.0, 33.0)])
def test_jitter_is_a_tenth_of_the_interval(spread: float, seconds: float) -> None:
    """The interval varies by 10 % up and down."""
    _, commands, _ = play(wait(RUN, spread=lambda: spread), [run("RUNNING"), run("COMPLETED")])

    assert sleeps(commands) == [pytest.approx(seconds)]


def test_looks_are_spread_without_being_asked() -> None:
    """Unless told otherwise, sleeps differ and stay within the jitter."""
    _, commands, _ = play(wait(RUN), [*[run("RUNNING")] * 20, run("COMPLETED")])

    assert len(set(sleeps(commands))) > 1
    assert all(27.0 <= seconds <= 33.0 for seconds in sleeps(commands))


# -- gone, refused, out of reach -------------------------------------------------------------------------------------


def test_not_found_once_is_not_believed() -> None:
    """A second look follows five seconds later; the doubt is then forgotten."""
    script = [GONE, run("RUNNING"), GONE, run("COMPLETED")]

    event, commands, _ = play(steadily(RUN), script)

    assert event == WaitEvent(Outcome.ENDED, run("COMPLETED"))
    assert sleeps(commands) == [5.0, 30.0, 5.0]
    assert warnings(commands) == [f"{GONE}; looking once more before this is believed"] * 2


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED"])
def test_the_manifest_tells_how_a_vanished_run_ended(status: str) -> None:
    """Its own facts count; what it does not tell comes from the last look."""
    told = RunSnapshot("1", status, "uuid-1", failure_reason="X")

    event, commands, _ = play(steadily(RUN), [run("RUNNING", started=0), GONE, GONE, told])

    expected = replace(run(status, started=0), failure_reason="X")
    assert event == WaitEvent(Outcome.ENDED, expected)
    assert commands[-2:] == [MANIFEST, Say(WARNING, f"The record of run 1 is gone; its manifest says {status}")]


@pytest.mark.parametrize(
    ("told", "error"),
    [(None, str(GONE)), (DENIED, f"{GONE}; its manifest could not be read: {DENIED}")],
    ids=["silent", "error"],
)
def test_a_run_vanishes_when_its_manifest_does_not_tell(told: Result, error: str) -> None:
    """Silence is not success, and a manifest that could not be read is told as such."""
    event, commands, _ = play(steadily(RUN), [run("RUNNING"), GONE, GONE, told])

    assert event == WaitEvent(Outcome.VANISHED, run("RUNNING"), error=error)
    assert commands[-1] == MANIFEST


def test_trouble_with_the_manifest_is_borne_for_a_minute() -> None:
    """Nothing else tells how the run ended, so throttling does not decide it."""
    told = RunSnapshot("1", "COMPLETED", "uuid-1")

    event, commands, seconds = play(steadily(RUN), [GONE, GONE, THROTTLED, THROTTLED, told])
    assert (event.outcome, event.snapshot.status) == (Outcome.ENDED, "COMPLETED")
    assert commands.count(MANIFEST) == 3
    assert seconds == SECOND_LOOK * (1 + 1 + 2)

    event, commands, seconds = play(steadily(RUN), [GONE, GONE, *[THROTTLED] * MANIFEST_LOOKS])
    assert event.outcome is Outcome.VANISHED
    assert str(THROTTLED) in str(event.error)
    assert seconds > 60


def test_a_batch_has_no_manifest() -> None:
    """A batch that is not found twice has vanished."""
    event, commands, _ = play(steadily(BATCH), [GONE, GONE])

    assert event == WaitEvent(Outcome.VANISHED, BatchSnapshot("2", "UNKNOWN", "uuid-2"), error=str(GONE))
    assert not any(isinstance(command, ReadManifest) for command in commands)


@pytest.mark.parametrize("uuid", ["uuid-1", None], ids=["known from the start", "known from the first look"])
def test_another_run_under_the_same_id_is_not_ours(uuid: str | None) -> None:
    """Ids are used again after deletion: another uuid means that our run is gone, however well the other one ended."""
    other = run("COMPLETED", uuid="other")

    event, commands, _ = play(steadily(replace(RUN, uuid=uuid)), [run("RUNNING"), other, other, None])

    assert (event.outcome, event.snapshot) == (Outcome.VANISHED, run("RUNNING"))
    assert commands[-1] == MANIFEST


def test_a_run_whose_uuid_nobody_knows_is_taken_as_it_is() -> None:
    """Without a uuid in the plan, or in the answer, nothing is compared."""
    assert play(steadily(replace(RUN, uuid=None)), [run("COMPLETED")])[0].outcome is Outcome.ENDED
    assert play(steadily(RUN), [run("COMPLETED", uuid=None)])[0].outcome is Outcome.ENDED


@pytest.mark.parametrize("error", [DENIED, INVALID], ids=lambda error: error.code)
def test_a_refusal_is_believed_the_second_time(error: ServiceError) -> None:
    """A missing permission ends the wait after a second look, without any cancel."""
    event, commands, _ = play(steadily(replace(RUN, deadline=START + 9.0)), [run("STARTING"), 9.0, error, error])

    assert event == WaitEvent(Outcome.REFUSED, run("STARTING"), error=str(error), seconds=5.0)
    assert CANCEL not in commands


@pytest.mark.parametrize("error", [THROTTLED, Unavailable("GetRun", "ReadTimeoutError", "no answer")], ids=str)
def test_an_outage_is_borne(error: ServiceError) -> None:
    """Looks that fail are repeated more and more slowly, at most every five minutes; one warning tells of it."""
    script = [run("RUNNING"), *[error] * 6, run("RUNNING"), error, run("COMPLETED")]

    event, commands, _ = play(steadily(RUN), script)

    assert event == WaitEvent(Outcome.ENDED, run("COMPLETED"))
    assert sleeps(commands) == [30.0, 30.0, 60.0, 120.0, 240.0, 300.0, 300.0, 30.0, 30.0]
    assert warnings(commands) == [f"{error}; trying again for up to 10800 s"] * 2


def test_an_address_where_nothing_answers() -> None:
    """Its Region or host may be mistyped: the log has the address at once, and again each minute."""
    error = Unavailable("GetRun", "EndpointConnectionError", "Could not connect to https://nowhere")
    plan = replace(RUN, poll_interval=10.0)

    event, commands, _ = play(steadily(plan), [*[error] * 6, run("COMPLETED")])

    assert event.outcome is Outcome.ENDED
    assert sleeps(commands) == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert warnings(commands) == [
        f"{error}; trying again for up to {10_800 - seconds} s" for seconds in (0, 70, 130, 190)
    ]


def test_an_interval_beyond_the_longest_back_off() -> None:
    """A failed look is repeated after five minutes at the latest, also where looks are an hour apart."""
    _, commands, _ = play(steadily(replace(RUN, poll_interval=3600.0)), [THROTTLED, run("COMPLETED")])

    assert sleeps(commands) == [300.0]


@pytest.mark.parametrize(("patience", "looks", "seconds"), [(89.0, 3, 89.0), (90.0, 3, 90.0), (91.0, 4, 91.0)])
def test_contact_is_lost_when_patience_is_exhausted(patience: float, looks: int, seconds: float) -> None:
    """The first failing look beyond the patience ends the wait; nothing is cancelled, and the seconds are told."""
    last = CredentialsExpired("GetRun", "ExpiredTokenException", "expired")
    script = [run("RUNNING"), *[THROTTLED] * (looks - 1), last]

    event, commands, _ = play(steadily(replace(RUN, patience=patience)), script)

    assert event == WaitEvent(Outcome.LOST_CONTACT, run("RUNNING"), error=str(last), seconds=seconds)
    assert CANCEL not in commands


def test_a_good_look_renews_the_patience() -> None:
    """Patience counts failures without a look between; outages that follow each other do not add up."""
    script = [THROTTLED, THROTTLED, run("RUNNING")] * 5

    event, _, _ = play(steadily(replace(RUN, patience=60.0)), [*script, run("COMPLETED")])

    assert event.outcome is Outcome.ENDED


@pytest.mark.parametrize(
    ("script", "outcome", "pauses"),
    [
        ([THROTTLED, GONE, THROTTLED, run("COMPLETED")], Outcome.ENDED, [30.0, 5.0, 60.0]),
        ([THROTTLED, GONE, THROTTLED, GONE, None], Outcome.VANISHED, [30.0, 5.0, 60.0]),
        ([GONE, THROTTLED, DENIED], Outcome.REFUSED, [5.0, 30.0]),
        ([GONE, run("RUNNING"), THROTTLED, GONE, run("COMPLETED")], Outcome.ENDED, [5.0, 30.0, 30.0, 5.0]),
    ],
    ids=["found again", "gone", "refused", "each doubt forgotten"],
)
def test_throttling_between_doubts(script: list[Result], outcome: Outcome, pauses: list[float]) -> None:
    """Throttling neither confirms a doubt nor ends it; a good look does."""
    event, commands, _ = play(steadily(RUN), script)

    assert event.outcome is outcome
    assert sleeps(commands) == pauses
