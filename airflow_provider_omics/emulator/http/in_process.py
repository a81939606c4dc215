"""Real boto3 clients that talk to the emulator without HTTP: botocore's ``before-send`` event answers the request."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from airflow_provider_omics.emulator.http.clients import make_client
from airflow_provider_omics.emulator.http.wsgi import set_body, wsgi_environ
from airflow_provider_omics.emulator.script.faults import ConnectionLost

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from botocore.awsrequest import AWSPreparedRequest

    from airflow_provider_omics.emulator.http.server import OmicsEmulator


def in_process_client(
    emulator: OmicsEmulator, service: str = "omics", *, account: str | None = None, config: Config | None = None
) -> Any:
    """Make a boto3 client whose requests are built, signed and parsed as always, but never leave the process.

    The emulator need not be started. The endpoint is AWS's own, host prefix included.

    :param emulator: the emulator that answers.
    :param service: name of the service, as in boto3; default ``omics``.
    :param account: account id that calls; default: the emulator's own.
    :param config: botocore settings, merged over path-style addressing of S3.
    :return: the boto3 client.
    """
    # The host would name the bucket, and moto's server looks for it in the path.
    base = Config(s3={"addressing_style": "path"})
    client = make_client(
        service,
        access_key=account or emulator.account,
        region=emulator.region,
        config=base.merge(config) if config else base,
    )
    client.meta.events.register("before-send", _Transport(emulator.application))
    return client


class _Transport:
    """Turns a prepared request into a WSGI call, and the answer into botocore's response."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
            started.append((status, headers))

        try:
            body = b"".join(self._application(_environ(request), start_response))
        except ConnectionLost as error:
            raise ConnectionClosedError(endpoint_url=request.url) from error
        status, headers = started[0]
        return AWSResponse(request.url, int(status.split()[0]), _Headers(headers), _Raw(body))


class _Headers(dict[str, str]):
    """Header names in lower case, as botocore asks for them."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in headers)

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class _Raw(io.BytesIO):
    """The body as botocore reads it from urllib3."""

    def stream(self, amt: int | None = None, **_: Any) -> Any:
        while chunk := self.read(amt):
            yield chunk

    def release_conn(self) -> None:
        """There is no connection."""


def _environ(request: AWSPreparedRequest) -> dict[str, Any]:
    url = urlsplit(request.url)
    headers = [(name, _text(value)) for name, value in request.headers.items()]
    target = url.path + (f"?{url.query}" if url.query else "")
    environ = wsgi_environ(
        request.method, target, headers, server=(url.hostname or "", url.port or 443), scheme=url.scheme
    )
    environ["HTTP_HOST"] = url.netloc
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    set_body(environ, body.encode() if isinstance(body, str) else body)
    return environ


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
