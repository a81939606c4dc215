"""What a task knows of the samples that it submits, kept beside the results until they are collected.

The task that starts a batch and the one that collects it may be other processes on other days, and a sheet changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_omics.core.batch.sample import Sample
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.results.file import JsonLinesFile
from airflow_provider_omics.results.places import samples_place


def write_samples(hook: OmicsHook, results: S3Place, request_id: str, samples: Iterable[Sample]) -> None:
    """Keep the samples of an attempt.

    :param hook: the hook whose connection is used.
    :param results: the results file that they belong to, whose key they have.
    :param request_id: the attempt's.
    :param samples: as they are submitted.
    :raises ServiceError: S3 refused, or did not get through.
    """
    file = JsonLinesFile(hook, samples_place(results.uri, request_id), results.kms_key_id)
    file.replace(sample.to_json() for sample in samples)


def read_samples(hook: OmicsHook, results_uri: str, request_id: str) -> Iterator[Sample]:
    """Read the samples of an attempt.

    :param hook: the hook whose connection is used.
    :param results_uri: the results file that they belong to.
    :param request_id: the attempt's.
    :return: its samples; none when they were not kept.
    :raises SettingsError: what is there is something else.
    :raises ServiceError: S3 refused, or did not get through.
    """
    return JsonLinesFile(hook, samples_place(results_uri, request_id), None).read(Sample.from_json)
