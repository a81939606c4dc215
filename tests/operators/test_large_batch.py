"""Batches from a sheet or a long list: checked whole, staged in S3, started, and cleaned up after."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import InvalidRequest, Problem, SettingsError
from airflow_provider_omics.jobs.batch import source as batch_settings
from airflow_provider_omics.jobs.batch import staging
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.sheets import SampleSheet, each
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

STAGING = f"s3://{BUCKET}/staging/"
MANY = [f"S{number:03d}" for number in range(150)]


def start_batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    defaults: dict[str, Any] = {"task_id": "wgs", "default_run_setting": DEFAULT_RUN_SETTING, "staging_s3_uri": STAGING}
    return OmicsStartRunBatchOperator(**{**defaults, **arguments})


def keys(emulator: OmicsEmulator, prefix: str = "staging/run-settings/") -> list[str]:
    listed = emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for item in listed.get("Contents", ())]


def problems(error: BaseException | None) -> list[Problem]:
    assert isinstance(error, SettingsError)
    return list(error.problems)


def write_sheet(folder: Path, *ids: str) -> str:
    path = folder / "samples.csv"
    path.write_text("sample,fastq\n" + "".join(f"{name},s3://reads/{name}.fastq.gz\n" for name in ids))
    return str(path)


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_long_list_is_staged_and_cleaned_up(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """More than 100 settings go through an S3 object, which is deleted when the batch has ended."""
    ended = perform(start_batch(run_settings=samples(*MANY), deferrable=deferrable))

    (batch,) = emulator.service.started_batches()
    assert ended.error is None
    assert ended.result["total_runs"] == ended.result["completed_runs"] == 150
    assert {run["runSettingId"] for run in emulator.service.started_runs()} == set(MANY)
    assert batch["totalRuns"] == 150
    assert keys(emulator) == []


def test_tags_of_staged_runs_leave_room_for_ours(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The service merges tags that it reads in S3 as well: ours give way there too, with a warning."""
    tags = {f"own-{number}": "x" for number in range(48)}

    ended = perform(start_batch(run_settings=[{**setting, "runTags": tags} for setting in samples(*MANY)]))

    assert ended.error is None
    runs = [emulator.client().get_run(id=run["id"]) for run in emulator.service.started_runs()[:3]]
    assert [len(run["tags"]) for run in runs] == [50, 50, 50]


def test_max_runs_cannot_be_held_for_an_object_of_the_users(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Nobody counts the runs of run_settings_s3_uri before the start: a limit for them is refused, not ignored."""
    ended = perform(start_batch(run_settings_s3_uri=f"s3://{BUCKET}/settings.json", max_runs=50))

    (problem,) = problems(ended.error)
    assert (problem.argument, "run_settings_s3_uri" in problem.allowed) == ("max_runs", True)
    assert emulator.calls["StartRunBatch"] == 0


def test_staged_object_is_the_list(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """With keep_staging the object stays: a JSON array of the settings, under a key with the request id."""
    perform(start_batch(run_settings=samples(*MANY), keep_staging=True))

    (key,) = keys(emulator)
    (batch,) = emulator.service.started_batches()
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    assert key.startswith("staging/run-settings/a_dag/")
    assert key.endswith(f"/wgs/{batch['requestId']}.json")
    assert [setting["runSettingId"] for setting in json.loads(body)] == MANY


def test_place_of_the_connection(emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect) -> None:
    """The connection's staging_s3_uri is used where the task names none; its key encrypts."""
    connect({"staging_s3_uri": f"s3://{BUCKET}/team/", "staging_kms_key_id": "alias/team"})

    perform(start_batch(run_settings=samples(*MANY), staging_s3_uri=None, keep_staging=True))

    (key,) = keys(emulator, "team/run-settings/")
    head = emulator.client("s3").head_object(Bucket=BUCKET, Key=key)
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == "alias/team"


def test_no_place_for_a_long_list(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A long list without a staging place is refused before anything is sent."""
    ended = perform(start_batch(run_settings=samples(*MANY), staging_s3_uri=None))

    (problem,) = problems(ended.error)
    assert (problem.argument, problem.value) == ("run_settings", "150 runs")
    assert "staging_s3_uri" in problem.allowed
    assert emulator.service.started_batches() == []


def test_sheet_becomes_a_batch(emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path) -> None:
    """A plain path is a sheet whose first column is the id and whose columns are parameters."""
    ended = perform(start_batch(sample_sheet=write_sheet(tmp_path, "NA12878", "NA12891")))

    assert ended.error is None
    runs = {run["runSettingId"]: emulator.client().get_run(id=run["id"]) for run in emulator.service.started_runs()}
    assert runs["NA12878"]["parameters"] == {"sample": "NA12878", "fastq": "s3://reads/NA12878.fastq.gz"}
    assert set(runs) == {"NA12878", "NA12891"}
    assert keys(emulator) == []


def test_sheet_of_a_class_is_templated(emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path) -> None:
    """A SampleSheet is kept as plain data, so Jinja reaches each of its strings; columns come after."""
    sheet = SampleSheet(
        path=write_sheet(tmp_path, "S1"),
        run_setting_id="{sample}",
        parameters={"reads": each("{fastq}"), "day": "{{ params.day }}", "genome": "GRCh38"},
        output_uri=f"s3://{BUCKET}/{{{{ params.day }}}}/{{sample}}/",
        group_by_id=True,
    )

    ended = perform(start_batch(sample_sheet=sheet), params={"day": "2026-11-22"})

    assert ended.error is None
    (run,) = emulator.service.started_runs()
    got = emulator.client().get_run(id=run["id"])
    assert got["parameters"] == {"reads": ["s3://reads/S1.fastq.gz"], "day": "2026-11-22", "genome": "GRCh38"}
    assert got["outputUri"] == f"s3://{BUCKET}/2026-11-22/S1/"


def test_long_sheet_is_staged(emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path) -> None:
    """A sheet of more than 100 samples goes through S3 as a list does."""
    ended = perform(start_batch(sample_sheet=write_sheet(tmp_path, *MANY)))

    assert ended.error is None
    assert ended.result["completed_runs"] == 150


def test_own_sheets_of_the_runs(emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path) -> None:
    """With input_sheet each run gets the URI of a CSV of its own rows; it is named by its content, and kept."""
    sheet = {"path": write_sheet(tmp_path, "S1", "S2"), "run_setting_id": "{sample}", "input_sheet": "input"}

    ended = perform(start_batch(sample_sheet=sheet))
    perform(start_batch(sample_sheet=sheet, task_id="again"))

    assert ended.error is None
    runs = [emulator.client().get_run(id=run["id"]) for run in emulator.service.started_runs()]
    uris = {run["parameters"]["input"] for run in runs}
    assert len(runs) == 4
    assert len(uris) == 2
    bodies = {
        emulator.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode()
        for key in keys(emulator, "staging/input-sheets/")
    }
    assert {f"s3://{BUCKET}/{key}" for key in keys(emulator, "staging/input-sheets/")} == uris
    assert {body.replace("\r\n", "\n") for body in bodies} == {
        "sample,fastq\nS1,s3://reads/S1.fastq.gz\n",
        "sample,fastq\nS2,s3://reads/S2.fastq.gz\n",
    }


@pytest.mark.parametrize("max_runs", [149, "149"], ids=["number", "text"])
def test_more_runs_than_wanted(emulator: OmicsEmulator, stepped: SteppedTime, max_runs: int | str) -> None:
    """max_runs keeps a wrong sheet from starting a cohort."""
    ended = perform(start_batch(run_settings=samples(*MANY), max_runs=max_runs))

    assert [str(problem) for problem in problems(ended.error)] == [
        "run_settings = 150 runs: at most 149, as max_runs says"
    ]
    assert emulator.service.started_batches() == []


def test_all_problems_at_once(emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path) -> None:
    """What is wrong with the sheet and with the defaults is told together; nothing is sent or uploaded."""
    path = tmp_path / "samples.csv"
    path.write_text("sample,fastq\nS1,s3://reads/a.fastq.gz\nS1,s3://reads/b.fastq.gz\n,s3://reads/c.fastq.gz\n")
    default = {**DEFAULT_RUN_SETTING, "storageType": "FLASH"}

    ended = perform(start_batch(sample_sheet=str(path), default_run_setting=default))

    places = [problem.argument for problem in problems(ended.error)]
    assert places[0].startswith("samples.csv line 3")
    assert places[1].startswith("samples.csv line 4")
    assert places[2] == "default_run_setting['storageType']"
    assert keys(emulator) == []
    assert emulator.service.started_batches() == []


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({}, "run_settings and run_settings_s3_uri and sample_sheet"),
        ({"run_settings": samples("S1"), "sample_sheet": "x.csv"}, "run_settings and sample_sheet"),
        ({"run_settings": samples("S1"), "max_runs": "many"}, "max_runs"),
        ({"run_settings": samples("S1"), "staging_s3_uri": "/tmp/staging"}, "staging_s3_uri"),  # noqa: S108 - no file
    ],
)
def test_arguments_that_contradict(stepped: SteppedTime, arguments: dict[str, Any], argument: str) -> None:
    """Exactly one source of settings; numbers and URIs have their form."""
    assert [problem.argument for problem in problems(perform(start_batch(**arguments)).error)] == [argument]


def test_role_that_cannot_read(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A start that is refused names the service role and the action it needs on the staged object."""
    emulator.faults.add(operation="StartRunBatch", error="ValidationException", times=1)

    ended = perform(start_batch(run_settings=samples(*MANY)))

    assert isinstance(ended.error, InvalidRequest)
    assert f"The service role {DEFAULT_RUN_SETTING['roleArn']} needs s3:GetObject on s3://{BUCKET}/staging/" in str(
        ended.error
    )


def test_sheet_of_an_upstream_task() -> None:
    """An XComArg inside the sheet is an upstream of the task."""
    from airflow.providers.common.compat.sdk import DAG, task

    with DAG("sheets", schedule=None):

        @task
        def path() -> str:
            return "s3://bucket/samples.csv"

        batch = start_batch(sample_sheet={"path": path(), "run_setting_id": "{sample}"})

    assert batch.upstream_task_ids == {"path"}


def test_function_that_fails(
    emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the user's own function raised stands in the log above, with its traceback."""
    sheet = {"path": write_sheet(tmp_path, "S1"), "build": lambda rows: rows[1]}

    ended = perform(start_batch(sample_sheet=sheet))

    (problem,) = problems(ended.error)
    assert (problem.argument, problem.value) == ("samples.csv line 2 (build)", "raised IndexError")
    assert isinstance(ended.error, SettingsError)
    (behind,) = [record for record in caplog.records if record.exc_info]
    assert behind.exc_info is not None
    assert behind.exc_info[0] is IndexError


def test_dry_run_of_a_sheet(
    emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path, log_lines: Callable[[], list[str]]
) -> None:
    """A dry run checks and counts all of a sheet, and uploads nothing."""
    ended = perform(start_batch(sample_sheet=write_sheet(tmp_path, *MANY), dry_run=True))

    assert ended.result["status"] == "DRY_RUN"
    assert "Dry run: nothing is started. 150 run(s) would be:" in log_lines()
    assert keys(emulator) == []


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["list", "sheet"])
@pytest.mark.parametrize("limit", ["runs", "bytes"])
def test_more_than_one_batch_takes(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    source: str,
    limit: str,
) -> None:
    """More runs or bytes than HealthOmics takes are refused with advice, before anything is uploaded."""
    if limit == "runs":
        monkeypatch.setattr(batch_settings, "MAX_RUNS_IN_BATCH", 149)
    else:
        for module in (batch_settings, staging):
            monkeypatch.setattr(module, "MAX_FILE_BYTES", 1_000)
    sheet = write_sheet(tmp_path, *MANY)

    ended = perform(start_batch(**({"run_settings": samples(*MANY)} if source == "list" else {"sample_sheet": sheet})))

    (problem,) = problems(ended.error)
    assert problem.argument == {"list": "run_settings", "sheet": "sample_sheet"}[source]
    # A sheet is not read to its end.
    assert problem.value.startswith("more than 149 runs, " if (source, limit) == ("sheet", "runs") else "150 runs, ")
    assert "split it" in problem.allowed
    assert (keys(emulator), emulator.service.started_batches()) == ([], [])


@pytest.mark.parametrize("place", [None, STAGING])
def test_few_large_settings(emulator: OmicsEmulator, stepped: SteppedTime, place: str | None) -> None:
    """Settings that make a large request are staged though they are few, if there is a place for them."""
    large = [{**setting, "parameters": {"text": "x" * 100_000}} for setting in samples(*MANY[:20])]

    ended = perform(start_batch(run_settings=large, staging_s3_uri=place, keep_staging=True))

    assert ended.error is None
    assert ended.result["completed_runs"] == 20
    assert len(keys(emulator)) == (place is not None)
