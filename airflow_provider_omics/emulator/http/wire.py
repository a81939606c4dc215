"""The REST-JSON wire of the HealthOmics API, both directions, taken from the botocore service model.

moto's own ``core.parse`` and ``core.serialize`` were measured first and not taken: they drop members that the model
does not know, in requests and in answers, and a ListRuns page of 100 runs took 5.2 ms of CPU to write (here 0.5 ms).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape

from airflow_provider_omics.emulator.errors import error_statuses, validation_error
from airflow_provider_omics.emulator.model import YOUNGER_MEMBERS, YOUNGER_VALUES, service_model
from airflow_provider_omics.emulator.request_check import RequestCheck

#: Host prefixes of the operations that can be read and written: runs, batches, workflows and their tags. The storage
#: and analytics halves of the service have other prefixes; they have routes, so that they can be refused by name.
HOST_PREFIXES = ("workflows-", "tags-")

#: Statuses of the errors that the service model does not list. ``UnknownOperationException`` is what AWS answers to
#: a path it does not know, ``InvalidSignatureException`` to a signature for another region. ``NotEmulated`` is ours
#: alone: an operation or a service that is not emulated here must not look like any answer of AWS, and the SDKs retry
#: 500, but not 501.
OTHER_ERROR_STATUSES = {"UnknownOperationException": 404, "InvalidSignatureException": 403, "NotEmulated": 501}


class UnknownOperation(Exception):
    """No operation has the method and path of a request."""


@dataclass(frozen=True)
class Answer:
    """One HTTP response.

    :param status: HTTP status code.
    :param body: the body as bytes, empty for none.
    :param headers: header names and values.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Wire:
    """Routes, request reading and response writing, from the installed botocore model of ``omics``."""

    def __init__(self) -> None:
        model = service_model()
        operations = [model.operation_model(name) for name in model.operation_names]
        self._operations = {
            operation.name: operation
            for operation in operations
            if (operation.endpoint or {}).get("hostPrefix") in HOST_PREFIXES
        }
        self._routes = _routes(self._operations.values())
        #: The storage and analytics halves, which have no readers.
        self._other_routes = _routes(operation for operation in operations if operation.name not in self._operations)
        self._readers: dict[str, _RequestReader] = {}
        self._writers: dict[str, Callable[[Any], Answer]] = {}
        self._error_statuses = OTHER_ERROR_STATUSES | error_statuses()

    @property
    def operations(self) -> frozenset[str]:
        """The names of all operations that can be read and written."""
        return frozenset(self._operations)

    def match(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        """Find the operation of a request.

        :param method: HTTP method in capitals.
        :param path: path as it came over the wire, percent-encoded (an ARN in it holds encoded slashes).
        :return: the name of the operation, perhaps one of storage or analytics, and the labels in its path, decoded.
        :raises UnknownOperation: no operation has this method and path.
        """
        segments = path.strip("/").split("/")
        for routes in (self._routes, self._other_routes):
            for template, operation in routes.get((method, len(segments)), ()):
                if all(name is None or name == given for (name, _), given in zip(template, segments, strict=True)):
                    labels = {
                        label: unquote(given)
                        for (_, label), given in zip(template, segments, strict=True)
                        if label is not None
                    }
                    return operation, labels
        raise UnknownOperation(f"No operation of HealthOmics has the path {method} {path}.")

    def read(self, operation: str, labels: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
        """Read and check the parameters of a request.

        :param operation: name of the operation, from :meth:`match`.
        :param labels: values of the labels in the path, from :meth:`match`.
        :param query: query string, percent-encoded.
        :param body: request body, empty or a JSON object.
        :return: the parameters, keyed as the members of the input shape.
        :raises ServiceError: ``ValidationException`` that names every member that does not fit the model.
        """
        reader = self._readers.get(operation)
        if reader is None:
            reader = self._readers[operation] = _RequestReader(self._operations[operation])
        return reader.read(labels, query, body)

    def write(self, operation: str, result: Mapping[str, Any]) -> Answer:
        """Write the answer to a call that succeeded.

        :param operation: name of the operation.
        :param result: members of the output shape; ``None`` values are left out; timestamps are aware datetimes.
        :return: the HTTP response.
        :raises TypeError: the result does not fit the output shape: a fault of the emulator.
        """
        writer = self._writers.get(operation)
        if writer is None:
            writer = self._writers[operation] = _answer_writer(self._operations[operation])
        return writer(result)

    def write_error(self, code: str, message: str) -> Answer:
        """Write the answer to a call that failed.

        :param code: name of an error shape of the model, or a key of :data:`OTHER_ERROR_STATUSES`.
        :param message: text for the caller.
        :return: the HTTP response, with the error's status in the model.
        :raises KeyError: the code is unknown.
        """
        body = json.dumps({"message": message}).encode()
        return Answer(self._error_statuses[code], body, _headers() | {"x-amzn-errortype": code})


Template = tuple[tuple[str | None, str | None], ...]


def _routes(operations: Any) -> dict[tuple[str, int], list[tuple[Template, str]]]:
    routes: dict[tuple[str, int], list[tuple[Template, str]]] = {}
    for operation in operations:
        path = operation.http["requestUri"].strip("/")
        template: Template = tuple(
            (None, segment[1:-1]) if segment.startswith("{") else (segment, None) for segment in path.split("/")
        )
        routes.setdefault((operation.http["method"], len(template)), []).append((template, operation.name))
    for candidates in routes.values():
        # /runBatch/cancel before /runBatch/{batchId}: a literal segment wins over a label.
        candidates.sort(key=lambda candidate: [name is None for name, _ in candidate[0]])
    return routes


class _RequestReader:
    """Gathers the members of one operation's input from path, query and body, and checks them."""

    def __init__(self, operation: OperationModel) -> None:
        shape = operation.input_shape
        self._check = RequestCheck(shape)
        self._labels: dict[str, str] = {}
        self._query: dict[str, tuple[str, Shape]] = {}
        self._elsewhere: set[str] = set()
        for name, member in shape.members.items() if shape else ():
            location = member.serialization.get("location")
            wire_name = member.serialization.get("name", name)
            if location == "uri":
                self._labels[wire_name] = name
            elif location == "querystring":
                self._query[wire_name] = (name, member)
            elif location is not None:
                raise NotImplementedError(f"{operation.name}.{name} travels in {location}")
            elif wire_name != name:
                raise NotImplementedError(f"{operation.name}.{name} is called {wire_name} in the body")
            if location is not None:
                self._elsewhere.add(name)

    def read(self, labels: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
        parameters = _json_object(body) if body else {}
        misplaced = sorted(self._elsewhere & parameters.keys())
        if misplaced:
            # Stricter than AWS is known to be (asked: member-misplaced): a member of path or query in the body too.
            raise validation_error(f"{misplaced} must not be in the request body")
        for label, value in labels.items():
            parameters[self._labels[label]] = value
        if query:
            for wire_name, texts in parse_qs(query, keep_blank_values=True).items():
                name, value = self._from_query(wire_name, texts)
                parameters[name] = value
        return self._check(parameters)

    def _from_query(self, wire_name: str, texts: list[str]) -> tuple[str, Any]:
        if wire_name not in self._query:
            # Kept under its own name, so that the check reports it with all other problems.
            return wire_name, texts
        name, shape = self._query[wire_name]
        if shape.type_name == "list":
            return name, texts
        if len(texts) > 1:
            # Stricter than AWS is known to be (asked: filter-repeated).
            raise validation_error(f"{name} is given {len(texts)} times")
        if shape.type_name == "integer" and texts[0].lstrip("-").isdecimal():
            return name, int(texts[0])
        return name, texts[0]


def _json_object(body: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(body, parse_constant=refuse)
    except ValueError as error:
        # AWS may call it SerializationException, a code that the model of omics does not list.
        raise validation_error(f"The request body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise validation_error("The request body must be a JSON object")
    return value


def _headers() -> dict[str, str]:
    return {"content-type": "application/json", "x-amzn-requestid": str(uuid.uuid4())}


Writer = Callable[[Any], Any]


def _answer_writer(operation: OperationModel) -> Callable[[Any], Answer]:
    status = int(operation.http["responseCode"])
    shape = operation.output_shape
    if shape is None:

        def write_nothing(result: Any) -> Answer:
            if result:
                raise TypeError(f"{operation.name} answers nothing, not {result!r}")
            return Answer(status, b"", _headers())

        return write_nothing
    if "payload" in shape.serialization or any("location" in m.serialization for m in shape.members.values()):
        raise NotImplementedError(f"{operation.name} answers outside of the JSON body")
    write = _writer(shape, operation.name)

    def write_body(result: Any) -> Answer:
        body = json.dumps(write(result), separators=(",", ":"), allow_nan=False).encode()
        # RFC 9110, 15.3.5: 204 has no content (TagResource, UntagResource).
        return Answer(status, b"" if status == 204 else body, _headers())

    return write_body


def _writer(shape: Shape, where: str) -> Writer:
    if isinstance(shape, StructureShape):
        return _write_any if shape.is_document_type else _structure_writer(shape, where)
    if isinstance(shape, ListShape):
        write_item = _writer(shape.member, f"{where}[]")
        return lambda value: [write_item(item) for item in value]
    if isinstance(shape, MapShape):
        write_value = _writer(shape.value, f"{where}{{}}")
        return lambda value: {key: write_value(item) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return _write_timestamp
    if shape.type_name == "string":
        return _scalar_writer(str, where, _allowed(shape))
    if shape.type_name in ("integer", "long"):
        return _scalar_writer(int, where)
    if shape.type_name == "boolean":
        return _scalar_writer(bool, where)
    raise NotImplementedError(f"{where} is a {shape.type_name}")


def _write_any(value: Any) -> Any:
    return value


def _write_timestamp(value: datetime) -> str:
    if value.tzinfo is None:
        raise TypeError(f"{value!r} has no time zone")
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def _allowed(shape: Shape) -> frozenset[str]:
    values = shape.metadata.get("enum", ())
    return frozenset({*values, *YOUNGER_VALUES.get(shape.name, ())}) if values else frozenset()


def _scalar_writer(kind: type, where: str, allowed: frozenset[str] = frozenset()) -> Writer:
    def write(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{where} must be {kind.__name__}, not {value!r}")
        if allowed and value not in allowed:
            raise TypeError(f"{where} must be one of {sorted(allowed)}, not {value!r}")
        return value

    return write


def _structure_writer(shape: StructureShape, where: str) -> Writer:
    younger = YOUNGER_MEMBERS.get(shape.name, ())
    writers = {name: _writer(member, f"{where}.{name}") for name, member in shape.members.items()}

    def write(value: Any) -> dict[str, Any]:
        written = {}
        for name, item in value.items():
            if item is None:
                continue
            if name in writers:
                written[name] = writers[name](item)
            elif name not in younger:
                raise TypeError(f"{where} has no member {name!r}")
        return written

    return write
