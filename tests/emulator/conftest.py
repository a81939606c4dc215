"""What the emulator's own tests share."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock, in_process_client
from airflow_provider_omics.emulator.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "genomics-outputs"


@pytest.fixture(scope="session")
def wire() -> Wire:
    """Built once: it holds no state but what it has compiled from the model."""
    return Wire()


@pytest.fixture
def emulator() -> Iterator[OmicsEmulator]:
    """A running emulator with a stepped clock and one bucket."""
    with OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET]) as emulator:
        emulator.reset()
        yield emulator


@pytest.fixture(params=["http", "in process"])
def client_of(emulator: OmicsEmulator, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Makes boto3 clients of the emulator: every test that asks for it runs over HTTP and in process."""
    if request.param == "http":
        return emulator.client
    return lambda service="omics", **settings: in_process_client(emulator, service, **settings)


@pytest.fixture
def start_run_parameters() -> Callable[..., dict[str, Any]]:
    """Makes the least that StartRun takes; every call names a run of its own."""

    def make(**more: Any) -> dict[str, Any]:
        return {
            "workflowId": "1234567",
            "roleArn": "arn:aws:iam::123456789012:role/omics",
            "outputUri": f"s3://{BUCKET}/runs",
            "requestId": str(uuid.uuid4()),
            **more,
        }

    return make
