"""S3 addresses, taken apart and put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.uris import S3Address, is_s3_uri, s3_address, s3_uris

ARN = "arn:aws:s3:us-east-1:123456789012:accesspoint/reads"
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,30}[a-z0-9]", fullmatch=True) | st.just(ARN)


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        ("s3://reads/a/b.bam", "reads", "a/b.bam"),
        ("s3://reads/a/", "reads", "a/"),
        ("s3://reads/", "reads", ""),
        ("s3://reads", "reads", ""),
        ("s3:///a", "", "a"),
        ("s3://", "", ""),
        ("s3://reads//a", "reads", "/a"),
        ("s3://reads/a#b?c%20 d", "reads", "a#b?c%20 d"),
        ("s3://reads/line\nend", "reads", "line\nend"),
        (f"s3://{ARN}/a/b.bam", ARN, "a/b.bam"),
        (f"s3://{ARN}", ARN, ""),
    ],
)
def test_an_address_is_taken_apart(uri: str, bucket: str, key: str) -> None:
    """Bucket and key are those that S3 takes: nothing is decoded, and an access point keeps the slash in its ARN."""
    assert s3_address(uri) == S3Address(bucket, key)


@given(BUCKETS, st.text())
def test_an_address_survives_its_uri(bucket: str, key: str) -> None:
    """An address that was put together is taken apart to the same one, whatever the key."""
    address = S3Address(bucket, key)

    assert is_s3_uri(address.uri)
    assert s3_address(address.uri) == address


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("s3://", True), ("s3://reads", True), ("s3:/reads", False), ("S3://reads", False), ("a", False)],
)
def test_an_s3_uri_is_told_by_its_beginning(text: str, is_one: bool) -> None:
    """Local paths, other addresses and slips are none."""
    assert is_s3_uri(text) is is_one


def test_addresses_in_a_document() -> None:
    """Each well-formed address is found, however deep it stands, as often as it occurs."""
    document = {
        "a": ["s3://reads/1", ("s3://reads/1", "s3:/no")],
        "b": {"c": f"s3://{ARN}/x"},
        "d": 1,
        "e": "s3://a b/",
    }

    assert list(s3_uris(document)) == ["s3://reads/1", "s3://reads/1", f"s3://{ARN}/x"]
