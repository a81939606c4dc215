"""Sample sheets within DAGs: mapped over several, with templates and upstream tasks inside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.sheets import SampleSheet, each, one
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, rendered

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime
    from tests.conftest import RunDag

pytestmark = pytest.mark.xdist_group("airflow_db")

SHARED: dict[str, Any] = {
    "task_id": "batch",
    "default_run_setting": DEFAULT_RUN_SETTING,
    "staging_s3_uri": f"s3://{BUCKET}/staging/",
}


def write_sheet(folder: Path, name: str, rows: int) -> str:
    path = folder / f"{name}.csv"
    path.write_text("sample,fastq\n" + "".join(f"{name}{n},s3://reads/{name}{n}.fq\n" for n in range(rows)))
    return str(path)


def parameters_by_name(emulator: OmicsEmulator) -> dict[str, Any]:
    client = emulator.client()
    return {run["runSettingId"]: client.get_run(id=run["id"])["parameters"] for run in emulator.service.started_runs()}


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_mapped_over_three_sheets(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    connect: Connect,
    run_dag: RunDag,
    tmp_path: Path,
    *,
    deferrable: bool,
) -> None:
    """One task for each sheet, however it is given, inline or staged; each has its own batch and result."""
    # In the connection the place serves for the attempt's record as well, which Airflow 2.11 has no other store for:
    # its `dag.test()` forgets what a task carries through its deferral.
    connect({"staging_s3_uri": SHARED["staging_s3_uri"]})
    sheets: list[Any] = [
        write_sheet(tmp_path, "A", 2),
        {"path": write_sheet(tmp_path, "B", 120), "run_setting_id": "{sample}", "parameters": {"reads": "{fastq}"}},
        SampleSheet(path=write_sheet(tmp_path, "C", 1), name="{sample}"),
    ]
    with DAG(f"sheets_{deferrable}", schedule=None) as dag:
        OmicsStartRunBatchOperator.partial(deferrable=deferrable, **SHARED).expand(sample_sheet=sheets)

    outcome = run_dag(dag)

    assert outcome.state == "success"
    results = [outcome.xcoms[f"batch[{index}]"]["return_value"] for index in range(3)]
    assert [result["completed_runs"] for result in results] == [2, 120, 1]
    assert len({result["batch_id"] for result in results}) == 3
    assert parameters_by_name(emulator)["B7"] == {"reads": "s3://reads/B7.fq"}
    assert emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="staging/run-settings/")["KeyCount"] == 0


def test_sheet_of_an_upstream_task_and_a_template(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, tmp_path: Path
) -> None:
    """Where the sheet lies and what it is filtered by come from a task; Jinja is rendered before the columns."""
    folder = str(tmp_path)

    @task
    def lay_out() -> dict[str, str]:
        path = write_sheet(tmp_path, "A", 3)
        return {"path": path, "wanted": "A1"}

    with DAG("sheet_of_a_task", schedule=None, params={"genome": "GRCh38", "folder": folder}) as dag:
        laid: Any = lay_out()
        OmicsStartRunBatchOperator(
            sample_sheet={
                "path": laid["path"],
                "run_setting_id": "{sample}_{{ params.genome }}",
                "where": {"sample": laid["wanted"]},
                "group_by_id": True,
                "parameters": {
                    "reads": each("{fastq}"),
                    "first": one("{fastq}", where={"sample": "{{ 'A' ~ 1 }}"}),
                    "genome": "{{ params.genome }}",
                    "log": "s3://logs/{{ run_id }}/{sample}.txt",
                },
            },
            **SHARED,
        )

    outcome = run_dag(dag)

    assert dag.get_task("batch").upstream_task_ids == {"lay_out"}
    assert outcome.state == "success"
    ((name, parameters),) = parameters_by_name(emulator).items()
    assert name == "A1_GRCh38"
    log = parameters.pop("log")
    assert log.startswith("s3://logs/manual__")
    assert log.endswith("/A1.txt")
    assert parameters == {"reads": ["s3://reads/A1.fq"], "first": "s3://reads/A1.fq", "genome": "GRCh38"}


@pytest.mark.parametrize("how", ["plain", "partial", "expand", "expand_kwargs"])
def test_sheet_object_with_upstream_tasks_in_it(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, tmp_path: Path, how: str
) -> None:
    """A SampleSheet is looked into as a mapping is, however it comes to the task: upstreams, XComs and templates."""

    @task
    def path() -> str:
        return write_sheet(tmp_path, "A", 1)

    @task
    def genomes() -> list[str]:
        return ["GRCh38"]

    with DAG(f"sheet_object_{how}", schedule=None, params={"cohort": "C1"}) as dag:
        parameters = {"reads": each("{fastq}"), "genomes": genomes(), "cohort": ["{{ params.cohort }}"]}
        # What stands in expand() has to be a list or a dict in Airflow 2.11, as if the task were mapped over it.
        given: Any = path() if how in ("plain", "partial") else write_sheet(tmp_path, "A", 1)
        sheet = SampleSheet(given, "{sample}", parameters, group_by_id=True)
        if how == "plain":
            OmicsStartRunBatchOperator(sample_sheet=sheet, **SHARED)
        elif how == "partial":
            OmicsStartRunBatchOperator.partial(sample_sheet=sheet, **SHARED).expand(max_runs=[1])
        elif how == "expand":
            OmicsStartRunBatchOperator.partial(**SHARED).expand(sample_sheet=[sheet])
        else:
            OmicsStartRunBatchOperator.partial(**SHARED).expand_kwargs([{"sample_sheet": sheet}])

    outcome = run_dag(dag)

    assert dag.get_task("batch").upstream_task_ids == {"genomes", *(["path"] if how in ("plain", "partial") else [])}
    assert outcome.state == "success"
    assert parameters_by_name(emulator) == {
        "A0": {"reads": ["s3://reads/A0.fq"], "genomes": ["GRCh38"], "cohort": ["C1"]}
    }


def test_mapped_over_sheets_of_an_upstream_task(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, tmp_path: Path
) -> None:
    """How many sheets there are is known only when the DAG runs; a broken one fails its own task alone."""

    @task
    def list_sheets() -> list[str]:
        broken = tmp_path / "broken.csv"
        broken.write_text("sample,fastq\nX,1\nX,2\n")
        return [write_sheet(tmp_path, "A", 1), str(broken)]

    with DAG("sheets_of_a_task", schedule=None) as dag:
        OmicsStartRunBatchOperator.partial(**SHARED).expand(sample_sheet=list_sheets())

    outcome = run_dag(dag)

    assert outcome.task_states == {"list_sheets": "success", "batch[0]": "success", "batch[1]": "failed"}
    assert json.dumps(parameters_by_name(emulator)) == json.dumps({"A0": {"sample": "A0", "fastq": "s3://reads/A0.fq"}})


@pytest.mark.parametrize("native", [False, True])
def test_columns_that_look_like_templates(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect, tmp_path: Path, *, native: bool
) -> None:
    """Jinja leaves ``{#SampleID}`` and ``{%GC}`` to the sheet, renders its own, and never sees a cell."""
    (tmp_path / "s.tsv").write_text('#SampleID\t%GC\tnote "1"\nS1\t41\t{{ 1 + 1 }}{# gone #}\n')
    sheet = {
        "path": str(tmp_path / "s.tsv"),
        "run_setting_id": "{#SampleID}",
        "parameters": {
            "gc": "{%GC}",
            "both": "{{ 'b' ~ 2 }}-{#SampleID}-{%GC}",
            "note": '{note "1"}{# a comment #}',
            "statement": "{% if true %}{#SampleID}{% endif %}",
        },
    }
    with DAG("columns", schedule=None, render_template_as_native_obj=native):
        batch = OmicsStartRunBatchOperator(sample_sheet=sheet, **SHARED)

    assert perform(rendered(batch, {})).error is None
    assert parameters_by_name(emulator) == {
        "S1": {"gc": "41", "both": "b2-S1-41", "note": "{{ 1 + 1 }}{# gone #}", "statement": "S1"}
    }
