"""What the shared poll costs, what it believes, and how late it is."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.wait.events import Outcome
from airflow_provider_omics.waiting import pending
from tests.watching_support import World, world

if TYPE_CHECKING:
    from tests.airflow_support import Connect

__all__ = ["world"]

MINUTE = {"pending": 0, "starting": 5, "running": 50, "stopping": 5}
HOUR = {**MINUTE, "running": 3600}
Lines = Callable[..., list[str]]


def statuses(events: list[Any]) -> set[str]:
    return {event.snapshot.status for event in events}


def test_many_waits_share_pages_of_a_list(world: World) -> None:
    """60 runs of a minute, looked at every 10 s: a GetRun for the end of each, and few pages in between."""
    world.scenario(MINUTE)
    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(60)))

    assert statuses(events) == {"COMPLETED"}
    assert world.calls["ListRuns"] < 20
    assert world.calls["GetRun"] < 2 * 60 + 10


@pytest.mark.parametrize("waits", [1, 4])
def test_few_waits_never_list_what_is_others(world: World, waits: int) -> None:
    """Among 1,500 active runs of others a wait costs its own GetRuns: 7 in a minute, and not one page."""
    world.scenario({"match": {"name": "others*"}, **HOUR}, MINUTE)
    world.start(1500, "others")

    world.play(*(world.wait(world.trigger(run)) for run in world.start(waits)))

    assert world.calls.get("ListRuns", 0) == 0
    assert world.calls["GetRun"] <= 8 * waits


def test_list_that_costs_more_is_given_up(world: World) -> None:
    """30 waits behind 4,000 runs of others: the first round stops after 30 pages, the next ones are by GetRun."""
    world.scenario({"match": {"name": "others*"}, **HOUR}, MINUTE)
    world.start(4000, "others")

    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(30)))

    assert statuses(events) == {"COMPLETED"}
    assert world.calls["ListRuns"] <= 30


def test_waits_on_one_batch_list_its_runs_alone(world: World) -> None:
    """12 runs of one batch among 1,500 of others: once their batch is known, a round is a page of it."""
    world.scenario({"match": {"name": "others*"}, **HOUR}, {**MINUTE, "running": 300}, batches=[{"creating": 0}])
    world.start(1500, "others")
    world.start_batch(*(f"S{i}" for i in range(12)))
    world.emulator.advance(10)
    runs = [run["id"] for run in world.emulator.service.started_runs() if run["batchId"]]

    events = world.play(*(world.wait(world.trigger(run)) for run in runs))

    assert len(events) == 12
    assert statuses(events) == {"COMPLETED"}
    assert world.calls["GetRun"] + world.calls["ListRuns"] < 12 * 12


def test_absence_is_never_believed(world: World) -> None:
    """ListRuns may lag: runs that it shows minutes late are looked at by GetRun, and none is taken for ended."""
    world.scenario({**MINUTE, "running": 200}, list_lag=120)
    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(20)))

    assert statuses(events) == {"COMPLETED"}


def test_runs_that_move_between_pages_are_not_lost(world: World) -> None:
    """Pages of two while runs pass from status to status: each wait ends well and in time."""
    rules = [{"match": {"name": f"run-{i}"}, **MINUTE, "starting": 3 + i, "running": 20 + 3 * i} for i in range(12)]
    world.scenario(*rules, limits={"page_size": 2})
    runs = world.start(12)
    events = world.play(*(world.wait(world.trigger(run)) for run in runs))

    assert statuses(events) == {"COMPLETED"}
    assert max(world.delay(run) for run in runs) <= 20


def test_id_used_by_another_run_is_not_taken_for_ours(world: World) -> None:
    """Our runs are gone, others run under their ids: no wait takes their status for its own, listed or not."""
    world.scenario({"match": {"name": "late*"}, **HOUR}, MINUTE, limits={"reuse_run_ids": True})
    ours = world.start(8, retentionMode="REMOVE")
    triggers = [world.trigger(run) for run in ours]
    began = world.time.now

    async def replace() -> None:
        await world.time.sleep(30)
        for run in ours:
            world.emulator.service.remove_run(run)
        assert set(world.start(8, "late")) == set(ours)

    *events, _ = world.play(*(world.wait(trigger) for trigger in triggers), replace())

    # An ended run may still be told by its manifest; one that was removed on its way cannot.
    assert {event.outcome for event in events} == {Outcome.VANISHED}
    assert max(world.ended_at[run] for run in ours) - began <= 30 + 12 + 5


def test_wait_that_joins_late_is_looked_at_at_once(world: World) -> None:
    """A run that has already ended costs one GetRun, within two seconds, while others wait."""
    world.scenario({"match": {"name": "done*"}, **MINUTE}, {**MINUTE, "running": 200})
    done = world.start(1, "done")[0]
    going = world.start(20)
    began = world.time.now

    world.play(*(world.wait(world.trigger(run)) for run in going), world.wait(world.trigger(done), after=75))

    assert world.ended_at[done] - began - 75 <= 2


def test_end_is_seen_an_interval_and_two_seconds_later_at_most(world: World) -> None:
    """Runs of different lengths and waits that joined at different times, as long as the budget allows."""
    rules = [{"match": {"name": f"run-{i}"}, **MINUTE, "running": 40 + 17 * i} for i in range(20)]
    world.scenario(*rules)
    runs = world.start(20)

    world.play(*(world.wait(world.trigger(run), after=3.0 * i) for i, run in enumerate(runs)))

    assert max(world.delay(run) for run in runs) <= 12


def test_each_wait_keeps_its_own_interval(world: World) -> None:
    """A wait that looks every 100 s beside one that looks every 10 s costs a tenth of its calls."""
    world.scenario({**MINUTE, "running": 940})
    fast, slow = world.start(2)

    world.play(world.wait(world.trigger(fast)), world.wait(world.trigger(slow, poll_interval=100.0)))

    assert 100 <= world.calls["GetRun"] <= 115


def test_long_run_is_looked_at_by_get_run_now_and_then(world: World) -> None:
    """Every half hour, whatever the list says; in between by the list alone."""
    world.scenario({**MINUTE, "running": 4000})
    world.play(*(world.wait(world.trigger(run, poll_interval=60.0)) for run in world.start(10)))

    assert 3 * 10 <= world.calls["GetRun"] <= 5 * 10


def test_batches_are_looked_at_by_get_batch(world: World) -> None:
    """By the same poller, beside the runs."""
    world.scenario(MINUTE, batches=[{"creating": 0, "pending": 0, "count_lag": 0}])
    batch = world.start_batch("S1", "S2")
    events = world.play(world.wait(world.batch_trigger(batch)), world.wait(world.trigger(world.start()[0])))

    assert statuses(events) == {"PROCESSED", "COMPLETED"}
    assert 6 <= world.calls["GetBatch"] <= 10


def test_refused_list_ends_no_wait(world: World) -> None:
    """Without the permission for ListRuns, each run is looked at by GetRun."""
    world.scenario(MINUTE)
    world.emulator.faults.add(operation="ListRuns", error="AccessDeniedException")
    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(10)))

    assert statuses(events) == {"COMPLETED"}
    assert world.calls["ListRuns"] == 1


def test_throttling_slows_the_rounds_and_ends_no_wait(world: World) -> None:
    """A third of all calls is refused: every wait ends right, and later."""
    world.scenario(MINUTE)
    world.emulator.faults.add(error="ThrottlingException", probability=0.33)
    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(20)))

    assert statuses(events) == {"COMPLETED"}


def test_quota_of_ten_calls_a_second_is_kept(world: World) -> None:
    """A hundred runs that end in the same second: not one call is refused."""
    world.scenario(MINUTE)
    for operation in ("GetRun", "ListRuns"):
        world.emulator.faults.add(operation=operation, calls_per_second=10)
    events = world.play(*(world.wait(world.trigger(run)) for run in world.start(100)))

    assert statuses(events) == {"COMPLETED"}
    assert set(world.emulator.calls.by_code()["GetRun"]) == {"OK"}


def test_deadline_is_kept_when_the_budget_is_not_enough(world: World, connect: Connect) -> None:
    """A call every ten seconds for 30 waits: the one whose time is up is told so all the same, and cancels."""
    connect({"calls_per_second": 0.1})
    world.scenario({**MINUTE, "running": 900})
    *others, ours = world.start(31)
    deadline = world.after(100)

    *_, event = world.play(
        *(world.wait(world.trigger(run, deadline=world.after(400))) for run in others),
        world.wait(world.trigger(ours, deadline=deadline)),
    )

    assert event.outcome is Outcome.TIMED_OUT
    assert event.cancelled
    assert world.ended_at[ours] <= deadline + 25


def test_wait_is_told_once_that_it_is_looked_at_late(world: World, connect: Connect, log_lines: Lines) -> None:
    """When the budget stretches its interval: once, not at each look."""
    connect({"calls_per_second": 0.1})
    world.scenario({**MINUTE, "running": 900})

    world.play(*(world.wait(world.trigger(run)) for run in world.start(4)))

    told = [line for line in log_lines(logging.INFO) if "share 0.1 calls a second" in line]
    assert len(told) == 4


def test_wait_is_told_once_that_only_the_list_has_shown_its_run(
    world: World, connect: Connect, log_lines: Lines
) -> None:
    """After a minute, when the budget has had no room for its GetRun yet."""
    connect({"calls_per_second": 1})
    world.scenario({**MINUTE, "running": 240})

    world.play(*(world.wait(world.trigger(run)) for run in world.start(40)))

    told = [line.partition(":")[0] for line in log_lines(logging.INFO) if "says ListRuns" in line]
    assert 10 <= len(told) < 40
    assert len(set(told)) == len(told)


def test_run_that_queues_for_long_is_told_why(world: World, log_lines: Lines) -> None:
    """After half an hour in PENDING, once: active runs against the quota, and the caps of the run group."""
    group = world.emulator.service.call("CreateRunGroup", {"requestId": "g", "maxRuns": 1})["id"]
    world.scenario({**MINUTE, "running": 6000})
    first, second = world.start(2, runGroupId=group)

    world.play(*(world.wait(world.trigger(run, poll_interval=60.0)) for run in (first, second)))

    told = [line for line in log_lines() if "has been PENDING for" in line]
    assert len(told) == 1
    assert re.match(rf"Run {second} has been PENDING for 3[01] minutes\.", told[0])
    assert "1 with DYNAMIC storage (quota L-BE38079A, 50 by default)" in told[0]
    assert f"Its run group {group} has 1 active runs; its caps: maxRuns 1" in told[0]


@pytest.mark.parametrize(
    ("operation", "told"),
    [("GetRunGroup", "1 with DYNAMIC storage (quota L-BE38079A, 50 by default)"), ("ListRuns", "could not be asked")],
)
def test_run_that_queues_for_long_while_the_reason_is_hidden(
    world: World, log_lines: Lines, operation: str, told: str
) -> None:
    """Without the permission to look for it there is a line all the same, and the wait goes on."""
    group = world.emulator.service.call("CreateRunGroup", {"requestId": "g", "maxRuns": 1})["id"]
    world.scenario({**MINUTE, "running": 6000})
    runs = world.start(2, runGroupId=group)
    world.emulator.faults.add(operation=operation, error="AccessDeniedException")

    events = world.play(*(world.wait(world.trigger(run, poll_interval=60.0)) for run in runs))

    assert {event.snapshot.status for event in events} == {"COMPLETED"}
    (line,) = [line for line in log_lines() if "has been PENDING for" in line]
    assert told in line


def test_run_that_queues_for_long_among_too_many(
    world: World, log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count ends after a number of pages, and the line says so."""
    monkeypatch.setattr(pending, "PAGES", 1)
    world.scenario({**MINUTE, "pending": 2400})

    world.play(world.wait(world.trigger(world.start()[0], poll_interval=60.0)))

    (line,) = [line for line in log_lines() if "has been PENDING for" in line]
    assert "at least 0 with DYNAMIC" in line
