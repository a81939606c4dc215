"""The base of the triggers for runs and batches: the asyncio driver of a wait, and the cancel after a user's kill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_omics.core.commands import Answer, Cancel, Flow, Look, ReadManifest, Say, Sleep
from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.settings.arguments import TRIGGER_ARGUMENTS, read_arguments
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import WaitPlan, cancel, wait
from airflow_provider_omics.hooks.driver import carry_out
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.calls import Urgency
from airflow_provider_omics.waiting.poller import Poller, poller_of
from airflow_provider_omics.waiting.task_log import TaskLog
from airflow_provider_omics.waiting.task_states import state_of
from airflow_provider_omics.waiting.wait import Wait

T = TypeVar("T")

KILL_PATIENCE = 25.0
"""Seconds that a cancel may take after a kill; Airflow's own limit is 30 (``[triggerer] on_kill_timeout``)."""


class OmicsWaitTrigger(BaseTrigger):
    """Wait for a run or a batch in the triggerer; fires one event, then ends.

    Unreadable arguments end the wait at once, with an event of outcome ``invalid`` that lists all problems.

    :param resource_id: id of the run or batch.
    :param resource_uuid: its uuid, None if unknown.
    :param poll_interval: seconds between polls; default 30.
    :param deadline: time (seconds since the epoch) at which the wait ends; None: never.
    :param run_timeout: seconds that a run may take from its own start; None: no limit.
    :param patience: seconds for which failing polls are tolerated; default three hours.
    :param cancel_on_kill: whether a user's kill, or a time limit, cancels the run or batch; default True.
    :param grace: seconds that the cancel at a time limit may take; default 60.
    :param aws_conn_id: the Airflow connection.
    :param region_name: AWS Region; None: the connection's.
    :param verify: TLS verification; None: the connection's.
    :param botocore_config: botocore configuration as a dict; None: the connection's.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        *,
        resource_id: str,
        resource_uuid: str | None = None,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        run_timeout: float | None = None,
        patience: float = 3 * 3600.0,
        cancel_on_kill: bool = True,
        grace: float = 60.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's triggers have no types
        given = {
            f"{self.kind}_id": resource_id,
            "poll_interval": poll_interval,
            "deadline": deadline,
            "run_timeout": run_timeout,
            "patience": patience,
            "cancel_on_kill": cancel_on_kill,
            "grace": grace,
        }
        read, self._problems = read_arguments(given, TRIGGER_ARGUMENTS)
        if self._problems:
            read = given  # as they are: Airflow may render them yet, and run() tells what is wrong
        self.plan = WaitPlan(
            kind=self.kind,
            id=read.pop(f"{self.kind}_id"),
            uuid=resource_uuid,
            cancel=read.pop("cancel_on_kill"),
            **read,
        )
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    @property
    def log(self) -> Any:
        """The trigger's log; its failures neither end a wait nor block a cancel."""
        # One for all of a class, as Airflow routes log lines by context: its own for each is a quarter of all objects
        # of a wait, which each pass of Python's garbage collector walks through.
        cls = type(self)
        if "_log" not in vars(cls):
            cls._log = None  # not that of its base, which has another name
        cls.logger()
        return TaskLog(super().log)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger; they are an API across versions."""
        cls = type(self)
        return f"{cls.__module__}.{cls.__qualname__}", {
            f"{self.kind}_id": self.plan.id,
            f"{self.kind}_uuid": self.plan.uuid,
            "poll_interval": self.plan.poll_interval,
            "deadline": self.plan.deadline,
            **({"run_timeout": self.plan.run_timeout} if self.kind == "run" else {}),
            "patience": self.plan.patience,
            "cancel_on_kill": self.plan.cancel,
            "grace": self.plan.grace,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire one event, whatever happens."""
        if self._problems:
            problems = "; ".join(map(str, self._problems))
            event = WaitEvent(Outcome.INVALID, self.plan.unseen(), error=problems, stretch=self.plan.stretch)
            yield TriggerEvent(event.to_payload())
            return
        _warm_up(lambda: self._task_state(is_urgent=False))
        try:
            log = self.log
            # Asked for and joined in one step of the event loop: a poller ends when nobody is in it.
            async with self._poller().join(self.plan, log) as place:
                event = await _Driver(place, log).drive(wait(self.plan, spread=_no_jitter))
        except asyncio.CancelledError:
            if not hasattr(BaseTrigger, "on_kill"):
                await _finish(self._cancel_if_killed())
            raise
        except Exception as error:  # becomes the event: a trigger that raises loses the reason
            self.log.exception("The wait for %s %s broke", self.kind, self.plan.id)
            text = f"{type(error).__name__}: {error}"
            event = WaitEvent(Outcome.LOST_CONTACT, self.plan.unseen(), error=text)
        yield TriggerEvent(replace(event, stretch=self.plan.stretch).to_payload())

    async def on_kill(self) -> None:
        """Cancel the run or batch after a user's kill (Airflow 3.3+ calls this; older versions do not).

        A triggerer that stalled and lost its triggers to another also gets the order to kill them. So Airflow is asked
        first: a task that is still DEFERRED was not killed. Without an answer, the task counts as killed.
        """
        if not self.plan.cancel:
            self.log.info("%s %s is left going, as cancel_on_kill is off", self.kind, self.plan.id)
            return
        await _finish(self._cancel_unless_deferred())

    async def _cancel_unless_deferred(self) -> None:
        if await self._task_state() == "deferred":
            self.log.info("%s %s is left going: the task still waits for it", self.kind, self.plan.id)
            return
        await self._cancel()

    async def _cancel_if_killed(self) -> None:
        """Distinguish a kill from a restart of the triggerer, for versions of Airflow that do not (before 3.3).

        It was a kill if the task's state is known and is not DEFERRED: a user marked or cleared it. After a clear the
        new try may be DEFERRED already; then it cancels the old run itself, by the attempt record.
        """
        state = await self._task_state()
        if self.plan.cancel and state not in (None, "deferred"):
            await self._cancel()

    async def _task_state(self, *, is_urgent: bool = True) -> str | None:
        task_instance = self.task_instance
        if task_instance is None:
            return None
        try:
            return await state_of(task_instance)
        except Exception as error:
            if is_urgent:
                self.log.warning("Airflow did not return the task's state", exc_info=True)
            else:  # a triggerer that has just started may not be ready for a question, and nothing depends on it
                text = "Airflow does not return task states yet (%s: %s)"
                self.log.debug(text, type(error).__name__, error)
            return None

    async def _cancel(self) -> None:
        flow = cancel(self.plan, patience=KILL_PATIENCE, settle=KILL_PATIENCE)
        async with self._poller().join(self.plan, self.log) as place:
            try:
                left = await asyncio.wait_for(_Driver(place, self.log).drive(flow), KILL_PATIENCE)
            except asyncio.TimeoutError:
                line = "The cancel of %s %s was not finished in %.0f s"
                self.log.warning(line, self.kind, self.plan.id, KILL_PATIENCE)
                return
            if not isinstance(left, (RunSnapshot, BatchSnapshot)) or left.phase is not Phase.ACTIVE:
                await self._after_cancel(place)

    async def _after_cancel(self, place: Wait) -> None:
        """Clean up after a kill has ended the run or batch: no worker follows.

        :param place: makes calls.
        """

    def _poller(self) -> Poller:
        return poller_of(self._hook, self.aws_conn_id, self.region_name, self.verify, self.botocore_config)

    def _hook(self) -> OmicsHook:
        return OmicsHook(
            aws_conn_id=self.aws_conn_id, region_name=self.region_name, verify=self.verify, config=self.botocore_config
        )


def _no_jitter() -> float:
    """Draw none: the poller aligns the looks of many waits, and paces them."""
    return 0.5


_warming: set[asyncio.Task[str | None]] = set()
_is_warm = False


def _warm_up(ask: Callable[[], Coroutine[Any, Any, str | None]]) -> None:
    """Ask Airflow once for the state of a task, long before an answer is urgent.

    A triggerer builds its side of Airflow's API at the first question. On a busy machine that takes seconds (measured:
    more than five on two cores), longer than a kill allows.
    """
    global _is_warm  # noqa: PLW0603 - a process builds its side once
    if not _is_warm:
        _is_warm = True
        task = asyncio.ensure_future(ask())
        _warming.add(task)
        task.add_done_callback(_warming.discard)


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Finish some work in a separate task, however often the current one is cancelled meanwhile.

    Airflow repeats the cancel of a trigger about once a second until the trigger is gone.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                break


class _Driver:
    """Carries out the commands of a flow with asyncio; decides nothing.

    :param place: the wait's place at the poller.
    :param log: the wait's own log.
    """

    def __init__(self, place: Wait, log: Any) -> None:
        self._place = place
        self._log = log
        self._pause = 0.0
        self._is_cancelling = False

    async def drive(self, flow: Flow[T]) -> T:
        command = next(flow)
        while True:
            try:
                command = flow.send(await self._perform(command))
            except StopIteration as end:
                result: T = end.value
                return result

    async def _perform(self, command: Any) -> Answer[Any]:
        if isinstance(command, Sleep):
            # Slept before the next command, unless that is a look: the poller then learns by when, and may choose a
            # moment that suits others as well.
            self._pause = command.seconds
            return Answer(time.time(), None)
        pause, self._pause = self._pause, 0.0
        try:
            if isinstance(command, Look) and not self._is_cancelling:
                return Answer(time.time(), await self._place.look(pause))
            if pause:
                await asyncio.sleep(pause)
            if isinstance(command, Say):
                self._log.log(command.level, "%s", command.message)
                return Answer(time.time(), None)
            self._is_cancelling = self._is_cancelling or isinstance(command, Cancel)
            urgency = Urgency.MANIFEST if isinstance(command, ReadManifest) else Urgency.CANCEL
            value: Any = await self._place.call(lambda hook: carry_out(hook, command), urgency)
        except ServiceError as error:
            return Answer(time.time(), error)
        return Answer(time.time(), value)
