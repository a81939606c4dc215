"""Answers that an operation gives in the place of the emulator's: refusals, and what a proxy between would say."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from botocore import handlers
from botocore.awsrequest import AWSResponse

JSON = "application/x-amz-json-1.1"


class Raw(io.BytesIO):
    """The body as botocore reads it from urllib3."""

    def stream(self, amt: int | None = None, **_: Any) -> Any:
        while chunk := self.read(amt):
            yield chunk


class Answers(Protocol):
    """Type of the fixture ``answers``."""

    def __call__(self, operation: str, kind: str, *, after: int = 0) -> None: ...


def refusal(status: int, code: str) -> tuple[int, str, str]:
    return status, JSON, json.dumps({"__type": code, "message": "AWS says no"})


KINDS: dict[str, tuple[int, str, str]] = {
    "throttled": refusal(429, "ThrottlingException"),
    "denied": refusal(403, "AccessDeniedException"),
    "gone": refusal(404, "ResourceNotFoundException"),
    "a page of a proxy": (200, "text/html", "<html><title>Sign in</title></html>"),
    "of other types": (200, JSON, '{"items": [17], "runs": {}, "events": 5, "logStreams": "none", "startTime": {}}'),
    "null": (200, JSON, "null"),
    "without ids": (200, JSON, '{"items": [{"name": "S1"}], "runs": [{"runId": "10000001"}], "events": [{}]}'),
    "without a status": (
        200,
        JSON,
        '{"id": "10000001", "items": [{"id": "10000001"}], "runs": [{"runSettingId": "M1"}]}',
    ),
    "with nothing in it": (200, JSON, '{"items": null, "runs": null, "events": null, "logStreams": null}'),
}
"""Ways in which a call can go wrong, by name: HTTP status, content type, body."""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Let an operation answer in one of :data:`KINDS`, from its first call on or after some good ones."""
    bad: dict[str, tuple[str, int]] = {}
    calls: dict[str, int] = {}

    def answer(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        calls[operation] = calls.get(operation, 0) + 1
        if operation not in bad or calls[operation] <= bad[operation][1]:
            return None
        status, content_type, body = KINDS[bad[operation][0]]
        return AWSResponse(request.url, status, {"content-type": content_type}, Raw(body.encode()))

    added: list[tuple[str, Callable[..., Any]]] = [("before-send", answer)]
    monkeypatch.setattr(handlers, "BUILTIN_HANDLERS", [*handlers.BUILTIN_HANDLERS, *added])

    def answers(operation: str, kind: str, *, after: int = 0) -> None:
        bad[operation] = (kind, after)

    return answers
