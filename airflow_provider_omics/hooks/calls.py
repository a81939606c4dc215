"""What is done before each call of a hook, or before each of its requests, and what these are answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import service_error, service_errors


@contextmanager
def before_each_call(hook: OmicsHook, act: Callable[[], None]) -> Iterator[None]:
    """Do something before each call to HealthOmics, be it a page of a list; a retry of botocore's is no call.

    :param hook: the hook.
    :param act: what is done.
    """
    events = hook.conn.meta.events

    def called(**_: Any) -> None:
        act()

    # botocore emits before-call.{service}.{operation} (boto3 guide, "Extensibility guide").
    events.register("before-call.omics", called)
    try:
        yield
    finally:
        events.unregister("before-call.omics", called)


@contextmanager
def before_each_request(hook: OmicsHook, operation: str, act: Callable[[], None]) -> Iterator[None]:
    """Do something before each request of an operation by this thread, those of botocore's own retries included.

    It is done when the request is signed, right before it is sent: credentials are renewed by then.

    :param hook: the hook.
    :param operation: the API operation: ``"StartRun"``.
    :param act: what is done; what it raises ends the call, and nothing more is sent.
    :raises ServiceError: there is no client, as its credentials could not be had.
    """
    with service_errors(operation):
        events = hook.conn.meta.events
    thread = threading.get_ident()

    def created(operation_name: str, **_: Any) -> None:
        if operation_name == operation and threading.get_ident() == thread:
            act()

    # botocore emits request-created.{service}.{operation} anew for each retry (Endpoint.create_request). Handlers of an
    # operation would come before the one of the service that signs.
    events.register_last("request-created.omics", created)
    try:
        yield
    finally:
        events.unregister("request-created.omics", created)


@dataclass
class Requests:
    """What became of the requests of an operation, those of botocore's own retries included.

    :param sent: how many were sent.
    :param refused: how many of them were answered that nothing was done.
    """

    sent: int = 0
    refused: int = 0


@contextmanager
def counted_requests(
    hook: OmicsHook, operation: str, requests: Requests, refusals: tuple[type[ServiceError], ...]
) -> Iterator[None]:
    """Count the requests of an operation, and the refusals among their answers: botocore raises the last one only.

    :param hook: the hook.
    :param operation: the API operation: ``"StartRunBatch"``.
    :param requests: where they are counted.
    :param refusals: the errors that say that nothing was done.
    :raises ServiceError: there is no client, as its credentials could not be had.
    """
    with service_errors(operation):
        events = hook.conn.meta.events

    def sending(**_: Any) -> None:
        requests.sent += 1

    def answered(parsed_response: Any, **_: Any) -> None:
        if parsed_response is not None and parsed_response["ResponseMetadata"]["HTTPStatusCode"] >= 300:
            error = service_error(operation, ClientError(parsed_response, operation))
            requests.refused += isinstance(error, refusals)

    # botocore emits both anew for each retry (Endpoint._get_response); without an answer the response is None.
    events.register(f"before-send.omics.{operation}", sending)
    events.register(f"response-received.omics.{operation}", answered)
    try:
        yield
    finally:
        events.unregister(f"before-send.omics.{operation}", sending)
        events.unregister(f"response-received.omics.{operation}", answered)
