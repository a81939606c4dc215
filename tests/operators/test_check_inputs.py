"""check_inputs and check_workflow of the start operators: every run is looked at before any is started."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, perform, samples
from tests.operators.tries import NewTask, at_sleep, crash, kinds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

READS = "lab-reads"
STAGING = f"s3://{BUCKET}/staging/"
MANY = [f"S{number:03d}" for number in range(150)]
CHECK_WORKFLOW: dict[str, Any] = {"check_workflow": True, "check_inputs": False}


@pytest.fixture
def s3(emulator: OmicsEmulator, stepped: SteppedTime) -> Any:
    """The emulator's S3, with the reads of two samples and a reference."""
    client = emulator.client("s3")
    client.create_bucket(Bucket=READS)
    for key in (*(f"{name}.fastq.gz" for name in MANY[:2]), "hg38.fa"):
        client.put_object(Bucket=READS, Key=key, Body=b"x")
    return client


@pytest.fixture
def reads_of_many(s3: Any) -> None:
    """The reads of the others of 150 samples."""
    for name in MANY[2:]:
        s3.put_object(Bucket=READS, Key=f"{name}.fastq.gz", Body=b"x")


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


def declare(emulator: OmicsEmulator, template: dict[str, Any], **workflow: Any) -> None:
    """Give the workflow of the batches its parameterTemplate."""
    emulator.set_scenario({"workflows": [{"id": "1234567", "name": "wgs", "parameter_template": template, **workflow}]})


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


@pytest.mark.usefixtures("reads_of_many")
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


@pytest.mark.usefixtures("reads_of_many")
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
    """check_workflow compares every row of a sheet that is to be staged, and names lines and columns."""
    declare(emulator, {"sample": {}, "fastq": {}, "fasta": {"optional": True}, "bed": {}})
    path = tmp_path / "regions.csv"
    rows = [f"{name},x,{'' if name in ('S120', 'S140') else 'y'}\n" for name in MANY]
    path.write_text("sample,fastq,bed\n" + "".join(rows))

    ended = perform(start_batch(tmp_path, sample_sheet=str(path), **CHECK_WORKFLOW))

    assert [str(problem) for problem in problems(ended.error)] == [
        "regions.csv line 122 column bed (parameters['bed']) = not set: required by the workflow",
        "regions.csv line 142 column bed (parameters['bed']) = not set: required by the workflow",
    ]
    assert emulator.service.started_batches() == []


def test_workflow_that_fits_no_run(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """Parameters that are wrong in every run of a long list are told 50 times at most."""
    declare(emulator, {"reads": {}})

    ended = perform(start_batch(tmp_path, sample_sheet=None, run_settings=samples(*MANY), **CHECK_WORKFLOW))

    assert len(problems(ended.error)) == 50


def test_sheet_problems_and_workflow_in_one_go(emulator: OmicsEmulator, s3: Any, tmp_path: Path) -> None:
    """What the template says of a row stands among all else that is wrong with the sheet, by line and column."""
    declare(emulator, {"sample": {}, "depth": {}}, status="INACTIVE")
    path = tmp_path / "depths.csv"
    path.write_text("sample,depth\nS1,30\nS2,\nS3,thirty\nS1,30\n")
    sheet = {"path": str(path), "types": {"depth": "int"}}
    default = {**DEFAULT_RUN_SETTING, "storageType": "FLASH"}

    ended = perform(start_batch(tmp_path, sample_sheet=sheet, default_run_setting=default, **CHECK_WORKFLOW))

    assert [problem.argument for problem in problems(ended.error)] == [
        "workflow_id",
        "depths.csv line 3 column depth (parameters['depth'])",
        "depths.csv line 4 column depth",
        "depths.csv line 5 column sample",
        "default_run_setting['storageType']",
    ]
    assert emulator.calls["GetWorkflow"] == 1
    assert emulator.service.started_batches() == []


@pytest.mark.parametrize("workflow", [{"workflowId": "wgs"}, {"workflowId": None}, {"workflowVersionName": "?"}])
def test_workflow_that_is_named_wrongly(
    emulator: OmicsEmulator, s3: Any, tmp_path: Path, workflow: dict[str, Any]
) -> None:
    """Of a workflow whose name cannot be right nothing is asked: the name is told."""
    default = {**DEFAULT_RUN_SETTING, **workflow}

    ended = perform(start_batch(tmp_path, "S000", default_run_setting=default, **CHECK_WORKFLOW))

    (name,) = workflow
    assert [problem.argument for problem in problems(ended.error)] == [f"default_run_setting[{name!r}]"]
    assert emulator.calls.by_operation() == {}


def test_workflow_of_a_sheet_is_asked_for_once(
    new_task: NewTask, s3: Any, tmp_path: Path, stepped: SteppedTime
) -> None:
    """Before the start, and not again by a retry that finds the batch going."""
    declare(emulator := new_task("batch").emulator, {"sample": {}})
    path = tmp_path / "samples.csv"
    path.write_text("sample\nS1\n")
    task = new_task("batch")
    task.arguments.update(run_settings=None, sample_sheet=str(path), check_workflow=True)
    at_sleep(stepped, crash)

    task.try_()
    adopted = task.try_()

    assert adopted.error is None
    assert len(task.started()) == 1
    assert emulator.calls["GetWorkflow"] == 1


@pytest.mark.parametrize("margin", ["soon", None, float("nan"), 1e300, [1]])
def test_a_margin_that_is_no_time(s3: Any, tmp_path: Path, margin: Any) -> None:
    """It is refused by name, before anything is looked up or started."""
    ended = perform(start_batch(tmp_path, "S000", restore_margin=margin))

    (problem,) = problems(ended.error)
    assert problem.argument == "restore_margin"
    assert problem.allowed.startswith("a timedelta, or a number of seconds")


@pytest.mark.parametrize(
    ("margin", "is_told"), [(None, True), (timedelta(days=1), False), (4 * 86_400, True), ("60", False)]
)
def test_restored_inputs_have_to_last(
    emulator: OmicsEmulator, s3: Any, tmp_path: Path, margin: Any, *, is_told: bool
) -> None:
    """Seven days by default; ``restore_margin`` says otherwise."""
    s3.put_object(Bucket=READS, Key="cold.fastq.gz", Body=b"x", StorageClass="DEEP_ARCHIVE")
    s3.restore_object(Bucket=READS, Key="cold.fastq.gz", RestoreRequest={"Days": 3})
    arguments = {} if margin is None else {"restore_margin": margin}

    ended = perform(start_batch(tmp_path, "cold", **arguments))

    assert bool(ended.error) is is_told
    if is_told:
        assert "outlasts restore_margin" in problems(ended.error)[0].allowed
    assert len(emulator.service.started_batches()) == (not is_told)


def test_a_sheet_of_many_is_not_read_to_its_end(s3: Any, tmp_path: Path) -> None:
    """``max_runs`` ends the reading, and says so."""
    ended = perform(start_batch(tmp_path, *MANY, max_runs=5, check_inputs=False))

    (problem,) = problems(ended.error)
    assert str(problem) == "sample_sheet = more than 5 runs: at most 5, as max_runs says"


def test_what_is_odd_in_a_sheet_is_warned_of(s3: Any, tmp_path: Path, log_lines: Callable[..., list[str]]) -> None:
    """A column of URIs and other texts is read, and told."""
    path = tmp_path / "s.csv"
    path.write_text(f"sample,ref\nA,s3://{READS}/hg38.fa\nB,GRCh38\nC,GRCh37\n")

    ended = perform(start_batch(tmp_path, sample_sheet=str(path), check_inputs=False, dry_run=True))

    assert ended.error is None
    assert [line for line in log_lines(30) if "s.csv" in line] == [
        "s.csv line 3 column number 2 = 2 texts among 1 URIs: one kind of value in a column, where it is not meant so"
    ]
