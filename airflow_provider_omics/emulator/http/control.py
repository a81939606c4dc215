"""The HTTP control API under ``/_emulator/``, which steers a running emulator from another process.

====== ================================= ================================== ========================================
method path                              request body (JSON)                answer (JSON)
====== ================================= ================================== ========================================
GET    ``/_emulator/state``              --                                 ``url`` and the service's ``snapshot()``
GET    ``/_emulator/calls``              --                                 by operation: ``calls``, ``codes``
GET    ``/_emulator/runs``               --                                 runs that were started
GET    ``/_emulator/batches``            --                                 batches that were started
POST   ``/_emulator/clock``              ``{"advance": seconds}``           ``now``; only with a stepped clock
PUT    ``/_emulator/scenario``           a scenario                         ``{}``
GET    ``/_emulator/faults``             --                                 faults in force
PUT    ``/_emulator/faults``             faults that replace those in force faults in force
DELETE ``/_emulator/faults``             --                                 ``[]``
POST   ``/_emulator/reset``              --                                 ``{}``; left are clock and scenario
POST   ``/_emulator/forget-request-ids`` --                                 ``{}``
DELETE ``/_emulator/runs/{id}``          --                                 ``{}``; as retention removes a run
====== ================================= ================================== ========================================

A request that cannot be served is answered with ``{"error": "..."}`` and 400, 403, 404, 409 or 415. So that no web page
can steer the emulator, ``Host`` must be a name of loopback, and whatever is not a GET must have the content type
``application/json``, also without a body.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_provider_omics.emulator.http.callers import is_for_loopback, is_of_another_site
from airflow_provider_omics.emulator.http.wire import Answer
from airflow_provider_omics.emulator.script.clock import SteppedClock
from airflow_provider_omics.emulator.script.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

    from airflow_provider_omics.emulator.http.local_aws import LocalAws


#: First segment of the paths of the control API. No S3 bucket can have this name.
CONTROL_PREFIX = "/_emulator/"


class _Refused(Exception):
    """A control request that cannot be served: HTTP status and reason."""


class Control:
    """Answers control requests.

    :param aws: the services that the requests steer.
    :param url: returns the endpoint URL, which is known once the port is open.
    """

    def __init__(self, aws: LocalAws, url: Callable[[], str]) -> None:
        self._aws = aws
        self._url = url
        self._routes: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "state"): self._state,
            ("GET", "calls"): self._calls,
            ("GET", "runs"): lambda _: aws.service.started_runs(),
            ("GET", "batches"): lambda _: aws.service.started_batches(),
            ("POST", "clock"): self._advance,
            ("PUT", "scenario"): self._set_scenario,
            ("GET", "faults"): lambda _: aws.faults.active(),
            ("PUT", "faults"): self._set_faults,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "reset"): lambda _: aws.reset(),
            ("POST", "forget-request-ids"): lambda _: aws.service.forget_request_ids(),
        }

    def __call__(self, environ: WSGIEnvironment, path: str) -> Answer:
        """Answer one control request.

        :param environ: the request; its body is JSON, or empty.
        :param path: its path, with :data:`CONTROL_PREFIX`.
        :return: the answer, with JSON in its body.
        """
        try:
            _check_caller(environ)
            carry_out = self._find(environ["REQUEST_METHOD"], path.removeprefix(CONTROL_PREFIX).strip("/"))
            result = carry_out(_read(environ["wsgi.input"].read()))
        except _Refused as refusal:
            status, reason = refusal.args
            return _json(status, {"error": reason})
        except (ValueError, TypeError) as error:
            # Scenario, Fault and the clock refuse bad values with these.
            return _json(400, {"error": str(error)})
        return _json(200, {} if result is None else result)

    def _find(self, method: str, name: str) -> Callable[[Any], Any]:
        if (method, name) in self._routes:
            return self._routes[method, name]
        noun, _, identifier = name.partition("/")
        if method == "DELETE" and noun == "runs" and identifier:
            return lambda _: self._remove_run(unquote(identifier))
        allowed = ", ".join(f"{verb} {path}" for verb, path in self._routes)
        raise _Refused(404, f"no {method} {CONTROL_PREFIX}{name}; there are {allowed}, DELETE runs/{{id}}")

    def _state(self, _: Any) -> dict[str, Any]:
        return {"url": self._url(), **self._aws.service.snapshot()}

    def _calls(self, _: Any) -> dict[str, Any]:
        return {"calls": self._aws.calls.by_operation(), "codes": self._aws.calls.by_code()}

    def _advance(self, body: Any) -> dict[str, Any]:
        if not isinstance(self._aws.clock, SteppedClock):
            raise _Refused(409, "this emulator's clock runs by itself: only a stepped clock can be advanced")
        if not isinstance(body, dict) or set(body) != {"advance"} or not isinstance(body["advance"], (int, float)):
            raise _Refused(400, f'the body must be {{"advance": seconds}}, not {body!r}')
        self._aws.advance(body["advance"])
        return {"now": self._aws.clock.now()}

    def _set_scenario(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise _Refused(400, f"the body must be a scenario (JSON object), not {body!r}")
        self._aws.set_scenario(body)

    def _set_faults(self, body: Any) -> list[dict[str, Any]]:
        if not isinstance(body, list):
            raise _Refused(400, f"the body must be a list of faults, not {body!r}")
        self._aws.faults.replace([Fault.from_mapping(fault) for fault in body])
        return self._aws.faults.active()

    def _clear_faults(self, _: Any) -> list[dict[str, Any]]:
        self._aws.faults.clear()
        return []

    def _remove_run(self, run_id: str) -> None:
        try:
            self._aws.service.remove_run(run_id)
        except KeyError:
            raise _Refused(404, f"no run {run_id}") from None


def _check_caller(environ: WSGIEnvironment) -> None:
    if not is_for_loopback(environ):
        host = environ.get("HTTP_HOST", "none")
        raise _Refused(403, f"Host is {host}: use 127.0.0.1 or localhost, which no web page elsewhere can have")
    if is_of_another_site(environ):
        raise _Refused(403, f"the emulator serves no web page of another site: {environ['HTTP_ORIGIN']}")
    kind = (environ.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if environ["REQUEST_METHOD"] != "GET" and kind != "application/json":
        # A browser asks before it sends this one to another site, and is not allowed to.
        raise _Refused(415, f"the content type is {kind or 'none'}: send application/json, also without a body")


def _read(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError as error:
        raise _Refused(400, f"the body is not JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON")


def _json(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value, default=_plain).encode(), {"content-type": "application/json"})
