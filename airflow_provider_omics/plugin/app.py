"""The routes of the page in Airflow's UI: each asks Airflow for the user's permission, and changes nothing.

Only Airflow's own API changes a task: the tab's script calls it as the user.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from airflow.models.renderedtifields import RenderedTaskInstanceFields  # noqa: TID251 - a server's model: it has no name for tasks
from airflow.models.taskinstance import TaskInstance  # noqa: TID251 - the same
from airflow.models.xcom import XComModel  # noqa: TID251 - the same
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from airflow_provider_omics.links.omics import (
    OmicsCohortReportLink,
    OmicsResultsFileLink,
    OmicsRunBatchLink,
    OmicsRunLink,
    OmicsRunReportLink,
)
from airflow_provider_omics.plugin.actions import batch_answer, offer, rerun_answer
from airflow_provider_omics.plugin.cohort import Recorded, cohort_html
from airflow_provider_omics.reports.html import policy, render_tab, tab_policy

_may_change = requires_access_dag(method="PUT", access_entity=DagAccessEntity.TASK_INSTANCE)
MAY_READ = [Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.TASK_LOGS))]
MAY_CHANGE = [*MAY_READ, Depends(_may_change)]
"""Rights on a task's logs, and those that Airflow's own routes need that clear a task and set its state."""

LINKS = (OmicsRunBatchLink, OmicsCohortReportLink, OmicsResultsFileLink, OmicsRunLink, OmicsRunReportLink)
"""By what a task has recorded for its links, its page is made."""

UNDERWAY = ("running", "deferred", "queued", "scheduled")
"""States of a task whose report is not its last one, if it has one."""


@dataclass(frozen=True)
class Found:
    """A task instance.

    :param names: ``dag_id``, ``run_id``, ``task_id`` and ``map_index``.
    :param state: its state; None: it is to be scheduled.
    :param recorded: what it has recorded of its cohort.
    :param rerun: its argument ``rerun`` in the last try; None: Airflow no longer has it.
    """

    names: dict[str, str]
    state: str | None
    recorded: Recorded
    rerun: str | list[str] | None


@cache
def application() -> FastAPI:
    """Build the application; once in a process."""
    app = FastAPI(title="AWS HealthOmics", docs_url=None, redoc_url=None, openapi_url=None)
    route = "{dag_id}/{run_id}/{task_id}/{map_index}"
    app.get(f"/cohort/{route}", dependencies=MAY_READ, response_class=HTMLResponse)(show_cohort)
    app.get(f"/tab/{route}", dependencies=MAY_READ, response_class=HTMLResponse)(show_tab)
    app.get(f"/offer/{route}", dependencies=MAY_CHANGE)(answer_offer)
    app.get(f"/rerun/{route}", dependencies=MAY_CHANGE)(answer_rerun)
    app.get(f"/batch/{route}", dependencies=MAY_CHANGE)(answer_batch)
    return app


def find(dag_id: str, run_id: str, task_id: str, map_index: str, session: SessionDep) -> Found:
    """Find a task instance in Airflow's database.

    :param dag_id: id of the DAG, for which Airflow has been asked.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: of a mapped task; of another one Airflow leaves ``{MAP_INDEX}`` as it is.
    :param session: of Airflow's database.
    :return: what is known of it.
    :raises HTTPException: there is no such task instance.
    """
    index = int(map_index) if map_index.lstrip("-").isdecimal() else -1
    instance = (dag_id, run_id, task_id, index)
    found = session.execute(select(TaskInstance.id, TaskInstance.state).where(*_of(TaskInstance, instance))).first()
    if found is None:
        raise HTTPException(404, "There is no such task instance.")
    keys = [link.key for link in LINKS]
    rows = session.execute(
        select(XComModel.key, XComModel.value).where(*_of(XComModel, instance), XComModel.key.in_(keys))
    )
    known = {row.key: XComModel.deserialize_value(row) for row in rows}
    fields = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(*_of(RenderedTaskInstanceFields, instance))
    )
    session.rollback()  # AWS is asked without a connection of the database
    recorded = Recorded(
        title=f"{dag_id} / {run_id} / {task_id}{f' [{index}]' if index >= 0 else ''}",
        batch=known.get(OmicsRunBatchLink.key),
        report=known.get(OmicsCohortReportLink.key) or known.get(OmicsRunReportLink.key),
        results=known.get(OmicsResultsFileLink.key),
        run=known.get(OmicsRunLink.key),
        is_going=found.state in UNDERWAY,
    )
    names = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": str(index)}
    return Found(names, None if found.state is None else str(found.state), recorded, (fields or {}).get("rerun"))


FoundDep = Annotated[Found, Depends(find)]


def show_cohort(found: FoundDep) -> HTMLResponse:
    """Show the cohort of a task instance.

    :param found: the task instance.
    :return: the page.
    """
    # What lies in S3 gets no rights here that a page of this version does not need.
    return HTMLResponse(cohort_html(found.recorded), headers=_headers(policy()))


def show_tab(found: FoundDep, request: Request, user: GetUserDep) -> HTMLResponse:
    """Show the tab: the cohort, with what this user may do, if there is anything.

    :param found: the task instance.
    :param request: the request.
    :param user: the user.
    :return: the page, in a frame where there are buttons above it.
    """
    if found.recorded.batch is None or not _is_allowed(request, user):
        return show_cohort(found)
    address = "/".join(quote(name, safe="") for name in found.names.values())
    # Relative, as Airflow may be behind a path.
    html = render_tab(found.names, f"../../../../cohort/{address}")
    return HTMLResponse(html, headers=_headers(tab_policy()))


def answer_offer(found: FoundDep) -> dict[str, str | None]:
    """Answer which action a task instance can have; AWS is not asked.

    :param found: the task instance.
    """
    return {"offer": offer(found.recorded, found.state)}


def answer_rerun(found: FoundDep) -> dict[str, Any]:
    """Answer whether the failed samples can be run again, and what that would submit; AWS is asked.

    :param found: the task instance.
    """
    return rerun_answer(found.recorded, found.state, found.rerun)


def answer_batch(found: FoundDep) -> dict[str, Any]:
    """Answer how the batch is; AWS is asked.

    :param found: the task instance.
    """
    return batch_answer(found.recorded)


def _is_allowed(request: Request, user: Any) -> bool:
    try:
        _may_change(request, user)
    except HTTPException:
        return False
    return True


def _headers(content_policy: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": f"{content_policy}; frame-ancestors 'self'",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def _of(model: Any, instance: tuple[str, str, str, int]) -> tuple[Any, ...]:
    names = ("dag_id", "run_id", "task_id", "map_index")
    return tuple(getattr(model, name) == value for name, value in zip(names, instance, strict=True))
