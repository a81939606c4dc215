"""Errors in the protocol of the request: what is not emulated must be read as that by any client."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from airflow_provider_omics.emulator.http.wire import Answer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Services that answer REST in XML, by their name in a signature; the others answer REST in JSON.
_XML_SERVICES = frozenset({"cloudfront", "route53", "s3"})


def refuse(environ: WSGIEnvironment, service: str, status: int, code: str, message: str) -> Answer:
    """Write an error.

    :param environ: the request.
    :param service: signing name of its service.
    :param status: HTTP status.
    :param code: the error's code.
    :param message: text for the caller.
    :return: the answer, in the protocol that the request is in.
    """
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-requestid": request_id, "x-amzn-errortype": code}
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        headers |= {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return Answer(status, _cbor({"__type": code, "message": message}), headers)
    if "HTTP_X_AMZ_TARGET" in environ:
        kind = environ.get("CONTENT_TYPE") or "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message}).encode()
        return Answer(status, body, headers | {"content-type": kind})
    # Query and EC2: parameters in a form.
    is_query = (environ.get("CONTENT_TYPE") or "").startswith("application/x-www-form-urlencoded")
    if is_query or service in _XML_SERVICES:
        return Answer(status, _xml(service, code, message, request_id), headers | {"content-type": "text/xml"})
    body = json.dumps({"message": message, "code": code}).encode()
    return Answer(status, body, headers | {"content-type": "application/json"})


def _xml(service: str, code: str, message: str, request_id: str) -> bytes:
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "s3":
        text = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    elif service == "ec2":
        text = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        text = (
            f"<ErrorResponse><Error><Type>Receiver</Type>{error}</Error><RequestId>{request_id}</RequestId>"
            "</ErrorResponse>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()


def _cbor(members: dict[str, str]) -> bytes:
    """Encode a short map of texts (RFC 8949): a map is type 5, a text type 3."""
    body = bytes([0xA0 + len(members)])
    for text in (text for member in members.items() for text in member):
        encoded = text.encode()
        # The length follows in two bytes.
        body += b"\x79" + len(encoded).to_bytes(2, "big") + encoded
    return body
