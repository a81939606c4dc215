"""What a task remembers of the samples of its attempts: which ones each of them submitted, and which it left alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.sample import Sample
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.results.file import read_samples, results_place, write_samples

KEY = "omics_samples"
"""Key in Airflow's task state store."""

KEPT_ATTEMPTS = 3
"""Attempts that are remembered there: the present one, and the one that it follows."""


def memory_place(results: S3Place | None, staging: S3Place | None, identity: TaskIdentity) -> S3Place | None:
    """Give where a task remembers its samples.

    :param results: its results file; None: it has none.
    :param staging: its staging place; None: nothing is staged.
    :param identity: the task instance.
    :return: a file beside which they are kept; None: there is no place in S3.
    """
    if results is not None or staging is None:
        return results
    uri = results_place(None, f"{staging.uri.rstrip('/')}/samples", identity)
    return None if uri is None else S3Place(uri, staging.kms_key_id)


class BatchMemory:
    """The samples of a task's attempts, by request id.

    They are kept beside its results, or below its staging place, or, if it has neither (then there are at most 100 of
    them), in Airflow's task state store.

    :param hook: the hook whose connection is used.
    :param place: a results file, beside which they are kept; None: there is none.
    :param accessor: ``context["task_state_store"]``; None: this Airflow has none, and nothing outlives the process.
    """

    def __init__(self, hook: OmicsHook, place: S3Place | None, accessor: Any) -> None:
        self._hook = hook
        self._place = place
        self._accessor = accessor
        self._in_process: dict[str, list[dict[str, Any]]] = {}

    @property
    def lasts(self) -> bool:
        """Whether a later try finds what is kept."""
        return self._place is not None or self._accessor is not None

    def keep(self, request_id: str, samples: Iterable[Sample]) -> None:
        """Keep the samples of an attempt, before it is started.

        :param request_id: the attempt's.
        :param samples: of the sheet, and those that have left it.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if self._place is not None:
            write_samples(self._hook, self._place, request_id, samples)
            return
        known = self._load()
        known.pop(request_id, None)
        known[request_id] = [sample.to_json() for sample in samples]
        for forgotten in list(known)[:-KEPT_ATTEMPTS]:
            del known[forgotten]
        if self._accessor is None:
            self._in_process = known
        else:
            # The value of airflow.sdk.NEVER_EXPIRE, as of the attempt record.
            self._accessor.set(KEY, known, retention=timedelta.max)

    def read(self, request_id: str) -> Iterator[Sample]:
        """Read the samples of an attempt.

        :param request_id: the attempt's.
        :return: its samples; none when they were not kept.
        :raises SettingsError: what is there is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if self._place is not None:
            yield from read_samples(self._hook, self._place.uri, request_id)
            return
        for value in self._load().get(request_id, ()):
            yield Sample.from_json(value)

    def _load(self) -> dict[str, list[dict[str, Any]]]:
        if self._accessor is None:
            return self._in_process
        return dict(self._accessor.get(KEY) or {})
