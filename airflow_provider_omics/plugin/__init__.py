"""The page of a cohort in Airflow's UI: the entry point ``airflow.plugins``.

Every process of Airflow imports this module, so it loads nothing; an api-server builds the application on the first
request for a page.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin, conf

PREFIX = "/omics"


async def cohort_app(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request, an ASGI application; called by Airflow's api-server.

    :param scope: of the request.
    :param receive: receives its body.
    :param send: sends the answer.
    """
    from asgiref.sync import sync_to_async

    def application() -> Any:
        from airflow_provider_omics.plugin.app import application

        return application()

    # Its modules are loaded in a thread: the api-server's event loop serves everybody.
    await (await sync_to_async(application)())(scope, receive, send)


def _path() -> str:
    """Return the path of Airflow's address: ``/airflow`` of ``https://company.org/airflow/``."""
    address = conf.get("api", "base_url", fallback="") or ""
    path = address.partition("://")[2].partition("/")[2].strip("/")
    return f"/{path}" if path else ""


class OmicsPlugin(AirflowPlugin):
    """The tab "Cohort" of a task instance, from Airflow 3.1 on; older versions ignore both of its parts."""

    name = "omics"
    # Airflow's own base has them as attributes of its instances, by their annotations.
    fastapi_apps = [{"app": cohort_app, "url_prefix": PREFIX, "name": "AWS HealthOmics"}]  # noqa: RUF012 - see above
    external_views = [  # noqa: RUF012 - see above
        {
            "name": "Cohort",
            "href": f"{_path()}{PREFIX}/tab/{{DAG_ID}}/{{RUN_ID}}/{{TASK_ID}}/{{MAP_INDEX}}",
            "destination": "task_instance",
            "url_route": "omics_cohort",
        }
    ]
