"""The client of HealthOmics that a hook calls: its configuration and session, its lists, and observers of its calls."""

from __future__ import annotations

import copy
import json
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from inspect import currentframe
from typing import TYPE_CHECKING, Any, NoReturn

import botocore
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook, SessionFactory
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader, create_loader
from botocore.utils import parse_timestamp

from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.settings.connection import (
    KINDS,
    OBJECTS,
    ConnectionDefaults,
    misplaced_keys,
    parsed_extra,
)
from airflow_provider_omics.hooks.data_files import LeanFiles
from airflow_provider_omics.hooks.service_errors import (
    UNMADE,
    client_error,
    complete,
    service_error,
    service_errors,
    unreadable,
)

if TYPE_CHECKING:
    from mypy_boto3_omics.client import OmicsClient

    from airflow_provider_omics.core.settings.checks import InstalledModel

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
    "ListRunGroups": ("id",),
    "ListWorkflows": ("id", "status"),
    "ListWorkflowVersions": ("versionName", "status"),
}
"""Members that each item of a list must have to be of use. The model requires none of them."""

Make = Callable[[Callable[[], Any]], Any]
"""Makes a call, which it is given: at once, or again and again until it succeeds."""


def at_once(call: Callable[[], Any]) -> Any:
    """Make a call."""
    return call()


_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_OMICS", "AWS_ENDPOINT_URL")


def caller(_: AwsBaseHook) -> str:
    """Name the operator that this is done for, as the Amazon provider's hooks tell AWS in the user agent.

    They read the source of each function on the way here, which takes tens of milliseconds for each configuration, and
    0.6 MB; and they would name a class of ours that has a method of the same name.

    :return: the name of its class; "Unknown" where none is at work.
    """
    frame = currentframe()
    while frame is not None:
        if frame.f_code.co_name in ("execute", "execute_complete"):
            owner = frame.f_locals.get("self")
            if hasattr(owner, "task_id"):
                return type(owner).__name__
        frame = frame.f_back
    return "Unknown"


class OmicsClientHook(AwsBaseHook):
    """Makes the clients of :class:`~airflow_provider_omics.hooks.omics.OmicsHook`, which documents the arguments."""

    _get_caller = caller

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
        misplaced = misplaced_keys(self.conn_config.extra_config, KINDS, str(self.aws_conn_id))
        if misplaced is not None:
            self.log.warning("%s", misplaced)
        words = f"connection {self.aws_conn_id!r}" if self.aws_conn_id else "a connection (aws_conn_id is not set)"
        if self.misses_connection:
            words += ", which Airflow does not find"
        return ConnectionDefaults.from_service_config(self.service_config, words)

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        """Get an Airflow connection; JSON text in its extra, as a URI carries it, becomes objects.

        :param conn_id: id of the connection.
        :return: the connection.
        :raises SettingsError: a key of the extra is neither an object nor the JSON text of one.
        """
        connection = super().get_connection(conn_id)
        extra = connection.extra_dejson
        services = extra.get("service_config")
        values = [*map(extra.get, OBJECTS), *(services.values() if isinstance(services, dict) else ())]
        if any(value is not None and not isinstance(value, dict) for value in values):
            connection = copy.copy(connection)  # Airflow may keep the one that it has handed out
            connection.extra = json.dumps(parsed_extra(extra, conn_id))
        return connection

    def installed_model(self) -> InstalledModel:
        """Read which run settings the installed boto3 can send.

        :return: the fields of StartRun and StartRunBatch in the client's own service model.
        :raises ServiceError: no client could be made, for want of credentials or a Region.
        """
        from airflow_provider_omics.core.settings.checks import InstalledModel  # a wait checks no settings
        from airflow_provider_omics.core.settings.fields import Place

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
        """Whether Airflow did not find the connection: the Amazon provider then acts as the machine itself."""
        return bool(self.aws_conn_id) and not isinstance(self.conn_config.conn_id, str)

    patience: float = 3 * 3600.0
    """Seconds for which :class:`~airflow_provider_omics.hooks.repeats.Repeats` bears failures that may pass."""

    def try_to_renew(self) -> None:
        """Have the next call made with the credentials of today; the pauses of who repeats it keep this rare.

        Keys in a connection may have been rotated; and a client that was made while the instance metadata service was
        late has no credentials for its whole life.
        """
        try:
            self.renew()
        except Exception:
            self.log.warning("The connection could not be read anew", exc_info=True)

    def renew(self) -> None:
        """Read the connection anew, and have a new client made of it for the next call.

        A connection that was found before, and now is not, stays as it was: Airflow reports a failing secrets backend
        or api-server in the same way, and the new client would be somebody else.
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
        given: Config = Config(connect_timeout=CONNECT_TIMEOUT).merge(super()._get_config(config))
        ours: dict[str, Any] = {}
        if given.retries is None and not {"AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"} & os.environ.keys():
            ours["retries"] = {"mode": "standard", "total_max_attempts": TOTAL_ATTEMPTS}
        # botocore has no public way to tell "not set" from its default, which is True.
        is_unset = getattr(given, "_inject_host_prefix", "UNSET") == "UNSET"
        if is_unset and "AWS_DISABLE_HOST_PREFIX_INJECTION" not in os.environ:
            reads_variables = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true"
            if self.conn_config.get_service_endpoint_url(service_name="omics") or (
                reads_variables and any(os.environ.get(name) for name in _ENDPOINT_VARIABLES)
            ):
                ours["inject_host_prefix"] = False
        return given.merge(Config(**ours)) if ours else given

    def prepare_for_threads(self, count: int) -> None:
        """Read the connection, and have a client made of it that many threads may call; their callers repeat the calls.

        Its time limits hold for STS as well, which the Amazon provider calls with the same configuration. The user's
        configuration stays, but for retries (botocore sleeps between them, in the thread) and too few connections.
        All questions to Airflow are asked here: the client itself (:attr:`conn`) is made without it.

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
        """Make a session whose clients parse timestamps faster, send one user agent, and share the data files.

        Without it a page of ListRuns with 100 runs takes 9 ms of CPU, not 2.3, and a GetRun 1.6 ms, not 1.4 (measured).
        """
        if deferrable:
            return super().get_session(region_name=region_name, deferrable=True)
        session = session_of(self, region_name) if self.verify is not None else super().get_session(region_name)
        config, core = self.config, session._session  # noqa: SLF001 - botocore's session; boto3 has no public way to it
        core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=parse_time)
        emit_to_acts(core.get_component("event_emitter"))  # its clients get copies
        # botocore builds the user agent twice for each call, in the long form that also lists the retry mode and the
        # features in use: a tenth of the CPU time of a GetRun. The short form has the versions of boto3, botocore,
        # Python and the system, and is made once; what the Amazon provider adds, its extra part, the clients add
        # themselves. An application id stands in the long form only.
        has_own = config.user_agent or config.user_agent_appid or core.get_config_variable("user_agent_appid")
        agent = None if has_own else core.user_agent().removesuffix(f" {core.user_agent_extra}")
        # For the clients of STS, too, that botocore makes by itself: for the role of a profile, for a web identity.
        names = ("connect_timeout", "proxies", "proxies_config", "read_timeout", "retries")
        ours = Config(user_agent=agent, **{name: getattr(config, name) for name in names})
        default = core.get_default_client_config()
        core.set_default_client_config(default.merge(ours) if default else ours)
        return session

    def get_client_type(
        self, region_name: str | None = None, config: Config | None = None, deferrable: bool = False
    ) -> Any:
        """Make a client; an error names settings that prevent it.

        :raises SettingsError: the connection's endpoint, Region, profile or CA certificates are not valid.
        :raises ServiceError: there are no credentials, or the role of the connection was not assumed.
        """
        connection = self.conn_config  # outside of the block: Airflow's errors are its own
        try:
            if isinstance(self.verify, str):
                ssl.create_default_context(cafile=self.verify)  # botocore reads it at the first call only
            return super().get_client_type(region_name=region_name, config=config, deferrable=deferrable)
        except UNMADE as error:
            raise client_error(error, connection, "omics") from error

    def _items(self, operation: str, key: str, make: Make = at_once, **parameters: Any) -> Iterator[dict[str, Any]]:
        given, token = given_parameters(**parameters), None

        def page() -> tuple[list[dict[str, Any]], str | None]:
            with service_errors(operation):
                client: Any = self.conn  # the name of the method is not a literal here, which the stubs ask for
                answer = getattr(client, xform_name(operation))(**given, **given_parameters(startingToken=token))
                return [*items_of(operation, answer, key)], answer.get("nextToken")

        while True:
            before = token
            items, token = make(page)
            yield from items
            if not token:
                return
            if token == before:
                raise unreadable(operation, "the same page again and again")


class ServiceHook(AwsBaseHook):
    """Another service's hook, whose connection and configuration are those of a hook that is there already.

    :param hook: whose they are; Airflow is not asked again.
    :param service: as botocore names it: ``"s3"``.
    """

    _get_caller = caller

    def __init__(self, hook: AwsBaseHook, service: str) -> None:
        super().__init__(client_type=service, aws_conn_id=hook.aws_conn_id)
        # Region, TLS settings and the user's botocore configuration are in it, as the hook was given them.
        self.conn_config = hook.conn_config

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Make a session whose role is assumed with the connection's TLS settings."""
        return super().get_session(region_name, deferrable) if self.verify is None else session_of(self, region_name)


def session_of(hook: AwsBaseHook, region_name: str | None) -> Any:
    """Make a session whose role is assumed with the connection's TLS settings: the Amazon provider uses the system's.

    :param hook: its connection, and its botocore configuration.
    :param region_name: AWS Region; None: the connection's.
    """
    factory = SessionFactory(conn=hook.conn_config, region_name=region_name, config=hook.config)
    factory.basic_session._session.set_config_variable("ca_bundle", hook.verify)  # noqa: SLF001 - see get_session
    return factory.create_session()


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
    """Leave out arguments that are None, which botocore refuses.

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


CALL = "before-call.omics"
"""botocore's event before a call is made, be it for a page of a list; a resend of botocore's own is no call."""

REQUEST = "request-created.omics"
"""botocore's event before a request is sent, a resend included. It is signed by then: credentials are renewed."""

_SENT, _ANSWERED, _RESENT = "before-send.omics", "response-received.omics", "needs-retry.omics"
# botocore emits event.omics.Operation (boto3 guide, "Extensibility guide"), REQUEST and these anew for each resend
# (Endpoint.create_request, _get_response, _needs_retry).

_acts: ContextVar[Mapping[str, Callable[..., object]]] = ContextVar("omics_acts", default={})  # noqa: B039 - never changed


@contextmanager
def at_each(acts: Mapping[str, Callable[..., object]]) -> Iterator[None]:
    """Act at events of the calls that this thread makes to HealthOmics inside the block, through whichever hook.

    A client has one handler for all of them from its beginning, which looks here for what is to be done.

    :param acts: the event, for all operations (:data:`CALL`) or for one (``f"{REQUEST}.StartRun"``) -> what is done
        with botocore's keyword arguments of the event; what it raises ends the call, and nothing more is sent.
    """
    token = _acts.set({**_acts.get(), **acts})
    try:
        yield
    finally:
        _acts.reset(token)


def emit_to_acts(events: Any) -> None:
    """Register the one handler that :func:`at_each` reaches.

    :param events: the emitter of a session, or of a client that was made without one of ours.
    """
    # Last, as a request is signed by a handler of its client; but before the one that decides on a resend.
    for event in (CALL, REQUEST, _SENT, _ANSWERED):
        events.register_last(event, _emitted)
    events.register_first(_RESENT, _emitted)


def _emitted(event_name: str, **given: Any) -> None:
    acts = _acts.get()
    for name in (event_name.rpartition(".")[0], event_name):
        if name in acts:
            acts[name](**given)


def _end_call(response: Any, error: Exception | None, operation: str) -> NoReturn:
    raise error or ClientError(response[1], operation)


ONE_ATTEMPT: Mapping[str, Callable[..., object]] = {
    _RESENT: lambda response, caught_exception, operation, **_: (
        _end_call(response, caught_exception, operation.name)
        if caught_exception or response[0].status_code >= 300
        else None
    )
}
"""For :func:`at_each`: botocore sends nothing again. Who repeats a call counts and paces its repeats."""


@dataclass
class Requests:
    """The requests of an operation, each with its answer: botocore raises the last one only.

    :param operation: the API operation: ``"StartRunBatch"``.
    :param refusals: the errors that say that nothing was done.
    """

    operation: str
    refusals: tuple[type[ServiceError], ...]
    _sent: list[None] = field(default_factory=list)
    _answers: list[Any] = field(default_factory=list)

    def counted(self) -> AbstractContextManager[None]:
        """Count those that this thread sends inside the block, botocore's own resends included."""
        return at_each(
            {
                f"{_SENT}.{self.operation}": lambda **_: self._sent.append(None),
                f"{_ANSWERED}.{self.operation}": lambda parsed_response, **_: self._answers.append(parsed_response),
            }
        )

    @property
    def sent(self) -> int:
        """How many were sent."""
        return len(self._sent)

    @property
    def refused(self) -> int:
        """How many of them were answered that nothing was done."""
        failed = (
            service_error(self.operation, ClientError(answer, self.operation))
            for answer in self._answers
            if answer is not None and answer["ResponseMetadata"]["HTTPStatusCode"] >= 300  # None: no answer
        )
        return sum(isinstance(error, self.refusals) for error in failed)


def parse_time(value: Any) -> datetime:
    """Read a timestamp of an answer.

    botocore's own reading knows every form there is, and takes three quarters of the CPU time of a page of ListRuns,
    which has 300 timestamps. This one knows the form that HealthOmics uses, and leaves the others to botocore.

    :param value: as it stands in the answer: ``"2026-11-22T10:00:00.123Z"``.
    :return: the moment; aware, if the answer has a zone.
    """
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        moment: datetime = parse_timestamp(value)
        return moment


@cache
def _loader(search_path: str | None) -> Loader:
    """Make the reader of botocore's data files that all sessions share: each would read them anew, in 0.1 s of CPU.

    :param search_path: ``data_path`` of the AWS configuration.
    """
    loader: Loader = create_loader(search_path)
    loader.file_loader = LeanFiles()
    return loader
