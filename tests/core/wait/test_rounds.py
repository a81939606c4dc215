"""What the poller decides: its pace, what a round costs less by, what a listed run tells."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.snapshots import ListedRun, RunSnapshot
from airflow_provider_omics.core.wait.flow import WaitPlan
from airflow_provider_omics.core.wait.rounds import (
    FORGET_COST,
    FULL_RECOVERY,
    REFUSED_FOR,
    TOGETHER,
    Budget,
    ListingCost,
    brought_up_to_date,
    is_same_run,
    limit_of,
    statuses_to_list,
    stretched,
)

CREATED = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


def budget(calls_per_second: float = 5.0) -> Budget:
    budget = Budget()
    budget.join("a connection", calls_per_second)
    return budget


def calls_in(budget: Budget, seconds: float, start: float = 0.0, patience: float = 0.01) -> int:
    """Count the calls of somebody who always has one to make, and asks again when he was told to, or sooner."""
    now, calls = start, 0
    while now < start + seconds:
        delay = budget.take(now)
        calls += not delay
        now += min(delay, patience) + 1e-6 if delay else 0.0
    return calls


@pytest.mark.parametrize("limit", [0.2, 1.0, 5.0, 50.0])
def test_budget_allows_its_rate_and_a_second_more(limit: float) -> None:
    """A second's worth at once, then the rate; at least one call, however small the rate."""
    allowed = 100 * limit + max(1.0, limit)

    assert calls_in(budget(limit), 100.0) == pytest.approx(allowed, abs=1)
    assert calls_in(budget(limit), 100.0, patience=math.inf) == pytest.approx(allowed, abs=1 + limit * TOGETHER)


def test_calls_that_wait_are_made_together() -> None:
    """Who is told when to ask again finds room for several calls; who asks earlier finds it as soon as there is any."""
    asked = budget(5.0)
    while not (delay := asked.take(10.0)):
        pass

    assert delay == pytest.approx(TOGETHER)
    assert [asked.take(10.0 + delay + 1e-6) for _ in range(4)] == [0.0] * 4
    assert asked.take(10.0 + delay + 1e-6) > 0.0
    assert asked.take(10.0 + delay + 0.21) == 0.0


@given(st.lists(st.floats(0.0, 3.0), max_size=200), st.floats(0.1, 20.0))
def test_budget_is_never_exceeded(pauses: list[float], limit: float) -> None:
    """Whenever it is asked, no window holds more calls than the rate and one second's worth."""
    asked, now = budget(limit), 0.0
    taken: list[float] = []
    for pause in pauses:
        now += pause
        if not asked.take(now):
            taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= (taken[last] - start) * limit + max(1.0, limit) + 1e-6


def test_refusal_halves_the_pace_which_recovers_slowly() -> None:
    """Half of the calls right after a 429, all of them a minute later."""
    asked = budget(8.0)
    calls_in(asked, 60.0)
    asked.throttled(60.0)

    assert calls_in(asked, 10.0, 60.0) == pytest.approx(48, abs=3)
    assert calls_in(asked, 10.0, 60.0 + FULL_RECOVERY) >= 80


def test_refusals_of_one_moment_count_once() -> None:
    """Ten calls under way together are refused together: that is no reason to stand still."""
    asked = budget(8.0)
    calls_in(asked, 60.0)
    for _ in range(10):
        asked.throttled(60.0)

    assert calls_in(asked, 10.0, 60.0) == pytest.approx(48, abs=3)


def test_a_throttled_budget_never_stands_still() -> None:
    """However often it is refused, a call is made now and then, to learn whether it may again."""
    asked = budget(5.0)
    for second in range(100):
        asked.throttled(float(second))

    assert calls_in(asked, 60.0, 100.0) >= 9


def test_smallest_limit_holds_for_all_connections() -> None:
    """Two connections share one budget; when the more careful one has left, the other's limit holds."""
    asked = budget(5.0)
    asked.join("another", 2.0)
    calls_in(asked, 10.0)

    assert calls_in(asked, 100.0, 10.0) == pytest.approx(200, abs=2)
    asked.leave("another")
    calls_in(asked, FULL_RECOVERY, 110.0)
    assert calls_in(asked, 100.0, 500.0) == pytest.approx(500, abs=6)


def test_one_look_never_needs_a_list() -> None:
    """Up to four looks cost less one by one, as each active status is a page at least."""
    cost = ListingCost()

    assert [looks for looks in range(10) if cost.is_worth(looks, 0.0)] == [5, 6, 7, 8, 9]


def test_what_the_last_round_took_decides() -> None:
    """A round of 20 pages is worth it for more than 20 looks."""
    cost = ListingCost()
    cost.measured(20, 0.0)

    assert not cost.is_worth(20, FORGET_COST - 1)
    assert cost.is_worth(21, FORGET_COST - 1)


def test_an_expensive_list_is_tried_again_after_a_while() -> None:
    """The runs of others may have ended."""
    cost = ListingCost()
    cost.measured(500, 0.0)

    assert not cost.is_worth(100, FORGET_COST - 1)
    assert cost.is_worth(100, FORGET_COST)


def test_a_refused_list_is_left_alone_for_a_while() -> None:
    """Without the permission for ListRuns, runs are looked at one by one."""
    cost = ListingCost()
    cost.refused(0.0)

    assert not cost.is_worth(1000, REFUSED_FOR - 1)
    assert cost.is_worth(1000, REFUSED_FOR)


@pytest.mark.parametrize(
    ("seen", "listed", "same"),
    [
        (CREATED, CREATED, True),
        (CREATED, CREATED.replace(microsecond=123000), True),
        (CREATED, CREATED + SECOND, False),
        (CREATED, CREATED - 60 * SECOND, False),
        (None, CREATED, False),
        (CREATED, None, False),
    ],
)
def test_a_listed_id_counts_only_with_its_creation_time(
    seen: datetime | None, listed: datetime | None, same: bool
) -> None:
    """ListRuns has no uuid, and ids are used again: the creation time tells runs apart."""
    assert is_same_run(RunSnapshot("1", "RUNNING", creation_time=seen), ListedRun("1", "RUNNING", listed)) is same


def test_list_brings_status_and_start() -> None:
    """What GetRun has told stays; a start that the list does not tell stays as well."""
    seen = RunSnapshot("1", "STARTING", "uuid-1", run_output_uri="s3://bucket/1", creation_time=CREATED)

    running = brought_up_to_date(seen, ListedRun("1", "RUNNING", CREATED, CREATED + SECOND))
    stopping = brought_up_to_date(running, ListedRun("1", "STOPPING", CREATED))

    assert (running.status, running.start_time, running.uuid) == ("RUNNING", CREATED + SECOND, "uuid-1")
    assert (stopping.status, stopping.start_time) == ("STOPPING", CREATED + SECOND)


@pytest.mark.parametrize(
    ("known", "listed"),
    [
        ([], ("PENDING", "STARTING", "RUNNING", "STOPPING")),
        ([None, "RUNNING"], ("PENDING", "STARTING", "RUNNING", "STOPPING")),
        (["HIBERNATING"], ("PENDING", "STARTING", "RUNNING", "STOPPING")),
        (["STOPPING", "STARTING"], ("STARTING", "RUNNING", "STOPPING")),
        (["RUNNING"], ("RUNNING", "STOPPING")),
        (["STOPPING"], ("STOPPING",)),
    ],
)
def test_statuses_are_listed_in_the_order_of_life(known: list[str | None], listed: tuple[str, ...]) -> None:
    """From the earliest that a run may be in: a run does not go back."""
    assert statuses_to_list(known) == listed


@pytest.mark.parametrize(
    ("deadline", "run_timeout", "started", "limit"),
    [
        (None, None, CREATED, math.inf),
        (None, 60.0, None, math.inf),
        (None, 60.0, CREATED, CREATED.timestamp() + 60),
        (CREATED.timestamp() + 30, 60.0, CREATED, CREATED.timestamp() + 30),
        (CREATED.timestamp() + 90, 60.0, CREATED, CREATED.timestamp() + 60),
    ],
)
def test_limit_is_the_first_of_both(
    deadline: float | None, run_timeout: float | None, started: datetime | None, limit: float
) -> None:
    """The deadline, or the run's own limit once it has started."""
    plan = WaitPlan("run", "1", deadline=deadline, run_timeout=run_timeout)

    assert limit_of(plan, RunSnapshot("1", "RUNNING", start_time=started)) == limit


@pytest.mark.parametrize(("late", "is_told"), [(0.0, False), (6.9, False), (7.1, True)])
def test_a_wait_is_told_when_it_is_looked_at_much_later_than_it_asked(late: float, is_told: bool) -> None:
    """Half an interval and two seconds late is worth a line, which says how to change that."""
    line = stretched(10.0, 10.0 + late, late, 2000, 5.0)

    assert (line is not None) is is_told
    assert not line or "2000 waits share 5 calls a second" in line
