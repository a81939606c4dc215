"""What the scripts of several modules do to a task: kill its worker, mark it, clear it."""

from __future__ import annotations

import os
import signal
import time

from tests.e2e.stage import Script, Stage, Task


def kill_worker(task: Task) -> Script:
    """Kill the process of a task that waits on a worker."""
    yield lambda: task.is_waiting("running")
    os.kill(task.pid, signal.SIGKILL)


def mark(task: Task, mode: str, state: str, stage: Stage) -> Script:
    """Mark a task that waits (``deferred`` or ``running``) as ended."""
    yield lambda: task.is_waiting(mode)
    task.notes["acted"] = time.time()
    stage.client.mark(task.dag_id, task.run_id, task.name, state)


def clear(task: Task, mode: str, stage: Stage) -> Script:
    """Clear a task that waits."""
    yield lambda: task.is_waiting(mode)
    task.notes["acted"] = time.time()
    stage.client.clear(task.dag_id, task.run_id, task.name)


def clear_when(task: Task, state: str, stage: Stage) -> Script:
    """Clear a task that has ended, and wait for its next try."""
    yield lambda: task.state == state
    tries = task.tries
    stage.client.clear(task.dag_id, task.run_id, task.name)
    yield lambda: task.tries > tries
