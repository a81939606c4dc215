"""Pictures of time, as the geometry of an SVG: runs over the day, and how long they took."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import accumulate

from airflow_provider_omics.core.failure.diagnosis import duration
from airflow_provider_omics.reports.samples import RunTimes

WIDTH = 720
"""Units of the picture's width; its scale is the page's affair."""

MAX_BARS = 120
"""Runs that have a bar each; more are added up."""

BINS = 180
HISTOGRAM_BINS = 24
AREA_HEIGHT = 140

NAMED_BARS = 40
"""Bars up to this number are high enough for their names."""

_HIGH, _LOW = 16, 4
_LABEL_WIDTH = 220
MAX_TICKS = 5

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STEPS = (
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 28, 56, 112, 364)),
)


@dataclass(frozen=True)
class Bar:
    """A run, or a task of one: first it waits, then it runs.

    :param name: its name.
    :param kind: how it ended: ``completed``, ``failed``, ``going``.
    :param y: the upper edge.
    :param wait_x: where the wait begins.
    :param wait_width: how long it is; 0: nothing is known of it.
    :param x: where it begins to run.
    :param width: how long it runs; 0: it never did.
    :param height: of the bar; its line is a little higher.
    :param label_x: where its name stands; None: nowhere.
    :param anchor: of the name: ``start`` or ``end``.
    :param inside: whether the name stands upon the bar.
    :param words: the same in words.
    """

    name: str
    kind: str
    y: int
    wait_x: float
    wait_width: float
    x: float
    width: float
    height: int
    label_x: float | None
    anchor: str
    inside: bool
    words: str

    @property
    def line(self) -> int:
        """The height of its line."""
        return _HIGH if self.label_x is not None else _LOW


@dataclass(frozen=True)
class Tick:
    """A mark on the axis of time."""

    x: float
    words: str


@dataclass(frozen=True)
class TimePicture:
    """Runs over time, as bars where they are few, else added up.

    :param bars: a bar each, in the order of their starts.
    :param running: the outline of how many run at a time; empty with bars.
    :param waiting: the outline of how many wait, upon them.
    :param most: the number at the upper edge of the outlines.
    :param ticks: the axis.
    :param height: of the picture, without its axis.
    :param words: the picture in a sentence.
    """

    bars: tuple[Bar, ...]
    running: str
    waiting: str
    most: int
    ticks: tuple[Tick, ...]
    height: int
    words: str


@dataclass(frozen=True)
class Column:
    """A column of the histogram: the completed ones stand below, the others upon them."""

    x: float
    width: float
    completed: float
    others: float
    words: str


@dataclass(frozen=True)
class Durations:
    """How long runs took.

    :param columns: the histogram, heights up to :data:`AREA_HEIGHT`.
    :param ticks: its axis.
    :param median: seconds, of the completed ones.
    :param longest: seconds, of the completed ones.
    :param words: the picture in a sentence.
    """

    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]
    median: float | None
    longest: float | None
    words: str


@dataclass(frozen=True)
class NamedTimes:
    """One line of the picture.

    :param name: of the run or task.
    :param kind: ``completed``, ``failed`` or ``going``.
    :param times: when it waited and ran.
    :param note: what else its bar tells. Default: nothing.
    """

    name: str
    kind: str
    times: RunTimes
    note: str = ""


class TimeCollector:
    """Collects the times of runs in a few bytes each.

    :param now: when the page is made, in seconds since 1970: a run that has not ended reaches up to it.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self._few: list[NamedTimes] = []
        self._created, self._started, self._stopped = array("d"), array("d"), array("d")
        self._completed, self._others = array("d"), array("d")

    def add(self, line: NamedTimes) -> None:
        """Add a run; one that has neither started nor a known wait is left out."""
        times = line.times
        if times.started is None and (times.created is None or line.kind != "going"):
            return
        if len(self._few) <= MAX_BARS:
            self._few.append(line)
        started = self._now if times.started is None else times.started
        self._created.append(started if times.created is None else min(times.created, started))
        self._started.append(started)
        self._stopped.append(max(started, self._now if times.stopped is None else times.stopped))
        if times.ran is not None:
            (self._completed if line.kind == "completed" else self._others).append(times.ran)

    def picture(self) -> TimePicture | None:
        """Draw the runs over time; None: no times are known."""
        if not self._created:
            return None
        first, last = min(self._created), max(self._stopped)
        span = max(last - first, 1.0)
        most = _most(self._started, self._stopped)
        words = (
            f"{len(self._created):,} runs from {_date(first)} to {_date(last)} UTC, {duration(last - first)} in all; "
            f"at most {most:,} ran at a time."
        )
        ticks = time_ticks(first, last)
        if len(self._few) <= MAX_BARS:
            bars = bars_of(self._few, first, span, self._now)
            return TimePicture(bars, "", "", most, ticks, sum(bar.line for bar in bars), words)
        running = _at_a_time(self._started, self._stopped, first, span)
        waiting = _at_a_time(self._created, self._started, first, span)
        both = [one + other for one, other in zip(running, waiting, strict=True)]
        top = max(*both, 1)
        zero = [0.0] * len(running)
        return TimePicture(
            (), _outline(zero, running, top), _outline(running, both, top), math.ceil(top), ticks, AREA_HEIGHT, words
        )

    def durations(self) -> Durations | None:
        """Draw how long the runs took; None: fewer than two have ended."""
        everything = array("d", [*self._completed, *self._others])
        if len(everything) < 2:
            return None
        longest = max(everything) or 1.0
        width = longest / HISTOGRAM_BINS
        completed, others = [0] * HISTOGRAM_BINS, [0] * HISTOGRAM_BINS
        for seconds, counts in ((self._completed, completed), (self._others, others)):
            for value in seconds:
                counts[min(int(value / width), HISTOGRAM_BINS - 1)] += 1
        top = max(one + other for one, other in zip(completed, others, strict=True))
        step = WIDTH / HISTOGRAM_BINS
        columns = tuple(
            Column(
                round(index * step + 1, 1),
                round(step - 2, 1),
                round(done * AREA_HEIGHT / top, 1),
                round(other * AREA_HEIGHT / top, 1),
                f"{duration(index * width)} to {duration((index + 1) * width)}: {done:,} completed, {other:,} not",
            )
            for index, (done, other) in enumerate(zip(completed, others, strict=True))
            if done or other
        )
        ordered = sorted(self._completed)
        median = ordered[len(ordered) // 2] if ordered else None
        words = f"{len(ordered):,} completed runs"
        if median is not None:
            words += f": half of them took up to {duration(median)}, the longest {duration(ordered[-1])}"
        if self._others:
            words += f"; {len(self._others):,} others ran up to {duration(max(self._others))}"
        marks = tuple(Tick(round(WIDTH * part / 4, 1), duration(longest * part / 4)) for part in range(5))
        return Durations(columns, marks, median, ordered[-1] if ordered else None, f"{words}.")


def bars_of(lines: Sequence[NamedTimes], first: float, span: float, now: float) -> tuple[Bar, ...]:
    """Draw a bar for each line.

    :param lines: runs or tasks.
    :param first: the moment at the left edge, in seconds since 1970.
    :param span: seconds up to the right edge, above 0.
    :param now: a line that has not ended reaches up to it.
    :return: the bars, in the order of their starts.
    """

    def start(line: NamedTimes) -> float:
        return line.times.started if line.times.started is not None else now

    def x(moment: float) -> float:
        return round(min(max((moment - first) / span, 0.0), 1.0) * WIDTH, 1)

    is_named = len(lines) <= NAMED_BARS
    height = _HIGH if is_named else _LOW
    bars = []
    for number, line in enumerate(sorted(lines, key=start)):
        times = line.times
        begin = start(line)
        waits_from = begin if times.created is None else min(times.created, begin)
        end = times.stopped if times.stopped is not None else now
        ran = "" if times.started is None else f", ran {duration(max(end - begin, 0))}"
        note = f"; {line.note}" if line.note else ""
        # One that ran for a moment must not be invisible.
        width = 0.0 if times.started is None else max(round(x(end) - x(begin), 1), 1.0)
        label_x, anchor, inside = _label(x(waits_from), x(begin), x(begin) + width)
        bars.append(
            Bar(
                name=line.name,
                kind=line.kind,
                y=number * height,
                wait_x=x(waits_from),
                wait_width=round(x(begin) - x(waits_from), 1),
                x=x(begin),
                width=width,
                height=height - (3 if is_named else 1),
                label_x=label_x if is_named else None,
                anchor=anchor,
                inside=inside,
                words=f"{line.name}: {line.kind}, waited {duration(begin - waits_from)}{ran}{note}",
            )
        )
    return tuple(bars)


def _label(wait_x: float, x: float, end: float) -> tuple[float, str, bool]:
    """Find room for a name: behind the bar, before it, or upon it."""
    if end <= WIDTH - _LABEL_WIDTH:
        return round(end + 4, 1), "start", False
    if wait_x >= _LABEL_WIDTH:
        return round(wait_x - 4, 1), "end", False
    return round(x + 4, 1), "start", True


def time_ticks(first: float, last: float) -> tuple[Tick, ...]:
    """Mark the axis of time at whole minutes, hours or days in UTC.

    :param first: the left edge, in seconds since 1970.
    :param last: the right edge.
    """
    span = max(last - first, 1.0)
    step = next((step for step in _STEPS if span / step <= MAX_TICKS), _STEPS[-1])
    form = "%d %b" if step >= _DAY else "%d %b %H:%M"
    marks = range(math.ceil(first / step) * step, int(last) + 1, step)
    ticks = tuple(Tick(round((mark - first) / span * WIDTH, 1), _utc(mark).strftime(form)) for mark in marks)
    return ticks[: MAX_TICKS + 1] or (Tick(0.0, _date(first)),)


def _utc(moment: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=moment)


def _date(moment: float) -> str:
    return _utc(moment).strftime("%Y-%m-%d %H:%M")


def _most(begins: Sequence[float], ends: Sequence[float]) -> int:
    """Count how many were under way at most; one that ends makes room for one that begins at the same moment."""
    changes = sorted([(moment, 1) for moment in begins] + [(moment, -1) for moment in ends])
    return max(accumulate(change for _, change in changes), default=0)


def _at_a_time(begins: Sequence[float], ends: Sequence[float], first: float, span: float) -> list[float]:
    """Average how many are under way in each slice of the time."""
    sums = [0.0] * (BINS + 1)
    slopes = [0.0] * (BINS + 1)
    # The time under way up to each edge is a sum of ramps: each begin starts one, each end stops one.
    for moments, sign in ((begins, 1.0), (ends, -1.0)):
        for moment in moments:
            place = min(max((moment - first) / span * BINS, 0.0), float(BINS))
            index = min(int(place), BINS - 1)
            sums[index] += sign * (index + 1 - place)
            slopes[index + 1] += sign
    steady = list(accumulate(slopes))
    return [max(sums[index] + steady[index], 0.0) for index in range(BINS)]


def _outline(lower: Sequence[float], upper: Sequence[float], top: float) -> str:
    """Write the points of a shape between two curves."""
    step = WIDTH / len(upper)

    def points(values: Sequence[float]) -> list[str]:
        return [
            f"{edge * step:.1f},{AREA_HEIGHT * (1 - value / top):.1f}"
            for index, value in enumerate(values)
            for edge in (index, index + 1)
        ]

    return " ".join([*points(upper), *reversed(points(lower))])
