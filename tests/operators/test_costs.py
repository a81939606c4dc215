"""What tasks tell of cost: in records, result, log and page."""

from __future__ import annotations

import csv
import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_omics.__main__ import main
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator, OmicsStartRunBatchOperator
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, OutletEvents, perform, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Ended

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")

HOUR = 3600
FILE = f"s3://{BUCKET}/wgs.jsonl.gz"
TASK: dict[str, Any] = {"name": "ALIGN", "duration": 2 * HOUR / 0.85, "cpus": 2, "memory": 4}
SECONDS = 2 * HOUR / 0.85 + 30
USD = 0.2 + round(1200 * SECONDS / HOUR * 0.0002, 6)
"""Two hours of an omics.c.large, and 1,200 GiB over all of its run."""
RUNS_OUT = {
    "match": {"run_setting_id": "S2"},
    "outcome": "FAILED",
    "failure_reason": "OUT_OF_MEMORY_ERROR",
    "tasks": [{**TASK, "outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "memory_used": 3.9}],
}
SCENARIO = {"runs": [RUNS_OUT, {"tasks": [TASK]}]}


def batch(*names: str, **arguments: Any) -> OmicsStartRunBatchOperator:
    return OmicsStartRunBatchOperator(
        task_id="wgs",
        **{
            "default_run_setting": {**DEFAULT_RUN_SETTING, "storageType": "STATIC"},
            "run_settings": samples(*(names or ("S1", "S2", "S3"))),
            "results_s3_uri": FILE,
            "read_costs": True,
            "deferrable": False,
            "poll_interval": 600,
            **arguments,
        },
    )


def result_of(ended: Ended) -> dict[str, Any]:
    result: dict[str, Any] = ended.result or ended.xcoms["return_value"]
    return result


def page(emulator: OmicsEmulator, key: str = "wgs/report.html") -> str:
    return str(emulator.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("max_failed_runs", [0, 1])
def test_batch(
    emulator: OmicsEmulator, log_lines: Callable[..., list[str]], *, deferrable: bool, max_failed_runs: int
) -> None:
    """Whatever the verdict: sums in the result, each run's cost in its record, causes in the log, all on the page."""
    emulator.set_scenario(SCENARIO)

    result = result_of(perform(batch(max_failed_runs=max_failed_runs, deferrable=deferrable)))

    assert result["cost_usd"] == pytest.approx(3 * USD)
    assert result["cost_failed_usd"] == pytest.approx(USD)
    assert (result["cost_runs"], result["cost_unpriced_runs"]) == (3, 0)
    (cause,) = result["cost_by_cause"]
    assert (cause["cause"], cause["runs"], cause["usd"]) == ("OUT_OF_MEMORY_ERROR in ALIGN", 1, pytest.approx(USD))
    assert result["prices_as_of"]
    assert sum(record.costs["cost_usd"] for record in read_batch_results(FILE)) == pytest.approx(result["cost_usd"])
    told = log_lines(logging.INFO)
    assert f"Cost: {3 * USD:,.2f} USD for 3 of 3 runs of 3 samples" in told
    assert f"Cost: {USD:,.2f} USD went into 1 runs that failed for OUT_OF_MEMORY_ERROR in ALIGN" in told
    assert "Too small in S2: ALIGN used 3.9 of 4 GiB: give 6" in told
    assert "Sizing: ALIGN used up to 3.9 of 4 GiB, and was close to its limit, or over it" in told
    html = page(emulator)
    assert f"{3 * USD:,.2f} USD for 3 of 3 runs" in html
    assert "S2: ALIGN used 3.9 of 4 GiB: give 6" in html
    assert "omics.c.large" in html
    sizing = emulator.client("s3").get_object(Bucket=BUCKET, Key="wgs/sizing.json")["Body"].read()
    assert result["sizing_uri"] == f"s3://{BUCKET}/wgs/sizing.json"
    assert [process["name"] for process in json.loads(sizing)["processes"]] == ["ALIGN"]


@pytest.mark.parametrize(
    ("argument", "connection", "reads"),
    [(None, False, False), (None, True, True), (False, True, False), (True, False, True), ("true", False, True)],
)
def test_connection_decides_where_the_task_does_not(
    emulator: OmicsEmulator, connect: Connect, argument: Any, *, connection: bool, reads: bool
) -> None:
    """Off by default; a flag may be text."""
    emulator.set_scenario(SCENARIO)
    connect({"read_costs": connection})

    result = result_of(perform(batch("S1", read_costs=argument)))

    assert ("cost_usd" in result) is reads
    assert [bool(record.costs) for record in read_batch_results(FILE)] == [reads]


def test_batch_needs_a_place(emulator: OmicsEmulator, connect: Connect) -> None:
    """Where the task asks for costs, it is refused without one; a connection that asks for all its tasks is not."""
    refused = perform(batch("S1", results_s3_uri=None)).error
    connect({"read_costs": True})
    ended = perform(batch("S1", results_s3_uri=None, read_costs=None))

    assert "read_costs" in str(refused)
    assert "results_s3_uri" in str(refused)
    assert "cost_usd" not in ended.result


def test_collect(emulator: OmicsEmulator) -> None:
    """The operator that reads any batch tells the same."""
    emulator.set_scenario(SCENARIO)
    batch_id = perform(batch(results_s3_uri=None, read_costs=False, max_failed_runs=1)).result["batch_id"]

    task = OmicsCollectBatchResultsOperator(task_id="c", batch_id=batch_id, results_s3_uri=FILE, read_costs=True)
    result = perform(task).result

    assert result["completed_runs"] == 2
    assert result["cost_usd"] == pytest.approx(3 * USD)
    assert result["sizing_uri"]


def run(**arguments: Any) -> OmicsStartRunOperator:
    return OmicsStartRunOperator(
        task_id="align", **{**RUN, "storage_type": "STATIC", "read_costs": True, "deferrable": False, **arguments}
    )


def test_run(emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]]) -> None:
    """Cost and parts in result, asset event, log and page."""
    emulator.set_scenario({"runs": [{"tasks": [TASK]}]})
    connect({"results_s3_uri": f"s3://{BUCKET}/results/"})
    asset = Asset("s3://results/align")
    events = OutletEvents()

    result = perform(run(outlets=[asset]), outlet_events=events).result

    assert result["cost_usd"] == pytest.approx(USD)
    assert result["cost_tasks_usd"] == pytest.approx(0.2)
    assert events[asset].extra["cost_usd"] == result["cost_usd"]
    assert any(line.startswith(f"Cost: {USD:,.2f} USD: 0.20 for its tasks") for line in log_lines(logging.INFO))
    assert f"{USD:,.2f} USD: 0.20 for its tasks" in page(emulator, result["report_uri"].partition(f"{BUCKET}/")[2])


def test_run_that_failed(emulator: OmicsEmulator, log_lines: Callable[..., list[str]]) -> None:
    """It costs too, and its log says what to give; without a place for results all the same."""
    emulator.set_scenario({"runs": [{key: value for key, value in RUNS_OUT.items() if key != "match"}]})

    ended = perform(run())

    assert "OUT_OF_MEMORY_ERROR" in str(ended.error)
    told = log_lines(logging.INFO)
    assert any(line.startswith(f"Cost: {USD:,.2f} USD") for line in told)
    assert "Cost: What was too small: ALIGN used 3.9 of 4 GiB: give 6" in told


def test_run_without_a_manifest(emulator: OmicsEmulator) -> None:
    """Its cost is null and never nought, and the reason named; nobody waits where there is none by its logLevel."""
    result = perform(run(log_level="OFF")).result

    assert result["cost_usd"] is None
    assert result["cost_unknown"] == ["no manifest"]


def test_nothing_left_to_submit(emulator: OmicsEmulator, new_task: Callable[..., Any]) -> None:
    """A clear of a cohort that has completed tells what it cost, as its records have it."""
    emulator.set_scenario({"runs": [{"tasks": [TASK]}]})
    setting = {**DEFAULT_RUN_SETTING, "storageType": "STATIC"}
    task = new_task("batch")
    task.arguments = {"default_run_setting": setting, "run_settings": samples("S1", "S2"), "results_s3_uri": FILE}
    first = task.try_(read_costs=True).result

    task.clear()
    again = task.try_().result

    assert len(emulator.service.started_runs()) == 2
    assert again["cost_usd"] == first["cost_usd"] == pytest.approx(2 * USD)


@pytest.mark.parametrize("deferrable", [False, True])
def test_batch_that_is_collected_while_it_goes(
    emulator: OmicsEmulator, new_task: Callable[..., Any], *, deferrable: bool
) -> None:
    """Each stretch reads what has ended since, once; a rerun keeps what its earlier attempts cost."""
    waves = [{"match": {"run_setting_id": f"{wave}*"}, "running": hours * HOUR} for wave, hours in (("A", 1), ("C", 6))]
    fails = {"match": {"run_setting_id": "A1", "attempt": [1]}, "running": HOUR, "outcome": "FAILED"}
    emulator.set_scenario({"runs": [fails, *waves]})
    task = new_task("batch")
    task.arguments = {
        "default_run_setting": {**DEFAULT_RUN_SETTING, "storageType": "STATIC"},
        "run_settings": samples("A1", "A2", "C1", "C2"),
        "results_s3_uri": FILE,
        "collect_every": HOUR,
        "max_failed_runs": 1,
        "deferrable": deferrable,
    }
    first = task.try_(read_costs=True).result
    task.clear()
    again = task.try_().result

    assert (first["cost_runs"], first["cost_unpriced_runs"]) == (4, 0)
    assert (again["cost_runs"], again["cost_unpriced_runs"]) == (5, 0)
    assert first["cost_usd"] < again["cost_usd"]
    parts = emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="wgs/usage/")["Contents"]
    assert len(parts) >= 3


@pytest.mark.parametrize("read_costs", [True, False])
@pytest.mark.parametrize("mask_parameters", [True, False])
def test_the_command_finds_what_the_ledger_has(
    emulator: OmicsEmulator, capfd: pytest.CaptureFixture[str], *, read_costs: bool, mask_parameters: bool
) -> None:
    """All attempts of a cohort cost the same, whether tasks have read costs or the ledger tells of them afterwards."""
    emulator.set_scenario(SCENARIO)
    more = {"read_costs": read_costs, "mask_parameters": mask_parameters}
    perform(batch(max_failed_runs=1, **more))
    emulator.set_scenario({"runs": [{"tasks": [TASK]}]})
    perform(batch("S2", rerun="all", **more))  # its record takes the place of the one that failed
    capfd.readouterr()

    assert main(["costs", FILE, "--csv"]) == 0

    (row,) = csv.DictReader(io.StringIO(capfd.readouterr().out))
    assert (row["samples"], row["attempts"], row["unpriced_runs"]) == ("3", "4", "0")
    assert float(row["failed_usd"]) == pytest.approx(USD)
    assert float(row["total_usd"]) == pytest.approx(4 * USD)
