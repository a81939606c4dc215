"""The pace of the calls that read results: beside them the account's quotas have to serve others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_omics.hooks.calls import before_each_call
from airflow_provider_omics.hooks.omics import OmicsHook


class Pacer:
    """Calls at an even pace, so many a second at most.

    :param calls_per_second: the connection's ``calls_per_second``. HealthOmics allows an account 10 calls a second of
        GetRun, ListRuns and ListRunsInBatch each (user guide, "Service quotas").
    """

    def __init__(self, calls_per_second: float) -> None:
        self._interval = 1.0 / calls_per_second
        self._next = time.monotonic()

    def wait(self) -> None:
        """Wait until the next call may be made."""
        early = self._next - time.monotonic()
        if early > 0:
            time.sleep(early)  # noqa: TID251 - the pace itself; tests step the clock
        self._next = max(self._next, time.monotonic() - self._interval) + self._interval


@contextmanager
def paced_calls(hook: OmicsHook) -> Iterator[Pacer]:
    """Let each call of a hook to HealthOmics, be it a page of a list, wait for its turn.

    :param hook: the hook; its connection's ``calls_per_second`` is the pace.
    :return: the pacer, for calls to other services.
    """
    pacer = Pacer(hook.defaults.calls_per_second)
    with before_each_call(hook, pacer.wait):
        yield pacer
