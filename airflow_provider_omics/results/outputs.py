"""The expected outputs of runs, looked for in S3 once a run has completed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.errors import AccessDenied, InvalidRequest, NotFound, ServiceError
from airflow_provider_omics.core.failure.causes import OUTPUTS_NOT_READ, OUTPUTS_TOO_MANY
from airflow_provider_omics.core.failure.reasons import OUTPUT_REASONS
from airflow_provider_omics.core.settings.outputs import MAX_PAGES, ExpectedOutputs, OutputSearch
from airflow_provider_omics.core.uris import s3_address
from airflow_provider_omics.hooks.client import Make, at_once
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import LIST_PAGE, S3Store

PAGES_PER_SECOND = 10.0
"""Lists a second at most: far below what S3 takes (5,500 a prefix), and more than GetRun's pace asks for."""

REFUSALS = (AccessDenied, InvalidRequest, NotFound)
"""Answers to a list that time alone does not change; they are of the bucket, which is not asked again."""


class OutputsFinder:
    """Looks for the expected outputs of runs: one list of what lies below the output URI for each.

    :param hook: the hook whose connection is used.
    :param log: the task's logger.
    :param expected: the outputs.
    :param make: makes each call. Default: once.
    :param wait: waits until the next page may be listed. Default: not at all.
    """

    def __init__(
        self,
        hook: OmicsHook,
        log: Any,
        expected: ExpectedOutputs,
        make: Make = at_once,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.expected = expected
        self._log = log
        self._make = make
        self._wait = wait
        self._store = S3Store(hook)
        self._refused: dict[str, ServiceError] = {}

    def find(self, output_uri: str, since: datetime | None) -> OutputSearch:
        """Look for the outputs of a run.

        :param output_uri: its ``runOutputUri``.
        :param since: when it started; None: not known.
        :return: what was found.
        :raises NotFound: there is no such bucket.
        :raises ServiceError: S3 refused, or did not get through.
        """
        search = OutputSearch(self.expected, output_uri, since)
        if not self.expected.patterns:
            return search
        token: str | None = None
        for number in range(MAX_PAGES):
            self._wait()
            items, token = self._make(partial(self._store.list_page, search.place, token))
            search.look(items)
            if token is None:
                break
            search.is_cut = number == MAX_PAGES - 1
        return search

    def lacks(self, record: RunRecord) -> bool:
        """Tell whether the outputs of a record's run have yet to be looked for.

        :param record: the record.
        """
        is_other = dict(record.expected_outputs or {}) != dict(self.expected.patterns)
        is_unjudged = record.expected_outputs is None and bool(self.expected.patterns)
        return record.has_completed and (is_unjudged or is_other or record.cause == OUTPUTS_NOT_READ)

    def judge(self, record: RunRecord) -> RunRecord:
        """Look for the outputs of a run that completed, unless they were looked for.

        What S3 does not tell is not known: the record is UNKNOWN then, and neither COMPLETED nor INCOMPLETE.

        :param record: the record of a run.
        :return: the record, COMPLETED, INCOMPLETE or UNKNOWN.
        :raises ServiceError: S3 did not get through.
        """
        if not self.lacks(record):
            return record
        patterns = dict(self.expected.patterns)
        blank = replace(
            record,
            status=RecordStatus.COMPLETED,
            cause=None,
            message=None,
            expected_outputs=patterns or None,
            files=None,
            files_left_out=None,
        )
        if not patterns:
            return blank
        if record.output_uri is None:
            return _not_known(blank, OUTPUTS_NOT_READ, "HealthOmics returned no output URI for it")
        bucket = s3_address(record.output_uri).bucket
        since = None if record.started_at is None else datetime.fromisoformat(record.started_at)
        if bucket not in self._refused:
            try:
                return _judged(blank, self.find(record.output_uri, since))
            except REFUSALS as error:
                self._refused[bucket] = error
                self._log.warning(
                    "Whether runs have left their expected outputs in %s is not known: %s %s",
                    *(bucket, error, OUTPUT_REASONS[OUTPUTS_NOT_READ].action),
                )
        refused = self._refused[bucket]
        return _not_known(blank, OUTPUTS_NOT_READ, f"{refused.operation} of {bucket}: {refused.code}")


def _judged(record: RunRecord, search: OutputSearch) -> RunRecord:
    found = replace(record, files=search.files, files_left_out=search.left_out or None)
    if not search.missing:
        return found
    if search.is_cut:
        return _not_known(found, OUTPUTS_TOO_MANY, cut_sentence(search))
    return replace(found, status=RecordStatus.INCOMPLETE, cause=RecordStatus.INCOMPLETE.value, message=search.sentence)


def _not_known(record: RunRecord, cause: str, message: str) -> RunRecord:
    return replace(record, status=RecordStatus.UNKNOWN, cause=cause, message=message)


def cut_sentence(search: OutputSearch) -> str:
    """Say that more lies in a place than was looked at.

    :param search: what was found.
    """
    return f"{search.sentence}, among the first {MAX_PAGES * LIST_PAGE:,} of more"
