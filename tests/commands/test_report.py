"""``python -m airflow_provider_omics report``: the page of a batch, from its results file alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.__main__ import main
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from tests.reports.markup import parsed

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator

ARN = "arn:aws:omics:eu-west-1:123456789012:run/10000002"
RECORDS = [
    RunRecord("NA12878", "10000001", "u-1", RecordStatus.COMPLETED, dag_id="wgs", task_id="cohort"),
    RunRecord(
        "NA12891",
        "10000002",
        "u-2",
        RecordStatus.FAILED,
        failure_reason="RUN_TASK_FAILED",
        message="<b>exit 137</b>",
        run_arn=ARN,
    ),
    RunRecord("HG002", None, None, RecordStatus.REMOVED),
]
LINES = "".join(json.dumps(record.to_json()) + "\n" for record in RECORDS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A results file: one sample completed, one failed, one has left the sheet."""
    path = tmp_path / "batch.jsonl"
    path.write_text(LINES)
    return path


def test_page(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It has the task's name, the samples that count, the cause, and links into the Region of the runs."""
    assert main(["report", str(file)]) == 0

    page = capfd.readouterr().out
    parsed(page)
    assert "wgs / cohort" in page
    assert "NA12891" in page
    assert "1 of 2" in page
    assert "&lt;b&gt;exit 137&lt;/b&gt;" in page
    assert "https://console.aws.amazon.com/omics/home?region=eu-west-1#/runs/10000002" in page


def test_masked(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With ``--mask`` it has no message of AWS's; ``--region`` decides about the links."""
    assert main(["report", str(file), "--mask", "--region", "us-west-2"]) == 0

    page = capfd.readouterr().out
    assert "exit 137" not in page
    assert "region=us-west-2#/runs/10000002" in page


@pytest.mark.usefixtures("omics_connection")
def test_from_s3_into_a_file(omics_emulator: OmicsEmulator, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The file may lie in S3, and the page goes where it is asked for, whole."""
    omics_emulator.client("s3").create_bucket(Bucket="results")
    omics_emulator.client("s3").put_object(Bucket="results", Key="b.jsonl", Body=LINES.encode())

    assert main(["report", "s3://results/b.jsonl", "-o", str(tmp_path / "report.html")]) == 0

    assert "NA12891" in (tmp_path / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("uri", "output", "told"),
    [("no-such.jsonl", "report.html", "no-such.jsonl"), ("batch.jsonl", "no/folder.html", "was not written")],
)
def test_errors(
    file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], uri: str, output: str, told: str
) -> None:
    """A file that cannot be read, and a page that cannot be written, are told, and end with 1."""
    monkeypatch.chdir(file.parent)

    assert main(["report", uri, "-o", output]) == 1

    assert told in capfd.readouterr().err
    assert [path.name for path in file.parent.iterdir()] == ["batch.jsonl"]
