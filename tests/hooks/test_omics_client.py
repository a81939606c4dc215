"""How the hook makes its clients: endpoint and host prefix, retries, team defaults."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper
from botocore.config import Config

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from tests.airflow_support import DEFAULT_RUN_SETTING, ROLE, TASK_LOG
from tests.model_support import RETRY_MODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

# What each place says; EMULATOR stands for its address.
EMULATOR = "EMULATOR"
IGNORE = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
CASES = [
    # extra of the connection, environment, config of the hook -> host prefix injected, emulator reached
    pytest.param({}, {}, {}, True, False, id="nothing: AWS"),
    pytest.param({"endpoint_url": EMULATOR}, {}, {}, False, True, id="connection"),
    pytest.param(
        {"service_config": {"omics": {"endpoint_url": EMULATOR}}}, {}, {}, False, True, id="service_config.omics"
    ),
    pytest.param(
        {"service_config": {"s3": {"endpoint_url": EMULATOR}}}, {}, {}, True, False, id="another service's endpoint"
    ),
    pytest.param(
        {"endpoint_url": EMULATOR, "service_config": {"omics": {"endpoint_url": None}}},
        {},
        {},
        True,
        False,
        id="service_config.omics takes the connection's back",
    ),
    pytest.param({}, {"AWS_ENDPOINT_URL": EMULATOR}, {}, False, True, id="AWS_ENDPOINT_URL"),
    pytest.param({}, {"AWS_ENDPOINT_URL_OMICS": EMULATOR}, {}, False, True, id="AWS_ENDPOINT_URL_OMICS"),
    pytest.param({}, {"AWS_ENDPOINT_URL_S3": EMULATOR}, {}, True, False, id="AWS_ENDPOINT_URL_S3"),
    pytest.param({}, {"AWS_ENDPOINT_URL": EMULATOR, **IGNORE}, {}, True, False, id="variables ignored"),
    pytest.param({"endpoint_url": EMULATOR}, IGNORE, {}, False, True, id="ignored variables, connection holds"),
    pytest.param(
        {"endpoint_url": EMULATOR, "config_kwargs": {"inject_host_prefix": True}},
        {},
        {},
        True,
        False,
        id="connection wants it",
    ),
    pytest.param(
        {"endpoint_url": EMULATOR, "config_kwargs": {"inject_host_prefix": False}},
        {},
        {},
        False,
        True,
        id="connection does not want it",
    ),
    pytest.param({"endpoint_url": EMULATOR}, {}, {"inject_host_prefix": True}, True, False, id="task wants it"),
    pytest.param({}, {}, {"inject_host_prefix": False}, False, False, id="task does not want it"),
    pytest.param({}, {"AWS_DISABLE_HOST_PREFIX_INJECTION": "true"}, {}, False, False, id="variable turns it off"),
    pytest.param(
        {"endpoint_url": EMULATOR},
        {"AWS_DISABLE_HOST_PREFIX_INJECTION": "false"},
        {},
        True,
        False,
        id="variable keeps it",
    ),
    pytest.param(
        {"endpoint_url": EMULATOR}, {}, {"connect_timeout": 5}, False, True, id="a config about something else"
    ),
]


def put_address(value: Any, address: str) -> Any:
    return json.loads(json.dumps(value).replace(EMULATOR, address))


@pytest.mark.parametrize("config_type", [dict, Config], ids=["dict", "Config"])
@pytest.mark.parametrize(("extra", "environment", "config", "injected", "reached"), CASES)
def test_host_prefix(
    emulator: OmicsEmulator,
    monkeypatch: pytest.MonkeyPatch,
    extra: dict[str, Any],
    environment: dict[str, str],
    config: dict[str, Any],
    config_type: Any,
    *,
    injected: bool,
    reached: bool,
) -> None:
    """An endpoint that is set turns the host prefix off, unless the user said otherwise; for both kinds of clients."""
    connection = emulator.connection
    connection["extra"] = {"region_name": "us-east-1", **put_address(extra, emulator.url)}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    for name, value in put_address(environment, emulator.url).items():
        monkeypatch.setenv(name, value)
    hook = OmicsHook(config=config_type(**config) if config else None)

    shared = OmicsHook(config=config_type(**config) if config else None)
    shared.prepare_for_threads(2)

    for one in (hook, shared):
        assert one.conn.meta.config.inject_host_prefix is injected
        if reached:
            assert list(one.list_runs()) == []
    assert emulator.calls["ListRuns"] == 2 * reached


def test_without_a_connection(emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """aws_conn_id=None means boto3's own credential chain, with the same rule."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_OMICS", emulator.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulator.account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulator.connection["password"])

    hook = OmicsHook(aws_conn_id=None)

    assert list(hook.list_runs()) == []
    assert hook.defaults.default_run_setting == {}


@pytest.mark.parametrize(
    ("extra", "environment", "config", "mode", "attempts"),
    [
        ({}, {}, None, "standard", 10),
        ({}, {}, {"connect_timeout": 5}, "standard", 10),
        ({"config_kwargs": {"retries": {"mode": "adaptive", "total_max_attempts": 3}}}, {}, None, "adaptive", 3),
        ({}, {}, {"retries": {"mode": "legacy", "total_max_attempts": 2}}, "legacy", 2),
        ({}, {}, {"retries": {"total_max_attempts": 4}}, RETRY_MODE, 4),
        ({}, {"AWS_RETRY_MODE": "adaptive"}, None, "adaptive", None),
        ({}, {"AWS_MAX_ATTEMPTS": "7"}, None, RETRY_MODE, 7),
    ],
)
def test_retries(
    emulator: OmicsEmulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    extra: dict[str, Any],
    environment: dict[str, str],
    config: dict[str, Any] | None,
    mode: str,
    attempts: int | None,
) -> None:
    """Ten attempts in standard mode, unless connection, task or environment say anything of it.

    Never for the client of many threads: botocore would sleep between two attempts, in the thread.
    """
    connect(**extra)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hook = OmicsHook(config=config)

    shared = OmicsHook(config=config)
    shared.prepare_for_threads(2)

    assert hook.conn.meta.config.retries["mode"] == mode
    assert hook.conn.meta.config.retries.get("total_max_attempts") == attempts
    assert shared.conn.meta.config.retries == {"mode": "standard", "total_max_attempts": 1}


@pytest.mark.parametrize("by_connection", [True, False])
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"connect_timeout": 5, "read_timeout": 15, "max_pool_connections": 20}),
        ({"read_timeout": 40}, {"connect_timeout": 5, "read_timeout": 40, "max_pool_connections": 20}),
        ({"connect_timeout": 2, "max_pool_connections": 50}, {"connect_timeout": 2, "max_pool_connections": 50}),
        ({"proxies": {"https": "http://proxy:3128"}}, {"proxies": {"https": "http://proxy:3128"}, "read_timeout": 15}),
    ],
)
def test_client_of_many_threads(
    emulator: OmicsEmulator, connect: Connect, *, by_connection: bool, config: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Short time limits, unless the user has others, and a connection for each thread; for STS as well."""
    connect(**({"config_kwargs": config} if by_connection and config else {}))
    hook = OmicsHook(config=None if by_connection else config)

    hook.prepare_for_threads(20)

    found = hook.conn.meta.config
    assert {name: getattr(found, name) for name in expected} == expected
    sts = hook.get_session()._session.create_client("sts", region_name="us-east-1").meta.config
    of_calls = ("connect_timeout", "read_timeout", "proxies", "retries")
    assert [getattr(sts, name) for name in of_calls] == [getattr(found, name) for name in of_calls]


def test_assumed_role_has_the_time_limits_of_the_client(
    emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Amazon provider calls STS with the hook's configuration, which is the shared client's."""
    limits: list[Any] = []
    assume_role = BaseSessionFactory._assume_role

    def noted(factory: Any, sts_client: Any) -> Any:
        config = sts_client.meta.config
        limits.append((config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"]))
        return assume_role(factory, sts_client)

    monkeypatch.setattr(BaseSessionFactory, "_assume_role", noted)
    connect(role_arn=ROLE, service_config={"sts": {"endpoint_url": emulator.url}})

    hook = OmicsHook()
    hook.prepare_for_threads(20)

    assert list(hook.list_runs()) == []
    assert limits == [(5, 15, 1)]


def test_throttling_is_retried(emulator: OmicsEmulator, connect: Connect) -> None:
    """What botocore retries by itself is not seen above."""
    emulator.faults.add(operation="ListRuns", error="ThrottlingException", times=1)

    assert list(OmicsHook().list_runs()) == []
    assert emulator.calls["ListRuns"] == 2


def test_defaults(emulator: OmicsEmulator, connect: Connect) -> None:
    """Team defaults stand in the connection's extra, beside what the Amazon provider reads there."""
    connect(
        {
            "endpoint_url": emulator.url,
            "default_run_setting": {"roleArn": ROLE},
            "require_settings": ["runGroupId"],
            "mask_parameters": True,
            "calls_per_second": 2,
        }
    )

    defaults = OmicsHook().defaults

    assert defaults.default_run_setting == {"roleArn": ROLE}
    assert defaults.require_settings == ("runGroupId",)
    assert (defaults.mask_parameters, defaults.tag_with_airflow_context, defaults.calls_per_second) == (True, True, 2)


@pytest.mark.parametrize(
    "omics", [{"defaults": {}}, {"default_run_setting": []}, {"staging_s3_uri": "bucket"}, {"calls_per_second": 0}]
)
def test_wrong_defaults(emulator: OmicsEmulator, connect: Connect, omics: dict[str, Any]) -> None:
    """A wrong extra is told by the path of its key, and does not keep the hook from being made."""
    connect(omics)
    hook = OmicsHook()

    with pytest.raises(SettingsError) as caught:
        _ = hook.defaults

    assert all(f"service_config['omics']['{key}']" in str(caught.value) for key in omics)


@pytest.mark.parametrize("key", ["service_config", "omics", "config_kwargs"])
def test_text_in_the_extra(
    emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Objects that a connection URI carries as JSON text are read as objects."""
    extra: dict[str, Any] = emulator.connection["extra"]
    omics = {"mask_parameters": True}
    extra["service_config"] = {"omics": json.dumps(omics) if key == "omics" else omics}
    extra["config_kwargs"] = {"read_timeout": 7}
    extra |= {name: json.dumps(extra[name]) for name in ("service_config", "config_kwargs") if name == key}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**emulator.connection, "extra": extra}))

    hook = OmicsHook()

    assert hook.defaults.mask_parameters is True
    assert hook.conn.meta.config.read_timeout == 7
    assert list(hook.list_runs()) == []


def test_text_that_is_no_object(emulator: OmicsEmulator, connect: Connect) -> None:
    """Other text is an error that names connection and key."""
    connect(config_kwargs="read_timeout=7")

    with pytest.raises(SettingsError, match=r"connection 'aws_default' extra\['config_kwargs'\]"):
        _ = OmicsHook().conn


def test_misplaced_keys_warn_once(
    emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]]
) -> None:
    """A team's defaults in the wrong place are told in one warning, with their place."""
    connect(mask_parameters=True, service_config={"Omics": {"require_settings": ["runGroupId"]}})
    hook: Any = OmicsHook()
    hook._log = hook._cached_logger = TASK_LOG

    assert [hook.defaults.mask_parameters, hook.defaults.require_settings] == [False, ()]

    (warning,) = log_lines(logging.WARNING)
    assert "extra['mask_parameters']" in warning
    assert "extra['service_config']['Omics']" in warning


def test_hook_is_the_amazon_providers(emulator: OmicsEmulator, connect: Connect) -> None:
    """Region, TLS and user agent are handled by the Amazon provider; the service is always omics."""
    hook = OmicsHook(aws_conn_id="aws_default", region_name="eu-central-1", verify=False)

    assert hook.conn.meta.service_model.service_name == "omics"
    assert hook.conn_region_name == "eu-central-1"
    assert isinstance(hook.conn_config, AwsConnectionWrapper)
    hook.start_run({**DEFAULT_RUN_SETTING, "requestId": "one"})
    assert emulator.service.started_runs()[0]["region"] == "eu-central-1"
