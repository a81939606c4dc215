"""S3 beside HealthOmics: every call that this package makes to it."""

from __future__ import annotations

import io
import ssl
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO, Any

import boto3.session
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.session import get_session

from airflow_provider_omics.core.errors import AccessDenied, NotFound
from airflow_provider_omics.core.uris import s3_address
from airflow_provider_omics.hooks.client import TOTAL_ATTEMPTS, ServiceHook
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import UNMADE, client_error, service_errors

LIST_PAGE = 1_000
"""Most keys that one list call returns (S3 API reference, ListObjectsV2)."""

_BUFFER = 1 << 17
_TRANSFER = {"max_concurrency": 1, "multipart_chunksize": 5 * 1024 * 1024}
_PARTS_IN_MEMORY = 1
"""Of an upload: the smallest part that S3 takes, one at a time, so that memory does not grow with the file."""
_ROLE_SESSION_NAME = "airflow-check-inputs"


@dataclass(frozen=True)
class S3Place:
    """A place in S3 that a task writes to; whoever chose it chose its key, so the two are passed on together.

    :param uri: ``s3://bucket/prefix/``, or an object.
    :param kms_key_id: KMS key for objects written there. Default: the bucket's own encryption.
    """

    uri: str
    kms_key_id: str | None = None


@dataclass(frozen=True)
class S3Object:
    """An object that is being read.

    :param stream: its content, to be read once.
    :param size: bytes of the content.
    :param etag: S3's mark of this version of the object, for :meth:`S3Store.put`.
    """

    stream: io.BufferedReader[Any]
    size: int
    etag: str


class S3Store:
    """Objects in S3, reached with the settings of a connection: Region, endpoint, TLS, proxies, time-outs.

    Airflow is not asked for the connection again, as its answer could be another. Once the hook has read its connection
    anew, the next call goes through a new client. The store may be shared by threads after :meth:`connect`.

    :param hook: the hook whose connection is used.
    :param threads: how many threads call at a time: each gets a connection of its own, and calls are tried as often as
        those to HealthOmics unless the connection says otherwise. Default: one thread, and botocore's own retries.
    :param role_arn: a role to assume first, with the connection's identity. Default: none.
    """

    def __init__(self, hook: OmicsHook, *, threads: int = 1, role_arn: str | None = None) -> None:
        self._hook = hook
        self._threads = threads
        self._role_arn = role_arn
        self._connection = hook.conn_config
        self._client: Any = None

    @classmethod
    def of_connection(cls, aws_conn_id: str | None = "aws_default", region_name: str | None = None) -> S3Store:
        """Make the store of a connection, for callers without a hook.

        :param aws_conn_id: the connection. Default: "aws_default".
        :param region_name: AWS Region. Default: the connection's.
        """
        return cls(OmicsHook(aws_conn_id=aws_conn_id, region_name=region_name))

    def connect(self) -> None:
        """Make the client before threads use it: each would make one, and ask Airflow for the connection.

        Airflow 3.0 and 3.1 mix up the answers to questions that are asked at once (no lock in ``CommsDecoder``).

        :raises ServiceError: there are no credentials, or the role could not be assumed.
        """
        with self._calls("AssumeRole"):
            pass

    @contextmanager
    def get(self, uri: str) -> Iterator[S3Object]:
        """Open an object.

        :param uri: ``s3://bucket/key``.
        :return: the object, as a context: its connection is closed at the end. Reading the stream raises ServiceError
            as well.
        :raises NotFound: there is no such object or bucket.
        :raises ServiceError: S3 refused, or did not get through.
        """
        bucket, key = s3_address(uri)
        with self._calls("GetObject", uri) as client:
            answer = client.get_object(Bucket=bucket, Key=key)
            body, size, etag = answer["Body"], answer["ContentLength"], answer["ETag"]
        with closing(io.BufferedReader(_Body(body, uri), _BUFFER)) as stream:
            yield S3Object(stream, size, etag)

    def head(self, uri: str) -> Mapping[str, Any]:
        """Look at an object: its storage class, whether it is archived, and whether it is being restored.

        :param uri: ``s3://bucket/key``.
        :return: the answer of HeadObject.
        :raises NotFound: there is no such object or bucket.
        :raises ServiceError: S3 refused, or did not get through.
        """
        bucket, key = s3_address(uri)
        with self._calls("HeadObject", uri) as client:
            answer: Mapping[str, Any] = client.head_object(Bucket=bucket, Key=key)
        return answer

    def bucket_region(self, uri: str) -> str | None:
        """Look at a bucket.

        :param uri: ``s3://bucket/...``.
        :return: its Region; None: S3 does not say.
        :raises NotFound: there is no such bucket.
        :raises ServiceError: S3 refused, or did not get through.
        """
        with self._calls("HeadBucket", uri) as client:
            answer = client.head_bucket(Bucket=uri.removeprefix("s3://").partition("/")[0])
        region: str | None = answer.get("BucketRegion")
        return region

    def exists(self, uri: str) -> bool:
        """Look whether an object exists.

        :param uri: ``s3://bucket/key``.
        :raises ServiceError: S3 refused, or did not get through.
        """
        try:
            self.head(uri)
        except NotFound:
            return False
        return True

    def list_objects(self, uri: str, at_most: int = LIST_PAGE, *, after: str = "") -> list[Mapping[str, Any]]:
        """List the first objects whose keys begin in the same way.

        :param uri: ``s3://bucket/beginning``.
        :param at_most: how many; one call is made. Default: :data:`LIST_PAGE`, which is also the most.
        :param after: the key after which the list begins. Default: the first one.
        :return: the items of ListObjectsV2, by key.
        :raises NotFound: there is no such bucket.
        :raises ServiceError: S3 refused, or did not get through.
        """
        return self._list(uri, at_most, {"StartAfter": after} if after else {})[0]

    def all_objects(self, uri: str) -> Iterator[Mapping[str, Any]]:
        """Iterate over all objects whose keys begin in the same way, by as many list calls as it takes.

        :param uri: ``s3://bucket/beginning``.
        :return: the items of ListObjectsV2, by key.
        :raises NotFound: there is no such bucket.
        :raises ServiceError: S3 refused, or did not get through.
        """
        token: str | None = None
        while True:
            items, token = self.list_page(uri, token)
            yield from items
            if token is None:
                return

    def list_page(self, uri: str, token: str | None = None) -> tuple[list[Mapping[str, Any]], str | None]:
        """List a page of the objects whose keys begin in the same way. A page may have fewer keys than there are left.

        :param uri: ``s3://bucket/beginning``.
        :param token: of the page before. Default: the first page.
        :return: the items of ListObjectsV2, by key, and the token of the next page; None: there is none.
        :raises NotFound: there is no such bucket.
        :raises ServiceError: S3 refused, or did not get through.
        """
        return self._list(uri, LIST_PAGE, {"ContinuationToken": token} if token else {})

    def _list(self, uri: str, at_most: int, start: Mapping[str, str]) -> tuple[list[Mapping[str, Any]], str | None]:
        bucket, prefix = s3_address(uri)
        with self._calls("ListObjectsV2", uri) as client:
            answer = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=at_most, **start)
            return [*answer.get("Contents", ())], answer.get("NextContinuationToken")

    def put(
        self,
        place: S3Place,
        body: bytes | IO[bytes],
        *,
        if_match: str | None = None,
        if_none_match: bool = False,
        content_type: str | None = None,
    ) -> str:
        """Write an object in one call.

        :param place: the object, and its key.
        :param body: its content, 5 GB at most (S3 API reference, PutObject).
        :param if_match: write only over the version with this ETag. Default: over any.
        :param if_none_match: write only where there is no object yet. Default: anywhere.
        :param content_type: its media type. Default: S3's own.
        :return: the ETag of the new object.
        :raises Conflict: the object has another ETag, or there is one already.
        :raises ServiceError: S3 refused, or did not get through.
        """
        bucket, key = s3_address(place.uri)
        options = _encryption(place)
        if if_match is not None:
            options["IfMatch"] = if_match
        if if_none_match:
            options["IfNoneMatch"] = "*"
        if content_type is not None:
            options["ContentType"] = content_type
        with self._calls("PutObject", place.uri) as client:
            etag: str = client.put_object(Bucket=bucket, Key=key, Body=body, **options)["ETag"]
        return etag

    def upload(self, place: S3Place, file: IO[bytes], check: Callable[[], None] = lambda: None) -> None:
        """Write an object from a file, in parts; a failure removes the parts that were sent.

        :param place: the object, and its key.
        :param file: opened for reading bytes, with a descriptor; it is left open.
        :param check: called before each part is read; raises to end the upload. Default: nothing.
        :raises ServiceError: S3 refused, or did not get through.
        """
        from boto3.s3.transfer import TransferConfig  # for large batches only

        bucket, key = s3_address(place.uri)
        transfer = TransferConfig(**_TRANSFER)
        transfer.max_in_memory_upload_chunks = _PARTS_IN_MEMORY
        # The transfer closes its file: it gets the descriptor under a name of its own.
        with self._calls("PutObject", place.uri) as client, _CheckedFile(file.fileno(), check) as stream:
            client.upload_fileobj(stream, bucket, key, ExtraArgs=_encryption(place), Config=transfer)

    def delete(self, uri: str) -> None:
        """Delete an object; one that is not there is no error.

        :param uri: ``s3://bucket/key``.
        :raises ServiceError: S3 refused, or did not get through.
        """
        bucket, key = s3_address(uri)
        with self._calls("DeleteObject", uri) as client:
            client.delete_object(Bucket=bucket, Key=key)

    @contextmanager
    def _calls(self, operation: str, uri: str = "") -> Iterator[Any]:
        connection = self._hook.conn_config  # outside of the block: Airflow's errors are not S3's
        with service_errors(operation, uri):
            if self._client is None or self._connection is not connection:
                self._client, self._connection = self._client_for(connection), connection
            yield self._client

    def _client_for(self, connection: Any) -> Any:
        """Share the client of a hook among its stores: to make one takes 0.2 s of CPU, as botocore reads its files."""
        if self._threads > 1 or self._role_arn is not None:
            return self._new_client()
        known, client = _clients.get(self._hook, (None, None))
        if known is not connection:
            client = self._new_client()
            _clients[self._hook] = (connection, client)
        return client

    def _new_client(self) -> Any:
        s3 = ServiceHook(self._hook, "s3")
        try:
            if isinstance(s3.verify, str):
                ssl.create_default_context(cafile=s3.verify)  # botocore reads it at the first call only
            return self._client_of(s3)
        except UNMADE as error:
            raise client_error(error, s3.conn_config, "s3") from error

    def _client_of(self, s3: AwsBaseHook) -> Any:
        config = s3.config
        if self._threads > 1:
            ours: dict[str, Any] = {"max_pool_connections": self._threads}
            if config.retries is None:
                ours["retries"] = {"mode": "standard", "total_max_attempts": TOTAL_ATTEMPTS}
            config = config.merge(Config(**ours))
        if self._role_arn is None:
            return s3.get_client_type(config=config)
        endpoint = s3.conn_config.get_service_endpoint_url(service_name="s3")
        session = _session_of_role(self._hook, self._role_arn)
        return session.client("s3", endpoint_url=endpoint, config=config, verify=s3.verify)


_clients: weakref.WeakKeyDictionary[OmicsHook, tuple[Any, Any]] = weakref.WeakKeyDictionary()
"""Hook -> its connection as it was read last, and the client made of it."""


class _Body(io.RawIOBase):
    """The content of an object; a connection that breaks is a ServiceError, not one of botocore's."""

    def __init__(self, body: Any, uri: str) -> None:
        self._body = body
        self._uri = uri

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with service_errors("GetObject", self._uri):
            size: int = self._body.readinto(buffer)
        return size

    def close(self) -> None:
        self._body.close()
        super().close()


class _CheckedFile(io.FileIO):
    """An open file under a name of its own, that asks before each read whether to go on."""

    def __init__(self, descriptor: int, check: Callable[[], None]) -> None:
        super().__init__(descriptor, "rb", closefd=False)
        self._check = check

    def read(self, size: int | None = -1, /) -> bytes:
        self._check()
        return super().read(-1 if size is None else size)


def _encryption(place: S3Place) -> dict[str, str]:
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": place.kms_key_id} if place.kms_key_id else {}


def _session_of_role(hook: OmicsHook, role_arn: str) -> boto3.session.Session:
    """Assume a role, now and whenever its credentials are about to expire."""
    sts = ServiceHook(hook, "sts").conn

    def assume() -> dict[str, str]:
        try:
            with service_errors("AssumeRole"):
                given = sts.assume_role(RoleArn=role_arn, RoleSessionName=_ROLE_SESSION_NAME)["Credentials"]
        except AccessDenied as error:
            advice = f"check_role_arn is {role_arn}: its trust policy must name the connection's identity as well."
            raise error.with_advice(advice) from error
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }

    session = get_session()
    # botocore has no public way to give a session credentials that renew themselves; the Amazon provider does the same.
    session._credentials = RefreshableCredentials.create_from_metadata(assume(), assume, "sts-assume-role")  # noqa: SLF001
    return boto3.session.Session(botocore_session=session, region_name=hook.conn_region_name)
