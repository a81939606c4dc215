"""Inputs of runs: the objects in S3 that their parameters name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.life.batch_settings import split_uri
from airflow_provider_omics.emulator.life.records import Run
from airflow_provider_omics.emulator.life.region import Region

# ResourceDigestKey of the model.
_LONGEST_URI = 256


def resource_digests(region: Region, run: Run) -> dict[str, str]:
    """Return the digests of a run's inputs, as they were when somebody first looked at the run.

    :param region: the region of the run.
    :param run: the run.
    :return: URI -> ``etag:...``; empty while the run is PENDING. An object that does not exist has an invented ETag:
        the emulator runs nothing, so inputs need not be there.
    """
    if run.status == statuses.PENDING or run.starting is None:
        return {}
    if run.resource_digests is None:
        run.resource_digests = {uri: f"etag:{_etag(region, uri)}" for uri in dict.fromkeys(_uris(run.parameters))}
    return run.resource_digests


def _uris(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        place = split_uri(value) if len(value) <= _LONGEST_URI else None
        if place is not None and not value.endswith("/"):
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _uris(item)
    elif isinstance(value, list):
        for item in value:
            yield from _uris(item)


def _etag(region: Region, uri: str) -> str:
    etag = region.surroundings.object_etag(region.account, region.name, *(split_uri(uri) or ("", "")))
    return etag.strip('"') if etag is not None else hashlib.md5(uri.encode(), usedforsecurity=False).hexdigest()
