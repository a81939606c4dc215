from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_omics.core.errors import (
    AccessDenied,
    BatchCancelled,
    BatchDeleted,
    BatchFailed,
    BatchVanished,
    BatchVerdictError,
    Conflict,
    LostContact,
    OmicsError,
    SettingsError,
)
from airflow_provider_omics.operators.run_batch import (
    OmicsCancelRunBatchOperator,
    OmicsDeleteBatchOperator,
    OmicsDeleteRunBatchOperator,
    OmicsStartRunBatchOperator,
)
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, ONE_TRY, OUTPUT, ROLE, own_tags, perform, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Ended, Meanwhile, SteppedTime

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])

FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "status_message": "ALIGN ran out of memory"}
NOT_SUBMITTED = {"submission_failure": {"reason": "AccessDeniedException", "message": "The role cannot read it."}}
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
        "succeeded": True,
        "failed_run_setting_ids": [],
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
@pytest.mark.parametrize(
    ("rule", "tolerance", "succeeds"),
    [
        (FAILS, {}, False),
        (FAILS, {"max_failed_runs": 1}, False),
        (FAILS, {"max_failed_runs": 2}, True),
        (FAILS, {"max_failed_runs": "{{ 1 + 1 }}"}, True),
        (FAILS, {"max_failed_percent": 49.9}, False),
        (FAILS, {"max_failed_percent": 50}, True),
        (FAILS, {"max_failed_percent": "50", "max_failed_runs": "0"}, True),
        (FAILS, {"max_failed_runs": 4, "must_succeed": ["S1", "S2"]}, True),
        (FAILS, {"max_failed_runs": 4, "must_succeed": ["BAD2"]}, False),
        (FAILS, {"max_failed_runs": 4, "must_succeed": "B*"}, False),
        (NOT_SUBMITTED, {"max_failed_runs": 1}, False),
        (NOT_SUBMITTED, {"max_failed_runs": 2}, True),
        (NOT_SUBMITTED, {"max_failed_percent": 100, "must_succeed": ["BAD?"]}, False),
    ],
)
def test_verdict(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    *,
    rule: dict[str, Any],
    tolerance: dict[str, Any],
    succeeds: bool,
    deferrable: bool,
) -> None:
    """PROCESSED is a success when no more runs failed than tolerated, and none that must succeed."""
    emulator.set_scenario({"runs": [bad(rule)]})

    ended = perform(start_batch(run_settings=FOUR, deferrable=deferrable, **tolerance))

    result = ended.result if succeeds else ended.xcoms["return_value"]
    assert isinstance(ended.error, BatchVerdictError) is not succeeds
    assert result["succeeded"] is succeeds
    assert result["completed_runs"] == 2
    assert result["failed_runs"] + result["failed_submissions"] == 2
    assert sorted(result["failed_run_setting_ids"]) == ["BAD1", "BAD2"]


@deferrable
def test_verdict_names_the_failed_runs_with_reasons(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool
) -> None:
    """The verdict's error gives the counts, and for each failed run its own id and AWS's reason."""
    emulator.set_scenario({"runs": [bad(FAILS, "BAD1"), bad(NOT_SUBMITTED, "BAD2")]})

    ended = perform(start_batch(run_settings=FOUR, deferrable=deferrable))

    error = ended.error
    assert isinstance(error, BatchVerdictError)
    assert isinstance(error, AirflowFailException)  # too little memory, and a missing permission: both come back
    assert error.failed_run_settings == {
        "BAD1": "OUT_OF_MEMORY_ERROR: ALIGN ran out of memory",
        "BAD2": "AccessDeniedException: The role cannot read it.",
    }
    assert error.counts == {
        "total_runs": 4,
        "completed_runs": 2,
        "failed_runs": 1,
        "cancelled_runs": 0,
        "unknown_runs": 0,
        "failed_submissions": 1,
    }
    assert all(text in str(error) for text in ("BAD1", "BAD2", "ALIGN ran out of memory", "cannot read it", "#/runs"))


def test_tolerated_failures_are_warned_of(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """What is tolerated is not hidden: a warning names each failed run and the verdict."""
    emulator.set_scenario({"runs": [bad(FAILS)]})

    perform(start_batch(run_settings=FOUR, max_failed_runs=2))

    warnings = "\n".join(log_lines(logging.WARNING))
    assert all(text in warnings for text in ("BAD1", "BAD2", "ALIGN ran out of memory", "2 of 4 runs completed"))


def test_only_the_first_failures_are_explained(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Of a hundred failed runs the first 20 are named, and at most 50 are looked at: logs and XCom stay small."""
    emulator.set_scenario({"runs": [FAILS]})

    ended = perform(start_batch(run_settings=samples(*(f"S{number}" for number in range(100)))))

    assert isinstance(ended.error, BatchVerdictError)
    assert len(ended.error.failed_run_settings) == 20
    assert len(ended.xcoms["return_value"]["failed_run_setting_ids"]) == 20
    assert set(ended.error.failed_run_settings.values()) == {"OUT_OF_MEMORY_ERROR: ALIGN ran out of memory"}
    assert emulator.calls["GetRun"] == 50
    assert emulator.calls["ListRunsInBatch"] == 1


def test_tolerated_batch_needs_no_permission_to_list_runs(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """Who may not list runs still gets the verdict of the counts, with a warning that nobody is named."""
    emulator.set_scenario({"runs": [bad(FAILS)]})
    emulator.faults.add(operation="ListRuns", error="AccessDeniedException")

    ended = perform(start_batch(run_settings=FOUR, max_failed_runs=2))

    assert ended.error is None
    assert ended.result["succeeded"] is True
    assert any("omics:ListRuns" in line for line in log_lines(logging.WARNING))


def test_verdict_stands_when_runs_cannot_be_listed(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Too many failures are too many, whether or not they can be named; the result is pushed all the same."""
    emulator.set_scenario({"runs": [bad(FAILS)]})
    emulator.faults.add(operation="ListRuns", error="AccessDeniedException")

    ended = perform(start_batch(run_settings=FOUR))

    assert isinstance(ended.error, BatchVerdictError)
    assert ended.xcoms["return_value"]["succeeded"] is False


def test_must_succeed_cannot_be_judged_blindly(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Where it matters who failed and nobody can be named, the task fails with that error, its result pushed."""
    emulator.set_scenario({"runs": [bad(FAILS)]})
    emulator.faults.add(operation="ListRuns", error="AccessDeniedException")

    ended = perform(start_batch(run_settings=FOUR, max_failed_runs=4, must_succeed=["S1"]))

    assert isinstance(ended.error, AccessDenied)
    assert ended.xcoms["return_value"]["succeeded"] is False


def test_run_of_unknown_end_is_no_success(emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """A run whose record somebody deleted may have completed, but must_succeed wants to know."""

    def delete_first(_: str) -> None:
        first = emulator.service.started_runs()[0]
        emulator.service.call("DeleteRun", {"id": first["id"]})

    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S2"}, "running": 7200}]})
    meanwhile("COMPLETED", delete_first)

    ended = perform(start_batch(max_failed_runs=3, must_succeed=["S1"]))

    assert isinstance(ended.error, BatchVerdictError)
    assert ended.error.counts["unknown_runs"] == 1
    assert ended.xcoms["return_value"]["failed_run_setting_ids"] == ["S1"]


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

    ended = perform(start_batch(run_settings=None, run_settings_s3_uri=f"s3://{BUCKET}/settings.json"))

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


def test_dry_run_of_settings_in_s3(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """A dry run does not pretend to know how many runs an S3 object holds."""
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


# -- cancel and delete -----------------------------------------------------------------------------------------------


@pytest.fixture
def batch_id(emulator: OmicsEmulator, stepped: SteppedTime) -> str:
    """A batch of three runs that somebody else has started."""
    started: str = emulator.client().start_run_batch(
        requestId="theirs",
        defaultRunSetting=DEFAULT_RUN_SETTING,
        batchRunSettings={"inlineSettings": samples("S1", "S2", "S3")},
    )["id"]
    return started


def do(operator: Any, batch_id: str, **arguments: Any) -> Ended:
    return perform(operator(task_id="do", batch_id="{{ batch }}", **arguments), batch=batch_id)


@pytest.mark.parametrize(("age", "expected"), [(3, "CANCELLED"), (200, "CANCELLED"), (3600, "PROCESSED")])
def test_cancel_batch(emulator: OmicsEmulator, batch_id: str, age: float, expected: str) -> None:
    """A batch is cancelled once and again; one that has ended counts as done."""
    emulator.advance(age)

    assert do(OmicsCancelRunBatchOperator, batch_id).error is None
    assert do(OmicsCancelRunBatchOperator, batch_id).error is None
    emulator.advance(600)
    assert only_batch(emulator)["status"] == expected


def test_batch_that_is_being_created_is_not_cancelled(emulator: OmicsEmulator, batch_id: str) -> None:
    """A batch in CREATING refuses the cancel: the task does not say that it was cancelled."""
    assert isinstance(do(OmicsCancelRunBatchOperator, batch_id).error, Conflict)


@pytest.mark.parametrize(
    "operator", [OmicsCancelRunBatchOperator, OmicsDeleteRunBatchOperator, OmicsDeleteBatchOperator]
)
def test_batch_that_is_gone_counts_as_done(emulator: OmicsEmulator, stepped: SteppedTime, operator: Any) -> None:
    """There is nothing to cancel or delete any more, and that is no error."""
    assert do(operator, "424242").error is None


@pytest.mark.parametrize("wait", [True, False])
def test_delete_runs_of_a_batch(emulator: OmicsEmulator, batch_id: str, *, wait: bool) -> None:
    """The runs of an ended batch are deleted, waited for or not; a second delete has nothing to do."""
    emulator.set_scenario({"limits": {"deletes_per_second": 0.01}})
    emulator.advance(3600)

    assert do(OmicsDeleteRunBatchOperator, batch_id, wait_for_completion=wait).error is None
    assert only_batch(emulator)["status"] == ("RUNS_DELETED" if wait else "RUNS_DELETING")
    assert do(OmicsDeleteRunBatchOperator, batch_id).error is None
    assert {run["status"] for run in emulator.service.started_runs()} == {"DELETED"}


def test_runs_that_cannot_be_deleted_are_an_error(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A delete that AWS reports as failed is not told as done."""
    emulator.set_scenario({"batches": [{"delete_failures": 1}]})
    batch_id = perform(start_batch()).result["batch_id"]

    error = do(OmicsDeleteRunBatchOperator, batch_id).error

    assert isinstance(error, BatchFailed)
    assert error.status == "RUNS_DELETE_FAILED"


def test_delete_whose_end_nobody_saw_is_an_error(emulator: OmicsEmulator, batch_id: str) -> None:
    """When the batch cannot be looked at any more, the task does not say that its runs were deleted."""
    emulator.advance(3600)
    emulator.faults.add(operation="GetBatch", error="AccessDeniedException")

    error = do(OmicsDeleteRunBatchOperator, batch_id, botocore_config=ONE_TRY).error

    assert isinstance(error, LostContact)


def test_runs_of_an_active_batch_are_not_deleted(emulator: OmicsEmulator, batch_id: str) -> None:
    """A batch that is still going refuses, and that is an error."""
    assert isinstance(do(OmicsDeleteRunBatchOperator, batch_id).error, Conflict)


def test_delete_batch(emulator: OmicsEmulator, batch_id: str) -> None:
    """The record of an ended batch is deleted and its runs stay; an active one is not."""
    assert isinstance(do(OmicsDeleteBatchOperator, batch_id).error, Conflict)
    emulator.advance(3600)

    assert do(OmicsDeleteBatchOperator, batch_id).error is None
    assert only_batch(emulator)["exists"] is False
    assert all(run["exists"] for run in emulator.service.started_runs())
