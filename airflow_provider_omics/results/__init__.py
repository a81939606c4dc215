"""What became of the runs of a batch: collected from HealthOmics into a results file, and read from there.

``read_batch_results`` and ``completed_chunks`` are for DAGs; the operators use the rest.
"""

from __future__ import annotations

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.results.failed_runs import FailedRun, failed_runs, started_run_ids
from airflow_provider_omics.results.read import completed_chunks, read_batch_results

__all__ = [
    "FailedRun",
    "RecordStatus",
    "RunRecord",
    "completed_chunks",
    "failed_runs",
    "read_batch_results",
    "started_run_ids",
]
