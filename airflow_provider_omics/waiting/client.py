"""The one client of all waits on a connection, and the budget of calls that all clients of a Region share."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable

from asgiref.sync import sync_to_async

from airflow_provider_omics.core.errors import InvalidRequest, ServiceError, SettingsError, Throttled, Unavailable
from airflow_provider_omics.core.settings.connection import ConnectionDefaults
from airflow_provider_omics.core.wait.rounds import CONFIRM_SHARE, Budget
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.waiting.task_log import TaskLog
from airflow_provider_omics.waiting.threads import in_thread
from airflow_provider_omics.waiting.uninterrupted import uninterrupted

log = TaskLog(logging.getLogger(__name__))

LOOKS = 10
"""Looks under way at once, as many as botocore's pool of connections holds by default."""

CANCELS = 10
"""Cancels under way at once, in threads of their own: a thousand take some 5 s, of the 25 that a kill has."""

RENEW_AFTER = 30.0
"""Seconds before a client whose credentials are refused is replaced: a younger one would only be refused again."""

DOUBT = 300.0
"""Seconds for which refusals are not believed while Airflow does not find the connection: it reports a failing secrets
backend as a missing connection, so the client may be somebody else."""

_budgets: dict[str, Budget] = {}
_budgets_lock = threading.Lock()


class SharedClient:
    """Makes the client when it is first needed, and anew when its credentials are refused.

    :param make_hook: makes the hook of the connection; a new one each time, so that a changed connection is read.
    """

    def __init__(self, make_hook: Callable[[], OmicsHook]) -> None:
        self._make_hook = make_hook
        self._hook: OmicsHook | None = None
        self._opened_at = 0.0
        self._opening: asyncio.Task[OmicsHook] | None = None
        self._retired: list[OmicsHook] = []
        self._missed_at: float | None = None
        self.defaults = ConnectionDefaults()
        self.budget = Budget()
        self.spare = Budget()

    async def get(self) -> OmicsHook:
        """Return a hook whose client is made, for the calls of many threads.

        :raises Unavailable: it cannot be made now: Airflow does not return the connection, or the poller ends.
        :raises ServiceError: the connection assumes a role first, and that was refused.
        """
        if self._hook is not None:
            return self._hook
        if self._opening is None:
            # In no trigger's context: it serves them all, and its lines are no task's.
            self._opening = contextvars.Context().run(asyncio.ensure_future, self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> OmicsHook:
        opening = asyncio.current_task()
        try:
            hook, defaults, region = await self._make()
            if self._opening is not opening:
                hook.conn.close()
                raise Unavailable("GetConnection", "PollerStopped", "the poller ended while its client was being made")
        finally:
            if self._opening is opening:
                self._opening = None
        self._hook, self.defaults, self._opened_at = hook, defaults, time.monotonic()
        with _budgets_lock:
            budget = _budgets.setdefault(region, Budget())
        self.budget.leave(self)
        self.budget = budget
        self.budget.join(self, self.defaults.calls_per_second)
        self.spare.join(self, self.defaults.calls_per_second * CONFIRM_SHARE)
        return hook

    async def _make(self) -> tuple[OmicsHook, ConnectionDefaults, str]:
        try:
            hook = self._make_hook()
            defaults = await uninterrupted(sync_to_async(_read_connection)(hook))
            if not hook.misses_connection:
                self._missed_at = None
            elif self._missed_at is None:
                self._missed_at = time.monotonic()
            region = await in_thread(lambda: _make_client(hook))
        except ServiceError as error:
            self.check(error)
            raise
        except SettingsError as error:
            refused = InvalidRequest("GetConnection", type(error).__name__, str(error))
            self.check(refused)
            raise refused from error
        except Exception as error:
            # Of Airflow, its api-server or a secrets backend, in whatever form: it may pass, as an outage of AWS may.
            raise Unavailable("GetConnection", type(error).__name__, str(error)) from error
        return hook, defaults, region

    def check(self, error: ServiceError) -> None:
        """Slow down when calls are throttled, and refuse to believe an error while the client may be somebody else.

        :param error: of a call, or of making the client.
        :raises Unavailable: Airflow has not found the connection, which may pass.
        """
        now = time.monotonic()
        if isinstance(error, Throttled):
            self.budget.throttled(now)
        if isinstance(error, Unavailable) or self._missed_at is None or now - self._missed_at >= DOUBT:
            return
        if self._hook is not None and now - self._opened_at >= RENEW_AFTER:
            self._retire()
        reason = f"Airflow did not find the connection; the credentials used in its place met {error}"
        raise Unavailable(error.operation, "ConnectionNotFound", reason) from error

    def replace(self, refused: OmicsHook) -> bool:
        """Replace a client whose credentials were refused.

        :param refused: the hook that was used.
        :return: whether the call is worth another try.
        """
        if refused is not self._hook:
            return True
        if time.monotonic() - self._opened_at < RENEW_AFTER:
            return False
        log.info("The credentials are refused: making a new client")
        self._retire()
        return True

    def _retire(self) -> None:
        if self._hook is not None:
            self._retired.append(self._hook)
        self._hook = self._opening = None

    def close_retired(self) -> None:
        """Close the clients that were replaced; nobody may be using them any more."""
        while self._retired:
            self._retired.pop().conn.close()

    def close(self) -> None:
        """Close all clients, and leave the budget. A client that is still being made is closed once it is made."""
        self.budget.leave(self)
        self._retire()
        self.close_retired()


def _read_connection(hook: OmicsHook) -> ConnectionDefaults:
    """Ask Airflow for the connection, and read the team defaults in it.

    A wait does not fail for a fault in settings that it does not use.
    """
    hook.prepare_for_threads(LOOKS + CANCELS)
    try:
        return hook.defaults
    except SettingsError as error:
        log.warning("The budget of calls is the default one: %s", error)
        return ConnectionDefaults()


def _make_client(hook: OmicsHook) -> str:
    """Make the client, which assumes a role where the connection has one, and return its Region."""
    region: str = hook.conn.meta.region_name
    return region
