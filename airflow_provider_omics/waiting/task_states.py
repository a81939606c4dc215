"""Task states from Airflow, which distinguish a user's end of a task from the machine's.

A triggerer that stops cancels all of its triggers at once, as does a user who marks a DAG run of a thousand mapped
tasks. Airflow answers one question after the other, in some 10 ms each: asked one by one, the last would not be
answered in the time that a kill may take. So :func:`state_of` asks for many together.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the built-in one from Python 3.11 on
from typing import Any, TypeVar

from asgiref.sync import sync_to_async

from airflow_provider_omics.waiting.task_log import TaskLog
from airflow_provider_omics.waiting.uninterrupted import uninterrupted

T = TypeVar("T")


def task_state(task_instance: Any) -> str | None:
    """Ask Airflow for the present state of a task instance; a call that may block.

    :param task_instance: ``context["ti"]``, or the ``task_instance`` of a trigger.
    :return: ``"running"``, ``"deferred"``, ``"failed"``, ...; None when it has none, as after a clear.
    """
    return task_states([task_instance])[0]


def task_states(task_instances: Sequence[Any]) -> list[str | None]:
    """Ask Airflow for the present states of instances of one task, in one question from Airflow 3 on.

    :param task_instances: all of the same DAG and task; at least one.
    :return: the state of each, as of :func:`task_state`.
    """
    first = task_instances[0]
    if hasattr(first, "current_state"):  # Airflow 2: from the database
        return [str(state) if (state := instance.current_state()) else None for instance in task_instances]
    # Airflow 3: through the supervisor. A trigger's task instance is a plain record without this method.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: TID251 - no such name in compat.sdk

    indexes = {instance.map_index for instance in task_instances}
    found = RuntimeTaskInstance.get_task_states(
        dag_id=first.dag_id,
        task_ids=[first.task_id],
        run_ids=sorted({instance.run_id for instance in task_instances}),
        map_index=first.map_index if len(indexes) == 1 else None,
    )
    states = [found.get(instance.run_id, {}).get(_key(instance)) for instance in task_instances]
    return [str(getattr(state, "value", state)) if state else None for state in states]


def _key(task_instance: Any) -> str:
    """Return the key of a task instance in Airflow's answer: that of a mapped one ends in its index."""
    index = task_instance.map_index
    return str(task_instance.task_id) if index < 0 else f"{task_instance.task_id}_{index}"


def asked_within(ask: Callable[[], str | None], seconds: float, log: Any) -> str | None:
    """Ask in a thread of its own, and give up after some time: asking inside a signal handler can deadlock.

    :param ask: asks for the state of a task.
    :param seconds: how long its answer is waited for.
    :param log: gets an error of ``ask``.
    :return: the answer; None without one.
    """

    def answer() -> str | None:
        try:
            return ask()
        except Exception:  # noqa: BLE001 - told in the log
            TaskLog(log).warning("Airflow did not return the task's state", exc_info=True)
            return None

    try:
        return within(answer, seconds)
    except TimeoutError:
        return None


def within(ask: Callable[[], T], seconds: float) -> T:
    """Ask in a thread of its own, which is left alone when its answer takes too long.

    :param ask: asks.
    :param seconds: how long its answer is waited for.
    :return: the answer.
    :raises TimeoutError: there is none yet.
    :raises Exception: as ``ask`` does.
    """
    future: Future[T] = Future()

    def answer() -> None:
        try:
            future.set_result(ask())
        except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
            future.set_exception(error)

    threading.Thread(target=answer, daemon=True).start()
    try:
        return future.result(seconds)
    except FutureTimeoutError:
        raise TimeoutError(f"no answer within {seconds:g} s") from None


GATHER = 0.05
"""Seconds for which questions are gathered."""

TOGETHER = 100
"""Task instances in one question."""

AT_ONCE = 2
"""Questions under way at once: they share the threads of the event loop with all triggers."""

PATIENCE = 5.0
"""Seconds for Airflow's answer, from the moment at which the question is put."""

Asked = list[tuple[Any, "asyncio.Future[str | None]"]]


class TaskStates:
    """Asks for the states of tasks in one event loop."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], Asked] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._questions: set[asyncio.Task[None]] = set()

    async def of(self, task_instance: Any) -> str | None:
        """Ask for the present state of a task instance.

        :param task_instance: the ``task_instance`` of a trigger.
        :return: ``"deferred"``, ``"failed"``, ...; None when it has none, as after a clear.
        :raises asyncio.TimeoutError: Airflow did not answer in time.
        :raises Exception: as Airflow's own call.
        """
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        task = (task_instance.dag_id, task_instance.task_id)
        if task not in self._asked:
            self._asked[task] = []
            question = asyncio.ensure_future(self._ask(task))
            self._questions.add(question)
            question.add_done_callback(self._questions.discard)
        self._asked[task].append((task_instance, answer))
        return await answer

    async def _ask(self, task: tuple[str, str]) -> None:
        await asyncio.sleep(GATHER)
        asked = self._asked.pop(task)
        for first in range(0, len(asked), TOGETHER):
            async with self._room:
                await self._put(asked[first : first + TOGETHER])

    async def _put(self, asked: Asked) -> None:
        # Not in the one thread in which Airflow's triggers open their connections, ours included: an answer that does
        # not come must not hold it up.
        put = sync_to_async(task_states, thread_sensitive=False)
        try:
            states = await asyncio.wait_for(uninterrupted(put([instance for instance, _ in asked])), PATIENCE)
        except Exception as error:  # noqa: BLE001 - raised where the answers are awaited
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), state in zip(asked, states, strict=True):
            if not answer.done():
                answer.set_result(state)


_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, TaskStates] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


async def state_of(task_instance: Any) -> str | None:
    """Ask for the present state of a task instance, together with all that ask in this event loop.

    :param task_instance: the ``task_instance`` of a trigger.
    :return: as :meth:`TaskStates.of`, which documents the errors too.
    """
    with _lock:
        states = _of_loops.setdefault(asyncio.get_running_loop(), TaskStates())
    return await states.of(task_instance)
