"""Repeats: a call that failed by what may pass is made again, in the thread that asks, within one patience."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow_provider_omics.core.errors import CredentialsExpired, ServiceError, Unavailable
from airflow_provider_omics.core.wait.patience import Patience
from airflow_provider_omics.hooks.client import ONE_ATTEMPT, at_each
from airflow_provider_omics.hooks.omics import OmicsHook

T = TypeVar("T")

FIRST_PAUSE = 2.0
"""Seconds before the second try, doubled each time."""

LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Repeats:
    """Makes calls, and makes those again that fail by throttling, an outage or credentials that can be renewed.

    botocore's own resends are left out, as they would not count. Many tasks that fail together spread their next tries.

    :param hook: the hook that the calls go through; it reads its connection anew when its credentials are refused.
    :param log: the task's logger.
    :param patience: seconds for which failures are borne, counted from the beginning of the first call that failed;
        default: the hook's. 0: nothing is repeated.
    """

    hook: OmicsHook
    log: Any
    patience: float | None = None

    def make(self, call: Callable[[], T], errors: tuple[type[ServiceError], ...] = (Unavailable,)) -> T:
        """Make a call until it succeeds, or its patience is over.

        :param call: the call; made again, it must do no more than once.
        :param errors: the failures that may pass. Default: Unavailable with all its kinds.
        :return: the answer.
        :raises ServiceError: the last failure, or one that does not pass.
        """
        seconds = self.hook.patience if self.patience is None else self.patience
        trouble = Patience(seconds, FIRST_PAUSE, LONGEST_PAUSE, since=time.time())
        while True:
            try:
                with at_each(ONE_ATTEMPT):
                    return call()
            except errors as error:
                now = time.time()
                unreachable = isinstance(error, Unavailable) and error.is_unreachable
                trouble = trouble.failed(now, unreachable=unreachable)
                if trouble.is_over(now):
                    raise
                if trouble.is_told(now):
                    self.log.warning("%s; trying again for up to %.0f s", error, seconds - trouble.spent(now))
                if isinstance(error, CredentialsExpired):
                    self.hook.try_to_renew()
                spread = trouble.pause * random.uniform(0.2, 1.0)  # noqa: S311 - no secret
                time.sleep(min(spread, trouble.last_pause(now)))  # noqa: TID251 - this is the wait itself; tests step it
