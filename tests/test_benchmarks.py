"""What the benchmark of waits calls a broken limit: it is what fails ``make bench``."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "waits.py"


@pytest.fixture(scope="module")
def waits() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("benchmark_waits", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


GOOD: dict[str, dict[str, Any]] = {
    "stock-1": {"GetRun": 7.0, "cpu_ms_of_waits": 300.0, "memory_kb": 1300.0},
    "ours-1": {"GetRun": 7.0, "cpu_ms_of_waits": 300.0, "memory_kb": 1300.0},
    "stock-500": {"GetRun": 3.1, "cpu_ms_of_waits": 75.0, "memory_kb": 1300.0, "longest_block": 9.0},
    "ours-500": {"GetRun": 1.1, "ListRuns": 0.1, "cpu_ms_of_waits": 5.0, "memory_kb": 65.0, "longest_block": 0.1},
    "ours-2000": {"GetRun": 1.1, "longest_block": 0.15},
    "ours-10000": {"GetRun": 1.1, "longest_block": 0.15, "memory_kb": 19.9},
    "ours-1-among-20000": {"GetRun": 7.0},
    "stock-50-hour": {"GetRun": 300.0},
    "ours-500-hour": {"GetRun": 15.0},
    "soak": {"GetRun": 1.5, "longest_block": 0.15, "throttled": 10},
}


def results(waits: ModuleType, figures: dict[str, dict[str, Any]]) -> list[Any]:
    made = []
    for point in waits.POINTS:
        if point.name in figures:
            given = {
                "cpu_ms": 1.0,
                "cpu_ms_of_waits": 1.0,
                "memory_kb": 1.0,
                "longest_block": 0.0,
                "leaked": [],
                **figures[point.name],
            }
            calls = {name: given.pop(name, 0.0) for name in waits.LOOKS}
            throttled, wrong = given.pop("throttled", 0), given.pop("wrong", [])
            delays = given.pop("delays", (5.0, 12.0))
            made.append(waits.Result(point, given, calls, throttled, delays, wrong))
    return made


def test_limits_that_are_just_kept(waits: ModuleType) -> None:
    """At the limit nothing is broken, and the stock pattern has none."""
    assert waits.broken(results(waits, GOOD)) == []


@pytest.mark.parametrize(
    ("point", "figures", "line"),
    [
        ("ours-1", {"GetRun": 8.0}, "ours-1: looks is 1/0.9 of stock-1, not 1/1"),
        ("ours-1", {"delays": (5, 13.0)}, "ours-1: the end was seen after 13.0 s, not 12"),
        ("ours-1-among-20000", {"ListRuns": 4}, "ours-1-among-20000: 4 calls of ListRuns for one wait"),
        ("ours-500", {"cpu_ms_of_waits": 6.0}, "ours-500: cpu_ms_of_waits is 1/12.5 of stock-500, not 1/15"),
        ("ours-500", {"memory_kb": 130.0}, "ours-500: memory_kb is 1/10.0 of stock-500, not 1/20"),
        ("ours-500", {"GetRun": 2.0}, "ours-500: looks is 1/1.5 of stock-500, not 1/2.5"),
        ("ours-500", {"longest_block": 0.2}, "ours-500: the loop was blocked for 0.20 s, not 0.1"),
        ("ours-500-hour", {"GetRun": 20.0}, "ours-500-hour: looks is 1/15.0 of stock-50-hour, not 1/20"),
        ("ours-2000", {"longest_block": 0.3}, "ours-2000: the loop was blocked for 0.30 s, not 0.15"),
        ("ours-2000", {"throttled": 3}, "ours-2000: 3 throttled calls"),
        ("ours-10000", {"longest_block": 0.2}, "ours-10000: the loop was blocked for 0.20 s, not 0.15"),
        ("ours-10000", {"memory_kb": 20.0}, "ours-10000: 20.0 KB a wait, not 20"),
        ("soak", {"wrong": ["7: None, not FAILED"]}, "soak: 1 wrong: ['7: None, not FAILED']"),
        ("soak", {"leaked": ["a task"]}, "soak: leaked ['a task']"),
    ],
)
def test_limit_that_is_broken(waits: ModuleType, point: str, figures: dict[str, Any], line: str) -> None:
    """Each is told by its point, what was found and what was wanted."""
    found = waits.broken(results(waits, {**GOOD, point: {**GOOD[point], **figures}}))

    assert found == [line]


def test_broken_limit_is_the_exit_code(waits: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """1 when a limit is broken, 0 when all hold; the figures are in the file either way."""
    for figures, code in (({}, 0), ({"longest_block": 0.2}, 1)):
        made = {
            result.point.name: result
            for result in results(waits, {**GOOD, "ours-500": {**GOOD["ours-500"], **figures}})
        }
        for result in made.values():
            result.told["seconds"], result.told["resident_mb"] = 60.0, 140.0
        monkeypatch.setattr(waits, "measure", lambda point, _, made=made: made[point.name])
        monkeypatch.setattr(sys, "argv", ["waits.py", "--points", *made, "--json", str(tmp_path / f"{code}.json")])

        assert waits.main() == code
        assert '"name": "soak"' in (tmp_path / f"{code}.json").read_text()
