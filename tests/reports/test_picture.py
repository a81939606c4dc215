"""The pictures of time."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.reports.picture import (
    AREA_HEIGHT,
    MAX_BARS,
    WIDTH,
    NamedTimes,
    TimeCollector,
    TimePicture,
    time_ticks,
)
from airflow_provider_omics.reports.samples import RunTimes

HOUR = 3_600.0
NOON = 1_782_129_600.0  # 2026-06-22 12:00 UTC


def collected(*lines: tuple[float | None, float | None, float | None], kind: str = "completed") -> TimeCollector:
    collector = TimeCollector(NOON + 24 * HOUR)
    for number, hours in enumerate(lines):
        moments = (None if hour is None else NOON + hour * HOUR for hour in hours)
        collector.add(NamedTimes(f"S{number}", kind, RunTimes(*moments)))
    return collector


def picture_of(*lines: tuple[float | None, float | None, float | None], kind: str = "completed") -> TimePicture:
    picture = collected(*lines, kind=kind).picture()
    assert picture is not None
    return picture


def test_bars() -> None:
    """A bar waits from the creation of the batch, then runs, all on one scale; the first to start comes first."""
    picture = picture_of((0, 2, 4), (0, 1, 3))

    assert [(bar.name, bar.wait_x, bar.wait_width, bar.x, bar.width) for bar in picture.bars] == [
        ("S1", 0, WIDTH / 4, WIDTH / 4, WIDTH / 2),
        ("S0", 0, WIDTH / 2, WIDTH / 2, WIDTH / 2),
    ]
    assert picture.bars[0].y < picture.bars[1].y
    assert picture.bars[0].words == "S1: completed, waited 1 h 0 min, ran 2 h 0 min"
    assert picture.words == (
        "2 runs from 2026-06-22 12:00 to 2026-06-22 16:00 UTC, 4 h 0 min in all; at most 2 ran at a time."
    )


def test_a_run_that_is_going_reaches_up_to_now() -> None:
    """What has not ended is drawn up to the moment of the page; what has not started, as waiting."""
    running, waiting = picture_of((0, 12, None), (0, None, None), kind="going").bars

    assert (running.x, running.width) == (WIDTH / 2, WIDTH / 2)
    assert (waiting.wait_width, waiting.width) == (WIDTH, 0)


@pytest.mark.parametrize("times", [(None, None, None), (0, None, None)])
def test_what_never_ran_has_no_bar(times: tuple[float | None, None, None]) -> None:
    """A sample that was never submitted has no place in time."""
    assert collected(times, kind="failed").picture() is None


def test_one_after_another_is_one_at_a_time() -> None:
    """A run that ends makes room for one that starts at the same moment."""
    assert "at most 1 ran at a time" in picture_of((0, 0, 1), (0, 1, 2), (0, 2, 3)).words


def test_many_are_added_up() -> None:
    """Too many for a bar each become two outlines: those that run, and upon them those that wait."""
    half = MAX_BARS
    picture = picture_of(*[(0, 0, 1)] * half, *[(0, 1, 2)] * half)

    def heights(outline: str) -> list[float]:
        points = [tuple(map(float, point.split(","))) for point in outline.split(" ")]
        assert all(0 <= x <= WIDTH + 0.1 and -0.1 <= y <= AREA_HEIGHT for x, y in points)
        return [round(AREA_HEIGHT - y, 1) for _, y in points[: len(points) // 2]]

    assert picture.bars == ()
    assert picture.most == 2 * half
    assert set(heights(picture.running)) == {AREA_HEIGHT / 2}  # half of them at any time
    waiting = heights(picture.waiting)
    assert (waiting[0], waiting[-1]) == (AREA_HEIGHT, AREA_HEIGHT / 2)
    assert f"at most {half:,} ran at a time" in picture.words


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=300))
def test_any_times_stay_in_the_picture(hours: list[tuple[float, float, float]]) -> None:
    """Clocks that disagree draw nothing outside, and no bar backwards."""
    picture = picture_of(*hours)

    for bar in picture.bars:
        assert 0 <= bar.wait_x <= bar.x <= WIDTH
        assert bar.wait_width >= 0
        assert bar.x + bar.width <= WIDTH + 1.1
    numbers = [float(number) for number in re.findall(r"[-\d.]+", picture.running + " " + picture.waiting)]
    assert all(-0.1 <= number <= WIDTH + 0.1 for number in numbers)


@given(st.floats(0, 4e9), st.floats(0, 1e9))
def test_ticks(first: float, span: float) -> None:
    """The axis has a few marks, at even steps, within the picture."""
    ticks = time_ticks(first, first + span)

    assert 1 <= len(ticks) <= 6
    assert all(0 <= tick.x <= WIDTH for tick in ticks)
    assert [tick.x for tick in ticks] == sorted(tick.x for tick in ticks)


def test_durations() -> None:
    """The histogram counts completed runs and others apart, and says the median and the longest."""
    collector = collected(*[(0, 1, 2)] * 3, (0, 1, 11))
    collector.add(NamedTimes("bad", "failed", RunTimes(NOON, NOON, NOON + 600)))

    durations = collector.durations()

    assert durations is not None
    assert (durations.median, durations.longest) == (HOUR, 10 * HOUR)
    assert [column.words.partition(": ")[2] for column in durations.columns] == [
        "0 completed, 1 not",
        "3 completed, 0 not",
        "1 completed, 0 not",
    ]
    assert [column.completed for column in durations.columns] == [0, AREA_HEIGHT, round(AREA_HEIGHT / 3, 1)]
    assert durations.words == (
        "4 completed runs: half of them took up to 1 h 0 min, the longest 10 h 0 min; 1 others ran up to 10 min."
    )


def test_no_histogram_of_one() -> None:
    """One run has a duration, not a distribution."""
    assert collected((0, 1, 2)).durations() is None
