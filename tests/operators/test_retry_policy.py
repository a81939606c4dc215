"""What a task's retry policy is asked, and what ours answers; where Airflow has none, the task behaves as ever."""

from __future__ import annotations

import pickle
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.core.errors import OmicsError, RunFailed, SettingsError
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.retry_policy import HAS_POLICIES, OmicsRetryPolicy
from airflow_provider_omics.sensors.run import OmicsRunSensor
from tests.airflow_support import RUN, perform

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

needs_policies = pytest.mark.only_where(HAS_POLICIES, "Airflow has retry policies from 3.3 on")

PERMANENT, SIZING, TRANSIENT = "INVALID_RUN_PARAMETERS", "OUT_OF_MEMORY_ERROR", "SERVICE_ERROR"


def failed(emulator: OmicsEmulator, reason: str, **arguments: Any) -> Any:
    """Let a run fail, and give the error of its task."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "failure_reason": reason, "tasks": []}]})
    return perform(OmicsStartRunOperator(task_id="align", **RUN, **arguments)).error


@pytest.mark.only_where(not HAS_POLICIES, "Airflow has retry policies from 3.3 on")
def test_older_airflow_says_what_is_missing() -> None:
    """The module can be imported everywhere; a policy cannot be made."""
    with pytest.raises(RuntimeError, match=r"needs Airflow 3\.3"):
        OmicsRetryPolicy()


@pytest.mark.parametrize("reason", [PERMANENT, SIZING])
def test_without_a_policy_a_final_error_ends_the_task(
    emulator: OmicsEmulator, stepped: SteppedTime, reason: str
) -> None:
    """As ever, on each version: Airflow spends no try, and the error says that it is final."""
    error = failed(emulator, reason)

    assert error.is_final is True
    assert isinstance(error, AirflowFailException)


@needs_policies
@pytest.mark.parametrize(
    ("reason", "retry_permanent", "is_final"),
    [(PERMANENT, False, True), (SIZING, False, True), (TRANSIENT, False, False), (PERMANENT, True, False)],
)
def test_with_a_policy_the_policy_is_asked(
    emulator: OmicsEmulator, stepped: SteppedTime, reason: str, *, retry_permanent: bool, is_final: bool
) -> None:
    """No AirflowFailException, about which Airflow asks no policy; ours fails what the classes call final."""
    policy: Any = OmicsRetryPolicy()

    error = failed(emulator, reason, retry_policy=policy, retry_permanent_failures=retry_permanent)

    assert isinstance(error, RunFailed)
    assert not isinstance(error, AirflowFailException)
    decision = policy.evaluate(error, 1, 3)
    assert decision.action.value == ("fail" if is_final else "default")
    assert policy.evaluate(pickle.loads(pickle.dumps(error)), 1, 3) == decision


@needs_policies
def test_log_says_that_the_policy_decides(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """The log does not promise what Airflow is going to do."""
    failed(emulator, PERMANENT, retry_policy=OmicsRetryPolicy())

    assert any("retry: as the task's retry_policy decides" in line for line in log_lines())


@needs_policies
def test_bad_settings_and_sensors_ask_it_too(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Errors before the start, and those of a sensor."""
    policy: Any = OmicsRetryPolicy()
    emulator.set_scenario({})
    settings = perform(OmicsStartRunOperator(task_id="align", **{**RUN, "role_arn": "no"}, retry_policy=policy)).error
    gone = perform(OmicsRunSensor(task_id="wait", run_id="9999999", retry_policy=policy)).error

    for error in (settings, gone):
        assert isinstance(error, OmicsError)
        assert not isinstance(error, AirflowFailException)
        assert policy.evaluate(error, 1, 3).action.value == "fail"


@needs_policies
def test_another_policy_decides_about_the_rest() -> None:
    """Ours alone decides what is final; the other one is asked about anything else; then the delays count."""
    from airflow.sdk.definitions.retry_policy import (  # noqa: TID251  # from 3.3 on
        ExceptionRetryPolicy,
        RetryAction,
        RetryDecision,
        RetryRule,
    )

    other = ExceptionRetryPolicy([RetryRule(ConnectionError, RetryAction.FAIL, reason="no")])
    policy: Any = OmicsRetryPolicy(other, delays={"transient": timedelta(minutes=30)})
    transient: Any = airflow_error(RunFailed("failed", run_id="1"), final=False)
    transient.diagnosis = {"failure_class": "transient"}

    assert policy.evaluate(ConnectionError(), 1, 3).action is RetryAction.FAIL
    assert policy.evaluate(SettingsError([]), 1, 3).action is RetryAction.FAIL
    assert policy.evaluate(transient, 1, 3).retry_delay == timedelta(minutes=30)
    assert policy.evaluate(KeyError(), 1, 3) == RetryDecision.default()
    assert policy.serialize()["otherwise"]["__type"] == "ExceptionRetryPolicy"


@needs_policies
@pytest.mark.only_where(find_spec("airflow.providers.common.compat._retry_policy"), "newer releases of it have chains")
def test_it_stands_in_a_chain() -> None:
    """Airflow's ChainRetryPolicy (3.4's, which common-compat brings to 3.3) takes the first decision."""
    from airflow.providers.common.compat._retry_policy import ChainRetryPolicy

    chain = ChainRetryPolicy([OmicsRetryPolicy()])

    decision = chain.evaluate(SettingsError([]), 1, 3)

    assert decision.action.value == "fail"
    assert (decision.reason or "").startswith("OmicsRetryPolicy: SettingsError")


@needs_policies
def test_unknown_class_of_failure() -> None:
    """A typing error in a class is told when the DAG is parsed."""
    with pytest.raises(ValueError, match=r"transiet.*permanent, sizing, transient, unclear"):
        OmicsRetryPolicy(delays={"transiet": timedelta(minutes=1)})


@needs_policies
def test_airflow_asks_it(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Airflow's own function that asks a policy takes ours."""
    from airflow.sdk.execution_time import task_runner  # noqa: TID251  # from 3.3 on

    policy = OmicsRetryPolicy()
    error = failed(emulator, SIZING, retry_policy=policy)
    log: Any = type("Log", (), {"info": lambda *_, **__: None})()
    instance: Any = type(
        "Instance",
        (),
        {"task": type("Task", (), {"retry_policy": policy}), "try_number": 1, "_ti_context_from_server": None},
    )

    decision = task_runner._evaluate_retry_policy(instance, error, log)

    assert decision is not None
    assert decision.action.value == "fail"
    assert "sizing failure" in (decision.reason or "")
