"""What the tests of the Airflow side share.

A local HealthOmics with a stepped clock, that clock in the place of ours, and tasks that are run alone: rendered and
executed as Airflow does it, deferral included, without a database. What ``dag.test()`` adds is tested with ``run_dag``.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import json
import logging
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from airflow.providers.amazon.aws.hooks import base_aws
from airflow.providers.common.compat.sdk import BaseSensorOperator, TaskDeferred

import airflow_provider_omics
from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from airflow_provider_omics.triggers import base as triggers_base
from airflow_provider_omics.triggers import workflow as triggers_workflow
from airflow_provider_omics.waiting import client as waiting_client
from airflow_provider_omics.waiting import poller as waiting_poller

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_omics.hooks.omics import OmicsHook

ROLE = "arn:aws:iam::123456789012:role/omics"
BUCKET = "genomics-outputs"
OUTPUT = f"s3://{BUCKET}/runs"
ONE_TRY = {"retries": {"total_max_attempts": 1}}
"""botocore's retries sleep in wall time: where a test provokes errors, they are turned off."""

RUN: dict[str, Any] = {"workflow_id": "1234567", "role_arn": ROLE, "output_uri": OUTPUT}
"""The least that OmicsStartRunOperator takes."""

DEFAULT_RUN_SETTING = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": OUTPUT}
"""The least that OmicsStartRunBatchOperator takes for all its runs."""


TASK_LOG = logging.getLogger("tests.task_log")
"""Takes the place of the logs of tasks and triggers, which Airflow 3 keeps away from the standard library."""

_TASK_LOGS = (TASK_LOG.name, "airflow.task.operators.airflow_provider_omics", "airflow_provider_omics")


def _modules_with_time() -> Iterator[ModuleType]:
    """Load the modules that may wait or look at the time: a running task loads most of them as late as it can."""
    root = Path(airflow_provider_omics.__file__).parent
    for name in ("hooks", "jobs", "results", "sensors", "triggers", "waiting"):
        for path in (root / name).rglob("*.py"):
            if "\nimport time\n" in path.read_text(encoding="utf-8"):
                module = ".".join(path.relative_to(root).with_suffix("").parts)
                yield importlib.import_module(f"airflow_provider_omics.{module}")


_WITH_TIME = tuple(_modules_with_time())


def _look_at_callers_quickly() -> None:
    """Spare the Amazon provider the source files of its callers, which it asks for with each client and never reads.

    `inspect.stack` searches all loaded modules for each caller without a file, and pytest-xdist's workers start in
    one: a sixth of the suite's time.
    """

    def stack() -> list[inspect.FrameInfo]:
        frames = (frame for frame, _ in traceback.walk_stack(sys._getframe(1)))
        return [
            inspect.FrameInfo(frame, frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, None, None)
            for frame in frames
        ]

    quick = ModuleType("inspect")
    vars(quick).update(vars(inspect), stack=stack)
    base_aws.inspect = quick  # type: ignore[attr-defined]


_look_at_callers_quickly()


def samples(*names: str) -> list[dict[str, Any]]:
    """Make the run settings of a batch, one run a name."""
    return [{"runSettingId": name, "name": name, "parameters": {"sample": name}} for name in names]


def own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Leave out the tags by which the operators find what they have started."""
    return {key: value for key, value in tags.items() if not key.startswith("airflow:")}


class SteppedTime:
    """The module ``time`` of a process whose time is the emulator's: sleeping advances it."""

    def __init__(self, emulator: OmicsEmulator) -> None:
        self._emulator = emulator
        self.slept: list[float] = []
        self.at_sleep: Callable[[], None] | None = None

    def time(self) -> float:
        return self._emulator.clock.now().timestamp()

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._emulator.advance(seconds)
        if self.at_sleep is not None:
            self.at_sleep()


class SteppedAsyncio:
    """The module ``asyncio``, but for ``sleep``."""

    def __init__(self, stepped: SteppedTime) -> None:
        self._stepped = stepped

    async def sleep(self, seconds: float) -> None:
        await rest()
        self._stepped.sleep(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


def pollers() -> list[waiting_poller.Poller]:
    """Give the pollers of the running event loop."""
    return list(waiting_poller._pollers.get(asyncio.get_running_loop(), {}).values())


async def rest() -> None:
    """Wait until no call is under way, and nobody in the event loop has anything to do but wait.

    Those who rest here as well are always about to do something: a loop that is not empty is given more passes.
    """
    loop: Any = asyncio.get_running_loop()
    quiet = 0
    while quiet < 24:
        busy = any(poller._calls.under_way for poller in pollers())
        await asyncio.sleep(0.001 if busy else 0)
        quiet = 0 if busy else quiet + (1 if loop._ready else 8)


class Connect(Protocol):
    """Type of the fixture ``connect``."""

    def __call__(self, omics: Mapping[str, Any] | None = None, **extra: Any) -> dict[str, Any]: ...


@pytest.fixture(scope="session")
def running_emulator() -> Iterator[OmicsEmulator]:
    """One emulator for all tests of a process; what a test wants is ``emulator``."""
    with OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET]) as emulator:
        yield emulator


@pytest.fixture
def emulator(running_emulator: OmicsEmulator) -> OmicsEmulator:
    """A local HealthOmics as new, with a bucket; its time stands still until something sleeps."""
    running_emulator.set_scenario({})
    running_emulator.reset()
    return running_emulator


@pytest.fixture
def connect(emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make ``aws_default`` the emulator's, with team defaults and other keys in its extra.

    The extra says nothing of host prefixes: the hook has to see to it by itself.
    """

    def connect(omics: Mapping[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
        connection = emulator.connection
        del connection["extra"]["config_kwargs"]
        connection["extra"].update(extra)
        if omics is not None:
            connection["extra"]["service_config"] = {"omics": dict(omics)}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
        return connection

    connect()
    return connect


@pytest.fixture
def stepped(emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> SteppedTime:
    """Our waits in the emulator's time: a day of waiting takes no time. The connection is there as well.

    Each test has calls of its own to spend: the moments that a budget remembers may lie in the next test's future.
    """
    stepped = SteppedTime(emulator)
    monkeypatch.setattr(waiting_client, "_budgets", {})
    monkeypatch.setattr(sys.modules[BaseSensorOperator.__module__], "time", stepped)
    for module in _WITH_TIME:
        monkeypatch.setattr(module, "time", stepped)
    for module in (triggers_base, triggers_workflow, waiting_poller):
        monkeypatch.setattr(module, "asyncio", SteppedAsyncio(stepped))
    return stepped


@dataclass
class TaskInstanceRecord:
    """Stands for Airflow's task instance: tells who it is, and keeps what the task pushes.

    :param state: what Airflow answers when a killed task asks for its state: ``failed`` after a user's kill.
    """

    task_id: str = "a_task"
    dag_id: str = "a_dag"
    run_id: str = "manual__2026-01-01T00:00:00+00:00"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0
    state: str = "failed"
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self.xcoms[key] = json.loads(json.dumps(value))  # XCom is JSON

    def current_state(self) -> str:
        return self.state

    def get_first_reschedule_date(self, context: object) -> None:
        return None


class OutletEvents:
    """Stands for Airflow's accessor of outlet events: makes an entry when it is asked for one.

    :param make: makes it. Default: one to which a task may add.
    """

    class Event:
        """One entry."""

        def __init__(self) -> None:
            self.extra: dict[str, Any] = {}
            self.added: list[tuple[str, Any]] = []

        def add(self, asset: Any, extra: Any = None) -> None:
            self.added.append((asset.uri, extra))

    def __init__(self, make: Callable[[], Any] = Event) -> None:
        self.made: dict[str, Any] = {}
        self._make = make

    def __getitem__(self, outlet: Any) -> Any:
        # a Dataset of Airflow 2 has no name, an Asset of Airflow 3.0 and 3.1 no hash
        return self.made.setdefault(getattr(outlet, "name", None) or outlet.uri, self._make())


@dataclass
class Ended:
    """How a task ended.

    :param result: what it returned.
    :param error: what it raised instead.
    :param xcoms: what it pushed by itself, by key.
    :param pushed_before_deferral: the keys that were there when it deferred; None: it did not defer.
    :param trigger: the trigger as Airflow stores it, None without a deferral.
    :param event: the payload of the trigger's event.
    :param triggers: all of them, of a task that deferred several times.
    """

    result: Any = None
    error: BaseException | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)
    pushed_before_deferral: set[str] | None = None
    trigger: tuple[str, dict[str, Any]] | None = None
    event: Any = None
    triggers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def deferred(self) -> bool:
        return self.trigger is not None


def perform(task: Any, **context: Any) -> Ended:
    """Run a task alone to its end, as Airflow does.

    A deferred task goes on in a new copy of the task, rendered anew, as it would in another process.

    :param task: the operator or sensor; it is left as it is.
    :param context: for templates, beside ``ti``.
    :return: how it ended.
    """
    record = TaskInstanceRecord(task_id=task.task_id)
    context = {"ti": record, "task_instance": record, **context}
    ended = Ended(xcoms=record.xcoms)
    first = rendered(task, context)
    try:
        step = partial(execute, first, context)
        while True:
            try:
                ended.result = step()
                break
            except TaskDeferred as deferral:
                ended.pushed_before_deferral = set(record.xcoms)
                ended.trigger = stored(deferral.trigger)
                ended.triggers.append(ended.trigger)
                ended.event = fire(rebuilt(ended.trigger))
                kwargs = {**(deferral.kwargs or {}), "event": ended.event}
                step = partial(rendered(task, context).resume_execution, deferral.method_name, kwargs, context)
    except BaseException as error:  # noqa: BLE001  # tests ask for what a task raises, time-outs included
        ended.error = error
    return ended


def rendered(task: Any, context: dict[str, Any]) -> Any:
    """Give a copy of a task with its template fields rendered; its log lines are for ``caplog``."""
    context["task"] = task = copy.deepcopy(task)
    task._log = task._cached_logger = TASK_LOG
    task.render_template_fields(context)
    return task


def execute(task: Any, context: dict[str, Any]) -> Any:
    """Call ``execute`` as Airflow's task runner does, which proves itself by a sentinel."""
    try:
        from airflow.sdk.bases.operator import ExecutorSafeguard  # noqa: TID251  # a private door of each version
    except ImportError:
        from airflow.models.baseoperator import _sentinel  # type: ignore[import-not-found]  # noqa: TID251  # Airflow 2

        sentinel = _sentinel
    else:
        sentinel = ExecutorSafeguard.sentinel_value
    context["task"] = task
    return task.execute(context, **{f"{type(task).__name__}__sentinel": sentinel})


def stored(trigger: BaseTrigger) -> tuple[str, dict[str, Any]]:
    """Serialise a trigger as Airflow stores it in its database."""
    path, arguments = trigger.serialize()
    return path, json.loads(json.dumps(arguments))


def rebuilt(stored: tuple[str, dict[str, Any]]) -> Any:
    """Make a trigger of its stored form, as a triggerer does."""
    path, arguments = stored
    trigger = pkgutil.resolve_name(path)(**arguments)
    trigger._log = TASK_LOG
    return trigger


def fire(trigger: Any) -> Any:
    """Run a trigger in an event loop of its own, and give the payload of its one event, as Airflow stores it."""

    async def drain() -> list[Any]:
        return [event async for event in trigger.run()]

    events = asyncio.run(drain())
    assert len(events) == 1, f"a trigger fires one event, not {len(events)}"
    return json.loads(json.dumps(events[0].payload))


def quick_hook(**kwargs: Any) -> OmicsHook:
    """Make a hook whose calls are tried once."""
    from airflow_provider_omics.hooks.omics import OmicsHook

    return OmicsHook(aws_conn_id="aws_default", config=ONE_TRY, **kwargs)


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    """Give the lines of the task's log, or those of one level."""
    for name in _TASK_LOGS:
        caplog.set_level(logging.INFO, name)

    def lines(level: int | None = None) -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if record.name.startswith(_TASK_LOGS) and level in (None, record.levelno)
        ]

    return lines


class Meanwhile(Protocol):
    """Type of the fixture ``meanwhile``."""

    def __call__(self, status: str, act: Callable[[str], object]) -> None: ...


@pytest.fixture
def meanwhile(emulator: OmicsEmulator, stepped: SteppedTime) -> Meanwhile:
    """Do something once, between two looks, when the only run (or batch) has come to a status; it is given its id."""

    def meanwhile(status: str, act: Callable[[str], object]) -> None:
        def look() -> None:
            service = emulator.service
            for found in (*service.started_batches(), *service.started_runs()):
                if found["status"] == status:
                    stepped.at_sleep = None
                    act(found["id"])
                    return

        stepped.at_sleep = look

    return meanwhile
