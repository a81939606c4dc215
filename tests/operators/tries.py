"""A task instance across its tries, as Airflow treats it: retried, cleared, killed, its process dead at any step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.jobs import stores as attempt_stores
from airflow_provider_omics.jobs.batch.job import BatchJob
from airflow_provider_omics.jobs.run import RunJob
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import (
    BUCKET,
    DEFAULT_RUN_SETTING,
    ONE_TRY,
    RUN,
    Ended,
    TaskInstanceRecord,
    execute,
    fire,
    rebuilt,
    rendered,
    samples,
    stored,
)
from tests.operators.task_state_store import TaskStateStore

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

kinds = pytest.mark.parametrize("kind", ["run", "batch"])
waits = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
stores = pytest.mark.parametrize("store", ["task state", "S3"])

JOB: dict[str, Any] = {"run": RunJob, "batch": BatchJob}
START = {"run": "StartRun", "batch": "StartRunBatch"}
GET = {"run": "GetRun", "batch": "GetBatch"}
ENDED_WELL = {"run": "COMPLETED", "batch": "PROCESSED"}

STOPPED = ("STOPPING", "CANCELLED")
ALIVE = ("RUNNING", "SUBMITTING", "INPROGRESS")

LONG: dict[str, Any] = {"runs": [{"running": 2000.0, "cancel_takes": 600.0}]}
"""Runs of half an hour, which take long to stop."""

STAGING = f"s3://{BUCKET}/staging"


class Crash(BaseException):
    """The process is gone: SIGKILL, a dead node."""


@dataclass
class Instance(TaskInstanceRecord):
    """Stands for Airflow's task instance, which also tells its state where Airflow is asked."""

    state: str = "running"
    silent: bool = False

    def current_state(self) -> str:
        if self.silent:
            raise ConnectionError("the api-server is down")
        return self.state


class Task:
    """One task instance.

    It looks once a minute: most looks find nothing new, and each of them costs as much as a short test.

    :param emulator: the service.
    :param kind: ``"run"`` or ``"batch"``.
    :param deferrable: where it waits.
    :param store: ``"task state"``, ``"S3"`` or ``"none"``.
    :param connect: makes the connection.
    :param retries: of the task.
    """

    poll_interval = 60.0

    def __init__(
        self,
        emulator: OmicsEmulator,
        connect: Connect,
        *,
        kind: str = "run",
        deferrable: bool = False,
        store: str = "task state",
        retries: int = 2,
    ) -> None:
        self.emulator = emulator
        self.kind = kind
        self.deferrable = deferrable
        self.retries = retries
        self.instance = Instance(try_number=0, max_tries=retries)
        self.task_state_store = TaskStateStore() if store == "task state" else None
        self.arguments: dict[str, Any] = {}
        self.operator: Any = None
        self.before_execute: Callable[[Any], None] | None = None
        if store == "S3":
            connect({"staging_s3_uri": STAGING})

    def try_(self, **arguments: Any) -> Ended:
        """Run the next try to its end, or to the crash of its process.

        :param arguments: of the operator, from this try on: the DAG was changed.
        """
        self.arguments.update(arguments)
        self.instance.try_number += 1
        self.instance.state = "running"
        return self._perform(self._made())

    def clear(self) -> None:
        """Clear the task, as a user does: more tries are allowed than before."""
        self.instance.max_tries = self.instance.try_number + self.retries

    def kill(self, state: str | None) -> None:
        """Send SIGTERM to the worker, SIGKILL right after what ``on_kill`` does.

        :param state: what Airflow has the task in by then; None: it does not answer.
        """
        self.instance.silent = state is None
        self.instance.state = state or ""
        self.operator.on_kill()
        self.instance.silent = False
        raise Crash

    def lose_record(self) -> None:
        """Remove all that the task has stored of its attempts: by hand, by a lifecycle rule, by Airflow at a clear."""
        if self.task_state_store is not None:
            self.task_state_store.values.clear()
            return
        s3 = self.emulator.client("s3")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="staging/airflow-attempts/").get("Contents", [])
        for item in listed:
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])

    def started(self) -> list[dict[str, Any]]:
        """Tell the runs or batches ever started."""
        service = self.emulator.service
        return service.started_runs() if self.kind == "run" else service.started_batches()

    def statuses(self) -> list[str]:
        return [item["status"] for item in self.started()]

    def record(self) -> AttemptRecord | None:
        """Give the record as a new try would load it."""
        context: Any = self._context()
        operator = self._made()
        place = operator._open(context).job.place
        return attempt_stores.attempt_store(context, operator.hook, self._identity(), place).load()

    def id_of(self, result: dict[str, Any]) -> str:
        return str(result[f"{self.kind}_id"])

    def _identity(self) -> Any:
        return TaskIdentity.of(self.instance)

    def _context(self) -> dict[str, Any]:
        context: dict[str, Any] = {"ti": self.instance, "task_instance": self.instance}
        if self.task_state_store is not None:
            context["task_state_store"] = self.task_state_store
        return context

    def _made(self) -> Any:
        shared = {
            "task_id": self.instance.task_id,
            "deferrable": self.deferrable,
            "botocore_config": ONE_TRY,
            "retries": self.retries,
            "poll_interval": self.poll_interval,
        }
        if self.kind == "run":
            return OmicsStartRunOperator(**{**RUN, **shared, **self.arguments})
        batch = {"default_run_setting": DEFAULT_RUN_SETTING, "run_settings": samples("S1", "S2")}
        return OmicsStartRunBatchOperator(**{**batch, **shared, **self.arguments})

    def _perform(self, task: Any) -> Ended:
        ended = Ended()
        context = self._context()
        self.operator = rendered(task, context)
        if self.before_execute is not None:
            self.before_execute(self.operator)
        try:
            resumed: Any = None
            while True:
                try:
                    if resumed is None:
                        ended.result = execute(self.operator, context)
                    else:
                        ended.result = self.operator.resume_execution(*resumed, context)
                    break
                except TaskDeferred as deferral:
                    self.instance.state = "deferred"
                    ended.trigger = stored(deferral.trigger)
                    ended.event = self._waited(ended.trigger)
                    self.instance.state = "running"
                    self.operator = rendered(task, context)
                    resumed = deferral.method_name, {**(deferral.kwargs or {}), "event": ended.event}
        except BaseException as error:  # noqa: BLE001  # a crash too is what a test asks for
            ended.error = error
        return ended

    def _waited(self, trigger: Any) -> Any:
        while True:
            try:
                return fire(rebuilt(trigger))
            except Crash:
                continue  # a triggerer died: another one takes the trigger up, and no try has ended


class NewTask(Protocol):
    """Type of the fixture ``new_task``."""

    def __call__(self, kind: str = "run", **options: Any) -> Task: ...


@pytest.fixture
def new_task(emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect) -> NewTask:
    """Make a task instance, before its first try."""

    def new_task(kind: str = "run", **options: Any) -> Task:
        return Task(emulator, connect, kind=kind, **options)

    return new_task


@pytest.fixture
def looks_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tasks look every ten minutes: for tests of what comes of a wait, not of what happens during it."""
    monkeypatch.setattr(Task, "poll_interval", 600.0)


class CrashAt:
    """Let the process die before or after one of its writes, whichever store it has.

    :param write: number of the write, from 1: the request id, then the run's id.
    :param when: ``"before"`` or ``"after"``.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, write: int, when: str) -> None:
        self.write, self.when, self.written = write, when, 0
        for store in (
            attempt_stores.TaskStateAttemptStore,
            attempt_stores.S3AttemptStore,
            attempt_stores.TryAttemptStore,
        ):
            monkeypatch.setattr(store, "save", self._wrapped(store.save))

    def _wrapped(self, save: Any) -> Any:
        def saved(store: Any, record: AttemptRecord) -> None:
            self.written += 1
            if self.written == self.write and self.when == "before":
                raise Crash
            save(store, record)
            if self.written == self.write and self.when == "after":
                raise Crash

        return saved


def at_sleep(stepped: SteppedTime, act: Callable[[], object], *, number: int = 1) -> None:
    """Do something once, at the given sleep from now on."""
    left = [number]

    def slept() -> None:
        left[0] -= 1
        if left[0] == 0:
            stepped.at_sleep = None
            act()

    stepped.at_sleep = slept


def crash() -> None:
    raise Crash


def watch_starts(task: Task) -> list[list[str]]:
    """Note, at each start from now on, the statuses of what was started before."""
    found: list[list[str]] = []

    def listen(operator: Any) -> None:
        events = operator.hook.conn.meta.events
        events.register(f"before-call.omics.{START[task.kind]}", lambda **_: found.append(task.statuses()))

    task.before_execute = listen
    return found
