"""All samples of a task's last attempt, by how they ended: what a verdict rests on where results are collected."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.failure.causes import read_cause
from airflow_provider_omics.results.failed_runs import FailedRun
from airflow_provider_omics.results.store import ResultsStore


@dataclass(frozen=True)
class Cohort:
    """The samples of an attempt, whichever attempt submitted them last, as the merged results tell of them.

    :param counts: how they ended; one that has no record is of unknown end.
    :param failed: those that did not complete.
    """

    counts: BatchCounts
    failed: list[FailedRun]

    @classmethod
    def of(cls, store: ResultsStore, total_runs: int) -> Cohort:
        """Take it out of the collected results.

        :param store: samples, submissions and records.
        :param total_runs: of the batch, as GetBatch tells it.
        """
        statuses = store.cohort_counts()
        unlisted = max(0, total_runs - store.count_submitted())
        unknown = statuses.pop(None, 0) + statuses.get("UNKNOWN", 0) + unlisted
        ends = {status: number for status, number in statuses.items() if status is not None}
        counts = BatchCounts.of_statuses({**ends, "UNKNOWN": unknown})
        return cls(counts, list(_failed(store)))


def _failed(store: ResultsStore) -> Iterator[FailedRun]:
    for sample, ended, record in store.not_completed():
        if sample.carried is not None:
            code, task = read_cause(sample.reason) if record is None else (record.failure_code, record.failed_task)
            run_id, status = None if record is None else record.run_id, ended or sample.carried
            yield FailedRun(sample.run_setting_id, run_id, status, code, "not tried again", True, task)
        elif record is None or ended is None:
            yield FailedRun(sample.run_setting_id, None, "UNKNOWN", None, "it has no record yet")
        else:
            yield _failed_run(record, RecordStatus(ended))


def _failed_run(record: RunRecord, ended: RecordStatus) -> FailedRun:
    code, task = record.failure_code, record.failed_task
    return FailedRun(record.run_setting_id, record.run_id, ended.value, code, record.message, task=task)
