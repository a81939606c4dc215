"""The WSGI application behind the port: routes requests by service, and carries out each HealthOmics call."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote

from airflow_provider_omics.emulator.errors import ServiceError
from airflow_provider_omics.emulator.http import price_list
from airflow_provider_omics.emulator.http.callers import is_of_another_site
from airflow_provider_omics.emulator.http.calls import BROKEN, LOST, OK
from airflow_provider_omics.emulator.http.control import CONTROL_PREFIX, Control
from airflow_provider_omics.emulator.http.moto_services import DEFAULT_ACCOUNT, SERVICES
from airflow_provider_omics.emulator.http.refusals import refuse
from airflow_provider_omics.emulator.http.wire import Answer, UnknownOperation, Wire
from airflow_provider_omics.emulator.http.wsgi import set_body
from airflow_provider_omics.emulator.script.faults import ConnectionLost, Ordeal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from airflow_provider_omics.emulator.http.local_aws import LocalAws

# Credential=AKIA.../20260102/us-east-1/omics/aws4_request, in the header or, presigned, in the query.
_CREDENTIAL = re.compile(r"Credential=([^/,&]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Signature:
    """The caller and the service in a request's signature. The signature itself is not checked.

    :param access_key: access key id.
    :param region: region, ``us-east-1``.
    :param service: signing name of the service, ``omics``.
    """

    access_key: str
    region: str
    service: str


#: Requests without a signature: presigned S3 URLs of the old kind, and public buckets.
_UNSIGNED = Signature("", "us-east-1", "s3")


class Application:
    """The WSGI application of the emulator.

    :param aws: the services behind the port, and the faults and counts of their calls.
    :param control: answers requests below :data:`~airflow_provider_omics.emulator.http.control.CONTROL_PREFIX`.
    """

    def __init__(self, aws: LocalAws, control: Control) -> None:
        self._service = aws.service
        self._moto = aws.moto
        self._faults = aws.faults
        self._calls = aws.calls
        self._control = control
        self._wire = _wire()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request.

        :param environ: the request, as in WSGI, with ``RAW_URI``: the target as it came over the wire.
        :param start_response: as in WSGI.
        :return: the body.
        :raises ConnectionLost: a fault wants the connection to die without an answer.
        """
        path, _, query = environ["RAW_URI"].partition("?")
        if path.startswith(CONTROL_PREFIX):
            return _send(self._control(environ, path), start_response)
        signature = _signature(environ, query)
        if is_of_another_site(environ):
            # Every caller may do everything here, so a page that the user happens to look at must not be one.
            message = f"The emulator serves no web page of another site: {environ['HTTP_ORIGIN']}"
            return _send(refuse(environ, signature.service, 403, "AccessDeniedException", message), start_response)
        if signature.service == "omics":
            return _send(self._omics(environ, signature, path, query), start_response)
        if signature.service in SERVICES:
            return self._beside(environ, start_response, signature)
        if signature.service == "pricing":
            return _send(_prices(environ), start_response)
        message = f"The emulator has no {signature.service}, only omics, pricing, {', '.join(sorted(SERVICES))}."
        return _send(_not_emulated(environ, signature.service, message), start_response)

    def _omics(self, environ: WSGIEnvironment, signature: Signature, path: str, query: str) -> Answer:
        if signature.region not in self._service.scenario.regions:
            message = f"Credential should be scoped to a valid region. HealthOmics has no region {signature.region}."
            return self._wire.write_error("InvalidSignatureException", message)
        try:
            operation, labels = self._wire.match(environ["REQUEST_METHOD"], path)
        except UnknownOperation as error:
            return self._wire.write_error("UnknownOperationException", str(error))
        count = self._calls.came_in()
        body = environ["wsgi.input"].read()
        code = BROKEN
        try:
            ordeal = self._faults.strike(operation)
            answer, code = self._call(operation, labels, query, body, signature)
            _suffer(ordeal)
        except ConnectionLost:
            code = LOST
            raise
        except ServiceError as error:
            code = error.code
            return self._wire.write_error(error.code, error.message)
        else:
            return answer
        finally:
            count(operation, code)

    def _call(
        self, operation: str, labels: dict[str, str], query: str, body: bytes, signature: Signature
    ) -> tuple[Answer, str]:
        if operation not in self._service.OPERATIONS:
            message = f"{operation} is an operation of HealthOmics, but not emulated."
            return self._wire.write_error("NotEmulated", message), "NotEmulated"
        parameters = self._wire.read(operation, labels, query, body)
        account = self._moto.account_of(signature.access_key)
        result = self._service.call(operation, parameters, account=account, region=signature.region)
        if self._moto.has_event_rules():
            self._service.flush_events()
        return self._wire.write(operation, result), OK

    def _beside(self, environ: WSGIEnvironment, start_response: StartResponse, signature: Signature) -> Iterable[bytes]:
        account = self._moto.account_of(signature.access_key) if signature.access_key else DEFAULT_ACCOUNT
        # moto reads the caller's account from this header.
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
        if signature.service == "s3" and (read := _s3_read(environ)):
            self._service.flush_outputs(account, read.bucket, read.key_prefix)
        elif signature.service == "logs":
            body = environ["wsgi.input"].read()
            set_body(environ, body)
            self._service.flush_logs(account, signature.region, _log_stream_prefix(body))
            if self._lacks_stream(environ, account, signature.region, body):
                # moto says that of the group.
                message = "The specified log stream does not exist."
                return _send(refuse(environ, "logs", 400, "ResourceNotFoundException", message), start_response)
        if self._moto.has_event_rules():
            self._service.flush_events()
        elif signature.service == "events":
            # This may be the first rule, and a rule receives no event of the time before it.
            self._service.discard_events()
        try:
            return self._moto(environ, start_response)
        except NotImplementedError as error:
            message = f"The emulator's {signature.service} has not all of it: {error}"
            return _send(_not_emulated(environ, signature.service, message), start_response)

    def _lacks_stream(self, environ: WSGIEnvironment, account: str, region: str, body: bytes) -> bool:
        if not str(environ.get("HTTP_X_AMZ_TARGET")).endswith((".GetLogEvents", ".DeleteLogStream")):
            return False
        request = _json_object(body)
        group, stream = request.get("logGroupName"), request.get("logStreamName")
        return bool(group and stream) and self._moto.lacks_stream(account, region, str(group), str(stream))


@lru_cache(maxsize=1)
def _wire() -> Wire:
    # Reading the model takes 30 ms, and a wire has no state but what it compiles from the model.
    return Wire()


def _not_emulated(environ: WSGIEnvironment, service: str, message: str) -> Answer:
    return refuse(environ, service, 501, "NotEmulated", message)


def _prices(environ: WSGIEnvironment) -> Answer:
    operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    try:
        result = price_list.answer(operation, _json_object(environ["wsgi.input"].read()))
    except price_list.PriceListError as error:
        code, message = error.args
        return refuse(environ, "pricing", 501 if code == "NotEmulated" else 400, code, message)
    return Answer(200, json.dumps(result).encode(), {"content-type": "application/x-amz-json-1.1"})


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _signature(environ: WSGIEnvironment, query: str) -> Signature:
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION") or unquote(query))
    return Signature(*found.groups()) if found else _UNSIGNED


def _suffer(ordeal: Ordeal) -> None:
    if ordeal.latency_seconds:
        # Wall time, in this connection's thread alone: the client sees a slow service.
        threading.Event().wait(ordeal.latency_seconds)
    if ordeal.lost_response:
        raise ConnectionLost


def _send(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    status = HTTPStatus(answer.status)
    start_response(f"{status.value} {status.phrase}", list(answer.headers.items()))
    return [answer.body]


class _S3Read(NamedTuple):
    """A part of S3.

    :param bucket: name of the bucket; None for all.
    :param key_prefix: prefix of the keys; empty for all.
    """

    bucket: str | None = None
    key_prefix: str = ""


def _s3_read(environ: WSGIEnvironment) -> _S3Read | None:
    """Return the part of S3 that a request reads: outputs of runs have to be written there first.

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
        return _S3Read()
    return _S3Read(unquote(bucket), unquote(key) or parse_qs(query).get("prefix", [""])[0])


def _log_stream_prefix(body: bytes) -> str:
    """Return the log streams that a CloudWatch Logs request reads: log lines have to be written there first.

    :param body: the request: JSON.
    :return: the prefix of their names; empty for all.
    """
    request = _json_object(body)
    names = request.get("logStreamNames") or []
    name = request.get("logStreamName") or request.get("logStreamNamePrefix") or (names[0] if len(names) == 1 else "")
    return str(name)
