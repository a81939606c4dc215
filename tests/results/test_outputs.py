"""What is read of a run's outputs, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import outputs
from airflow_provider_omics.results.outputs import SUMMARIES, OutputsReader

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator


@pytest.mark.usefixtures("omics_connection")
@pytest.mark.parametrize(
    ("uri", "summary", "expected"),
    [
        pytest.param(None, b"{}", None, id="no place"),
        pytest.param("s3://results/1", b'{"bam": 1}', {"bam": 1}, id="summary"),
        pytest.param("s3://results/1/", b"{", None, id="no JSON"),
        pytest.param("s3://results/1", b'{"bam": "%s"}' % (b"x" * 100), None, id="too large"),
        pytest.param("s3://results/1", None, [], id="nothing there"),
    ],
)
def test_read(
    omics_emulator: OmicsEmulator,
    monkeypatch: pytest.MonkeyPatch,
    uri: str | None,
    summary: bytes | None,
    expected: Any,
) -> None:
    """A summary is read if it is JSON and not too large; without one, objects are listed."""
    monkeypatch.setattr(outputs, "MAX_SUMMARY_BYTES", 100)
    s3 = omics_emulator.client("s3")
    s3.create_bucket(Bucket="results")
    if summary is not None:
        s3.put_object(Bucket="results", Key=f"1/{SUMMARIES[0]}", Body=summary)

    read = OutputsReader(OmicsHook()).read(RunSnapshot("1", "COMPLETED", run_output_uri=uri))

    assert read == expected
