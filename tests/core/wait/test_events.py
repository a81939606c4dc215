from __future__ import annotations

import json
from datetime import timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import EventError
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent, parse_event
from airflow_provider_omics.core.wait.stretch import Stretch

TIME = st.none() | st.datetimes(timezones=st.just(timezone.utc))
TEXT = st.none() | st.text(min_size=1)
RUNS = st.builds(
    RunSnapshot, st.text(), st.sampled_from(["RUNNING", "COMPLETED", "PAUSED", "UNKNOWN"]), TEXT, start_time=TIME
)
BATCHES = st.builds(
    BatchSnapshot,
    st.text(),
    st.sampled_from(["INPROGRESS", "PROCESSED", "FAILED"]),
    TEXT,
    total_runs=st.integers(0, 100_000),
    counts=st.dictionaries(st.sampled_from(["completed_runs", "failed_runs"]), st.integers(0, 100_000)),
    creation_time=TIME,
)
EVENTS = st.builds(
    WaitEvent,
    st.sampled_from(Outcome),
    RUNS | BATCHES,
    limit=st.sampled_from([None, "execution_timeout", "run_timeout"]),
    cancelled=st.booleans(),
    error=TEXT,
    seconds=st.floats(0, 1e6),
    stretch=st.none() | st.builds(Stretch, every=st.floats(0, 1e6), began=st.just(1.0), until=st.just(2.0)),
).filter(lambda event: event.outcome is not Outcome.ENDED or event.snapshot.phase is not Phase.ACTIVE)
PAYLOAD: dict[str, Any] = WaitEvent(Outcome.ENDED, RunSnapshot("1", "COMPLETED", "uuid-1")).to_payload()
BATCH_PAYLOAD: dict[str, Any] = WaitEvent(Outcome.ENDED, BatchSnapshot("2", "PROCESSED", "uuid-2")).to_payload()


@settings(deadline=None)
@given(EVENTS)
def test_events_survive_json(event: WaitEvent) -> None:
    """A payload that went through JSON, as through Airflow's database, gives the same event."""
    assert parse_event(json.loads(json.dumps(event.to_payload())), event.kind) == event


def test_the_form_of_a_payload() -> None:
    """The form is an API between versions: triggerer and worker are not upgraded at the same moment."""
    run = RunSnapshot("1", "RUNNING", "uuid-1")

    assert WaitEvent(Outcome.TIMED_OUT, run, limit="run_timeout", cancelled=True).to_payload() == {
        "version": 1,
        "kind": "run",
        "outcome": "timed_out",
        "snapshot": {"id": "1", "status": "RUNNING", "uuid": "uuid-1"},
        "limit": "run_timeout",
        "cancelled": True,
        "error": None,
        "seconds": 0.0,
    }
    known = {"ended", "timed_out", "vanished", "lost_contact", "refused", "invalid", "stretch_over"}
    assert {outcome.value for outcome in Outcome} == known


def test_the_kind_is_that_of_the_snapshot() -> None:
    """An event of a run is of kind run, of a batch of kind batch."""
    assert (PAYLOAD["kind"], BATCH_PAYLOAD["kind"]) == ("run", "batch")


def test_keys_of_a_newer_version_are_ignored() -> None:
    """Unknown keys of the event and of its snapshot do no harm."""
    payload = {**PAYLOAD, "colour": "blue", "snapshot": {**PAYLOAD["snapshot"], "weather": {"sun": 1}}}

    assert parse_event(payload, "run") == WaitEvent(Outcome.ENDED, RunSnapshot("1", "COMPLETED", "uuid-1"))


def test_keys_that_an_older_version_lacks_have_defaults() -> None:
    """Version, kind, outcome and snapshot are enough."""
    needed = {key: PAYLOAD[key] for key in ("version", "kind", "outcome", "snapshot")}

    assert parse_event(needed, "run") == WaitEvent(Outcome.ENDED, RunSnapshot("1", "COMPLETED", "uuid-1"))


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        [],
        "ended",
        0,
        True,
        [PAYLOAD],
        json.dumps(PAYLOAD),
        {"status": "success"},
        {"status": "error", "message": "Waiter error: max attempts reached"},
        {"status": "success", "run_id": "1", "value": "COMPLETED"},
        {"status": "timeout", "job_id": "1"},
    ],
    ids=str,
)
def test_what_is_not_ours_is_refused(payload: object) -> None:
    """Nothing, other types, and the forms that other triggers use are no success."""
    with pytest.raises(EventError, match=r"cannot be read: expected .* got .* left as it is"):
        parse_event(payload, "run")


@pytest.mark.parametrize("version", [2, 0, "1", None])
def test_another_version_is_refused(version: object) -> None:
    """A version that this one does not read is told."""
    with pytest.raises(EventError, match=f"expected version 1 of a run event, got version {version!r}"):
        parse_event({**PAYLOAD, "version": version}, "run")


@pytest.mark.parametrize(("payload", "kind"), [(PAYLOAD, "batch"), (BATCH_PAYLOAD, "run")])
def test_the_other_kind_is_refused(payload: dict[str, Any], kind: str) -> None:
    """An event of a run does not end the wait for a batch, nor the reverse."""
    with pytest.raises(EventError, match=f"of a {kind} event"):
        parse_event(payload, kind)


@pytest.mark.parametrize("key", ["version", "kind", "outcome", "snapshot"])
def test_a_missing_key_is_refused(key: str) -> None:
    """Each of the four is needed."""
    with pytest.raises(EventError):
        parse_event({name: value for name, value in PAYLOAD.items() if name != key}, "run")


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "succeeded"},
        {"outcome": None},
        {"outcome": ["ended"]},
        {"limit": 5},
        {"cancelled": "false"},
        {"cancelled": None},
        {"error": {"message": "x"}},
        {"seconds": "long"},
        {"seconds": None},
        {"snapshot": None},
        {"snapshot": []},
        {"snapshot": "COMPLETED"},
        {"snapshot": {}},
        {"snapshot": {"id": "1"}},
        {"snapshot": {"status": "COMPLETED"}},
        {"snapshot": {"id": 1, "status": "COMPLETED"}},
        {"snapshot": {"id": "1", "status": None}},
        {"snapshot": {"id": "1", "status": "COMPLETED", "stop_time": "soon"}},
        {"snapshot": {"id": "1", "status": "COMPLETED", "stop_time": 1}},
        {"snapshot": {"id": "1", "status": "COMPLETED", "run_output_uri": ["s3://bucket"]}},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any]) -> None:
    """Each value has its type."""
    with pytest.raises(EventError):
        parse_event({**PAYLOAD, **wrong}, "run")


@pytest.mark.parametrize("wrong", [{"total_runs": "8"}, {"counts": [1]}, {"counts": {"failed_runs": "1"}}], ids=str)
def test_a_wrong_count_is_refused(wrong: dict[str, Any]) -> None:
    """Counts are numbers: a verdict rests on them."""
    with pytest.raises(EventError):
        parse_event({**BATCH_PAYLOAD, "snapshot": {**BATCH_PAYLOAD["snapshot"], **wrong}}, "batch")


@pytest.mark.parametrize("status", ["RUNNING", "ARCHIVED"])
def test_an_end_in_a_status_that_is_no_end_is_refused(status: str) -> None:
    """A newer triggerer may know a final status that this version does not: that is no success, and no failure."""
    with pytest.raises(EventError, match=f"says that the run ended, with status '{status}'"):
        parse_event({**PAYLOAD, "snapshot": {"id": "1", "status": status}}, "run")


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("ended") | st.just("COMPLETED")
JSON = st.recursive(VALUES, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=8)


@settings(deadline=None)
@given(
    wrong=st.dictionaries(st.sampled_from(sorted(PAYLOAD)), JSON),
    snapshot=st.dictionaries(st.sampled_from(["id", "status", "uuid", "start_time", "total_runs", "counts"]), JSON),
    kind=st.sampled_from(["run", "batch"]),
)
def test_any_payload_is_read_or_refused(wrong: dict[str, Any], snapshot: dict[str, Any], kind: str) -> None:
    """Whatever stands in a payload, it becomes an event of the right kind or an EventError."""
    base = PAYLOAD if kind == "run" else BATCH_PAYLOAD
    payload = {**base, "snapshot": {**base["snapshot"], **snapshot}, **wrong}
    try:
        event = parse_event(payload, kind)
    except EventError:
        return
    assert event.kind == kind
    assert event.outcome is not Outcome.ENDED or event.snapshot.phase is not Phase.ACTIVE
