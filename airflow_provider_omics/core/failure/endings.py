"""The end of a failed task: a verdict and ten short lines at most, and the same as data.

A log view opens at its bottom, where Airflow prints the error: what matters stands there, and the long diagnosis above.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

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
from airflow_provider_omics.core.failure.reasons import INCOMPLETE, OUTPUT_REASONS, FailureClass, Owner
from airflow_provider_omics.core.text import clean_line

SHOWN_LINES = 10
"""Lines below the verdict."""

LONGEST_LINE = 240
"""Characters of a line: about two lines of a log view."""

_AUTHOR, _PLATFORM, _AWS = Owner.PIPELINE_AUTHOR, Owner.PLATFORM, Owner.AWS
_PERMANENT, _TRANSIENT, _UNCLEAR = FailureClass.PERMANENT, FailureClass.TRANSIENT, FailureClass.UNCLEAR

_LIMIT = "Find what is slow or waits, or raise the limit."
_ASK = "Ask who did it and why; clear the task to start over."
_LOOK = "Look at its outputs; a clear of the task starts it again. retentionMode RETAIN keeps records."
_SEARCH = "Look in the console for what it has started, then clear the task."
_AGAIN = "Try again: the next try goes on with what has started."

# Class -> what happened, whose move it is, whether another try can help, and the next step. This package's judgement.
_ENDINGS: dict[type[OmicsError], tuple[str, Owner, FailureClass, str]] = {
    SettingsError: ("nothing was started", _AUTHOR, _PERMANENT, "Correct what is listed, and clear the task."),
    AccessDenied: ("was refused", _PLATFORM, _PERMANENT, "Grant the caller the missing action."),
    NotFound: (
        "was refused",
        _AUTHOR,
        _PERMANENT,
        "Check id, account and Region: there is no such thing there (any more).",
    ),
    Conflict: ("was refused", _AUTHOR, _UNCLEAR, "See what state it is in, and who else works on it."),
    QuotaExceeded: ("was refused", _PLATFORM, _UNCLEAR, "Delete what is no longer needed, or ask for a higher quota."),
    InvalidRequest: ("was refused", _AUTHOR, _PERMANENT, "Correct what the message names."),
    CredentialsExpired: ("did not get through", _PLATFORM, _TRANSIENT, "Renew the credentials of the connection."),
    Throttled: ("did not get through", _AWS, _TRANSIENT, "Try again later, or make fewer calls beside it."),
    Unavailable: (
        "did not get through",
        _AWS,
        _TRANSIENT,
        "Try again; if it comes back, look at network and endpoint.",
    ),
    ServiceError: ("failed", _AWS, _UNCLEAR, "See the message."),
    RunFailed: ("failed", _AUTHOR, _UNCLEAR, "Read the end of its logs."),
    RunIncomplete: ("completed without expected outputs", _AUTHOR, _UNCLEAR, INCOMPLETE.action),
    RunCancelled: ("was cancelled, and not by this task", _PLATFORM, _UNCLEAR, _ASK),
    RunDeleted: ("was deleted while it was waited for", _PLATFORM, _PERMANENT, _ASK),
    RunVanished: ("is gone, and its outcome is unknown", _PLATFORM, _PERMANENT, _LOOK),
    RunTimedOut: ("took too long", _AUTHOR, _UNCLEAR, _LIMIT),
    RunError: ("did not end well", _AUTHOR, _UNCLEAR, _LOOK),
    BatchError: ("did not end well", _AUTHOR, _UNCLEAR, _LOOK),
    BatchFailed: ("failed", _AUTHOR, _UNCLEAR, "Correct what the message names."),
    BatchCancelled: ("was cancelled, and not by this task", _PLATFORM, _UNCLEAR, _ASK),
    BatchDeleted: ("was deleted while it was waited for", _PLATFORM, _PERMANENT, _ASK),
    BatchVanished: ("is gone, and its outcome is unknown", _PLATFORM, _PERMANENT, _LOOK),
    BatchVerdictError: ("failed", _AUTHOR, _UNCLEAR, "See why runs did not complete."),
    BatchTimedOut: ("took too long", _AUTHOR, _UNCLEAR, _LIMIT),
    WorkflowFailed: (
        "could not be created",
        _AUTHOR,
        _PERMANENT,
        "Correct what the message names, and clear the task.",
    ),
    LostContact: (
        "could not be looked at",
        _PLATFORM,
        _TRANSIENT,
        "Look at network, endpoint and credentials. The next try looks again; until then it may be going, and cost.",
    ),
    AttemptError: ("an earlier try left what cannot be resolved", _PLATFORM, _PERMANENT, _SEARCH),
    StartTimedOut: ("execution_timeout passed before a start was known", _AUTHOR, _TRANSIENT, _AGAIN),
    NotOwner: ("a later try has taken over", _PLATFORM, _TRANSIENT, "Nothing: look at the later try."),
    EventError: ("the trigger's event cannot be read", _PLATFORM, _UNCLEAR, _AGAIN),
    OmicsError: ("failed", _AUTHOR, _UNCLEAR, "See the message."),
}


def diagnosis_of_error(error: OmicsError, *, final: bool) -> dict[str, Any]:
    """Describe any error as data, with the keys that all diagnoses have.

    :param error: the error; one that carries a diagnosis keeps it.
    :param final: whether Airflow spends no further try on it.
    :return: JSON values: ``headline``, ``summary``, ``cause``, ``explanation``, ``owner``, ``action``,
        ``failure_class``, ``final``, and ``aws_error``: the call of AWS's that is behind it, None: there is none.
    """
    known: Mapping[str, Any] = error.diagnosis or {}
    happened, owner, failure_class, action = next(_ENDINGS[cls] for cls in type(error).__mro__ if cls in _ENDINGS)
    own = next(cls for cls in type(error).__mro__ if cls in _ENDINGS).__name__
    cause, explanation = own, _first_line(error) or happened
    if isinstance(error, ServiceError):
        cause, explanation, action = error.code, error.reason, error.advice or action
    elif isinstance(error, AttemptError):
        explanation, action = error.reason, error.advice
    headline = f"{_subject(error)} {happened}" if _subject(error) else happened[0].upper() + happened[1:]
    if isinstance(error, ServiceError):
        headline += f": {clean_line(error.code, 64)}"
    described = {
        "headline": f"{headline} ({owner.value})",
        "cause": cause,
        "explanation": explanation,
        "owner": owner.value,
        "action": action,
        "failure_class": failure_class.value,
        "aws_error": _aws_error(error),
        **known,
        "final": final,
    }
    return {"summary": text_of_error(error, described), **described}


def text_of_error(error: OmicsError, diagnosis: Mapping[str, Any]) -> str:
    """Write the text that Airflow prints at the end of the log: the verdict, and at most ten short lines.

    :param error: the error.
    :param diagnosis: of it, by :func:`diagnosis_of_error`.
    """
    lines = [clean_line(line, LONGEST_LINE * SHOWN_LINES) for line in _lines(error, diagnosis)]
    # A single long reason is shown whole; of many, the beginning of each.
    whole = [part for line in lines for part in wrap(line, LONGEST_LINE, subsequent_indent="    ")]
    shown = whole if len(whole) <= SHOWN_LINES else [clean_line(line, LONGEST_LINE) for line in lines[:SHOWN_LINES]]
    return "\n".join([clean_line(str(diagnosis["headline"]), LONGEST_LINE), *shown])


def is_cut(error: OmicsError, text: str) -> bool:
    """Decide whether a text leaves out what an error has to say, so that the log should have it.

    :param error: the error.
    :param text: of :func:`text_of_error`.
    """
    text = " ".join(text.split())
    if isinstance(error, SettingsError):
        return any(" ".join(str(problem).split()) not in text for problem in error.problems)
    if isinstance(error, ServiceError):
        return any(" ".join(told.split()) not in text for told in (error.reason, error.advice))
    told = f"{_first_line(error)} {error.cause if isinstance(error, LostContact) else ''}".split()
    return any(word not in text for word in told)


def _lines(error: OmicsError, diagnosis: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(error, SettingsError):
        yield from _problems(error)
        yield _line("action", diagnosis["action"])
        return
    is_ours = diagnosis.get("cause") in (INCOMPLETE.code, *OUTPUT_REASONS)
    facts: dict[str, Any] = {
        "cause": diagnosis["explanation"],
        "found": None,
        "AWS says": diagnosis.get("status_message") or diagnosis.get("message"),
        "action": diagnosis["action"],
    }
    if isinstance(error, ServiceError):
        facts["AWS request"] = error.request_id
    elif isinstance(error, RunError):
        facts["AWS says"] = facts["AWS says"] or error.status_message
        facts["retry"] = diagnosis.get("retry")
        facts |= {"run": _identity(error.run_id, error.run_uuid, error.status), "console": error.console_url}
        facts["logs"] = ", ".join(error.log_streams)
    elif isinstance(error, BatchError):
        facts["AWS says"] = facts["AWS says"] or error.failure_reason
        causes: Counter[str] = Counter()
        for group in diagnosis.get("groups") or ():
            causes[group["cause"]] += group["count"]
        facts["causes"] = "; ".join(f"{count:,} {cause}" for cause, count in causes.most_common(5))
        facts["not completed"] = "; ".join(f"{name}: {why}" for name, why in error.failed_run_settings.items())
        facts["retry"] = diagnosis.get("retry")
        if isinstance(error, BatchVerdictError):
            facts["verdict"] = _first_line(error)
        else:
            facts["counts"] = ", ".join(f"{name} {count}" for name, count in error.counts.items() if count)
        facts |= {"batch": _identity(error.batch_id, error.batch_uuid, error.status), "console": error.console_url}
    else:
        facts["last error"] = error.cause if isinstance(error, LostContact) else None
        facts["request id"] = getattr(error, "request_id", None)
    if is_ours:
        facts["found"], facts["AWS says"] = facts["AWS says"], None
    yield from (_line(name, fact) for name, fact in facts.items() if fact)


def _problems(error: SettingsError) -> Iterator[str]:
    most = SHOWN_LINES - 1  # the action
    shown = error.problems if len(error.problems) <= most else error.problems[: most - 1]
    yield from (f"  - {problem}" for problem in shown)
    if len(shown) < len(error.problems):
        yield f"  - ... and {len(error.problems) - len(shown):,} more, in the log above"


def _subject(error: OmicsError) -> str:
    if isinstance(error, SettingsError):
        count = len(error.problems)
        return f"{count} problem{'s' if count != 1 else ''} in the settings;"
    if isinstance(error, ServiceError):
        return error.operation
    if isinstance(error, RunError):
        return f"Run {error.run_id}"
    if isinstance(error, BatchError):
        return f"Batch {error.batch_id}"
    return f"{error.kind.capitalize()} {error.resource_id}" if isinstance(error, LostContact) else ""


def _identity(name: str, uuid: str | None, status: str | None) -> str:
    return ", ".join(part for part in (name, uuid and f"uuid {uuid}", status) if part)


def _line(name: str, fact: Any) -> str:
    return f"  {name}: {' '.join(str(fact).split())}"


def _first_line(error: OmicsError) -> str:
    return str(error).partition("\n")[0]


def _aws_error(error: BaseException | None) -> dict[str, Any] | None:
    """Find the nearest error of AWS's, along the causes."""
    while error is not None and not isinstance(error, ServiceError):
        error = error.__cause__
    if error is None:
        return None
    names = ("operation", "code", "reason", "http_status", "request_id")
    return {name: getattr(error, name) for name in names}
