"""A small model of Airflow: one task instance, its workers, triggerers and orphans, on the emulator in process.

Each process is a thread that runs only when it is told to, until it sleeps or ends: the order of events is the test's
own. What is modelled is what Airflow was measured to do: a retry and a clear give the task instance a new id, which
closes the task state store to the processes of earlier tries; only a clear changes ``max_tries``; SIGKILL follows
``on_kill``; the process of a try can outlive its supervisor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowTaskTimeout, TaskDeferred

from airflow_provider_omics.core.wait.flow import cancel, time_limits, wait
from airflow_provider_omics.emulator import in_process_client
from airflow_provider_omics.hooks.driver import Driver
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, TASK_LOG, execute, rebuilt, samples, stored
from tests.operators.task_state_store import TaskStateStore
from tests.operators.tries import Crash, Instance

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

EXECUTION_TIMEOUT = timedelta(seconds=6000)
RETRIES = 2
KILL_SECONDS = 25.0
STALL_SECONDS = 40.0
"""How long a triggerer can stand still; after it, it finds that its triggers are another's, and kills its own."""


class Process:
    """A thread that runs between two sleeps when it is told to.

    :param airflow: whose clock it sleeps by.
    :param work: what it does.
    :param timeout_at: when Airflow's own timeout strikes it; None: never.
    """

    def __init__(self, airflow: SmallAirflow, work: Callable[[], Any], *, timeout_at: float | None = None) -> None:
        self.airflow = airflow
        self.work = work
        self.timeout_at = timeout_at
        self.wake = airflow.now
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.operator: Any = None
        self.deadline: float | None = None
        self.try_number = airflow.try_number
        self._poison: BaseException | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        airflow.by_thread[self._thread] = self

    def resume(self, poison: BaseException | None = None) -> None:
        """Let it run until it sleeps or ends; ``poison`` is raised where it sleeps."""
        self._poison = poison
        self._go.release()
        self._back.acquire()
        if self.done:
            self._thread.join()
            del self.airflow.by_thread[self._thread]

    def sleep(self, seconds: float) -> None:
        """Give the turn back until some time has passed; called by the thread itself."""
        self.wake = self.airflow.now + seconds
        if self.timeout_at is not None:
            self.wake = min(self.wake, self.timeout_at)
        self._back.release()
        self._go.acquire()
        if self._poison is not None:
            raise self._poison
        if self.timeout_at is not None and self.airflow.now >= self.timeout_at:
            self.timeout_at = None
            if self.try_number == self.airflow.try_number:
                self.airflow.ask_to_cancel()
            raise AirflowTaskTimeout("Timeout")

    def _run(self) -> None:
        self._go.acquire()
        try:
            self.result = self.work() if self._poison is None else None
        except BaseException as error:  # noqa: BLE001  # the model reads it
            self.error = error
        self.done = True
        self._back.release()


class _State(TaskStateStore):
    """The task state store as one try sees it: closed once the task instance has a new id."""

    def __init__(self, airflow: SmallAirflow) -> None:
        super().__init__()
        self.values = airflow.state_values
        self._airflow, self._instance_id = airflow, airflow.instance_id

    @property
    def closed(self) -> bool:
        return self._instance_id != self._airflow.instance_id

    @closed.setter
    def closed(self, closed: bool) -> None:
        assert not closed


class _Instance(Instance):
    airflow: SmallAirflow

    def xcom_push(self, key: str, value: Any, **more: Any) -> None:
        if self.airflow.xcom_is_down:
            raise RuntimeError("XCom is down")
        super().xcom_push(key, value, **more)

    def current_state(self) -> str:
        if self.airflow.silent:
            raise ConnectionError("the api-server is down")
        return self.airflow.state


class SmallAirflow:
    """One task instance of one DAG run.

    :param emulator: HealthOmics.
    :param kind: ``"run"`` or ``"batch"``.
    :param deferrable: where it waits.
    :param has_state_store: whether Airflow keeps task state (3.3); otherwise the connection names a place in S3.
    """

    def __init__(self, emulator: OmicsEmulator, *, kind: str, deferrable: bool, has_state_store: bool) -> None:
        self.emulator = emulator
        self.kind = kind
        self.deferrable = deferrable
        self.has_state_store = has_state_store
        self.arguments: dict[str, Any] = {}
        self.collects = False
        """Whether the task collects results while its batch goes: one of two samples ends early."""
        self.state = ""
        self.silent = False
        self.xcom_is_down = False
        self.try_number = 0
        self.max_tries = RETRIES
        self.instance_id = 0
        self.state_values: dict[str, str] = {}
        self.worker: Process | None = None
        self.trigger: Process | None = None
        self.plan: Any = None
        self.carried: dict[str, Any] = {}
        """What the task carries through its deferral."""
        self.orphans: list[Process] = []
        self.stalled: Process | None = None
        """The trigger in a triggerer that stands still."""
        self.by_thread: dict[threading.Thread, Process] = {}
        self.after_each_turn: Callable[[], None] = lambda: None
        self.asked: set[str] = set()
        """Ids of runs or batches that somebody who may has asked to cancel."""
        self.results: list[dict[str, Any]] = []

    @property
    def now(self) -> float:
        return self.emulator.clock.now().timestamp()

    def sleep(self, seconds: float) -> None:
        """Sleep, as the process whose thread calls; the threads of ``on_kill`` let all time pass at once."""
        process = self.by_thread.get(threading.current_thread())
        if process is None:
            self.emulator.advance(seconds)
        else:
            process.sleep(seconds)

    def started(self) -> list[dict[str, Any]]:
        service = self.emulator.service
        return service.started_runs() if self.kind == "run" else service.started_batches()

    def ask_to_cancel(self) -> None:
        """Note that what is going now may be cancelled."""
        self.asked.update(item["id"] for item in self.started())

    def pass_time(self, seconds: float) -> None:
        """Let time pass; each process runs when it wakes."""
        end = self.now + seconds
        while True:
            due = [process for process in self.processes() if process.wake <= end]
            if not due:
                break
            process = min(due, key=lambda process: process.wake)
            self.emulator.advance(max(0.0, process.wake - self.now))
            self._turn(process)
        self.emulator.advance(max(0.0, end - self.now))

    def processes(self) -> list[Process]:
        return [process for process in (self.worker, self.trigger, self.stalled, *self.orphans) if process is not None]

    # -- what Airflow does -----------------------------------------------------------------------------------------

    def begin_try(self) -> None:
        """Let the scheduler start the next try on a worker."""
        self.try_number += 1
        self.state = "running"
        self._work(execute, deadline=True)

    def worker_dies(self) -> None:
        """SIGKILL: the supervisor notices, and the task is retried or failed."""
        assert self.worker is not None
        self._end(self.worker)
        self.worker = None
        self._retry_or_fail()

    def worker_is_orphaned(self) -> None:
        """The supervisor dies: the task is retried or failed, its process lives on."""
        assert self.worker is not None
        if self.worker_has_no_retry():
            self.ask_to_cancel()  # nobody will adopt it: a later SIGTERM may cancel, and so may its own deadline
        self.orphans.append(self.worker)
        self.worker = None
        self._retry_or_fail()

    def worker_is_told_to_end(self) -> None:
        """SIGTERM by the machine: a deploy, a drained node, an api-server that is down."""
        assert self.worker is not None
        if self.worker_has_no_retry():
            self.ask_to_cancel()
        self.worker.operator.on_kill()
        self.worker_dies()

    @property
    def is_collecting(self) -> bool:
        """Whether a worker is collecting what has ended of a batch that goes on."""
        task = None if self.worker is None else self.worker.operator._task
        return task is not None and task._is_collecting

    def worker_has_no_retry(self) -> bool:
        """Tell whether its SIGTERM may cancel: nobody would adopt the batch, and it is not collecting meanwhile."""
        return self.try_number > self.max_tries and not self.is_collecting

    def orphan_is_told_to_end(self, orphan: Process) -> None:
        """SIGTERM and SIGKILL for the process of an earlier try."""
        if self.state in ("failed", "success"):
            self.ask_to_cancel()  # nobody will adopt what it has, and Airflow tells it so
        self.orphans.remove(orphan)
        orphan.operator.on_kill()
        self._end(orphan)

    def triggerer_is_replaced(self, *, stalled: bool) -> None:
        """Another triggerer takes the trigger up; the first one is dead, or only slow."""
        assert self.trigger is not None
        if stalled and self.stalled is None:
            self.stalled = self.trigger
            self.stalled.wake = self.now + STALL_SECONDS
        else:
            self._end(self.trigger)
        self._wait()

    def mark(self, state: str) -> None:
        """Let a user mark the task ``failed`` or ``success``."""
        self.ask_to_cancel()
        waited = self.state == "deferred"
        self.state = state
        self._stop_by_user(waited=waited)

    def clear(self) -> None:
        """Let a user clear the task."""
        self.ask_to_cancel()
        waited = self.state == "deferred"
        self.state = "restarting" if self.state == "running" else ""
        self.instance_id += 1
        self._stop_by_user(waited=waited)
        self.max_tries = self.try_number + RETRIES
        self.state = ""

    def lose_record(self) -> None:
        """Remove what the task has stored of its attempts."""
        self.state_values.clear()
        s3 = in_process_client(self.emulator, "s3")
        for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="staging/airflow-attempts/").get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])

    def end(self) -> None:
        """End all processes."""
        for process in self.processes():
            self._end(process)

    def _stop_by_user(self, *, waited: bool) -> None:
        if self.worker is not None:
            self.worker.operator.on_kill()
            self._end(self.worker)
            self.worker = None
        if waited:
            assert self.trigger is not None
            self._end(self.trigger)
            self.trigger = None
            self._kill_trigger(by_user=True)

    def _kill_trigger(self, *, by_user: bool) -> None:
        """Do what ``on_kill`` of a trigger does: nothing while Airflow still has the task waiting."""
        if self.state == "deferred":
            assert not by_user
            return
        driver = Driver(self._operator().hook, TASK_LOG)
        driver.drive(cancel(self.plan, patience=KILL_SECONDS, settle=KILL_SECONDS))

    def _retry_or_fail(self) -> None:
        if self.try_number > self.max_tries:
            self.state = "failed"
        else:
            self.state = "up_for_retry"
            self.instance_id += 1

    def _work(self, do: Callable[[Any, Any], Any], *, deadline: bool) -> None:
        operator = self._operator()
        instance = _Instance(try_number=self.try_number, max_tries=self.max_tries)
        instance.airflow = self
        context: dict[str, Any] = {"ti": instance, "task_instance": instance}
        if self.has_state_store:
            context["task_state_store"] = _State(self)
        timeout_at = self.now + EXECUTION_TIMEOUT.total_seconds() if deadline else None
        self.worker = Process(self, lambda: do(operator, context), timeout_at=timeout_at)
        self.worker.operator = operator
        if deadline:
            self.worker.deadline = time_limits(EXECUTION_TIMEOUT, self.now)["deadline"]
        self._turn(self.worker)

    def _wait(self) -> None:
        operator = self._operator()
        self.trigger = Process(self, lambda: Driver(operator.hook, TASK_LOG).drive(wait(self.plan)).to_payload())
        self.trigger.deadline = self.plan.deadline
        self._turn(self.trigger)

    def _operator(self) -> Any:
        shared = {
            "task_id": "a_task",
            "deferrable": self.deferrable,
            "poll_interval": 300.0,
            "patience": timedelta(seconds=2000),
            "execution_timeout": EXECUTION_TIMEOUT,
            "failure_log_lines": 0,
            "retries": RETRIES,
            "retry_permanent_failures": True,  # the emulated failures are; here they stand for any
            **self.arguments,
        }
        if self.kind == "run":
            operator: Any = OmicsStartRunOperator(**{**RUN, **shared})
        else:
            batch: dict[str, Any] = {"default_run_setting": DEFAULT_RUN_SETTING, "run_settings": samples("S1")}
            if self.collects:
                uri = f"s3://{BUCKET}/results/a_task.jsonl.gz"
                batch |= {"run_settings": samples("S1", "EARLY"), "results_s3_uri": uri, "collect_every": 300.0}
            operator = OmicsStartRunBatchOperator(**{**batch, **shared})
        operator._log = TASK_LOG
        return operator

    def _turn(self, process: Process) -> None:
        if process is self.stalled:
            self.stalled = None
            self._end(process)
            self._kill_trigger(by_user=False)
            return
        process.resume()
        self.after_each_turn()
        if process.done:
            self._ended(process)

    def _end(self, process: Process) -> None:
        if not process.done:
            process.resume(Crash())
        assert process.done, "a process survived its SIGKILL"

    def _ended(self, process: Process) -> None:
        if process in self.orphans:
            self.orphans.remove(process)
        elif process is self.trigger:
            self.trigger = None
            assert process.error is None, process.error
            self.state = "running"
            kwargs = {**self.carried, "event": process.result}
            self._work(lambda operator, context: operator.execute_complete(context, **kwargs), deadline=False)
        elif process is self.worker:
            self.worker = None
            self._worker_ended(process)

    def _worker_ended(self, process: Process) -> None:
        error = process.error
        if error is None:
            self.state = "success"
            self.results.append(process.result)
        elif isinstance(error, TaskDeferred):
            self.state = "deferred"
            self.plan, self.carried = rebuilt(stored(error.trigger)).plan, error.kwargs or {}
            self._wait()
        elif isinstance(error, AirflowFailException):
            self.state = "failed"
        else:
            self._retry_or_fail()
