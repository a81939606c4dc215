"""Trouble on the way to a start, command by command: what is repeated, searched or given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_omics.core.attempt.commands import Find, Save, Start
from airflow_provider_omics.core.attempt.earlier import REQUEST_ID_MEMORY
from airflow_provider_omics.core.attempt.flow import CREDENTIAL_TRIES, Begun, begin
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.commands import Look
from airflow_provider_omics.core.errors import AccessDenied, AttemptError, InvalidRequest, QuotaExceeded, ServiceError
from airflow_provider_omics.core.wait.flow import LIST_LAG
from tests.core.attempt.flows import (
    BROKEN,
    CONFLICT,
    DENIED,
    EXPIRED,
    NOW,
    THROTTLED,
    Played,
    answered,
    first,
    fresh,
    kinds,
    known,
    play,
    present,
    seen,
    started,
)


@kinds
def test_throttled_start_is_repeated_to_the_letter(kind: str) -> None:
    """Forty refusals: the same request again and again, with a growing pause, and searches once the id is old."""
    now_present = present(kind, patience=1e9)
    script: list[Any] = []
    now, searches = NOW, 0
    for failure in range(40):
        script.append(THROTTLED)
        now += min(2.0 * 2**failure, 300.0)
        if now - NOW > REQUEST_ID_MEMORY:
            script += [None, None]
            now += LIST_LAG
            searches += 2

    played = play(None, now_present, [*script, started(kind)])

    assert {command.record for command in played.done if isinstance(command, Start)} == {fresh()}
    assert len([command for command in played.done if isinstance(command, Start)]) == 41
    assert len([command for command in played.done if isinstance(command, Find)]) == searches > 0
    assert played.slept[:9] == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0]
    assert played.begun == Begun(answered(fresh()), started(kind))


@kinds
@pytest.mark.parametrize("patience", [0.0, 5.0, 500.0, 3000.0])
def test_start_is_given_up_after_patience(kind: str, patience: float) -> None:
    """When it does not get through for patience, the last error ends the try; its record stays for the next."""
    played = Played(begin(None, present(kind, patience=patience), now=NOW), default=BROKEN)

    assert played.error is BROKEN
    assert patience <= played.now - NOW < patience + 300.0 + LIST_LAG
    assert [command for command in played.done if isinstance(command, Save)] == [Save(fresh())]


@kinds
@pytest.mark.parametrize("error", [DENIED, QuotaExceeded("StartRun", "Q", "q"), InvalidRequest("StartRun", "V", "v")])
def test_refused_start_is_not_repeated(kind: str, error: ServiceError) -> None:
    """What waiting does not make right ends the try at once."""
    played = play(None, present(kind), [error])

    assert played.error is error
    assert played.done == [Save(fresh()), Start(fresh())]
    assert played.slept == []


@kinds
def test_refused_credentials_are_tried_a_few_times(kind: str) -> None:
    """Renewed credentials may be there in a moment; wrong ones stay wrong."""
    played = play(None, present(kind), [EXPIRED] * (CREDENTIAL_TRIES + 1))

    assert played.error is EXPIRED


@kinds
def test_lost_answer_is_found_before_a_late_resend(kind: str) -> None:
    """The answer was lost, and the service out of reach for longer than it may remember the id: searched first."""
    script: list[Any] = []
    now, failure = NOW, 0
    while now - NOW <= REQUEST_ID_MEMORY:
        script.append(BROKEN)
        now += min(2.0 * 2**failure, 300.0)
        failure += 1

    played = play(None, present(kind), [*script, seen(kind, "RUNNING")])

    assert played.done[-2:] == [Find(fresh()), Save(fresh(resource_id="7", resource_uuid="uuid-7"))]
    assert played.begun is not None
    assert played.begun.snapshot == seen(kind, "RUNNING")


@kinds
def test_known_request_id_answered_with_a_conflict(kind: str) -> None:
    """A ConflictException for a resend means that it has arrived before: found, it is kept."""
    record = replace(first(), owner_try=2)

    played = play(first(), present(kind), [None, None, CONFLICT, None, seen(kind, "PENDING")])

    assert played.done[-4:] == [Start(record), Find(record), Find(record), Save(replace(known(), owner_try=2))]
    assert played.begun == Begun(replace(known(), owner_try=2), seen(kind, "PENDING"))


@kinds
def test_conflict_without_a_find_is_an_error(kind: str) -> None:
    """A conflict that nothing explains is handed on; nothing else is sent."""
    played = play(None, present(kind), [CONFLICT, None, None])

    assert played.error is CONFLICT
    assert played.done == [Save(fresh()), Start(fresh()), Find(fresh()), Find(fresh())]


@kinds
@pytest.mark.parametrize(
    ("age", "changes", "resent"),
    [
        pytest.param(60.0, {}, True, id="a moment ago: the id is remembered"),
        pytest.param(REQUEST_ID_MEMORY + 1, {}, False, id="too long ago"),
        pytest.param(60.0, {"fingerprint": "other"}, False, id="with other settings"),
        pytest.param(REQUEST_ID_MEMORY + 1, {"max_tries": 2}, True, id="cleared: the user has looked"),
    ],
)
def test_request_that_cannot_be_searched(kind: str, age: float, changes: dict[str, Any], *, resent: bool) -> None:
    """Without the right to list, nothing is sent again unless the service remembers, or a user has cleared the task."""
    record = first(requested_at=NOW - age)
    now_present = present(kind, **changes)

    played = play(record, now_present, [DENIED, *([started(kind)] if resent else [])])

    starts = [command.record for command in played.done if isinstance(command, Start)]
    if not resent:
        assert isinstance(played.error, AttemptError)
        assert played.error.request_id == "old-id"
        assert isinstance(played.error.__cause__, AccessDenied)
        assert starts == []
    elif changes:
        assert [start.request_id for start in starts] == ["new-id"]
    else:
        assert starts == [replace(record, owner_try=2)]


@kinds
@pytest.mark.parametrize("record", [first(), known()], ids=["searching", "looking"])
def test_earlier_attempt_is_asked_for_with_patience(kind: str, record: AttemptRecord) -> None:
    """Throttling while the earlier attempt is resolved is borne."""
    played = play(record, present(kind), [THROTTLED, BROKEN, seen(kind, "RUNNING")])

    assert played.slept == [2.0, 4.0]
    assert played.begun == Begun(replace(known(), owner_try=2), seen(kind, "RUNNING"))


@kinds
@pytest.mark.parametrize("record", [first(), known()], ids=["searching", "looking"])
def test_nothing_is_started_while_the_earlier_attempt_is_unclear(kind: str, record: AttemptRecord) -> None:
    """After patience the try ends with the last error, and nothing was sent."""
    played = play(record, present(kind, patience=2.0), [THROTTLED, THROTTLED])

    assert played.error is THROTTLED
    assert Start not in map(type, played.done)


@kinds
def test_look_that_is_refused_ends_the_try(kind: str) -> None:
    """Whether the earlier one lives is not known: nothing is started beside it."""
    refused = AccessDenied("GetRun", "AccessDeniedException", "not you")

    played = play(known(), present(kind), [refused])

    assert played.error is refused
    assert played.done == [Look(kind, "7")]
