from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.sheets import json_array as module
from airflow_provider_omics.sheets.json_array import json_array

OBJECTS = st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans()), max_size=3)


class Slow(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(3)


@given(st.lists(OBJECTS, max_size=5), st.sampled_from([None, 2]), st.booleans())
def test_what_was_written_is_read(elements: list[dict[str, Any]], indent: int | None, ascii_only: bool) -> None:
    """Whatever stands in the array, and wherever the pieces of it end."""
    body = json.dumps(elements, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    assert list(json_array(Slow(body), "x")) == elements
    assert list(json_array(io.BytesIO(b"\xef\xbb\xbf " + body + b"\n"), "x")) == elements


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ("", 0),
        ("{}", 0),
        ("[", 0),
        ("[{}", 0),
        ("[{},", 1),
        ("[{} {}]", 1),
        ("[{},]", 1),
        ("[{}, nonsense]", 1),
        ("[,]", 0),
    ],
)
def test_what_is_no_array(body: str, good: int) -> None:
    """The error names the place, and says how far all was well."""
    with pytest.raises(SettingsError, match=f"s3://b/k = no JSON after element {good}"):
        list(json_array(io.BytesIO(body.encode()), "s3://b/k"))


def test_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something endless is given up, long before it fills the memory."""
    monkeypatch.setattr(module, "LONGEST_ELEMENT", 10)
    stream = io.BytesIO(b'["' + b"x" * 1_000_000)

    with pytest.raises(SettingsError):
        list(json_array(stream, "x"))

    assert stream.tell() <= module.CHUNK
