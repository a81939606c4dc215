from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.batch.verdict import BatchCounts, Tolerance, judge, naming_problems
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.snapshots import BatchSnapshot


def processed(total: int, completed: int, **counts: int) -> BatchSnapshot:
    """Give a batch whose runs have all ended."""
    return BatchSnapshot("2", "PROCESSED", total_runs=total, counts={"completed_runs": completed, **counts})


@pytest.mark.parametrize(
    ("given", "number"),
    [(0, 0), (3, 3), (3.0, 3), ("3", 3), (" 3 ", 3), ("3.0", 3), ("", 0), (None, 0), (100_000, 100_000)],
    ids=repr,
)
def test_a_number_of_runs_may_come_as_text(given: object, number: int) -> None:
    """Templates make text of numbers; nothing means none."""
    assert Tolerance.checked(given, None, ()).max_failed_runs == number


@pytest.mark.parametrize(
    "given",
    [
        *[-1, "-1", 0.5, "half", "None", "5%", True, False, [], {}, [3], "nan", "inf", float("nan")],
        pytest.param(10**400, id="beyond floats"),
    ],
    ids=repr,
)
def test_what_is_no_number_of_runs_is_refused(given: object) -> None:
    """The error names the argument, the value and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        Tolerance.checked(given, None, ())

    (problem,) = caught.value.problems
    assert (problem.argument, problem.value) == ("max_failed_runs", repr(given))
    assert problem.allowed == "a whole number, 0 or more"


@pytest.mark.parametrize(
    ("given", "number"),
    [(None, None), ("", None), ("None", None), (0, 0.0), ("0", 0.0), (2.5, 2.5), ("2.5", 2.5), (100, 100.0)],
    ids=repr,
)
def test_a_percentage_may_come_as_text(given: object, number: float | None) -> None:
    """Templates make text of numbers, and of None; nothing means that the number alone counts."""
    assert Tolerance.checked(0, given, ()).max_failed_percent == number


@pytest.mark.parametrize("given", [-0.1, 100.1, "5%", "nan", "inf", True, [5], {}], ids=str)
def test_what_is_no_percentage_is_refused(given: object) -> None:
    """Only numbers from 0 to 100 are."""
    with pytest.raises(SettingsError) as caught:
        Tolerance.checked(0, given, ())

    (problem,) = caught.value.problems
    assert (problem.argument, problem.value) == ("max_failed_percent", repr(given))


@pytest.mark.parametrize(
    ("given", "patterns"),
    [
        ((), ()),
        ("control-*", ("control-*",)),
        (["a", "b?"], ("a", "b?")),
        (("a",), ("a",)),
        ({"a": 1}, ("a",)),
        ([12878], ("12878",)),
        ("[ab]*", ("[ab]*",)),
    ],
    ids=str,
)
def test_must_succeed_may_be_one_or_several(given: object, patterns: tuple[str, ...]) -> None:
    """One text is one pattern, not a list of letters."""
    assert Tolerance.checked(0, None, given).must_succeed == patterns


@pytest.mark.parametrize(
    "given", ["", [""], ["a", ""], [5.0], True, None, ["a", None], [["a"]], "[]", "['S1']", '["S1", "S2"]'], ids=str
)
def test_must_succeed_of_another_form_is_refused(given: object) -> None:
    """Each pattern is a text that is not empty."""
    with pytest.raises(SettingsError) as caught:
        Tolerance.checked(0, None, given)

    assert [problem.argument for problem in caught.value.problems] == ["must_succeed"]


def test_all_problems_are_told_at_once() -> None:
    """Three wrong arguments are three problems in one error."""
    with pytest.raises(SettingsError) as caught:
        Tolerance.checked("some", 101, [""])

    assert [problem.argument for problem in caught.value.problems] == [
        "max_failed_runs",
        "max_failed_percent",
        "must_succeed",
    ]


@pytest.mark.parametrize(
    ("runs", "percent", "total", "allowed"),
    [
        (0, None, 63, 0),
        (2, None, 63, 2),
        (0, 5, 63, 3),
        (0, 5, 19, 0),
        (0, 5, 20, 1),
        (2, 5, 20, 2),
        (2, 5, 100, 5),
        (0, 100, 8, 8),
        (0, 0, 8, 0),
        (5, None, 3, 5),
        (0, 33.3, 3, 0),
        (0, 33.4, 3, 1),
        (0, 0.57, 10_000, 57),
        (0, 0.29, 100_000, 290),
        (0, 1.1, 1_000, 11),
        (0, 0.001, 100_000, 1),
        (0, 1e-07, 100_000, 0),
        (0, 50, 0, 0),
    ],
)
def test_how_many_may_fail(runs: int, percent: float | None, total: int, allowed: int) -> None:
    """A percentage is rounded down, exactly; the larger of number and percentage counts."""
    assert Tolerance(runs, percent).allowance(total) == allowed


@settings(deadline=None)
@given(hundredths=st.integers(0, 10_000), total=st.integers(0, 100_000))
def test_a_percentage_is_rounded_as_on_paper(hundredths: int, total: int) -> None:
    """For any percentage with two places, the allowance is that of whole numbers."""
    assert Tolerance(0, hundredths / 100).allowance(total) == total * hundredths // 10_000


@pytest.mark.parametrize(
    ("batch", "counts"),
    [
        (processed(8, 8), BatchCounts(8, 8, 0, 0, 0, 0)),
        (processed(8, 5, failed_runs=1, cancelled_runs=1, failed_submissions=1), BatchCounts(8, 5, 1, 1, 1, 0)),
        (processed(8, 5), BatchCounts(8, 5, 0, 0, 0, 3)),
        (processed(8, 5, deleted_runs=3), BatchCounts(8, 5, 0, 0, 0, 3)),
        (processed(8, 8, successful_submissions=8, failed_cancels=2), BatchCounts(8, 8, 0, 0, 0, 0)),
        (processed(0, 5, failed_runs=3), BatchCounts(8, 5, 3, 0, 0, 0)),
        (processed(0, 0), BatchCounts(0, 0, 0, 0, 0, 0)),
    ],
)
def test_counts_of_an_ended_batch(batch: BatchSnapshot, counts: BatchCounts) -> None:
    """What no count accounts for, and what was deleted, is unknown; what is counted is never less than the total."""
    assert BatchCounts.of(batch) == counts


COUNTS = st.fixed_dictionaries(
    {},
    optional={
        name: st.integers(0, 50)
        for name in ("completed_runs", "failed_runs", "cancelled_runs", "failed_submissions", "deleted_runs")
    },
)


@settings(deadline=None)
@given(total=st.integers(0, 100), counts=COUNTS, runs=st.integers(0, 20))
def test_counts_add_up_and_failures_count(total: int, counts: dict[str, int], runs: int) -> None:
    """Outcomes add up to the total, and a success has no more failures than allowed."""
    batch = BatchSnapshot("2", "PROCESSED", total_runs=total, counts=counts)

    verdict = judge(BatchCounts.of(batch), Tolerance(runs))

    outcomes: dict[str, Any] = verdict.counts.as_dict()
    assert outcomes.pop("total_runs") == sum(outcomes.values())
    assert min(outcomes.values()) >= 0
    known_failures = sum(counts.get(name, 0) for name in ("failed_runs", "cancelled_runs", "failed_submissions"))
    assert verdict.succeeded is (verdict.counts.total_runs > 0 and verdict.counts.not_completed <= runs)
    assert not verdict.succeeded or known_failures <= runs


@pytest.mark.parametrize(
    ("batch", "tolerance", "succeeded", "sentence"),
    [
        (processed(8, 8), Tolerance(), True, "8 of 8 runs completed"),
        (processed(8, 7, failed_runs=1), Tolerance(), False, "7 of 8 runs completed; 1 failed; 0 tolerated"),
        (processed(8, 7, failed_runs=1), Tolerance(1), True, "7 of 8 runs completed; 1 failed; 1 tolerated"),
        (processed(8, 6, failed_runs=2), Tolerance(1), False, "6 of 8 runs completed; 2 failed; 1 tolerated"),
        (processed(8, 6, failed_runs=2), Tolerance(1, 25), True, "6 of 8 runs completed; 2 failed; 2 tolerated"),
        (processed(8, 7, cancelled_runs=1), Tolerance(), False, "7 of 8 runs completed; 1 cancelled; 0 tolerated"),
        (
            processed(8, 7, failed_submissions=1),
            Tolerance(),
            False,
            "7 of 8 runs completed; 1 not submitted; 0 tolerated",
        ),
        (processed(8, 7), Tolerance(), False, "7 of 8 runs completed; 1 of unknown outcome; 0 tolerated"),
        (
            processed(9, 5, failed_runs=1, cancelled_runs=1, failed_submissions=1),
            Tolerance(4),
            True,
            "5 of 9 runs completed; 1 failed, 1 cancelled, 1 not submitted, 1 of unknown outcome; 4 tolerated",
        ),
    ],
)
def test_the_verdict(batch: BatchSnapshot, tolerance: Tolerance, succeeded: bool, sentence: str) -> None:
    """Whatever keeps a run from completing counts against the tolerance, and the sentence names it."""
    verdict = judge(BatchCounts.of(batch), tolerance)

    assert (verdict.succeeded, verdict.sentence) == (succeeded, sentence)


@pytest.mark.parametrize(
    ("pattern", "failed", "missed"),
    [
        ("control-1", ["control-1"], ("control-1",)),
        ("control-1", ["control-10", "xcontrol-1"], ()),
        ("control-*", ["sample-1", "control-2", "control-9"], ("control-2", "control-9")),
        ("control-?", ["control-2", "control-10"], ("control-2",)),
        ("Control-*", ["control-2"], ()),
        ("*", ["sample-1"], ("sample-1",)),
        ("plate[1]-*", ["plate[1]-a", "plate1-a"], ("plate[1]-a",)),
        ("[!a]*", ["b"], ()),
    ],
)
def test_must_succeed_is_never_tolerated(pattern: str, failed: list[str], missed: tuple[str, ...]) -> None:
    """A failed run that a pattern names fails the batch; only ``*`` and ``?`` have a meaning, and case counts."""
    batch = processed(100, 100 - len(failed), failed_runs=len(failed))

    verdict = judge(BatchCounts.of(batch), Tolerance(50, must_succeed=("nothing", pattern)), failed)

    assert (verdict.succeeded, verdict.missed) == (not missed, missed)
    assert verdict.sentence.endswith(f"; must succeed but did not: {', '.join(missed)}" if missed else "50 tolerated")


def test_silence_is_no_success() -> None:
    """A batch has at least one run: an answer without any count says nothing of how it went."""
    assert not judge(BatchCounts.of(BatchSnapshot("1", "PROCESSED")), Tolerance(max_failed_runs=5)).succeeded


def test_what_is_going_is_not_unknown() -> None:
    """A batch that is left or cancelled while it is going has runs of no outcome yet."""
    going = BatchSnapshot("1", "INPROGRESS", total_runs=8, counts={"running_runs": 5, "completed_runs": 2})

    assert BatchCounts.of(going).unknown_runs == 1


def test_counts_of_several_attempts_add_up() -> None:
    """What earlier attempts have left is counted with the batch: together they are the sheet."""
    left = BatchCounts.of_statuses({"COMPLETED": 5, "FAILED": 1, "NOT_SUBMITTED": 2, "UNKNOWN": 1})

    together = left + BatchCounts.of(processed(3, 2, failed_runs=1))

    assert left == BatchCounts(9, 5, 1, 0, 2, 1)
    assert together == BatchCounts(12, 7, 2, 0, 2, 1)
    assert judge(together, Tolerance(5)).succeeded
    assert not judge(together, Tolerance(4)).succeeded


@pytest.mark.parametrize(
    ("given", "named", "near"),
    [
        ("NA12878", True, None),
        ("NA*", True, None),
        ("NA1287?", True, None),
        ("run[1]", True, None),
        ("NA12787", False, "'NA12878'"),
        ("na12878", False, "'NA12878'"),
        ("NA12878 ", False, "'NA12878'"),
        ("control-*", False, "the first: 'NA12878'"),
        ("NA128?", False, "'NA12878'"),
        ("run[12]", False, "'run[1]'"),
    ],
)
def test_what_must_succeed_has_to_be_there(given: str, near: str | None, *, named: bool) -> None:
    """An id or a pattern that names no sample is a problem, which shows the nearest ids."""
    problems = naming_problems("must_succeed", [given, "NA12879"], ["NA12878", "NA12879", "run[1]"])

    assert (not problems) is named
    if near is not None:
        (problem,) = problems
        assert problem.argument == "must_succeed"
        assert repr(given) in problem.value
        assert near in problem.value
        assert problem.masked().value == "masked"


@pytest.mark.parametrize("named", [["S1"], ["S1", ""], [""], []], ids=repr)
@pytest.mark.parametrize("must_succeed", [(), ("S2",), ("S1",), ("*",)], ids=repr)
def test_no_verdict_on_a_run_without_a_name(named: list[str], must_succeed: tuple[str, ...]) -> None:
    """A run that did not complete and that no list names may be one that must succeed."""
    verdict = judge(BatchCounts.of(processed(8, 6, failed_runs=2)), Tolerance(2, must_succeed=must_succeed), named)

    assert verdict.succeeded is (not must_succeed)
    assert verdict.is_open is bool(must_succeed and not verdict.missed)
