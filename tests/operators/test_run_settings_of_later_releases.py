"""Arguments of a run whose fields came with later releases of boto3: refused by an older one, and what they do."""

from __future__ import annotations

import json
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import RunFailed, SettingsError
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from tests.airflow_support import BUCKET, RUN, Ended, perform
from tests.model_support import is_sendable, refusal
from tests.operators.lineage_support import asked, emitted, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime
    from tests.operators.tries import NewTask

pytestmark = pytest.mark.usefixtures("looks_seldom")

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])

URI = f"s3://{BUCKET}/parameters.json"
CREDENTIAL = "X-Amz-Signature"


def put(emulator: OmicsEmulator, parameters: Any) -> None:
    """Put parameters where the run looks for them."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="parameters.json", Body=json.dumps(parameters))


def start_run(**arguments: Any) -> OmicsStartRunOperator:
    return OmicsStartRunOperator(**{"task_id": "align", **RUN, "parameters_uri": URI, **arguments})


def is_refused(emulator: OmicsEmulator, error: BaseException | None, field: str = "parametersUri") -> bool:
    """Tell whether the installed boto3 lacks a field; nothing was sent then, and the error says what it needs."""
    if is_sendable(Place.START_RUN, field):
        return False
    assert isinstance(error, SettingsError)
    assert refusal(Place.START_RUN, field) in str(error)
    assert emulator.calls.by_operation() == {}
    return True


def everything_told(ended: Ended, caplog: pytest.LogCaptureFixture) -> str:
    """Put together what leaves a task: result, XComs, trigger, event, error and log, down to debug level."""
    error = ended.error
    told = [ended.result, ended.xcoms, ended.trigger, ended.event, error and (str(error), repr(vars(error)))]
    # botocore tells whole answers at debug level, to whoever turns its own log on.
    lines = [
        (record.getMessage(), record.exc_text) for record in caplog.records if not record.name.startswith("botocore")
    ]
    return f"{told!r} {lines!r} {pickle.dumps(error)!r}"


@deferrable
@pytest.mark.parametrize(
    ("rule", "parameters", "status"),
    [
        pytest.param({}, {"input": "s3://reads/S1"}, "COMPLETED", id="completed"),
        pytest.param({"outcome": "FAILED"}, {"input": "s3://reads/S1"}, "FAILED", id="failed"),
        pytest.param({}, ["no object"], "FAILED", id="bad object"),
    ],
)
def test_the_credential_of_get_run_goes_nowhere(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    caplog: pytest.LogCaptureFixture,
    *,
    deferrable: bool,
    rule: dict[str, Any],
    parameters: Any,
    status: str,
) -> None:
    """A run is waited for and explained without the presigned URL of its parameters, which GetRun answers."""
    caplog.set_level(logging.DEBUG)
    emulator.set_scenario({"runs": [rule]})
    put(emulator, parameters)

    ended = perform(start_run(deferrable=deferrable))

    if is_refused(emulator, ended.error):
        return
    (run,) = emulator.service.started_runs()
    assert run["status"] == status
    answered = emulator.client().get_run(id=run["id"])["parametersUri"]
    assert (CREDENTIAL in answered) is isinstance(parameters, dict)
    assert CREDENTIAL not in everything_told(ended, caplog)
    if status == "FAILED":
        assert isinstance(ended.error, RunFailed)
        reason = "RUN_TASK_FAILED" if rule else "INVALID_RUN_PARAMETERS"
        assert ended.error.failure_reason == reason


def test_the_hook_keeps_the_credential_to_itself(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect
) -> None:
    """What users of the hook get has no parametersUri, and not the parameters of the object either."""
    connect()
    put(emulator, {"input": "s3://reads/S1"})
    ended = perform(start_run())
    if is_refused(emulator, ended.error):
        return

    run = OmicsHook().get_run(ended.result["run_id"])

    assert run["status"] == "COMPLETED"
    assert {"parametersUri", "parameters"}.isdisjoint(run)


def test_lineage_has_the_object_and_no_credential(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The input that is known is the object, unless parameters are masked; what GetRun answers for it is not told."""
    put(emulator, {"input": "s3://reads/S1"})

    lineage = asked(start_run())
    masked = asked(start_run(mask_parameters=True))

    assert names(lineage.inputs) == [(f"s3://{BUCKET}", "parameters.json")]
    assert names(masked.inputs) == []
    assert CREDENTIAL not in repr((names(lineage.outputs), emitted(lineage), emitted(masked)))


@pytest.mark.parametrize("check", ["check_workflow", "check_inputs", "dry_run"])
def test_checks_before_the_start(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], check: str
) -> None:
    """The template is not held against parameters that only HealthOmics reads; the object itself is an input."""
    ended = perform(start_run(workflow_id="4567890", **{check: True}))

    if is_refused(emulator, ended.error):
        return
    calls = emulator.calls.by_operation()
    if check == "check_workflow":  # whose template requires `input`
        assert isinstance(ended.error, RunFailed)
        assert calls["GetWorkflow"] == calls["StartRun"] == 1
    elif check == "check_inputs":
        assert isinstance(ended.error, SettingsError)
        assert [(problem.argument, problem.value) for problem in ended.error.problems] == [("parameters_uri", URI)]
        assert "StartRun" not in calls
    else:
        assert ended.result["status"] == "DRY_RUN"
        assert any(URI in line for line in log_lines())
        assert calls == {}


def test_a_presigned_url_in_the_place_of_the_object_is_not_shown(
    emulator: OmicsEmulator, stepped: SteppedTime, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever copies what GetRun answered gets an error without it."""
    caplog.set_level(logging.DEBUG)

    ended = perform(start_run(parameters_uri=f"https://b.s3.amazonaws.com/k?{CREDENTIAL}=abc"))

    assert isinstance(ended.error, SettingsError)
    assert "parameters_uri = text of 48 characters: text of 1 to 1093 characters, an object" in str(ended.error)
    assert CREDENTIAL not in everything_told(ended, caplog)
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize("mode", ["NONE_WITH_OVERWRITE", "SERVICE_DEFINED"])
@pytest.mark.parametrize("again", ["retry", "clear", "repeat"])
def test_a_rerun_that_overwrites_is_warned_of(
    emulator: OmicsEmulator, new_task: NewTask, log_lines: Callable[..., list[str]], mode: str, again: str
) -> None:
    """The second start of a task, or the repetition of a run, says that it writes over the outputs of the first."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "failure_reason": "SERVICE_ERROR"}]})
    task = new_task()
    first = task.try_(output_uri_prefix_mode=mode)
    if is_refused(emulator, first.error, "outputUriPrefixMode"):
        return
    assert [line for line in log_lines(logging.WARNING) if "overwrites" in line] == []

    if again == "clear":
        task.clear()
    elif again == "repeat":
        (run,) = task.started()
        task = new_task()
        task.instance.task_id = "another_task"
        task.arguments = {"workflow_id": None, "source_run_id": run["id"]}
    task.try_(output_uri_prefix_mode=mode)

    told = [line for line in log_lines(logging.WARNING) if "overwrites" in line]
    assert len(task.started()) == 2
    assert len(told) == (mode == "NONE_WITH_OVERWRITE")
    assert all(RUN["output_uri"] in line for line in told)
