"""URIs: S3 addresses taken apart, and whether a parameter of a run that looks like a URI is well formed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from airflow_provider_omics.core.errors import show_value
from airflow_provider_omics.core.settings.documents import Fault

S3_SCHEME = "s3://"

# The ARN of an access point has a slash within (S3 user guide, "Referencing access points").
_ARN = re.compile(r"(arn:[^/]+/[^/]+)/?(.*)", re.DOTALL)
_MEANT = ("s3:/", "s3//", "omics:/", "omics//", "http:/", "https:/")
_LONGEST = max(map(len, _MEANT)) + 8  # white space before it counts as a mistake
# Buckets from before 2018 may have upper case, underscores and up to 255 characters; an access point is an ARN.
_WELL_FORMED = re.compile(
    r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]|arn:[^/\s]+)(/.*\S|/)?"
    r"|omics://[^/\s]+/\S+"
    r"|https?://[^/\s]+(/\S*)?"
)
_BUCKET = re.compile(r"s3://([^/\s]+)(/|$)")
SHORTEST_BUCKET = 3
"""Characters of a bucket's name (S3 user guide, "General purpose bucket naming rules")."""
_ALLOWED = (
    "s3://bucket/key, omics://account.storage.region.amazonaws.com/... or https://host/...; no white space around it"
)


# Addresses that a run of HealthOmics cannot read, by what they are.
_ELSEWHERE = {
    "S3 addresses of other tools (s3a://, s3n://): HealthOmics takes s3://": re.compile(r"s3[an]://", re.IGNORECASE),
    "S3 addresses as ARN (arn:aws:s3:::...): HealthOmics takes s3://bucket/key": re.compile(r"arn:[\w-]+:s3:::."),
    "S3 addresses of the web: HealthOmics takes s3://bucket/key": re.compile(
        r"https?://([^/]+\.)?s3(express)?([.-][a-z0-9-]+)*\.amazonaws\.com(\.cn)?(/|$)", re.IGNORECASE
    ),
    "addresses of other stores (gs://, az://, ...): HealthOmics cannot read them": re.compile(
        r"(gs|gcs|az|abfss?|wasbs?|adls?|oss|drs|ftps?|sftp|hdfs|dbfs|dx|file|icav?2?|nfs)://", re.IGNORECASE
    ),
    "local paths: a run sees none of this machine's": re.compile(r"(/[\w.@+-]+){2,}/?|[A-Za-z]:\\.+|~/.+"),
}


class S3Address(NamedTuple):
    """A bucket in S3, and a key or the beginning of keys in it.

    :param bucket: name of the bucket, or ARN of an access point.
    :param key: without the slash that follows the bucket; may be empty.
    """

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """The address as ``s3://bucket/key``."""
        return f"{S3_SCHEME}{self.bucket}/{self.key}"


def is_s3_uri(text: str) -> bool:
    """Tell S3 URIs from local paths and other addresses.

    :param text: a path or a URI.
    :return: whether it begins with ``s3://``; the rest is not looked at.
    """
    return text.startswith(S3_SCHEME)


def unreadable_kind(text: str) -> str | None:
    """Tell addresses that a run cannot read.

    :param text: any value of a parameter.
    :return: what it is and what HealthOmics takes, for many of its kind; None: it is something else.
    """
    if ":" not in text[:20] and text[:1] not in ("/", "~"):
        return None
    return next((kind for kind, form in _ELSEWHERE.items() if form.match(text)), None)


def s3_address(uri: str) -> S3Address:
    """Take an S3 URI apart; it is not checked.

    :param uri: ``s3://bucket/key``; the bucket may be the ARN of an access point.
    :return: bucket and key, either of them empty where the URI has none.
    """
    path = uri.removeprefix(S3_SCHEME)
    arn = _ARN.fullmatch(path)
    bucket, key = (arn[1], arn[2]) if arn else path.partition("/")[::2]
    return S3Address(bucket, key)


def s3_uris(document: Any) -> Iterator[str]:
    """Find the S3 addresses within a document.

    :param document: parameters, settings, or one URI.
    :return: each text that is one, as often as it occurs.
    """
    if isinstance(document, str):
        if is_s3_uri(document) and _WELL_FORMED.fullmatch(document):
            yield document
        return
    items = document.values() if isinstance(document, dict) else document if isinstance(document, (list, tuple)) else ()
    for item in items:
        yield from s3_uris(item)


def uri_faults(parameters: Any) -> list[Fault]:
    """Find texts that are meant as a URI of an input and are none.

    :param parameters: the parameters of a run.
    :return: one fault for each, with the text, shortened: a place is shown, not a value.
    """
    faults: list[Fault] = []
    _look(parameters, "", faults)
    return faults


def _look(value: Any, path: str, faults: list[Fault]) -> None:
    if isinstance(value, str):
        if _is_malformed(value):
            faults.append(Fault(path, show_value(value), _allowed(value)))
    elif isinstance(value, dict):
        for key, item in value.items():
            # The usual case, good text, is decided here: a path costs more than the check.
            if type(item) is not str or _is_malformed(item):
                _look(item, f"{path}[{key!r}]", faults)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            if type(item) is not str or _is_malformed(item):
                _look(item, f"{path}[{position}]", faults)


def _is_malformed(text: str) -> bool:
    return text[:_LONGEST].lstrip().lower().startswith(_MEANT) and (
        not _WELL_FORMED.fullmatch(text) or not (text.isascii() or text.isprintable() or not _invisible(text))
    )


def _invisible(text: str) -> str | None:
    """Find a character that nobody sees: a zero-width space, a mark of the writing direction, but no space."""
    return next((letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf")), None)


def _allowed(text: str) -> str:
    if letter := _invisible(text):
        return f"a URI without invisible characters: this one has {ascii(letter)[1:-1]}"
    bucket = _BUCKET.match(text)
    if bucket and len(bucket[1]) < SHORTEST_BUCKET:
        return f"s3://bucket/key; the name of a bucket has {SHORTEST_BUCKET} characters at least"
    return _ALLOWED
