"""What a request to S3 or CloudWatch Logs is about to read: only that has to be written first."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class S3Read(NamedTuple):
    """A part of S3.

    :param bucket: name of the bucket; None for all.
    :param key_prefix: what the keys begin with; empty for all.
    """

    bucket: str | None = None
    key_prefix: str = ""


def s3_read(environ: WSGIEnvironment) -> S3Read | None:
    """Tell what an S3 request looks at.

    :param environ: the request.
    :return: the part of S3; None for an upload, which reads nothing.
    """
    if environ["REQUEST_METHOD"] == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" not in environ:
        return None
    host = environ.get("HTTP_HOST", "").partition(":")[0]
    path, _, query = environ["RAW_URI"].partition("?")
    _, _, rest = path.partition("/")
    bucket, _, key = rest.partition("/")
    # The AWS SDKs put the bucket into the path when the endpoint is an IP address, and else mostly into the host.
    # A copy and a deletion of many name keys elsewhere than in the path.
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or not bucket or not re.fullmatch(r"[\d.]+", host):
        return S3Read()
    return S3Read(unquote(bucket), unquote(key) or parse_qs(query).get("prefix", [""])[0])


def log_stream_prefix(body: bytes) -> str:
    """Tell which log streams a CloudWatch Logs request looks at.

    :param body: the request: JSON.
    :return: what their names begin with; empty for all.
    """
    try:
        request: Any = json.loads(body)
    except ValueError:
        return ""
    names = request.get("logStreamNames") or []
    name = request.get("logStreamName") or request.get("logStreamNamePrefix") or (names[0] if len(names) == 1 else "")
    return str(name)
