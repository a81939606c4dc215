"""Definitions: the same files are the same archive and the same digest."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.release.definition import LARGEST_DEFINITION, archive, check_size, digest_of_files

FILES = st.dictionaries(
    st.from_regex(r"[a-z]{1,6}(/[a-z]{1,6})?\.wdl", fullmatch=True), st.binary(max_size=50), min_size=1
)


@given(FILES)
def test_the_order_of_files_does_not_count(files: dict[str, bytes]) -> None:
    """Nor does the file system that lists them."""
    other = dict(reversed(files.items()))

    assert archive(files) == archive(other)
    assert digest_of_files(files) == digest_of_files(other)


@given(FILES)
def test_an_archive_holds_the_files(files: dict[str, bytes]) -> None:
    """With their contents, and without the time at which they were packed."""
    with zipfile.ZipFile(io.BytesIO(archive(files))) as packed:
        assert {info.filename: packed.read(info) for info in packed.infolist()} == files
        assert {info.date_time for info in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@given(FILES, FILES)
def test_other_files_have_another_digest(one: dict[str, bytes], two: dict[str, bytes]) -> None:
    """Names count as well as contents."""
    assert (digest_of_files(one) == digest_of_files(two)) is (one == two)


@pytest.mark.parametrize(
    ("sizes", "named"),
    [({}, "at least one file"), ({"main.wdl": 10, "reads.bam": LARGEST_DEFINITION}, "reads.bam (200,000,000)")],
)
def test_data_are_no_definition(sizes: dict[str, int], named: str) -> None:
    """The error names what is too large."""
    with pytest.raises(SettingsError) as caught:
        check_size(sizes, "here")

    assert named in str(caught.value)
