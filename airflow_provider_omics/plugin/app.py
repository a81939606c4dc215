"""The routes of the page in Airflow's UI: each asks Airflow whether the user may, and changes nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - a server's model: it has no name for tasks
from airflow.models.xcom import XComModel  # noqa: TID251 - the same
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from airflow_provider_omics.links.omics import OmicsCohortReportLink, OmicsResultsFileLink, OmicsRunBatchLink
from airflow_provider_omics.plugin.cohort import Recorded, cohort_html
from airflow_provider_omics.reports.html import policy

MAY_READ = [Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.TASK_LOGS))]
LINKS = (OmicsRunBatchLink, OmicsCohortReportLink, OmicsResultsFileLink)


@cache
def application() -> FastAPI:
    """Build the application; once in a process."""
    app = FastAPI(title="AWS HealthOmics", docs_url=None, redoc_url=None, openapi_url=None)
    route = "/cohort/{dag_id}/{run_id}/{task_id}/{map_index}"
    app.get(route, dependencies=MAY_READ, response_class=HTMLResponse)(show_cohort)
    return app


def show_cohort(dag_id: str, run_id: str, task_id: str, map_index: str, session: SessionDep) -> HTMLResponse:
    """Show the cohort of a task instance.

    :param dag_id: id of the DAG, for which Airflow has been asked.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: of a mapped task; of another one Airflow leaves ``{MAP_INDEX}`` as it is.
    :param session: of Airflow's database.
    :return: the page.
    :raises HTTPException: there is no such task instance.
    """
    index = int(map_index) if map_index.lstrip("-").isdecimal() else -1
    instance = (dag_id, run_id, task_id, index)
    if session.scalar(select(TaskInstance.id).where(*_of(TaskInstance, instance))) is None:
        raise HTTPException(404, "There is no such task instance.")
    keys = [link.key for link in LINKS]
    rows = session.execute(
        select(XComModel.key, XComModel.value).where(*_of(XComModel, instance), XComModel.key.in_(keys))
    )
    known = {row.key: XComModel.deserialize_value(row) for row in rows}
    session.rollback()  # AWS is asked without a connection of the database
    recorded = Recorded(
        title=f"{dag_id} / {run_id} / {task_id}{f' [{index}]' if index >= 0 else ''}",
        batch=known.get(OmicsRunBatchLink.key),
        report=known.get(OmicsCohortReportLink.key),
        results=known.get(OmicsResultsFileLink.key),
    )
    headers = {
        # What lies in S3 gets no rights here that a page of this version does not need.
        "Content-Security-Policy": f"{policy()}; frame-ancestors 'self'",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(cohort_html(recorded), headers=headers)


def _of(model: Any, instance: tuple[str, str, str, int]) -> tuple[Any, ...]:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return tuple(getattr(model, name) == value for name, value in zip(names, instance, strict=True))
