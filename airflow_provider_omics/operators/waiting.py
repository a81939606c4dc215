"""The driver that does in a worker what a flow of :mod:`airflow_provider_omics.core` asks for; it decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from airflow_provider_omics.core.commands import (
    Answer,
    Cancel,
    Command,
    Flow,
    ListActive,
    Look,
    ReadManifest,
    Say,
    Sleep,
)
from airflow_provider_omics.core.errors import CredentialsExpired, ServiceError
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import ended_run

T = TypeVar("T")


def pause(seconds: float) -> None:
    """Let time pass.

    :param seconds: how much.
    """
    time.sleep(seconds)  # noqa: TID251 - this is the wait itself; tests step it


class Driver:
    """Does what a wait or a cancel asks for; sleeps where the triggerer's driver awaits.

    :param hook: where to ask.
    :param log: the task's logger.
    :param before_cancel: called before each cancel; raises when this process may not cancel. Default: it may.
    """

    def __init__(self, hook: OmicsHook, log: Any, *, before_cancel: Callable[[], None] | None = None) -> None:
        self._hook = hook
        self._log = log
        self._before_cancel = before_cancel

    def drive(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a generator of commands.
        :return: what the flow returns.
        """
        try:
            command = next(flow)
            while True:
                answer = self._perform(command)
                if isinstance(answer.value, CredentialsExpired):
                    self._renew()
                command = flow.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _renew(self) -> None:
        """Have the next call made with the credentials of today; the pauses of the flow keep this rare.

        Keys in a connection may have been rotated; and a client that was made while the instance metadata service was
        late has no credentials for its whole life.
        """
        try:
            self._hook.renew()
        except Exception:  # noqa: BLE001 - whatever Airflow has against it: the flow goes on with what there is
            self._log.warning("The connection could not be read anew", exc_info=True)

    def _perform(self, command: Command[Any]) -> Answer[Any]:
        value: Any = None
        if isinstance(command, Sleep):
            pause(command.seconds)
        elif isinstance(command, Say):
            self._log.log(command.level, "%s", command.message)
        elif isinstance(command, ReadManifest):
            value = ended_run(self._hook, command.id, command.uuid)
        elif isinstance(command, (Look, Cancel, ListActive)):
            try:
                if isinstance(command, ListActive):
                    value = tuple(self._hook.active_run_ids(command.batch_id))
                else:
                    value = self._call(command)
            except ServiceError as error:
                value = error
        return Answer(time.time(), value)

    def _call(self, command: Look | Cancel) -> Snapshot | None:
        if isinstance(command, Look):
            return self._hook.look(command.kind, command.id)
        if self._before_cancel is not None:
            self._before_cancel()
        self._hook.cancel(command.kind, command.id)
        return None
