"""Sessions of aiobotocore that do not block the event loop, neither when a client is made nor when it works on.

What they leave out per call is what many waits would pay for: see :func:`parse_time` and :func:`set_user_agent`.
"""

from __future__ import annotations

import inspect
from datetime import datetime
from functools import cache
from typing import Any

from asgiref.sync import sync_to_async
from botocore.config import Config
from botocore.loaders import Loader
from botocore.utils import parse_timestamp

from airflow_provider_omics.hooks.uninterrupted import uninterrupted


def for_event_loop(session: Any, service: str, config: Config) -> Any:
    """Take out of a session what would block the event loop; call it in a thread.

    aiobotocore reads botocore's data files, 0.1 s of CPU, when a client is entered on the loop: they are read here.
    The Amazon provider gives a session with an assumed role a refresh function that calls STS through a blocking
    client: it is moved to a thread.

    :param session: an aiobotocore session that has made no client yet.
    :param service: name of the service it is for.
    :param config: what the user has configured for its clients.
    :return: the session.
    """
    session.register_component("data_loader", _loader(service))
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
    set_user_agent(session, config)
    # None unless the Amazon provider has assumed a role; other credentials are found, and refreshed, by aiobotocore.
    credentials: Any = getattr(session, "_credentials", None)
    refresh = getattr(credentials, "_refresh_using", None)
    if refresh is not None and not inspect.iscoroutinefunction(refresh):
        # Not thread-sensitive: the one thread for those that are serves all triggers' calls of Airflow, and STS may
        # take its time. Unlike `asyncio.to_thread`, it can still reach Airflow's supervisor from there.
        in_thread = sync_to_async(refresh, thread_sensitive=False)

        async def refresh_in_thread() -> Any:
            return await uninterrupted(in_thread())

        credentials._refresh_using = refresh_in_thread  # noqa: SLF001  # no other way in
    return session


def parse_time(value: Any) -> datetime:
    """Read a timestamp of an answer.

    Of what 500 waits cost, 40 % went into botocore's own reading of timestamps, which knows every form there is: a page
    of ListRuns has 300 of them. This one knows the form that HealthOmics uses, and leaves the others to botocore.

    :param value: as it stands in the answer: ``"2026-11-22T10:00:00.123Z"``.
    :return: the moment; aware, if the answer tells a zone.
    """
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        moment: datetime = parse_timestamp(value)
        return moment


def set_user_agent(session: Any, config: Config) -> None:
    """Have the user agent of a session's clients put together once.

    botocore does it twice for each call, in the long form that also tells the retry mode and the features in use: a
    sixth of the CPU time of a GetRun. The short form, of ``Session.user_agent``, has the versions of aiobotocore,
    botocore, Python and the system; what the Amazon provider adds (``user_agent_extra``) follows it. An application id
    is told by the long form only: then, and where the user has a user agent of their own, nothing is changed.

    :param session: an aiobotocore session that has made no client yet.
    :param config: what the user has configured for its clients.
    """
    if config.user_agent or config.user_agent_appid or session.get_config_variable("user_agent_appid"):
        return
    # The clients add the session's extra part themselves.
    agent = session.user_agent().removesuffix(f" {session.user_agent_extra}")
    ours, default = Config(user_agent=agent), session.get_default_client_config()
    session.set_default_client_config(ours.merge(default) if default else ours)


@cache
def _loader(service: str) -> Loader:
    """Read the files that every client of a service needs; the loader keeps them, once for all sessions."""
    loader = Loader()
    for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
        loader.load_data(name)
    for kind in ("service-2", "endpoint-rule-set-1"):
        loader.load_service_model(service, kind)
    return loader
