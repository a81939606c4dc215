from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended

RECORD = AttemptRecord("request", "fingerprint", 1, 2, 3, 1_750_000_000.5)
NUMBERS = st.integers(1, 1000)
RECORDS = st.builds(
    AttemptRecord,
    request_id=st.uuids().map(str),
    fingerprint=st.text(),
    first_try=NUMBERS,
    owner_try=NUMBERS,
    max_tries=NUMBERS,
    requested_at=st.floats(0, 1e11),
    tagged=st.booleans(),
    name_hash=st.none() | st.text(),
    resource_id=st.none() | st.from_regex(r"[0-9]{1,18}", fullmatch=True),
    resource_uuid=st.none() | st.uuids().map(str),
    ended=st.none() | st.sampled_from(Ended),
    attempts=NUMBERS,
    attempts_since_clear=NUMBERS,
    chosen=st.booleans(),
    idle=st.booleans(),
    previous_request_id=st.none() | st.uuids().map(str),
    previous_id=st.none() | st.from_regex(r"[0-9]{1,18}", fullmatch=True),
)


@given(record=RECORDS)
def test_record_is_read_as_it_was_written(record: AttemptRecord) -> None:
    """A record survives JSON, in which both stores keep it."""
    assert AttemptRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_what_is_not_known_is_left_out() -> None:
    """A record holds what there is: Airflow's store takes no null for a value, and a reader needs no null to see it."""
    assert RECORD.to_json() == {
        "request_id": "request",
        "fingerprint": "fingerprint",
        "first_try": 1,
        "owner_try": 2,
        "max_tries": 3,
        "requested_at": 1_750_000_000.5,
        "tagged": True,
        "unclear_failures": 0,
        "attempts": 1,
        "attempts_since_clear": 1,
        "chosen": False,
        "idle": False,
        "outdated": False,
        "compared": False,
        "canary": False,
    }


def test_keys_of_a_newer_version_are_ignored() -> None:
    """During an upgrade, an older worker reads what a newer one has written."""
    assert AttemptRecord.from_json({**RECORD.to_json(), "invented_later": {"a": 1}}) == RECORD


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({}, id="empty"),
        pytest.param({"request_id": "r"}, id="half"),
        pytest.param({**RECORD.to_json(), "ended": "sideways"}, id="an end that does not exist"),
    ],
)
def test_what_is_no_record_is_refused(value: dict[str, Any]) -> None:
    """A value that is no record is never taken for one."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        AttemptRecord.from_json(value)
