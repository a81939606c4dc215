"""Our sums beside those of run_analyzer (aws-healthomics-tools 0.14), on the same manifests and prices.

Its rows are recorded: see :mod:`tests.core.cost.record_run_analyzer`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_omics.core.cost.rates import DYNAMIC_STORAGE, Rates, rates_from_price_list
from airflow_provider_omics.core.cost.reckoning import MINIMUM_SECONDS, RunCost, run_cost
from airflow_provider_omics.core.cost.usage import RunUsage, run_usage
from airflow_provider_omics.emulator.http import price_list
from tests.core.cost.record_run_analyzer import RECORDED

RUNS: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
CENT = 0.005
ALIKE = ("static", "static without a capacity", "dynamic", "failed")
"""Runs that it reckons as we do; each of the others has a test of its own."""


@pytest.fixture(scope="module")
def rates() -> Rates:
    """The prices of the local Price List, which the tool has read."""
    where = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"}]
    answer = price_list.answer("GetProducts", {"ServiceCode": "AmazonOmics", "Filters": where})
    assert "NextToken" not in answer
    return rates_from_price_list(answer["PriceList"], "2027-01-04")


def used(name: str) -> RunUsage:
    run = RUNS[name]
    found = run_usage([json.dumps(entry) for entry in run["manifest"]], run["run_id"], run["run_uuid"])
    assert found is not None
    return found


def cost(name: str, rates: Rates) -> RunCost:
    return run_cost(used(name), rates)


def rows(name: str, kind: str) -> float:
    """Add up the tool's rows of one type; an empty one counts nothing."""
    return sum(float(row["estimatedUSD"] or 0) for row in RUNS[name]["rows"] if row["type"] == kind)


@pytest.mark.parametrize("name", ALIKE)
def test_sums_are_equal_to_the_cent(rates: Rates, name: str) -> None:
    """The sum of all its rows: that of the run is storage alone."""
    ours = cost(name, rates)

    assert ours.usd == pytest.approx(rows(name, "run") + rows(name, "task"), abs=CENT)
    assert ours.tasks_usd == pytest.approx(rows(name, "task"), abs=CENT)
    assert ours.storage_usd == pytest.approx(rows(name, "run"), abs=CENT)


def test_storage_of_a_short_dynamic_run(rates: Rates) -> None:
    """It has no average: there the storage is nought, here it is not known, and bounded."""
    ours = cost("dynamic and short", rates)

    assert rows("dynamic and short", "run") == 0
    assert (ours.usd, ours.storage_usd) == (None, None)
    assert ours.tasks_usd == pytest.approx(rows("dynamic and short", "task"), abs=CENT)
    assert "DYNAMIC" in " ".join(ours.unknown)
    assert rates.rate("us-east-1", DYNAMIC_STORAGE)


def test_cache_hit(rates: Rates) -> None:
    """A task without times costs a minute there, and nothing here."""
    ours = cost("with a cache hit", rates)
    (hit,) = [task for task in used("with a cache hit").tasks if task.is_cached]
    minute = MINIMUM_SECONDS / 3600 * (rates.rate("us-east-1", hit.instance_type or "") or 0)

    assert minute > 0
    assert ours.tasks_usd == pytest.approx(rows("with a cache hit", "task") - minute, abs=1e-6)
    assert ours.storage_usd == pytest.approx(rows("with a cache hit", "run"), abs=CENT)


def test_extended_support(rates: Rates) -> None:
    """It does not know of it: tasks of Nextflow 22.04 cost twice here, from 2026-11-30 on."""
    ours = cost("extended support", rates)

    assert ours.tasks_usd == pytest.approx(2 * rows("extended support", "task"), abs=CENT)
    assert ours.storage_usd == pytest.approx(rows("extended support", "run"), abs=CENT)


def test_every_recorded_run_is_compared() -> None:
    """None is left out."""
    assert RUNS.keys() == {*ALIKE, "dynamic and short", "with a cache hit", "extended support"}
