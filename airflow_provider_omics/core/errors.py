"""The errors of this package, free of Airflow.

::

    OmicsError
    ├── SettingsError        bad input; all problems at once, raised before anything is sent
    ├── ServiceError         HealthOmics (or the way to it) refused or failed one call
    │   ├── AccessDenied       403: names the missing action
    │   ├── NotFound           404
    │   ├── Conflict           409: not possible in the present state, or another request under the same id
    │   ├── QuotaExceeded      402
    │   ├── InvalidRequest     400
    │   └── Unavailable        may pass by itself: throttling, 5xx, time-outs, no connection
    │       ├── Throttled        429
    │       └── CredentialsExpired   renewed credentials help
    ├── RunError             a run did not end well
    │   ├── RunFailed  RunCancelled  RunDeleted
    │   ├── RunIncomplete      it completed without an output that was expected
    │   ├── RunVanished        its record is gone, and its end cannot be found out
    │   └── RunTimedOut        execution_timeout or run_timeout
    ├── BatchError           a batch did not end well
    │   ├── BatchFailed  BatchCancelled  BatchDeleted
    │   ├── BatchVanished
    │   ├── BatchVerdictError  ended, but more runs than tolerated did not complete
    │   └── BatchTimedOut
    ├── WorkflowFailed       a released workflow or version is not ACTIVE; AWS's message says why
    ├── LostContact          the wait was given up; the run or batch may still be going
    ├── AttemptError         an earlier try left something that cannot be resolved; nothing was started
    ├── StartTimedOut        execution_timeout passed before anything was known to have started
    ├── NotOwner             a later try owns the attempt; this process is an orphan and touches nothing
    └── EventError           a trigger event that nobody can read

Each carries its facts as attributes and survives pickling. :mod:`airflow_provider_omics.exceptions` turns them
into Airflow's own exceptions at the operators' edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

from airflow_provider_omics.core.text import visible

CHECK_ADVICE = (
    "`python -m airflow_provider_omics check`, or OmicsCheckOperator in a worker, shows what the connection leads to."
)
"""Ends the advice of errors about credentials and addresses; the look itself leaves it out."""


NOT_SET = "not set"
"""How a message shows a setting or an argument that nobody gave."""


class GivenValue(str):
    """A user's value, as a message shows it: it can identify a patient, so masking hides it."""

    __slots__ = ()


def show_value(value: Any) -> str:
    """Shorten a value for an error message.

    :param value: anything; of a container only type and size are shown.
    :return: at most about 80 characters; a GivenValue, which masking hides, if it shows more than a type and a size.
    """
    if value is None:
        return NOT_SET
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, str):
        return GivenValue(repr(value) if len(value) <= 70 else f"{value[:60]!r}... ({len(value)} characters)")
    if isinstance(value, (bool, int, float)):
        return GivenValue(f"{value!r:.70}")
    return type(value).__name__


class GivenWords(GivenValue):
    """A sentence with a user's value in it.

    :param text: the sentence.
    :param without: the same without the value, which masking shows.
    """

    without: str

    def __new__(cls, text: str, without: str) -> Self:
        """Keep both."""
        words = super().__new__(cls, text)
        words.without = without
        return words

    def __reduce__(self) -> tuple[Callable[..., GivenWords], tuple[str, str]]:
        """Pickle both."""
        return GivenWords, (str(self), self.without)


@dataclass(frozen=True)
class Problem:
    """One fault of a user's input.

    :param argument: where it stands, as the user typed it: ``"output_uri"``, ``"run_settings[3]['name']"``.
    :param value: the value, shortened; for workflow parameters its type, as values can identify a patient.
    :param allowed: the allowed values, and the remedy.
    """

    argument: str
    value: str
    allowed: str

    def __post_init__(self) -> None:
        for name in ("argument", "value", "allowed"):
            object.__setattr__(self, name, _shown(getattr(self, name)))

    def __str__(self) -> str:
        """One line: argument, value, allowed values."""
        return f"{self.argument} = {self.value}: {self.allowed}"

    def masked(self) -> Problem:
        """Make the same problem without a value of the user's; that something is missing or too many stays."""
        return replace(self, argument=_masked(self.argument), value=_masked(self.value), allowed=_masked(self.allowed))


def _shown(text: str) -> str:
    if isinstance(text, GivenWords):
        return GivenWords(visible(text), visible(text.without))
    return type(text)(visible(text))


def _masked(text: str) -> str:
    if isinstance(text, GivenWords):
        return text.without
    return "masked" if isinstance(text, GivenValue) else text


def _rebuild(cls: type[OmicsError], args: tuple[Any, ...], state: dict[str, Any]) -> OmicsError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class OmicsError(Exception):
    """Base of all errors that this package raises on purpose.

    ``is_final``, set once a task raises the error, is True if another try cannot help or must not happen; None: no task
    has raised it. Airflow's own retry policies can read it.

    ``diagnosis``, set once a task raises the error, describes it as JSON values. Every class has at least ``headline``,
    ``cause``, ``explanation``, ``owner``, ``action``, ``failure_class``, ``summary`` (the end of the log), ``final``
    (whether it ends the task without retries) and ``aws_error`` (the failed AWS call, or None).
    """

    is_final: bool | None = None
    diagnosis: Mapping[str, Any] | None = None

    def __reduce__(self) -> tuple[Callable[..., OmicsError], tuple[Any, ...]]:
        """Pickle by attributes: the constructors of the subclasses take keyword arguments."""
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class SettingsError(OmicsError, ValueError):
    """Bad input, raised before anything was sent.

    :param problems: everything that is wrong, at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the settings; nothing was started:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))

    def masked(self) -> SettingsError:
        """Make the same error without values of the user's."""
        return SettingsError([problem.masked() for problem in self.problems])


class ServiceError(OmicsError):
    """A call that HealthOmics refused or that did not get through.

    :param operation: the API operation, as AWS spells it: ``"StartRun"``.
    :param code: the error code of AWS, or the name of the connection error.
    :param reason: AWS's own message.
    :param http_status: HTTP status, None when there was no answer.
    :param request_id: AWS's id of the call, None when there was no answer.
    :param advice: the next step, in one sentence.
    """

    def __init__(
        self,
        operation: str,
        code: str,
        reason: str,
        *,
        http_status: int | None = None,
        request_id: str | None = None,
        advice: str = "",
    ) -> None:
        code, reason, advice = visible(code), visible(reason), visible(advice)
        self.operation = operation
        self.code = code
        self.reason = reason
        self.http_status = http_status
        self.request_id = request_id
        self.advice = advice
        text = f"{operation}: {code}: {reason}"
        if advice:
            text += f" {advice}"
        if request_id:
            text += f" (AWS request {request_id})"
        super().__init__(text)

    def with_advice(self, advice: str) -> ServiceError:
        """Make the same error with one more sentence.

        :param advice: the next step.
        """
        return type(self)(
            self.operation,
            self.code,
            self.reason,
            http_status=self.http_status,
            request_id=self.request_id,
            advice=f"{self.advice} {advice}".strip(),
        )


class AccessDenied(ServiceError):
    """The caller may not do this; ``advice`` names the missing action."""


class NotFound(ServiceError):
    """The run, batch, workflow or group does not exist (any more)."""


class Conflict(ServiceError):
    """Not possible in the present state of the resource, or the request id is taken by another request."""


class QuotaExceeded(ServiceError):
    """A service quota is used up; waiting alone does not help."""


class InvalidRequest(ServiceError):
    """HealthOmics found the request invalid."""


_UNREACHABLE = frozenset({"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError"})
"""botocore's names of errors whose text has the address."""


class Unavailable(ServiceError):
    """May pass by itself: a 5xx answer, a time-out, a failed connection."""

    @property
    def is_unreachable(self) -> bool:
        """Whether nothing answered at the address, which ``reason`` names: so does a mistyped Region or host."""
        return self.code in _UNREACHABLE


class Throttled(Unavailable):
    """Too many calls a second for the account."""


class CredentialsExpired(Unavailable):
    """The credentials are no longer valid; a new client may find renewed ones."""


class RunError(OmicsError):
    """A run did not end well.

    :param message: the sentence for the log, without the ids (they are added).
    :param run_id: id of the run.
    :param run_uuid: uuid of the run; ids are used again after deletion, uuids are not.
    :param status: last status seen, as AWS spells it.
    :param failure_reason: AWS's failureReason code, None when it gave none.
    :param status_message: AWS's statusMessage, None when it gave none.
    :param log_streams: names of the CloudWatch streams of the run in ``/aws/omics/WorkflowLog``.
    :param console_url: the run in the AWS console.

    The ``diagnosis`` of a failed run also has ``failed_tasks``, ``links``, ... of
    :meth:`airflow_provider_omics.core.failure.diagnosis.RunDiagnosis.to_json`.
    """

    def __init__(
        self,
        message: str,
        *,
        run_id: str,
        run_uuid: str | None = None,
        status: str | None = None,
        failure_reason: str | None = None,
        status_message: str | None = None,
        log_streams: Sequence[str] = (),
        console_url: str | None = None,
    ) -> None:
        self.run_id = run_id
        self.run_uuid = run_uuid
        self.status = status
        self.failure_reason = failure_reason
        self.status_message = status_message
        self.log_streams = tuple(log_streams)
        self.console_url = console_url
        details = {
            "run": f"{run_id} (uuid {run_uuid})" if run_uuid else run_id,
            "status": status,
            "reason": failure_reason,
            "message": status_message,
            "logs": ", ".join(self.log_streams) or None,
            "console": console_url,
        }
        super().__init__(_with_details(message, details))


class RunFailed(RunError):
    """The run ended FAILED."""


class RunIncomplete(RunError):
    """The run completed without an output that ``expected_outputs`` names; ``status_message`` says which, and where."""


class RunCancelled(RunError):
    """The run ended CANCELLED, and not by this task."""


class RunDeleted(RunError):
    """The run was deleted during the wait."""


class RunVanished(RunError):
    """The record of the run is gone and its manifest does not say how it ended; it is not started again."""


class RunTimedOut(RunError):
    """The run took longer than ``execution_timeout`` or ``run_timeout`` allows."""


class BatchError(OmicsError):
    """A batch did not end well.

    :param message: the sentence for the log, without the ids (they are added).
    :param batch_id: id of the batch.
    :param batch_uuid: uuid of the batch.
    :param status: last status seen, as AWS spells it.
    :param failure_reason: AWS's failureReason text, None when it gave none.
    :param counts: number of runs by outcome: ``{"total_runs": 8, "completed_runs": 7, "failed_runs": 1, ...}``.
    :param failed_run_settings: ``runSettingId`` -> reason of the first runs that did not complete (at most 20).
    :param console_url: the run list of the AWS console.

    The ``diagnosis`` of a failed batch has cause, owner and action of the largest group of failures, and ``groups``,
    ``examples``, ... of :meth:`airflow_provider_omics.core.failure.batch.BatchDiagnosis.to_json`.
    """

    def __init__(
        self,
        message: str,
        *,
        batch_id: str,
        batch_uuid: str | None = None,
        status: str | None = None,
        failure_reason: str | None = None,
        counts: Mapping[str, int] | None = None,
        failed_run_settings: Mapping[str, str] | None = None,
        console_url: str | None = None,
    ) -> None:
        self.batch_id = batch_id
        self.batch_uuid = batch_uuid
        self.status = status
        self.failure_reason = failure_reason
        self.counts = dict(counts or {})
        self.failed_run_settings = dict(failed_run_settings or {})
        self.console_url = console_url
        details = {
            "batch": f"{batch_id} (uuid {batch_uuid})" if batch_uuid else batch_id,
            "status": status,
            "reason": failure_reason,
            "counts": ", ".join(f"{name} {count}" for name, count in self.counts.items()) or None,
            "not completed": "; ".join(f"{name}: {why}" for name, why in self.failed_run_settings.items()) or None,
            "console": console_url,
        }
        super().__init__(_with_details(message, details))


class BatchFailed(BatchError):
    """The batch itself ended FAILED: none or only some of its runs were started."""


class BatchCancelled(BatchError):
    """The batch ended CANCELLED, and not by this task."""


class BatchDeleted(BatchError):
    """The batch's runs were deleted during the wait."""


class BatchVanished(BatchError):
    """The batch was deleted during the wait."""


class BatchVerdictError(BatchError):
    """Every run has ended, but more of them than tolerated did not complete."""


class BatchTimedOut(BatchError):
    """The batch took longer than ``execution_timeout`` allows."""


class WorkflowFailed(OmicsError):
    """HealthOmics could not create a workflow, or a version of one.

    :param workflow_id: id of the workflow.
    :param version_name: name of the version; None: the workflow itself.
    :param status: as AWS spells it.
    :param status_message: AWS's statusMessage, such as the fault of the definition; None: it has none.
    """

    def __init__(
        self, *, workflow_id: str, version_name: str | None, status: str, status_message: str | None = None
    ) -> None:
        self.workflow_id = workflow_id
        self.version_name = version_name
        self.status = status
        self.status_message = status_message
        subject = f"Workflow {workflow_id}" if version_name is None else f"Version {version_name} of {workflow_id}"
        super().__init__(_with_details(f"{subject} is {status}.", {"message": status_message}))


class LostContact(OmicsError):
    """No call to HealthOmics succeeded for so long that the wait was given up; nothing was cancelled.

    :param kind: ``"run"`` or ``"batch"``.
    :param resource_id: its id.
    :param resource_uuid: its uuid, None where unknown.
    :param seconds: how long no poll succeeded.
    :param cause: the last error, as text.
    """

    def __init__(self, kind: str, resource_id: str, resource_uuid: str | None, seconds: float, cause: str) -> None:
        self.kind = kind
        self.resource_id = resource_id
        self.resource_uuid = resource_uuid
        self.seconds = seconds
        self.cause = cause
        super().__init__(
            f"Lost contact with {kind} {resource_id}: no look at it succeeded for {seconds:.0f} s. "
            f"It may still be going; nothing was cancelled. Last error: {cause}"
        )


class AttemptError(OmicsError):
    """The start of an earlier try cannot be resolved without the risk of paying twice; nothing was started.

    :param reason: the obstacle, with its ids.
    :param advice: the ways on.
    :param request_id: request id of the earlier attempt.
    :param resource_id: id of its run or batch, None where unknown.
    """

    def __init__(self, reason: str, *, advice: str, request_id: str, resource_id: str | None = None) -> None:
        self.reason = reason
        self.advice = advice
        self.request_id = request_id
        self.resource_id = resource_id
        super().__init__(f"{reason} {advice}")


class StartTimedOut(OmicsError):
    """``execution_timeout`` passed before a run or batch was known to have started.

    :param kind: ``"run"`` or ``"batch"``.
    :param request_id: request id of the attempt, by which the next try finds its run or batch; None: none was made yet.
    """

    def __init__(self, kind: str, request_id: str | None) -> None:
        self.kind = kind
        self.request_id = request_id
        super().__init__(
            f"execution_timeout passed before a {kind} was known to have started (request id: {request_id or 'none'}); "
            "the next try looks for it before it starts another"
        )


class NotOwner(OmicsError):
    """Another try of the task owns the attempt now: this process outlived its own try and touches nothing.

    :param resource_id: id of the run or batch.
    :param owner_try: number of the try that owns it; None: the record that would tell is out of reach.
    """

    def __init__(self, resource_id: str | None, owner_try: int | None) -> None:
        self.resource_id = resource_id
        self.owner_try = owner_try
        subject = resource_id or "the attempt"
        super().__init__(
            f"Try {owner_try} of the task owns {subject} now; this older process ends"
            if owner_try is not None
            else f"The record of {subject} is gone, and a later try of the task may own it; this one leaves it alone"
        )


class EventError(OmicsError):
    """A trigger event that this version cannot read; it never counts as success.

    :param reason: its fault.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The trigger's event cannot be read: {reason}. The run or batch was left as it is.")


def _with_details(message: str, details: Mapping[str, str | None]) -> str:
    return "\n".join([message, *(f"  {name}: {value}" for name, value in details.items() if value)])
