"""Clocks: the emulator's present, and its speed."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta, timezone
from typing import Protocol


class Clock(Protocol):
    """The emulator's present. It never goes backwards."""

    def now(self) -> datetime:
        """Return the present.

        :return: an aware datetime in UTC.
        """
        ...


class ScaledClock:
    """A clock that starts at the real time and goes ``speed`` times as fast.

    :param speed: emulated seconds per real second, above 0: at 3600 a run of two hours takes two seconds.
    :raises ValueError: ``speed`` is not above 0.
    """

    def __init__(self, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"speed is {speed!r}; give a number above 0, e.g. 3600 for an hour a second")
        self._speed = speed
        self._start = datetime.now(timezone.utc)
        # The wall clock may be set back; the monotonic one cannot.
        self._monotonic_start = time.monotonic()

    def now(self) -> datetime:
        """Return the present: see :meth:`Clock.now`."""
        return self._start + timedelta(seconds=(time.monotonic() - self._monotonic_start) * self._speed)


class RealClock(ScaledClock):
    """The real time, made monotonic."""

    def __init__(self) -> None:
        super().__init__(speed=1)


class SteppedClock:
    """A clock that stands still until a test moves it. Thread-safe.

    :param start: the first present, an aware datetime. Default 2026-01-01 00:00 UTC.
    :raises ValueError: ``start`` has no time zone.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc)) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start is {start!r}; give a datetime with a time zone")
        self._now = start.astimezone(timezone.utc)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the present: see :meth:`Clock.now`."""
        with self._lock:
            return self._now

    def advance(self, seconds: float) -> datetime:
        """Move the clock forward.

        :param seconds: how far, 0 or more.
        :return: the time after the step.
        :raises ValueError: ``seconds`` is negative or not a number.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds is {seconds!r}; a clock only goes forward, give 0 or more")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            return self._now
