"""The command ``emulator``: the local HealthOmics, as the console script ``healthomics-emulator`` runs it."""

from __future__ import annotations

from airflow_provider_omics.emulator.__main__ import add_arguments, run

__all__ = ["add_arguments", "run"]
