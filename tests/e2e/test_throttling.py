"""The service refuses starts for minutes."""

from __future__ import annotations

from tests.e2e.conftest import THROTTLED_STARTS
from tests.e2e.expectations import assert_outcome, for_each_kind
from tests.e2e.stage import Stage


@for_each_kind
def test_a_start_that_is_throttled_is_sent_until_it_passes(throttled: Stage, kind: str) -> None:
    """A start that is throttled six times goes on with back-off, and starts one run or batch."""
    throttled.play(500)
    assert_outcome(throttled.task("throttled", f"{kind}_throttled"), "success", tries=1)
    calls = throttled.emulators["throttling"].calls()
    assert calls[{"run": "StartRun", "batch": "StartRunBatch"}[kind]] == THROTTLED_STARTS + 1
