"""The manifests of runs that have ended, each read once while the results of its batch are collected.

What a run cost, what its tasks used and where its outputs come from all stand in its manifest, and whoever needs any of
it asks the one :class:`ManifestReader` of the collection, which keeps the last manifest that it has read.

- Paced: an account has 25 GetLogEvents calls a second in most Regions, 10 in some, and people look at logs, too. The
  reader has a pace of its own, :func:`calls_per_second`; a manifest takes two calls, so 10,000 take half an hour or an
  hour, most of which passes while the collection waits for its turn to call GetRun.
- Bounded: one manifest is in memory at a time, of 20,000 events at most.
- Resumable: what is made of a manifest goes into the record of its run, or into an object of the run's name, in the
  same step. A collection reads the manifests of runs whose record does not have it; one that was lost goes on from its
  last checkpoint.
- No failure of its own: where the log group cannot be read, one warning says so, and nothing more is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_omics.core.errors import NotFound, ServiceError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.hooks.run_logs import RunLogsHook

CALLS_PER_SECOND = 10.0
"""Of 25 that an account has in most Regions (CloudWatch Logs user guide, "CloudWatch Logs quotas")."""

SLOW_CALLS_PER_SECOND = 5.0
"""Of 10 that it has in :data:`SLOW_REGIONS` (the same page)."""

SLOW_REGIONS = frozenset({"us-west-2", "eu-central-1", "eu-west-1", "il-central-1"})
"""Those with HealthOmics; ap-northeast-3, ap-southeast-3 and ca-west-1 have none."""

PATIENCE = 75.0
"""Seconds for which a manifest is asked for, as long as a wait asks for it."""


def calls_per_second(region: str | None) -> float:
    """Tell how fast manifests are read.

    :param region: of the runs; None: not known.
    :return: GetLogEvents calls a second: less than half of the quota, or half where that is small.
    """
    return SLOW_CALLS_PER_SECOND if region in SLOW_REGIONS else CALLS_PER_SECOND


class ManifestReader:
    """Reads the manifests of runs, one after the other.

    :param hook: the hook of the runs.
    :param log: the task's logger.
    :param pace: called before each call, and waits for its turn.
    """

    def __init__(self, hook: OmicsHook, log: Any, pace: Callable[[], object]) -> None:
        self._hook = hook
        self._log = log
        self._pace = pace
        self._logs = RunLogsHook.beside(hook)
        self._last: tuple[tuple[str, str | None], tuple[str, ...] | None] = ("", None), None
        self._is_silent = False

    def read(self, run_id: str, run_uuid: str | None) -> tuple[str, ...] | None:
        """Read the manifest of a run, unless it is the one that was read last.

        :param run_id: id of the run.
        :param run_uuid: its uuid; None: not known, and the newest under its id counts.
        :return: its messages, for :func:`airflow_provider_omics.core.cost.usage.run_usage` and others; empty: there is
            no manifest (yet); None: it could not be read, which the log tells once.
        """
        key = run_id, run_uuid
        if self._last[0] != key or not self._last[1]:
            self._last = key, self._read(run_id, run_uuid)
        return self._last[1]

    def _read(self, run_id: str, run_uuid: str | None) -> tuple[str, ...] | None:
        if self._logs.conn_config is not self._hook.conn_config:
            self._logs = RunLogsHook.beside(self._hook)  # credentials were renewed
        try:
            # Logs may be out of reach for good, where those who gave no way to them still want their results.
            patience = 0.0 if self._is_silent else min(self._hook.patience, PATIENCE)
            messages = Repeats(self._hook, self._log, patience).make(
                lambda: tuple(self._logs.manifest_messages(run_id, run_uuid, self._pace))
            )
        except NotFound:
            return ()  # no run of this account and Region has left a log yet
        except ServiceError as error:
            if not self._is_silent:
                self._log.warning(
                    "Manifests cannot be read, so runs that are gone are UNKNOWN, and what runs cost is not known: %s",
                    error,
                )
            self._is_silent = True
            return None
        self._is_silent = False
        return messages
