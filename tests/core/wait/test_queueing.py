"""The line that says why a run may be PENDING."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.wait.queueing import queueing_line, queueing_seconds

CREATED = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
PENDING = RunSnapshot("1", "PENDING", creation_time=CREATED)
IN_GROUP = RunSnapshot("1", "PENDING", creation_time=CREATED, run_group_id="7")


@pytest.mark.parametrize(
    ("status", "created", "seconds"), [("PENDING", CREATED, 90.0), ("RUNNING", CREATED, 0.0), ("PENDING", None, 0.0)]
)
def test_only_a_pending_run_queues(status: str, created: datetime | None, seconds: float) -> None:
    """Time is counted from the creation, as long as the run is PENDING."""
    now = (CREATED + timedelta(seconds=90)).timestamp()

    assert queueing_seconds(RunSnapshot("1", status, creation_time=created), now) == seconds


def test_line_names_active_runs_and_quotas() -> None:
    """The account's active runs stand beside the quotas they count against."""
    assert queueing_line(PENDING, 1860.0, {"DYNAMIC": 50}, is_complete=True) == (
        "Run 1 has been PENDING for 31 minutes. Active runs in this account and Region: "
        "50 with DYNAMIC storage (quota L-BE38079A, 50 by default), 0 with STATIC storage (quota L-A30FD31B, 10 by "
        "default)"
    )


def test_line_says_when_it_has_not_counted_to_the_end() -> None:
    """A thousand are counted, no more."""
    assert "at least 900 with DYNAMIC" in queueing_line(PENDING, 1860.0, {"DYNAMIC": 900}, is_complete=False)


@pytest.mark.parametrize(
    ("group", "text"),
    [
        ({"maxRuns": 3, "maxCpus": 64, "maxDuration": 60}, "has 2 active runs; its caps: maxRuns 3, maxCpus 64"),
        ({}, "has 2 active runs; its caps: none"),
        (None, "could not be read"),
    ],
)
def test_line_names_the_caps_of_the_run_group(group: dict[str, int] | None, text: str) -> None:
    """The caps that make runs queue; maxDuration does not."""
    line = queueing_line(IN_GROUP, 1860.0, {}, is_complete=True, group=group, active_in_group=2)

    assert line.endswith(f". Its run group 7 {text}")
