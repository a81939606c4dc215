from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.api.service import OPERATIONS, HealthOmics
from airflow_provider_omics.emulator.errors import ServiceError, error_statuses
from airflow_provider_omics.emulator.model import service_model
from tests.model_support import LATER_OPERATIONS, LATER_STATUSES


@pytest.mark.parametrize(
    ("shape", "ours"),
    [
        ("RunStatus", statuses.RUN_STATUSES),
        ("BatchStatus", statuses.BATCH_STATUSES),
        ("SubmissionStatus", statuses.SUBMISSION_STATUSES),
    ],
)
def test_statuses_are_those_of_the_model(shape: str, ours: tuple[str, ...]) -> None:
    """The model's enums and ours are the same, but for what came later than the installed model."""
    later = LATER_STATUSES if shape == "BatchStatus" else set()
    assert sorted(set(ours) - later) == sorted(service_model().shape_for(shape).enum)
    assert len(set(ours)) == len(ours)


def test_operations_are_those_of_the_model() -> None:
    """Every implemented operation is one of the newest model; all of runs, batches, caches, workflows and tags are."""
    names = set(service_model().operation_names)
    assert OPERATIONS == HealthOmics.OPERATIONS
    assert OPERATIONS - names == LATER_OPERATIONS
    nouns = ("Run", "Batch", "Workflow")
    wanted = {name for name in names if any(noun in name for noun in nouns)} - {"BatchDeleteReadSet"}
    assert wanted <= OPERATIONS
    assert {"TagResource", "UntagResource", "ListTagsForResource"} <= OPERATIONS


def test_unknown_operation_is_a_programming_error(omics: Any) -> None:
    """Call with an operation that is not implemented raises KeyError."""
    with pytest.raises(KeyError):
        omics.service.call("CreateReferenceStore", {})


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ValidationException", 400),
        ("ServiceQuotaExceededException", 402),
        ("AccessDeniedException", 403),
        ("ResourceNotFoundException", 404),
        ("RequestTimeoutException", 408),
        ("ConflictException", 409),
        ("ThrottlingException", 429),
        ("InternalServerException", 500),
    ],
)
def test_errors_have_the_models_status(code: str, status: int) -> None:
    """An error tells code, message and the HTTP status of the model, and survives pickling."""
    error = pickle.loads(pickle.dumps(ServiceError(code, "why")))
    assert (error.code, error.message, error.http_status, str(error)) == (code, "why", status, f"{code}: why")


def test_errors_must_be_the_models() -> None:
    """An error that HealthOmics does not have cannot be made."""
    assert "TeapotException" not in error_statuses()
    with pytest.raises(ValueError, match="TeapotException"):
        ServiceError("TeapotException", "short and stout")


def test_service_needs_no_moto() -> None:
    """The model of the service is importable without HTTP, moto, boto3 or Airflow."""
    code = (
        "import sys, airflow_provider_omics.emulator.api.service; "
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'moto', 'boto3', 'werkzeug', 'airflow'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
