from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.cost.instances import INSTANCES, smallest_instance
from airflow_provider_omics.core.cost.sizing import (
    Spread,
    memory_advice,
    process_name,
    size_cohort,
    storage_advice,
)
from tests.core.cost.manifests import RATES, run_object, task_object, usage


@pytest.mark.parametrize(
    ("vcpus", "memory", "name"),
    [
        (1, 1, "omics.c.large"),
        (2, 4, "omics.c.large"),
        (2, 5, "omics.m.large"),
        (2, 16, "omics.r.large"),
        (2, 17, "omics.r.xlarge"),
        (3, 4, "omics.c.xlarge"),
        (192, 1536, "omics.r.48xlarge"),
        (193, 1, None),
        (1, 1537, None),
    ],
)
def test_the_smallest_instance_that_is_enough(vcpus: float, memory: float, name: str | None) -> None:
    """Fewer vCPUs first, then less memory."""
    found = smallest_instance(vcpus, memory)

    assert (None if found is None else found.name) == name


@given(st.floats(0.1, 150), st.floats(0.1, 1200), st.floats(0, 1), st.floats(0, 1))
def test_more_headroom_never_gives_a_smaller_instance(vcpus: float, memory: float, one: float, more: float) -> None:
    """Too much of it gives none."""
    metrics = {"cpusReserved": 2, "cpusMaximum": vcpus, "memoryReservedGiB": 4, "memoryMaximumGiB": memory}
    run = usage(run_object(), task_object(metrics=metrics))
    by_name = {each.name: each for each in INSTANCES}
    low, high = (size_cohort([run], None, headroom).processes[0].enough for headroom in sorted((one, more)))

    assert high is None or (low is not None and by_name[low] <= by_name[high])


@pytest.mark.parametrize(
    ("name", "engine", "process"),
    [
        ("NFCORE_SAREK:ALIGN (sample_1)", "NEXTFLOW", "NFCORE_SAREK:ALIGN"),
        ("ALIGN", "NEXTFLOW", "ALIGN"),
        ("align-3-1", "WDL", "align"),
        ("align-3-1-retry", "WDL", "align"),
        ("align_2", "CWL", "align"),
        ("align (s1)", None, "align"),
    ],
)
def test_tasks_are_put_together_by_process(name: str, engine: str | None, process: str) -> None:
    """Without the sample or number that the engine adds."""
    assert process_name(name, engine) == process


def cohort() -> Any:
    """Make three runs of a process that asks for much and uses little, one task of a GPU, and one cache hit."""
    for number, used in enumerate((1.0, 2.0, 3.0)):
        metrics = {"cpusReserved": 4, "cpusMaximum": 1.0, "memoryReservedGiB": 16, "memoryMaximumGiB": used}
        yield usage(
            run_object(),
            task_object(number, instanceType="omics.m.xlarge", metrics=metrics),
            task_object(10 + number, name="CALL (s1)", gpus=1),
            task_object(20 + number, name="CALL (s1)", cacheHit=True),
        )


def test_a_cohort_is_sized() -> None:
    """Each process with what it asked for, used, and would have needed."""
    sizing = size_cohort(cohort(), RATES)

    assert sizing.gpu_tasks == 3
    (align,) = sizing.processes
    assert (align.name, align.tasks, align.vcpus, align.memory) == ("ALIGN", 3, 4.0, 16.0)
    assert align.memory_used == Spread(2.0, 3.0, 3.0)
    assert (align.instance_type, align.enough, align.is_tight) == ("omics.m.xlarge", "omics.c.large", False)
    assert align.saved_usd == pytest.approx(3 * (0.30 - 0.12))
    assert sizing.to_json()["processes"][0]["memory_used"] == {"median": 2.0, "p95": 3.0, "maximum": 3.0}


@pytest.mark.parametrize("used", [3.7, 4.0])
def test_what_was_close_to_its_limit_is_told(used: float) -> None:
    """Above nine tenths of what it had."""
    metrics = {"memoryReservedGiB": 4, "memoryMaximumGiB": used, "cpusMaximum": 1}

    assert size_cohort([usage(run_object(), task_object(metrics=metrics))], None).processes[0].is_tight


def test_a_task_that_ran_out_was_too_small() -> None:
    """Whatever its manifest says of its maximum."""
    task = task_object(status="FAILED", failureReason="OUT_OF_MEMORY_ERROR")

    assert size_cohort([usage(run_object(), task)], None).processes[0].is_tight


def test_an_unknown_rate_leaves_the_saving_open() -> None:
    """The instance stands all the same."""
    task = task_object(instanceType="omics.m.24xlarge")
    (process,) = size_cohort([usage(run_object(), task)], RATES).processes

    assert (process.enough, process.saved_usd) == ("omics.c.large", None)


@pytest.mark.parametrize(
    ("had", "used", "advice"),
    [
        (32.0, 31.8, "used 31.8 of 32 GiB: give 48"),
        (32.0, None, "had 32 GiB: give 48"),
        (32.0, 40.0, "used 40 of 32 GiB: give 50"),
        (None, 40.0, None),
    ],
)
def test_advice_after_running_out_of_memory(had: float | None, used: float | None, advice: str | None) -> None:
    """Half as much again, or a quarter above what was seen."""
    assert memory_advice(had, used) == advice


@pytest.mark.parametrize(
    ("members", "advice"),
    [
        (
            {"metrics": {"storageMaximumGiB": 1150.0}},
            "used 1,150 of 1,200 GiB: give 2,400, or storageType DYNAMIC",
        ),
        ({"storageCapacity": 2400, "metrics": {}}, "had 2,400 GiB: give 4,800, or storageType DYNAMIC"),
        ({"storageType": "DYNAMIC"}, None),
    ],
)
def test_advice_after_a_full_file_system(members: dict[str, Any], advice: str | None) -> None:
    """The next size that the service has."""
    assert storage_advice(usage(run_object(**members))) == advice
