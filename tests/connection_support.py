"""What the tests share of a connection that Airflow does not tell, and of the machine's own identity in its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock

CALLS_PER_SECOND = 1000
"""Of a connection at whose own pace, 5 a second, reading results would take most of a test's time."""


def fails(monkeypatch: pytest.MonkeyPatch, error: Callable[[], Exception], times: int = 1) -> list[int]:
    """Have Airflow not tell the connection a few times; gives how often it still will not."""
    get_connection = AwsGenericHook.get_connection
    left = [times]

    def failing(_: Any, *arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error()
        return get_connection(*arguments)

    monkeypatch.setattr(AwsGenericHook, "get_connection", classmethod(failing))
    return left


def misses(monkeypatch: pytest.MonkeyPatch, times: int = 10_000) -> list[int]:
    """Have Airflow not find the connection a few times, or ever; gives how often it still will not."""
    return fails(monkeypatch, lambda: AirflowNotFoundException("aws_default"), times)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[OmicsEmulator]:
    """Another account: the machine's own identity, which is used when there is no connection."""
    with OmicsEmulator(clock=SteppedClock()) as other:
        be_machine(monkeypatch, other)
        yield other


def be_machine(monkeypatch: pytest.MonkeyPatch, emulator: OmicsEmulator) -> None:
    """Have the machine's own identity see an emulator."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "machine")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.url)


@pytest.fixture
def omics_connection_scaled(omics_connection_scaled: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The package's connection of this name, at a pace at which no DAG that reads results waits between two calls."""
    omics_connection_scaled["extra"]["service_config"]["omics"]["calls_per_second"] = CALLS_PER_SECOND
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(omics_connection_scaled))
    return omics_connection_scaled
