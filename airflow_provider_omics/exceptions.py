"""The package's errors as Airflow's exceptions.

The hook raises the classes of :mod:`airflow_provider_omics.core.errors`; a task's error is also an
``AirflowException``, or an ``AirflowFailException`` if another try cannot help or must not happen. ``isinstance(error,
RunFailed)`` and ``error.run_id`` work in an ``on_failure_callback`` as elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_omics.core.errors import (
    AccessDenied,
    AttemptError,
    BatchCancelled,
    BatchDeleted,
    BatchError,
    BatchFailed,
    BatchTimedOut,
    BatchVanished,
    BatchVerdictError,
    Conflict,
    CredentialsExpired,
    EventError,
    InvalidRequest,
    LostContact,
    NotFound,
    NotOwner,
    OmicsError,
    Problem,
    QuotaExceeded,
    RunCancelled,
    RunDeleted,
    RunError,
    RunFailed,
    RunIncomplete,
    RunTimedOut,
    RunVanished,
    ServiceError,
    SettingsError,
    StartTimedOut,
    Throttled,
    Unavailable,
    WorkflowFailed,
)

__all__ = [
    "FINAL",
    "AccessDenied",
    "AttemptError",
    "BatchCancelled",
    "BatchDeleted",
    "BatchError",
    "BatchFailed",
    "BatchTimedOut",
    "BatchVanished",
    "BatchVerdictError",
    "Conflict",
    "CredentialsExpired",
    "EventError",
    "InvalidRequest",
    "LostContact",
    "NotFound",
    "NotOwner",
    "OmicsError",
    "Problem",
    "QuotaExceeded",
    "RunCancelled",
    "RunDeleted",
    "RunError",
    "RunFailed",
    "RunIncomplete",
    "RunTimedOut",
    "RunVanished",
    "ServiceError",
    "SettingsError",
    "StartTimedOut",
    "Throttled",
    "Unavailable",
    "WorkflowFailed",
    "airflow_error",
]

# Another try of these would fail the same way (bad input), or could start a second run beside one that may have
# completed (its record is gone, so nobody can tell).
FINAL: tuple[type[OmicsError], ...] = (
    SettingsError,
    InvalidRequest,
    RunVanished,
    RunDeleted,
    BatchVanished,
    BatchDeleted,
    AttemptError,
    WorkflowFailed,
)


def airflow_error(error: OmicsError, *, final: bool | None = None, policy: object = None) -> AirflowException:
    """Turn an error into an Airflow exception: the same class name and attributes, a diagnosis, and a text for the log.

    :param error: the error.
    :param final: whether Airflow must spend no retry on it; default: as :data:`FINAL` says.
    :param policy: the task's ``retry_policy``. Airflow never asks it about an AirflowFailException, so with a policy a
        final error is not one. None: the task has none.
    :return: an exception that is both an instance of the error's class and of AirflowException or AirflowFailException;
        raise it ``from None``: its ``diagnosis`` has AWS's error, and a log prints every error of a chain.
    """
    # A task that ends well needs none.
    from airflow_provider_omics.core.failure.endings import diagnosis_of_error, text_of_error

    # An error that went through here before is taken by its own class: only that one can be pickled by name.
    own = next(cls for cls in type(error).__mro__ if cls.__module__ != __name__)
    final = isinstance(error, (*FINAL, AirflowFailException)) if final is None else final
    diagnosis = diagnosis_of_error(error, final=final)
    state = {**error.__dict__, "diagnosis": diagnosis, "is_final": final}
    return _rebuild(own, final and policy is None, (text_of_error(error, diagnosis),), state)


def task_error(error: OmicsError, log: Any, *, final: bool | None = None, policy: object = None) -> AirflowException:
    """Make the one error that ends a task, the last in its log; details that its text omits go to the log.

    :param error: the error.
    :param log: the task's logger.
    :param final: whether Airflow must spend no retry on it; default: as :data:`FINAL` says.
    :param policy: the task's ``retry_policy``; None: the task has none.
    :return: as :func:`airflow_error`; raise it ``from None``.
    """
    from airflow_provider_omics.core.failure.endings import is_cut  # as above

    raised = airflow_error(error, final=final, policy=policy)
    behind = error.__cause__
    while isinstance(behind, OmicsError):
        behind = behind.__cause__
    if isinstance(error, SettingsError) and behind is not None:
        log.error("Behind it:", exc_info=behind)  # such as an error of the user's own function
    if error.diagnosis is None and is_cut(error, str(raised)):
        log.error("%s", error)
    return raised


_classes: dict[tuple[type[OmicsError], bool], type[AirflowException]] = {}


def _airflow_class(cls: type[OmicsError], final: bool) -> type[AirflowException]:
    if (cls, final) in _classes:
        return _classes[cls, final]
    base = AirflowFailException if final else AirflowException

    def reduce(self: OmicsError) -> tuple[Callable[..., AirflowException], tuple[Any, ...]]:
        return _rebuild, (cls, final, self.args, dict(self.__dict__))

    body = {"__doc__": cls.__doc__, "__module__": __name__, "__reduce__": reduce}
    _classes[cls, final] = type(cls.__name__, (cls, base), body)
    return _classes[cls, final]


def _rebuild(cls: type[OmicsError], final: bool, args: tuple[Any, ...], state: dict[str, Any]) -> AirflowException:
    airflow_class = _airflow_class(cls, final)
    error = airflow_class.__new__(airflow_class, *args)
    error.__dict__.update(state)
    return error
