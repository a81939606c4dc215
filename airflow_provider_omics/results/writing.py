"""Writing a results file, into which others may write as well."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.errors import Conflict
from airflow_provider_omics.results.file import JsonLinesFile
from airflow_provider_omics.results.store import ResultsStore

WRITERS = 5
"""How often another one may write the same file while this one wants to."""


def write_merged(file: JsonLinesFile, store: ResultsStore, log: Any) -> None:
    """Replace a results file by the records of a store, and never a newer record by an older one.

    S3 takes the file only if nobody has written it since it was read (If-Match); else it is read again, and what is new
    in it taken in first.

    :param file: the file, which was read into the store.
    :param store: the records.
    :param log: the task's logger.
    :raises Conflict: others write all the time.
    :raises ServiceError: S3 refused, or did not get through.
    """
    for attempt in range(WRITERS):
        try:
            file.replace(store.lines())
        except Conflict:
            if attempt == WRITERS - 1:
                raise
            log.warning("%s was written by another task meanwhile; adding to it", file.uri)
            store.take(file.read(RunRecord.from_json))
        else:
            store.written()
            return
