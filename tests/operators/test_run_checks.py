from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import NotFound, SettingsError
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from tests.airflow_support import RUN, perform

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime


def start_run(**arguments: Any) -> OmicsStartRunOperator:
    return OmicsStartRunOperator(**{"task_id": "align", **RUN, **arguments})


@pytest.mark.parametrize(
    ("omics", "arguments", "argument"),
    [
        ({"require_settings": ["runGroupId"]}, {}, "run_group_id"),
        ({"default_run_setings": {}}, {}, "default_run_setings"),
        ({"require_settings": "runGroupId"}, {}, "require_settings"),
        ({"default_run_setting": {"logLevel": "LOUD"}}, {}, "connection default_run_setting['logLevel']"),
        ({}, {"role_arn": None}, "role_arn"),
        ({}, {"output_uri": "https://elsewhere"}, "output_uri"),
        ({}, {"cancel_on_kill": "perhaps"}, "cancel_on_kill"),
        ({}, {"dry_run": "perhaps"}, "dry_run"),
    ],
)
def test_bad_settings_start_nothing(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    connect: Connect,
    log_lines: Callable[..., list[str]],
    omics: dict[str, Any],
    arguments: dict[str, Any],
    argument: str,
) -> None:
    """Settings that cannot work, the task's or the connection's, are refused before any call, and never tried again."""
    connect(omics)

    error = perform(start_run(**arguments)).error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowFailException)
    assert argument in str(error)
    assert emulator.calls.by_operation() == {}
    assert log_lines()[-1] == "Nothing started, 0:00:00 after the try began"


@pytest.mark.parametrize("dry_run", [True, "{{ 'yes' }}"])
def test_dry_run_starts_nothing(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], dry_run: Any
) -> None:
    """A dry run checks and shows parameter names, never values, makes no call, and returns a dict of the usual keys."""
    usual = perform(start_run(wait_for_completion=False)).result
    emulator.calls.clear()

    ended = perform(start_run(dry_run=dry_run, parameters={"patient": "P-0042"}))

    assert ended.error is None
    assert ended.result == {**dict.fromkeys(usual), "status": "DRY_RUN"}
    assert emulator.calls.by_operation() == {}
    log = "\n".join(log_lines())
    assert "patient" in log
    assert "P-0042" not in log


def test_dry_run_names_origins(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect, log_lines: Callable[..., list[str]]
) -> None:
    """A dry run shows what matters, set or not, and where each setting comes from; of what is merged, each key."""
    connect(
        {"default_run_setting": {"runGroupId": "7654321", "logLevel": "ALL", "runTags": {"team": "t", "tier": "1"}}}
    )

    perform(start_run(dry_run=True, log_level="ERROR", tags={"tier": "2"}, run_name="x", parameters={"reads": "r"}))

    lines = log_lines()
    assert lines[lines.index("Dry run: nothing is started. 1 run(s) would be:") + 1 :] == [
        "  workflowId = 1234567 (from argument)",
        "  workflowVersionName = not set",
        f"  roleArn = {RUN['role_arn']} (from argument)",
        f"  outputUri = {RUN['output_uri']} (from argument)",
        "  storageType = not set",
        "  storageCapacity = not set",
        "  scratchStorageMode = not set",
        "  networkingMode = not set",
        "  runGroupId = 7654321 (from connection 'aws_default')",
        "  logLevel = ERROR (from argument)",
        "  tags = 2 keys: team, tier (from connection 'aws_default': team; argument: tier)",
        "  name = x (from argument)",
        "  parameters = 1 keys: reads (from argument)",
    ]


def test_not_set_names_the_places(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A setting that is missing is told with the four places where it may be set, the connection by its id."""
    error = perform(start_run(role_arn=None)).error

    assert isinstance(error, SettingsError)
    (problem,) = error.problems
    assert str(problem) == (
        "role_arn = not set: required: give it here, in default_args of the DAG or of a task group, or in "
        "default_run_setting['roleArn'] of connection 'aws_default' (in its extra: service_config, omics)"
    )


def test_not_set_where_there_is_no_connection(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that Airflow does not find is named as such where a setting is missing."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    error = perform(start_run(aws_conn_id="team_b", role_arn=None)).error

    assert "connection 'team_b', which Airflow does not find" in str(error)


@pytest.mark.parametrize("check_workflow", [True, False])
def test_unknown_workflow(emulator: OmicsEmulator, stepped: SteppedTime, check_workflow: bool) -> None:
    """A workflow that is not found is told with what hides it: Region, account, Ready2Run, another owner."""
    error = perform(start_run(workflow_id="9500764", check_workflow=check_workflow)).error

    assert isinstance(error, NotFound)
    for word in ("Region", "account", 'workflow_type="READY2RUN"', "workflow_owner_id"):
        assert word in str(error)


def test_dry_run_refuses_bad_settings(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A dry run finds what the real one would not start with."""
    assert isinstance(perform(start_run(dry_run=True, role_arn=None)).error, SettingsError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workflow_id": "4567890", "parameters": {"input": "s", "aligne": "x"}}, "aligner"),
        ({"workflow_id": "4567890", "parameters": {"genome": "GRCh38"}}, "input"),
        ({"workflow_id": "7777777"}, "INACTIVE"),
        (
            {"workflow_id": "4567890", "workflow_version_name": "3.18.0", "parameters": {"genome": "GRCh38"}},
            "input",
        ),
    ],
    ids=["unknown name", "missing name", "inactive", "version"],
)
def test_check_workflow_refuses(
    emulator: OmicsEmulator, stepped: SteppedTime, arguments: dict[str, Any], message: str
) -> None:
    """check_workflow refuses parameters that do not fit the template, and a workflow that is not ACTIVE."""
    declared = {
        "id": "4567890",
        "name": "rnaseq",
        "parameter_template": {"input": {}, "genome": {"optional": True}, "aligner": {"optional": True}},
        "versions": ["3.18.0"],
    }
    emulator.set_scenario({"workflows": [declared, {"id": "7777777", "name": "old", "status": "INACTIVE"}]})

    error = perform(start_run(check_workflow=True, **arguments)).error

    assert isinstance(error, SettingsError)
    assert message in str(error)
    assert emulator.calls["StartRun"] == 0


@pytest.mark.parametrize(
    ("arguments", "operation"),
    [
        ({"workflow_id": "4567890", "parameters": {"input": "s3://b/in"}}, "GetWorkflow"),
        (
            {"workflow_id": "4567890", "workflow_version_name": "3.14.0", "parameters": {"input": "s3://b/in"}},
            "GetWorkflowVersion",
        ),
        ({"workflow_id": "9500764", "workflow_type": "READY2RUN"}, "GetWorkflow"),
        ({"workflow_id": "5678901", "workflow_owner_id": "111122223333"}, "GetWorkflow"),
    ],
)
def test_check_workflow_lets_pass(
    emulator: OmicsEmulator, stepped: SteppedTime, arguments: dict[str, Any], operation: str
) -> None:
    """check_workflow asks once, with type and owner, and lets pass what fits."""
    ended = perform(start_run(check_workflow=True, wait_for_completion=False, **arguments))

    assert ended.error is None
    assert emulator.calls.by_code() == {operation: {"OK": 1}, "StartRun": {"OK": 1}}


def test_check_workflow_needs_no_permission(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """Who may not look at workflows gets one warning, and the run is started."""
    emulator.faults.add(operation="GetWorkflow", error="AccessDeniedException")

    ended = perform(start_run(check_workflow=True, wait_for_completion=False))

    assert ended.result["status"] == "PENDING"
    (warning,) = log_lines(logging.WARNING)
    assert "check_workflow" in warning
    assert "omics:GetWorkflow" in warning


def test_check_workflow_of_a_repeated_run(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A repeated run has its workflow from the source run: there is nothing to look up."""
    first = perform(start_run(wait_for_completion=False)).result
    task = start_run(workflow_id=None, source_run_id=first["run_id"], check_workflow=True, wait_for_completion=False)

    assert perform(task).error is None
    assert emulator.calls.by_operation() == {"StartRun": 2}
