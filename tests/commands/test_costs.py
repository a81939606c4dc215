"""``python -m airflow_provider_omics costs``: what a team spent, from the results files of a place."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.__main__ import main
from tests.airflow_support import BUCKET, connect, emulator, running_emulator
from tests.core.cost.manifests import RATES, run_object, task_object

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

__all__ = ["connect", "emulator", "running_emulator"]


def record(name: str, run: str | None, usd: float | None, **members: Any) -> dict[str, Any]:
    return {
        "run_setting_id": name,
        "run_id": run,
        "run_uuid": run,
        "status": "COMPLETED",
        "stopped_at": "2026-11-03T10:00:00+00:00",
        "dag_id": "cohort",
        "cost_usd": usd,
        "prices_as_of": "2026-11-01",
        "row": {"centre": "A"},
        **members,
    }


FAILED = {"run_uuid": "u0", "status": "FAILED", "cost_usd": 1.0, "stopped_at": "2026-10-31T23:00:00+00:00"}
ONE = [
    record("s1", "u1", 2.0, earlier_runs=[FAILED]),
    record("s2", "u2", None, cost_unknown=["no manifest"]),
    record("s3", None, None, status="NOT_SUBMITTED", stopped_at=None, batch_created_at="2026-11-02T10:00:00+00:00"),
]
TWO = [
    record("s1", "u1", 2.0, row={"centre": "B"}),  # carried forward: another file has it
    record("s4", "u4", 0.5, status="FAILED", row={"centre": "B"}, dag_id="other", prices_as_of="2026-11-08"),
    record("s5", "u5", 3.25, stopped_at="2026-12-01T00:00:00+00:00", row={}),
]


def packed(records: list[dict[str, Any]]) -> bytes:
    return gzip.compress("".join(json.dumps(each) + "\n" for each in records).encode())


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Two results files, with what lies beside them."""
    files = {
        "cohort/run1/wgs.jsonl.gz": packed(ONE),
        "cohort/run1/wgs/usage/u1.jsonl.gz": packed([{"run_id": "1"}]),
        "cohort/run1/wgs/r1.samples.jsonl.gz": packed([{"run_setting_id": "s1"}]),
        "cohort/run1/wgs/ledger.jsonl.gz": packed([{"some": "thing"}]),
        "cohort/run1/wgs/sizing.json": b"{}",
        "other/run2/wgs.jsonl": gzip.decompress(packed(TWO)),
    }
    for name, body in files.items():
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return str(tmp_path / "results")


def table(capfd: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[dict[str, str]]:
    assert main(["costs", *arguments, "--csv"]) == status
    return list(csv.DictReader(io.StringIO(capfd.readouterr().out)))


def test_sums(place: str, capfd: pytest.CaptureFixture[str]) -> None:
    """All attempts count, a run in two files once, and a run without a price is in no sum."""
    assert table(capfd, place) == [
        {
            "dag_id": "cohort",
            "samples": "4",
            "attempts": "4",
            "failed_usd": "1.000000",
            "total_usd": "6.250000",
            "unpriced_runs": "1",
            "prices_as_of": "2026-11-01",
        },
        {
            "dag_id": "other",
            "samples": "1",
            "attempts": "1",
            "failed_usd": "0.500000",
            "total_usd": "0.500000",
            "unpriced_runs": "0",
            "prices_as_of": "2026-11-08",
        },
    ]


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("row.centre", {"A": "3.000000", "B": "0.500000", "": "3.250000"}),
        ("status", {"COMPLETED": "5.250000", "FAILED": "1.500000", "NOT_SUBMITTED": "0.000000"}),
        ("run_setting_id", {"s1": "3.000000", "s2": "0.000000", "s3": "0.000000", "s4": "0.500000", "s5": "3.250000"}),
    ],
)
def test_groups(place: str, capfd: pytest.CaptureFixture[str], by: str, groups: dict[str, str]) -> None:
    """By a member of the record, or a column of the sheet; a failed attempt has a status of its own."""
    assert {row[by]: row["total_usd"] for row in table(capfd, place, "--by", by)} == groups


@pytest.mark.parametrize(("month", "usd"), [("2026-10", 1.0), ("2026-11", 2.5), ("2026-12", 3.25), ("2025-01", 0.0)])
def test_months(place: str, capfd: pytest.CaptureFixture[str], month: str, usd: float) -> None:
    """A run counts in the month in which it ended."""
    rows = table(capfd, place, "--month", month)

    assert sum(float(row["total_usd"]) for row in rows) == pytest.approx(usd)


def test_for_people(place: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A table with a total; what it does not hold stands beside it."""
    assert main(["costs", place, "--by", "row.centre", "--month", "2026-11"]) == 0

    printed = capfd.readouterr()
    assert printed.out.splitlines() == [
        "row.centre  samples  attempts  failed USD  total USD  runs without a price              prices as of",
        "A                 3         2        0.00       2.00                     1                2026-11-01",
        "B                 1         1        0.50       0.50                     0                2026-11-08",
        "total             4         3        0.50       2.50                     1  2026-11-01 to 2026-11-08",
    ]
    assert "2 results files, 0 runs in the ledgers beside them; costs do not hold CloudWatch Logs" in printed.err


@pytest.mark.usefixtures("connect")
def test_a_place_in_s3(emulator: OmicsEmulator, connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    """As the connection's ``results_s3_uri``."""
    s3 = emulator.client("s3")
    s3.put_object(Bucket=BUCKET, Key="results/cohort/wgs.jsonl.gz", Body=packed(ONE))
    s3.put_object(Bucket=BUCKET, Key="results/cohort/wgs/usage/u1.jsonl.gz", Body=packed([{"a": 1}]))

    (row,) = table(capfd, f"s3://{BUCKET}/results/")

    assert (row["total_usd"], row["attempts"]) == ("3.000000", "3")


def test_file_of_something_else(place: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is named and left out; the exit status says that the sums are not whole."""
    (tmp_path / "results" / "notes.jsonl").write_text('{"a": 1}\n', encoding="utf-8")

    assert main(["costs", place]) == 1

    printed = capfd.readouterr()
    assert "notes.jsonl is left out" in printed.err
    assert "6.75" in printed.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--month", "11/2026"], "2026-11"), (["--by", "colour"], "row.NAME"), (["--by", "row."], "row.NAME")],
)
def test_wrong_command_line(arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Argparse says what is allowed."""
    with pytest.raises(SystemExit) as ended:
        main(["costs", "x", *arguments])

    assert ended.value.code == 2
    assert said in capfd.readouterr().err


def test_no_such_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A typing error is no empty table."""
    assert main(["costs", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capfd.readouterr().err


def entry(uuid: str, **members: Any) -> bytes:
    """Make an entry of a ledger: a run of two hours on 1,200 GiB with a task of an hour, 0.60 USD in all."""
    run = run_object(uuid=uuid)
    answer = {
        "id": "123",
        "uuid": uuid,
        "status": "FAILED",
        "failureReason": "OUT_OF_MEMORY_ERROR",
        "workflowId": "1234567",
        "stopTime": "2026-11-03T12:00:00+02:00",
        "tags": {"airflow:dag_id": "cohort", "airflow:task_id": "wgs"},
        "parameters": {"names": ["bam"], "sha256": "5f"},  # masked
    }
    values = {"form": 1, "run_setting_id": "s1", "run": answer, "manifest": [run, task_object()], **members}
    return gzip.compress(json.dumps(values).encode())


TIMES = {"startTime": "2026-11-03T10:00:00Z", "stopTime": "2026-11-03T12:00:00Z"}
GONE = {"run": None, "manifest": [run_object(uuid="u0", **TIMES), task_object()]}
FAILED_THEN = {**FAILED, "stopped_at": "2026-11-02T10:00:00+00:00"}


@pytest.fixture
def own_prices(tmp_path: Path, connect: Connect) -> None:
    """Prices of the team's own, for us-east-1 alone."""
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps(RATES.to_document()))
    connect({"prices_uri": str(prices)})


def put(folder: Path, files: dict[str, bytes]) -> str:
    for name, body in files.items():
        path = folder / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return str(folder / "results")


@pytest.mark.usefixtures("own_prices")
@pytest.mark.parametrize(
    ("files", "usd", "attempts", "unpriced", "told"),
    [
        pytest.param({"wgs.jsonl.gz": packed([record("s1", "u1", 2.0)])}, 2.0, 1, 0, "1 of 1 runs", id="no ledger"),
        pytest.param(
            {"wgs.jsonl.gz": packed([record("s1", "u1", 2.0)]), "wgs/runs/u1.json.gz": entry("u1")},
            *(2.0, 1, 0, ""),
            id="the record's cost counts",
        ),
        pytest.param(
            {"wgs.jsonl.gz": packed([record("s1", "u1", 2.0)]), "wgs/runs/u0.json.gz": entry("u0")},
            *(2.6, 2, 0, "1 of 2 runs"),
            id="an attempt whose record was replaced; a part of a ledger",
        ),
        pytest.param(
            {"wgs.jsonl.gz": packed([record("s1", "u1", None)]), "wgs/runs/u1.json.gz": entry("u1")},
            *(0.6, 1, 0, ""),
            id="costs were not read",
        ),
        pytest.param(
            {
                "wgs.jsonl.gz": packed([record("s1", "u1", None, cost_unknown=["no manifest yet"])]),
                "wgs/runs/u1.json.gz": entry("u1"),
            },
            *(0.6, 1, 0, ""),
            id="the manifest came late",
        ),
        pytest.param(
            {
                "a.jsonl.gz": packed([record("s1", "u1", None)]),
                "b.jsonl.gz": packed([record("s1", "u1", 2.0)]),
                "b/runs/u1.json.gz": entry("u1"),
            },
            *(2.0, 1, 0, ""),
            id="the same run in two files, one of which has its cost",
        ),
        pytest.param(
            {
                "a.jsonl.gz": packed([record("s1", "u1", 2.0, earlier_runs=[FAILED_THEN])]),
                "a/runs/u0.json.gz": entry("u0"),
                "b.jsonl.gz": packed([record("s1", "u1", 2.0)]),
                "b/runs/u0.json.gz": entry("u0"),
                "b/runs/u1.json.gz": entry("u1"),
            },
            *(3.0, 2, 0, ""),
            id="a run in two ledgers, and among earlier runs",
        ),
        pytest.param({"wgs/runs/u0.json.gz": entry("u0")}, 0.6, 1, 0, "", id="a ledger whose file is gone"),
        pytest.param({"wgs/runs/u0.json.gz": entry("u0", **GONE)}, 0.6, 1, 0, "", id="the run's record was gone"),
        pytest.param({"wgs/runs/u0.json.gz": entry("u0", manifest=None)}, 0.0, 1, 1, "", id="no manifest"),
        pytest.param(
            {"wgs/runs/u0.json.gz": entry("u0", manifest=[run_object(uuid="u0"), task_object(instanceType="omics.x")])},
            *(0.0, 1, 1, ""),
            id="an instance without a price",
        ),
    ],
)
def test_ledgers(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    files: dict[str, bytes],
    usd: float,
    attempts: int,
    unpriced: int,
    told: str,
) -> None:
    """Every run counts once, with the cost of its record, else that of its entry; and what is in no ledger is told."""
    place = put(tmp_path, {"other.jsonl": b"", **files})

    assert main(["costs", place, "--month", "2026-11"]) == 0

    *_, line = (printed := capfd.readouterr()).out.splitlines()
    figures = line.split()
    assert (figures[2], figures[4], figures[5]) == (str(attempts), f"{usd:.2f}", str(unpriced))
    assert ("known from records only" in printed.err) is bool(told)
    assert told in printed.err


@pytest.mark.usefixtures("own_prices")
@pytest.mark.parametrize(
    ("by", "group"),
    [
        ("dag_id", "cohort"),
        ("task_id", "wgs"),
        ("status", "FAILED"),
        ("cause", "OUT_OF_MEMORY_ERROR"),
        ("workflow_id", "1234567"),
        ("run_setting_id", "s1"),
        ("row.centre", "A"),
        ("batch_id", ""),
    ],
)
def test_groups_of_ledgers(tmp_path: Path, capfd: pytest.CaptureFixture[str], by: str, group: str) -> None:
    """A run of a ledger stands with its sample's others, where the file still has the sample."""
    current = record("s1", "u1", 2.0, workflow_id="1234567", task_id="wgs")
    place = put(tmp_path, {"wgs.jsonl.gz": packed([current]), "wgs/runs/u0.json.gz": entry("u0")})

    sums = {row[by]: (row["failed_usd"], row["samples"]) for row in table(capfd, place, "--by", by)}

    assert sums[group] == ("0.600000", "1")


@pytest.mark.usefixtures("own_prices")
def test_group_of_a_ledger_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Where no record tells of the sample, the tags of the run do; and its sample counts once it is known."""
    later, earlier = entry("u0"), entry("u9", run_setting_id=None)
    place = put(tmp_path, {"wgs/runs/u0.json.gz": later, "wgs/runs/u9.json.gz": earlier})

    (row,) = table(capfd, place)

    assert (row["dag_id"], row["samples"], row["attempts"], row["total_usd"]) == ("cohort", "1", "2", "1.200000")


@pytest.mark.usefixtures("own_prices")
@pytest.mark.parametrize(("month", "usd"), [("2026-10", 0.0), ("2026-11", 0.6)])
def test_month_of_a_ledger(tmp_path: Path, capfd: pytest.CaptureFixture[str], month: str, usd: float) -> None:
    """A run counts in the month in which it ended, in UTC."""
    ends = {"id": "123", "uuid": "u0", "status": "FAILED", "stopTime": "2026-10-31T23:30:00-01:00"}
    place = put(tmp_path, {"other.jsonl": b"", "wgs/runs/u0.json.gz": entry("u0", run=ends)})

    assert sum(float(row["total_usd"]) for row in table(capfd, place, "--month", month)) == usd


@pytest.mark.usefixtures("own_prices")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no gzip",
        entry("u0")[:-20],
        gzip.compress(b"[1]"),
        gzip.compress(b"{"),
        entry("u0", form=2),
        gzip.compress(b"[" * 100_000),
    ],
    ids=["empty", "text", "half", "a list", "no JSON", "a later form", "deep"],
)
def test_broken_entry(tmp_path: Path, capfd: pytest.CaptureFixture[str], body: bytes) -> None:
    """It is told, its run has no price, and the exit status says that the sums are not whole."""
    files = {"wgs.jsonl.gz": packed([record("s1", "u1", 2.0)]), "wgs/runs/u0.json.gz": body}

    assert main(["costs", put(tmp_path, files)]) == 1

    printed = capfd.readouterr()
    assert "The cost of run u0 is not known" in printed.err
    assert printed.out.splitlines()[-1].split()[:6] == ["total", "1", "2", "0.00", "2.00", "1"]


def test_ledgers_in_s3(
    emulator: OmicsEmulator, connect: Connect, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Only entries that are needed are read: what a record tells the cost of is known by its name."""
    connect({"prices_uri": str(tmp_path / "prices.json")})
    (tmp_path / "prices.json").write_text(json.dumps(RATES.to_document()))
    s3 = emulator.client("s3")
    objects = {
        "wgs.jsonl.gz": packed([record("s1", "u1", 2.0), record("s2", "u2", None)]),
        "wgs/runs/u0.json.gz": entry("u0"),
        "wgs/runs/u1.json.gz": b"never read",
        "wgs/runs/u2.json.gz": entry("u2"),
        "wgs/attempts/r1.json": b"{}",
    }
    for name, body in objects.items():
        s3.put_object(Bucket=BUCKET, Key=f"results/{name}", Body=body)

    for place in ("results/", "results/wgs.jsonl.gz"):
        (row,) = table(capfd, f"s3://{BUCKET}/{place}")
        assert (row["total_usd"], row["attempts"], row["unpriced_runs"]) == ("3.200000", "3", "0")

    # Entries are written after the end of their runs: one that is older than the month is not read.
    s3.put_object(Bucket=BUCKET, Key="results/wgs/runs/u9.json.gz", Body=b"never read")
    assert table(capfd, f"s3://{BUCKET}/results/", "--month", "2099-01") == []
