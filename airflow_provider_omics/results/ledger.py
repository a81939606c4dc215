"""The ledger beside a results file: an object for each attempt and for each run, written once."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from airflow_provider_omics.core.batch.ledger import attempt_entry, run_entry
from airflow_provider_omics.core.errors import Conflict
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.results.file import beside


class Ledger:
    """The ledger of a results file.

    Nothing in it is ever written over (``If-None-Match``): an entry that is there already counts as written. So it
    works in a bucket with S3 Object Lock.

    :param hook: the hook whose connection is used.
    :param results: the results file, whose key its objects have.
    :param masks: whether values of parameters and policies are replaced by their hashes.
    """

    def __init__(self, hook: OmicsHook, results: S3Place, masks: bool) -> None:
        self._store = S3Store(hook)
        self._results = results
        self._masks = masks

    def add_attempt(self, request: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
        """Write the entry of an attempt.

        :param request: of StartRunBatch, as it is sent.
        :param facts: whatever else is known of it.
        :return: where it lies: ``s3://bucket/key/attempts/{request_id}.json``.
        :raises ServiceError: S3 refused, or did not get through.
        """
        entry = attempt_entry(request, facts, masks=self._masks)
        return self._add(f"attempts/{_name(request['requestId'])}.json", _json(entry))

    def add_run(self, uuid: str, answer: Mapping[str, Any] | None, manifest: Iterable[str] | None) -> str:
        """Write the entry of a run that has ended.

        :param uuid: of the run.
        :param answer: of GetRun; None: the run's record is gone.
        :param manifest: messages of its manifest stream; None: it could not be read.
        :return: where it lies: ``s3://bucket/key/runs/{run_uuid}.json.gz``.
        :raises ServiceError: S3 refused, or did not get through.
        """
        packed = gzip.compress(_json(run_entry(answer, manifest, masks=self._masks)), mtime=0)
        return self._add(f"runs/{_name(uuid)}.json.gz", packed)

    def _add(self, name: str, body: bytes) -> str:
        place = S3Place(beside(self._results.uri, name), self._results.kms_key_id)
        kind = "application/gzip" if name.endswith(".gz") else "application/json"
        with suppress(Conflict):  # it was written by an earlier try, or by this one, whose answer was lost
            self._store.put(place, body, if_none_match=True, content_type=kind)
        return place.uri


def _json(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":"), default=str).encode()


def _name(text: str) -> str:
    """Keep an id of the service from leading to another place."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", text)
