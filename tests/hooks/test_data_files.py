"""What is read of botocore's data files, and how little of their text is in memory meanwhile."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import botocore
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_omics.hooks import data_files
from airflow_provider_omics.hooks.data_files import Document, LeanFiles

DATA = Path(botocore.__file__).parent / "data"

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


class Bits(io.StringIO):
    """A file that gives a few characters at a time."""

    def __init__(self, text: str, size: int) -> None:
        super().__init__(text)
        self._bits = size

    def read(self, size: int | None = -1) -> str:
        return super().read(self._bits)


def without_documentation(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: without_documentation(member)
            for name, member in value.items()
            if name != "documentation" or not isinstance(member, str)
        }
    return [without_documentation(item) for item in value] if isinstance(value, list) else value


@given(
    value=values,
    size=st.integers(1, 12),
    depth=st.integers(0, 4),
    indent=st.sampled_from([None, 0, 2, "\t"]),
    is_ascii=st.booleans(),
)
@example(value=0.0, size=1, depth=0, indent=None, is_ascii=True)
@example(value=[12345, -1.5e300], size=1, depth=0, indent=None, is_ascii=True)
@example(value={"a": "\U0001f9ec"}, size=3, depth=1, indent=None, is_ascii=True)
@example(
    value={"documentation": "text", "b": {"documentation": {"documentation": "text"}}},
    size=5,
    depth=1,
    indent=2,
    is_ascii=True,
)
def test_pieces_make_no_difference(value: Any, size: int, depth: int, indent: Any, is_ascii: bool) -> None:
    """Wherever a piece ends, and however deep it is read member by member, a document has its values and order."""
    text = json.dumps(value, indent=indent, ensure_ascii=is_ascii)

    read = Document(Bits(text, size)).read(depth)

    assert json.dumps(read) == json.dumps(without_documentation(value))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_members_that_are_kept(size: int) -> None:
    """Of an object of the name, wherever it stands above the depth; the order stays."""
    document = {
        "partitions": [{"services": {"s3": {"a": [1]}, "sts": {"b": 2}, "ec2": "}", "iam": 1}, "regions": {"s3": 1}}]
    }

    read = Document(Bits(json.dumps(document), size), only={"services": {"iam", "sts"}}).read(depth=4)

    assert read == {"partitions": [{"services": {"sts": {"b": 2}, "iam": 1}, "regions": {"s3": 1}}]}
    assert [*read["partitions"][0]["services"]] == ["sts", "iam"]


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize(
    "text", ["", "  ", "{", '{"a"', '{"a" 1}', '{"a":', '{"a": 1', '{"a": 1 "b": 2}', "[1 2]", "[1", "{]", '{"a": tru}']
)
def test_broken_document(text: str, depth: int) -> None:
    """It is refused as the json module refuses it."""
    with pytest.raises(json.JSONDecodeError):
        Document(Bits(text, 2)).read(depth)


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
def test_file_with_either_suffix(tmp_path: Path, suffix: str) -> None:
    """Most of botocore's files are compressed."""
    data = json.dumps({"metadata": {"name": "é"}, "documentation": "text"}, ensure_ascii=False).encode()
    (tmp_path / f"service-2{suffix}").write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)

    assert LeanFiles().load_file(str(tmp_path / "service-2")) == {"metadata": {"name": "é"}}


@pytest.mark.parametrize("name", ["omics/2022-11-28/service-2", "endpoints"])
def test_text_is_not_in_memory_at_once(name: str) -> None:
    """While a file is read, hardly more memory is in use than its data take in the end."""
    LeanFiles().load_file(str(DATA / name))  # what is imported and cached stays out of the figures
    tracemalloc.start()
    try:
        data = LeanFiles().load_file(str(DATA / name))
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert data
    # Beside the pieces, the buffers of Python's own files: 128 KiB each since 3.14, 8 before.
    assert peak - left < 16 * data_files.PIECE + 2 * io.DEFAULT_BUFFER_SIZE
