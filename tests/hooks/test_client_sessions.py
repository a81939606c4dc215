"""What our sessions leave out of each call, and what they keep."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.loaders import Loader
from botocore.useragent import UserAgentString
from botocore.utils import parse_timestamp
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.hooks.client import _loader, parse_time
from airflow_provider_omics.hooks.data_files import LeanFiles
from airflow_provider_omics.hooks.omics import OmicsHook

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect


@given(st.datetimes(timezones=st.sampled_from([timezone.utc])), st.sampled_from(["milliseconds", "seconds"]))
def test_timestamps_of_the_service(moment: datetime, precision: str) -> None:
    """HealthOmics writes RFC 3339 in UTC: read as botocore reads it."""
    text = moment.isoformat(timespec=precision).replace("+00:00", "Z")

    assert parse_time(text) == parse_timestamp(text)


@pytest.mark.parametrize(
    "value",
    [1700000000, 1700000000.25, "Wed, 22 Nov 2023 10:00:00 GMT", "2023-11-22T10:00:00+0100", "20231122T100000Z"],
)
def test_other_timestamps(value: Any) -> None:
    """Every other form that botocore knows is read as well."""
    assert parse_time(value) == parse_timestamp(value)


def test_data_files_are_read_once(emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take 0.1 s of CPU: once for all clients, also for one that takes the place of another."""
    read: list[str] = []
    load = LeanFiles.load_file

    def noted(loader: LeanFiles, path: str) -> Any:
        data = load(loader, path)
        if data is not None and "omics" in path:  # a file that is not there is nothing to read
            read.append(path)
        return data

    monkeypatch.setattr(LeanFiles, "load_file", noted)
    _loader.cache_clear()

    list(OmicsHook().list_runs())
    first = list(read)
    list(OmicsHook().list_runs())

    assert first
    assert read == first


@pytest.mark.parametrize("service", ["omics", "sts"])
def test_model_is_botocores(service: str) -> None:
    """Nothing is left out of a service model but documentation: not a member of that name either."""

    def documented(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: documented(v) for k, v in value.items() if k != "documentation" or not isinstance(v, str)}
        return [documented(item) for item in value] if isinstance(value, list) else value

    ours = _loader(None).load_service_model(service, "service-2")

    assert ours == documented(Loader().load_service_model(service, "service-2"))
    assert "documentation" not in ours["operations"]["GetRun" if service == "omics" else "AssumeRole"]


def test_endpoints_are_botocores() -> None:
    """Of the services that are called, those of all partitions."""
    theirs = Loader().load_data("endpoints")
    for partition in theirs["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services if name in ("iam", "omics", "sts")}

    assert _loader.__wrapped__(None).load_data("endpoints") == theirs  # a loader of its own: botocore adds to the data


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "il-central-1", "us-gov-west-1", "cn-north-1"])
@pytest.mark.parametrize("service", ["omics", "sts", "iam"])
def test_clients_call_the_same_address(service: str, region: str) -> None:
    """Where a client of ours sends its calls, and for what it signs them, is what botocore has found by itself."""
    keys = {"region_name": region, "aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    theirs = boto3.Session().client(service, **keys)
    ours = OmicsHook(None).get_session(region).client(service, **keys)

    assert ours.meta.endpoint_url == theirs.meta.endpoint_url
    assert ours._request_signer.signing_name == theirs._request_signer.signing_name
    assert ours._request_signer.region_name == theirs._request_signer.region_name


def test_file_that_is_not_there() -> None:
    """It is nothing, as botocore asks for files that need not be there."""
    assert _loader(None).file_loader.load_file("/no/such/file") is None


def test_user_agent_is_put_together_once(
    emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not anew for each call; versions and what the Amazon provider adds are told, each once."""
    built: list[str] = []
    build = UserAgentString._build_os_metadata

    def noted(agent: UserAgentString) -> Any:
        built.append("os")
        return build(agent)

    monkeypatch.setattr(UserAgentString, "_build_os_metadata", noted)

    agents = sent(OmicsHook(), calls=3)

    assert built == []
    assert len(agents) == 3
    assert len(set(agents)) == 1
    for part in ("Boto3/", "Botocore/", "Python/", "Airflow/", "AmPP/"):
        assert f" {agents[0]}".count(f" {part}") == 1, part


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        ({"user_agent_appid": "genomics"}, {}, "app/genomics"),
        (None, {"AWS_SDK_UA_APP_ID": "genomics"}, "app/genomics"),
        ({"user_agent": "ours/1.0"}, {}, "ours/1.0"),
        ({"user_agent_extra": "team/genomics"}, {}, "team/genomics"),
    ],
)
def test_user_agent_of_the_user(
    emulator: OmicsEmulator,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, Any] | None,
    environment: dict[str, str],
    expected: str,
) -> None:
    """An application id, a user agent and an extra part that were configured reach the service."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    agents = sent(OmicsHook(config=config), calls=1)

    assert expected in agents[0].split()


def sent(hook: OmicsHook, calls: int) -> list[str]:
    """Make calls, and give the user agent that each has sent."""
    agents: list[str] = []

    def before_send(request: Any, **_: Any) -> None:
        agents.append(request.headers["User-Agent"].decode())

    hook.conn.meta.events.register("before-send.omics", before_send)
    for _ in range(calls):
        hook.list_runs_page("RUNNING")
    return agents


class NamedOperator:
    """What an operator is to a hook."""

    task_id = "align"

    def execute(self, hook: OmicsHook) -> str:
        return InnerTask().execute(hook)

    def execute_complete(self, hook: OmicsHook) -> str:
        return self.execute(hook)


class InnerTask:
    """A class of ours whose method has the same name."""

    def execute(self, hook: OmicsHook) -> str:
        return str(hook._get_config().user_agent_extra)


@pytest.mark.parametrize("method", ["execute", "execute_complete"])
def test_user_agent_names_the_operator(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The operator, not a class of ours on the way; and no source is read to find it."""
    monkeypatch.setattr("inspect.stack", None)

    told = getattr(NamedOperator(), method)(OmicsHook(aws_conn_id=None))

    assert " Caller/NamedOperator " in told


def test_user_agent_without_an_operator() -> None:
    """A trigger, or a script."""
    assert " Caller/Unknown " in InnerTask().execute(OmicsHook(aws_conn_id=None))
