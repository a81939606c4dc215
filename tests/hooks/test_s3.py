from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_omics.core.errors import (
    AccessDenied,
    Conflict,
    CredentialsExpired,
    InvalidRequest,
    NotFound,
    ServiceError,
    Throttled,
    Unavailable,
)
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import RunLogsHook
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from tests.airflow_support import BUCKET, quick_hook
from tests.connection_support import misses
from tests.model_support import RETRY_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

URI = f"s3://{BUCKET}/a/object"
PLACE = S3Place(URI)
ROLE = "arn:aws:iam::123456789012:role/omics"
KEY_ID = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000001"
MEBIBYTE = 1024 * 1024
Call = Callable[[S3Store, str], Any]


def read(store: S3Store, uri: str = URI) -> bytes:
    with store.get(uri) as found:
        return found.stream.read()


def upload(store: S3Store, content: bytes, check: Callable[[], None] = lambda: None, place: S3Place = PLACE) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        store.upload(place, file, check)
        assert not file.closed


CALLS: dict[str, tuple[str, Call]] = {
    "get": ("GetObject", read),
    "head": ("HeadObject", S3Store.head),
    "exists": ("HeadObject", S3Store.exists),
    "list": ("ListObjectsV2", S3Store.list_objects),
    "put": ("PutObject", lambda store, uri: store.put(S3Place(uri), b"x")),
    "upload": ("PutObject", lambda store, uri: upload(store, b"x", place=S3Place(uri))),
    "delete": ("DeleteObject", S3Store.delete),
}
each_call = pytest.mark.parametrize(("operation", "call"), CALLS.values(), ids=CALLS)


@pytest.fixture
def store(connect: Connect) -> S3Store:
    return S3Store(quick_hook())


@pytest.fixture
def s3(emulator: OmicsEmulator, connect: Connect) -> Any:
    return emulator.client("s3")


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[str]:
    """Run a server with one answer to everything, which breaks off where Content-Length announces more."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # answers a client that asks whether to go on, which would wait for a second

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)
            self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names of http.server

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# -- the settings of the connection ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"threads": 32}, {"role_arn": "arn:aws:iam::123456789012:role/omics"}], ids=str
)
def test_s3_is_reached_as_healthomics_is(emulator: OmicsEmulator, connect: Connect, options: dict[str, Any]) -> None:
    """Endpoint, Region, TLS settings and the user's botocore configuration are those of the hook beside it."""
    config = {"read_timeout": 7, "proxies": {"https": "http://127.0.0.1:9"}, "retries": {"total_max_attempts": 2}}
    store = S3Store(OmicsHook(region_name="eu-west-1", verify=False, config=config), **options)

    store.connect()

    client = store._client
    assert client.meta.endpoint_url == emulator.url
    assert client.meta.region_name == "eu-west-1"
    assert client.meta.config.read_timeout == 7
    assert client.meta.config.proxies == config["proxies"]
    assert client.meta.config.retries["total_max_attempts"] == 2
    assert client.meta.config.max_pool_connections == options.get("threads", 10)
    assert client._endpoint.http_session._verify is False


def test_endpoint_of_s3_itself(connect: Connect) -> None:
    """An endpoint that the connection names for S3 alone goes before the common one."""
    connect(service_config={"s3": {"endpoint_url": "http://127.0.0.1:9"}})

    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9"):
        S3Store(quick_hook()).exists(URI)


def test_threads_are_given_patience(connect: Connect) -> None:
    """Many calls at a time meet throttling: they are tried as those to HealthOmics are, unless the connection says."""
    patient, hasty = S3Store(OmicsHook(), threads=32), S3Store(OmicsHook())
    for store in (patient, hasty):
        store.connect()

    assert patient._client.meta.config.retries == {"mode": "standard", "total_max_attempts": 10}
    assert hasty._client.meta.config.retries["mode"] == RETRY_MODE


def test_store_of_a_connection(emulator: OmicsEmulator, connect: Connect) -> None:
    """Who has no hook names the connection, and its Region if it wants another."""
    store = S3Store.of_connection("aws_default", "eu-west-1")
    store.connect()

    assert (store._client.meta.endpoint_url, store._client.meta.region_name) == (emulator.url, "eu-west-1")


def test_connection_is_asked_for_once(
    emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Airflow has told the hook goes for S3 and the logs beside it: it may not find the connection now."""
    hook = quick_hook()
    assert not hook.misses_connection

    misses(monkeypatch)

    store = S3Store(hook)
    store.connect()
    assert store._client.meta.endpoint_url == emulator.url
    assert RunLogsHook.beside(hook).get_conn().meta.endpoint_url == emulator.url


def test_connection_that_was_read_anew(connect: Connect) -> None:
    """The next call goes through a client of the connection as it is now; until then there is one client."""
    connect(endpoint_url="http://127.0.0.1:9")
    hook = quick_hook()
    store = S3Store(hook)
    with pytest.raises(Unavailable):
        store.exists(URI)
    client = store._client
    connect()
    with pytest.raises(Unavailable):
        store.exists(URI)
    assert store._client is client

    hook.renew()

    assert not store.exists(URI)


def test_threads_share_a_client(store: S3Store) -> None:
    """A store that is connected makes no further client, whoever calls."""
    store.connect()
    client = store._client

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(store.exists, [URI] * 8)) == [False] * 8

    assert store._client is client


# -- its calls ------------------------------------------------------------------------------------------------------


def test_object_is_a_stream(store: S3Store, s3: Any) -> None:
    """Content is read in pieces, with its size and ETag known before; the connection ends with the context."""
    content = bytes(range(256)) * 4096
    s3.put_object(Bucket=BUCKET, Key="a/object", Body=content)

    with store.get(URI) as found:
        assert (found.size, found.etag) == (len(content), store.head(URI)["ETag"])
        assert found.stream.peek(4)[:4] == content[:4]
        assert found.stream.read(300) + found.stream.read() == content

    assert found.stream.closed


@pytest.mark.parametrize("content", [b"", b"x"])
def test_object_is_written_and_read(store: S3Store, content: bytes) -> None:
    """What was put is read, empty or not; the ETag of the answer is that of the object."""
    etag = store.put(PLACE, content, content_type="text/plain")

    head = store.head(URI)
    assert (head["ETag"], head["ContentType"]) == (etag, "text/plain")
    assert read(store) == content


def test_deleted_object_is_gone(store: S3Store) -> None:
    """Deleting leaves nothing, and once more is no error."""
    store.put(PLACE, b"x")
    assert store.exists(URI)

    store.delete(URI)
    store.delete(URI)

    assert not store.exists(URI)


def test_listed_objects(store: S3Store) -> None:
    """The first keys that begin so, in order; none where none does."""
    for key in ("a/1", "a/2", "a/3", "b"):
        store.put(S3Place(f"s3://{BUCKET}/{key}"), b"x")

    def keys(uri: str, **options: Any) -> list[str]:
        return [item["Key"] for item in store.list_objects(uri, **options)]

    assert keys(f"s3://{BUCKET}/a/") == ["a/1", "a/2", "a/3"]
    assert keys(f"s3://{BUCKET}/a/", after="a/1") == ["a/2", "a/3"]
    assert keys(f"s3://{BUCKET}/a/", at_most=2) == ["a/1", "a/2"]
    assert keys(f"s3://{BUCKET}") == ["a/1", "a/2", "a/3", "b"]
    assert keys(f"s3://{BUCKET}/c") == []


@pytest.mark.parametrize("size", [1, 12 * MEBIBYTE], ids=["one part", "three parts"])
def test_file_is_uploaded(store: S3Store, size: int) -> None:
    """A file becomes an object in as many parts as it needs; the check is asked before each."""
    content = b"x" * size
    asked: list[int] = []

    upload(store, content, lambda: asked.append(1))

    assert read(store) == content
    assert len(asked) >= -(-size // (5 * MEBIBYTE))


def test_upload_that_the_check_ends(store: S3Store, s3: Any) -> None:
    """What the check raises comes out as it is, and neither an object nor a part is left."""
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload(store, b"x" * (12 * MEBIBYTE), check)

    assert not store.exists(URI)
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


@pytest.mark.parametrize(("kms_key_id", "expected"), [(KEY_ID, ("aws:kms", KEY_ID)), (None, ("AES256", None))])
@pytest.mark.parametrize("write", ["put", "upload"])
def test_key_of_the_place(
    store: S3Store, s3: Any, write: str, kms_key_id: str | None, expected: tuple[str, str | None]
) -> None:
    """Whatever writes the object, it has the key of its place, else the bucket's own encryption."""
    place = S3Place(URI, kms_key_id)
    if write == "put":
        store.put(place, io.BytesIO(b"x"))
    else:
        upload(store, b"x", place=place)

    head = s3.head_object(Bucket=BUCKET, Key="a/object")
    assert (head.get("ServerSideEncryption", "AES256"), head.get("SSEKMSKeyId")) == expected


@pytest.mark.parametrize(
    ("stored", "condition", "writes"),
    [
        pytest.param(None, {}, True, id="new"),
        pytest.param(b"old", {}, True, id="over any"),
        pytest.param(None, {"if_none_match": True}, True, id="only new, nothing there"),
        pytest.param(b"old", {"if_none_match": True}, False, id="only new, one there"),
        pytest.param(b"old", {"if_match": "same"}, True, id="over what was read"),
        pytest.param(b"old", {"if_match": '"another"'}, False, id="over another"),
    ],
)
def test_conditional_write(store: S3Store, stored: bytes | None, condition: dict[str, Any], writes: bool) -> None:
    """An object is written on its condition only; else it stays as it is, and Conflict says so."""
    if stored is not None:
        etag = store.put(PLACE, stored)
        condition = {name: etag if value == "same" else value for name, value in condition.items()}

    if writes:
        store.put(PLACE, b"new", **condition)
    else:
        with pytest.raises(Conflict, match=f"PutObject: PreconditionFailed.*It was about {URI}"):
            store.put(PLACE, b"new", **condition)

    assert read(store) == (b"new" if writes else stored)


# -- its errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "SlowDown", Throttled),
        (503, "ServiceUnavailable", Unavailable),
        (500, "InternalError", Unavailable),
        (408, "RequestTimeout", Unavailable),
        (403, "AccessDenied", AccessDenied),
        (403, "SomethingNew", AccessDenied),
        (403, "ExpiredToken", CredentialsExpired),
        (404, "NoSuchKey", NotFound),
        (404, "NoSuchBucket", NotFound),
        (409, "ConditionalRequestConflict", Conflict),
        (412, "PreconditionFailed", Conflict),
        (400, "InvalidArgument", InvalidRequest),
    ],
)
def test_answer_becomes_a_typed_error(connect: Connect, status: int, code: str, expected: type[ServiceError]) -> None:
    """S3's error codes are the classes that HealthOmics's are, with S3's words and the AWS error as their cause."""
    body = f"<Error><Code>{code}</Code><Message>S3 says so</Message></Error>".encode()
    with answering(status, body, x_amz_request_id="ABC") as url:
        connect(endpoint_url=url)
        with pytest.raises(ServiceError) as caught:
            S3Store(quick_hook()).put(PLACE, b"x")

    error = caught.value
    assert type(error) is expected
    assert (error.operation, error.code, error.http_status, error.reason) == ("PutObject", code, status, "S3 says so")
    assert error.request_id == "ABC"
    assert URI in error.advice
    assert isinstance(error.__cause__, ClientError)
    assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__


@each_call
@pytest.mark.parametrize("status", [403, 503])
def test_answer_without_words(
    connect: Connect, operation: str, call: Callable[[S3Store, str], Any], status: int
) -> None:
    """Each call turns an answer into its error by the HTTP status alone, as the answer to HEAD has no more."""
    expected = {403: AccessDenied, 503: Unavailable}[status]
    with answering(status) as url:
        connect(endpoint_url=url)
        with pytest.raises(expected, match=f"^{operation}: ") as caught:
            call(S3Store(quick_hook()), URI)

    assert URI in caught.value.advice


@each_call
def test_no_answer(connect: Connect, operation: str, call: Call) -> None:
    """Each call that does not get through may pass by itself; the error names the object and botocore's own."""
    connect(endpoint_url="http://127.0.0.1:9")

    with pytest.raises(Unavailable, match=f"{operation}: EndpointConnectionError: .*It was about {URI}") as caught:
        call(S3Store(quick_hook()), URI)

    assert isinstance(caught.value.__cause__, BotoCoreError)


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("get", "s3:GetObject for"),
        ("head", "s3:GetObject for"),
        ("list", "s3:ListBucket for"),
        ("put", "s3:PutObject for"),
        ("upload", "s3:PutObject for"),
        ("delete", "s3:DeleteObject for"),
    ],
)
def test_refusal_names_the_action(connect: Connect, operation: str, action: str) -> None:
    """Whatever is denied, the advice says which action is needed for which object."""
    body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    with answering(403, body) as url:
        connect(endpoint_url=url)
        with pytest.raises(AccessDenied) as refused:
            CALLS[operation][1](S3Store(quick_hook()), URI)

    assert f"The caller needs {action} {URI}" in refused.value.advice


@pytest.mark.parametrize("name", ["get", "head", "list", "put", "upload"])
def test_bucket_that_is_not_there(store: S3Store, name: str) -> None:
    """A missing bucket is NotFound for every call that tells of it."""
    with pytest.raises(NotFound):
        CALLS[name][1](store, "s3://no-such-bucket/a")


def test_content_that_breaks_off(connect: Connect) -> None:
    """A connection that ends in the middle of an object is an error while reading, never a shorter object."""
    with answering(200, b"half", Content_Length="8", ETag='"e"') as url:
        connect(endpoint_url=url)
        with S3Store(quick_hook()).get(URI) as found, pytest.raises(Unavailable, match="GetObject"):
            found.stream.read()


def test_error_of_the_reader(store: S3Store) -> None:
    """What the code that reads raises is its own, and no error of S3's."""
    store.put(PLACE, b"x")

    with pytest.raises(ValueError, match="the reader's own"), store.get(URI):
        raise ValueError("the reader's own")


def test_answer_of_something_else(connect: Connect) -> None:
    """A page of a proxy in the place of an answer is one that did not get through."""
    with answering(200, b"<html>Sign in</html>", Content_Type="text/html") as url:
        connect(endpoint_url=url)
        with pytest.raises(Unavailable, match="GetObject: UnreadableAnswer"):
            read(S3Store(quick_hook()))
