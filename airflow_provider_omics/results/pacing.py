"""The pace of the calls that read results: beside them the account's quotas have to serve others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")

PAGE = 100
"""Items that one list call brings."""


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

    def pages(self, items: Iterable[Item]) -> Iterator[Item]:
        """Iterate over the items of list calls, each page of which is a call.

        :param items: what makes the calls as it goes.
        """
        iterator = iter(items)
        while True:
            self.wait()
            page = list(islice(iterator, PAGE))
            yield from page
            if len(page) < PAGE:
                return
