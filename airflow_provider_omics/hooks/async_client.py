"""The calls that waits make, for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import RUN_PHASES, Phase
from airflow_provider_omics.core.wait.rounds import ListedRun
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
                if RUN_PHASES.get(item["status"], Phase.ACTIVE) is Phase.ACTIVE
            ]

    async def get_run_group(self, run_group_id: str) -> Mapping[str, Any]:
        """Get one run group with its caps."""
        with service_errors("GetRunGroup"):
            answer: Mapping[str, Any] = await self._client.get_run_group(id=run_group_id)
            return answer


class PollerClient(AsyncOmicsClient):
    """What the poller of many waits needs beside: single pages, and to hear of throttling.

    :param client: an aiobotocore client of the service ``omics``.
    """

    @property
    def region(self) -> str:
        """The AWS Region that is called."""
        return str(self._client.meta.region_name)

    def on_attempt(self, tell: Callable[[int, bool], None]) -> None:
        """Have each attempt of each call told, those that botocore repeats by itself included.

        :param tell: called with the number of the attempt, from 1, and whether it was refused with 429.
        """

        def told(response: Any, attempts: int, **_: Any) -> None:
            tell(attempts, response is not None and response[0].status_code == 429)

        self._client.meta.events.register("needs-retry.omics", told)

    async def list_page(
        self, status: str, token: str | None, *, batch_id: str | None = None, run_group_id: str | None = None
    ) -> tuple[list[ListedRun], str | None]:
        """List one page of the runs in a status.

        :param status: as AWS spells it.
        :param token: from the page before; None: the first page.
        :param batch_id: only runs of this batch; None: all.
        :param run_group_id: only runs of this run group; None: all.
        :return: the runs, and the token of the next page, None after the last.
        :raises ServiceError: the call was refused or did not get through.
        """
        given = {"startingToken": token, "batchId": batch_id, "runGroupId": run_group_id}
        filters = {name: value for name, value in given.items() if value is not None}
        with service_errors("ListRuns"):
            page = await self._client.list_runs(status=status, maxResults=PAGE, **filters)
        runs = [
            ListedRun(
                item["id"], item["status"], item.get("creationTime"), item.get("startTime"), item.get("storageType")
            )
            for item in page.get("items", ())
        ]
        return runs, page.get("nextToken")
