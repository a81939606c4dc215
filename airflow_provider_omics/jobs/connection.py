"""Whose identity a try has: that of the connection, or, where Airflow finds none, the machine's own."""

from __future__ import annotations

from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.driver import pause

DOUBT = 300.0
"""Seconds for which a connection is asked for again that the task has had before: as long as a trigger doubts."""

SUSPICION = 7.0
"""The same where it may have had one: seconds that a task pays on each retry which never had."""

LONGEST_PAUSE = 30.0


def find_connection(hook: OmicsHook, *, was_found: bool | None, is_suspect: bool) -> None:
    """Ask again for a connection that Airflow does not find, before the task goes on without, as with other operators.

    Airflow tells a secrets backend that fails, or its api-server, as a connection that is not defined. Who goes on then
    is the machine itself: it does not know where the record of an earlier try is, or looks for its run in another
    account. But many have no connection, and mean the machine: they wait only where there may have been one. A first
    try with the default connection never waits; it asks for a second time at once.

    :param hook: the hook.
    :param was_found: whether Airflow had found the connection before, for the same task; None: nothing tells.
    :param is_suspect: whether it may have, where nothing tells.
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
        advice = "Is it gone for good, and the machine itself is meant: aws_conn_id=None."
        raise Unavailable("GetConnection", "ConnectionNotFound", reason, advice=advice)
