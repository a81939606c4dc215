"""What a new try does with what an earlier one left, command by command, for a run and for a batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_omics.core.attempt.commands import Find, IsSuccess, Save, Start
from airflow_provider_omics.core.attempt.earlier import REQUEST_ID_MEMORY, SETTLE, STOPPING_LOOKS
from airflow_provider_omics.core.attempt.flow import Begun
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.commands import Cancel, ListActive, Look, ReadManifest
from airflow_provider_omics.core.errors import AttemptError
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import UNKNOWN
from airflow_provider_omics.core.wait.flow import LIST_LAG, SECOND_LOOK
from tests.core.attempt.flows import (
    DENIED,
    FOLLOWING,
    GONE,
    NOW,
    anew,
    answered,
    cleared,
    first,
    fresh,
    kinds,
    known,
    play,
    present,
    seen,
    started,
    stragglers,
)


@kinds
def test_first_try_saves_its_request_id_before_it_sends_and_the_id_right_after(kind: str) -> None:
    """The record is stored before the request leaves, and the run's id as soon as it is known."""
    now_present = present(kind, try_number=1, new_request_id="new-id", tagged=False, name_hash="hash")

    played = play(None, now_present, [started(kind)])

    record = fresh(first_try=1, owner_try=1, tagged=False, name_hash="hash")
    assert played.all == [Save(record), Start(record), Save(answered(record))]
    assert played.begun == Begun(answered(record), started(kind))


@kinds
@pytest.mark.parametrize("changed", [False, True], ids=["same settings", "changed settings"])
@pytest.mark.parametrize("ended", [None, Ended.LOST], ids=["crashed", "lost contact"])
@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "A_NEW_STATUS"])
def test_what_is_alive_is_adopted(kind: str, status: str, ended: Ended | None, *, changed: bool) -> None:
    """A retry takes over what is going, whatever its settings are by now: one look, one save, no start."""
    record = known(ended=ended)
    now_present = present(kind, fingerprint="other" if changed else "same")

    played = play(record, now_present, [seen(kind, status)])

    adopted = replace(record, owner_try=2, ended=None)
    assert played.done == [Look(kind, "7"), Save(adopted)]
    assert played.begun == Begun(adopted, seen(kind, status))
    assert ("settings have changed" in played.said) is changed
    assert "Adopting" in played.said


@kinds
@pytest.mark.parametrize(
    ("end", "judged"), [("well", True), ("CANCELLED", False), ("FAILED", False)], ids=["well", "cancelled", "failed"]
)
def test_what_is_stopping_is_judged_by_its_end(kind: str, end: str, *, judged: bool) -> None:
    """What stops may complete, or was cancelled: at its end its result is used, or a new one starts."""
    end = {"run": "COMPLETED", "batch": "PROCESSED"}[kind] if judged else end
    stopping = [seen(kind, "STOPPING")] * 3
    adopted = known(owner_try=2)
    _, answers = stragglers(kind, end)
    rest = [] if judged else [*answers, started(kind)]

    played = play(known(), present(kind), [*stopping, seen(kind, end), judged, *rest])

    assert played.slept == [SETTLE] * 3
    assert played.done[:2] == [Look(kind, "7"), Save(adopted)]
    if judged:
        assert played.done[2:] == [Look(kind, "7")] * 3 + [IsSuccess(seen(kind, end))]
        assert played.begun == Begun(adopted, seen(kind, end))
    else:
        new = fresh(requested_at=NOW + 3 * SETTLE, **FOLLOWING)
        assert played.done[-3:] == [Save(new), Start(new), Save(answered(new))]


@kinds
def test_what_does_not_stop_stopping_is_adopted(kind: str) -> None:
    """After ten minutes of STOPPING the task waits as it always does: deferred, without a worker."""
    stopping = seen(kind, "STOPPING")

    played = play(known(), present(kind), [stopping] * (1 + STOPPING_LOOKS))

    assert played.slept == [SETTLE] * STOPPING_LOOKS
    assert played.begun == Begun(known(owner_try=2), stopping)


@kinds
def test_what_vanishes_while_it_stops_is_not_started_again(kind: str) -> None:
    """Gone before its end was seen: nobody knows how it ended."""
    manifest = [None] if kind == "run" else []

    played = play(known(), present(kind), [seen(kind, "STOPPING"), GONE, GONE, *manifest])

    assert played.begun is not None
    assert played.begun.vanished
    assert played.begun.snapshot.status == UNKNOWN


@kinds
@pytest.mark.parametrize("changed", [False, True], ids=["same settings", "changed settings"])
@pytest.mark.parametrize("lag", [False, True], ids=["listed at once", "listed late"])
def test_unanswered_request_is_searched_first(kind: str, *, changed: bool, lag: bool) -> None:
    """A request id without a run: its run is found by name and tag, and adopted; lists may lag."""
    record = first()
    now_present = present(kind, fingerprint="other" if changed else "same")

    played = play(record, now_present, [*([None] if lag else []), seen(kind, "RUNNING")])

    adopted = replace(known(), owner_try=2)
    finds = [Find(record)] * (2 if lag else 1)
    assert played.done == [*finds, Save(known()), Save(adopted)]
    assert played.slept == ([LIST_LAG] if lag else [])
    assert played.begun == Begun(adopted, seen(kind, "RUNNING"))


@kinds
@pytest.mark.parametrize("age", [60.0, REQUEST_ID_MEMORY + 60.0], ids=["at once", "hours later"])
def test_request_that_never_arrived_is_sent_again(kind: str, age: float) -> None:
    """Found nowhere in two searches: the same request goes out again under the same id, its first try unchanged."""
    record = first(requested_at=NOW - age)

    played = play(record, present(kind), [None, None, started(kind)])

    again = replace(record, owner_try=2)
    assert played.done == [Find(record), Find(record), Save(again), Start(again), Save(answered(again))]
    assert played.begun == Begun(answered(again), started(kind))


@kinds
def test_another_request_is_never_sent_under_the_old_id(kind: str) -> None:
    """Changed settings, and nothing came of the old request: a new one under a new id."""
    played = play(first(), present(kind, fingerprint="other"), [None, None, started(kind)])

    new = fresh(fingerprint="other", requested_at=NOW + LIST_LAG)
    assert played.done == [
        Find(first()), Find(first()), Save(first()), Save(new), Start(new), Save(answered(new))
    ]  # fmt: skip
    assert played.begun == Begun(answered(new), started(kind))


@kinds
@pytest.mark.parametrize("changed", [False, True], ids=["same settings", "changed settings"])
@pytest.mark.parametrize("ended", [None, Ended.LOST, Ended.WELL], ids=["crashed", "lost contact", "told well"])
def test_what_ended_well_is_returned(kind: str, ended: Ended | None, *, changed: bool) -> None:
    """Finished while nobody looked: its result is used, nothing is started."""
    end = seen(kind, "COMPLETED" if kind == "run" else "PROCESSED")
    record = known(ended=ended)

    played = play(record, present(kind, fingerprint="other" if changed else "same"), [end, True])

    assert played.done == [Look(kind, "7"), IsSuccess(end)]
    assert played.begun == Begun(replace(record, owner_try=2), end)


@kinds
@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "PROCESSED"])
def test_what_is_found_to_have_ended_badly_is_replaced(kind: str, status: str) -> None:
    """Failed while nobody looked: a new attempt under a new id."""
    end = seen(kind, "FAILED" if (kind, status) == ("run", "PROCESSED") else status)

    lists, answers = stragglers(kind, end.status)
    played = play(known(), present(kind), [end, False, *answers, started(kind)])

    assert played.done == [Look(kind, "7"), IsSuccess(end), *lists, *anew(kind)]


@pytest.mark.parametrize("clear", [False, True], ids=["retry", "clear"])
@pytest.mark.parametrize(
    "end",
    [seen("batch", "FAILED"), BatchSnapshot("7", "CANCELLED", "uuid-7", counts={"failed_cancels": 1})],
    ids=["failed", "cancelled in part"],
)
def test_what_an_ended_batch_left_going_is_cancelled_before_another_starts(end: BatchSnapshot, *, clear: bool) -> None:
    """Runs of a batch that FAILED, or whose cancel was partial, would be paid beside the new ones."""
    now_present = cleared("batch") if clear else present("batch")
    judged = [] if clear else [False]

    played = play(known(), now_present, [end, *judged, ("11", "12"), None, None, started("batch")])

    order = [
        ListActive("7"),
        Cancel("run", "11"),
        Cancel("run", "12"),
        *anew("batch", **({"max_tries": 2} if clear else {})),
    ]
    assert played.done[-len(order) :] == order


def test_without_cancel_on_kill_nothing_that_a_batch_left_is_cancelled() -> None:
    """cancel_on_kill=False holds for the runs of a batch that FAILED as well."""
    played = play(known(), present("batch", cancel=False), [seen("batch", "FAILED"), False, started("batch")])

    assert not [command for command in played.done if isinstance(command, (ListActive, Cancel))]


@pytest.mark.parametrize("clear", [False, True], ids=["retry", "clear"])
@pytest.mark.parametrize(("kind", "looks"), [("run", 0), ("batch", 1)])
def test_what_the_earlier_try_saw_fail_is_replaced_at_once(kind: str, looks: int, *, clear: bool) -> None:
    """A recorded failure: a new attempt, after one look at a batch, which may have been cancelled and be stopping."""
    now_present = cleared(kind) if clear else present(kind)
    script = [seen(kind, "FAILED")] * looks

    played = play(known(ended=Ended.BADLY), now_present, [*script, started(kind)])

    assert played.done == [Look(kind, "7")] * looks + anew(kind, **({"max_tries": 2} if clear else {}))
    assert played.slept == []


@kinds
@pytest.mark.parametrize("record", [first(), known(), known(ended=Ended.LOST)], ids=["unanswered", "alive", "lost"])
def test_without_durable_each_try_starts_afresh(kind: str, record: AttemptRecord) -> None:
    """durable=False: nothing is looked at, and the record is still written."""
    played = play(record, present(kind, durable=False), [started(kind)])

    following = {} if record.resource_id else {"attempts": 1, "attempts_since_clear": 1}
    unknown = {} if record.resource_id else {"previous_request_id": None, "previous_id": None}
    assert played.done == anew(kind, **following, **unknown)


@kinds
def test_vanished_run_is_not_started_again(kind: str) -> None:
    """Not found twice, some time apart, and no manifest tells its end: handed on as vanished, nothing is started."""
    played = play(known(), present(kind), [GONE, GONE, *([None] if kind == "run" else [])])

    assert played.done == [Look(kind, "7")] * 2 + ([ReadManifest("7", "uuid-7")] if kind == "run" else [])
    assert played.slept == [SECOND_LOOK]
    assert played.begun == Begun(known(), seen(kind, UNKNOWN), vanished=True)


@kinds
def test_a_reused_id_is_not_ours(kind: str) -> None:
    """An answer with another uuid is another run: ours counts as gone."""
    other = seen(kind, "RUNNING", uuid="uuid-of-another")

    played = play(known(), present(kind), [other, other, *([DENIED] if kind == "run" else [])])

    assert played.begun == Begun(known(), seen(kind, UNKNOWN), vanished=True)


def test_vanished_run_that_completed_by_its_manifest_is_returned() -> None:
    """Retention removed the record of a completed run: its manifest counts."""
    end = RunSnapshot("7", "COMPLETED", "uuid-7")

    played = play(known(), present("run"), [GONE, GONE, end, True])

    assert played.begun == Begun(replace(known(), owner_try=2), end)
    assert Start not in map(type, played.done)


@kinds
def test_a_moment_of_not_found_is_not_believed(kind: str) -> None:
    """Not found once, then there: adopted."""
    played = play(known(), present(kind), [GONE, seen(kind, "RUNNING")])

    assert played.begun == Begun(replace(known(), owner_try=2), seen(kind, "RUNNING"))


# -- cleared by a user: max_tries differs ------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("record", [first(), known(), known(ended=Ended.LOST)], ids=["unanswered", "known", "lost"])
def test_clear_cancels_what_is_alive_and_starts_afresh(kind: str, record: AttemptRecord) -> None:
    """After a clear the old one is found, cancelled and not waited for; then a new one is made."""
    find: list[Any] = [Find(record), Save(known())] if record.resource_id is None else [Look(kind, "7")]
    settled = [seen(kind, "CANCELLED")] if kind == "batch" else []

    played = play(record, cleared(kind), [seen(kind, "RUNNING"), None, *settled, started(kind)])

    looks = [Look(kind, "7")] * len(settled)
    assert played.done == [*find, Cancel(kind, "7"), *looks, *anew(kind, max_tries=2)]
    assert played.begun == Begun(played.done[-1].record, started(kind))


@kinds
@pytest.mark.parametrize("changed", [False, True], ids=["same settings", "changed settings"])
@pytest.mark.parametrize("misses", [1, 2])
def test_clear_searches_what_was_not_answered(kind: str, misses: int, *, changed: bool) -> None:
    """An unanswered request is searched after a clear too; nothing found: a new one under a new id."""
    now_present = cleared(kind, fingerprint="other" if changed else "same")
    found = [seen(kind, "FAILED")] if misses == 1 else []

    _, answers = stragglers(kind, "FAILED") if found else ([], [])
    played = play(first(), now_present, [*[None] * misses, *found, *answers, started(kind)])

    assert [command for command in played.done if isinstance(command, Find)] == [Find(first())] * 2
    (start,) = (command for command in played.done if isinstance(command, Start))
    assert start.record.request_id == "new-id"
    assert start.record.max_tries == 2


@kinds
def test_clear_without_cancel_on_kill_leaves_the_old_one_going(kind: str) -> None:
    """cancel_on_kill=False holds for a clear as well: said in the log, and a new one is started."""
    played = play(known(), cleared(kind, cancel=False), [seen(kind, "RUNNING"), started(kind)])

    assert played.done == [Look(kind, "7"), *anew(kind, max_tries=2)]
    assert "left going" in played.said


@kinds
def test_clear_does_not_cancel_what_stops_already(kind: str) -> None:
    """STOPPING: the trigger's own cancel came first, or it is at its end."""
    played = play(known(), cleared(kind), [seen(kind, "STOPPING"), started(kind)])

    assert played.done == [Look(kind, "7"), *anew(kind, max_tries=2)]


@kinds
def test_clear_starts_nothing_beside_what_cannot_be_cancelled(kind: str) -> None:
    """The old one lives and may not be cancelled: an error that names both ids, nothing started."""
    played = play(known(), cleared(kind), [seen(kind, "RUNNING"), DENIED])

    assert isinstance(played.error, AttemptError)
    assert (played.error.request_id, played.error.resource_id) == ("old-id", "7")
    assert played.done == [Look(kind, "7"), Cancel(kind, "7")]


@kinds
def test_clear_of_what_has_ended_well_starts_a_new_one(kind: str) -> None:
    """After success a cleared task starts afresh, without a look at the old one."""
    played = play(known(ended=Ended.WELL), cleared(kind), [started(kind)])

    assert played.done == anew(kind, max_tries=2)
