"""The calls that a flow asks for, made with a hook: the same for the worker's driver and the triggerer's."""

from __future__ import annotations

from airflow_provider_omics.core.commands import Cancel, ListActive, Look, ReadManifest
from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import ended_run

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
        return ended_run(hook, command.id, command.uuid)
    hook.cancel(command.kind, command.id)
    return None
