"""The states of tasks whose triggers are cancelled, asked of Airflow together.

A triggerer that stops cancels all of its triggers at once, as does a user who marks a DAG run of a thousand mapped
tasks. Airflow answers one question after the other, in some 10 ms each: asked one by one, the last would not be
answered in the time that a kill may take.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import Any

from asgiref.sync import sync_to_async

from airflow_provider_omics.task_state import task_states
from airflow_provider_omics.waiting.uninterrupted import uninterrupted

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
    :return: as of :meth:`TaskStates.of`, which also tells what is raised.
    """
    with _lock:
        states = _of_loops.setdefault(asyncio.get_running_loop(), TaskStates())
    return await states.of(task_instance)
