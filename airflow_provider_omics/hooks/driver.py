"""The driver of a flow: carries out the commands of :mod:`airflow_provider_omics.core.commands` with a hook.

A worker's driver sleeps. The triggerer's, which awaits, makes the same calls: :func:`carry_out`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from airflow_provider_omics.core.commands import Answer, Cancel, Flow, ListActive, Look, ReadManifest, Say, Sleep
from airflow_provider_omics.core.errors import CredentialsExpired, ServiceError
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.hooks.client import ONE_ATTEMPT, at_each
from airflow_provider_omics.hooks.omics import OmicsHook

T = TypeVar("T")

Call = Look | Cancel | ListActive | ReadManifest


def carry_out(hook: OmicsHook, command: Call) -> Snapshot | tuple[str, ...] | ServiceError | None:
    """Make the call that a command asks for.

    :param hook: makes the call.
    :param command: the command.
    :return: the value of its answer.
    :raises ServiceError: the call was refused or did not get through; for ReadManifest that is the result instead.
    """
    if isinstance(command, Look):
        return hook.look(command.kind, command.id)
    if isinstance(command, ListActive):
        return tuple(hook.active_run_ids(command.batch_id))
    if isinstance(command, ReadManifest):
        # Few runs vanish, and a triggerer that meets none does not load what reads their logs.
        from airflow_provider_omics.hooks.run_logs import ended_run

        return ended_run(hook, command.id, command.uuid)
    hook.cancel(command.kind, command.id)
    return None


def pause(seconds: float) -> None:
    """Let time pass.

    :param seconds: how much.
    """
    time.sleep(seconds)  # noqa: TID251 - this is the wait itself; tests step it


class Guard(Protocol):
    """Watches over the cancels of a driver."""

    def before_cancel(self) -> None:
        """Raise where this process may not cancel."""

    def after_cancel(self, resource_id: str) -> None:
        """Take note of a cancel that was sent."""


@dataclass(frozen=True)
class Driver:
    """Carries out commands in a worker: it sleeps where the triggerer's driver awaits, and decides nothing.

    :param hook: makes the calls.
    :param log: the task's logger.
    :param guard: watches over cancels. Default: nobody, each cancel is sent.
    """

    hook: OmicsHook
    log: Any
    guard: Guard | None = None

    def drive(self, flow: Flow[T], perform: Callable[[Any], Answer[Any]] | None = None) -> T:
        """Run a flow to its end.

        :param flow: a generator of commands.
        :param perform: carries out a command. Default: :meth:`perform`.
        :return: the flow's return value.
        """
        perform = perform or self.perform
        try:
            command = next(flow)
            while True:
                answer = perform(command)
                if isinstance(answer.value, CredentialsExpired):
                    self.hook.try_to_renew()
                command = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def perform(self, command: Any) -> Answer[Any]:
        """Carry out a command of a wait or a cancel.

        :param command: the command.
        :return: its answer; an error of the service is an answer too.
        """
        value: Any = None
        if isinstance(command, Sleep):
            time.sleep(command.seconds)  # noqa: TID251 - this is the wait itself; tests step it
        elif isinstance(command, Say):
            with suppress(Exception):  # a log that fails must not end a wait, or keep a cancel from being sent
                self.log.log(command.level, "%s", command.message)
        else:
            guard = self.guard if isinstance(command, Cancel) else None
            try:
                if guard is not None:
                    guard.before_cancel()
                # A look that fails is repeated by its flow, whose patience botocore's own resends would not count for.
                with at_each(ONE_ATTEMPT if isinstance(command, Look) else {}):
                    value = carry_out(self.hook, command)
                if guard is not None:
                    guard.after_cancel(command.id)
            except ServiceError as error:
                value = error
        return Answer(time.time(), value)
