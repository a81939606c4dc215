"""What ``make demo`` runs: the DAG ``example_omics_run_batch`` on a local HealthOmics, and what became of each sample.

Nothing stays behind but Airflow's log and the report: the emulator is a process of its own on a free port,
and Airflow's home is a temporary folder. The exit code is 1 when anything differs from what ``scenario.yaml`` scripts.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_omics.results import RunRecord

HERE = Path(__file__).resolve().parent
LOG = HERE.parent / ".demo" / "airflow.log"
REPORT = LOG.parent / "report.html"

SPEED = 900
"""Emulated seconds in a second: a run of an hour takes four."""

RERUN = "SRR7961163_GSM3415727_MShef4_J2"
"""The sample that fills its file system, and completes in the second attempt; as the scenario scripts."""

TOLERATED = "SRR7961104_GSM3415668_MShef11_low_oxygen_Q3"
"""The sample that fails for good. The other six complete the first time."""

# A line of our operators and triggers in Airflow's log: its message, and the class that says it.
OUR_LINE = re.compile(r"\[(?:info|warning|error) +\] (?P<message>.+?) +\[\S*airflow_provider_omics\.\S+\.\w+\]")


class Sample(NamedTuple):
    """What became of one sample; the columns of the table."""

    sample: str
    run_id: str
    status: str
    attempt: int
    minutes: int
    outcome: str


def main() -> int:
    """Run the demo.

    :return: exit code: 0 when all went as scripted, else 1.
    """
    began = time.monotonic()
    LOG.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="omics-demo-") as home, LOG.open("w") as log:
        use_airflow_home(Path(home))
        say("The local HealthOmics starts, and Airflow makes its database; its own log goes to .demo/airflow.log")
        with emulator() as server:
            airflow(["db", "migrate"], log)
            os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = connection(server)
            say("airflow dags test example_omics_run_batch")
            succeeded = airflow(["dags", "test", "example_omics_run_batch"], log)
            samples = read_samples() if succeeded else []
    show(samples)
    if samples:
        say(f"The report of the cohort: {REPORT.relative_to(HERE.parent)}")
    expected = succeeded and len(samples) == 8 and all(as_scripted(sample) for sample in samples)
    say(f"{'All as scripted' if expected else f'NOT as scripted: see {LOG}'}; {time.monotonic() - began:.0f} s")
    return 0 if expected else 1


def use_airflow_home(home: Path) -> None:
    """Point Airflow, in this process and its children, to a home of its own; forget any AWS account."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW_", "AWS_")):
            del os.environ[name]
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(HERE),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AWS_EC2_METADATA_DISABLED="true",
        NO_PROXY="127.0.0.1",
        OMICS_POLL_INTERVAL="1",
    )
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # Airflow would take twice as long to start


@contextmanager
def emulator() -> Iterator[subprocess.Popen[str]]:
    """Start the emulator; end it with the block."""
    options = ["--port", "0", "--speed", str(SPEED), "--scenario", str(HERE / "scenario.yaml")]
    server = subprocess.Popen(  # noqa: S603  # this very interpreter, on fixed arguments
        [sys.executable, "-m", "airflow_provider_omics.emulator", *options, "--default-bucket", "omics-results"],
        cwd=os.environ["AIRFLOW_HOME"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield server
    finally:
        server.terminate()
        server.communicate(timeout=10)


def connection(server: subprocess.Popen[str]) -> str:
    """Wait until the emulator answers calls, and give the Airflow connection that it announces then."""
    for line in server.stdout or ():
        name, _, value = line.strip().partition("=")
        if name == "AIRFLOW_CONN_AWS_DEFAULT":
            return value.strip("'")
    raise RuntimeError(f"The emulator ended with code {server.wait()} before it answered")


def airflow(command: list[str], log: TextIO) -> bool:
    """Run a command of Airflow; all it says goes to the log, and what our operators say is shown too."""
    process = subprocess.Popen(  # noqa: S603  # this very interpreter, on fixed arguments
        [sys.executable, "-m", "airflow", *command],
        cwd=os.environ["AIRFLOW_HOME"],  # not the tree, which would go before what is installed
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout or ():
        log.write(line)
        if ours := OUR_LINE.search(line):
            say(f"  {ours['message']}")
    return process.wait() == 0


def read_samples() -> list[Sample]:
    """Read what became of each sample from the results file, as a script beside Airflow would; keep the report."""
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook  # Airflow reads the environment when it is imported

    from airflow_provider_omics.results import read_batch_results

    store = S3Hook()
    keys = store.list_keys("omics-results", "results/") or []
    (key,) = [key for key in keys if key.endswith("/batch.jsonl.gz")]  # beside what the operator keeps for itself
    page = store.read_key(key.removesuffix(".jsonl.gz") + "/report.html", "omics-results")
    REPORT.write_text(page, encoding="utf-8")
    records = read_batch_results(f"s3://omics-results/{key}")
    return [sample_of(record) for record in records]


def sample_of(record: RunRecord) -> Sample:
    """Give the row of a record: its output, or why there is none."""
    started, stopped = (datetime.fromisoformat(str(time)) for time in (record.started_at, record.stopped_at))
    minutes = round((stopped - started).total_seconds() / 60)
    failed = f"{record.failure_reason}: {record.message}"
    outcome = record.output_uri or "" if record.status.value == "COMPLETED" else failed
    return Sample(record.run_setting_id, str(record.run_id), record.status.value, record.attempt or 0, minutes, outcome)


def as_scripted(sample: Sample) -> bool:
    """Tell whether a sample ended as the scenario says."""
    if sample.sample == TOLERATED:
        return sample.status == "FAILED" and sample.outcome.startswith("INPUT_URI_NOT_FOUND") and sample.attempt == 1
    ended_well = sample.status == "COMPLETED" and sample.outcome.endswith(f"/{sample.run_id}") and sample.minutes > 0
    return ended_well and sample.attempt == (2 if sample.sample == RERUN else 1)


def show(samples: list[Sample]) -> None:
    """Print the table."""
    rows = [
        ("sample", "run id", "status", "attempt", "minutes", "output, or why it failed"),
        *(tuple(map(str, sample)) for sample in samples),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    say("")
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    say("")


def say(line: str) -> None:
    """Print a line at once, even into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
