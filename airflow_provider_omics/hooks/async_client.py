"""The calls that waits make, for asyncio."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase, run_phase
from airflow_provider_omics.hooks.service_errors import service_errors

PAGE = 100
"""Runs on a page of ListRuns: the most that the API gives."""


class AsyncOmicsClient:
    """The calls that a wait makes; what they have in common with :class:`OmicsHook` is documented there.

    :param client: an aiobotocore client of the service ``omics``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    async def look(self, kind: str, resource_id: str) -> Snapshot:
        """Look at a run or a batch."""
        if kind == "run":
            with service_errors("GetRun"):
                return RunSnapshot.from_response(await self._client.get_run(id=resource_id))
        with service_errors("GetBatch"):
            return BatchSnapshot.from_response(await self._client.get_batch(batchId=resource_id))

    async def cancel(self, kind: str, resource_id: str) -> None:
        """Cancel a run or a batch."""
        if kind == "run":
            with service_errors("CancelRun"):
                await self._client.cancel_run(id=resource_id)
            return
        with service_errors("CancelRunBatch"):
            await self._client.cancel_run_batch(batchId=resource_id)

    async def active_run_ids(self, batch_id: str) -> list[str]:
        """List the runs of a batch that have not ended."""
        pages = self._client.get_paginator("list_runs").paginate(batchId=batch_id, maxResults=PAGE)
        with service_errors("ListRuns"):
            return [
                item["id"]
                async for page in pages
                for item in page["items"]
                if run_phase(item["status"]) is Phase.ACTIVE
            ]
