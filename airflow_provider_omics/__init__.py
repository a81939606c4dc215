"""Apache Airflow provider for AWS HealthOmics: start a run or a batch of runs, wait, and judge the outcome.

Nothing is imported here: Airflow reads this package to list its providers, and every pytest run of everyone who has
the package installed loads :mod:`airflow_provider_omics.emulator.pytest_plugin`. Both must stay cheap.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
