"""Services that accept a call and never answer: neither a cancel nor the end of the process waits for them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider_omics.triggers.run import OmicsRunTrigger
from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger
from airflow_provider_omics.waiting.client import CANCELS, LOOKS
from tests.airflow_process import run_with_airflow
from tests.airflow_support import ROLE, TaskInstanceRecord, pollers
from tests.watching_support import with_log

SOON = 2.0
"""Seconds. A call that hangs takes 15 (its read timeout), or what a resolver takes."""

PROCESS = """
import asyncio, atexit, json, os, socket, sys, threading, time
from contextlib import suppress
from airflow_provider_omics.triggers.run import OmicsRunTrigger

sys.modules["aiobotocore"] = None  # not installed: the Amazon provider imports it late, if at all
extra = json.loads(sys.argv[1])


async def main():
    loop, hanging = asyncio.get_running_loop(), asyncio.Event()

    async def hang(reader, writer):
        await reader.readline()
        hanging.set()
        await asyncio.Event().wait()

    resolve = socket.getaddrinfo

    def resolver(host, *more, **named):
        if not str(host).endswith(".invalid"):
            return resolve(host, *more, **named)
        loop.call_soon_threadsafe(hanging.set)
        threading.Event().wait()

    socket.getaddrinfo = resolver
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    address = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection).replace("HANGS", address)
    waiting = asyncio.ensure_future(anext(OmicsRunTrigger("1").run()))
    await hanging.wait()
    global began
    began = time.monotonic()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    print("CANCELLED", time.monotonic() - began, flush=True)


def no_thread_was_waited_for():
    print("ENDED", time.monotonic() - began, flush=True)


atexit.register(no_thread_was_waited_for)  # called when the threads that are waited for have ended
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "extra",
    [
        {"endpoint_url": "HANGS"},
        {"endpoint_url": "HANGS", "role_arn": ROLE, "service_config": {"sts": {"endpoint_url": "HANGS"}}},
        {"endpoint_url": "http://omics.invalid"},
    ],
    ids=["endpoint", "STS", "name"],
)
def test_triggerer_ends_although_a_call_hangs(extra: dict[str, Any]) -> None:
    """A triggerer that stops cancels its triggers, and then ends: both at once, whatever its calls wait for.

    What the interpreter takes to tear down all of Airflow is no part of it.
    """
    extra = {"region_name": "us-east-1", **extra}
    done = run_with_airflow(PROCESS, json.dumps(extra))

    assert done.returncode == 0, done.stderr
    took = dict(line.split() for line in done.stdout.splitlines() if line.startswith(("CANCELLED ", "ENDED ")))
    assert float(took["CANCELLED"]) < SOON
    assert float(took["ENDED"]) < SOON


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[str], list[str]]]:
    """A service whose looks hang until the test is over, and whose cancels work."""
    over = threading.Event()
    looks: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            looks.append(self.path)
            over.wait()
            self.close_connection = True

        def do_POST(self) -> None:
            cancels.append(self.path)
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    cancels: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    extra = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{server.server_address[1]}"}
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    yield looks, cancels
    over.set()
    server.shutdown()
    serving.join()
    server.server_close()


async def test_cancels_pass_looks_that_hang(hanging: Any) -> None:
    """Every thread for looks hangs, and more looks wait for their turn: kills of twenty runs are through at once."""
    looks, cancels = hanging
    waits = [asyncio.ensure_future(anext(with_log(OmicsRunBatchTrigger(str(n))).run())) for n in range(2 * LOOKS)]
    while len(looks) < LOOKS:  # noqa: ASYNC110  # the server's threads know no event of this loop
        await asyncio.sleep(0.01)
    killed: list[Any] = [with_log(OmicsRunTrigger(str(number))) for number in range(2 * CANCELS)]
    for trigger in killed:
        trigger.task_instance = TaskInstanceRecord(state="failed")

    began = time.monotonic()
    await asyncio.gather(*(trigger.on_kill() for trigger in killed))
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)

    assert time.monotonic() - began < SOON
    assert sorted(cancels) == sorted(f"/run/{number}/cancel" for number in range(2 * CANCELS))
    assert len(looks) == LOOKS
    assert pollers() == []
