"""TaskFlow decorators: a function returns what to run, and its task runs it.

They are also available as ``@task.omics_run`` and ``@task.omics_run_batch``. Imported from here, they have types.
"""

from __future__ import annotations

from airflow_provider_omics.decorators.run import omics_run
from airflow_provider_omics.decorators.run_batch import omics_run_batch

__all__ = ["omics_run", "omics_run_batch"]
