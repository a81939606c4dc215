"""Why a run may be PENDING for long: active runs of the account, caps of the run group."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import ACTIVE_RUN_STATUSES, RunStatus
from airflow_provider_omics.core.wait.queueing import queueing_line
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.calls import Calls, Urgency
from airflow_provider_omics.waiting.task_log import TaskLog

log = TaskLog(logging.getLogger(__name__))

PAGES = 10
"""Pages of ListRuns that are read for one count, 100 runs each: more than any quota of active runs."""

FRESH = 600.0
"""Seconds for which a count holds: runs that were started together wait together."""


@dataclass(frozen=True)
class _Load:
    """Active runs of the account or of a group, by storage type.

    :param at: when they were counted.
    :param active: how many there are.
    :param is_complete: whether there were no more pages.
    :param group: answer of GetRunGroup; None where there is no group, or it could not be read.
    """

    at: float
    active: Mapping[str, int]
    is_complete: bool
    group: Mapping[str, Any] | None


class PendingReasons:
    """Asks why runs stay PENDING; an answer serves all runs of the account, or of the run group.

    :param calls: makes the calls.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._loads: dict[str | None, _Load] = {}
        self._lock = asyncio.Lock()

    async def explain(self, seen: RunSnapshot, seconds: float) -> str:
        """Say why a run may be PENDING for so long.

        :param seen: the run.
        :param seconds: how long it has been PENDING.
        :return: one line for its wait's log.
        """
        try:
            async with self._lock:
                account = await self._load_of(None)
                in_group = await self._load_of(seen.run_group_id) if seen.run_group_id else None
            return queueing_line(
                seen,
                seconds,
                account.active,
                is_complete=account.is_complete,
                group=in_group.group if in_group else None,
                active_in_group=sum(in_group.active.values()) if in_group else 0,
            )
        except Exception as error:
            if not isinstance(error, ServiceError):
                log.exception("The explanation for run %s broke", seen.id)  # no reason to end its wait
            return f"Run {seen.id} has been PENDING for {seconds / 60:.0f} minutes; why could not be asked: {error}"

    async def _load_of(self, run_group_id: str | None) -> _Load:
        load = self._loads.get(run_group_id)
        if load is None or time.monotonic() - load.at >= FRESH:
            active, is_complete = await self._count(run_group_id)
            group = await self._group(run_group_id) if run_group_id else None
            load = self._loads[run_group_id] = _Load(time.monotonic(), active, is_complete, group)
        return load

    async def _count(self, run_group_id: str | None) -> tuple[Mapping[str, int], bool]:
        active: Counter[str] = Counter()
        pages = 0
        for status in ACTIVE_RUN_STATUSES:
            token: str | None = None
            while status is not RunStatus.PENDING:
                if pages >= PAGES:
                    return active, False
                page = partial(OmicsHook.list_runs_page, status=status.value, token=token, run_group_id=run_group_id)
                runs, token = await self._calls.make(Urgency.EXPLAIN, page)
                pages += 1
                active.update(run.storage_type or "STATIC" for run in runs)
                if token is None:
                    break
        return active, True

    async def _group(self, run_group_id: str) -> Mapping[str, Any] | None:
        try:
            call = partial(OmicsHook.get_run_group, run_group_id=run_group_id)
            return await self._calls.make(Urgency.EXPLAIN, call)
        except ServiceError:
            return None
