"""The client of HealthOmics that a hook calls: its configuration, its sessions, its lists page by page."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import botocore
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from botocore.config import Config

from airflow_provider_omics.core.settings.checks import InstalledModel
from airflow_provider_omics.core.settings.connection import ConnectionDefaults
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.hooks.service_errors import complete, service_errors, unreadable
from airflow_provider_omics.hooks.sessions import prepare

if TYPE_CHECKING:
    from mypy_boto3_omics.client import OmicsClient

TOTAL_ATTEMPTS = 10
"""HTTP tries of one call in botocore's ``standard`` mode: about two minutes of throttling. ``legacy``, which was the
default before botocore 1.44, gives up after five and does not retry RequestTimeoutException."""

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 15.0
"""Seconds, for a client that many threads share: one call that hangs holds up one thread, and while credentials are
renewed all threads wait. botocore's own are 60 each. The API answers within a second or two."""

_OF_EACH_ITEM = {
    "ListRuns": ("id", "status"),
    "ListRunTasks": ("taskId",),
    "ListBatch": ("id", "status"),
    "ListRunsInBatch": ("runSettingId",),
    "ListRunCaches": ("id",),
}
"""What each item of a list has: without it nothing can be done. The model requires none of it."""

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_OMICS", "AWS_ENDPOINT_URL")


class OmicsClientHook(AwsBaseHook):
    """Base of :class:`~airflow_provider_omics.hooks.omics.OmicsHook`, which tells its arguments: makes its clients."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "omics"
        super().__init__(*args, **kwargs)

    if TYPE_CHECKING:

        @cached_property
        def conn(self) -> OmicsClient: ...  # noqa: D102 - documented by the base class

    @cached_property
    def defaults(self) -> ConnectionDefaults:
        """Team defaults of the connection, from its extra under ``service_config`` -> ``omics``.

        :raises SettingsError: a key is unknown, or a value has the wrong form.
        """
        return ConnectionDefaults.from_service_config(self.service_config)

    def installed_model(self) -> InstalledModel:
        """Read which run settings the installed boto3 can send.

        :return: the fields of StartRun and StartRunBatch in the client's own service model.
        :raises ServiceError: there is no client, as its credentials or its Region could not be had.
        """
        with service_errors("StartRun"):
            model = self.conn.meta.service_model
        batch: Any = model.operation_model("StartRunBatch").input_shape
        runs = batch.members["batchRunSettings"]
        shapes: dict[Place, Any] = {
            Place.START_RUN: model.operation_model("StartRun").input_shape,
            Place.DEFAULT_RUN_SETTING: batch.members["defaultRunSetting"],
            Place.PER_RUN: runs.members["inlineSettings"].member,
            Place.BATCH: batch,
        }
        return InstalledModel(botocore.__version__, {place: set(shape.members) for place, shape in shapes.items()})

    @property
    def misses_connection(self) -> bool:
        """Whether Airflow did not find the connection: the Amazon provider goes on without, as the machine itself."""
        return bool(self.aws_conn_id) and not isinstance(self.conn_config.conn_id, str)

    def renew(self) -> None:
        """Read the connection anew, and have a new client made of it for the next call.

        One that was found stays as it was when it is not found now: Airflow tells a secrets backend that fails, or an
        api-server, in the same way, and the new client would be somebody else.
        """
        self.__dict__.pop("conn", None)
        hook = type(self)(self.aws_conn_id, verify=self._verify, region_name=self._region_name, config=self._config)
        if hook.misses_connection:
            return
        if self.misses_connection:
            self.__dict__.pop("defaults", None)  # those of a connection do not change in the middle of an attempt
        self.conn_config = hook.conn_config

    def _get_config(self, config: Config | None = None) -> Config:
        """Build the client's configuration: the user's, and where it is silent, ours."""
        given: Config = super()._get_config(config)
        ours: dict[str, Any] = {}
        if given.retries is None and not {"AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"} & os.environ.keys():
            ours["retries"] = {"mode": "standard", "total_max_attempts": TOTAL_ATTEMPTS}
        # botocore has no public way to tell "not set" from its default, which is True.
        host_prefix_unset = getattr(given, "_inject_host_prefix", "UNSET") == "UNSET"
        if (
            host_prefix_unset
            and "AWS_DISABLE_HOST_PREFIX_INJECTION" not in os.environ
            and self._has_endpoint_override()
        ):
            ours["inject_host_prefix"] = False
        return given.merge(Config(**ours)) if ours else given

    def prepare_for_threads(self, count: int) -> None:
        """Read the connection, and have a client made of it that many threads may call; their callers repeat the calls.

        Its time limits hold for STS as well, which the Amazon provider calls with the same configuration. What the user
        has configured stays, but for repeats (botocore sleeps between them, in the thread) and too few connections.
        Airflow is asked for everything here: the client itself (:attr:`conn`) is made without it.

        :param count: how many threads call at the same time at most.
        """
        self.conn_config = AwsConnectionWrapper(
            conn=self.conn_config,
            region_name=self.region_name,
            botocore_config=_shared_config(self.config, count),
            verify=self.verify,
        )
        self._get_config()  # its user agent asks Airflow's ProvidersManager, which is not made for several threads

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Make a session whose clients take less time a call: see :mod:`airflow_provider_omics.hooks.sessions`."""
        session = super().get_session(region_name=region_name, deferrable=deferrable)
        return session if deferrable else prepare(session, self.config)

    def _has_endpoint_override(self) -> bool:
        if self.conn_config.get_service_endpoint_url(service_name="omics"):
            return True
        if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return False
        return any(os.environ.get(name) for name in _ENDPOINT_VARIABLES)

    def _items(self, operation: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        method = {
            "ListRuns": "list_runs",
            "ListRunTasks": "list_run_tasks",
            "ListBatch": "list_batch",
            "ListRunsInBatch": "list_runs_in_batch",
            "ListRunCaches": "list_run_caches",
        }[operation]
        client: Any = self.conn  # a paginator's name is not a literal here, which the stubs ask for
        with service_errors(operation):
            for page in client.get_paginator(method).paginate(**given_parameters(**parameters)):
                yield from items_of(operation, page, key)


def items_of(operation: str, page: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    """Iterate over the items on a page of a list.

    :param operation: the API operation: ``"ListRuns"``.
    :param page: its answer.
    :param key: where the items are: ``"items"``.
    :return: the items.
    :raises Unavailable: the page is no list, or an item lacks what everything else rests on.
    """
    if "json" not in page["ResponseMetadata"]["HTTPHeaders"].get("content-type", "json"):
        raise unreadable(operation, "no JSON")  # botocore takes the page of a proxy for an empty list
    for item in page.get(key) or ():
        yield complete(operation, item, *_OF_EACH_ITEM[operation])


def given_parameters(**parameters: Any) -> dict[str, Any]:
    """Leave out what nobody gave: botocore takes no None.

    :param parameters: of a call, by the API's names.
    """
    return {name: value for name, value in parameters.items() if value is not None}


def _shared_config(given: Config, threads: int) -> Config:
    limits = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT).merge(given)
    return limits.merge(
        Config(
            max_pool_connections=max(given.max_pool_connections, threads),
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )
