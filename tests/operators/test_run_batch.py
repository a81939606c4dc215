from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_omics.core.errors import (
    BatchCancelled,
    BatchDeleted,
    BatchFailed,
    BatchVanished,
    OmicsError,
    SettingsError,
)
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, OUTPUT, ROLE, own_tags, perform, samples
from tests.model_support import is_sendable, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Meanwhile, SteppedTime

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
FOUR = samples("S1", "S2", "BAD1", "BAD2")


def start_batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    defaults: dict[str, Any] = {
        "task_id": "align_all",
        "default_run_setting": DEFAULT_RUN_SETTING,
        "run_settings": samples("S1", "S2", "S3"),
    }
    return OmicsStartRunBatchOperator(**{**defaults, **arguments})


def bad(rule: dict[str, Any], pattern: str = "BAD*") -> dict[str, Any]:
    return {"match": {"run_setting_id": pattern}, **rule}


def only_batch(emulator: OmicsEmulator) -> dict[str, Any]:
    (batch,) = emulator.service.started_batches()
    return batch


@deferrable
def test_processed_batch_is_returned(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """A batch whose runs all complete is returned with its counts."""
    ended = perform(start_batch(deferrable=deferrable))

    batch = only_batch(emulator)
    assert ended.error is None
    assert ended.deferred is deferrable
    assert ended.result == {
        "batch_id": batch["id"],
        "batch_uuid": batch["uuid"],
        "batch_arn": f"arn:aws:omics:us-east-1:123456789012:runBatch/{batch['id']}",
        "status": "PROCESSED",
        "total_runs": 3,
        "completed_runs": 3,
        "failed_runs": 0,
        "cancelled_runs": 0,
        "unknown_runs": 0,
        "failed_submissions": 0,
        "incomplete_runs": 0,
        "succeeded": True,
        "failed_run_setting_ids": [],
        "attempts": 1,
        "carried_forward": 0,
        "results_uri": None,
        "report_uri": None,
        "causes": [],
    }
    # Nobody failed, so nobody is looked up.
    assert emulator.calls.by_operation().keys() == {"StartRunBatch", "GetBatch"}


@deferrable
@pytest.mark.parametrize(
    ("scenario", "status", "act", "expected"),
    [
        pytest.param({"batches": [{"failure": {"reason": "No settings."}}]}, None, "", BatchFailed, id="FAILED"),
        pytest.param({}, "INPROGRESS", "CancelRunBatch", BatchCancelled, id="CANCELLED by someone else"),
        pytest.param({}, "PROCESSED", "DeleteRunBatch", BatchDeleted, id="runs deleted by someone else"),
        pytest.param(
            {"batches": [{"delete_failures": 1}]}, "PROCESSED", "DeleteRunBatch", BatchDeleted, id="RUNS_DELETE_FAILED"
        ),
        pytest.param({}, "PROCESSED", "DeleteBatch", BatchVanished, id="deleted by someone else"),
    ],
)
def test_end_of_a_batch(
    emulator: OmicsEmulator,
    meanwhile: Meanwhile,
    *,
    deferrable: bool,
    scenario: dict[str, Any],
    status: str | None,
    act: str,
    expected: type[OmicsError],
) -> None:
    """Each end of a batch is told by its own error, with the ids; the result is pushed before it."""
    emulator.set_scenario(scenario)
    if status is not None:
        meanwhile(status, lambda id_: emulator.service.call(act, {"batchId": id_}))

    ended = perform(start_batch(deferrable=deferrable))

    batch, error = only_batch(emulator), ended.error
    assert ended.deferred is deferrable
    assert isinstance(error, expected)
    assert isinstance(error, AirflowException)
    assert isinstance(error, AirflowFailException) is (expected in {BatchDeleted, BatchVanished})
    assert (error.batch_id, error.batch_uuid) == (batch["id"], batch["uuid"])  # type: ignore[attr-defined]
    pushed = ended.xcoms["return_value"]
    assert (pushed["batch_id"], pushed["succeeded"]) == (batch["id"], False)


@deferrable
def test_failed_batch_names_its_reason_and_what_it_started(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], *, deferrable: bool
) -> None:
    """A batch that fails while it submits leaves runs behind: its error has the reason, the log names the runs."""
    failure = {"reason": "An internal error occurred.", "after_runs": 2}
    emulator.set_scenario({"batches": [{"failure": failure}]})

    ended = perform(start_batch(deferrable=deferrable))

    assert isinstance(ended.error, BatchFailed)
    assert ended.error.failure_reason == "An internal error occurred."
    assert "An internal error occurred." in str(ended.error)
    ids = [run["id"] for run in emulator.service.started_runs()]
    assert len(ids) == 2
    (named,) = [line for line in log_lines(logging.WARNING) if "started" in line]
    assert all(run_id in named for run_id in ids)


def test_failed_batch_is_told_even_if_its_runs_cannot_be_listed(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """That the started runs cannot be named does not hide why the batch failed."""
    emulator.set_scenario({"batches": [{"failure": {"reason": "An internal error occurred.", "after_runs": 2}}]})
    emulator.faults.add(operation="ListRunsInBatch", error="AccessDeniedException")

    assert isinstance(perform(start_batch()).error, BatchFailed)


@deferrable
def test_started_batch_is_enough_without_waiting(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool
) -> None:
    """Without waiting the task ends once the batch is started, and gives no verdict."""
    ended = perform(start_batch(wait_for_completion=False, deferrable=deferrable))

    assert not ended.deferred
    assert emulator.calls.by_operation() == {"StartRunBatch": 1}
    expected = {"batch_id": only_batch(emulator)["id"], "status": "CREATING", "total_runs": 3, "succeeded": None}
    assert expected.items() <= ended.result.items()


@deferrable
def test_link_is_there_before_the_wait(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """The console link can be followed while the task is still deferred."""
    ended = perform(start_batch(deferrable=deferrable))

    ids = {"region_name": "us-east-1", "batch_id": ended.result["batch_id"]}
    assert ids.items() <= ended.xcoms["omics_run_batch"].items()
    assert ended.pushed_before_deferral == ({"omics_run_batch"} if deferrable else None)


@pytest.mark.parametrize(
    ("connection", "default", "argument", "expected"),
    [
        (None, None, None, None),
        ("LOCAL", None, None, "LOCAL"),
        ("LOCAL", "SHARED", None, "SHARED"),
        ("SHARED", "SHARED", "LOCAL", "LOCAL"),
        (None, None, "{{ 'LOCAL' }}", "LOCAL"),
    ],
)
def test_scratch_storage_mode(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    connect: Connect,
    connection: str | None,
    default: str | None,
    argument: str | None,
    expected: str | None,
) -> None:
    """scratchStorageMode: the argument wins over default_run_setting, that over the connection; unset stays unset."""
    connect({"default_run_setting": {"scratchStorageMode": connection} if connection else {}})
    setting = {**DEFAULT_RUN_SETTING, **({"scratchStorageMode": default} if default else {})}

    ended = perform(start_batch(default_run_setting=setting, scratch_storage_mode=argument, wait_for_completion=False))

    if expected and not is_sendable(Place.DEFAULT_RUN_SETTING, "scratchStorageMode"):
        assert isinstance(ended.error, SettingsError)
        assert refusal(Place.DEFAULT_RUN_SETTING, "scratchStorageMode") in str(ended.error)
        assert emulator.calls.by_operation() == {}
        return
    batch = emulator.client().get_batch(batchId=ended.result["batch_id"])
    assert batch["defaultRunSetting"].get("scratchStorageMode") == expected
    emulator.advance(60)
    run = emulator.client().get_run(id=emulator.service.started_runs()[0]["id"])
    assert run.get("scratchStorageMode") == expected


def test_scratch_storage_mode_of_one_run_is_refused(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The API has no such field per run: the error says where it belongs, and nothing is sent."""
    settings = [{**samples("S1")[0], "scratchStorageMode": "LOCAL"}]

    error = perform(start_batch(run_settings=settings)).error

    assert isinstance(error, SettingsError)
    assert "default_run_setting['scratchStorageMode']" in str(error)
    assert emulator.calls.by_operation() == {}


def test_everything_given_arrives(emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect) -> None:
    """Name, tags, defaults of connection and task, and what each run has of its own, arrive as they were given."""
    connect({"default_run_setting": {"roleArn": ROLE, "outputUri": OUTPUT, "parameters": {"genome": "GRCh38", "q": 1}}})
    task = OmicsStartRunBatchOperator(
        task_id="all",
        batch_name="{{ cohort }}",
        tags={"cohort": "{{ cohort }}"},
        default_run_setting={"workflowId": "1234567", "parameters": {"q": 2}, "runTags": {"of": "{{ cohort }}"}},
        run_settings=[
            {"runSettingId": "S1", "parameters": {"sample": "{{ cohort }}-1"}, "priority": 5},
            {"runSettingId": "S2", "outputUri": f"s3://{BUCKET}/other"},
        ],
    )

    ended = perform(task, cohort="1000g")

    omics = emulator.client()
    batch = omics.get_batch(batchId=ended.result["batch_id"])
    assert (batch["name"], own_tags(batch["tags"])) == ("1000g", {"cohort": "1000g"})
    first, second = (omics.get_run(id=run["id"]) for run in emulator.service.started_runs())
    assert first["parameters"] == {"genome": "GRCh38", "q": 2, "sample": "1000g-1"}
    assert (first["priority"], first["outputUri"]) == (5, OUTPUT)
    assert second["parameters"] == {"genome": "GRCh38", "q": 2}
    assert second["outputUri"] == f"s3://{BUCKET}/other"
    assert own_tags(first["tags"]) == own_tags(second["tags"]) == {"of": "1000g"}


def test_settings_in_s3(emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]) -> None:
    """The runs may stand in an S3 object of the user's; their number is known once the batch has read it."""
    body = json.dumps(samples(*(f"S{number}" for number in range(150))))
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=body)

    where = {"run_settings_s3_uri": f"s3://{BUCKET}/settings.json", "results_s3_uri": f"s3://{BUCKET}/results/"}

    ended = perform(start_batch(run_settings=None, **where))

    assert ended.error is None
    assert (ended.result["total_runs"], ended.result["completed_runs"]) == (150, 150)
    assert "of 150" in "\n".join(log_lines())


def test_run_settings_may_be_any_iterable(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A tuple of settings is as good as a list."""
    assert perform(start_batch(run_settings=tuple(samples("S1")))).result["total_runs"] == 1


@pytest.mark.parametrize(
    ("omics", "arguments", "argument"),
    [
        ({"require_settings": ["runGroupId"]}, {}, "runGroupId"),
        ({}, {"run_settings": None}, "run_settings"),
        ({}, {"run_settings_s3_uri": "s3://b/k"}, "run_settings_s3_uri"),
        ({}, {"run_settings": samples("S1", "S1")}, "runSettingId"),
        ({}, {"run_settings": samples(*map(str, range(101)))}, "at most 100"),
        ({}, {"max_failed_runs": "many"}, "max_failed_runs"),
        ({}, {"max_failed_percent": 101}, "max_failed_percent"),
        ({}, {"cancel_on_kill": "perhaps"}, "cancel_on_kill"),
        ({}, {"default_run_setting": {**DEFAULT_RUN_SETTING, "workflowType": "READY2RUN"}}, "READY2RUN"),
    ],
)
def test_bad_settings_start_nothing(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    connect: Connect,
    omics: dict[str, Any],
    arguments: dict[str, Any],
    argument: str,
) -> None:
    """Settings that cannot work, the tolerance included, are refused before any call, and never tried again."""
    connect(omics)

    error = perform(start_batch(**arguments)).error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowFailException)
    assert argument in str(error)
    assert emulator.calls.by_operation() == {}


def test_dry_run_starts_nothing(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """A dry run shows the number of runs and the parameter names of the first three, and makes no call."""
    names = [f"S{number}" for number in range(9)]

    ended = perform(start_batch(run_settings=samples(*names), dry_run=True))

    lines = "\n".join(log_lines())
    assert ended.result["status"] == "DRY_RUN"
    assert emulator.calls.by_operation() == {}
    assert "9 run" in lines
    assert [name for name in names if f"'{name}'" in lines] == names[:3]


@pytest.mark.parametrize("masks", [False, True])
def test_dry_run_shows_the_first_runs(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect, log_lines: Callable[..., list[str]], *, masks: bool
) -> None:
    """A dry run shows the settings that all runs share with their origins, and of three runs what is theirs alone."""
    connect({"default_run_setting": {"storageType": "DYNAMIC", "logLevel": "ALL"}})
    runs = [
        {"runSettingId": f"S{number}", "name": f"n{number}", "parameters": {"reads": "P-0042"}} for number in range(4)
    ]
    default = {**DEFAULT_RUN_SETTING, "parameters": {"genome": "P-0043"}, "logLevel": "ERROR"}

    perform(start_batch(default_run_setting=default, run_settings=runs, dry_run=True, mask_parameters=masks))

    lines = log_lines()
    assert "  storageType = DYNAMIC (from connection 'aws_default')" in lines
    assert "  logLevel = ERROR (from default_run_setting)" in lines
    assert "  parameters = 1 keys: genome (from default_run_setting)" in lines
    assert [line for line in lines if line.startswith("  run_settings[")] == [
        f"  run_settings['S{number}'] with parameters genome, reads; name{'' if masks else f' = n{number}'}"
        for number in range(3)
    ]
    assert "P-004" not in "".join(lines)


def test_dry_run_of_settings_in_s3(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """A dry run does not pretend to know how many runs an S3 object holds."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=json.dumps(samples("S1")))

    perform(start_batch(run_settings=None, run_settings_s3_uri=f"s3://{BUCKET}/settings.json", dry_run=True))

    lines = "\n".join(log_lines())
    assert f"s3://{BUCKET}/settings.json" in lines
    assert "0 run" not in lines


def test_check_workflow_sees_the_merged_parameters(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The parameters of each run, merged with the default, are held against the template of the workflow."""
    default = {**DEFAULT_RUN_SETTING, "workflowId": "4567890", "parameters": {"genome": "GRCh38"}}
    runs = [
        {"runSettingId": "S1", "parameters": {"input": "s3://b/S1"}},
        {"runSettingId": "S2", "parameters": {"inputs": "s3://b/S2"}},
    ]

    error = perform(start_batch(default_run_setting=default, run_settings=runs, check_workflow=True)).error

    assert isinstance(error, SettingsError)
    assert "run_settings['S2']" in str(error)
    assert "run_settings['S1']" not in str(error)
    assert emulator.calls.by_operation() == {"GetWorkflow": 1}


def test_progress_is_told_once_a_change(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """One line for each change of the counts, not one for each look."""
    emulator.set_scenario({"runs": [bad({"running": 9000}), {"running": 1800}]})

    perform(start_batch(run_settings=FOUR))

    lines = [line for line in log_lines() if line.startswith("Batch ") and " of 4" in line]
    assert len(lines) == len(set(lines))
    assert 4 < len(lines) < 20 < emulator.calls["GetBatch"]
    assert any("INPROGRESS: running 2, completed 2 of 4" in line for line in lines)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_closing_line(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], *, deferrable: bool, fails: bool
) -> None:
    """The log closes with the batch, how long it took, and its results, whether it ended well or not."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED"}] if fails else []})
    uri = f"s3://{BUCKET}/wgs.jsonl"

    ended = perform(start_batch(results_s3_uri=uri, deferrable=deferrable))

    (batch,) = emulator.service.started_batches()
    assert (ended.error is not None, ended.deferred) == (fails, deferrable)
    closing = [line for line in log_lines() if "after its request" in line]
    assert closing == log_lines()[-1:]
    expected = rf"Batch {batch['id']} PROCESSED, [\d:]+ after its request; results: {uri}; report: .*/report.html"
    assert re.fullmatch(expected, closing[0])
