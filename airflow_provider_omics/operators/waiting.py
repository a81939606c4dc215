"""The driver that runs a wait in a worker: it sleeps where the triggerer's driver awaits, and decides nothing."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.polling import Answer, Cancel, Command, Look, ReadManifest, Say, Sleep
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import ended_run

T = TypeVar("T")


def drive(flow: Generator[Command, Answer, T], hook: OmicsHook, log: Any) -> T:
    """Do what a wait or a cancel asks for until it ends.

    :param flow: :func:`airflow_provider_omics.core.polling.wait` or ``cancel``.
    :param hook: where to ask.
    :param log: the task's logger.
    :return: what the flow returns.
    """
    try:
        command = next(flow)
        while True:
            command = flow.send(_perform(command, hook, log))
    except StopIteration as end:
        result: T = end.value
        return result


def _perform(command: Command, hook: OmicsHook, log: Any) -> Answer:
    result: Snapshot | ServiceError | None = None
    if isinstance(command, Sleep):
        time.sleep(command.seconds)  # noqa: TID251 - this is the wait itself; tests step it
    elif isinstance(command, Say):
        log.log(command.level, command.message)
    elif isinstance(command, ReadManifest):
        result = ended_run(hook, command.id, command.uuid)
    else:
        try:
            result = _call(command, hook)
        except ServiceError as error:
            result = error
    return Answer(time.time(), result)


def _call(command: Look | Cancel, hook: OmicsHook) -> Snapshot | None:
    if isinstance(command, Look):
        return hook.look(command.kind, command.id)
    hook.cancel(command.kind, command.id)
    return None
