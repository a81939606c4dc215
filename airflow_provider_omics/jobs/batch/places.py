"""Where the batch of one task writes in S3: its staging, its results, the memory of its samples."""

from __future__ import annotations

from dataclasses import replace

from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.batch.memory import BatchMemory, memory_place
from airflow_provider_omics.jobs.batch.results import BatchResults
from airflow_provider_omics.jobs.batch.staging import checked_place
from airflow_provider_omics.jobs.tries import Try


class BatchPlaces:
    """The places of the batch of one task instance.

    :param try_: the try; its connection names the default places.
    :param staging_s3_uri: the task's staging place; None: the connection's.
    :param results: the task's results.
    :param is_object: whether the run settings lie in an S3 object of the user's.
    """

    def __init__(self, try_: Try, staging_s3_uri: str | None, results: BatchResults, *, is_object: bool) -> None:
        self._try = try_
        self._staging_s3_uri = staging_s3_uri
        self.results = results
        self._is_object = is_object

    @property
    def named(self) -> S3Place | None:
        """The staging place that the task or the connection names; None: neither does."""
        defaults = self._try.hook.defaults
        uri = checked_place(self._staging_s3_uri or defaults.staging_s3_uri)
        return None if uri is None else S3Place(uri, defaults.staging_kms_key_id)

    @property
    def any(self) -> S3Place | None:
        """The staging place, else the prefix of the results; None: the task writes nowhere in S3."""
        named = self.named
        if named is not None:
            return named
        results = self.results.place
        return None if results is None else replace(results, uri=results.uri.rpartition("/")[0])

    @property
    def staging(self) -> S3Place | None:
        """The place of staged settings; some of an S3 object of the user's can be put beside the results as well."""
        return self.any if self._is_object else self.named

    def memory(self) -> BatchMemory:
        """Open the memory of the samples of the task's attempts."""
        place = memory_place(self.results.place, self.named, self._try.owner.identity)
        return BatchMemory(self._try.hook, place, self._try.context.get("task_state_store"))
