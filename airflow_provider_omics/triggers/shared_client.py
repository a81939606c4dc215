"""The one client of all waits on a connection, and the budget of calls that all clients of a Region share."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from asgiref.sync import sync_to_async

from airflow_provider_omics.core.connection_defaults import ConnectionDefaults
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.watching import CONFIRM_SHARE, Budget
from airflow_provider_omics.hooks.async_client import PollerClient
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import service_errors
from airflow_provider_omics.hooks.uninterrupted import uninterrupted

log = logging.getLogger(__name__)

RENEW_AFTER = 30.0
"""Seconds before a client whose credentials are refused is replaced: a younger one would only be refused again."""

_budgets: dict[str, Budget] = {}
_budgets_lock = threading.Lock()


class SharedClient:
    """Opens the client when it is first needed, and anew when its credentials are refused.

    :param make_hook: makes the hook of the connection; a new one each time, so that a changed connection is read.
    """

    def __init__(self, make_hook: Callable[[], OmicsHook]) -> None:
        self._make_hook = make_hook
        self._client: PollerClient | None = None
        self._opened_at = 0.0
        self._open = AsyncExitStack()
        self._retired: list[AsyncExitStack] = []
        self._lock = asyncio.Lock()
        self.defaults = ConnectionDefaults()
        self.budget = Budget()
        self.spare = Budget()

    async def get(self) -> PollerClient:
        """Give the client.

        :raises ServiceError: the connection assumes a role first, and that failed.
        """
        if self._client is not None:
            return self._client
        return await uninterrupted(self._get())

    async def _get(self) -> PollerClient:
        async with self._lock:
            if self._client is None:
                self._client = await self._make()
                self._opened_at = time.monotonic()
            return self._client

    async def _make(self) -> PollerClient:
        hook = self._make_hook()
        with service_errors("AssumeRole"):
            client = await self._open.enter_async_context(hook.async_client())
        self.defaults = await sync_to_async(_defaults)(hook)
        with _budgets_lock:
            budget = _budgets.setdefault(client.region, Budget())
        self.budget.leave(self)
        self.budget = budget
        self.budget.join(self, self.defaults.calls_per_second)
        self.spare.join(self, self.defaults.calls_per_second * CONFIRM_SHARE)
        client.on_attempt(self._attempted)
        return client

    def _attempted(self, number: int, throttled: bool) -> None:
        now = time.monotonic()
        if number > 1:
            self.budget.repeated(now)
        if throttled:
            self.budget.throttled(now)

    def replace(self, refused: PollerClient) -> bool:
        """Have a client replaced whose credentials were refused.

        :param refused: the client that was used.
        :return: whether the call is worth another try.
        """
        if refused is not self._client:
            return True
        if time.monotonic() - self._opened_at < RENEW_AFTER:
            return False
        log.info("The credentials are refused: opening a new client")
        self._client = None
        self._retired.append(self._open)
        self._open = AsyncExitStack()
        return True

    async def close_retired(self) -> None:
        """Close the clients that were replaced; nobody may be using them any more."""
        while self._retired:
            await self._retired.pop().aclose()

    async def close(self) -> None:
        """Close all clients, also one that is just being opened, and leave the budget."""
        async with self._lock:
            self.budget.leave(self)
            self._client = None
            self._retired.append(self._open)
            self._open = AsyncExitStack()
            await self.close_retired()


def _defaults(hook: OmicsHook) -> ConnectionDefaults:
    """Read the team defaults; a wait does not fail for what is wrong with settings that it does not use."""
    try:
        return hook.defaults
    except SettingsError as error:
        log.warning("The budget of calls is the default one: %s", error)
        return ConnectionDefaults()
