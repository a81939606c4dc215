from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_omics.core.errors import (
    AccessDenied,
    Conflict,
    NotFound,
    OmicsError,
    QuotaExceeded,
    RunCancelled,
    RunDeleted,
    RunFailed,
    RunVanished,
    ServiceError,
    SettingsError,
)
from airflow_provider_omics.core.settings.fields import START_RUN_ARGUMENTS, Place
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from tests.airflow_support import BUCKET, ONE_TRY, OUTPUT, ROLE, RUN, own_tags, perform
from tests.model_support import is_sendable, refusal, sendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Meanwhile, SteppedTime

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])

FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "status_message": "ALIGN ran out of memory"}


def start_run(**arguments: Any) -> OmicsStartRunOperator:
    return OmicsStartRunOperator(**{"task_id": "align", **RUN, **arguments})


@deferrable
def test_completed_run_is_returned(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """A run that completes is returned with all that says later what made its outputs."""
    ended = perform(
        start_run(
            deferrable=deferrable,
            workflow_id="4567890",
            workflow_version_name="3.18.0",
            parameters={"input": f"s3://{BUCKET}/sheet.csv"},
        )
    )

    (run,) = emulator.service.started_runs()
    got = emulator.client().get_run(id=run["id"])
    assert ended.error is None
    assert ended.deferred is deferrable
    assert ended.result == {
        "run_id": run["id"],
        "run_uuid": run["uuid"],
        "run_arn": f"arn:aws:omics:us-east-1:123456789012:run/{run['id']}",
        "status": "COMPLETED",
        "run_output_uri": f"{OUTPUT}/{run['id']}",
        "started_at": run["startTime"].isoformat(),
        "stopped_at": run["stopTime"].isoformat(),
        "workflow_id": "4567890",
        "workflow_uuid": got["workflowUuid"],
        "workflow_version_name": "3.18.0",
        "workflow_digest": got["digest"],
        "engine_version": got["engineVersion"],
        "role_arn": ROLE,
    }


@deferrable
@pytest.mark.parametrize(
    ("rule", "status", "act", "expected"),
    [
        pytest.param(FAILS, None, None, RunFailed, id="FAILED"),
        pytest.param({}, "RUNNING", "CancelRun", RunCancelled, id="CANCELLED by someone else"),
        pytest.param({}, "COMPLETED", "DeleteRun", RunDeleted, id="DELETED by someone else"),
        pytest.param({}, "RUNNING", "vanish", RunVanished, id="vanished without a manifest"),
        pytest.param(FAILS, "FAILED", "vanish", RunFailed, id="vanished, FAILED by its manifest"),
        pytest.param({}, "COMPLETED", "vanish", None, id="vanished, COMPLETED by its manifest"),
    ],
)
def test_end_of_a_run(
    emulator: OmicsEmulator,
    meanwhile: Meanwhile,
    log_lines: Callable[..., list[str]],
    *,
    deferrable: bool,
    rule: dict[str, Any],
    status: str | None,
    act: str | None,
    expected: type[OmicsError] | None,
) -> None:
    """Each end of a run is told by its own error, with the ids; a vanished run by what its manifest says."""
    emulator.set_scenario({"runs": [rule], "deleted_visible": 3600})
    if status is not None:
        meanwhile(
            status,
            lambda id_: (
                emulator.service.remove_run(id_) if act == "vanish" else emulator.service.call(str(act), {"id": id_})
            ),
        )

    ended = perform(start_run(deferrable=deferrable))

    (run,) = emulator.service.started_runs()
    assert ended.deferred is deferrable
    (closing,) = [line for line in log_lines() if "after its request" in line]
    assert closing == log_lines()[-1]
    assert re.match(rf"Run {run['id']} {'COMPLETED' if expected is None else '[A-Z]+'}, [\d:]+ after", closing)

    if expected is None:
        assert ended.error is None
        assert (ended.result["run_uuid"], ended.result["status"]) == (run["uuid"], "COMPLETED")
        return
    error = ended.error
    assert isinstance(error, expected)
    assert isinstance(error, AirflowException)
    # Another try could start a second run beside one that completed, and too little memory comes back.
    assert isinstance(error, AirflowFailException) is (expected in {RunDeleted, RunFailed, RunVanished})
    assert (error.run_id, error.run_uuid) == (run["id"], run["uuid"])  # type: ignore[attr-defined]


@deferrable
def test_failed_run_tells_why(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """The error of a failed run names status, reason, message, log streams and the console page."""
    emulator.set_scenario({"runs": [FAILS]})

    error = perform(start_run(deferrable=deferrable)).error

    assert isinstance(error, RunFailed)
    (run_id,) = (run["id"] for run in emulator.service.started_runs())
    streams = {stream["logStreamName"] for stream in _log_streams(emulator)}
    assert error.status == "FAILED"
    assert error.failure_reason == "OUT_OF_MEMORY_ERROR"
    assert error.status_message == "ALIGN ran out of memory"
    assert set(error.log_streams) == {f"run/{run_id}", f"run/{run_id}/engine"} <= streams
    assert error.console_url == f"https://console.aws.amazon.com/omics/home?region=us-east-1#/runs/{run_id}"
    for fact in (run_id, error.run_uuid, "OUT_OF_MEMORY_ERROR", "ALIGN ran out of memory", error.console_url):
        assert str(fact) in str(error)


def _log_streams(emulator: OmicsEmulator) -> list[dict[str, Any]]:
    answer = emulator.client("logs").describe_log_streams(logGroupName="/aws/omics/WorkflowLog")
    streams: list[dict[str, Any]] = answer["logStreams"]
    return streams


@deferrable
def test_started_run_is_enough_without_waiting(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool
) -> None:
    """Without waiting the task ends once the run is started: one call, no deferral, what StartRun told."""
    ended = perform(start_run(wait_for_completion=False, deferrable=deferrable))

    (run,) = emulator.service.started_runs()
    assert not ended.deferred
    assert emulator.calls.by_operation() == {"StartRun": 1}
    known = {"run_id": run["id"], "run_uuid": run["uuid"], "status": "PENDING", "role_arn": ROLE, "stopped_at": None}
    assert known.items() <= ended.result.items()


@deferrable
def test_links_are_there_before_the_wait(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """The console links can be followed while the task is still deferred."""
    ended = perform(start_run(deferrable=deferrable))

    ids = {"region_name": "us-east-1", "run_id": ended.result["run_id"]}
    for key in ("omics_run", "omics_run_logs"):
        assert ids.items() <= ended.xcoms[key].items()
    assert ended.xcoms["omics_run_outputs"]["run_output_uri"] == ended.result["run_output_uri"]
    assert ended.pushed_before_deferral == (
        {"omics_run", "omics_run_logs", "omics_run_outputs"} if deferrable else None
    )


# A value for each argument, what else it needs, and where GetRun tells it.
POLICY = '{"Version": "2012-10-17", "Statement": []}'
ARGUMENTS: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "workflow_id": ("3456789", {}, "workflowId"),
    "source_run_id": ("<the first run>", {"workflow_id": None}, "runId"),
    "role_arn": ("arn:aws:iam::123456789012:role/other", {}, "roleArn"),
    "output_uri": (f"s3://{BUCKET}/elsewhere", {}, "outputUri"),
    "run_name": ("NA12878", {}, "name"),
    "parameters": ({"input": "s3://b/in", "deep": {"list": [1, 2.5, None, True]}}, {}, "parameters"),
    "workflow_type": ("READY2RUN", {"workflow_id": "9500764"}, "workflowType"),
    "workflow_owner_id": ("111122223333", {"workflow_id": "5678901"}, "workflowOwnerId"),
    "workflow_version_name": (
        "3.14.0",
        {"workflow_id": "4567890", "parameters": {"input": "s3://b/in"}},
        "workflowVersionName",
    ),
    "cache_id": ("<the cache>", {}, "cacheId"),
    "cache_behavior": ("CACHE_ALWAYS", {"cache_id": "<the cache>"}, "cacheBehavior"),
    "run_group_id": ("<the group>", {}, "runGroupId"),
    "priority": (7, {}, "priority"),
    "storage_type": ("STATIC", {}, "storageType"),
    "storage_capacity": (2400, {"storage_type": "STATIC"}, "storageCapacity"),
    "log_level": ("FATAL", {}, "logLevel"),
    "tags": ({"cohort": "1000g"}, {}, "tags"),
    "retention_mode": ("REMOVE", {}, "retentionMode"),
    "networking_mode": ("VPC", {"configuration_name": "lab-vpc"}, "networkingMode"),
    "configuration_name": ("lab-vpc", {"networking_mode": "VPC"}, ("configuration", "name")),
    "scratch_storage_mode": ("LOCAL", {}, "scratchStorageMode"),
    "session_policy": (POLICY, {}, "sessionPolicy"),
    "output_uri_prefix_mode": ("NONE_WITH_OVERWRITE", {}, "outputUriPrefixMode"),
    "parameters_uri": (f"s3://{BUCKET}/parameters.json", {}, "parametersUri"),
    "requester_pays_enabled": (True, {}, "requesterPaysEnabled"),
    "engine_settings": ({"profile": "test"}, {}, "engineSettings"),
}


def test_no_argument_is_left_out() -> None:
    """The table below has every field of StartRun."""
    assert ARGUMENTS.keys() == START_RUN_ARGUMENTS.keys()


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_argument_arrives(emulator: OmicsEmulator, stepped: SteppedTime, argument: str) -> None:
    """Every argument arrives in the run, whatever way it took through the settings.

    One whose field the installed boto3 does not have is refused, with the release that has it, and nothing is sent.
    """
    emulator.set_scenario({"configurations": ["lab-vpc"]})
    omics = emulator.client()
    made = {}
    if argument == "source_run_id":
        made["<the first run>"] = omics.start_run(
            workflowId="1234567", roleArn=ROLE, outputUri=OUTPUT, requestId="first"
        )["id"]
    elif argument.startswith("cache"):
        made["<the cache>"] = omics.create_run_cache(cacheS3Location=f"s3://{BUCKET}/cache", requestId="cache")["id"]
    elif argument == "run_group_id":
        made["<the group>"] = omics.create_run_group(name="lab", requestId="group")["id"]
    value, needs, told = ARGUMENTS[argument]
    given = {name: made.get(v, v) if isinstance(v, str) else v for name, v in {**needs, argument: value}.items()}

    ended = perform(start_run(wait_for_completion=False, **given))

    field = START_RUN_ARGUMENTS[argument]
    if not is_sendable(Place.START_RUN, field):
        assert isinstance(ended.error, SettingsError)
        assert refusal(Place.START_RUN, field) in str(ended.error)
        assert emulator.calls.by_operation() == {}
        return
    run = omics.get_run(id=ended.result["run_id"])
    for key in told if isinstance(told, tuple) else (told,):
        run = run[key]
    assert (own_tags(run) if argument == "tags" else run) == given[argument]


def test_templates_are_rendered_and_text_becomes_numbers(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Templates stand anywhere in the settings; what they turn into text is read as the number or flag that it is."""
    task = start_run(
        run_name="{{ sample }}",
        priority="{{ 3 + 4 }}",
        storage_type="STATIC",
        storage_capacity="{{ gib }}",
        parameters={"sample": "{{ sample }}", "reads": ["s3://b/{{ sample }}.fq"]},
        tags={"sample": "{{ sample }}"},
        dry_run="{{ false }}",
        cancel_on_kill="{{ true }}",
        wait_for_completion=False,
    )

    ended = perform(task, sample="NA12878", gib=4800)

    run = emulator.client().get_run(id=ended.result["run_id"])
    assert (run["name"], run["priority"], run["storageCapacity"]) == ("NA12878", 7, 4800)
    assert run["parameters"] == {"sample": "NA12878", "reads": ["s3://b/NA12878.fq"]}
    assert own_tags(run["tags"]) == {"sample": "NA12878"}


@pytest.mark.parametrize(
    ("arguments", "connection", "expected"),
    [
        ({}, {}, None),
        ({}, {"scratchStorageMode": "LOCAL"}, "LOCAL"),
        ({"scratch_storage_mode": "SHARED"}, {"scratchStorageMode": "LOCAL"}, "SHARED"),
        ({"scratch_storage_mode": "LOCAL"}, {}, "LOCAL"),
    ],
)
def test_scratch_storage_mode(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    connect: Connect,
    arguments: dict[str, Any],
    connection: dict[str, Any],
    expected: str | None,
) -> None:
    """The mode comes from the argument, else from the connection; unset it stays unset."""
    connect({"default_run_setting": connection})

    ended = perform(start_run(wait_for_completion=False, **arguments))

    if expected and not is_sendable(Place.START_RUN, "scratchStorageMode"):
        where = "scratch_storage_mode" if arguments else "connection default_run_setting['scratchStorageMode']"
        assert f"{where} = set: {refusal(Place.START_RUN, 'scratchStorageMode')}" in str(ended.error)
        assert emulator.calls.by_operation() == {}
        return
    assert emulator.client().get_run(id=ended.result["run_id"]).get("scratchStorageMode") == expected


def test_connection_defaults_lie_under_arguments(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect
) -> None:
    """Team defaults fill what the task leaves out, key by key for parameters, tags and engine settings."""
    connect(
        {
            "default_run_setting": {
                "roleArn": ROLE,
                "outputUri": OUTPUT,
                "logLevel": "ALL",
                "retentionMode": "REMOVE",
                "parameters": {"genome": "GRCh38", "aligner": "star"},
                "runTags": {"team": "germline", "cost": "lab"},
                **sendable(Place.DEFAULT_RUN_SETTING, {"engineSettings": {"profile": "team"}}),
            }
        }
    )
    engine = sendable(Place.START_RUN, {"engineSettings": {"engineVersion": "25.10.1"}})
    task = OmicsStartRunOperator(
        task_id="align",
        workflow_id="1234567",
        retention_mode="RETAIN",
        parameters={"aligner": "hisat2"},
        tags={"cost": "project"},
        engine_settings=engine.get("engineSettings"),
        wait_for_completion=False,
    )

    run = emulator.client().get_run(id=perform(task).result["run_id"])

    assert (run["roleArn"], run["outputUri"], run["logLevel"], run["retentionMode"]) == (ROLE, OUTPUT, "ALL", "RETAIN")
    assert run["parameters"] == {"genome": "GRCh38", "aligner": "hisat2"}
    assert own_tags(run["tags"]) == {"team": "germline", "cost": "project"}
    both = {"profile": "team", "engineVersion": "25.10.1"}
    assert run.get("engineSettings") == (both if engine else None)


@pytest.mark.parametrize(
    ("code", "expected", "advice"),
    [
        ("AccessDeniedException", AccessDenied, "omics:StartRun, and iam:PassRole"),
        ("ServiceQuotaExceededException", QuotaExceeded, "retentionMode REMOVE"),
        ("ResourceNotFoundException", NotFound, ""),
        ("ConflictException", Conflict, ""),
    ],
)
def test_refused_start(
    emulator: OmicsEmulator, stepped: SteppedTime, code: str, expected: type[ServiceError], advice: str
) -> None:
    """A start that the service refuses raises the typed error, with advice, and the error of AWS as data."""
    emulator.faults.add(operation="StartRun", error=code)

    error = perform(start_run(botocore_config=ONE_TRY)).error

    assert isinstance(error, expected)
    assert isinstance(error, AirflowException)
    assert not isinstance(error, AirflowFailException)
    assert error.code == code
    assert advice in str(error)
    assert error.__cause__ is None  # one error ends the log
    assert (error.diagnosis or {})["aws_error"]["code"] == code


def test_lost_answer_starts_one_run(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """When the answer to StartRun is lost, the same request is sent again, and the service starts no second run."""
    emulator.faults.add(operation="StartRun", lost_response=True, times=1)

    ended = perform(start_run(wait_for_completion=False))

    assert emulator.calls["StartRun"] == 2
    assert [run["id"] for run in emulator.service.started_runs()] == [ended.result["run_id"]]


def test_progress_is_told_once_a_change(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """A wait of hours writes one line for each status, not one for each look."""
    emulator.set_scenario({"runs": [{"pending": 3600, "running": 7200, "stopping": 120}]})

    perform(start_run())

    lines = [line for line in log_lines()[:-1] if line.startswith("Run ")]  # the last one closes the log
    statuses = ("PENDING", "STARTING", "RUNNING", "STOPPING", "COMPLETED")
    assert [line.rpartition(" ")[2] for line in lines] == list(statuses)
    assert emulator.calls["GetRun"] > 300


def test_poll_interval_is_spread(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Looks come at poll_interval seconds, spread by a tenth so that waits do not stay in step."""
    perform(start_run(poll_interval=60))

    assert len(set(stepped.slept)) > 1
    assert all(54 <= seconds <= 66 for seconds in stepped.slept)


def test_default_args_reach_every_argument(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Arguments can stand in a DAG's default_args."""
    from airflow.providers.common.compat.sdk import DAG

    defaults = {
        **RUN,
        "poll_interval": 5,
        "deferrable": True,
        "patience": timedelta(minutes=5),
        "region_name": "us-west-2",
    }
    with DAG("defaults", schedule=None, default_args=defaults):
        task = OmicsStartRunOperator(task_id="align")

    ended = perform(task)

    assert ended.result["status"] == "COMPLETED"
    assert ended.trigger is not None
    assert {"poll_interval": 5, "patience": 300.0, "region_name": "us-west-2"}.items() <= ended.trigger[1].items()
    assert {run["region"] for run in emulator.service.started_runs()} == {"us-west-2"}
