from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_omics.emulator.script.clock import RealClock, ScaledClock, SteppedClock

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def test_stepped_clock_stands_still_until_it_is_moved() -> None:
    """A stepped clock tells its start, and moves by what it is told."""
    clock = SteppedClock(START)
    assert clock.now() == clock.now() == START
    assert clock.advance(90.5) == clock.now() == START + timedelta(seconds=90.5)


def test_stepped_clock_tells_utc() -> None:
    """A start in another time zone is the same moment, told in UTC."""
    clock = SteppedClock(START.astimezone(timezone(timedelta(hours=9))))
    assert clock.now() == START
    assert clock.now().utcoffset() == timedelta(0)


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan")])
def test_stepped_clock_never_goes_back(seconds: float) -> None:
    """A step back, or none at all, is refused, and the clock stays where it is."""
    clock = SteppedClock(START)
    with pytest.raises(ValueError, match="only goes forward"):
        clock.advance(seconds)
    assert clock.now() == START


def test_stepped_clock_wants_a_time_zone() -> None:
    """A start without a time zone is refused."""
    with pytest.raises(ValueError, match="time zone"):
        SteppedClock(START.replace(tzinfo=None))


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_scaled_clock_wants_a_speed_above_zero(speed: float) -> None:
    """A speed that would stop the clock or turn it back is refused."""
    with pytest.raises(ValueError, match="above 0"):
        ScaledClock(speed)


def test_scaled_clock_goes_by_its_speed() -> None:
    """Between two looks the clock goes on by the real time between them, times the speed."""
    clock = ScaledClock(speed=3600)
    before = time.monotonic()
    first, second = clock.now(), clock.now()
    elapsed = time.monotonic() - before
    assert timedelta(0) < second - first <= timedelta(seconds=elapsed * 3600)


def test_real_clock_tells_the_time() -> None:
    """The real clock agrees with the computer's."""
    assert abs(RealClock().now() - datetime.now(timezone.utc)) < timedelta(seconds=5)
    assert RealClock().now().utcoffset() == timedelta(0)
