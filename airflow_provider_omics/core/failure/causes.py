"""The cause of a failure: AWS's code that it is judged by, and the task that failed.

One rule for a run, a batch, the results and the choice of a new attempt: the cause that is shown is the one that
decides.
"""

from __future__ import annotations

GENERAL_REASONS: tuple[str | None, ...] = (None, "RUN_TASK_FAILED", "WORKFLOW_RUN_FAILED")
"""Reasons that only say that something in the run failed: its task's reason is nearer to the cause."""

NO_REASON = "no reason given"
"""In place of a code, where AWS has none."""

OUTPUTS_NOT_READ, OUTPUTS_TOO_MANY = "OUTPUTS_NOT_READ", "OUTPUTS_TOO_MANY"
"""This package's own codes of runs that completed, and whose expected outputs may be there: S3 refused to list them,
or more lies there than is listed."""

_WITHOUT_CODE = (NO_REASON, "CANCELLED", "INCOMPLETE", "UNKNOWN")


def deciding_code(of_run: str | None, of_task: str | None) -> str | None:
    """Find the code that a failure is judged by.

    :param of_run: the ``failureReason`` of GetRun; None: it has none.
    :param of_task: the ``failureReason`` of GetRunTask, of the task that failed last; None: it has none, or no task
        failed, or none was looked at.
    :return: the run's, unless that is general and the task's is not.
    """
    if of_run not in GENERAL_REASONS:
        return of_run
    return of_run or of_task if of_task in GENERAL_REASONS else of_task


def cause_of(status: str, code: str | None, task: str | None = None) -> str:
    """Write a cause in a few words: ``"FILE_SYSTEM_OUT_OF_SPACE in MARKDUPLICATES"``.

    :param status: FAILED, NOT_SUBMITTED, CANCELLED, INCOMPLETE or UNKNOWN.
    :param code: the code that decides; None: there is none.
    :param task: name of the task that failed; None: none did, or it is not known.
    """
    words = code or (status if status in _WITHOUT_CODE else NO_REASON)
    return f"{words} in {task}" if task else words


def read_cause(cause: str | None) -> tuple[str | None, str | None]:
    """Read :func:`cause_of`.

    :param cause: a cause; None: none is known.
    :return: code and task.
    """
    words, _, task = (cause or NO_REASON).partition(" in ")
    return None if words in _WITHOUT_CODE else words, task or None
