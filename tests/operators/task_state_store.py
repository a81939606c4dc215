"""Stands for ``context["task_state_store"]`` of Airflow 3.3, whose real one needs a supervisor and an api-server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any


class TaskStateStore:
    """The values of one task instance, across its tries; JSON, as Airflow keeps them.

    :param at_set: called before and after each write with ``"before"`` or ``"after"``; may raise.
    """

    def __init__(self, at_set: Callable[[str], None] | None = None) -> None:
        self.values: dict[str, str] = {}
        self.retentions: dict[str, timedelta] = {}
        self.at_set = at_set
        self.closed = False
        """Whether the try that asks is over: Airflow finds nothing for it any more, and lets it write nothing."""

        self.silent = False
        """Whether Airflow's api-server, which keeps the values, is down."""

    def get(self, key: str, default: Any = None) -> Any:
        if self.silent:
            raise RuntimeError("API_SERVER_ERROR")
        return json.loads(self.values[key]) if key in self.values and not self.closed else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        assert value is not None, "Airflow takes no None"
        # Compared by identity there: an equal timedelta would be taken for a date beyond the calendar.
        assert retention is timedelta.max
        if self.silent:
            raise RuntimeError("API_SERVER_ERROR")
        if self.closed:
            raise RuntimeError("Task instance not found")
        if self.at_set is not None:
            self.at_set("before")
        self.values[key] = json.dumps(value)
        self.retentions[key] = retention
        if self.at_set is not None:
            self.at_set("after")
