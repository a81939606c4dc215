"""What became of the runs of a batch: read from HealthOmics, kept in a results file, read from there."""

from __future__ import annotations

from airflow_provider_omics.results.failed_runs import PAGE, FailedRun, failed_runs, started_run_ids

__all__ = ["PAGE", "FailedRun", "failed_runs", "started_run_ids"]
