from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_omics.core.cost.rates import Rates
from airflow_provider_omics.core.cost.reckoning import RunCost, extended_support, run_cost, static_storage
from airflow_provider_omics.core.cost.usage import run_usage
from tests.core.cost.manifests import RATES, REGION, run_object, task_object, usage

STORAGE_USD = 1200 * 2 * 0.0002


@pytest.mark.parametrize(
    ("task", "usd"),
    [
        pytest.param(task_object(), 0.12, id="an hour"),
        pytest.param(task_object(stopTime="2026-06-22T12:00:10Z"), 0.12 / 60, id="ten seconds cost a minute"),
        pytest.param(task_object(stopTime="2026-06-22T12:01:30Z"), 0.12 * 90 / 3600, id="a minute and a half"),
        pytest.param(task_object(cacheHit=True), 0.0, id="a cache hit"),
        pytest.param(task_object(startTime=None, stopTime=None), 0.0, id="a cache hit without times"),
        pytest.param(task_object(status="CANCELLED", startTime=None), 0.0, id="cancelled before it ran"),
        pytest.param(task_object(status="FAILED"), 0.12, id="a failure costs too"),
        pytest.param(task_object(instanceType="omics.m.xlarge"), 0.30, id="its own instance"),
    ],
)
def test_a_task_costs_its_time(task: dict[str, Any], usd: float) -> None:
    """At least a minute of its instance; nothing if it never ran."""
    cost = run_cost(usage(run_object(), task), RATES)

    assert cost == RunCost(pytest.approx(usd + STORAGE_USD), pytest.approx(usd, abs=1e-6), pytest.approx(STORAGE_USD))  # type: ignore[arg-type]  # compares as a float


@pytest.mark.parametrize(
    ("run", "tasks", "named"),
    [
        pytest.param({}, [task_object(instanceType="omics.c.96xlarge")], "omics.c.96xlarge", id="no price"),
        pytest.param({}, [task_object(instanceType=None)], "without an instance type", id="no instance type"),
        pytest.param({}, [task_object(stopTime=None)], "a task without its end", id="no end of a task"),
        pytest.param(
            {},
            [task_object(metrics={"scratchStorageReservedGiB": 32.0})],
            "scratch above 16 GiB",
            id="scratch above the free part",
        ),
        pytest.param({"storageType": None}, [], "no storage type", id="no storage type"),
        pytest.param({"stopTime": None}, [], "a run without its end", id="no end of the run"),
        pytest.param({"arn": "arn:aws:omics:eu-west-2:123456789012:run/123"}, [], "eu-west-2", id="no price here"),
        pytest.param({"workflowType": "READY2RUN"}, [], "READY2RUN 1234567", id="no flat price"),
    ],
)
def test_unknown_is_never_nought(run: dict[str, Any], tasks: list[dict[str, Any]], named: str) -> None:
    """A part that is not known is named, and leaves no sum."""
    cost = run_cost(usage(run_object(**run), *tasks), RATES)

    assert cost.usd is None
    assert any(named in reason for reason in cost.unknown), cost.unknown
    assert cost.to_record()["cost_usd"] is None
    assert cost.to_record()["cost_unknown"] == list(cost.unknown)


def test_without_a_manifest_nothing_is_known() -> None:
    """The messages of another run are no manifest either."""
    assert run_usage([json.dumps(run_object())], "124") is None
    assert run_usage([json.dumps(run_object())], "123", "uuid-2") is None
    assert run_cost(None, RATES) == RunCost(None, None, None, unknown=("no manifest",))


def test_free_scratch_costs_nothing() -> None:
    """Sixteen GiB are free, and what a GPU task has is too."""
    free = task_object(metrics={"scratchStorageReservedGiB": 16.0})
    gpu = task_object(2, gpus=1, metrics={"scratchStorageReservedGiB": 900.0})

    assert run_cost(usage(run_object(), free, gpu), RATES).usd == pytest.approx(0.24 + STORAGE_USD)


def test_ending_before_it_ran_is_free() -> None:
    """A run that was cancelled in PENDING."""
    run = run_object(status="CANCELLED", startTime=None)

    assert run_cost(usage(run), RATES).usd == 0.0
    assert run_cost(usage({**run, "workflowType": "READY2RUN"}), RATES).usd == 0.0


def test_ready2run_has_a_flat_price() -> None:
    """Whatever its tasks used."""
    workflow = f"arn:aws:omics:{REGION}::workflow/9500764"

    assert run_cost(usage(run_object(workflowType="READY2RUN", workflow=workflow), task_object()), RATES).usd == 10.0


@pytest.mark.parametrize(
    ("members", "usd", "at_most"),
    [
        ({"metrics": {"storageAverageGiB": 50.0, "storageMaximumGiB": 80.0}}, 50 * 2 * 0.0004, None),
        ({"metrics": {"storageAverageGiB": 0, "storageMaximumGiB": 80.0}}, None, 80 * 2 * 0.0004),
        ({"metrics": {"storageMaximumGiB": 80.0}}, None, 80 * 2 * 0.0004),
        ({"metrics": {}}, None, None),
    ],
)
def test_dynamic_storage_without_an_average_has_a_bound(
    members: dict[str, Any], usd: float | None, at_most: float | None
) -> None:
    """Its average counts; nought stands for "not known", as short runs have it."""
    cost = run_cost(usage(run_object(storageType="DYNAMIC", storageCapacity=None, **members)), RATES)

    assert cost.usd == pytest.approx(usd)
    assert cost.storage_usd == pytest.approx(usd)
    assert cost.at_most_usd == pytest.approx(at_most)
    assert bool(cost.unknown) == (usd is None)


@pytest.mark.parametrize(
    ("capacity", "gib"), [(None, 1200), (1, 1200), (1200, 1200), (1201, 2400), (2400, 2400), (2401, 4800)]
)
def test_static_storage_is_rounded_as_the_service_rounds(capacity: float | None, gib: int) -> None:
    """1,200 GiB or multiples of 2,400."""
    assert static_storage(capacity) == gib


@pytest.mark.parametrize(
    ("version", "started", "factor"),
    [
        ("22.04.01", "2026-11-29T23:59:59Z", 1.0),
        ("22.04.01", "2026-11-30T00:00:00Z", 2.0),
        ("v22.04", "2027-11-29T00:00:00Z", 2.0),
        ("22.04", "2027-11-30T00:00:00Z", 4.0),
        ("23.10.0", "2026-12-01T00:00:00Z", 1.0),
        ("23.10.0", "2027-12-01T00:00:00Z", 2.0),
        ("24.10.8", "2030-01-01T00:00:00Z", 1.0),
        (None, "2030-01-01T00:00:00Z", 1.0),
    ],
)
def test_extended_support_multiplies_the_tasks(version: str | None, started: str, factor: float) -> None:
    """Not the storage."""
    run = usage(run_object(engineVersion=version, startTime=started, stopTime=None), task_object())

    assert extended_support(run) == factor
    assert run_cost(run, RATES).tasks_usd == pytest.approx(0.12 * factor)


def test_a_rate_of_nought_is_a_rate() -> None:
    """Private prices may be nought."""
    free = Rates({REGION: {"omics.c.large": 0.0, "Run Storage": 0.0}}, None, "test")

    assert run_cost(usage(run_object(), task_object()), free).usd == 0.0
