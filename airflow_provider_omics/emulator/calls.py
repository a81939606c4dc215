"""How often each operation was called, and what was answered."""

from __future__ import annotations

import threading
from collections import Counter

#: Counted instead of an error code: the call succeeded; its connection died without an answer; the emulator failed.
OK = "OK"
LOST = "ConnectionLost"
BROKEN = "EmulatorFault"


class Calls:
    """Counts of the HealthOmics calls that reached the emulator, also those that a fault struck."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, operation: str, code: str) -> None:
        """Count one call.

        :param operation: name of the operation.
        :param code: error code of the answer, or :data:`OK`, :data:`LOST`, :data:`BROKEN`.
        """
        with self._lock:
            self._counts[operation, code] += 1

    def clear(self) -> None:
        """Start from zero."""
        with self._lock:
            self._counts.clear()

    def by_operation(self) -> dict[str, int]:
        """:return: number of calls by operation; operations never called are absent."""
        totals: Counter[str] = Counter()
        for (operation, _), count in list(self._counts.items()):
            totals[operation] += count
        return dict(totals)

    def by_code(self) -> dict[str, dict[str, int]]:
        """:return: number of calls by operation and answered code."""
        codes: dict[str, dict[str, int]] = {}
        for (operation, code), count in list(self._counts.items()):
            codes.setdefault(operation, {})[code] = count
        return codes

    def __getitem__(self, operation: str) -> int:
        """:return: number of calls of one operation; 0 when it was never called."""
        return sum(count for (name, _), count in list(self._counts.items()) if name == operation)
