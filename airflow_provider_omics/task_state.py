"""The state that Airflow has a task in, by which the end of a process by a user is told from one by the machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def task_state(task_instance: Any) -> str | None:
    """Ask Airflow for the present state of a task instance; a call that may block.

    :param task_instance: ``context["ti"]``, or the ``task_instance`` of a trigger.
    :return: ``"running"``, ``"deferred"``, ``"failed"``, ...; None when it has none, as after a clear.
    """
    if hasattr(task_instance, "current_state"):  # Airflow 2: from the database
        state = task_instance.current_state()
        return str(state) if state else None
    # Airflow 3: through the supervisor. A trigger's task instance is a plain record without this method.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: TID251 - no such name in compat.sdk

    states = RuntimeTaskInstance.get_task_states(
        dag_id=task_instance.dag_id,
        task_ids=[task_instance.task_id],
        run_ids=[task_instance.run_id],
        map_index=task_instance.map_index,
    )
    # {run id: {task id: state}}; the key of a mapped task ends in its index.
    found = [state for by_task in states.values() for state in by_task.values()]
    return str(getattr(found[0], "value", found[0])) if found and found[0] else None


def asked_within(ask: Callable[[], str | None], seconds: float, log: Any) -> str | None:
    """Ask in a thread of its own, and give up after some time: asking inside a signal handler can deadlock.

    :param ask: asks for the state of a task.
    :param seconds: how long its answer is waited for.
    :param log: hears of an error of ``ask``.
    :return: the answer; None without one.
    """
    answers: list[str | None] = []

    def answer() -> None:
        try:
            answers.append(ask())
        except Exception:
            log.warning("Airflow did not tell the state of the task", exc_info=True)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None
