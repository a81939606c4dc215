from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.batch.evidence import Unrecorded
from airflow_provider_omics.core.batch.rerun import (
    Fate,
    RerunRules,
    read_rerun,
    rerun_forecast,
    rerun_sentence,
)
from airflow_provider_omics.core.batch.sample import UNFINISHED, RecordStatus, RunRecord, Sample

NOW = Sample("S1", "now")
REASONS = st.sampled_from([None, "OUT_OF_MEMORY_ERROR", "SERVICE_ERROR", "RUN_TASK_FAILED", "AccessDeniedException"])
RECORDS = st.builds(
    RunRecord,
    run_setting_id=st.just("S1"),
    run_id=st.none(),
    run_uuid=st.none(),
    status=st.sampled_from(RecordStatus),
    failure_reason=REASONS,
    fingerprint=st.sampled_from([None, "now", "before"]),
)
RULES = st.builds(RerunRules, on_changed=st.sampled_from(["fail", "rerun", "keep"]))


def record(status: str, reason: str | None = None, fingerprint: str | None = "now") -> RunRecord:
    known = RecordStatus(status)
    return RunRecord("S1", None, None, known, failure_reason=reason, fingerprint=fingerprint)


@pytest.mark.parametrize(
    ("known", "retry", "cleared"),
    [
        pytest.param(None, Fate.NEW, Fate.NEW, id="new"),
        pytest.param(record("COMPLETED"), Fate.KEEP, Fate.KEEP, id="completed"),
        pytest.param(record("COMPLETED", fingerprint=None), Fate.REFUSE, Fate.REFUSE, id="settings unknown"),
        pytest.param(Unrecorded.NEW, Fate.NEW, Fate.NEW, id="has not run"),
        pytest.param(Unrecorded.GOING, Fate.WAIT, Fate.WAIT, id="is running"),
        pytest.param(Unrecorded.NOT_KNOWN, Fate.NOT_KNOWN, Fate.NOT_KNOWN, id="may have run"),
        pytest.param(record("FAILED", "INPUT_URI_NOT_FOUND", "x"), Fate.AGAIN, Fate.AGAIN, id="corrected"),
        pytest.param(record("COMPLETED", fingerprint="x"), Fate.REFUSE, Fate.REFUSE, id="settings changed"),
        pytest.param(record("FAILED", "SERVICE_ERROR"), Fate.AGAIN, Fate.AGAIN, id="may pass"),
        pytest.param(record("FAILED", "INPUT_URI_NOT_FOUND"), Fate.CARRY, Fate.AGAIN, id="comes back"),
        pytest.param(record("FAILED", "OUT_OF_MEMORY_ERROR"), Fate.CARRY, Fate.AGAIN, id="too small"),
        pytest.param(record("FAILED", "RUN_TASK_FAILED"), Fate.AGAIN, Fate.AGAIN, id="unclear"),
        pytest.param(
            replace(record("FAILED", "RUN_TASK_FAILED"), cause="OUT_OF_MEMORY_ERROR in ALIGN"),
            Fate.CARRY,
            Fate.AGAIN,
            id="its task was too small",
        ),
        pytest.param(record("NOT_SUBMITTED"), Fate.AGAIN, Fate.AGAIN, id="its turn never came"),
        pytest.param(record("NOT_SUBMITTED", "AccessDeniedException"), Fate.CARRY, Fate.AGAIN, id="denied"),
        pytest.param(record("UNKNOWN"), Fate.CARRY, Fate.CARRY, id="unknown"),
    ],
)
def test_fate(known: RunRecord | Unrecorded | None, retry: Fate, cleared: Fate) -> None:
    """A retry submits what may pass, a clear all that did not complete; what completed or is unknown stays."""
    assert RerunRules().fate(NOW, known) is retry
    assert RerunRules(cleared=True).fate(NOW, known) is cleared


@pytest.mark.parametrize(("workflow", "fate"), [("1234567", Fate.KEEP), (None, Fate.KEEP), ("7777777", Fate.REFUSE)])
def test_results_that_do_not_tell_their_settings(workflow: str | None, fate: Fate) -> None:
    """Who trusts them takes them for the same, unless they are of another workflow."""
    known = replace(record("COMPLETED", fingerprint=None), workflow_id=workflow)
    now = replace(NOW, workflow="/1234567")

    assert RerunRules(trust_foreign=True).fate(now, known) is fate
    assert RerunRules().fate(now, known) is Fate.REFUSE


@pytest.mark.parametrize(("on_changed", "fate"), [("fail", Fate.REFUSE), ("rerun", Fate.CHANGED), ("keep", Fate.KEEP)])
def test_changed_settings(on_changed: str, fate: Fate) -> None:
    """What completed with other settings is for the user to decide."""
    assert RerunRules(on_changed=on_changed).fate(NOW, record("COMPLETED", fingerprint="x")) is fate


def test_more_memory() -> None:
    """What was too small is tried again by a retry that has other settings for it."""
    rules = RerunRules(rerun_setting_changes=True)

    assert rules.fate(NOW, record("FAILED", "OUT_OF_MEMORY_ERROR")) is Fate.AGAIN
    assert rules.fate(NOW, record("FAILED", "INPUT_URI_NOT_FOUND")) is Fate.CARRY


@given(st.none() | RECORDS, st.integers(0, 3), st.sampled_from(["fail", "rerun", "keep"]))
def test_everything(known: RunRecord | None, unclear: int, on_changed: str) -> None:
    """rerun="all" submits every sample, whatever is known of it."""
    assert RerunRules(everything=True, on_changed=on_changed).fate(NOW, known, unclear).is_submitted


@given(RECORDS, st.booleans(), st.booleans(), st.booleans(), st.sampled_from(["fail", "rerun", "keep"]))
def test_never_again(known: RunRecord, cleared: bool, changes: bool, permanent: bool, on_changed: str) -> None:
    """A completed sample with unchanged settings is never submitted again, and one of unknown outcome neither."""
    rules = RerunRules(cleared=cleared, rerun_setting_changes=changes, retry_permanent=permanent, on_changed=on_changed)
    fate = rules.fate(NOW, known)

    unchanged = known.status is RecordStatus.COMPLETED and known.fingerprint == "now"
    if unchanged or known.status is RecordStatus.UNKNOWN:
        assert not fate.is_submitted
    elif cleared and known.status is not RecordStatus.COMPLETED:
        assert fate is Fate.AGAIN


@given(RECORDS, RULES, st.integers(0, 3))
def test_clear_submits_what_a_retry_does(known: RunRecord, rules: RerunRules, unclear: int) -> None:
    """Whatever Airflow's own retry submits, a clear submits too."""
    cleared = RerunRules(cleared=True, on_changed=rules.on_changed)

    assert not rules.fate(NOW, known, unclear).is_submitted or cleared.fate(NOW, known, unclear).is_submitted


@pytest.mark.parametrize(
    ("known", "before", "after"),
    [
        (None, 0, 0),
        (record("FAILED", "RUN_TASK_FAILED"), 0, 1),
        (record("FAILED", "RUN_TASK_FAILED"), 1, 2),
        (record("FAILED", "SERVICE_ERROR"), 0, 0),
        (record("FAILED", "SERVICE_ERROR"), 1, 1),
        (record("NOT_SUBMITTED"), 0, 0),
        (record("COMPLETED", fingerprint="x"), 1, 0),
    ],
    ids=["new", "unclear", "unclear again", "transient", "transient after unclear", "untried", "completed"],
)
def test_unclear_failures_are_counted_for_each_sample(known: RunRecord | None, before: int, after: int) -> None:
    """What passes by itself, or never ran, is not counted; a clear begins anew."""
    assert RerunRules().unclear(known, before) == after
    assert RerunRules(cleared=True).unclear(known, before) == 0


def test_unclear_failure_is_tried_once_more() -> None:
    """Whatever other failures the sample has had."""
    failed = record("FAILED", "RUN_TASK_FAILED")

    assert [RerunRules().fate(NOW, failed, before) for before in (0, 1, 2)] == [Fate.AGAIN, Fate.CARRY, Fate.CARRY]


@pytest.mark.parametrize(
    ("again", "rest", "expected"),
    [
        (
            {RecordStatus.FAILED: 9, RecordStatus.NOT_SUBMITTED: 3},
            (2, 0, 9986, 0),
            "submit 14: 9 failed, 3 not submitted, 2 new; keep 9,986",
        ),
        ({}, (0, 0, 5, 1), "submit 0; keep 5; leave 1 that did not complete"),
        ({}, (0, 2, 1, 0), "submit 2: 2 changed; keep 1"),
    ],
)
def test_what_is_submitted(again: dict[RecordStatus, int], rest: tuple[int, int, int, int], expected: str) -> None:
    """One sentence tells what is submitted, and what is kept."""
    assert rerun_sentence(again, *rest) == expected


@pytest.mark.parametrize("known", [None, Unrecorded.NEW, record("COMPLETED", fingerprint="x"), record("FAILED")])
@pytest.mark.parametrize("everything", [False, True])
def test_named(known: RunRecord | Unrecorded | None, *, everything: bool) -> None:
    """What is not named is left, whatever is known of it; what is named has the fate that it had without names."""
    rules = RerunRules(cleared=True, everything=everything)

    assert replace(rules, named=("S2", "T*")).fate(NOW, known) is Fate.LEAVE
    assert replace(rules, named=("T*", "?1")).fate(NOW, known) is rules.fate(NOW, known)


def test_what_is_going_or_forgotten_is_told_without_names() -> None:
    """A run that is going is waited for, and a gone memory refused, also of samples that are not named."""
    rules = RerunRules(named=("S2",))

    assert rules.fate(NOW, Unrecorded.GOING) is Fate.WAIT
    assert rules.fate(NOW, Unrecorded.NOT_KNOWN) is Fate.NOT_KNOWN


@pytest.mark.parametrize(
    ("value", "named"),
    [("failed", ()), ("all", ()), ("S1", ("S1",)), (["failed"], ("failed",)), ([12, "*"], ("12", "*"))],
)
def test_rerun_names_samples(value: object, named: tuple[str, ...]) -> None:
    """The two words stand for all samples; in a list they are ids as any."""
    assert read_rerun(value) == (named, [])


@pytest.mark.parametrize("value", [None, "", [], [""], True, [1.5], "['S1']"])
def test_bad_rerun(value: object) -> None:
    """What names nothing is a problem, and never all samples."""
    named, problems = read_rerun(value)

    assert (named, [problem.argument for problem in problems]) == ((), ["rerun"])


@pytest.mark.parametrize(
    ("everything", "named", "expected"),
    [
        (
            False,
            (),
            (
                4,
                "submit 4: 1 failed, 1 cancelled, 1 not submitted, 1 incomplete; keep 1; leave 1 that did not complete",
            ),
        ),
        (
            True,
            (),
            (6, "submit 6: 1 completed, 1 failed, 1 cancelled, 1 not submitted, 1 incomplete, 1 unknown; keep 0"),
        ),
        (
            False,
            ("*ED",),
            (
                3,
                "submit 3: 1 failed, 1 cancelled, 1 not submitted; keep 1; 2 that rerun does not name stay as they are",
            ),
        ),
    ],
)
def test_forecast(everything: bool, named: tuple[str, ...], expected: tuple[int, str]) -> None:
    """A clear submits what did not complete, never what may have, and nothing of a row that has left the sheet."""
    ends = [status for status in RecordStatus if status not in UNFINISHED]
    records = [RunRecord(f"S{status.value}", None, None, status, fingerprint="f") for status in ends]

    forecast = rerun_forecast(records, everything=everything, named=named)

    assert (forecast.submitted, forecast.sentence) == expected
