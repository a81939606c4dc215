"""Batches whose attempts submit only what earlier ones have not completed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_omics.core.attempt.commands import Choose, IsSuccess, Save, Start
from airflow_provider_omics.core.attempt.flow import Begun
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.commands import Cancel, Look
from airflow_provider_omics.core.errors import AttemptError
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import UNKNOWN
from tests.core.attempt.flows import (
    FOLLOWING,
    GONE,
    answered,
    cleared,
    first,
    fresh,
    known,
    play,
    present,
    seen,
    started,
)

CLEARED = {**FOLLOWING, "attempts_since_clear": 1, "max_tries": 2}


def chosen(record: AttemptRecord) -> list[Any]:
    """Give the commands of an attempt that submits some samples: the choice is kept before its request id is."""
    record = replace(record, chosen=True)
    return [Choose(record), Save(record), Start(record), Save(answered(record))]


@pytest.mark.parametrize("ended", [Ended.BADLY, None], ids=["known to have failed", "found failed"])
def test_retry_chooses(ended: Ended | None) -> None:
    """After a bad end the choice comes first, then the request id is saved, then it is sent."""
    # Looked at; where the end is not on record, judged, and asked what of it is still going.
    look = [seen("batch", "FAILED"), *([] if ended else [False, ()])]

    played = play(known(ended=ended), present("batch", chooses=True), [*look, True, started("batch")])

    assert played.done[len(look) :] == chosen(fresh(**FOLLOWING))


@pytest.mark.parametrize("ended", [Ended.WELL, Ended.BADLY])
@pytest.mark.parametrize("fingerprint", ["same", "other"])
def test_clear_chooses(ended: Ended, fingerprint: str) -> None:
    """After a clear too, whatever the end was and whether or not the settings are the same."""
    now_present = cleared("batch", chooses=True, fingerprint=fingerprint)

    look = [seen("batch", "PROCESSED")] if ended is Ended.BADLY else []

    played = play(known(ended=ended), now_present, [*look, True, started("batch")])

    assert played.done[len(look) :] == chosen(fresh(**CLEARED, fingerprint=fingerprint))


def test_clear_waits_for_the_end_of_what_it_cancels() -> None:
    """What completes while a cancelled batch stops must not be submitted again."""
    stopping, cancelled = seen("batch", "STOPPING"), seen("batch", "CANCELLED")
    script = [seen("batch", "INPROGRESS"), None, stopping, stopping, stopping, stopping, cancelled, True]

    played = play(known(), cleared("batch", chooses=True), [*script, started("batch")])

    assert played.done[:2] == [Look("batch", "7"), Cancel("batch", "7")]
    assert isinstance(played.done[-4], Choose)
    assert played.done[-5] == Look("batch", "7")
    assert "Waiting for the end of batch 7" in played.said


def test_batch_that_does_not_stop() -> None:
    """One that stops for longer than patience allows is told, and nothing is started beside it."""
    stopping = seen("batch", "STOPPING")

    played = play(known(), cleared("batch", chooses=True, patience=25.0), [stopping] * 5)

    assert isinstance(played.error, AttemptError)
    assert not any(isinstance(command, Start) for command in played.done)


@pytest.mark.parametrize("has_earlier", [False, True])
def test_first_attempt(has_earlier: bool) -> None:
    """The first attempt chooses only where results of other tasks are named."""
    now_present = present("batch", chooses=True, has_earlier=has_earlier)

    played = play(None, now_present, [*([True] if has_earlier else []), started("batch")])

    assert any(isinstance(command, Choose) for command in played.done) is has_earlier


def test_nothing_left() -> None:
    """Nothing is started; the record names the last batch, and how to force a rerun is told."""
    played = play(known(ended=Ended.WELL), cleared("batch", chooses=True), [False])

    idle = fresh(**{**CLEARED, "attempts": 1}, chosen=True, idle=True, resource_id="7", resource_uuid="uuid-7")
    assert played.done == [Choose(played.done[0].record), Save(idle)]
    assert played.begun == Begun(idle, BatchSnapshot("7", UNKNOWN, "uuid-7"))
    assert "rerun='all'" in played.said


@pytest.mark.parametrize("clear", [False, True])
def test_after_nothing_was_left(clear: bool) -> None:
    """The next try asks again, and takes what was remembered then for what is known."""
    idle = known(idle=True, chosen=True, request_id="idle-id", previous_request_id="old-id", previous_id="7")
    now_present = cleared("batch", chooses=True) if clear else present("batch", chooses=True)

    played = play(idle, now_present, [True, started("batch")])

    record = played.done[0].record
    assert isinstance(played.done[0], Choose)
    assert (record.previous_request_id, record.previous_id, record.attempts) == ("idle-id", None, 1)


def test_attempt_that_never_started_is_passed_over() -> None:
    """What a request that was never sent follows, the next one follows as well."""
    record = first(attempts=2, attempts_since_clear=2, chosen=True, previous_request_id="older", previous_id="6")

    played = play(record, present("batch", chooses=True, fingerprint="other"), [None, None, True, started("batch")])

    (choice,) = [command.record for command in played.done if isinstance(command, Choose)]
    assert (choice.previous_request_id, choice.previous_id) == ("older", "6")
    assert (choice.attempts, choice.attempts_since_clear) == (2, 2)


def test_request_is_sent_again_without_another_choice() -> None:
    """A request id was saved after the choice was kept: the same samples are submitted."""
    record = first(chosen=True, attempts=2, attempts_since_clear=2, previous_request_id="older", previous_id="6")

    played = play(record, present("batch", chooses=True), [None, None, started("batch")])

    assert not any(isinstance(command, Choose) for command in played.done)
    assert [command.record.request_id for command in played.done if isinstance(command, Start)] == ["old-id"]


def test_vanished_batch_is_for_the_choice() -> None:
    """A batch whose record is gone at a clear: what is known of its samples decides, nothing else."""
    played = play(known(), cleared("batch", chooses=True), [GONE, GONE, True, started("batch")])

    assert played.done[-4:] == chosen(fresh(**CLEARED, requested_at=played.now))


def test_stored_success_is_judged_as_before() -> None:
    """A retry that finds a success takes it over, whatever could be chosen."""
    end = seen("batch", "PROCESSED")

    played = play(known(), present("batch", chooses=True), [end, True])

    assert played.done == [Look("batch", "7"), IsSuccess(end)]
