"""check_inputs and check_workflow of the start operators: every run is looked at before any is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, perform
from tests.operators.tries import NewTask, at_sleep, crash, kinds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

READS = "lab-reads"
STAGING = f"s3://{BUCKET}/staging/"
MANY = [f"S{number:03d}" for number in range(150)]


@pytest.fixture
def s3(emulator: OmicsEmulator, stepped: SteppedTime) -> Any:
    """The emulator's S3, with the reads of 150 samples and a reference."""
    client = emulator.client("s3")
    client.create_bucket(Bucket=READS)
    for key in (*(f"{name}.fastq.gz" for name in MANY), "hg38.fa"):
        client.put_object(Bucket=READS, Key=key, Body=b"x")
    return client


def start_batch(folder: Path, *names: str, **arguments: Any) -> OmicsStartRunBatchOperator:
    """Make a batch of a sheet with one row for each name."""
    path = folder / "samples.csv"
    path.write_text("sample,fastq\n" + "".join(f"{name},s3://{READS}/{name}.fastq.gz\n" for name in names))
    defaults: dict[str, Any] = {
        "task_id": "wgs",
        "default_run_setting": {**DEFAULT_RUN_SETTING, "parameters": {"fasta": f"s3://{READS}/hg38.fa"}},
        "sample_sheet": str(path),
        "staging_s3_uri": STAGING,
        "check_inputs": True,
    }
    return OmicsStartRunBatchOperator(**{**defaults, **arguments})


def problems(error: BaseException | None) -> list[Problem]:
    assert isinstance(error, SettingsError)
    return list(error.problems)


def test_run_with_its_inputs(emulator: OmicsEmulator, s3: Any) -> None:
    """A run whose inputs are there is started."""
    parameters = {"reads": [f"s3://{READS}/S000.fastq.gz"], "fasta": f"s3://{READS}/hg38"}

    ended = perform(OmicsStartRunOperator(task_id="align", check_inputs="True", parameters=parameters, **RUN))

    assert ended.error is None
    assert len(emulator.service.started_runs()) == 1


@pytest.mark.parametrize("dry_run", [False, True])
def test_run_without_an_input(emulator: OmicsEmulator, s3: Any, *, dry_run: bool) -> None:
    """A run with a missing input is not started, and a dry run finds it as well."""
    task = OmicsStartRunOperator(
        task_id="align",
        check_inputs=True,
        dry_run=dry_run,
        parameters={"reads": [f"s3://{READS}/S999.fastq.gz"]},
        **RUN,
    )

    ended = perform(task)

    (problem,) = problems(ended.error)
    assert (problem.argument, problem.value) == ("parameters['reads'][0]", f"s3://{READS}/S999.fastq.gz")
    assert emulator.service.started_runs() == []


def test_large_batch_with_missing_and_archived_inputs(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """All runs of a staged batch are looked at, with what they share; nothing is uploaded or started."""
    s3.put_object(Bucket=READS, Key="S120.fastq.gz", Body=b"x", StorageClass="DEEP_ARCHIVE")
    s3.delete_object(Bucket=READS, Key="hg38.fa")

    ended = perform(start_batch(tmp_path, *MANY, "S999"))

    found = [(problem.argument, problem.value) for problem in problems(ended.error)]
    assert found == [
        ("run_settings['S000']['parameters']['fasta']", f"s3://{READS}/hg38.fa"),
        ("run_settings['S120']['parameters']['fastq']", f"s3://{READS}/S120.fastq.gz"),
        ("run_settings['S999']['parameters']['fastq']", f"s3://{READS}/S999.fastq.gz"),
        ("check_inputs", "1 run with archived inputs"),
    ]
    assert "named in 151 places" in problems(ended.error)[0].allowed
    assert emulator.service.started_batches() == []
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_large_batch_whose_inputs_are_there(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """Each distinct input is looked up, and the batch is started."""
    ended = perform(start_batch(tmp_path, *MANY))

    assert ended.error is None
    assert ended.result["completed_runs"] == 150


def test_own_sheets_are_searched(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """The URI of a run's own sheet is not looked up, as nothing is there yet; the inputs in the sheet are."""
    task = start_batch(tmp_path, "S001", "S999")
    task.sample_sheet = {"path": task.sample_sheet, "input_sheet": "input"}

    ended = perform(task)

    assert [(problem.argument, problem.value) for problem in problems(ended.error)] == [
        ("sample_sheet['input_sheet'] of 'S999'[0]['fastq']", f"s3://{READS}/S999.fastq.gz")
    ]


def test_masked_parameters(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """Where parameters are masked, the error shows no key."""
    ended = perform(start_batch(tmp_path, "S999", mask_parameters=True))

    assert [problem.value for problem in problems(ended.error)] == [f"s3://{READS}/..."]


def test_settings_that_lie_in_s3(
    emulator: OmicsEmulator, s3: Any, tmp_path: Path, log_lines: Callable[..., list[str]]
) -> None:
    """A list that the user has put into S3 is not read: a warning says so."""
    perform(start_batch(tmp_path, sample_sheet=None, run_settings_s3_uri=f"s3://{BUCKET}/list.json", dry_run=True))

    assert f"check_inputs: the runs of s3://{BUCKET}/list.json are not looked at" in log_lines(30)


@kinds
def test_inputs_that_have_gone_since_the_start(
    new_task: NewTask, emulator: OmicsEmulator, stepped: SteppedTime, s3: Any, kind: str
) -> None:
    """A retry adopts what is going, though its inputs may have been tidied away; a clear looks them up again."""
    uri = f"s3://{READS}/S000.fastq.gz"
    task = new_task(kind)
    arguments: dict[str, dict[str, Any]] = {
        "run": {"parameters": {"fastq": uri}},
        "batch": {"run_settings": [{"runSettingId": "S1", "parameters": {"fastq": uri}}]},
    }
    at_sleep(stepped, crash)
    task.try_(check_inputs=True, **arguments[kind])
    s3.delete_object(Bucket=READS, Key="S000.fastq.gz")

    adopted = task.try_()
    task.clear()
    cleared = task.try_(rerun="all") if kind == "batch" else task.try_()

    assert adopted.error is None
    assert len(task.started()) == 1
    assert [problem.value for problem in problems(cleared.error)] == [uri]


def test_inputs_of_what_runs_again(new_task: NewTask, emulator: OmicsEmulator, stepped: SteppedTime, s3: Any) -> None:
    """A rerun looks up the inputs of what it submits; those of completed samples may be gone."""
    uris = {name: f"s3://{READS}/{name}.fastq.gz" for name in ("S000", "S001")}
    settings = [{"runSettingId": name, "parameters": {"fastq": uri}} for name, uri in uris.items()]
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S001"}, "outcome": "FAILED"}]})
    task = new_task("batch", retries=0)
    task.try_(check_inputs=True, run_settings=settings)
    s3.delete_object(Bucket=READS, Key="S000.fastq.gz")
    s3.delete_object(Bucket=READS, Key="S001.fastq.gz")
    task.clear()

    refused = task.try_()
    s3.put_object(Bucket=READS, Key="S001.fastq.gz", Body=b"reads")
    task.clear()
    emulator.set_scenario({})
    again = task.try_()

    assert [problem.value for problem in problems(refused.error)] == [uris["S001"]]
    assert again.error is None
    assert [run["runSettingId"] for run in emulator.service.started_runs()] == ["S000", "S001", "S001"]


def test_workflow_parameters_of_a_large_sheet(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """check_workflow compares every row of a sheet that is to be staged, and names the samples."""
    template: dict[str, Any] = {"sample": {}, "fastq": {}, "fasta": {"optional": True}, "bed": {}}
    emulator.set_scenario({"workflows": [{"id": "1234567", "name": "wgs", "parameter_template": template}]})
    path = tmp_path / "regions.csv"
    rows = [f"{name},x,{'' if name in ('S120', 'S140') else 'y'}\n" for name in MANY]
    path.write_text("sample,fastq,bed\n" + "".join(rows))

    ended = perform(start_batch(tmp_path, sample_sheet=str(path), check_workflow=True, check_inputs=False))

    assert [str(problem) for problem in problems(ended.error)] == [
        "run_settings['S120']['parameters']['bed'] = not set: required by the workflow",
        "run_settings['S140']['parameters']['bed'] = not set: required by the workflow",
    ]
    assert emulator.service.started_batches() == []


def test_workflow_that_fits_no_row(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """A mapping that is wrong in every row of a large sheet is told 50 times at most."""
    emulator.set_scenario(
        {"workflows": [{"id": "1234567", "name": "wgs", "parameter_template": {"sample": {}, "reads": {}}}]}
    )

    ended = perform(start_batch(tmp_path, *MANY, check_workflow=True, check_inputs=False))

    assert len(problems(ended.error)) == 50
