"""What is done before each call of a hook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_omics.hooks.omics import OmicsHook


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
