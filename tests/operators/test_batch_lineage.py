"""What OpenLineage's provider is told of a batch."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, samples
from tests.operators.lineage_support import asked, emitted, names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator

pytestmark = pytest.mark.usefixtures("stepped")

RESULTS = f"s3://{BUCKET}/results/wgs.jsonl.gz"
OUTPUTS = [(f"s3://{BUCKET}", "results/wgs.jsonl.gz"), (f"s3://{BUCKET}", "runs")]
SOURCES = ["sheet", "sheet in S3", "own sheets", "inline", "object"]

waits = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])


def put(emulator: OmicsEmulator, key: str, body: str) -> str:
    emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
    return f"s3://{BUCKET}/{key}"


def settings_of(
    emulator: OmicsEmulator, folder: Path, source: str, count: int = 2
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Give the settings of a batch from one of the sources, and the inputs that the source itself is."""
    ids = [f"S{number:03}" for number in range(count)]
    rows = "sample,reads\n" + "".join(f"{name},s3://reads/{name}.fq\n" for name in ids)
    if source == "own sheets":
        path = folder / "samples.csv"
        path.write_text(rows)
        return {"sample_sheet": {"path": str(path), "run_setting_id": "{sample}", "input_sheet": "input"}}, []
    if source.startswith("sheet"):
        path = folder / "samples.csv"
        path.write_text(rows)
        mapping = {"run_setting_id": "{sample}", "parameters": {"reads": "{reads}"}}
        where = put(emulator, "samples.csv", rows) if source.endswith("S3") else str(path)
        inputs = [(f"s3://{BUCKET}", "samples.csv")] if source.endswith("S3") else []
        return {"sample_sheet": {"path": where, **mapping}}, inputs
    settings = [{**item, "parameters": {"reads": f"s3://reads/{item['name']}.fq"}} for item in samples(*ids)]
    if source == "inline":
        return {"run_settings": settings}, []
    uri = put(emulator, "settings.json", json.dumps(settings))
    return {"run_settings_s3_uri": uri}, [(f"s3://{BUCKET}", "settings.json")]


def batch_task(**arguments: Any) -> OmicsStartRunBatchOperator:
    defaults: dict[str, Any] = {
        "default_run_setting": {**DEFAULT_RUN_SETTING, "parameters": {"fasta": "s3://references/GRCh38.fa"}},
        "results_s3_uri": RESULTS,
        "staging_s3_uri": f"s3://{BUCKET}/staging/",
    }
    return OmicsStartRunBatchOperator(task_id="t", poll_interval=600, **{**defaults, **arguments})


@waits
@pytest.mark.parametrize("source", SOURCES)
def test_datasets(emulator: OmicsEmulator, tmp_path: Path, source: str, *, deferrable: bool) -> None:
    """Inputs are the sheet and what the merged parameters name, outputs the results file and the runs' place."""
    settings, inputs = settings_of(emulator, tmp_path, source)

    lineage = asked(batch_task(deferrable=deferrable, **settings))

    expected = {*inputs, ("s3://reads", "S000.fq"), ("s3://reads", "S001.fq"), ("s3://references", "GRCh38.fa")}
    assert sorted(names(lineage.inputs)) == sorted(expected)
    assert names(lineage.outputs) == OUTPUTS


@waits
@pytest.mark.parametrize("rule", [{}, {"runs": [{"outcome": "FAILED"}]}], ids=["completed", "failed"])
def test_facets(emulator: OmicsEmulator, rule: dict[str, Any], *, deferrable: bool) -> None:
    """A facet says which workflow made the outputs, to its digest and engine, and which batch did."""
    emulator.set_scenario(rule)

    lineage = asked(batch_task(deferrable=deferrable, run_settings=samples("S1", "S2")))

    run, batch = emulator.client().get_run(id="10000001"), emulator.client().get_batch(batchId="2000001")
    told = {
        "workflowId": "1234567",
        "workflowUuid": run["workflowUuid"],
        "workflowDigest": run["digest"],
        "engineVersion": run["engineVersion"],
        "batchId": "2000001",
        "batchUuid": batch["uuid"],
        "status": "PROCESSED",
    }
    assert told.items() <= emitted(lineage)["healthOmics"].items()
    assert emitted(lineage)["externalQuery"]["externalQueryId"] == batch["arn"]
    assert names(lineage.outputs) == OUTPUTS


@pytest.mark.parametrize("source", SOURCES)
def test_bounds(emulator: OmicsEmulator, tmp_path: Path, source: str) -> None:
    """Of a large batch the first hundred inputs are told, at the cost of two calls."""
    emulator.set_scenario({"limits": {"submissions_per_second": 100}})
    settings, _ = settings_of(emulator, tmp_path, source, count=100 if source == "inline" else 250)
    task = batch_task(results_s3_uri=None, **settings)

    lineage = asked(task)

    assert len(lineage.inputs) == 100
    assert (emulator.calls["ListRunsInBatch"], emulator.calls["GetRun"]) == (1, 1)
    assert names(lineage.outputs) == OUTPUTS[1:]


def test_without_a_results_place(emulator: OmicsEmulator) -> None:
    """Outputs are where the runs put theirs, which a run's own setting may tell."""
    settings = [samples("S1")[0], {**samples("S2")[0], "outputUri": f"s3://{BUCKET}/others/"}]

    lineage = asked(batch_task(results_s3_uri=None, run_settings=settings))

    assert names(lineage.outputs) == [(f"s3://{BUCKET}", "runs"), (f"s3://{BUCKET}", "others")]


def test_masked_sheet(emulator: OmicsEmulator, tmp_path: Path) -> None:
    """Of a masked sheet its place is told, and no input that stands in its parameters."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="sheets/s.csv", Body=b"id\nS1\n")
    sheet = {"path": f"s3://{BUCKET}/sheets/s.csv", "parameters": {"bam": "s3://reads/patient.bam"}}

    lineage = asked(batch_task(mask_parameters=True, sample_sheet=sheet))

    assert names(lineage.inputs) == [(f"s3://{BUCKET}", "sheets/s.csv")]


@pytest.mark.parametrize("masked", [False, True])
def test_wrong_cell_is_told_unless_masked(
    emulator: OmicsEmulator, tmp_path: Path, log_lines: Callable[..., list[str]], *, masked: bool
) -> None:
    """The warning about what OpenLineage is not told masks as the task's own error does."""
    (tmp_path / "s.csv").write_text("id,born\nS1,Vlahos\n")
    sheet = {"path": str(tmp_path / "s.csv"), "types": {"born": "int"}}

    asked(batch_task(mask_parameters=masked, sample_sheet=sheet))

    (line,) = [line for line in log_lines() if "OpenLineage is not told everything" in line]
    assert ("Vlahos" in line) is not masked


def test_earlier_results(emulator: OmicsEmulator) -> None:
    """Results that the task builds upon are an input."""
    asked(batch_task(run_settings=samples("S1")))
    task = batch_task(
        run_settings=samples("S1", "S2"), previous_results=RESULTS, results_s3_uri=f"s3://{BUCKET}/later.jsonl"
    )

    lineage = asked(task)

    assert (f"s3://{BUCKET}", "results/wgs.jsonl.gz") in names(lineage.inputs)
    assert names(lineage.outputs)[0] == (f"s3://{BUCKET}", "later.jsonl")


@pytest.mark.parametrize("source", ["sheet in S3", "inline"])
def test_masked_parameters(emulator: OmicsEmulator, tmp_path: Path, source: str) -> None:
    """Names of inputs can identify a patient: masked parameters are not told, the sheet is."""
    settings, inputs = settings_of(emulator, tmp_path, source)

    lineage = asked(batch_task(mask_parameters=True, **settings))

    assert names(lineage.inputs) == inputs
    assert names(lineage.outputs) == OUTPUTS


def test_batch_that_never_started(emulator: OmicsEmulator) -> None:
    """A batch that was refused has inputs and a workflow, no outputs and no id."""
    lineage = asked(batch_task(run_settings=samples("S1"), max_failed_runs=-1))

    assert names(lineage.inputs) == [("s3://references", "GRCh38.fa")]
    assert names(lineage.outputs) == []
    facet = emitted(lineage)["healthOmics"]
    assert (facet["workflowId"], facet.get("batchId")) == ("1234567", None)


@pytest.mark.parametrize(
    "broken",
    [
        {"sample_sheet": "/nowhere.csv"},
        {"sample_sheet": f"s3://{BUCKET}/nowhere.csv"},
        {"run_settings_s3_uri": f"s3://{BUCKET}/nowhere.json"},
        {"run_settings": 17},
        {"run_settings": ["S1"]},
        {"default_run_setting": "S1", "run_settings": samples("S1")},
        {"staging_s3_uri": "nowhere", "run_settings": samples("S1")},
    ],
)
def test_settings_that_cannot_be_read(
    emulator: OmicsEmulator, log_lines: Callable[..., list[str]], broken: dict[str, Any]
) -> None:
    """A task that failed for its settings is asked as well: what cannot be read is left out, with a line in the log."""
    lineage = asked(batch_task(**broken))

    assert len(lineage.inputs) <= 1
    assert names(lineage.outputs) == []
    told = [line for line in log_lines(logging.WARNING) if line.startswith("OpenLineage is not told everything: ")]
    assert len(told) == 1


def test_batch_without_runs(emulator: OmicsEmulator) -> None:
    """Where no run can be asked, as none is started yet, the settings tell the workflow."""
    task = batch_task(run_settings=samples("S1"), wait_for_completion=False)

    lineage = asked(task)

    facet = emitted(lineage)["healthOmics"]
    assert (facet["workflowId"], facet.get("workflowDigest"), facet["batchId"]) == ("1234567", None, "2000001")
