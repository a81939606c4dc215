"""Plays scripts on a running Airflow: each waits for what it wants to see, disturbs, and waits again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.deployment import Deployment
from tests.e2e.emulators import CANCEL_TAKES, EmulatorProcess, SteppedEmulator
from tests.e2e.processes import pause
from tests.e2e.rest import AirflowClient

KINDS = ("run", "batch")
"""What a task starts; its task id begins so."""

RUNS_PER_BATCH = 2

ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")
ACTIVE = ("CREATING", "INPROGRESS", "PENDING", "STARTING", "RUNNING", "STOPPING")
"""Statuses of runs and batches that have not ended."""

Condition = Callable[[], bool]
Script = Iterator[Condition]
"""Yields what it waits for, and goes on when that is so."""


@dataclass
class Task:
    """A task instance and what it has started, as last seen.

    :param dag_id: its DAG.
    :param run_id: its DAG run.
    :param name: its task id; with ``[index]`` when mapped.
    :param logs: where Airflow writes the logs of its tries.
    :param seen: what Airflow tells of it.
    :param started: the runs or batches that bear its identity, oldest first.
    :param members: the runs of those batches.
    :param result: what it has returned, once it has ended.
    :param stuck: what its script waited for in vain, or how it broke; None: nothing.
    :param seconds: how long it took from the trigger of its DAG run.
    :param notes: what its script has measured.
    """

    dag_id: str
    run_id: str
    name: str
    logs: Path
    seen: dict[str, Any] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    members: list[dict[str, Any]] = field(default_factory=list)
    result: Any = None
    stuck: str | None = None
    seconds: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Whether it starts a run or a batch."""
        return "batch" if self.name.startswith("batch_") else "run"

    @property
    def state(self) -> str | None:
        """Its state in Airflow."""
        state: str | None = self.seen.get("state")
        return state

    @property
    def tries(self) -> int:
        """Number of its last try."""
        return int(self.seen.get("try_number") or 0)

    @property
    def pid(self) -> int:
        """Process id of its try on a worker."""
        return int(self.seen["pid"])

    @property
    def statuses(self) -> list[str]:
        """Statuses of what it has started, oldest first."""
        return [str(item["status"]) for item in self.started]

    @property
    def active(self) -> list[str]:
        """Ids of what it has left going."""
        return [item["id"] for item in (*self.started, *self.members) if item["status"] in ACTIVE]

    @property
    def cancelled(self) -> list[str]:
        """Ids of runs and batches that were cancelled."""
        return [item["id"] for item in (*self.started, *self.members) if item["status"] == "CANCELLED"]

    def is_waiting(self, state: str) -> bool:
        """Whether it waits in a state (``deferred``, ``running``) for what it has started, which goes.

        It has looked already: Airflow drops a trigger that is killed before its first step without a word. And it has
        nothing more to say for long: a process whose supervisor is dead ends at its next line of log.
        """
        if self.state != state or not self.started or self.statuses[-1] not in ("INPROGRESS", "RUNNING"):
            return False
        pattern = f"attempt={self.tries}.log" + (".trigger.*" if state == "deferred" else "")
        progress = "RUNNING" if self.kind == "run" else f"INPROGRESS: running {RUNS_PER_BATCH} of {RUNS_PER_BATCH}"
        seen = f"{self.kind.capitalize()} {self.started[-1]['id']}: {progress}"
        return any(seen in log.read_text() for log in self.logs.glob(pattern))


class Stage:
    """Some DAG runs of one deployment, and the emulators that they use.

    :param deployment: where they run.
    :param emulators: what they start runs on, by name.
    :param stepped: one more, whose clock the scripts step. Default: none.
    """

    def __init__(
        self,
        deployment: Deployment,
        emulators: Mapping[str, EmulatorProcess],
        stepped: SteppedEmulator | None = None,
    ) -> None:
        self.deployment = deployment
        self.emulators = emulators
        self.stepped = stepped
        self.tasks: dict[tuple[str, str], Task] = {}
        self.dag_runs: dict[str, str] = {}
        self._queue: list[str] = []
        self._scripts: list[tuple[Script, tuple[Task, ...], list[Condition]]] = []
        self._began = time.monotonic()

    @property
    def client(self) -> AirflowClient:
        """Airflow's REST API."""
        return self.deployment.client

    def trigger(self, dag_id: str, run_id: str = "e2e") -> None:
        """Put a DAG run in the queue; many at once would starve each other."""
        self.dag_runs[dag_id] = run_id
        self._queue.append(dag_id)

    def task(self, dag_id: str, name: str) -> Task:
        """Give a task instance; it need not exist yet."""
        run_id = self.dag_runs[dag_id]
        logs = self.deployment.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={name}"
        return self.tasks.setdefault((dag_id, name), Task(dag_id, run_id, name, logs))

    def triggerers(self) -> int:
        """Count the triggerers that are alive."""
        return self.client.alive_jobs("TriggererJob")

    def reports(self, task: Task) -> int:
        """Count the processes of a task whose end the scheduler knows: Airflow loses a task that is taken up before."""
        log = (self.deployment.home / "scheduler.log").read_text()
        key = f"TaskInstanceKey(dag_id='{task.dag_id}', task_id='{task.name}', run_id='{task.run_id}'"
        return sum(log.count(f"executor event with state {state} for task instance {key}") for state in ENDED[:2])

    def add(self, script: Script, *tasks: Task) -> None:
        """Add a script; its troubles are noted with the tasks that it is about."""
        self._scripts.append((script, tasks, []))

    def play(self, seconds: float) -> None:
        """Go on until all scripts and all DAG runs have ended, or time is up; then see what became of the tasks.

        :param seconds: the time; what is not done by then is noted with the tasks.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._observe()
            self.trigger_next()
            self._scripts = [entry for entry in self._scripts if self._advance(*entry)]
            if (
                self.tasks
                and not self._queue
                and not self._scripts
                and all(task.state in ENDED for task in self.tasks.values())
            ):
                break
            pause(0.4)
        for script, tasks, _ in self._scripts:
            self._note(tasks, f"{getattr(script, '__name__', script)} still waited after {seconds:.0f} s")
        self._settle()

    def trigger_next(self) -> None:
        """Start the next DAG run if the tasks of those before it have started what they start."""
        if self._queue and all(task.started or task.state in ENDED for task in self._triggered()):
            dag_id = self._queue.pop(0)
            self.client.trigger(dag_id, self.dag_runs[dag_id])

    def _triggered(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.dag_id not in self._queue]

    def _advance(self, script: Script, tasks: tuple[Task, ...], waits_for: list[Condition]) -> bool:
        """Let a script go on as far as it can; False: it has ended."""
        try:
            while not waits_for or waits_for[0]():
                waits_for[:] = [next(script)]
        except StopIteration:
            return False
        except Exception as error:  # noqa: BLE001 - a script that breaks fails its own cases, not all others
            self._note(tasks, repr(error))
            return False
        return True

    def _note(self, tasks: tuple[Task, ...], text: str) -> None:
        for task in tasks:
            task.stuck = task.stuck or text

    def _observe(self) -> None:
        try:
            for dag_id, run_id in self.dag_runs.items():
                if dag_id in self._queue:
                    continue
                for seen in self.client.task_instances(dag_id, run_id):
                    self._see(dag_id, seen)
        except httpx.TransportError:
            pass  # the api-server is down, on purpose: what was seen last holds
        emulators: list[EmulatorProcess | SteppedEmulator] = [*self.emulators.values()]
        if self.stepped is not None:
            emulators.append(self.stepped)
        self._assign([item for emulator in emulators for item in emulator.started()])

    def _see(self, dag_id: str, seen: Mapping[str, Any]) -> None:
        index = seen["map_index"]
        if index < 0 and seen["task_id"].endswith("_mapped"):
            return  # not expanded yet
        task = self.task(dag_id, seen["task_id"] if index < 0 else f"{seen['task_id']}[{index}]")
        task.seen = dict(seen)
        task.seconds = time.monotonic() - self._began if task.state in ENDED else None

    def _assign(self, started: list[dict[str, Any]]) -> None:
        by_task: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for item in started:
            tags = item["tags"]
            name, index = tags.get("airflow:task_id", ""), tags.get("airflow:map_index", "-1")
            key = (tags.get("airflow:dag_id", ""), name if index == "-1" else f"{name}[{index}]")
            by_task.setdefault(key, []).append(item)
        for key, items in by_task.items():
            if key in self.tasks:
                members = [item for item in items if item.get("batchId")]
                self.tasks[key].members = members
                self.tasks[key].started = [item for item in items if item not in members]

    def _settle(self) -> None:
        """Let cancelled runs come to their end, then read results."""
        end = time.monotonic() + CANCEL_TAKES + 10
        while any(task.active for task in self.tasks.values()) and time.monotonic() < end:
            self._observe()
            pause(0.4)
        for task in self.tasks.values():
            task_id, _, index = task.name.partition("[")
            task.result = self.client.result(task.dag_id, task.run_id, task_id, int(index.rstrip("]") or -1))
