"""The error of the emulated service, and the codes that it may carry."""

from __future__ import annotations

from functools import lru_cache

from airflow_provider_omics.emulator.model import service_model


@lru_cache(maxsize=1)
def error_statuses() -> dict[str, int]:
    """Read the HTTP status of each error of HealthOmics from the botocore service model.

    :return: exception shape name -> HTTP status.
    """
    model = service_model()
    return {
        shape.name: shape.metadata["error"]["httpStatusCode"]
        for shape in model.error_shapes
        if "httpStatusCode" in shape.metadata.get("error", {})
    }


class ServiceError(Exception):
    """HealthOmics refuses a call.

    :param code: name of an exception shape of the botocore ``omics`` model, e.g. ``ConflictException``.
    :param message: the message that the caller reads, worded as the service words it.
    :raises ValueError: the model has no such exception.
    """

    def __init__(self, code: str, message: str) -> None:
        if code not in error_statuses():
            raise ValueError(f"{code!r} is not an error of HealthOmics; use one of {sorted(error_statuses())}")
        super().__init__(code, message)
        self.code = code
        self.message = message

    @property
    def http_status(self) -> int:
        """The HTTP status of this error in the model."""
        return error_statuses()[self.code]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def validation_error(message: str) -> ServiceError:
    """Return the error for a request that can never succeed as it stands."""
    return ServiceError("ValidationException", message)


def not_found(noun: str, identifier: str) -> ServiceError:
    """Return the error for a resource that does not exist, or no longer."""
    return ServiceError("ResourceNotFoundException", f"{noun} {identifier} was not found.")


def conflict(message: str) -> ServiceError:
    """Return the error for a request that the resource's status does not allow."""
    return ServiceError("ConflictException", message)


def quota_exceeded(message: str) -> ServiceError:
    """Return the error for a request that would exceed a service quota (HTTP 402)."""
    return ServiceError("ServiceQuotaExceededException", message)
