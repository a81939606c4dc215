"""The ledger beside a results file: an object for each attempt and for each run, written once and read for audits."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow_provider_omics.core.batch.ledger import attempt_entry, run_entry
from airflow_provider_omics.core.cost.ledger import LedgerRun
from airflow_provider_omics.core.errors import Conflict, Problem, SettingsError
from airflow_provider_omics.core.uris import S3Address, is_s3_uri, s3_address
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.results.file import beside, is_results_file
from airflow_provider_omics.sheets.opening import open_bytes

LARGEST_ENTRY = 1 << 28
"""Bytes of an entry, unpacked; a manifest of 20,000 tasks has 30 MB."""

_ENTRY = re.compile(r"/runs/([^/]+)[.]json[.]gz$")


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

    def add_run(
        self, uuid: str, run_setting_id: str, answer: Mapping[str, Any] | None, manifest: Iterable[str] | None
    ) -> str:
        """Write the entry of a run that has ended.

        :param uuid: of the run.
        :param run_setting_id: its sample.
        :param answer: of GetRun; None: the run's record is gone.
        :param manifest: messages of its manifest stream; None: it could not be read.
        :return: where it lies: ``s3://bucket/key/runs/{run_uuid}.json.gz``.
        :raises ServiceError: S3 refused, or did not get through.
        """
        entry = run_entry(run_setting_id, answer, manifest, masks=self._masks)
        return self._add(f"runs/{_name(uuid)}.json.gz", gzip.compress(_json(entry), mtime=0))

    def _add(self, name: str, body: bytes) -> str:
        place = S3Place(beside(self._results.uri, name), self._results.kms_key_id)
        kind = "application/gzip" if name.endswith(".gz") else "application/json"
        with suppress(Conflict):  # it was written by an earlier try, or by this one, whose answer was lost
            self._store.put(place, body, if_none_match=True, content_type=kind)
        return place.uri


@dataclass(frozen=True)
class LedgerEntry:
    """An entry of a run, which is not read yet.

    :param uri: where it lies: an S3 URI or a path.
    :param run_uuid: of its run, by its name.
    :param written: when it was written, which is after its run has ended; None: not known, as of a copy.
    """

    uri: str
    run_uuid: str
    written: datetime | None

    @property
    def results(self) -> str:
        """The results file that it lies beside, without its ending."""
        return self.uri.rpartition("/runs/")[0]

    def read(self, store: S3Store | None = None) -> LedgerRun:
        """Read it.

        :param store: reads S3. Default: the store of the connection ``aws_default``.
        :return: the run.
        :raises SettingsError: it is damaged, something else, or of a later version.
        :raises ServiceError: S3 refused, or did not get through.
        """
        try:
            with open_bytes(self.uri, store) as stream:
                text = stream.read(LARGEST_ENTRY + 1)
            if len(text) > LARGEST_ENTRY:
                raise ValueError(f"more than {LARGEST_ENTRY:,} bytes, unpacked")  # noqa: TRY301 - one way out of all
            return LedgerRun.from_entry(json.loads(text), self.run_uuid)
        except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
            allowed = f"an entry of a run in the ledger ({type(error).__name__}: {error}). Restore it, or move it away"
            raise SettingsError([Problem(self.uri, "damaged, or something else", allowed)]) from error


def ledger_entries(place: str, store: S3Store | None = None) -> Iterator[LedgerEntry]:
    """Find the entries of runs in the ledgers of a place, a page of a list at a time.

    :param place: ``s3://bucket/prefix/``, or a folder of this machine; or one results file, there or here.
    :param store: lists S3. Default: the store of the connection ``aws_default``.
    :return: the entries, by their places.
    :raises ServiceError: S3 refused, or did not get through.
    """
    below = beside(place, "runs/") if is_results_file(place) else place
    if is_s3_uri(place):
        bucket = s3_address(place).bucket
        for item in (store or S3Store.of_connection()).all_objects(below):
            if found := _ENTRY.search(item["Key"]):
                yield LedgerEntry(S3Address(bucket, item["Key"]).uri, found[1], item["LastModified"])
    else:
        for path in sorted(Path(below).rglob("*.json.gz")):
            if found := _ENTRY.search(path.as_posix()):
                yield LedgerEntry(str(path), found[1], None)


def _json(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":"), default=str).encode()


def _name(text: str) -> str:
    """Keep an id of the service from leading to another place."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", text)
