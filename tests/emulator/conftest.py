"""What the emulator's own tests share."""

from __future__ import annotations

import itertools
import json
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.model import ListShape, MapShape, StructureShape

from airflow_provider_omics.emulator import OmicsEmulator, in_process_client
from airflow_provider_omics.emulator.api.service import HealthOmics
from airflow_provider_omics.emulator.errors import ServiceError
from airflow_provider_omics.emulator.http.wire import Wire
from airflow_provider_omics.emulator.life.surroundings import MemorySurroundings
from airflow_provider_omics.emulator.model import YOUNGER_MEMBERS, YOUNGER_VALUES, service_model
from airflow_provider_omics.emulator.request_check import RequestCheck
from airflow_provider_omics.emulator.script.clock import SteppedClock
from airflow_provider_omics.emulator.script.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from botocore.model import Shape

BUCKET = "genomics-outputs"
ROLE = "arn:aws:iam::123456789012:role/omics"
ACCOUNT = "123456789012"


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


def fits(value: Any, shape: Shape, path: str) -> None:
    """Fail unless an answer is what the model says."""
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            json.dumps(value, allow_nan=False)
            return
        assert set(value) <= {*shape.members, *YOUNGER_MEMBERS.get(shape.name, ())}, path
        assert set(shape.required_members) <= set(value), path
        for name, member in shape.members.items():
            if name in value:
                fits(value[name], member, f"{path}.{name}")
    elif isinstance(shape, ListShape):
        for number, member in enumerate(value):
            fits(member, shape.member, f"{path}[{number}]")
    elif isinstance(shape, MapShape):
        for name, member in value.items():
            fits(member, shape.value, f"{path}.{name}")
    elif shape.type_name == "timestamp":
        assert isinstance(value, datetime), path
        assert value.utcoffset() == timedelta(0), path
    else:
        kinds: dict[str, type] = {"string": str, "integer": int, "boolean": bool}
        assert type(value) is kinds[shape.type_name], path
        if enum := shape.metadata.get("enum"):
            assert value in {*enum, *YOUNGER_VALUES.get(shape.name, ())}, path
        # The service's digests, sha256: before 64 digits, are longer than its model says (AWS CLI, examples of GetRun).
        if shape.type_name == "string" and shape.name != "WorkflowDigest":
            assert shape.metadata.get("min", 0) <= len(str(value)) <= shape.metadata.get("max", 10_000), path


class Omics:
    """The service, its clock and surroundings, and short ways to use them.

    :param scenario: mapping of a scenario, without ``workflows`` the default ones.
    :param seed: of the uuids.
    """

    _checks: dict[str, RequestCheck] = {}  # noqa: RUF012  # compiled once for all tests
    _numbers = itertools.count()

    def __init__(self, scenario: dict[str, Any] | None = None, seed: int = 0) -> None:
        self.clock = SteppedClock()
        self.surroundings = MemorySurroundings()
        self.service = HealthOmics(
            clock=self.clock, scenario=Scenario.from_mapping(scenario or {}), surroundings=self.surroundings, seed=seed
        )

    def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        model = service_model().operation_model(operation)
        if operation not in self._checks:
            self._checks[operation] = RequestCheck(model.input_shape)
        answer = self.service.call(operation, self._checks[operation](parameters))
        if model.output_shape is not None:
            fits(answer, model.output_shape, operation)
        return answer

    def refuses(self, operation: str, **parameters: Any) -> str:
        """Call, and tell the code of the error; "" when there is none."""
        try:
            self(operation, **parameters)
        except ServiceError as error:
            code = error.code
        else:
            return ""
        assert code in [shape.name for shape in service_model().operation_model(operation).error_shapes], operation
        return code

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def request_id(self) -> str:
        return f"request-{next(self._numbers)}"

    def start_run(self, **more: Any) -> dict[str, Any]:
        """StartRun with the least that it takes, and more."""
        settings: dict[str, Any] = {
            "workflowId": "1234567",
            "roleArn": ROLE,
            "outputUri": "s3://results/runs",
            "requestId": self.request_id(),
        }
        return self("StartRun", **{**settings, **more})

    def start_batch(
        self, runs: int | list[dict[str, Any]] | str = 3, default: dict[str, Any] | None = None, **more: Any
    ) -> str:
        """StartRunBatch with so many runs, these inline settings, or this settings file; returns the id."""
        if isinstance(runs, int):
            runs = [{"runSettingId": f"S{number}"} for number in range(runs)]
        source = {"s3UriSettings" if isinstance(runs, str) else "inlineSettings": runs}
        settings = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": "s3://results/runs", **(default or {})}
        settings = {key: value for key, value in settings.items() if value is not None}
        request = {"requestId": self.request_id(), "defaultRunSetting": settings, "batchRunSettings": source, **more}
        batch_id: str = self("StartRunBatch", **request)["id"]
        return batch_id

    def run(self, run_id: str) -> dict[str, Any]:
        return self("GetRun", id=run_id)

    def batch(self, batch_id: str) -> dict[str, Any]:
        return self("GetBatch", batchId=batch_id)

    def entries(self, batch_id: str, **filters: Any) -> list[dict[str, Any]]:
        """All that ListRunsInBatch tells, over its pages."""
        return self.pages("ListRunsInBatch", "runs", batchId=batch_id, **filters)

    def pages(self, operation: str, key: str = "items", **parameters: Any) -> list[dict[str, Any]]:
        """All items of a list, over its pages."""
        items: list[dict[str, Any]] = []
        while True:
            answer = self(operation, **parameters)
            items += answer[key]
            if "nextToken" not in answer:
                return items
            assert answer[key], "an empty page with a token"
            parameters["startingToken"] = answer["nextToken"]

    def put_settings(self, settings: Any, key: str = "settings.json") -> str:
        """Write a settings file, as JSON unless it is bytes; returns its URI."""
        body = settings if isinstance(settings, bytes) else json.dumps(settings).encode()
        self.surroundings.put_object(ACCOUNT, "us-east-1", "staging", key, body)
        return f"s3://staging/{key}"

    def advance_until(self, status: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """Step second by second until a GetRun or GetBatch tells a status."""
        for _ in range(10_000):
            answer = self(operation, **parameters)
            if answer["status"] == status:
                return answer
            self.advance(1)
        raise AssertionError(f"never {status}")


@pytest.fixture(scope="session")
def make_omics() -> Callable[..., Omics]:
    """Makes a service with a scenario."""
    return Omics


@pytest.fixture
def omics() -> Omics:
    """A service where everything succeeds."""
    return Omics()
