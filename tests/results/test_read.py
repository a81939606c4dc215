from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample
from airflow_provider_omics.core.errors import SettingsError, Unavailable
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import completed_chunks, read_batch_results
from airflow_provider_omics.results.file import SAMPLES, JsonLinesFile
from airflow_provider_omics.sheets import SampleSheet
from airflow_provider_omics.sheets.read import open_runs
from tests.airflow_support import BUCKET, ONE_TRY, quick_hook
from tests.connection_support import misses

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

ENDS = [RecordStatus.COMPLETED, RecordStatus.FAILED, RecordStatus.COMPLETED, RecordStatus.UNKNOWN]


def write(path: Path, count: int, **more: Any) -> list[RunRecord]:
    """Write a results file: every second sample completed."""
    records = [
        RunRecord(
            f"S{number}",
            f"{1000 + number}",
            None,
            ENDS[number % 4],
            output_uri=f"s3://out/{1000 + number}",
            row={"patient": f"P{number // 2}"},
            **more,
        )
        for number in range(count)
    ]
    text = "".join(json.dumps(record.to_json()) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return records


@pytest.mark.parametrize("name", ["wgs.jsonl", "wgs.jsonl.gz"])
def test_what_was_written_is_read(tmp_path: Path, name: str) -> None:
    """A record is read as it was written, outputs included."""
    records = write(tmp_path / name, 6, outputs={"wgs.bam": "s3://out/1.bam"})

    assert list(read_batch_results(str(tmp_path / name))) == records


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_chunks_cover_the_completed_samples(tmp_path: Path, size: int) -> None:
    """Every completed sample is in exactly one chunk, and no other sample is in any."""
    records = write(tmp_path / "wgs.jsonl", 11)

    chunks = completed_chunks(str(tmp_path / "wgs.jsonl"), size)

    read = [list(read_batch_results(**chunk)) for chunk in chunks]
    assert [len(chunk) for chunk in read[:-1]] == [size] * (len(read) - 1)
    assert list(chain.from_iterable(read)) == [record for record in records if record.status is RecordStatus.COMPLETED]
    assert json.loads(json.dumps(chunks)) == chunks  # they go through XCom


def test_chunk_of_samples_that_change(tmp_path: Path) -> None:
    """A sample that completes later gets into no chunk that was handed out; one that is no longer completed leaves."""
    path = tmp_path / "wgs.jsonl"
    records = write(path, 6)
    (chunk,) = completed_chunks(str(path))
    later = [replace(record, status=RecordStatus.COMPLETED) for record in records]
    later[4] = replace(records[4], status=RecordStatus.FAILED)

    path.write_text("".join(json.dumps(record.to_json()) + "\n" for record in later))

    assert [record.run_setting_id for record in read_batch_results(**chunk)] == ["S0", "S2"]
    assert chunk["skip_lines"] == "2,4"


def test_sample_of_two_workflows(tmp_path: Path) -> None:
    """Who asks for an id alone is told of both; the workflow tells them apart, in chunks as well."""
    path = tmp_path / "wgs.jsonl"
    one, other = (replace(record, run_setting_id="S0") for record in write(path, 3)[::2])
    both = [replace(one, workflow_id="1234567"), replace(other, workflow_id="7777777")]
    path.write_text("".join(json.dumps(record.to_json()) + "\n" for record in both))

    assert list(read_batch_results(str(path), run_setting_id="S0")) == both
    assert list(read_batch_results(str(path), run_setting_id="S0", workflow_id="7777777")) == both[1:]
    (chunk,) = completed_chunks(str(path), workflow_id="7777777")
    assert list(read_batch_results(**chunk)) == both[1:]


def test_lines_to_skip_that_are_none(tmp_path: Path) -> None:
    """What is no number of a line is refused."""
    write(tmp_path / "wgs.jsonl", 1)

    with pytest.raises(SettingsError, match="skip_lines = 'x': numbers of lines, as '3,7-9'"):
        list(read_batch_results(str(tmp_path / "wgs.jsonl"), skip_lines="x"))


def test_no_chunks_of_nothing(tmp_path: Path) -> None:
    """An empty results file has no chunks, and a mapped task over them is skipped."""
    (tmp_path / "wgs.jsonl").write_text("")

    assert completed_chunks(str(tmp_path / "wgs.jsonl")) == []


@pytest.mark.parametrize(
    ("size", "message"),
    [(0, "size = 0: a whole number, 1 or more"), (1, "size = 1: 2 or more: 2,000 samples, and Airflow maps at most")],
)
def test_chunks_that_airflow_cannot_map(tmp_path: Path, size: int, message: str) -> None:
    """A size that makes more chunks than Airflow maps is refused, with the size that does."""
    write(tmp_path / "wgs.jsonl", 4000)

    with pytest.raises(SettingsError, match=message):
        completed_chunks(str(tmp_path / "wgs.jsonl"), size)


def test_status_that_does_not_exist(tmp_path: Path) -> None:
    """A misspelt status is an error, not an empty answer."""
    write(tmp_path / "wgs.jsonl", 1)

    with pytest.raises(SettingsError, match="status = 'DONE': one of COMPLETED"):
        list(read_batch_results(str(tmp_path / "wgs.jsonl"), status="DONE"))


WRITTEN = gzip.compress(
    b"".join(b'{"run_setting_id": "S%d", "status": "COMPLETED"}\n' % number for number in range(2)), mtime=0
)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        pytest.param(b"sample,fastq\n", 1, id="a sheet"),
        pytest.param(b'{"sample": "S1"}\n', 1, id="other JSON Lines"),
        pytest.param(b'{"run_setting_id": "S1", "status": "COMPLETED"}\n[]\n', 2, id="a list"),
        pytest.param(b'{"run_setting_id": "S1", "status": "DONE"}\n', 1, id="a status that is none"),
        pytest.param(b'{"run_setting_id": 1, "status": "COMPLETED"}\n', 1, id="an id that is no text"),
        pytest.param(b'{"run_setting_id": "S1", "status": "COMPLETED", "message": {}}\n', 1, id="no text"),
        pytest.param(b'{"run_setting_id": "S1", "status": "COMPLETED", "attempt": "1"}\n', 1, id="no number"),
        pytest.param(b'{"run_setting_id": "\\ud800", "status": "COMPLETED"}\n', 1, id="half a character"),
        pytest.param(b'{"run_setting_id": "S1", "status": "COMPLETED", "outputs": ' + b"[" * 90_000, 1, id="an abyss"),
        pytest.param(b'{"run_setting_id": "\xfc"}\n', 1, id="not UTF-8"),
    ],
)
def test_file_that_is_no_results_file(tmp_path: Path, body: bytes, line: int) -> None:
    """Whatever else stands in a file is told with its line."""
    (tmp_path / "wgs.jsonl").write_bytes(body)

    with pytest.raises(SettingsError, match=f"line {line}: a results file") as raised:
        list(read_batch_results(str(tmp_path / "wgs.jsonl")))

    (problem,) = raised.value.problems
    assert problem.argument == str(tmp_path / "wgs.jsonl")
    assert "Restore an earlier version of it, or move it away" in problem.allowed


@pytest.mark.parametrize("body", [WRITTEN[:-12], WRITTEN[:10] + b"\x07" * 50], ids=["cut off", "no deflate"])
def test_damaged_file(emulator: OmicsEmulator, connect: Connect, tmp_path: Path, body: bytes) -> None:
    """A damaged file is told by its name, with what to do, read as a copy or by a task."""
    connect()
    (tmp_path / "wgs.jsonl.gz").write_bytes(body)
    s3 = emulator.client("s3")
    s3.put_object(Bucket=BUCKET, Key="wgs.jsonl.gz", Body=body)
    in_s3 = f"s3://{BUCKET}/wgs.jsonl.gz"
    file = JsonLinesFile(OmicsHook(), in_s3, None)

    with pytest.raises(SettingsError) as copied:
        list(read_batch_results(str(tmp_path / "wgs.jsonl.gz")))
    with pytest.raises(SettingsError) as read:
        list(file.read(RunRecord.from_json))
    with pytest.raises(SettingsError) as samples:
        list(file.read(Sample.from_json, SAMPLES))

    told = [raised.value.problems[0] for raised in (copied, read, samples)]
    assert [problem.argument for problem in told] == [str(tmp_path / "wgs.jsonl.gz"), in_s3, in_s3]
    assert ["Restore an earlier version" in problem.allowed for problem in told] == [True] * 3
    assert "rerun='all'" in told[2].allowed


def test_values_that_no_file_can_hold(tmp_path: Path) -> None:
    """A foreign file's bad value costs that value, and neither the record nor the file."""
    row = f'{{"a": NaN, "b": "x", "c": {"[" * 200 + "]" * 200}}}'
    line = f'{{"run_setting_id": "S1", "status": "COMPLETED", "row": {row}, "outputs": 1e999}}'
    (tmp_path / "wgs.jsonl").write_text(f"{line}\n")

    (record,) = read_batch_results(str(tmp_path / "wgs.jsonl"))

    assert (record.row, record.outputs) == ({"a": None, "b": "x", "c": None}, None)


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "/no/such/file"], ids=["NUL", "half a character", "missing"])
def test_path_that_is_none(path: str) -> None:
    """Whatever is wrong with a path is told by an error of the settings."""
    with pytest.raises(SettingsError, match="sheet path = "):
        list(read_batch_results(path))


def test_results_are_a_sheet(tmp_path: Path) -> None:
    """The next batch takes the results as its sheet: the completed samples, with their outputs and their rows."""
    write(tmp_path / "wgs.jsonl.gz", 5)
    sheet = {
        "path": str(tmp_path / "wgs.jsonl.gz"),
        "where": {"status": "COMPLETED"},
        "parameters": {"gvcf_dir": "{output_uri}", "patient": "{row.patient}"},
    }

    with open_runs(SampleSheet.from_mapping(sheet)) as runs:
        settings = [run.setting for run in runs]

    assert settings == [
        {"runSettingId": f"S{number}", "parameters": {"gvcf_dir": f"s3://out/{1000 + number}", "patient": f"P{pair}"}}
        for number, pair in ((0, 0), (2, 1), (4, 2))
    ]


def test_results_are_read_as_a_hook_does(
    emulator: OmicsEmulator, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a hook, S3 is reached with its connection and configuration, and Airflow is not asked for them again."""
    written = write(tmp_path / "wgs.jsonl", 3)
    body = (tmp_path / "wgs.jsonl").read_bytes()
    emulator.client("s3").put_object(Bucket=BUCKET, Key="wgs.jsonl", Body=body)
    proxied = OmicsHook(config={**ONE_TRY, "proxies": {"http": "http://127.0.0.1:9"}})
    hooks = [quick_hook(), proxied]
    assert not any(hook.misses_connection for hook in hooks)

    misses(monkeypatch)

    assert list(read_batch_results(f"s3://{BUCKET}/wgs.jsonl", hook=hooks[0])) == written
    with pytest.raises(Unavailable, match="GetObject: ProxyConnectionError"):
        list(read_batch_results(f"s3://{BUCKET}/wgs.jsonl", hook=proxied))
