"""A small threaded HTTP/1.1 server for one WSGI application, on loopback only.

werkzeug's own server closes every connection and waits 10 ms after each answer (3.1), and exits the process when the
port is taken; http.server spends more CPU on parsing headers than the emulator on a whole GetRun. Clients are AWS
SDKs: keep-alive, ``Expect: 100-continue`` and chunked uploads are served, nothing else is needed.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import sys
import threading
import traceback
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.emulator.http.wsgi import set_body, wsgi_environ
from airflow_provider_omics.emulator.script.faults import ConnectionLost

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: The only interface that the emulator is ever reachable on: it trusts every caller.
LOOPBACK = "127.0.0.1"

_REASONS = {int(status): status.phrase for status in HTTPStatus}


class LoopbackServer(socketserver.ThreadingTCPServer):
    """Serves one WSGI application on 127.0.0.1, one thread per connection.

    The socket listens when the constructor returns.

    :param application: the WSGI application.
    :param port: TCP port; 0 lets the system choose a free one.
    :raises OSError: the port is taken.
    """

    allow_reuse_address = True
    daemon_threads = True
    # Hundreds of waits connect at once when a triggerer starts.
    request_queue_size = 512

    def __init__(self, application: WSGIApplication, port: int = 0) -> None:
        self.application = application
        self._connections: set[socket.socket] = set()
        self._workers: set[threading.Thread] = set()
        self._thread: threading.Thread | None = None
        super().__init__((LOOPBACK, port), _Connection)

    @property
    def port(self) -> int:
        """The TCP port that the server listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Answer calls in a thread of its own."""
        # The poll interval bounds how long stop() takes, not how fast calls are answered.
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="omics-emulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close the port and all connections, and wait for the threads."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
            self._thread = None
        self.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)
        for worker in list(self._workers):
            if worker is not threading.current_thread():
                worker.join(timeout=5)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, and remember it while it lives."""
        self._connections.add(request)
        self._workers.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.discard(request)
            self._workers.discard(threading.current_thread())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that died; print every other error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            traceback.print_exc()


class _Connection(socketserver.StreamRequestHandler):
    """One connection: requests one after the other until the client or a lost answer ends it."""

    server: LoopbackServer
    # Headers and body leave in one write; without this a second small write would wait for the client's delayed
    # acknowledgement (40 ms on Linux).
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        request_line = self.rfile.readline(65537)
        words = request_line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            # The end of the connection, or no HTTP at all.
            return False
        method, target, version = words
        environ = wsgi_environ(method, target, self._headers(), server=(LOOPBACK, self.server.port))
        set_body(environ, self._body(environ))
        started: list[tuple[str, list[tuple[str, str]]]] = []
        try:
            chunks = self.server.application(environ, lambda *start: started.append(start[:2]))  # type: ignore[arg-type]  # nobody uses write()
            content = _collect(chunks)
        except ConnectionLost:
            return False
        except Exception as error:
            # A mistake of the emulator: the client gets an error, and handle_error prints the traceback.
            self.wfile.write(_response(method, *_broken(error), keep=False))
            raise
        status, headers = started[0]
        keep = version == "HTTP/1.1" and environ.get("HTTP_CONNECTION", "").lower() != "close"
        self.wfile.write(_response(method, status, headers, content, keep))
        return keep

    def _headers(self) -> Iterable[tuple[str, str]]:
        while (line := self.rfile.readline(65537)) not in (b"\r\n", b"\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            yield name.strip(), value.strip()

    def _body(self, environ: dict[str, Any]) -> bytes:
        if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            return b"".join(self._chunks())
        length = int(environ.get("CONTENT_LENGTH") or 0)
        return self.rfile.read(length) if length else b""

    def _chunks(self) -> Iterable[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass


def _collect(chunks: Iterable[bytes]) -> bytes:
    try:
        return b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


def _broken(error: Exception) -> tuple[str, list[tuple[str, str]], bytes]:
    # 501: the SDKs retry 500, and the same mistake would only be made again.
    headers = [("content-type", "application/json"), ("x-amzn-errortype", "EmulatorFault")]
    return "501 Not Implemented", headers, json.dumps({"message": f"The emulator failed: {error!r}"}).encode()


def _response(method: str, status: str, headers: list[tuple[str, str]], content: bytes, keep: bool) -> bytes:
    code = int(status.split(None, 1)[0])
    lines = [f"HTTP/1.1 {code} {_REASONS.get(code, 'Unknown')}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in ("content-length", "connection")]
    # The length in a HEAD answer is that of the omitted body (S3 HeadObject); a 204 has no length at all.
    length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
    if method != "HEAD":
        length = str(len(content))
    if code not in (204, 304):
        lines.append(f"Content-Length: {length}")
    if not keep:
        lines.append("Connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    return head if method == "HEAD" or code in (204, 304) else head + content
