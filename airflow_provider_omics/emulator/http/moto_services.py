"""moto's S3, CloudWatch Logs, EventBridge, SQS, STS and IAM, for clients and for the emulated HealthOmics.

moto keeps its state in process-wide backends: two emulators in one process, or an emulator beside ``mock_aws``, see
the same buckets. One lock surrounds every use of them.
"""

from __future__ import annotations

import hashlib
import re
import threading
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from moto.core.model_instances import model_data
from moto.events.models import events_backends
from moto.events.utils import EventTemplateParser
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.exceptions import MissingBucket
from moto.s3.models import FakeKey, S3Backend, s3_backends
from moto.sqs.models import sqs_backends
from moto.sts.models import sts_backends

from airflow_provider_omics.emulator.life.surroundings import StoredObject

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from moto.core.base_backend import BackendDict

#: moto's and LocalStack's own default, and the account of AWS's documentation.
DEFAULT_ACCOUNT = "123456789012"

#: The services that moto answers for, by the name in a request's signature. It knows more, but they want packages
#: that the extra does not install.
SERVICES = frozenset({"s3", "logs", "events", "sqs", "sts", "iam"})

_BACKENDS: tuple[BackendDict[Any], ...] = (
    s3_backends,
    logs_backends,
    events_backends,
    sqs_backends,
    sts_backends,
    iam_backends,
)
#: The owner of what the service keeps for itself, and its bucket.
_SERVICE_ACCOUNT, _SERVICE_BUCKET = "000000000000", "healthomics-emulator-definitions"
# moto's own has no account, which AWS sends.
EventTemplateParser.DEFAULT_EVENT_INPUT_TEMPLATE = (
    '{"version": "0", "id": "<id>", "detail-type": "<detail-type>", "source": "<source>", "account": "<account>", '
    '"time": <time>, "region": "<region>", "resources": <resources>, "detail": <detail>}'
)
# HealthOmics exists in this partition only (General Reference, HealthOmics endpoints).
_PARTITION = "aws"
# S3 User Guide, "General purpose bucket naming rules".
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class MotoServices:
    """The services beside HealthOmics; a :class:`~airflow_provider_omics.emulator.life.surroundings.Surroundings`."""

    def __init__(self) -> None:
        #: Where S3 answers.
        self.endpoint = "https://s3.us-east-1.amazonaws.com"
        self._lock = threading.RLock()
        self._application = DomainDispatcherApplication(create_backend_app)
        # moto lists its own folder at each request: a fifth of the time that an S3 call takes here.
        lookup = lru_cache(maxsize=64)(self._application.get_backend_for_host)
        self._application.get_backend_for_host = lookup  # type: ignore[method-assign]  # of the host alone

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request to one of :data:`SERVICES`, as WSGI application.

        :param environ: the request; a request without a signature is taken for one to S3.
        :param start_response: as in WSGI.
        :return: the body.
        """
        answer: Iterable[bytes]
        if "/sqs/" in environ.get("HTTP_AUTHORIZATION", ""):
            # ReceiveMessage waits up to 20 s inside moto; the others must not wait with it.
            answer = self._application(environ, start_response)
        else:
            with self._lock:
                answer = self._application(environ, start_response)
        return answer

    def account_of(self, access_key: str) -> str:
        """Return the account that an access key belongs to.

        :param access_key: an access key id.
        :return: the key itself when it is an account id (12 digits); the account of the role or user that moto's STS
            or IAM made it for; else :data:`DEFAULT_ACCOUNT`.
        """
        if len(access_key) == 12 and access_key.isdecimal():
            return access_key
        with self._lock:
            for account, backends in list(iam_backends.items()):
                if any(access_key in backend.access_keys for backend in list(backends.values())):
                    return account
        return DEFAULT_ACCOUNT

    def has_event_rules(self) -> bool:
        """Return whether any account has an EventBridge rule: without one, nothing receives an event."""
        with self._lock:
            return any(
                bus.rules
                for backends in list(events_backends.values())
                for backend in list(backends.values())
                for bus in list(backend.event_buses.values())
            )

    def create_bucket(self, account: str, region: str, bucket: str) -> None:
        """Create a bucket. One that exists already is no error.

        :param account: account id of the owner.
        :param region: region of the bucket.
        :param bucket: its name.
        :raises ValueError: S3 would not allow the name.
        """
        if not _BUCKET_NAME.fullmatch(bucket):
            raise ValueError(
                f"bucket {bucket!r}: a name has 3 to 63 lowercase letters, digits, dots and hyphens, "
                "and begins and ends with a letter or digit"
            )
        with self._lock:
            if bucket not in s3_backends.bucket_accounts:
                self._s3(account).create_bucket(bucket, region)

    def reset(self) -> None:
        """Forget everything in all accounts."""
        with self._lock:
            for backends in _BACKENDS:
                for account in list(backends.values()):
                    account.reset()
                backends.clear()
            # moto also lists whatever was ever made, for its dashboard: each object, each line of a log.
            for service in SERVICES:
                for model in model_data[service].values():
                    model.instances_tracked = []  # type: ignore[attr-defined]  # of moto's metaclass

    def read_object(self, account: str, region: str, bucket: str, key: str) -> StoredObject | None:
        """Read an object: see ``Surroundings``."""
        with self._lock:
            stored = self._object(account, bucket, key)
            return None if stored is None else StoredObject(stored.value, stored.etag)

    def object_etag(self, account: str, region: str, bucket: str, key: str) -> str | None:
        """Read an object's ETag: see ``Surroundings``."""
        with self._lock:
            stored = self._object(account, bucket, key)
            return None if stored is None else stored.etag

    def has_bucket(self, bucket: str) -> bool:
        """Return whether a bucket exists: see ``Surroundings``."""
        with self._lock:
            return bucket in s3_backends.bucket_accounts

    def put_object(
        self, account: str, region: str, bucket: str, key: str, body: bytes, time: datetime | None = None
    ) -> None:
        """Write an object: see ``Surroundings``."""
        with self._lock:
            if bucket in s3_backends.bucket_accounts:
                stored = self._s3(account).put_object(bucket, key, body)
                if time is not None:
                    stored.last_modified = time.replace(tzinfo=None)

    def publish(self, name: str, body: bytes) -> str:
        """Keep a file, and sign a URL of it: see ``Surroundings``."""
        self.create_bucket(_SERVICE_ACCOUNT, "us-east-1", _SERVICE_BUCKET)
        self.put_object(_SERVICE_ACCOUNT, "us-east-1", _SERVICE_BUCKET, name, body)
        # No signature is checked, and none could be: the model has 256 characters for the URL, and botocore's has more.
        signature = hashlib.sha256(name.encode()).hexdigest()
        return f"{self.endpoint}/{_SERVICE_BUCKET}/{name}?X-Amz-Expires=3600&X-Amz-Signature={signature}"

    def lacks_stream(self, account: str, region: str, group: str, stream: str) -> bool:
        """Return whether a log group exists, but not a stream of it.

        :param account: account id of the owner.
        :param region: region of the group.
        :param group: name of the group.
        :param stream: name of the stream.
        """
        with self._lock:
            groups = logs_backends[account][region].groups
            return group in groups and stream not in groups[group].streams

    def make_log_group(self, account: str, region: str, group: str, milliseconds: int) -> None:
        """Make a log group: see ``Surroundings``."""
        with self._lock:
            backend = logs_backends[account][region]
            if group not in backend.groups:
                backend.ensure_log_group(group)
                backend.groups[group].creation_time = _to_naive_datetime(milliseconds)

    def put_log_events(
        self, account: str, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]
    ) -> None:
        """Append log events: see ``Surroundings``."""
        with self._lock:
            backend = logs_backends[account][region]
            first, last = (_to_naive_datetime(events[place][0]) for place in (0, -1))
            self.make_log_group(account, region, group, events[0][0])
            if stream not in backend.groups[group].streams:
                backend.ensure_log_stream(group, stream)
                backend.groups[group].streams[stream].creation_time = first
            # Not by the backend's own method: it drops what is older than 14 days or in the future by the wall
            # clock, and the emulator's clock goes its own way.
            backend.groups[group].put_log_events(
                stream, [{"timestamp": milliseconds, "message": text} for milliseconds, text in events]
            )
            backend.groups[group].streams[stream].last_ingestion_time = last

    def put_event(
        self, account: str, region: str, detail_type: str, detail: dict[str, Any], resources: list[str], time: datetime
    ) -> None:
        """Put an event on the default bus: see ``Surroundings``."""
        with self._lock:
            bus = events_backends[account][region].describe_event_bus("default")
            message: Any = {
                "version": "0",
                "id": str(uuid.uuid4()),
                "detail-type": detail_type,
                "source": "aws.omics",
                "account": account,
                # moto wants seconds here: its targets format them.
                "time": time.timestamp(),
                "region": region,
                "resources": resources,
                "detail": detail,
            }
            for rule in list(bus.rules.values()):
                # Not by the backend's own method: it makes each event of a template, by searches in it that take 15 ms.
                if any("InputTransformer" in target for target in rule.targets):
                    transformed: Any = {**message, "ingestion-time": time.timestamp()}
                    rule.send_to_targets(transformed)
                else:
                    rule.send_to_targets(message, transform_input=False)

    def _s3(self, account: str) -> S3Backend:
        backend: S3Backend = s3_backends[account][_PARTITION]
        return backend

    def _object(self, account: str, bucket: str, key: str) -> FakeKey | None:
        try:
            return self._s3(account).get_object(bucket, key)
        except MissingBucket:
            return None


def _to_naive_datetime(milliseconds: int) -> datetime:
    """Turn a time into moto's form of it: UTC without saying so."""
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).replace(tzinfo=None)
