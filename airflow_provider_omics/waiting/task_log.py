"""A log whose own failures end no wait: a handler that raises must not cost a trigger its event."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class TaskLog:
    """A logger that never raises; what it cannot write is lost.

    :param log: the logger.
    """

    def __init__(self, log: Any) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Take a method of the logger."""
        method = getattr(self._log, name)

        def write(*values: Any, **more: Any) -> None:
            with suppress(Exception):
                method(*values, **more)

        return write
