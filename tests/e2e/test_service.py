"""The service loses answers, throttles and fails: the same request goes on, and nothing is started twice."""

from __future__ import annotations

import time

import pytest

from tests.e2e.expectations import assert_outcome, for_each_kind
from tests.e2e.stage import Script, Stage

TROUBLE = 60.0
"""Seconds for which half of all calls fail."""

START = {"run": "StartRun", "batch": "StartRunBatch"}


def recover(stage: Stage) -> Script:
    """Let the failing service recover a minute after the first call."""
    emulator = stage.emulators["erring"]
    yield lambda: bool(emulator.calls())
    end = time.monotonic() + TROUBLE
    yield lambda: time.monotonic() >= end
    emulator.clear_faults()


def direct(stage: Stage) -> None:
    """Say what is done to the tasks of this module."""
    stage.trigger("service")
    tasks = [stage.task("service", f"{kind}_erring_{mode}") for kind in START for mode in ("deferred", "running")]
    stage.add(recover(stage), *tasks)


@for_each_kind
def test_a_lost_answer_costs_no_second_start(stage: Stage, kind: str) -> None:
    """A start that was carried out and never answered is sent again to the letter, and stays one start."""
    assert_outcome(stage.task("service", f"{kind}_response_lost"), "success", tries=1)
    # Three answers were lost, the fourth arrived.
    assert stage.emulators["lossy"].calls()[START[kind]] == 4


@for_each_kind
@pytest.mark.parametrize("mode", ["deferred", "running"])
def test_a_minute_of_errors_is_borne(stage: Stage, kind: str, mode: str) -> None:
    """While half of all calls fail for a minute, runs start once and are waited for to their end."""
    assert_outcome(stage.task("service", f"{kind}_erring_{mode}"), "success", tries=1)
    assert stage.emulators["erring"].answered("InternalServerException") > 20
