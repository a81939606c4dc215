"""Sample sheets: how their rows become run settings, and reading them.

``python -m airflow_provider_omics sheet samples.csv --mapping mapping.json`` reads one on a command line,
without AWS and without Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet, each, one

if TYPE_CHECKING:
    from airflow_provider_omics.sheets.read import run_settings_from_sheet

__all__ = ["SampleSheet", "each", "one", "run_settings_from_sheet"]


def __getattr__(name: str) -> Any:
    """Load the reader of sheets (13 modules, 14 ms) where it is used: a DAG file that maps a sheet does without."""
    if name != "run_settings_from_sheet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_provider_omics.sheets.read import run_settings_from_sheet

    return run_settings_from_sheet
