"""The moment at which a wait must end, so that a task ends in order before Airflow ends it."""

from __future__ import annotations

from datetime import timedelta

MARGIN = 0.1
"""Part of ``execution_timeout`` kept free, so that the cancel and the typed error come before Airflow's own end."""

LEAST_GRACE = 5.0
"""Seconds for the cancel, however short the timeout is."""

LONGEST_MARGIN = 60.0
"""Seconds that are enough for it, however long the timeout is."""


def time_limits(execution_timeout: timedelta | None, started: float) -> dict[str, float]:
    """Give the moment at which a wait must end, so that Airflow's own timeout does not come first.

    :param execution_timeout: the task's; None: no limit.
    :param started: when the task started, in seconds since the epoch.
    :return: ``deadline``, in seconds since the epoch, and ``grace``: half of the time from then to Airflow's own end,
        for a cancel; the other half is for Airflow to take up the task. Empty without a limit.
    """
    if execution_timeout is None:
        return {}
    seconds = execution_timeout.total_seconds()
    margin = min(seconds * MARGIN, LONGEST_MARGIN)
    return {"deadline": started + seconds - margin, "grace": max(margin / 2, LEAST_GRACE)}
