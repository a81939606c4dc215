"""Which failures are worth another try of Airflow's, and which samples a retry of a batch submits again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from airflow_provider_omics.core.failure_reasons import FailureClass

UNCLEAR_TRIES = 2
"""Tries for a failure that nobody can judge: one, and one more."""


def is_final(failure_class: FailureClass, unclear_before: int, *, retry_permanent: bool = False) -> bool:
    """Decide whether Airflow shall spend no further try on a failure.

    :param failure_class: what the diagnosis says; for a batch that of its failures taken together.
    :param unclear_before: tries that ended unclear before this one, since the first try or the last clear.
    :param retry_permanent: ``retry_permanent_failures``: the class is not looked at.
    :return: whether the task ends here; otherwise Airflow's own ``retries`` decide.
    """
    if retry_permanent or failure_class is FailureClass.TRANSIENT:
        return False
    return failure_class is not FailureClass.UNCLEAR or unclear_before + 1 >= UNCLEAR_TRIES


class Classed(Protocol):
    """Anything that failed and whose class is known."""

    @property
    def failure_class(self) -> FailureClass:
        """Whether another try can help."""


ClassedT = TypeVar("ClassedT", bound=Classed)


def split_for_retry(
    failures: Iterable[ClassedT],
    *,
    unclear_before: int,
    rerun_setting_changes: bool = False,
    cleared: bool = False,
    retry_permanent: bool = False,
) -> tuple[list[ClassedT], list[ClassedT]]:
    """Divide the failed samples of a batch into those that a new try submits again and those that it carries forward.

    :param failures: the samples that did not complete.
    :param unclear_before: tries that ended unclear before the one that failed.
    :param rerun_setting_changes: ``rerun_setting`` changes something, so what was too small may now fit.
    :param cleared: a user cleared the task: all that failed is submitted again.
    :param retry_permanent: ``retry_permanent_failures``.
    :return: the samples to submit, and the samples to carry forward; with none to submit, no retry is worth its try.
    """
    submit: list[ClassedT] = []
    carry: list[ClassedT] = []
    for failure in failures:
        fits_now = rerun_setting_changes and failure.failure_class is FailureClass.SIZING
        final = is_final(failure.failure_class, unclear_before, retry_permanent=retry_permanent)
        (submit if cleared or fits_now or not final else carry).append(failure)
    return submit, carry
