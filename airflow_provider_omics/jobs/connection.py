"""The identity of a try: the connection's, or, where Airflow finds none, the machine's own."""

from __future__ import annotations

from airflow_provider_omics.core.errors import CHECK_ADVICE, Unavailable
from airflow_provider_omics.hooks.driver import pause
from airflow_provider_omics.hooks.omics import OmicsHook

DOUBT = 300.0
"""Seconds for which a connection that the task has had before is asked for again: as long as a trigger doubts."""

SUSPICION = 7.0
"""The same where the task may have had one: a task that never had pays these seconds on each retry."""

LONGEST_PAUSE = 30.0


def find_connection(hook: OmicsHook, *, was_found: bool | None, is_suspect: bool) -> None:
    """Ask again for a connection that Airflow does not find, before the task goes on without, as with other operators.

    Airflow reports a failing secrets backend or api-server as a connection that is not defined. A task that then goes
    on acts as the machine itself: it does not know where the record of an earlier try is, or looks for its run in
    another account. But many have no connection, and mean the machine: they wait only where there may have been one. A
    first try with the default connection never waits; it asks for a second time at once.

    :param hook: the hook.
    :param was_found: whether Airflow had found the connection before, for the same task; None: unknown.
    :param is_suspect: whether it may have, where that is unknown.
    :raises Unavailable: it had, and now it does not for five minutes.
    """
    if was_found is False:
        return
    patience = DOUBT if was_found else SUSPICION if is_suspect else 0.0
    seconds = waited = 0.0
    while hook.misses_connection and waited + seconds <= patience:
        if seconds:
            pause(seconds)
        waited += seconds
        seconds = min(max(1.0, 2 * seconds), LONGEST_PAUSE)
        hook.renew()
    if was_found and hook.misses_connection:
        reason = f"Airflow does not find the connection {hook.aws_conn_id!r}, which this task has had before"
        advice = f"Is it gone for good, and the machine itself is meant: aws_conn_id=None. {CHECK_ADVICE}"
        raise Unavailable("GetConnection", "ConnectionNotFound", reason, advice=advice)
