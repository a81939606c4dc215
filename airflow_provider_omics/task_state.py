"""The state that Airflow has a task in, by which the end of a process by a user is told from one by the machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError  # the built-in one from Python 3.11 on
from typing import Any, TypeVar

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
    :return: the state of each, as :func:`task_state` gives it.
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
    """Give the key under which Airflow's answer has a task instance: that of a mapped one ends in its index."""
    index = task_instance.map_index
    return str(task_instance.task_id) if index < 0 else f"{task_instance.task_id}_{index}"


def asked_within(ask: Callable[[], str | None], seconds: float, log: Any) -> str | None:
    """Ask in a thread of its own, and give up after some time: asking inside a signal handler can deadlock.

    :param ask: asks for the state of a task.
    :param seconds: how long its answer is waited for.
    :param log: hears of an error of ``ask``.
    :return: the answer; None without one.
    """

    def answer() -> str | None:
        try:
            return ask()
        except Exception:
            log.warning("Airflow did not tell the state of the task", exc_info=True)
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
    :raises Exception: what ``ask`` raises.
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
