"""The services that HealthOmics reads from and writes to: S3, CloudWatch Logs, EventBridge."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol


@dataclass(frozen=True)
class StoredObject:
    """An object in S3.

    :param body: its bytes.
    :param etag: its ETag, with or without quotes; only compared.
    """

    body: bytes
    etag: str


class Surroundings(Protocol):
    """The services beside HealthOmics, called under its lock: they must not call it back.

    Each method takes the caller's ``account`` id and ``region`` name; an object has a ``bucket`` and a ``key``.
    """

    def read_object(self, account: str, region: str, bucket: str, key: str) -> StoredObject | None:
        """Read an object; None when the bucket or the object does not exist."""
        ...

    def object_etag(self, account: str, region: str, bucket: str, key: str) -> str | None:
        """Read an object's ETag; None when the bucket or the object does not exist."""
        ...

    def has_bucket(self, bucket: str) -> bool:
        """Return whether a bucket exists, whoever owns it."""
        ...

    def put_object(
        self, account: str, region: str, bucket: str, key: str, body: bytes, time: datetime | None = None
    ) -> None:
        """Write an object, modified at a time (default: now). A bucket that does not exist: nothing is written."""
        ...

    def publish(self, name: str, body: bytes) -> str:
        """Keep a file in a bucket of the service's own; returns a presigned URL of it."""
        ...

    def make_log_group(self, account: str, region: str, group: str, milliseconds: int) -> None:
        """Make a log group, created at a time (milliseconds since the epoch), unless it exists."""
        ...

    def put_log_events(
        self, account: str, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]
    ) -> None:
        """Append events (milliseconds since the epoch, text; oldest first), making group and stream as needed."""
        ...

    def has_event_rules(self) -> bool:
        """Return whether anybody may receive an event."""
        ...

    def put_event(
        self, account: str, region: str, detail_type: str, detail: dict[str, Any], resources: list[str], time: datetime
    ) -> None:
        """Put an event with source ``aws.omics`` on the default bus."""
        ...


class RecordedEvent(NamedTuple):
    """An event as :class:`MemorySurroundings` keeps it."""

    account: str
    region: str
    detail_type: str
    detail: dict[str, Any]
    resources: list[str]
    time: datetime


class MemorySurroundings:
    """Surroundings in memory, for tests without S3, Logs and EventBridge."""

    def __init__(self) -> None:
        #: (account, bucket, key) -> object
        self.objects: dict[tuple[str, str, str], StoredObject] = {}
        #: (account, region, group, stream) -> events
        self.streams: dict[tuple[str, str, str, str], list[tuple[int, str]]] = defaultdict(list)
        self.events: list[RecordedEvent] = []
        #: name -> file
        self.published: dict[str, bytes] = {}

    def read_object(self, account: str, region: str, bucket: str, key: str) -> StoredObject | None:
        """Read an object: see :class:`Surroundings`."""
        return self.objects.get((account, bucket, key))

    def object_etag(self, account: str, region: str, bucket: str, key: str) -> str | None:
        """Read an ETag: see :class:`Surroundings`."""
        stored = self.objects.get((account, bucket, key))
        return None if stored is None else stored.etag

    def has_bucket(self, bucket: str) -> bool:
        """Return True: every bucket exists here."""
        return True

    def publish(self, name: str, body: bytes) -> str:
        """Keep a file: see :class:`Surroundings`."""
        self.published[name] = body
        return f"https://healthomics.example/{name}"

    def put_object(
        self, account: str, region: str, bucket: str, key: str, body: bytes, time: datetime | None = None
    ) -> None:
        """Write an object."""
        # S3's ETag of an object put in one part is its MD5.
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.objects[account, bucket, key] = StoredObject(body, etag)

    def make_log_group(self, account: str, region: str, group: str, milliseconds: int) -> None:
        """Do nothing: see :class:`Surroundings`."""

    def put_log_events(
        self, account: str, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]
    ) -> None:
        """Append log events: see :class:`Surroundings`."""
        self.streams[account, region, group, stream].extend(events)

    def has_event_rules(self) -> bool:
        """Return True: a test may ask for the events."""
        return True

    def put_event(
        self, account: str, region: str, detail_type: str, detail: dict[str, Any], resources: list[str], time: datetime
    ) -> None:
        """Keep an event: see :class:`Surroundings`."""
        self.events.append(RecordedEvent(account, region, detail_type, detail, resources, time))
