from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.failure.manifest import run_from_manifest
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import RUN_PHASES, Phase, RunStatus

RUN: dict[str, Any] = {
    "arn": "arn:aws:omics:us-east-1:123456789012:run/123",
    "uuid": "uuid-1",
    "name": "sample-1",
    "status": "COMPLETED",
    "digest": "sha256:abc",
    "runOutputUri": "s3://bucket/out/123",
    "roleArn": "arn:aws:iam::123456789012:role/omics",
    "parameters": {"reads": "s3://bucket/reads"},
    "creationTime": "2026-06-22T11:00:00.123Z",
    "startTime": "2026-06-22T12:00:00Z",
    "stopTime": "2026-06-22T13:00:00+02:00",
    "metrics": {"runningSeconds": 3600.0},
}
TASK = {"arn": "arn:aws:omics:us-east-1:123456789012:task/456", "uuid": "uuid-t", "status": "FAILED", "name": "align"}


def manifest(*entries: object) -> list[str]:
    """Give messages; text is taken as it is."""
    return [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]


def changed(**members: Any) -> dict[str, Any]:
    """Give the run's object with other members; None takes one away."""
    return {name: value for name, value in {**RUN, **members}.items() if value is not None}


@pytest.mark.parametrize("entries", [[RUN, TASK], [TASK, RUN]], ids=["run first", "task first"])
def test_the_object_of_the_run_is_found(entries: list[dict[str, Any]]) -> None:
    """Its members become a snapshot with aware times; those of tasks do not count."""
    assert run_from_manifest(manifest(*entries), "123", "uuid-1") == RunSnapshot(
        "123",
        "COMPLETED",
        "uuid-1",
        arn="arn:aws:omics:us-east-1:123456789012:run/123",
        name="sample-1",
        run_output_uri="s3://bucket/out/123",
        digest="sha256:abc",
        role_arn="arn:aws:iam::123456789012:role/omics",
        creation_time=datetime(2026, 6, 22, 11, 0, 0, 123_000, timezone.utc),
        start_time=datetime(2026, 6, 22, 12, tzinfo=timezone.utc),
        stop_time=datetime(2026, 6, 22, 13, tzinfo=timezone(timedelta(hours=2))),
    )


@pytest.mark.parametrize("status", RunStatus)
def test_only_a_final_status_tells(status: RunStatus) -> None:
    """A manifest that says that the run is going does not say how it ended."""
    found = run_from_manifest(manifest(changed(status=status.value)), "123", "uuid-1")

    assert (found is None) is (RUN_PHASES.get(status, Phase.ACTIVE) is Phase.ACTIVE)
    assert found is None or found.status == status.value


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [""],
        ["not JSON"],
        ["[1, 2]", "null", '"COMPLETED"', "7"],
        [TASK],
        [changed(arn=None)],
        [changed(arn=123)],
        [changed(arn="arn:aws:omics:us-east-1:123456789012:run/9123")],
        [changed(arn="arn:aws:omics:us-east-1:123456789012:run/1234")],
        [changed(status=None)],
        [changed(status=["COMPLETED"])],
        [changed(status="ARCHIVED")],
        [changed(uuid="other")],
    ],
    ids=str,
)
def test_silence(entries: list[object]) -> None:
    """No object of this very run in a final status: the manifest does not tell."""
    assert run_from_manifest(manifest(*entries), "123", "uuid-1") is None


def test_what_is_no_object_is_passed_over() -> None:
    """A broken line does not hide the object that follows."""
    found = run_from_manifest(manifest('{"arn": ', changed(uuid="other"), RUN), "123", "uuid-1")

    assert found is not None
    assert found.status == "COMPLETED"


@pytest.mark.parametrize(
    ("known", "told", "expected"),
    [("uuid-1", None, "uuid-1"), (None, "uuid-1", "uuid-1"), (None, None, None), ("uuid-1", "uuid-1", "uuid-1")],
)
def test_the_uuid_is_compared_where_both_are_known(known: str | None, told: str | None, expected: str | None) -> None:
    """Without one of the two, the id decides."""
    found = run_from_manifest(manifest(changed(uuid=told)), "123", known)

    assert found is not None
    assert found.uuid == expected


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-22T12:00:00", datetime(2026, 6, 22, 12, tzinfo=timezone.utc)),
        ("2026-06-22T12:00:00.123456Z", datetime(2026, 6, 22, 12, 0, 0, 123_456, timezone.utc)),
        ("yesterday", None),
        ("", None),
        (1_750_000_000, None),
        (None, None),
    ],
)
def test_times_are_aware_or_unknown(text: object, moment: datetime | None) -> None:
    """A time that cannot be read is left out; the status counts all the same."""
    found = run_from_manifest(manifest(changed(stopTime=text)), "123", "uuid-1")

    assert found is not None
    assert found.stop_time == moment


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(RUN)), JSON), st.none() | st.just("uuid-1"))
def test_any_object_is_read_or_passed_over(members: dict[str, Any], uuid: str | None) -> None:
    """Whatever stands in an object, the snapshot that comes of it can go into an event, and is of this run."""
    found = run_from_manifest(manifest({**RUN, **members}), "123", uuid)

    if found is not None:
        assert found.phase is not Phase.ACTIVE
        assert RunSnapshot.from_payload(json.loads(json.dumps(found.to_payload()))) == found
