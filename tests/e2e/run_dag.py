"""Runs a DAG in this process, under the run id of a day: ``airflow dags test`` takes the present time for it.

::

    python run_dag.py DAG_FOLDER DAG_ID DATE
"""

from __future__ import annotations

import sys
from datetime import datetime, timezone

from airflow.dag_processing.dagbag import DagBag

folder, dag_id, date = sys.argv[1:]
day = datetime.fromisoformat(date).replace(tzinfo=timezone.utc)
run = DagBag(folder).dags[dag_id].test(run_after=day, logical_date=day)
sys.exit(0 if run.state == "success" else f"{dag_id} {run.run_id}: {run.state}")
