"""What the triggers for runs and batches share: the asyncio driver of a wait, and the cancel after a user's kill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, ClassVar

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_omics.core.errors import CredentialsExpired, ServiceError
from airflow_provider_omics.core.events import Outcome, WaitEvent
from airflow_provider_omics.core.polling import (
    UNKNOWN,
    Answer,
    Cancel,
    Command,
    Look,
    ReadManifest,
    Say,
    Sleep,
    WaitPlan,
    cancel,
    wait,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.hooks.omics import AsyncOmicsClient, OmicsHook
from airflow_provider_omics.hooks.run_logs import ended_run
from airflow_provider_omics.hooks.service_errors import service_errors

KILL_PATIENCE = 25.0
"""Seconds that a cancel may take after a kill; Airflow's own limit is 30 (``[triggerer] on_kill_timeout``)."""


class OmicsWaitTrigger(BaseTrigger):
    """Wait for a run or a batch in the triggerer; fires one event, then ends.

    :param resource_id: id of the run or batch.
    :param resource_uuid: its uuid, None where unknown.
    :param poll_interval: seconds between two looks; default 30.
    :param deadline: moment (seconds since the epoch) at which the wait ends; None: never.
    :param run_timeout: seconds that a run may take from its own start; None: no limit.
    :param patience: seconds for which failing looks are borne; default three hours.
    :param cancel_on_kill: whether a user's kill, or a time limit, cancels the run or batch; default True.
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
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives its triggers no types
        self.plan = WaitPlan(
            kind=self.kind,
            id=resource_id,
            uuid=resource_uuid,
            poll_interval=poll_interval,
            deadline=deadline,
            run_timeout=run_timeout,
            patience=patience,
            cancel=cancel_on_kill,
        )
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class path and the arguments that build this trigger again; they are an API across versions."""
        cls = type(self)
        return f"{cls.__module__}.{cls.__qualname__}", {
            f"{self.kind}_id": self.plan.id,
            f"{self.kind}_uuid": self.plan.uuid,
            "poll_interval": self.plan.poll_interval,
            "deadline": self.plan.deadline,
            **({"run_timeout": self.plan.run_timeout} if self.kind == "run" else {}),
            "patience": self.plan.patience,
            "cancel_on_kill": self.plan.cancel,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and fire one event, whatever happens."""
        driver = _Driver(self._hook(), self.plan, self.log)
        try:
            event = await driver.drive_wait()
        except Exception as error:  # becomes the event: a trigger that raises loses the reason
            self.log.exception("The wait for %s %s broke", self.kind, self.plan.id)
            event = WaitEvent(Outcome.LOST_CONTACT, _unseen(self.plan), error=f"{type(error).__name__}: {error}")
        yield TriggerEvent(event.to_payload())

    async def on_kill(self) -> None:
        """Cancel the run or batch after a user's kill (Airflow 3.3+ calls this; older versions do not).

        Airflow interrupts this again and again while it lasts, so the work runs in a task of its own.
        """
        if not self.plan.cancel:
            self.log.info("%s %s is left going, as cancel_on_kill is off", self.kind, self.plan.id)
            return
        work = asyncio.ensure_future(self._cancel())
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                if work.cancelled():
                    break

    async def _cancel(self) -> None:
        driver = _Driver(self._hook(), self.plan, self.log)
        try:
            await asyncio.wait_for(driver.drive_cancel(KILL_PATIENCE), KILL_PATIENCE)
        except asyncio.TimeoutError:
            self.log.warning(
                "%s %s could not be cancelled within %.0f s and may still be going",
                self.kind,
                self.plan.id,
                KILL_PATIENCE,
            )

    def _hook(self) -> OmicsHook:
        return OmicsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )


class _Driver:
    """Does what a wait asks for, with asyncio; decides nothing."""

    def __init__(self, hook: OmicsHook, plan: WaitPlan, log: Any) -> None:
        self._hook = hook
        self._plan = plan
        self._log = log
        self._client: AsyncOmicsClient | None = None
        self._open = AsyncExitStack()

    async def drive_wait(self) -> WaitEvent:
        flow = wait(self._plan)
        async with self._open:
            command = next(flow)
            while True:
                try:
                    command = flow.send(await self._perform(command))
                except StopIteration as end:
                    event: WaitEvent = end.value
                    return event

    async def drive_cancel(self, patience: float) -> None:
        flow = cancel(self._plan, patience=patience)
        async with self._open:
            command = next(flow)
            while True:
                try:
                    command = flow.send(await self._perform(command))
                except StopIteration:
                    return

    async def _perform(self, command: Command) -> Answer:
        result: Snapshot | ServiceError | None = None
        if isinstance(command, Sleep):
            await asyncio.sleep(command.seconds)
        elif isinstance(command, Say):
            self._log.log(command.level, command.message)
        elif isinstance(command, ReadManifest):
            result = await sync_to_async(ended_run)(self._hook, command.id, command.uuid)
        else:
            try:
                result = await self._call(command)
            except ServiceError as error:
                result = error
                if isinstance(error, CredentialsExpired):
                    await self._open.aclose()
                    self._client = None
        return Answer(time.time(), result)

    async def _call(self, command: Look | Cancel) -> Snapshot | None:
        if self._client is None:
            # The connection may assume a role first, which is a call that fails like any other.
            with service_errors("AssumeRole"):
                self._client = await self._open.enter_async_context(self._hook.async_client())
        if isinstance(command, Look):
            return await self._client.look(command.kind, command.id)
        await self._client.cancel(command.kind, command.id)
        return None


def _unseen(plan: WaitPlan) -> Snapshot:
    cls = RunSnapshot if plan.kind == "run" else BatchSnapshot
    return cls(plan.id, UNKNOWN, plan.uuid)
