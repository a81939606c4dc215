"""The one client of all waits on a connection, and the budget of calls that all clients of a Region share."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from asgiref.sync import sync_to_async

from airflow_provider_omics.core.errors import ServiceError, SettingsError, Unavailable
from airflow_provider_omics.core.settings.connection import ConnectionDefaults
from airflow_provider_omics.core.wait.rounds import CONFIRM_SHARE, Budget
from airflow_provider_omics.hooks.async_client import PollerClient
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import service_errors
from airflow_provider_omics.hooks.uninterrupted import uninterrupted

log = logging.getLogger(__name__)

RENEW_AFTER = 30.0
"""Seconds before a client whose credentials are refused is replaced: a younger one would only be refused again."""

DOUBT = 300.0
"""Seconds for which refusals are not believed of a client whose connection Airflow did not find: a secrets backend that
fails is told in the same way as a connection that there is none of. The client may then be somebody else."""

CLOSE_PATIENCE = 2.0
"""Seconds for which the end of a poller waits for a client that is being opened; it is closed all the same, later."""

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
        self._opening: asyncio.Task[PollerClient] | None = None
        self._missed_at: float | None = None
        self.defaults = ConnectionDefaults()
        self.budget = Budget()
        self.spare = Budget()

    async def get(self) -> PollerClient:
        """Give the client.

        :raises Unavailable: it cannot be opened now: Airflow does not tell the connection, or the poller ends.
        :raises ServiceError: the connection assumes a role first, and that was refused.
        """
        if self._client is not None:
            return self._client
        if self._opening is None:
            self._opening = asyncio.ensure_future(uninterrupted(self._make(self._open)))
        return await asyncio.shield(self._opening)

    async def _make(self, opened: AsyncExitStack) -> PollerClient:
        try:
            client, defaults = await self._enter(opened)
            self._check_wanted(opened)
        except BaseException:
            await opened.aclose()
            raise
        finally:
            if opened is self._open:
                self._opening = None
        self._client, self.defaults, self._opened_at = client, defaults, time.monotonic()
        with _budgets_lock:
            budget = _budgets.setdefault(client.region, Budget())
        self.budget.leave(self)
        self.budget = budget
        self.budget.join(self, self.defaults.calls_per_second)
        self.spare.join(self, self.defaults.calls_per_second * CONFIRM_SHARE)
        client.on_attempt(self._attempted)
        return client

    async def _enter(self, opened: AsyncExitStack) -> tuple[PollerClient, ConnectionDefaults]:
        try:
            hook = self._make_hook()
            if not await sync_to_async(_misses_connection)(hook):
                self._missed_at = None
            elif self._missed_at is None:
                self._missed_at = time.monotonic()
            with service_errors("AssumeRole"):
                client = await opened.enter_async_context(hook.async_client())
            return client, await sync_to_async(_defaults)(hook)
        except ServiceError as error:
            self.check(error)
            raise
        except Exception as error:
            # Of Airflow, its api-server or a secrets backend, in whatever form: it may pass, as an outage of AWS may.
            raise Unavailable("GetConnection", type(error).__name__, str(error)) from error

    def _check_wanted(self, opened: AsyncExitStack) -> None:
        if opened is not self._open:
            raise Unavailable("GetConnection", "PollerStopped", "the poller ended while its client was being opened")

    def check(self, error: ServiceError) -> None:
        """Refuse to believe an error while the client may be somebody else.

        :param error: of the client, or of opening it.
        :raises Unavailable: Airflow has not found the connection, which may pass.
        """
        now = time.monotonic()
        if isinstance(error, Unavailable) or self._missed_at is None or now - self._missed_at >= DOUBT:
            return
        if self._client is not None and now - self._opened_at >= RENEW_AFTER:
            self._retire()
        reason = f"Airflow did not find the connection; what was used in its place met {error}"
        raise Unavailable(error.operation, "ConnectionNotFound", reason) from error

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
        self._retire()
        return True

    def _retire(self) -> None:
        self._client = self._opening = None
        self._retired.append(self._open)
        self._open = AsyncExitStack()

    async def close_retired(self) -> None:
        """Close the clients that were replaced; nobody may be using them any more."""
        while self._retired:
            await self._retired.pop().aclose()

    async def close(self) -> None:
        """Close all clients, and leave the budget."""
        self.budget.leave(self)
        opening = self._opening
        self._retire()
        await self.close_retired()
        if opening is not None:
            await asyncio.wait([opening], timeout=CLOSE_PATIENCE)


def _misses_connection(hook: OmicsHook) -> bool:
    return hook.misses_connection


def _defaults(hook: OmicsHook) -> ConnectionDefaults:
    """Read the team defaults; a wait does not fail for what is wrong with settings that it does not use."""
    try:
        return hook.defaults
    except SettingsError as error:
        log.warning("The budget of calls is the default one: %s", error)
        return ConnectionDefaults()
