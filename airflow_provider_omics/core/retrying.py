"""Which failures are worth another try of Airflow's."""

from __future__ import annotations

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
