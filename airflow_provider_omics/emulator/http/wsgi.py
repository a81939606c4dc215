"""Requests as WSGI hands them on."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

#: moto's key for the true spelling of S3 metadata headers: WSGI turns their dashes into underscores.
_PRESERVED_NAMES = "moto.preserved_header_names"


def wsgi_environ(
    method: str, target: str, headers: Iterable[tuple[str, str]], *, server: tuple[str, int], scheme: str = "http"
) -> dict[str, Any]:
    """Build the environment of a request whose body is still to come: see :func:`set_body`.

    :param method: HTTP method.
    :param target: path and query as they came over the wire, percent-encoded; kept as ``RAW_URI``.
    :param headers: names and values; one given twice is joined with a comma.
    :param server: host and port that the request was sent to.
    :param scheme: ``http`` or ``https``.
    :return: the WSGI environment.
    """
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "REQUEST_URI": target,
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    preserved: dict[str, str] = {}
    for name, value in headers:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        if "_" in name:
            if not name.lower().startswith("x-amz-meta-"):
                # As werkzeug does: X_Y must not pass for X-Y.
                continue
            preserved[key] = name
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ[_PRESERVED_NAMES] = preserved
    return environ


def set_body(environ: dict[str, Any], body: bytes) -> None:
    """Put the whole body into an environment, from its beginning.

    :param environ: the WSGI environment.
    :param body: the body, decoded from any transfer encoding.
    """
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)
