"""Who stops waiting does not interrupt what is being asked of Airflow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.triggers.run import OmicsRunTrigger
from airflow_provider_omics.waiting.client import SharedClient
from airflow_provider_omics.waiting.uninterrupted import uninterrupted
from tests.airflow_support import TaskInstanceRecord

if TYPE_CHECKING:
    from tests.airflow_support import Connect


class Supervisor:
    """Stands for a triggerer's side of Airflow 3.0 to 3.2: threads ask through the event loop, one after the other."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.ended = asyncio.Event()
        self.interrupted = False

    async def _ask(self) -> None:
        self.asked.set()
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.interrupted = True
            raise
        finally:
            self.ended.set()

    def ask(self) -> None:
        async_to_sync(self._ask)()


class AskingHook(OmicsHook):
    """A hook whose connection is Airflow's to tell."""

    supervisor: Supervisor

    @cached_property
    def conn_config(self) -> Any:
        self.supervisor.ask()
        return OmicsHook().conn_config


@dataclass
class AskingTaskInstance(TaskInstanceRecord):
    """A task instance whose state is Airflow's to tell."""

    supervisor: Any = None

    def current_state(self) -> str:
        self.supervisor.ask()
        return "deferred"


async def make_client(supervisor: Supervisor) -> None:
    hook = AskingHook()
    hook.supervisor = supervisor
    client = SharedClient(lambda: hook)
    try:
        await client.get()
    finally:
        client.close()


async def tell_the_state(supervisor: Supervisor) -> None:
    trigger: Any = OmicsRunTrigger(run_id="1")
    trigger.task_instance = AskingTaskInstance(supervisor=supervisor)
    await trigger._task_state()


@pytest.mark.parametrize("ask", [make_client, tell_the_state])
async def test_a_question_to_airflow_is_not_interrupted(connect: Connect, ask: Any) -> None:
    """The wait for the answer ends at once; the question comes to its end by itself."""
    supervisor = Supervisor()
    asker = asyncio.ensure_future(ask(supervisor))
    await supervisor.asked.wait()

    asker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asker

    assert not supervisor.ended.is_set()
    supervisor.may_answer.set()
    await supervisor.ended.wait()
    assert not supervisor.interrupted


async def test_result_and_error_come_through() -> None:
    """Uncancelled, it gives what the work gives, and raises what the work raises."""

    async def fail() -> None:
        raise LookupError("gone")

    assert await uninterrupted(asyncio.sleep(0, "an answer")) == "an answer"
    with pytest.raises(LookupError, match="gone"):
        await uninterrupted(fail())
