"""What counts of all that is known of a sample: the table of docs/results.md."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.batch.collect import is_beside, supersedes
from airflow_provider_omics.core.batch.evidence import Evidence, Unrecorded
from airflow_provider_omics.core.batch.rerun import Fate, RerunRules
from airflow_provider_omics.core.batch.sample import BatchOrigin, RecordStatus, RunRecord, Sample

NOW = Sample("S1", "now", workflow="/1234567")
COMPLETED, FAILED, UNKNOWN = RecordStatus.COMPLETED, RecordStatus.FAILED, RecordStatus.UNKNOWN
INCOMPLETE = RecordStatus.INCOMPLETE


def record(status: RecordStatus, fingerprint: str | None = "now", batch_id: str = "9", **more: Any) -> RunRecord:
    shared = {"workflow_id": "1234567", "fingerprint": fingerprint, "batch_id": batch_id, "dag_id": "other"}
    return RunRecord("S1", "1001", "u1", status, **{**shared, **more})


SUBMITTED = replace(NOW)
LEFT = replace(NOW, carried="FAILED")
DONE = replace(NOW, carried="COMPLETED")
LAST: dict[str, Any] = {"last_batch": "1", "remembered": SUBMITTED}
GONE: dict[str, Any] = {"last_batch": "1", "is_memory_gone": True}
ELSEWHERE = {"workflow_id": "7777777"}


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param({}, Unrecorded.NEW, id="nothing"),
        pytest.param({**LAST, "records": (record(FAILED, batch_id="1"),)}, (FAILED, "now"), id="last attempt"),
        pytest.param({**LAST, "records": (record(FAILED, None, "1"),)}, (FAILED, "now"), id="its fingerprint is kept"),
        pytest.param(
            {**LAST, "records": (record(COMPLETED), record(FAILED, batch_id="1"))}, (COMPLETED, "now"), id="repaired"
        ),
        pytest.param(
            {**LAST, "records": (record(COMPLETED, "x"), record(FAILED, batch_id="1"))},
            (FAILED, "now"),
            id="other work of others",
        ),
        pytest.param(
            {**LAST, "records": (record(COMPLETED, "x", **ELSEWHERE), record(FAILED, batch_id="1"))},
            (FAILED, "now"),
            id="another workflow",
        ),
        pytest.param({**LAST, "is_going": True}, Unrecorded.GOING, id="going"),
        pytest.param({"last_batch": "1", "remembered": LEFT}, (FAILED, "now"), id="left failed"),
        pytest.param({"remembered": DONE, "records": (record(COMPLETED, "x"),)}, (COMPLETED, "now"), id="left done"),
        pytest.param(
            {"remembered": DONE, "records": (record(INCOMPLETE),)}, (INCOMPLETE, "now"), id="left, incomplete"
        ),
        pytest.param(
            {"remembered": DONE, "records": (record(INCOMPLETE, "x"),)}, (COMPLETED, "now"), id="left, other incomplete"
        ),
        pytest.param({"remembered": LEFT, "records": (record(COMPLETED, "x"),)}, (FAILED, "now"), id="left, others"),
        pytest.param(
            {"remembered": replace(NOW, carried="UNKNOWN"), "records": (record(FAILED),)},
            (FAILED, "now"),
            id="found out since",
        ),
        pytest.param({**LAST, "is_batch_gone": True}, (UNKNOWN, "now"), id="batch gone"),
        pytest.param({"last_batch": "1", "is_batch_gone": True, "is_blind": True}, (UNKNOWN, "now"), id="blind"),
        pytest.param({"records": (record(COMPLETED, "x"),)}, (COMPLETED, "x"), id="new row, changed elsewhere"),
        pytest.param({"records": (record(COMPLETED, None),)}, (COMPLETED, None), id="new row, settings not known"),
        pytest.param({"records": (record(FAILED),)}, Unrecorded.NEW, id="new row, failed elsewhere"),
        pytest.param({"records": (record(UNKNOWN),)}, (UNKNOWN, "now"), id="new row, may be completed elsewhere"),
        pytest.param({"records": (record(COMPLETED, "x", **ELSEWHERE),)}, Unrecorded.NEW, id="of another workflow"),
        pytest.param({"named": (record(FAILED, "x"),)}, (FAILED, "x"), id="named"),
        pytest.param({"named": (record(COMPLETED, "x", **ELSEWHERE),)}, (COMPLETED, "x"), id="named, of another"),
        pytest.param({**GONE, "records": (record(COMPLETED),)}, (COMPLETED, "now"), id="memory gone, file not"),
        pytest.param({**GONE, "records": (record(FAILED),)}, (FAILED, "now"), id="memory gone, failed"),
        pytest.param({**GONE}, Unrecorded.NEW, id="memory gone, the service tells"),
        pytest.param({**GONE, "is_batch_gone": True}, Unrecorded.NOT_KNOWN, id="memory and batch gone"),
        pytest.param({**GONE, "is_rest_known": False}, Unrecorded.NOT_KNOWN, id="memory and file gone"),
    ],
)
def test_what_counts(evidence: dict[str, Any], expected: object) -> None:
    """One result counts, or it is said why there is none."""
    found = Evidence(**evidence).of(NOW)

    told = (found.status, found.fingerprint) if isinstance(found, RunRecord) else found
    assert told == expected


RECORDS = st.lists(
    st.builds(
        record,
        st.sampled_from(RecordStatus),
        st.sampled_from([None, "now", "x"]),
        st.sampled_from(["1", "9"]),
        workflow_id=st.sampled_from([None, "1234567", "7777777"]),
        status_before_removal=st.sampled_from([None, COMPLETED, FAILED]),
    ),
    max_size=3,
).map(tuple)
REMEMBERED = st.none() | st.builds(
    Sample,
    run_setting_id=st.just("S1"),
    fingerprint=st.sampled_from([None, "now", "x"]),
    carried=st.none() | st.sampled_from([status.value for status in RecordStatus if status.value != "REMOVED"]),
    workflow=st.sampled_from([None, "/1234567"]),
)
EVIDENCE = st.builds(
    Evidence,
    records=RECORDS,
    named=RECORDS,
    remembered=REMEMBERED,
    last_batch=st.sampled_from([None, "1"]),
    is_going=st.booleans(),
    is_memory_gone=st.booleans(),
    is_batch_gone=st.booleans(),
    is_rest_known=st.booleans(),
    is_blind=st.booleans(),
)
RULES = st.builds(
    RerunRules,
    cleared=st.booleans(),
    only_changes=st.booleans(),
    on_changed=st.sampled_from(["fail", "rerun", "keep"]),
)


@given(EVIDENCE, RULES)
def test_whatever_is_known(evidence: Evidence, rules: RerunRules) -> None:
    """There is always an answer: what completed is not run again, and what is not known is not taken for completed."""
    known = evidence.of(NOW)
    fate = rules.fate(NOW, known)

    is_done = any(one.end is COMPLETED and one.fingerprint == "now" for one in evidence.records)
    if is_done:
        assert fate is Fate.KEEP
    if known is Unrecorded.NOT_KNOWN:
        assert fate is Fate.NOT_KNOWN
    if known is Unrecorded.GOING:
        assert fate is Fate.WAIT
    if fate is Fate.KEEP:
        assert isinstance(known, RunRecord)
        assert known.status is COMPLETED
        assert known.fingerprint == "now" or rules.on_changed == "keep"


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        pytest.param(record(COMPLETED, task_id="a"), record(FAILED, batch_id="8"), True, id="completed by anyone"),
        pytest.param(record(FAILED, task_id="a"), record(COMPLETED, batch_id="8"), False, id="stays completed"),
        pytest.param(record(FAILED), record(COMPLETED, batch_id="8"), True, id="the last of one task"),
        pytest.param(record(FAILED, "x", task_id="a"), record(COMPLETED, batch_id="8"), True, id="other work"),
        pytest.param(record(FAILED, None), record(COMPLETED, None, "8", task_id="a"), True, id="nobody knows the work"),
    ],
)
def test_record_that_counts_of_two_tasks(mine: RunRecord, theirs: RunRecord, *, expected: bool) -> None:
    """Work that one task has completed stays so, whatever another one tries later; of one task the last counts."""
    later = replace(mine, batch_created_at="2026-01-02")
    earlier = replace(theirs, batch_created_at="2026-01-01")

    assert supersedes(later, earlier) is expected
    assert supersedes(earlier, later) is not expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, False),
        (record(FAILED, batch_id="1"), False),
        (record(FAILED, dag_id="mine"), False),
        (record(COMPLETED), False),
        (record(COMPLETED, "x"), True),
        (record(COMPLETED, None), True),
        (record(FAILED), True),
    ],
)
def test_own_run_beside_the_record_of_another(known: RunRecord | None, *, expected: bool) -> None:
    """A task looks at its own run where another one's record does not say that its work is done."""
    assert is_beside(known, BatchOrigin("1", dag_id="mine"), NOW) is expected


@pytest.mark.parametrize(
    ("before", "now", "status", "expected"),
    [
        ("v1", "v1", COMPLETED, Fate.KEEP),
        ("v1", "v2", COMPLETED, Fate.CHANGED),
        (None, "v2", COMPLETED, Fate.KEEP),
        ("v1", None, COMPLETED, Fate.KEEP),
        ("v1", "v2", FAILED, Fate.AGAIN),
        ("v1", "v1", FAILED, Fate.CARRY),
    ],
)
def test_versions_of_inputs(before: str | None, now: str | None, status: RecordStatus, expected: Fate) -> None:
    """An input that was replaced is other work, where both versions are known; else the settings decide."""
    known = record(status, batch_id="1", inputs=before, failure_reason="INPUT_URI_NOT_FOUND")
    evidence = Evidence(records=(known,), remembered=replace(NOW, inputs=before), last_batch="1")
    sample = replace(NOW, inputs=now)

    assert RerunRules(on_changed="rerun").fate(sample, evidence.of(sample)) is expected
