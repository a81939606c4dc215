"""The TLS settings, endpoint and configuration of a connection, on every way to AWS."""

from __future__ import annotations

import ipaddress
import json
import ssl
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_omics.core.errors import Unavailable
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import RunLogsHook
from airflow_provider_omics.hooks.s3 import S3Store
from tests.airflow_support import ONE_TRY, ROLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>123456789012</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>x</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


class Handler(BaseHTTPRequestHandler):
    """Lets a role be assumed, and is unavailable otherwise."""

    agents: list[str]

    def do_POST(self) -> None:  # the name that http.server calls
        length = int(self.headers.get("Content-Length", 0))
        is_sts = b"Action=AssumeRole" in self.rfile.read(length)
        self.agents.append(self.headers["User-Agent"])
        body = ASSUMED.encode() if is_sts else b"{}"
        self.send_response(200 if is_sts else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Be silent."""


@contextmanager
def serving(certificate: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve with a certificate; the URL, and the user agents of the requests."""
    agents: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"agents": agents}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who does not trust it hangs up
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}", agents
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed but itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    path: Path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + private)
    return path


WAYS: dict[str, Callable[[OmicsHook], Any]] = {
    "HealthOmics": lambda hook: hook.get_run("1"),
    "S3": lambda hook: S3Store(hook).head("s3://a-bucket/a-key"),
    "S3 of many threads": lambda hook: S3Store(hook, threads=4).head("s3://a-bucket/a-key"),
    "S3 with a role": lambda hook: S3Store(hook, role_arn=ROLE).head("s3://a-bucket/a-key"),
    "CloudWatch Logs": lambda hook: RunLogsHook.beside(hook).read_manifest("1", None),
}

ways = pytest.mark.parametrize("way", WAYS)


def connect(monkeypatch: pytest.MonkeyPatch, url: str, **extra: Any) -> None:
    services = {"sts": {"endpoint_url": url}}
    keys = {"region_name": "us-east-1", "endpoint_url": url, "service_config": services, **extra}
    connection = {"conn_type": "aws", "login": "123456789012", "password": "x", "extra": keys}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))


@ways
@pytest.mark.parametrize("role", [{}, {"role_arn": ROLE}], ids=["keys", "role"])
def test_bundle_of_the_connection(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, way: str, role: dict[str, Any]
) -> None:
    """The server is trusted by `verify`, for the role too, and gets the user agent of `config_kwargs`; 503 may pass."""
    with serving(certificate) as (url, agents):
        connect(monkeypatch, url, verify=str(certificate), config_kwargs={**ONE_TRY, "user_agent_extra": "lab"}, **role)

        with pytest.raises(Unavailable) as caught:
            WAYS[way](OmicsHook())

    assert caught.value.http_status == 503
    assert len(agents) == (1 + bool(role)) * (2 if way == "S3 with a role" else 1)
    assert all("lab" in agent for agent in agents)


@ways
@pytest.mark.parametrize("role", [{}, {"role_arn": ROLE}], ids=["keys", "role"])
def test_server_that_nobody_trusts(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, way: str, role: dict[str, Any]
) -> None:
    """Without the bundle there is no answer."""
    with serving(certificate) as (url, agents):
        connect(monkeypatch, url, config_kwargs=ONE_TRY, **role)

        with pytest.raises(Unavailable, match="SSL"):
            WAYS[way](OmicsHook())

    assert agents == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@ways
def test_no_verification(certificate: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """`verify` is false: any server will do, for the role too."""
    with serving(certificate) as (url, agents):
        connect(monkeypatch, url, verify=False, role_arn=ROLE, config_kwargs=ONE_TRY)

        with pytest.raises(Unavailable) as caught:
            WAYS[way](OmicsHook())

    assert caught.value.http_status == 503
    assert len(agents) >= 2
