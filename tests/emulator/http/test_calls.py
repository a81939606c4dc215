"""Counting what was called."""

from __future__ import annotations

from airflow_provider_omics.emulator.http.calls import LOST, OK, Calls


def test_calls_are_counted_by_operation_and_code() -> None:
    """Each call counts once, under what it was answered."""
    calls = Calls()
    for code in (OK, OK, LOST):
        calls.came_in()("GetRun", code)

    assert calls["GetRun"] == 3
    assert calls["StartRun"] == 0
    assert calls.by_operation() == {"GetRun": 3}
    assert calls.by_code() == {"GetRun": {OK: 2, LOST: 1}}


def test_call_of_before_is_not_counted_after() -> None:
    """A call that came in before the counts were cleared is none of the calls that came after."""
    calls = Calls()
    answered_late = calls.came_in()

    calls.clear()
    answered_late("GetRun", OK)
    calls.came_in()("StartRun", OK)

    assert calls.by_operation() == {"StartRun": 1}
