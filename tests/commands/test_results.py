"""``python -m airflow_provider_omics results``: what a script and a person read of a results file."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.__main__ import main
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator

RECORDS = [
    RunRecord(
        "NA12878",
        "10000001",
        "u-1",
        RecordStatus.COMPLETED,
        output_uri="s3://omics-results/10000001",
        started_at="2026-01-01T00:00:00+00:00",
        stopped_at="2026-01-01T01:12:00+00:00",
        attempt=1,
        batch_id="2000001",
    ),
    RunRecord(
        "NA12891",
        "10000002",
        "u-2",
        RecordStatus.FAILED,
        failure_reason="RUN_TASK_FAILED",
        cause="OUT_OF_MEMORY_ERROR in ALIGN",
        message="A task\tfailed,\nand the run.",
        attempt=2,
    ),
    RunRecord("NA12892", None, None, RecordStatus.NOT_SUBMITTED),
    RunRecord("HG002", None, None, RecordStatus.REMOVED),
]
LINES = "".join(json.dumps(record.to_json()) + "\n" for record in RECORDS)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A results file with one sample of several kinds."""
    path = tmp_path / "batch.jsonl.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    return str(path)


def test_table(file: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A line for each sample, its output or why there is none; the counts beside it."""
    assert main(["results", file]) == 0

    printed = capfd.readouterr()
    assert [line.rstrip() for line in printed.out.splitlines()] == [
        "sample   run id    status         attempt  minutes  output, or why it failed",
        "NA12878  10000001  COMPLETED      1        72       s3://omics-results/10000001",
        "NA12891  10000002  FAILED         2                 OUT_OF_MEMORY_ERROR in ALIGN: A task failed, and the run.",
        "NA12892            NOT_SUBMITTED",
        "HG002              REMOVED",
    ]
    assert printed.err.splitlines()[-1] == "4 samples: 1 COMPLETED, 1 FAILED, 1 NOT_SUBMITTED, 1 REMOVED"


@pytest.mark.parametrize(("kept", "status"), [(RECORDS, 3), (RECORDS[:1], 0)], ids=["some failed", "none failed"])
def test_failed(tmp_path: Path, kept: list[RunRecord], status: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Only what did not complete is printed; the exit status says whether there is any."""
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(record.to_json()) + "\n" for record in kept))

    assert main(["results", str(tmp_path / "r.jsonl"), "--failed", "--json"]) == status

    names = [record["run_setting_id"] for record in json.loads(capfd.readouterr().out)]
    assert names == (["NA12891", "NA12892"] if status else [])


def test_json_is_the_records(file: str, capfd: pytest.CaptureFixture[str]) -> None:
    """JSON holds all that the file holds."""
    assert main(["results", file, "--json"]) == 0

    assert [RunRecord.from_json(each) for each in json.loads(capfd.readouterr().out)] == RECORDS


def test_tsv(file: str, capfd: pytest.CaptureFixture[str]) -> None:
    """TSV has a line of headings, and quotes a value with a tab or an end of line in it."""
    assert main(["results", file, "--tsv"]) == 0

    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out, newline=""), delimiter="\t"))
    assert [row["run_setting_id"] for row in rows] == ["NA12878", "NA12891", "NA12892", "HG002"]
    assert (rows[1]["message"], rows[2]["run_id"]) == (RECORDS[1].message, "")


def test_from_s3(
    omics_emulator: OmicsEmulator, omics_connection: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """A URI is read by the connection, and what Airflow logs stays out of what a script reads."""
    omics_emulator.client("s3").put_object(Bucket="omics-results", Key="r/batch.jsonl", Body=LINES.encode())

    assert main(["results", "s3://omics-results/r/batch.jsonl", "--json"]) == 0

    assert len(json.loads(capfd.readouterr().out)) == len(RECORDS)


@pytest.mark.parametrize(
    ("text", "told"), [(None, "No such file"), ("sample,reads\n", "line 1"), (LINES + "{", "line 5")]
)
def test_unreadable(tmp_path: Path, text: str | None, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What is no results file ends with 1 and a reason, and nothing is printed of it."""
    path = tmp_path / "batch.jsonl"
    if text is not None:
        path.write_text(text)

    assert main(["results", str(path)]) == 1

    printed = capfd.readouterr()
    assert printed.out == ""
    assert told in printed.err


def test_one_form(file: str, capfd: pytest.CaptureFixture[str]) -> None:
    """TSV and JSON at once is a wrong command line."""
    with pytest.raises(SystemExit) as caught:
        main(["results", file, "--tsv", "--json"])

    assert caught.value.code == 2
    assert "not allowed with" in capfd.readouterr().err
