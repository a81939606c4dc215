from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.batch.sample import (
    FINGERPRINTED,
    MAX_DEPTH,
    MAX_VALUE_CHARACTERS,
    BatchOrigin,
    RecordStatus,
    RunRecord,
    Sample,
    Submission,
    sample_fingerprint,
    unfit,
)
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import RunStatus

TEXTS = st.none() | st.text(max_size=20)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RECORDS = st.builds(
    RunRecord,
    run_setting_id=st.text(min_size=1, max_size=20),
    run_id=TEXTS,
    run_uuid=TEXTS,
    status=st.sampled_from(RecordStatus),
    output_uri=TEXTS,
    attempt=st.none() | st.integers(1, 9),
    try_number=st.none() | st.integers(1, 9),
    map_index=st.none() | st.integers(0, 9),
    row=st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=3),
    outputs=JSON_VALUES,
)
SUBMISSION = Submission("S1", "1001", "u1", "SUCCESS")
ORIGIN = BatchOrigin("2000001", "1234567")


def nested(levels: int) -> Any:
    """Make lists within lists."""
    value: Any = 0
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param("x" * (MAX_VALUE_CHARACTERS - 2), None, id="as long as may be"),
        pytest.param("x" * (MAX_VALUE_CHARACTERS - 1), "longer than 1,000,000 characters", id="longer"),
        pytest.param([0] * (MAX_VALUE_CHARACTERS // 3), None, id="as many as may be"),
        pytest.param([0] * (MAX_VALUE_CHARACTERS // 3 + 1), "longer than 1,000,000 characters", id="more"),
        pytest.param([math.nan, *[0] * MAX_VALUE_CHARACTERS], "longer than 1,000,000 characters", id="many more"),
        pytest.param([0] * MAX_VALUE_CHARACTERS + [math.nan], "NaN or infinite within", id="many more and NaN"),
        pytest.param({"a": [1.5, {"b": -math.inf}]}, "NaN or infinite within", id="infinite"),
        pytest.param(nested(MAX_DEPTH), None, id="as deep as may be"),
        pytest.param(nested(MAX_DEPTH + 1), "nested deeper than 100 levels", id="deeper"),
    ],
)
def test_value_that_a_record_cannot_hold(value: Any, reason: str | None) -> None:
    """Too long, too deep, and numbers that JSON does not have; a value of very many items is not looked at in full."""
    found = unfit(value)

    assert found is None if reason is None else (found or "").startswith(reason)


@given(RECORDS)
def test_record_survives_json(record: RunRecord) -> None:
    """A record is the same after it was written and read; keys of a later version are passed over."""
    written = {**record.to_json(), "of_a_later_version": 1}

    assert RunRecord.from_json(json.loads(json.dumps(written))) == record


@pytest.mark.parametrize("status", RunStatus)
def test_record_of_each_status(status: RunStatus) -> None:
    """A run has a record once it has ended; one whose record is deleted tells nothing."""
    record = RunRecord.of_run(SUBMISSION, Sample("S1"), ORIGIN, RunSnapshot("1001", status.value))

    ended = {"COMPLETED", "FAILED", "CANCELLED"}
    assert (record.status.value if record else None) == (status.value if status.value in ended else None)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, (None, None, None)),
        ({"airflow:dag_id": "d", "airflow:run_id": "r", "airflow:try_number": "2"}, ("d", "r", 2)),
        ({"airflow:dag_id": "d", "airflow:try_number": "x"}, ("d", None, None)),
    ],
)
def test_origin_from_tags(tags: dict[str, str], expected: tuple[Any, ...]) -> None:
    """A batch's tags say which DAG run started it."""
    origin = BatchOrigin.from_response({"id": "2000001", "tags": tags})

    assert (origin.dag_id, origin.dag_run_id, origin.try_number) == expected


SETTING = {
    "workflowId": "1234567",
    "workflowOwnerId": "111122223333",
    "workflowVersionName": "1.0",
    "parameters": {"a": 1, "b": [1, {"c": None}]},
    "engineSettings": {"engineVersion": "25.10"},
}


@pytest.mark.parametrize("name", FINGERPRINTED)
def test_fingerprint_sees_what_is_computed(name: str) -> None:
    """Another workflow, owner, version, parameter or engine setting is another fingerprint."""
    changed = {**SETTING, name: "another"}
    without = {key: value for key, value in SETTING.items() if key != name}

    assert len({sample_fingerprint(setting) for setting in (SETTING, changed, without)}) == 3


@pytest.mark.parametrize(
    "more",
    [
        {"name": "x", "runTags": {"a": "b"}, "priority": 3},
        {"roleArn": "arn:aws:iam::123456789012:role/x", "outputUri": "s3://out/", "runGroupId": "1"},
        {"storageType": "DYNAMIC", "storageCapacity": 2400, "scratchStorageMode": "LOCAL", "cacheId": "1"},
        {"parameters": {"b": [1, {"c": None}], "a": 1}},
    ],
)
def test_fingerprint_sees_nothing_else(more: dict[str, Any]) -> None:
    """Names, tags, role, storage, places, and the order of keys change nothing."""
    assert sample_fingerprint({**SETTING, **more}) == sample_fingerprint(SETTING)


@pytest.mark.parametrize("name", FINGERPRINTED)
@pytest.mark.parametrize("empty", [None, "", {}])
def test_fingerprint_of_an_empty_setting(name: str, empty: object) -> None:
    """An empty setting is none."""
    without = {key: value for key, value in SETTING.items() if key != name}

    assert sample_fingerprint({**without, name: empty}) == sample_fingerprint(without)


@pytest.mark.parametrize(
    "sample",
    [
        Sample("S1"),
        Sample("S1", "abc", {"patient": "P7"}),
        Sample("S1", "abc", {}, "FAILED", "OUT_OF_MEMORY_ERROR"),
        Sample("S1", None, {}, "COMPLETED", None, removed=True),
        Sample("S1", "abc", inputs="def"),
    ],
    ids=["id", "submitted", "left alone", "gone", "looked up"],
)
def test_sample_is_read_as_it_was_written(sample: Sample) -> None:
    """What a task remembers of a sample survives JSON."""
    assert Sample.from_json(json.loads(json.dumps(sample.to_json()))) == sample


def test_sample_with_an_end_that_does_not_exist() -> None:
    """Something else is told, and not taken for what was carried forward."""
    with pytest.raises(ValueError, match="sideways"):
        Sample.from_json({**Sample("S1").to_json(), "carried": "sideways"})
