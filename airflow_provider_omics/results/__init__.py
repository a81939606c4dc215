"""The results of a batch's runs: collected from HealthOmics into a results file, and read from it.

``read_batch_results`` and ``completed_chunks`` are for DAGs; the operators use the rest.
"""

from __future__ import annotations

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.results.read import completed_chunks, read_batch_results

__all__ = ["RecordStatus", "RunRecord", "completed_chunks", "read_batch_results"]
