"""The trigger that waits for a workflow to be created."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_omics.core.errors import ServiceError, SettingsError
from airflow_provider_omics.core.release.found import CREATING
from airflow_provider_omics.core.wait.patience import Patience
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.threads import in_thread
from airflow_provider_omics.waiting.uninterrupted import uninterrupted


class OmicsWorkflowTrigger(BaseTrigger):
    """Wait until a workflow, or a version of one, is no longer being created; fires one event, then ends.

    The event only wakes the task, which then looks for itself. HealthOmics reads a definition within a minute or so,
    and releases are rare, so this trigger does not use the poller that the waits for runs share.

    :param workflow_id: id of the workflow.
    :param version_name: name of the version. None: the workflow itself.
    :param poll_interval: seconds between polls; default 30.
    :param patience: seconds for which failing polls are tolerated before the task is woken anyway; default five
        minutes.
    :param aws_conn_id: the Airflow connection.
    :param region_name: AWS Region; None: the connection's.
    :param verify: TLS verification; None: the connection's.
    :param botocore_config: botocore configuration as a dict; None: the connection's.
    """

    def __init__(
        self,
        workflow_id: str,
        version_name: str | None = None,
        *,
        poll_interval: float = 30.0,
        patience: float = 300.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's triggers have no types
        self.workflow_id = workflow_id
        self.version_name = version_name
        self.poll_interval = poll_interval
        self.patience = patience
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger; they are an API across versions."""
        names = (
            *("workflow_id", "version_name", "poll_interval", "patience"),
            *("aws_conn_id", "region_name", "verify", "botocore_config"),
        )
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the status changes or cannot be read; called by Airflow."""
        trouble = Patience(self.patience, self.poll_interval)
        hook: OmicsHook | None = None
        while True:
            try:
                if hook is None:
                    hook = await uninterrupted(sync_to_async(self._connected)())
                status = await in_thread(lambda made=hook: self._status(made))  # type: ignore[misc]
            except (ServiceError, SettingsError) as error:
                hook, now = None, time.time()  # the connection may be another by now
                trouble = trouble.failed(now)
                if trouble.is_over(now):
                    yield TriggerEvent({"status": None, "error": str(error)})
                    return
                self.log.warning("%s; looking again", error)
                await asyncio.sleep(trouble.last_pause(now))
                continue
            if status not in CREATING:
                yield TriggerEvent({"status": status})
                return
            trouble = Patience(self.patience, self.poll_interval)
            await asyncio.sleep(self.poll_interval)

    def _connected(self) -> OmicsHook:
        """Ask Airflow for the connection; the client is made, and used, in a thread."""
        hook = OmicsHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )
        hook.prepare_for_threads(1)
        return hook

    def _status(self, hook: OmicsHook) -> str:
        if self.version_name is None:
            return hook.get_workflow(self.workflow_id)["status"]
        return hook.get_workflow_version(self.workflow_id, self.version_name)["status"]
