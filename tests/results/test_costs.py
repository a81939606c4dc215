"""What runs cost, in the records of a collection, and what they used, beside them."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.cost.cohort import RunPrice, cohort_cost
from airflow_provider_omics.core.cost.record import AWAITED
from airflow_provider_omics.results import costs as results_costs
from airflow_provider_omics.results.collect import Collection
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, ONE_TRY, TASK_LOG, quick_hook, samples
from tests.results.batches import URI, collect, delete_manifests, details, end, records, rule, start

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")

HOUR = 3600
TASK: dict[str, Any] = {"name": "ALIGN", "duration": 2 * HOUR / 0.85, "cpus": 2, "memory": 4}
"""Of its duration it runs 85 %: two hours, on an omics.c.large at 0.10 USD an hour."""
STATIC = {"storageType": "STATIC", "storageCapacity": 1200}
SECONDS = 2 * HOUR / 0.85 + 30
"""From the start of such a run to its end."""
STORAGE = round(1200 * SECONDS / HOUR * 0.0002, 6)
"""USD for its 1,200 GiB."""
RUNS_OUT = {
    "outcome": "FAILED",
    "failure_reason": "OUT_OF_MEMORY_ERROR",
    "tasks": [{**TASK, "outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "memory_used": 3.9}],
}


def a_batch(emulator: OmicsEmulator, *names: str, **rules: Any) -> str:
    emulator.set_scenario({"runs": [*(rule(name, **of) for name, of in rules.items()), {"tasks": [TASK]}]})
    return end(emulator, *names, default=STATIC)


def costs(name: str = "S1") -> dict[str, Any]:
    return dict(records()[name].costs)


def sizing(emulator: OmicsEmulator) -> dict[str, Any]:
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key="results/wgs/sizing.json")["Body"].read()
    found: dict[str, Any] = json.loads(body)
    return found


@details
def test_a_record_has_the_cost_of_its_run(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """Two hours of its instance and its storage; a failure costs too, and says what was too small."""
    collect(a_batch(emulator, "S1", "F", F=RUNS_OUT), detail=detail, read_costs=True)

    found = costs()
    assert found["cost_tasks_usd"] == pytest.approx(0.2)
    assert found["cost_storage_usd"] == pytest.approx(STORAGE)
    assert found["cost_usd"] == pytest.approx(0.2 + STORAGE)
    assert found["running_seconds"] == pytest.approx(SECONDS, abs=0.01)
    assert found["prices_as_of"]
    assert costs("F")["cost_usd"] == pytest.approx(0.2 + STORAGE)
    assert costs("F")["size_advice"] == "ALIGN used 3.9 of 4 GiB: give 6"
    assert "size_advice" not in found


def test_costs_are_off_by_default(emulator: OmicsEmulator) -> None:
    """Then no log is read, and no record has a member of cost."""
    collect(a_batch(emulator, "S1"))

    assert costs() == {}
    assert "cost_usd" not in records()["S1"].to_json()


def test_each_manifest_is_read_once(emulator: OmicsEmulator) -> None:
    """A second collection asks for nothing; one that was made without costs has them added, and no run is read anew."""
    batch_id = a_batch(emulator, "S1", "S2", "S3")
    collect(batch_id)
    emulator.calls.clear()

    first = collect(batch_id, read_costs=True)
    priced = {name: dict(record.costs) for name, record in records().items()}
    runs_read = emulator.calls.by_operation().get("GetRun", 0)
    again = collect(batch_id, read_costs=True)

    assert (first.new, again.new, runs_read) == (3, 0, 0)
    assert {name: dict(record.costs) for name, record in records().items()} == priced
    assert all(found["cost_usd"] for found in priced.values())


def test_rerun_keeps_the_cost_of_earlier_attempts(emulator: OmicsEmulator) -> None:
    """A sample costs all its attempts, and a cohort all its runs; an earlier one without a cost gets it now."""
    collect(a_batch(emulator, "S1", "S2", S1=RUNS_OUT))
    emulator.set_scenario({"runs": [{"tasks": [TASK]}]})
    again = {"inlineSettings": samples("S1")}
    default = {**DEFAULT_RUN_SETTING, **STATIC}
    started = emulator.client().start_run_batch(requestId="two", defaultRunSetting=default, batchRunSettings=again)
    second = str(started["id"])
    emulator.advance(100_000)

    collect(second, read_costs=True)

    record = records()["S1"].to_json()
    (earlier,) = record["earlier_runs"]
    assert (earlier["status"], earlier["cause"]) == ("FAILED", "OUT_OF_MEMORY_ERROR")
    assert earlier["cost_usd"] == record["cost_usd"] == pytest.approx(0.2 + STORAGE)
    cost = cohort_cost(RunPrice.all_of(record))
    assert (cost.samples, cost.runs, cost.unpriced_runs) == (1, 2, 0)
    assert cost.usd == pytest.approx(2 * (0.2 + STORAGE))
    assert cost.by_cause["OUT_OF_MEMORY_ERROR"][0] == 1


def test_manifest_that_comes_late(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """It is asked for a few times in this collection, and once more by a later one; then its cost is not known."""
    emulator.set_scenario({"runs": [{"tasks": [TASK]}]})
    batch_id = start(emulator, "S1", default=STATIC)
    while emulator.client().get_batch(batchId=batch_id)["status"] != "PROCESSED":
        emulator.advance(60)
    delete_manifests(emulator)
    emulator.calls.clear()

    collect(batch_id, read_costs=True)

    assert costs()["cost_usd"] is None
    assert costs()["cost_unknown"] == ["no manifest yet"]
    assert sum(stepped.slept) >= 30
    emulator.advance(AWAITED)
    slept = len(stepped.slept)
    assert [collect(batch_id, read_costs=True).new for _ in range(2)] == [1, 0]
    assert costs()["cost_unknown"] == ["no manifest"]
    assert not [seconds for seconds in stepped.slept[slept:] if seconds >= 10]


@pytest.mark.parametrize("service", ["pricing", "logs"])
def test_service_out_of_reach(
    emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]], service: str
) -> None:
    """One warning, no cost, and results all the same; the next collection adds what was missing."""
    batch_id = a_batch(emulator, "S1", "S2")
    connect(service_config={service: {"endpoint_url": "http://127.0.0.1:1"}}, config_kwargs=ONE_TRY)

    collected = collect(batch_id, read_costs=True, hook=quick_hook())

    assert collected.counts == {"COMPLETED": 2}
    assert costs() == {}
    assert sum("what runs cost is not known" in line.lower() for line in log_lines(logging.WARNING)) == 1
    connect()
    collect(batch_id, read_costs=True)
    assert costs()["cost_usd"] == pytest.approx(0.2 + STORAGE)


def test_sizing_of_all_collections(emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of several collections, and of several checkpoints, make one sizing; a run in two parts counts once."""
    monkeypatch.setattr(results_costs, "MOST_TASKS", 0)
    big = {"tasks": [{**TASK, "cpus": 8, "memory": 32, "cpus_used": 1.0, "memory_used": 3.0}]}
    batch_id = a_batch(emulator, "S1", "S2", "S3", S1=big, S2=big, S3=big)
    with closing(Collection(quick_hook(), batch_id, URI, TASK_LOG, read_costs=True)) as collection:
        collection.collect()
        written = collection.write_sizing()
    s3 = emulator.client("s3")
    assert len(s3.list_objects_v2(Bucket=BUCKET, Prefix="results/wgs/usage/")["Contents"]) == 3
    s3.delete_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")  # its records are lost, and read again in one part
    monkeypatch.setattr(results_costs, "MOST_TASKS", 20_000)
    with closing(Collection(quick_hook(), batch_id, URI, TASK_LOG, read_costs=True)) as collection:
        collection.collect()
        again = collection.write_sizing()

    assert written == again
    assert written is not None
    assert written[1] == f"s3://{BUCKET}/results/wgs/sizing.json"
    (align,) = sizing(emulator)["processes"]
    assert (align["name"], align["tasks"], align["instance_type"]) == ("ALIGN", 3, "omics.m.2xlarge")
    assert align["enough"] == "omics.c.large"
    assert align["saved_usd"] == pytest.approx(3 * 2 * (0.06 * 8 - 0.1))


@pytest.mark.parametrize("detail", [ResultsDetail.LISTED, ResultsDetail.FULL])
def test_manifests_have_a_pace_of_their_own(
    emulator: OmicsEmulator, stepped: SteppedTime, detail: ResultsDetail
) -> None:
    """Ten calls a second of two a manifest; they fill the pauses of GetRun, which they do not make longer."""
    names = [f"S{number}" for number in range(40)]
    batch_id = a_batch(emulator, *names)
    began = stepped.time()

    collect(batch_id, detail=detail, read_costs=True)

    assert all(record.costs["cost_usd"] for record in records().values())
    assert 2 * len(names) / 10 - 0.2 <= stepped.time() - began <= 2 * len(names) / 10 + 2


@pytest.mark.parametrize("costs", [{"cost_usd": float("nan")}, {"cost_unknown": [[[[]]]] * 10**6}])
def test_damaged_costs_of_others(costs: dict[str, Any]) -> None:
    """One member that no file can have is left out, and the record stays."""
    record = RunRecord.from_json({"run_setting_id": "S1", "status": "COMPLETED", **costs})

    assert record.costs == {}
