"""The wait for a run or batch against any sequence of answers: it ends, and keeps its rules."""

from __future__ import annotations

from datetime import datetime, timezone

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.commands import Answer, Cancel, ListActive, Look, ReadManifest, Sleep
from airflow_provider_omics.core.errors import AccessDenied, Conflict, InvalidRequest, NotFound, ServiceError, Throttled
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent, parse_event
from airflow_provider_omics.core.wait.flow import WaitPlan, passed_limit, wait

START = 1_750_000_000.0
MODEL = botocore.session.get_session().get_service_model("omics")
GONE, DENIED, *OTHERS = (
    kind("GetRun", kind.__name__, "as scripted")
    for kind in (NotFound, AccessDenied, Throttled, Conflict, InvalidRequest)
)
TIMES = st.none() | st.floats(-1e4, 1e4).map(lambda seconds: datetime.fromtimestamp(START + seconds, timezone.utc))
UUIDS = st.just("uuid-1") | st.sampled_from(["other", None])
# Mostly going: sequences that end at the first look are of little interest.
SEEN: dict[str, st.SearchStrategy[Snapshot]] = {
    "run": st.builds(
        RunSnapshot,
        st.just("1"),
        st.just("RUNNING") | st.sampled_from([*MODEL.shape_for("RunStatus").enum, "PAUSED"]),
        uuid=UUIDS,
        start_time=TIMES,
    ),
    "batch": st.builds(
        BatchSnapshot,
        st.just("1"),
        st.just("INPROGRESS") | st.sampled_from([*MODEL.shape_for("BatchStatus").enum, "PAUSED"]),
        uuid=UUIDS,
        counts=st.fixed_dictionaries({"failed_cancels": st.integers(0, 1)}),
    ),
}
ERRORS = st.sampled_from([GONE, DENIED, *OTHERS])
MANIFESTS = st.sampled_from([RunSnapshot("1", "COMPLETED"), RunSnapshot("1", "FAILED"), None, DENIED, *OTHERS])


@pytest.mark.parametrize("kind", ["run", "batch"])
@settings(deadline=None)
@given(
    data=st.data(),
    poll_interval=st.floats(1.0, 4000.0),
    deadline=st.floats(-10.0, 20_000.0),
    run_timeout=st.none() | st.floats(1.0, 10_000.0),
    patience=st.floats(0.0, 11_000.0),
    cancels=st.booleans(),
)
def test_any_sequence_of_answers(
    kind: str,
    data: st.DataObject,
    poll_interval: float,
    deadline: float,
    run_timeout: float | None,
    patience: float,
    cancels: bool,
) -> None:
    """A wait with a deadline ends in one readable event, two looks after the deadline at the latest.

    It never sleeps a negative time or beyond a limit, nor cancels unasked or too early, nor ends with what is going.
    """
    plan = WaitPlan(kind, "1", "uuid-1", poll_interval, START + deadline, run_timeout, patience, cancels)
    event, now, last, late_looks, cancelling = None, START, plan.unseen(), 0, False
    flow = wait(plan, spread=lambda: data.draw(st.floats(0.0, 1.0)))
    command = next(flow)
    while event is None:
        result: Snapshot | ServiceError | tuple[str, ...] | None = None
        if isinstance(command, Sleep):
            assert 0 <= command.seconds <= max(1.1 * poll_interval, 330.0)
            # Only a doubt (5 s) may go on beyond the deadline.
            assert cancelling or command.seconds <= 5.0 or now + command.seconds <= START + deadline + 1e-6
            now += command.seconds
        elif isinstance(command, Look):
            now += data.draw(st.sampled_from([0.0, 0.1, 20.0]))
            result = data.draw(SEEN[kind] | ERRORS)
            if isinstance(result, (RunSnapshot, BatchSnapshot)) and result.uuid != "other":
                last = result
            late_looks += now >= START + deadline and not cancelling
            assert late_looks <= 2
        elif isinstance(command, (Cancel, ListActive)):
            assert cancels
            assert cancelling or passed_limit(plan, last, now)
            cancelling = True
            result = data.draw(st.none() | ERRORS)
            if isinstance(command, ListActive) and result is None:
                result = ("11", "12")
        elif isinstance(command, ReadManifest):
            assert kind == "run"
            result = data.draw(MANIFESTS)
        try:
            command = flow.send(Answer(now, result))
        except StopIteration as end:
            event = end.value

    assert isinstance(event, WaitEvent)
    has_ended = event.snapshot.phase is not Phase.ACTIVE
    is_own_cancel = event.cancelled and event.snapshot.phase is Phase.CANCELLED  # found by who took the wait up
    assert (event.outcome is Outcome.ENDED) == (has_ended and not is_own_cancel)
    assert (event.outcome is Outcome.TIMED_OUT) == (event.limit is not None)
    assert event.cancelled <= (cancels and (cancelling or is_own_cancel))
    assert event.snapshot.uuid != "other"
    assert parse_event(event.to_payload(), kind) == event
