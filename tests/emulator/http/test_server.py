from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from airflow_provider_omics.emulator.http.loopback import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "airflow_provider_omics.emulator"]


def port_of(emulator: OmicsEmulator) -> int:
    return int(emulator.url.rpartition(":")[2])


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_taken_port_is_told_at_once(taken_port: int) -> None:
    """Starting on a taken port raises, and leaves nothing behind."""
    emulator = OmicsEmulator(port=taken_port)
    with pytest.raises(OSError, match="in use"):
        emulator.start()
    with pytest.raises(RuntimeError, match="not started"):
        _ = emulator.url


def test_only_loopback_is_bound(emulator: OmicsEmulator) -> None:
    """The emulator listens on 127.0.0.1 alone, whatever addresses the machine has."""
    assert emulator._server
    assert emulator._server.socket.getsockname() == ("127.0.0.1", port_of(emulator))


def test_stop_frees_the_port_and_ends_the_threads(start_run_parameters: Callable[..., dict[str, Any]]) -> None:
    """After stop() nobody answers, idle keep-alive connections are closed, and no thread is left."""
    before = set(threading.enumerate())
    emulator = OmicsEmulator(clock=SteppedClock()).start()
    port = port_of(emulator)
    with socket.create_connection(("127.0.0.1", port)) as idle:
        emulator.client().start_run(**start_run_parameters())
        emulator.stop()
        assert idle.recv(1) == b""
    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with OmicsEmulator(port=port) as again:
        assert port_of(again) == port


def test_default_bucket_is_in_the_connection() -> None:
    """With a default bucket, which is there from the start, the connection has the defaults of a team; else none."""
    with OmicsEmulator(clock=SteppedClock(), buckets=["one"]) as plain:
        assert "service_config" not in plain.connection["extra"]
    with OmicsEmulator(clock=SteppedClock(), default_bucket="two", account="111122223333") as emulator:
        emulator.reset()
        assert emulator.connection["extra"]["service_config"]["omics"] == {
            "default_run_setting": {
                "roleArn": "arn:aws:iam::111122223333:role/omics-service",
                "outputUri": "s3://two/outputs/",
            },
            "staging_s3_uri": "s3://two/staging/",
            "results_s3_uri": "s3://two/results/",
        }
        assert [bucket["Name"] for bucket in emulator.client("s3").list_buckets()["Buckets"]] == ["two"]


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", b"\x16\x03\x01 not http\r\n", b"GET / HTTP/1.0\r\n\r\n"])
def test_strange_clients_do_no_harm(emulator: OmicsEmulator, sent: bytes) -> None:
    """What is not HTTP/1.1 gets an answer or none, and then the end of the connection."""
    with socket.create_connection(("127.0.0.1", port_of(emulator)), timeout=5) as stranger:
        stranger.sendall(sent)
        stranger.shutdown(socket.SHUT_WR)
        answer = b""
        while received := stranger.recv(65536):
            answer += received
    assert (b"Connection: close" in answer) == sent.startswith(b"GET")
    assert emulator.client().list_runs()["items"] == []


def test_connections_are_kept_alive(emulator: OmicsEmulator) -> None:
    """Many requests travel over one connection; HTTP/1.0 and Connection: close end it."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(emulator), timeout=10)
    connection.connect()
    local_address = connection.sock.getsockname()
    for _ in range(3):
        connection.request("GET", "/_emulator/state")
        assert json.loads(connection.getresponse().read())["url"] == emulator.url
        assert connection.sock.getsockname() == local_address
    connection.request("GET", "/_emulator/state", headers={"Connection": "close"})
    response = connection.getresponse()
    assert (response.getheader("Connection"), bool(response.read())) == ("close", True)
    connection.close()


def test_many_clients_at_once(emulator: OmicsEmulator, start_run_parameters: Callable[..., dict[str, Any]]) -> None:
    """Threads that start runs at the same time each get a run of their own."""
    omics = emulator.client(config=Config(max_pool_connections=8))
    started: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: started.extend(omics.start_run(**start_run_parameters())["id"] for _ in range(10))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(started)) == 80
    assert emulator.calls["StartRun"] == 80


def test_host_header_does_not_matter(emulator: OmicsEmulator) -> None:
    """Whoever resolves the prefixed host reaches HealthOmics by the signature, whatever the Host header says."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(emulator), timeout=10)
    credential = (
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/omics/aws4_request, SignedHeaders=host, Signature=0"
    )
    headers = {"Host": "workflows-127.0.0.1", "Authorization": credential}
    connection.request("GET", "/run", headers=headers)
    assert json.loads(connection.getresponse().read()) == {"items": []}
    connection.request("GET", "/nonsense", headers=headers)
    response = connection.getresponse()
    assert (response.status, response.getheader("x-amzn-errortype")) == (404, "UnknownOperationException")
    assert "GET /nonsense" in json.loads(response.read())["message"]
    connection.close()


def test_service_that_is_not_there_is_told(emulator: OmicsEmulator) -> None:
    """A call of a service that the emulator does not have is answered with 501 and the services it has."""
    dynamodb = emulator.client("dynamodb")
    with pytest.raises(dynamodb.exceptions.ClientError, match="only omics, pricing, events") as caught:
        dynamodb.list_tables()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_mistake_of_the_application_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception in the application answers 501, which no SDK retries, and shows its place on the console."""

    def broken(_environ: Any, _start_response: Any) -> list[bytes]:
        raise KeyError("a mistake")

    server = LoopbackServer(broken)
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/")
    response = connection.getresponse()
    assert (response.status, response.getheader("x-amzn-errortype")) == (501, "EmulatorFault")
    assert "a mistake" in json.loads(response.read())["message"]
    connection.close()
    server.stop()
    assert "in broken" in capsys.readouterr().err


def test_body_is_asked_for(emulator: OmicsEmulator) -> None:
    """A client that expects 100-continue (every S3 upload) is told to go on before it sends its body."""
    with socket.create_connection(("127.0.0.1", port_of(emulator)), timeout=5) as client:
        client.sendall(
            b"POST /_emulator/clock HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Expect: 100-continue\r\nContent-Length: 13\r\n\r\n"
        )
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b'{"advance":5}')
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert emulator.clock.now().second == 5


def test_chunked_body_is_read() -> None:
    """A chunked request arrives as a plain body, and the connection goes on behind it."""

    def echo(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    server = LoopbackServer(echo)
    server.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for _ in range(2):
        connection.request(
            "POST", "/", iter([b"one ", b"two"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert connection.getresponse().read() == b"one two"
    connection.close()
    server.stop()


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("COV_CORE")}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_announces_itself_and_ends_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    """The process prints address and connection when it answers, writes the file, and ends with 0 on a signal."""
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("runs:\n  - outcome: FAILED\nfaults:\n  - {operation: GetRun, latency_seconds: 1}\n")
    file = tmp_path / "connections.json"
    arguments = ["--port", "0", "--bucket", "one", "--bucket", "two", "--speed", "60", "--seed", "7"]
    arguments += ["--default-bucket", "three"]
    arguments += ["--scenario", str(scenario), "--connection-file", str(file)]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout
        address = process.stdout.readline().split()[-1]
        connection = json.loads(process.stdout.readline().partition("=")[2].strip().strip("'"))
        assert connection["extra"]["endpoint_url"] == address
        assert connection["extra"]["service_config"]["omics"]["staging_s3_uri"] == "s3://three/staging/"
        assert json.loads(file.read_text()) == {"aws_default": connection}
        calls = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
        calls.request("GET", "/_emulator/faults")
        assert json.loads(calls.getresponse().read())[0]["operation"] == "GetRun"
        calls.close()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scenario", "/no/such/file.yaml"], "--scenario /no/such/file.yaml: No such file"),
        (["--speed", "0"], "speed"),
        (["--speed", "fast"], "--speed"),
        (["--bucket", "No"], "bucket 'No'"),
    ],
)
def test_process_that_cannot_start_says_why(arguments: list[str], message: str) -> None:
    """A wrong argument is one message and exit code 2."""
    process = subprocess.run(
        [*COMMAND, "--port", "0", *arguments], capture_output=True, text=True, check=False, env=environment()
    )
    assert process.returncode == 2
    assert message in process.stderr
    assert "Traceback" not in process.stderr


def test_process_tells_a_taken_port(taken_port: int) -> None:
    """A taken port is one sentence and exit code 2, at once."""
    process = subprocess.run(
        [*COMMAND, "--port", str(taken_port)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=20,
    )
    assert process.returncode == 2
    assert process.stderr.strip() == f"Cannot start on port {taken_port}: Address already in use"
    assert process.stdout == ""


@pytest.mark.parametrize(("text", "message"), [("[1]", "must hold a mapping"), ("a: [", "is not YAML")])
def test_scenario_file_that_makes_no_sense_is_told(tmp_path: Path, text: str, message: str) -> None:
    """A scenario file that holds no scenario stops the start with its name."""
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(text)
    process = subprocess.run(
        [*COMMAND, "--port", "0", "--scenario", str(scenario)],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert process.returncode == 2
    assert message in process.stderr


def test_missing_extra_is_one_sentence() -> None:
    """Without the extra the command says how to install it, and imports nothing that is missing."""
    code = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'moto' else find(name)\n"
        "from airflow_provider_omics.emulator.__main__ import main\n"
        "sys.exit(main(['--port', '0']))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment()
    )
    assert process.returncode == 2
    assert process.stderr == "The local HealthOmics needs moto: pip install 'airflow-provider-omics[emulator]'\n"
