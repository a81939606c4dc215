"""Outputs that a run has to leave: a run that completed without them has failed, for a batch and by itself."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from moto.s3.exceptions import BucketAccessDeniedError
from moto.s3.models import S3Backend

from airflow_provider_omics.core.errors import (
    AccessDenied,
    BatchVerdictError,
    NotFound,
    RunIncomplete,
    ServiceError,
    SettingsError,
)
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.core.settings.outputs import MAX_FILES
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator
from airflow_provider_omics.results import outputs as outputs_module
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, perform, samples
from tests.model_support import is_sendable, refusal
from tests.operators.reruns import URI, fails, records, statuses, submitted
from tests.operators.tries import NewTask, Task, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

pytestmark = pytest.mark.usefixtures("looks_seldom")

VCF = {"vcf": "**/*.vcf.gz"}
FIRST_WAVE, SECOND_WAVE = (
    {"match": {"run_setting_id": f"{wave}*"}, "running": seconds} for wave, seconds in (("A", 3000), ("B", 9000))
)
APART = "run-outputs"
"""A bucket for outputs alone: what S3 refuses there, it does not refuse for results."""


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note where outputs were listed."""
    made: list[str] = []
    list_page = S3Store.list_page

    def listed(store: S3Store, uri: str, token: str | None = None) -> Any:
        made.append(uri)
        return list_page(store, uri, token)

    monkeypatch.setattr(S3Store, "list_page", listed)
    return made


def script(emulator: OmicsEmulator, *without: str, more: tuple[dict[str, Any], ...] = (), **rest: Any) -> None:
    """Let all runs leave a VCF but these."""
    silent = [{"match": {"run_setting_id": name}, **rest} for name in without]
    emulator.set_scenario({"runs": [*more, *silent, {"outputs": ["vcf/a.vcf.gz", "vcf/a.vcf.gz.tbi"], **rest}]})


def apart(emulator: OmicsEmulator) -> dict[str, Any]:
    emulator.client("s3").create_bucket(Bucket=APART)
    return {**DEFAULT_RUN_SETTING, "outputUri": f"s3://{APART}/runs"}


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name buckets that the emulator's S3 refuses to list: moto knows no policy for that."""
    buckets: list[str] = []
    list_objects = S3Backend.list_objects_v2

    def refusing(backend: Any, bucket: Any, *args: Any, **kwargs: Any) -> Any:
        if bucket.name in buckets:
            raise BucketAccessDeniedError(bucket.name)
        return list_objects(backend, bucket, *args, **kwargs)

    monkeypatch.setattr(S3Backend, "list_objects_v2", refusing)
    return buckets


def cohort(new_task: NewTask, *, deferrable: bool = False, **arguments: Any) -> Task:
    task = new_task("batch", deferrable=deferrable)
    task.arguments = {
        "run_settings": samples("S1", "S2", "S3"),
        "results_s3_uri": URI,
        "expected_outputs": VCF,
        **arguments,
    }
    return task


@waits
def test_batch_without_a_file(new_task: NewTask, emulator: OmicsEmulator, *, deferrable: bool) -> None:
    """A run that completed without one is INCOMPLETE: the verdict, the error, the record and the page say so."""
    script(emulator, "S2")
    task = cohort(new_task, deferrable=deferrable)

    error = task.try_().error

    assert isinstance(error, BatchVerdictError)
    found = records()
    assert {name: record.status.value for name, record in found.items()} == {
        "S1": "COMPLETED",
        "S2": "INCOMPLETE",
        "S3": "COMPLETED",
    }
    place = found["S2"].output_uri
    assert found["S2"].message == f"no object fits vcf (**/*.vcf.gz) below {place}"
    assert (found["S2"].cause, found["S2"].files, found["S2"].expected_outputs) == ("INCOMPLETE", {"vcf": []}, VCF)
    (file,) = found["S1"].to_json()["files"]["vcf"]
    key = f"runs/{found['S1'].run_id}/vcf/a.vcf.gz"
    head = emulator.client("s3").head_object(Bucket=BUCKET, Key=key)
    assert file == {"uri": f"s3://{BUCKET}/{key}", "size": head["ContentLength"], "etag": head["ETag"]}
    assert (error.counts["completed_runs"], error.counts["incomplete_runs"]) == (2, 1)
    assert error.failed_run_settings == {"S2": found["S2"].message}
    diagnosis = error.diagnosis or {}
    assert (diagnosis["cause"], diagnosis["owner"], diagnosis["failure_class"]) == (
        "INCOMPLETE",
        "pipeline author",
        "unclear",
    )
    assert f"  found: no object fits vcf (**/*.vcf.gz) below {place}" in str(error)
    assert "AWS says" not in str(error)
    page = emulator.client("s3").get_object(Bucket=BUCKET, Key="results/wgs/report.html")["Body"].read().decode()
    assert "without expected outputs" in page
    assert '<span class="status INCOMPLETE">' in page or "INCOMPLETE" in page
    assert "  verdict: Every run has ended, but too few completed: 2 of 3 runs completed; 1 without expected" in str(
        error
    )


def test_tolerated(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """It counts as one that failed: so many are tolerated, unless it must succeed."""
    script(emulator, "S2")

    result = cohort(new_task, max_failed_runs=1).try_().result

    assert (result["succeeded"], result["completed_runs"], result["incomplete_runs"]) == (True, 2, 1)
    assert result["failed_run_setting_ids"] == ["S2"]
    (cause,) = result["causes"]
    assert (cause["cause"], cause["count"]) == ("INCOMPLETE", 1)


def test_must_succeed(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """Of those that must succeed none may lack an output."""
    script(emulator, "S2")

    error = cohort(new_task, max_failed_runs=1, must_succeed="S2").try_().error

    assert isinstance(error, BatchVerdictError)
    assert "must succeed but did not: S2" in str(error)


@pytest.mark.parametrize("cleared", [True, False])
def test_run_again(new_task: NewTask, emulator: OmicsEmulator, lists: list[str], *, cleared: bool) -> None:
    """A clear, and one retry, submit what lacks an output; what has its outputs is kept, and not listed again."""
    script(emulator, "S2")
    task = cohort(new_task)
    task.try_()
    script(emulator)
    if cleared:
        task.clear()

    result = task.try_().result

    assert submitted(task) == [["S1", "S2", "S3"], ["S2"]]
    assert set(statuses().values()) == {"COMPLETED"}
    assert result["completed_runs"] == 3
    assert len(lists) == 4


def test_retry_gives_up(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """Twice without a file is no accident: Airflow spends no third try."""
    script(emulator, "S2")
    task = cohort(new_task)

    first, second = task.try_().error, task.try_().error

    assert isinstance(first, BatchVerdictError)
    assert isinstance(second, BatchVerdictError)
    assert [first.is_final, second.is_final] == [False, True]


def test_corrected_pattern(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """A pattern that was wrong is looked at again with the corrected one: nothing is paid twice."""
    script(emulator)
    task = cohort(new_task, expected_outputs={"vcf": "*.vcf.gz"})
    assert isinstance(task.try_().error, BatchVerdictError)
    assert set(statuses().values()) == {"INCOMPLETE"}
    task.clear()

    result = task.try_(expected_outputs=VCF).result

    assert (result["completed_runs"], len(task.started())) == (3, 1)
    assert set(statuses().values()) == {"COMPLETED"}


@pytest.mark.parametrize(("given", "started"), [({}, 1), (None, 2)], ids=["nothing is expected", "not given"])
def test_expectation_taken_back(new_task: NewTask, emulator: OmicsEmulator, given: Any, started: int) -> None:
    """An empty dict takes what lacked an output for completed; without the argument it has failed, as before."""
    script(emulator, "S2")
    task = cohort(new_task)
    task.try_()
    task.clear()

    assert task.try_(expected_outputs=given).error is None

    assert len(task.started()) == started
    assert set(statuses().values()) == {"COMPLETED"}


def test_expectation_of_later(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """An output that is expected from a later attempt on is looked for in the runs of all batches before."""
    more = tuple({**rule, "match": {**rule["match"], "attempt": [1]}} for rule in fails("SERVICE_ERROR", "S2"))
    script(emulator, "S1", more=more)
    task = cohort(new_task, expected_outputs=None)
    task.try_()
    assert task.try_().error is None
    assert submitted(task) == [["S1", "S2", "S3"], ["S2"]]
    script(emulator)
    task.clear()

    assert task.try_(expected_outputs=VCF).error is None

    assert submitted(task)[2:] == [["S1"]]
    assert {record.expected_outputs is not None for record in records().values()} == {True}


def test_previous_results(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """What another DAG run has completed is looked at, too; of a batch that was only listed GetRun tells the place."""
    script(emulator, "S1")
    before = cohort(new_task, expected_outputs=None, results_detail="listed")
    assert before.try_().error is None
    script(emulator)
    other = URI.replace("wgs", "again")
    task = cohort(new_task, results_s3_uri=other, previous_results=URI, rerun=["*"])

    assert task.try_().error is None

    assert submitted(task)[1:] == [["S1"]]
    assert {name: len((record.files or {})["vcf"]) for name, record in records(other).items()} == dict.fromkeys(
        ("S1", "S2", "S3"), 1
    )


def test_outputs_that_are_not_known(
    new_task: NewTask, emulator: OmicsEmulator, lists: list[str], refused: list[str],
    log_lines: Callable[..., list[str]],
) -> None:  # fmt: skip
    """A list that S3 refuses is told once, and proves nothing; with the rights a clear looks again, for nothing."""
    script(emulator, "S2")
    task = cohort(new_task, default_run_setting=apart(emulator), max_failed_runs=2)
    refused.append(APART)

    error = task.try_().error

    assert isinstance(error, BatchVerdictError)
    assert set(statuses().values()) == {"UNKNOWN"}
    assert {record.cause for record in records().values()} == {"OUTPUTS_NOT_READ"}
    assert error.counts["unknown_runs"] == 3
    diagnosis = error.diagnosis or {}
    assert (diagnosis["cause"], diagnosis["owner"]) == ("OUTPUTS_NOT_READ", "platform team")
    assert "s3:ListBucket" in diagnosis["action"]
    assert len(lists) == 1
    assert (
        len([line for line in log_lines(logging.WARNING) if "Whether runs have left their expected outputs" in line])
        == 1
    )
    refused.clear()
    task.clear()
    calls_before = emulator.calls.by_operation()["GetRun"]

    result = task.try_().result

    assert (result["completed_runs"], result["incomplete_runs"]) == (2, 1)
    assert submitted(task)[1:] == [["S2"]]
    assert emulator.calls.by_operation()["GetRun"] - calls_before == 1


def test_no_bucket(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """A bucket that is gone tells nothing either, and no try of Airflow's own can help."""
    script(emulator)
    emulator.set_scenario({"places": [f"s3://{APART}/*"]})
    task = cohort(new_task, default_run_setting={**DEFAULT_RUN_SETTING, "outputUri": f"s3://{APART}/runs"})

    error = task.try_().error

    assert isinstance(error, BatchVerdictError)
    assert {record.message for record in records().values()} == {f"ListObjectsV2 of {APART}: NoSuchBucket"}
    assert error.is_final


@pytest.mark.parametrize("pages", [1, 2])
def test_more_than_is_listed(
    new_task: NewTask, emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch, lists: list[str], pages: int
) -> None:
    """A run with more objects than are listed is UNKNOWN, not INCOMPLETE, where not all were found among the first."""
    monkeypatch.setattr(outputs_module, "MAX_PAGES", pages)
    many = [f"a/{number:04}.txt" for number in range(999)]  # with the two of the emulator's own a page and one more
    emulator.set_scenario({"runs": [{"outputs": [*many, "vcf/a.vcf.gz"]}]})
    task = cohort(new_task, run_settings=samples("S1"))

    error = task.try_().error

    assert len(lists) == pages
    if pages == 2:
        assert error is None
        return
    (record,) = records().values()
    assert (record.status.value, record.cause) == ("UNKNOWN", "OUTPUTS_TOO_MANY")
    assert record.message == (
        f"no object fits vcf (**/*.vcf.gz) below {record.output_uri}, among the first 1,000 of more"
    )
    task.clear()
    assert task.try_().error is not None
    assert len(lists) == 1, "what was listed is not listed again"
    task.clear()
    assert task.try_(expected_outputs={"vcf": "vcf/*.vcf.gz"}).error is None
    assert (len(lists), len(task.started())) == (2, 1)


def test_stretches_list_each_run_once(new_task: NewTask, emulator: OmicsEmulator, lists: list[str]) -> None:
    """What has ended in a stretch is judged then, told as a new cause, and not listed again at the end."""
    told: list[str] = []
    emulator.set_scenario({"runs": [{**FIRST_WAVE, "outputs": ["a.vcf.gz"]}, SECOND_WAVE]})
    task = cohort(
        new_task,
        run_settings=samples("A1", "A2", "B1", "B2"),
        collect_every=1200,
        on_progress=lambda context: told.append(context["omics_progress"]),
    )

    error = task.try_().error

    assert isinstance(error, BatchVerdictError)
    assert len(lists) == 4
    assert emulator.calls.by_operation()["GetRun"] == 4
    assert "2 of 4 failed, 2 INCOMPLETE (pipeline author)" in told[-1]
    assert statuses() == {"A1": "COMPLETED", "A2": "COMPLETED", "B1": "INCOMPLETE", "B2": "INCOMPLETE"}


def test_stretches_without_the_rights(
    new_task: NewTask, emulator: OmicsEmulator, lists: list[str], refused: list[str]
) -> None:
    """Each collection asks once whether S3 lets it list, and GetRun is asked for each run once."""
    emulator.set_scenario({"runs": [FIRST_WAVE, SECOND_WAVE]})
    task = cohort(new_task, run_settings=samples("A1", "A2", "B1", "B2"), collect_every=1200, poll_interval=60)
    task.arguments["default_run_setting"] = apart(emulator)
    refused.append(APART)

    assert isinstance(task.try_().error, BatchVerdictError)

    assert set(statuses().values()) == {"UNKNOWN"}
    assert emulator.calls.by_operation()["GetRun"] == 4
    assert len(lists) <= 3


def test_canary(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """A canary without its output holds back the others."""
    script(emulator, "S1")
    task = cohort(new_task, canary=["S1"])

    assert isinstance(task.try_().error, BatchVerdictError)

    assert submitted(task) == [["S1"]]


def test_collect_operator(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """The operator that collects judges by its own expectations; without any it leaves what was judged as it is."""
    script(emulator, "S2")
    task = cohort(new_task, expected_outputs=None)
    batch_id = task.try_().result["batch_id"]
    shared = {"task_id": "collect", "batch_id": batch_id, "results_s3_uri": URI}

    judged = perform(OmicsCollectBatchResultsOperator(**shared, expected_outputs=VCF)).result
    left = perform(OmicsCollectBatchResultsOperator(**shared)).result
    taken_back = perform(OmicsCollectBatchResultsOperator(**shared, expected_outputs={})).result

    counted = [
        (one["completed_runs"], one["incomplete_runs"], one["new_records"]) for one in (judged, left, taken_back)
    ]
    assert counted == [(2, 1, 3), (2, 1, 0), (3, 0, 3)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"expected_outputs": "*.vcf"}, "expected_outputs = '*.vcf': a dict of name -> pattern"),
        ({"expected_outputs": {"vcf": "/x"}}, "expected_outputs['vcf'] = '/x'"),
        ({"wait_for_completion": False}, "with wait_for_completion=True"),
        ({"results_s3_uri": None}, "with results_s3_uri, of the task or the connection"),
        ({"results_detail": "listed"}, "with results_detail='full'"),
    ],
)
def test_refused_before_anything_is_sent(
    new_task: NewTask, emulator: OmicsEmulator, arguments: dict[str, Any], said: str
) -> None:
    """What cannot be looked for starts nothing."""
    error = cohort(new_task, **arguments).try_().error

    assert isinstance(error, SettingsError)
    assert said in str(error)
    assert emulator.service.started_batches() == []


@waits
def test_run(new_task: NewTask, emulator: OmicsEmulator, *, deferrable: bool) -> None:
    """A single run with its outputs returns them; of each name the first, and how many more there are."""
    bams = [f"bam/{number:03}.bam" for number in range(MAX_FILES + 2)]
    emulator.set_scenario({"runs": [{"outputs": [*bams, "a.vcf.gz"]}]})

    result = new_task(deferrable=deferrable).try_(expected_outputs={**VCF, "bam": "bam/*"}).result

    assert result["files"]["vcf"][0]["uri"] == f"{result['run_output_uri']}/a.vcf.gz"
    assert (len(result["files"]["bam"]), result["files_left_out"]) == (MAX_FILES, {"bam": 2})


@waits
def test_run_without_a_file(
    new_task: NewTask,
    emulator: OmicsEmulator,
    connect: Connect,
    log_lines: Callable[..., list[str]],
    *,
    deferrable: bool,
) -> None:
    """A run without one fails its task, with what was not found, and the tasks that the workflow has ignored."""
    connect({"results_s3_uri": f"s3://{BUCKET}/results"})
    emulator.set_scenario({"runs": [{"tasks": [{"name": "CALL", "outcome": "FAILED"}, {"name": "QC"}]}]})
    task = new_task(deferrable=deferrable)

    error = task.try_(expected_outputs=VCF).error

    assert isinstance(error, RunIncomplete)
    place = emulator.client().get_run(id=error.run_id)["runOutputUri"]
    assert (error.status, error.status_message) == ("COMPLETED", f"no object fits vcf (**/*.vcf.gz) below {place}")
    assert str(error).splitlines()[0] == f"Run {error.run_id} completed without expected outputs (pipeline author)"
    assert f"  found: no object fits vcf (**/*.vcf.gz) below {place}" in str(error)
    assert [line for line in log_lines(logging.ERROR) if "CALL (task" in line]
    page = next(
        item["Key"]
        for item in emulator.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="results/")["Contents"]
        if item["Key"].endswith("report.html")
    )
    shown = emulator.client("s3").get_object(Bucket=BUCKET, Key=page)["Body"].read().decode()
    assert "completed without expected outputs" in shown
    assert "no object fits vcf" in shown


def test_run_again_once(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """A retry starts another run, once."""
    task = new_task()
    first = task.try_(expected_outputs=VCF).error
    emulator.set_scenario({"runs": [{"outputs": ["a.vcf.gz"]}]})

    assert isinstance(first, RunIncomplete)
    assert not first.is_final
    assert task.try_().error is None
    assert len(task.started()) == 2


def test_run_that_a_try_has_lost(new_task: NewTask, emulator: OmicsEmulator) -> None:
    """A run that has ended while nobody looked is judged by the next try, as by the one that waited."""
    task = new_task()
    emulator.faults.add(operation="GetRun", error="ThrottlingException")
    assert task.try_(expected_outputs=VCF, patience=timedelta(minutes=5)).error is not None
    emulator.faults.clear()
    emulator.advance(7200)

    assert isinstance(task.try_().error, RunIncomplete)

    assert len(task.started()) == 2


@pytest.mark.parametrize("gone", [False, True], ids=["denied", "no bucket"])
def test_run_whose_outputs_are_not_known(
    new_task: NewTask, emulator: OmicsEmulator, refused: list[str], *, gone: bool
) -> None:
    """What S3 refuses to list is neither there nor missing: the task fails, and the next try looks again."""
    scenario = {"runs": [{"outputs": ["a.vcf.gz"]}], "places": [f"s3://{APART}/*"] if gone else []}
    emulator.set_scenario(scenario)
    if not gone:
        apart(emulator)
        refused.append(APART)
    task = new_task()

    error = task.try_(expected_outputs=VCF, output_uri=f"s3://{APART}/runs").error

    assert isinstance(error, NotFound if gone else AccessDenied)
    assert "s3:ListBucket" in str(error)
    assert not error.is_final
    if gone:
        return
    refused.clear()
    assert task.try_().result["files"]["vcf"]
    assert len(task.started()) == 1


def test_run_with_more_than_is_listed(
    new_task: NewTask, emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it known of a run with more objects than are listed."""
    monkeypatch.setattr(outputs_module, "MAX_PAGES", 1)
    emulator.set_scenario({"runs": [{"outputs": [*(f"a/{number:04}.txt" for number in range(999)), "z/a.vcf.gz"]}]})
    task = new_task()

    error = task.try_(expected_outputs=VCF).error

    assert isinstance(error, ServiceError)
    assert error.code == "TooManyObjects"
    assert task.try_(expected_outputs={"vcf": "z/*.vcf.gz"}).error is None
    assert len(task.started()) == 1


def test_outputs_right_under_the_output_uri(new_task: NewTask, emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """With NONE_WITH_OVERWRITE a run's outputs lie among those of the runs before, which do not count as its own."""
    emulator.set_scenario({"runs": [{"outputs": ["a.vcf.gz"]}]})
    shared = {"expected_outputs": VCF, "output_uri_prefix_mode": "NONE_WITH_OVERWRITE"}
    first = new_task().try_(**shared)
    if not is_sendable(Place.START_RUN, "outputUriPrefixMode"):
        assert refusal(Place.START_RUN, "outputUriPrefixMode") in str(first.error)
        return
    assert first.result["files"]["vcf"][0]["uri"] == f"{RUN['output_uri']}/a.vcf.gz"
    emulator.set_scenario({"runs": [{}]})
    stepped.sleep(60)

    error = new_task().try_(**shared).error

    assert isinstance(error, RunIncomplete)
    assert error.status_message == f"no object fits vcf (**/*.vcf.gz) below {RUN['output_uri']}"
