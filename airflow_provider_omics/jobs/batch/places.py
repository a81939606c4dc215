"""Where the batch of one task writes: its staging and its results in S3, and the memory of its samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from airflow_provider_omics.core.batch.sample import Sample
from airflow_provider_omics.core.errors import NotFound, Problem, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.batch.staging import checked_place
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.results.file import SAMPLES, read_samples, results_place, write_samples

KEY = "omics_samples"
"""Key in Airflow's task state store."""

KEPT_ATTEMPTS = 3
"""Attempts that are remembered there: the present one, and the one that it follows."""


@dataclass(frozen=True)
class BatchPlaces:
    """The places of the batch of one task instance; those that the task does not name are the connection's.

    :param owner: the try.
    :param staging_s3_uri: the task's staging place; None: the connection's.
    :param results_s3_uri: the task's results file, or a prefix that ends in a slash; None: the connection's.
    :param is_object: whether the run settings lie in an S3 object of the user's.
    """

    owner: Owner
    staging_s3_uri: str | None
    results_s3_uri: str | None
    is_object: bool

    @property
    def named(self) -> S3Place | None:
        """The staging place that the task or the connection names; None: neither does."""
        defaults = self.owner.hook.defaults
        uri = checked_place(self.staging_s3_uri or defaults.staging_s3_uri)
        return None if uri is None else S3Place(uri, defaults.staging_kms_key_id)

    @property
    def results(self) -> S3Place | None:
        """The results file; None: there is no place for it."""
        defaults = self.owner.hook.defaults
        uri = results_place(self.results_s3_uri, defaults.results_s3_uri, self.owner.identity)
        return None if uri is None else S3Place(uri, defaults.results_kms_key_id)

    @property
    def any(self) -> S3Place | None:
        """The staging place, else the prefix of the results; None: the task writes nowhere in S3."""
        results = self.results
        prefix = None if results is None else replace(results, uri=results.uri.rpartition("/")[0])
        return self.named or prefix

    @property
    def staging(self) -> S3Place | None:
        """The place of staged settings; some of an S3 object of the user's can be put beside the results as well."""
        return self.any if self.is_object else self.named

    def memory(self) -> BatchMemory:
        """Open the memory of the samples: beside the results file, else below the staging place, else in Airflow."""
        place, staging = self.results, self.named
        if place is None and staging is not None:
            uri = results_place(None, f"{staging.uri.rstrip('/')}/samples", self.owner.identity)
            place = None if uri is None else S3Place(uri, staging.kms_key_id)
        return BatchMemory(self.owner.hook, place, self.owner.context.get("task_state_store"))


@dataclass(eq=False)
class BatchMemory:
    """The samples of a task's attempts, by request id.

    They are kept beside its results, or below its staging place, or, if it has neither (then there are at most 100 of
    them), in Airflow's task state store.

    :param hook: the hook whose connection is used.
    :param place: a results file, beside which they are kept; None: there is none.
    :param accessor: ``context["task_state_store"]``; None: this Airflow has none, and nothing outlives the process.
    """

    hook: OmicsHook
    place: S3Place | None
    accessor: Any
    _in_process: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def lasts(self) -> bool:
        """Whether a later try finds the stored samples."""
        return self.place is not None or self.accessor is not None

    def keep(self, request_id: str, samples: Iterable[Sample]) -> None:
        """Keep the samples of an attempt, before it is started.

        :param request_id: the attempt's.
        :param samples: of the sheet, and those that have left it.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if self.place is not None:
            write_samples(self.hook, self.place, request_id, samples)
            return
        known = self._load()
        known.pop(request_id, None)
        known[request_id] = [sample.to_json() for sample in samples]
        for forgotten in list(known)[:-KEPT_ATTEMPTS]:
            del known[forgotten]
        if self.accessor is None:
            self._in_process = known
        else:
            # The value of airflow.sdk.NEVER_EXPIRE, as of the attempt record.
            self.accessor.set(KEY, known, retention=timedelta.max)

    def read(self, request_id: str, *, required: bool = False) -> Iterator[Sample]:
        """Read the samples of an attempt.

        :param request_id: the attempt's.
        :param required: they were kept. Default False.
        :return: its samples; none when they were not kept.
        :raises NotFound: they were kept, and are gone.
        :raises SettingsError: what is there is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if self.place is not None:
            yield from read_samples(self.hook, self.place.uri, request_id, required=required)
            return
        known = self._load()
        if required and request_id not in known:
            raise NotFound("ReadSamples", "NotFound", f"the samples of request {request_id} are gone")
        try:
            yield from [Sample.from_json(value) for value in known.get(request_id, ())]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            kind, _ = SAMPLES
            allowed = f"{kind} ({type(error).__name__}: {error}). Delete it, and clear the task with rerun='all'."
            raise SettingsError([Problem(f"task state {KEY!r}", "not readable", allowed)]) from error

    def _load(self) -> dict[str, list[dict[str, Any]]]:
        if self.accessor is None:
            return self._in_process
        return dict(self.accessor.get(KEY) or {})
