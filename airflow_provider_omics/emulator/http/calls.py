"""Counts of calls, by operation and by answer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

#: Counted instead of an error code: the call succeeded; its connection died without an answer; the emulator failed.
OK = "OK"
LOST = "ConnectionLost"
BROKEN = "EmulatorFault"


class Calls:
    """Counts of the HealthOmics calls that reached the emulator, also those that a fault struck."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def came_in(self) -> Callable[[str, str], None]:
        """Register a call that is not answered yet.

        A call that came in before :meth:`clear` is not counted after it, however late its answer.

        :return: a function that counts the call; it takes the name of the operation, and the error code of the answer
            or :data:`OK`, :data:`LOST`, :data:`BROKEN`.
        """
        counts = self._counts

        def count(operation: str, code: str) -> None:
            with self._lock:
                counts[operation, code] += 1

        return count

    def clear(self) -> None:
        """Start from zero."""
        self._counts = Counter()

    def by_operation(self) -> dict[str, int]:
        """Count the calls of each operation.

        :return: operation -> number of calls; operations never called are absent.
        """
        totals: Counter[str] = Counter()
        for (operation, _), count in list(self._counts.items()):
            totals[operation] += count
        return dict(totals)

    def by_code(self) -> dict[str, dict[str, int]]:
        """Count the calls of each operation by answer.

        :return: operation -> error code, or :data:`OK`, :data:`LOST`, :data:`BROKEN` -> number of calls.
        """
        codes: dict[str, dict[str, int]] = {}
        for (operation, code), count in list(self._counts.items()):
            codes.setdefault(operation, {})[code] = count
        return codes

    def __getitem__(self, operation: str) -> int:
        """Count the calls of one operation.

        :param operation: its name: ``"GetRun"``.
        :return: number of calls; 0 when it was never called.
        """
        return sum(count for (name, _), count in list(self._counts.items()) if name == operation)
