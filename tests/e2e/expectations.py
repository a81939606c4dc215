"""What each case asserts, whatever was done to it."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from tests.e2e.emulators import CANCEL_TAKES
from tests.e2e.stage import KINDS, RUNS_PER_BATCH, Task

for_each_kind = pytest.mark.parametrize("kind", KINDS)
"""Runs a test for a task that starts a run, and for one that starts a batch."""

_COMPLETED = {"run": "COMPLETED", "batch": "PROCESSED"}


def assert_outcome(
    task: Task,
    state: str,
    *,
    starts: int = 1,
    tries: int = 1,
    cancelled: tuple[int, ...] = (),
    result: int = -1,
) -> None:
    """Check what became of a task: its state, its result, and what it has started.

    :param state: its final state.
    :param starts: how many runs or batches it has started; each batch starts its two runs, no more.
    :param tries: how many tries it took at least. On a machine that is too busy Airflow itself loses a task now and
        then and tries it again (a heartbeat that comes late, an executor's report of a try before); it still counts
        as one start.
    :param cancelled: which of what it has started was cancelled, by number; all others ended by themselves.
    :param result: which of what it has started a task that succeeds has returned; default: the last.
    """
    assert task.stuck is None
    assert task.state == state
    assert len(task.started) == starts, task.started
    assert len({item["requestId"] for item in task.started}) == starts
    if task.kind == "batch":
        assert len(task.members) == RUNS_PER_BATCH * starts
    assert task.active == [], "left running"
    ids = [task.started[number]["id"] for number in cancelled]
    assert set(task.cancelled) == {
        *ids,
        *(member["id"] for member in task.members if member["batchId"] in ids),
    }
    assert task.tries >= tries
    if state == "success" and task.started[result]["id"] not in ids:
        assert_result(task, task.started[result])


def assert_result(task: Task, started: dict[str, object]) -> None:
    """Check that a task has returned what became of the run or batch that it waited for.

    :param started: the run or batch, as the emulator tells it.
    """
    assert task.result is not None
    assert task.result[f"{task.kind}_id"] == started["id"]
    assert task.result["status"] == _COMPLETED[task.kind]
    if task.kind == "batch":
        counts = {name: task.result[name] for name in ("succeeded", "total_runs", "completed_runs")}
        assert counts == {"succeeded": True, "total_runs": RUNS_PER_BATCH, "completed_runs": RUNS_PER_BATCH}


def last_stop(task: Task, number: int = 0) -> datetime:
    """Tell when the last run ended of what a task has started.

    :param number: which of what it has started.
    """
    started = task.started[number]
    runs = [started] if task.kind == "run" else [run for run in task.members if run["batchId"] == started["id"]]
    return max(datetime.fromisoformat(run["stopTime"]) for run in runs)


def time_of(moment: str) -> datetime:
    """Read a time of Airflow's or of the emulator's."""
    return datetime.fromisoformat(moment.replace("Z", "+00:00"))


def seconds_to_cancel(task: Task) -> float:
    """Tell how long it took from the user's action until the last run was told to stop."""
    return last_stop(task).timestamp() - CANCEL_TAKES - float(task.notes["acted"])


def assert_waited(task: Task) -> None:
    """Check that a new batch has waited for the end of the old one, and a new run has not."""
    waited = time_of(task.started[1]["creationTime"]) > last_stop(task)
    assert waited is (task.kind == "batch")


def assert_ends_with_one_error(
    log: str, name: str, verdict: str, below: tuple[str, ...] = ("cause: ", "action: ")
) -> list[str]:
    """See that a log ends with one error: the verdict on its first line, cause and action below, and no other error.

    :param log: of one try.
    :param name: class of the error.
    :param verdict: how the first line begins, or a part of it.
    :param below: how the lines below it begin; a line of AWS's may stand among them.
    :return: these lines.
    """
    errors = re.findall(r'"exc_type": ?"(\w+)"', log) or re.findall(r"^(?:\w+\.)*(\w+): .*$", log, re.MULTILINE)
    assert errors.count(name) == 1, log[-5000:]
    assert "During handling of the above exception" not in log
    assert "direct cause of the following exception" not in log
    end = log[log.rindex(verdict) :].replace("\\n", "\n")
    told = [line for line in end.splitlines()[1:] if not line.startswith("  AWS says: ")][: len(below)]
    assert [line.startswith(f"  {lead}") for line, lead in zip(told, below, strict=True)] == [True] * len(below), told
    return told
