"""Answers by requestId."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.emulator.errors import conflict


@dataclass(frozen=True)
class _Remembered:
    fingerprint: str
    answer: dict[str, Any]
    time: float


class RequestMemory:
    """Remembers requests by operation and ``requestId``.

    Stricter than AWS is known to be (asked: run-repeated, run-changed, batch-repeated, batch-changed): AWS tells
    neither the answer to a repeated id, nor that to another request under a known id. How long an id is remembered is
    not documented, either (not asked: it may be days).
    """

    def __init__(self) -> None:
        self._remembered: dict[tuple[str, str], _Remembered] = {}

    def recall(
        self, operation: str, request: dict[str, Any], now: float, memory: float | None
    ) -> dict[str, Any] | None:
        """Look a request up.

        :param operation: name of the operation.
        :param request: its parameters.
        :param now: the present, in seconds since the epoch.
        :param memory: seconds that an id is remembered; None: for ever.
        :return: the first answer; None for a new id.
        :raises ServiceError: ConflictException when the id came with another request.
        """
        known = self._remembered.get((operation, request["requestId"]))
        if known is None or (memory is not None and now - known.time >= memory):
            return None
        if known.fingerprint != _fingerprint(request):
            raise conflict(f"requestId {request['requestId']} was used before with different parameters.")
        return copy.deepcopy(known.answer)

    def remember(self, operation: str, request: dict[str, Any], answer: dict[str, Any], now: float) -> None:
        """Keep the answer to a request."""
        key = (operation, request["requestId"])
        self._remembered[key] = _Remembered(_fingerprint(request), copy.deepcopy(answer), now)

    def forget(self) -> None:
        """Forget all."""
        self._remembered.clear()


def _fingerprint(request: dict[str, Any]) -> str:
    text = json.dumps(request, sort_keys=True, default=_to_text)
    return hashlib.sha256(text.encode()).hexdigest()


def _to_text(value: object) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)
