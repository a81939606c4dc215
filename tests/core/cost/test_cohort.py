from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.cost.cohort import RunPrice, cohort_cost, estimate_cohort, sample_usd

RUNS = [
    RunPrice("s1", "u1", "FAILED", 1.5, "OUT_OF_MEMORY_ERROR in ALIGN"),
    RunPrice("s1", "u2", "COMPLETED", 4.0),
    RunPrice("s2", "u3", "COMPLETED", None),
    RunPrice("s3", "u4", "CANCELLED", 0.5),
    RunPrice("s4", None, "NOT_SUBMITTED", None),
]


def test_a_cohort_costs_all_its_runs() -> None:
    """Failed and cancelled ones too; a sample that never ran is no run, and a run without a price is counted apart."""
    cost = cohort_cost([*RUNS, RUNS[0]])

    assert (cost.usd, cost.failed_usd) == (6.0, 2.0)
    assert (cost.samples, cost.runs, cost.unpriced_runs) == (4, 4, 1)
    assert dict(cost.by_cause) == {"OUT_OF_MEMORY_ERROR in ALIGN": (1, 1.5), "an unknown cause": (1, 0.5)}
    assert cost.lines() == [
        "6.00 USD for 3 of 4 runs of 4 samples",
        "The cost of 1 runs is not known, and in no sum",
        "1.50 USD went into 1 runs that failed for OUT_OF_MEMORY_ERROR in ALIGN",
        "0.50 USD went into 1 runs that failed for an unknown cause",
    ]


PRICES = st.lists(st.tuples(st.integers(0, 5), st.none() | st.floats(0, 1000).map(lambda usd: round(usd, 6))))


@given(PRICES)
def test_a_cohorts_cost_is_the_sum_of_its_samples(prices: list[tuple[int, float | None]]) -> None:
    """However its runs are distributed over them."""
    runs = [RunPrice(f"s{sample}", f"u{index}", "COMPLETED", usd) for index, (sample, usd) in enumerate(prices)]
    of_samples = [cohort_cost([run for run in runs if run.run_setting_id == f"s{sample}"]) for sample in range(6)]
    cost = cohort_cost(runs)

    assert cost.usd == pytest.approx(sum(each.usd for each in of_samples), abs=1e-5)
    assert cost.unpriced_runs == sum(each.unpriced_runs for each in of_samples)
    assert cost.runs == len(runs)


def test_an_estimate_rests_on_completed_runs_with_a_price() -> None:
    """Its range is that of the middle half."""
    earlier = [RunPrice(f"s{usd}", f"u{usd}", "COMPLETED", float(usd), seconds=usd * 60.0) for usd in (1, 2, 3, 10)]
    estimate = estimate_cohort(
        10, [*earlier, RunPrice("s", "u", "FAILED", 500.0), RunPrice("t", "v", "COMPLETED", None)]
    )

    assert estimate is not None
    assert (estimate.usd, estimate.usd_low, estimate.usd_high, estimate.seconds) == (40.0, 10.0, 30.0, 120.0)
    assert str(estimate) == (
        "about 40.00 USD (10.00 to 30.00) for 10 runs, by 4 earlier runs of the same workflow and version"
    )


def test_few_runs_are_a_weak_basis() -> None:
    """Which the sentence says."""
    assert str(estimate_cohort(2, [RunPrice("s1", "u1", "COMPLETED", 1.0)])).endswith("which are few")


def test_nothing_estimates_from_nothing() -> None:
    """Failures tell nothing of what a whole run costs."""
    assert estimate_cohort(2, [RunPrice("s1", "u1", "FAILED", 1.0)]) is None


def test_an_estimate_of_time_rests_on_how_many_ran_at_a_time() -> None:
    """Four earlier runs of an hour, two at a time: ten take five hours; one takes no less than an hour."""
    earlier = [
        RunPrice(f"s{end}{lane}", f"u{end}{lane}", "COMPLETED", 1.0, seconds=3600.0, stopped=end * 3600.0)
        for end in (1, 2)
        for lane in "ab"
    ]
    many, one = estimate_cohort(10, earlier), estimate_cohort(1, earlier)

    assert many is not None
    assert one is not None
    assert many.parallel == pytest.approx(2.0)
    assert many.cohort_seconds(many.seconds) == pytest.approx(5 * 3600.0)
    assert one.cohort_seconds(one.seconds) == pytest.approx(3600.0)
    assert str(many).endswith("; about 5 h 0 min (5 h 0 min to 5 h 0 min), at the same concurrency")


@given(PRICES)
def test_a_samples_cost_is_known_or_null(prices: list[tuple[int, float | None]]) -> None:
    """It is that of all its attempts, and null if one is not known: never a part of it."""
    earlier = [{"run_uuid": f"u{index}", "status": "FAILED", "cost_usd": usd} for index, (_, usd) in enumerate(prices)]
    record = {"run_setting_id": "s", "run_uuid": "u", "status": "COMPLETED", "cost_usd": 1.0, "earlier_runs": earlier}
    known = [usd for _, usd in prices if usd is not None]

    usd = sample_usd(record)

    assert usd == (pytest.approx(1.0 + sum(known), abs=1e-5) if len(known) == len(prices) else None)
    assert cohort_cost(RunPrice.all_of(record)).unpriced_runs == len(prices) - len(known)
