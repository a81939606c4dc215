"""Work in an event loop that may ask Airflow something, and must therefore run to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_going: set[asyncio.Task[Any]] = set()


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Wait for some work that goes on when the wait for it is cancelled.

    Before Airflow 3.3 a triggerer takes the answers of its supervisor in the order of its questions
    (``TriggerCommsDecoder``). A question that is cancelled, even one that a thread asked through ``sync_to_async``,
    leaves its answer to the next one, and the triggerer dies of "Response read out of order". Looking up a connection,
    which making a client begins with, is such a question.

    :param work: it may ask Airflow, in a thread or not.
    :return: its result.
    :raises asyncio.CancelledError: the wait was cancelled; the work is not.
    """
    task = asyncio.ensure_future(work)
    _going.add(task)  # the event loop keeps no task alive
    task.add_done_callback(_going.discard)
    return await asyncio.shield(task)
