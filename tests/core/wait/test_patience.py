"""Patience by itself: pauses that double, and an end counted from the first failure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.wait.patience import LONGEST_BACK_OFF, Patience

MOMENTS = st.lists(st.floats(0.0, 1e6), min_size=1, max_size=30).map(sorted)


def test_pauses_double_up_to_the_longest() -> None:
    """The first failure costs the first pause; the patience that a success goes back to has counted nothing."""
    first = trouble = Patience(3600.0, 2.0)
    pauses = []
    for _ in range(10):
        trouble = trouble.failed(100.0)
        pauses.append(trouble.pause)

    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, LONGEST_BACK_OFF, LONGEST_BACK_OFF]
    assert (first.failures, first.since, first.is_over(1e9)) == (0, None, False)


def test_a_thousand_failures_overflow_nothing() -> None:
    """The exponent is bounded, as a loop may fail for days."""
    assert Patience(1e9, 2.0, since=0.0, failures=5000).pause == LONGEST_BACK_OFF


@given(moments=MOMENTS, seconds=st.floats(0.0, 1e6))
def test_it_is_over_when_its_seconds_have_passed_since_the_first_failure(moments: list[float], seconds: float) -> None:
    """Later failures move nothing; the last pause ends no later than the patience."""
    trouble = Patience(seconds, 1.0)
    for moment in moments:
        trouble = trouble.failed(moment)

    now = moments[-1]
    assert trouble.spent(now) == now - moments[0]
    assert trouble.is_over(now) == (now - moments[0] >= seconds)
    assert trouble.is_over(now) or 0 < trouble.last_pause(now) <= min(trouble.pause, seconds - trouble.spent(now))


def test_a_connection_that_is_missed_is_asked_for_at_once_then_for_seven_seconds() -> None:
    """A loop without a clock counts its own pauses: at once, after 1, 2 and 4 seconds, and no more."""
    waited, trouble = 0.0, Patience(7.0, 1.0, 30.0).failed(0.0)
    pauses = [0.0]
    while waited + trouble.pause <= trouble.seconds:
        pauses.append(trouble.pause)
        waited += trouble.pause
        trouble = trouble.failed(waited)

    assert pauses == [0.0, 1.0, 2.0, 4.0]
