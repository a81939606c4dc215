"""Who calls: a program of this machine, or a web page that wants to reach into it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def is_of_another_site(environ: WSGIEnvironment) -> bool:
    """Return whether a request comes from a web page that is not of this machine.

    :param environ: the request. Browsers send ``Origin`` with all that can change something; programs do not.
    """
    return "HTTP_ORIGIN" in environ and not _is_loopback(environ["HTTP_ORIGIN"])


def is_for_loopback(environ: WSGIEnvironment) -> bool:
    """Return whether a request names this machine as loopback.

    A page of ``http://example.com`` may have its name resolved to 127.0.0.1; its requests then have that name as Host.

    :param environ: the request.
    """
    return _is_loopback(f"http://{environ.get('HTTP_HOST', '')}")


def _is_loopback(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        # RFC 6761, 6.3.
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
