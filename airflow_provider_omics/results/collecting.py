"""Collecting the results of a batch, into a file or into a store."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Any

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import Sample
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results.collection import Collected, Collection
from airflow_provider_omics.results.store import ResultsStore


def collect_results(hook: OmicsHook, batch_id: str, uri: str, log: Any, **options: Any) -> Collected:
    """Read what has ended of a batch and add it to its results file; at any time, as often as one likes.

    Runs that have their record already are not asked for again, so that a collection that was lost goes on where it
    was. Memory is the same for any size of batch.

    :param hook: where to ask; its connection's ``calls_per_second`` is the pace.
    :param batch_id: id of the batch, whoever started it.
    :param uri: the results file: ``s3://bucket/key.jsonl`` or ``.jsonl.gz``.
    :param log: the task's logger.
    :param options: the others of :class:`Collection`.
    :return: the counts.
    :raises SettingsError: the arguments do not go together, or the file is no results file.
    :raises NotFound: there is no such batch (any more).
    :raises ServiceError: HealthOmics, S3 or CloudWatch Logs refused a call, or did not get through.
    """
    with closing(Collection(hook, batch_id, uri, log, **options)) as collection:
        return collection.collect()


def collect_into(store: ResultsStore, hook: OmicsHook, batch_id: str, samples: Iterable[Sample], log: Any) -> Collected:
    """Read what has ended of a batch, how it ended, and why it failed, into a store and no file.

    :param store: where the records go.
    :param hook: where to ask; its connection's ``calls_per_second`` is the pace.
    :param batch_id: id of the batch, whoever started it.
    :param samples: what is known of its samples.
    :param log: the task's logger.
    :return: the counts.
    :raises NotFound: there is no such batch (any more).
    :raises ServiceError: HealthOmics or CloudWatch Logs refused a call, or did not get through.
    """
    store.add_samples(samples)
    return Collection(hook, batch_id, None, log, detail=ResultsDetail.LISTED, reasons=True, store=store).collect()
