"""Clients that cannot be made: settings that are wrong, and what AWS or the network refuses on the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import AccessDenied, CredentialsExpired, SettingsError, Unavailable
from airflow_provider_omics.emulator.http.moto_services import MotoServices
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Store
from tests.airflow_support import ONE_TRY, ROLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

CALLS: dict[str, Callable[[OmicsHook], Any]] = {
    "get_run": lambda hook: hook.get_run("1"),
    "list_runs": lambda hook: list(hook.list_runs()),
    "list_runs_page": lambda hook: hook.list_runs_page("RUNNING"),
    "installed_model": lambda hook: hook.installed_model(),
    "region": lambda hook: hook.conn_region_name,
    "S3": lambda hook: S3Store(hook).connect(),
}

calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def settings(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the connection with some keys of its extra replaced; None takes one away."""

    def settings(**keys: Any) -> None:
        connection = connect()
        extra = {**connection["extra"], **keys}
        connection["extra"] = {key: value for key, value in extra.items() if value is not None}
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    return settings


@calls
@pytest.mark.parametrize(
    ("extra", "key", "value"),
    [
        ({"endpoint_url": "localhost:5000"}, "endpoint_url", "'localhost:5000'"),
        ({"endpoint_url": "user:secret@localhost"}, "endpoint_url", "'localhost'"),
        ({"endpoint_url": "http://"}, "endpoint_url", "'http://'"),
        ({"region_name": None}, "region_name", "not set"),
        ({"region_name": "us east 1"}, "region_name", "'us east 1'"),
        ({"profile_name": "lab"}, "profile_name", "'lab'"),
        ({"verify": "/no/such/bundle.pem"}, "verify", "'/no/such/bundle.pem'"),
        ({"verify": "/"}, "verify", "'/'"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_settings_that_allow_no_client(
    settings: Callable[..., None], call: Callable[[OmicsHook], Any], extra: dict[str, Any], key: str, value: str
) -> None:
    """Whatever is called first, the error names the connection, the key and what is wrong with it."""
    settings(**extra)
    if call is CALLS["S3"] and key == "region_name" and value == "not set":
        call(OmicsHook())  # S3 has a Region where none is set
        return

    with pytest.raises(SettingsError) as caught:
        call(OmicsHook())

    (problem,) = caught.value.problems
    assert problem.argument == f"{key} of the connection 'aws_default'"
    assert problem.value == value
    assert "secret" not in str(caught.value)


def test_bundle_without_certificates(settings: Callable[..., None], tmp_path: Path) -> None:
    """A file that is there and holds something else is found before the first call, too."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate", encoding="utf-8")
    settings(verify=str(bundle))

    with pytest.raises(SettingsError, match=r"verify of the connection .*SSLError"):
        OmicsHook().get_run("1")


def test_endpoint_of_the_environment(settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is not the connection's, but it is where the fault must be."""
    settings(endpoint_url=None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:5000")

    with pytest.raises(SettingsError, match=r"endpoint_url .*the environment"):
        OmicsHook().get_run("1")


@calls
@pytest.mark.parametrize("where", ["nowhere", "denied"])
def test_role_that_is_not_assumed(
    emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch, call: Callable[[OmicsHook], Any],
    where: str,
) -> None:  # fmt: skip
    """STS is on the way to the client: its errors are typed, and its own, whatever is called first."""
    sts = {"endpoint_url": "http://127.0.0.1:9" if where == "nowhere" else emulator.url}
    connect(role_arn=ROLE, service_config={"sts": sts}, config_kwargs=ONE_TRY)
    refuse_sts(monkeypatch)

    with pytest.raises((AccessDenied, Unavailable), match=r"^AssumeRole") as caught:
        call(OmicsHook())

    assert isinstance(caught.value, AccessDenied) == (where == "denied")
    assert not isinstance(caught.value, Unavailable) or caught.value.is_unreachable
    assert where == "denied" or "http://127.0.0.1:9" in str(caught.value)


def refuse_sts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: MotoServices, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("403 Forbidden", [("Content-Type", "text/xml")])
        return [b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>No.</Message></Error></ErrorResponse>"]

    monkeypatch.setattr(MotoServices, "__call__", refuse)


@pytest.mark.parametrize("call", ["get_run", "list_runs", "list_runs_page"])
def test_no_credentials(monkeypatch: pytest.MonkeyPatch, emulator: OmicsEmulator, call: str) -> None:
    """They may come: the instance metadata service is late now and then."""
    connection = emulator.connection
    del connection["login"], connection["password"]
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))

    with pytest.raises(CredentialsExpired, match="NoCredentialsError"):
        CALLS[call](OmicsHook())
