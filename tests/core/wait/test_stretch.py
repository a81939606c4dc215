"""When a task goes and collects while its batch goes on, and how long a cohort still takes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.commands import Answer
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.wait.events import Outcome
from airflow_provider_omics.core.wait.flow import WaitPlan, wait
from airflow_provider_omics.core.wait.stretch import Stretch, time_left

STRETCH = Stretch(1800.0, began=0.0, until=1800.0, calls_per_second=5.0)


def batch(total: int, **counts: int) -> BatchSnapshot:
    return BatchSnapshot("2000001", "INPROGRESS", total_runs=total, counts=counts)


@pytest.mark.parametrize(
    ("stretch", "seen", "now", "deadline", "expected"),
    [
        pytest.param({}, batch(3000), 5000, None, False, id="nothing has ended"),
        pytest.param({}, batch(3000, completed_runs=1), 1799, None, False, id="too early"),
        pytest.param({}, batch(3000, completed_runs=1), 1800, None, True, id="one has ended"),
        pytest.param({}, batch(3000, failed_submissions=1), 1800, None, True, id="one was refused"),
        pytest.param({"collected": 1}, batch(3000, failed_runs=1), 1800, None, False, id="it has its record"),
        pytest.param(
            {"collected": 40_000},
            batch(90_000, completed_runs=43_000, pending_runs=40_000),
            5400,
            None,
            False,
            id="not worth its 400 pages",
        ),
        pytest.param(
            {"collected": 40_000},
            batch(90_000, completed_runs=43_200, pending_runs=40_000),
            5400,
            None,
            True,
            id="worth them",
        ),
        pytest.param(
            {"collected": 40_000},
            batch(90_000, completed_runs=40_001, pending_runs=40_000),
            7200,
            None,
            True,
            id="long ago",
        ),
        pytest.param({}, batch(3000, cancelled_runs=1), 9999, None, True, id="cancelled"),
        pytest.param({"least_runs": 300}, batch(300, completed_runs=99), 9999, None, False, id="a small batch"),
        pytest.param({"least_runs": 300}, batch(301, completed_runs=99), 9999, None, True, id="a larger one"),
        pytest.param({}, batch(3000, completed_runs=9), 1800, 3599, False, id="near the deadline"),
        pytest.param({}, batch(3000, completed_runs=9), 1800, 3600, True, id="far enough from it"),
        pytest.param({}, batch(3000, completed_runs=300), 600, None, False, id="a minute of calls, much to go"),
        pytest.param({}, batch(900, completed_runs=300), 600, None, True, id="a minute of calls, little to go"),
        pytest.param({}, batch(900, completed_runs=299), 600, None, False, id="less than a minute of calls"),
        pytest.param({}, batch(900, completed_runs=600), 59, None, False, id="a stretch lasts a minute at least"),
        pytest.param({"every": 5.0}, batch(900, completed_runs=890), 59, None, True, id="but for shorter ones"),
    ],
)
def test_when_it_is_over(
    stretch: dict[str, Any], seen: BatchSnapshot, now: float, deadline: float | None, *, expected: bool
) -> None:
    assert replace(STRETCH, **stretch).is_over(seen, now, deadline) is expected


def test_a_run_has_no_stretches() -> None:
    assert not STRETCH.is_over(RunSnapshot("1", "RUNNING"), 9999, None)


def test_mapped_batches_come_back_one_by_one() -> None:
    """500 that begin together are spread over a whole stretch, and the same one always has the same place."""
    moments = [Stretch.first(1800.0, 1000.0, f"wgs manual__1 cohort {index}").until - 1000.0 for index in range(500)]

    assert (min(moments) < 1000, max(moments) > 2600) == (True, True)
    assert max(sum(start <= moment < start + 60 for moment in moments) for start in range(900, 2700, 60)) < 40
    assert moments[7] == Stretch.first(1800.0, 1000.0, "wgs manual__1 cohort 7").until - 1000.0


@pytest.mark.parametrize(("has_more", "until"), [(False, 3800.0), (True, 2060.0)])
def test_the_next_one(*, has_more: bool, until: float) -> None:
    """What the collection could not read in its time is read soon; what the task carries goes on."""
    stretch = replace(STRETCH, carried={"request_id": "r1"})

    assert stretch.after(2000.0, collected=40, median=480.0, has_more=has_more) == replace(
        stretch, began=2000.0, until=until, collected=40, median=480.0
    )


CARRIED = st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.booleans())


@given(st.builds(Stretch, st.floats(1, 1e6), st.floats(0, 1e10), st.floats(0, 1e10), carried=CARRIED))
def test_it_survives_json(stretch: Stretch) -> None:
    assert Stretch.from_json({**json.loads(json.dumps(stretch.to_json())), "colour": "blue"}) == stretch


@pytest.mark.parametrize("wrong", [{"every": "soon"}, {"carried": []}, {"collected": None}, {"until": True}])
def test_another_value_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Stretch.from_json({**STRETCH.to_json(), **wrong})


def test_the_wait_ends_for_it() -> None:
    """The event says what was seen, and carries the stretch back."""
    plan = WaitPlan("batch", "2000001", stretch=STRETCH)
    flow = wait(plan)
    next(flow)
    flow.send(Answer(1800.0, batch(3000, completed_runs=7)))
    with pytest.raises(StopIteration) as ended:
        flow.send(Answer(1800.0, None))

    event = ended.value.value
    assert (event.outcome, event.snapshot.count("completed_runs")) == (Outcome.STRETCH_OVER, 7)
    assert event.stretch == STRETCH


@pytest.mark.parametrize(
    ("to_go", "at_a_time", "median", "expected"),
    [
        (2310, 96, 480.0, "about 3 h 10 min left: 2,310 to go, 96 at a time, median 8 min"),
        (3, 96, 7500.0, "about 2 h 5 min left: 3 to go, 96 at a time, median 2 h 5 min"),
        (10, 5, 20.0, "about 40 s left: 10 to go, 5 at a time, median 20 s"),
        (0, 0, 480.0, None),
        (10, 0, 480.0, None),
        (10, 5, None, None),
    ],
)
def test_time_left(to_go: int, at_a_time: int, median: float | None, expected: str | None) -> None:
    """An estimate needs runs that compute, and some that have completed."""
    assert time_left(to_go, at_a_time, median) == expected
