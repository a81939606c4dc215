"""What it costs to make a staged batch of a sheet: our CPU time and memory, for 10,000 and 100,000 rows.

From a local CSV to settings in the local HealthOmics' S3, which is a process of its own and is not counted.

::

    python benchmarks/sheets.py [--rows 10000 100000] [--group]

Each measurement runs in a process of its own; what is counted begins after its imports. The exit code is 1 when a limit
is broken.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

BUCKET = "benchmark-staging"

CPU_SECONDS = 12.0
"""For the largest sheet, with its upload."""
MEMORY_MB = 150.0
FLAT_MB = 20.0
"""How much more the largest sheet may take than the smallest. Held are the ids of its runs with their lines, to find
repeated ones (14 MB for 100,000), and one part of the upload; of the settings nothing."""


@dataclass
class Measurement:
    """What one sheet cost.

    :param rows: of the sheet, four columns each.
    :param runs: that they made.
    :param checked: our own CPU time until all was checked.
    :param seconds: our own CPU time until all was uploaded.
    :param memory_mb: how far the peak of the resident memory rose.
    :param settings_mb: size of the settings as JSON.
    """

    rows: int
    runs: int
    checked: float
    seconds: float
    memory_mb: float
    settings_mb: float


def write_sheet(path: Path, rows: int) -> None:
    """Write a sheet of four columns.

    :param path: where.
    :param rows: how many, each with an id of its own.
    """
    with path.open("w", encoding="utf-8") as sheet:
        sheet.write("sample,fastq_1,fastq_2,genome\n")
        for number in range(rows):
            reads = f"s3://example-cohort/reads/NA{number:06d}"
            sheet.write(f"NA{number:06d},{reads}_1.fastq.gz,{reads}_2.fastq.gz,GRCh38\n")


def measure(path: Path, rows: int, *, group: bool) -> Measurement:
    """Read, map and check a sheet, and upload its settings, as the batch operator does.

    :param path: the sheet.
    :param rows: how many it has.
    :param group: whether rows are grouped by id, for which they are held in memory.
    """
    from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet, each
    from airflow_provider_omics.hooks.omics import OmicsHook
    from airflow_provider_omics.hooks.s3 import S3Place, S3Store
    from airflow_provider_omics.jobs.batch.source import BatchSettings, check_batch

    pair = ["{fastq_1}", "{fastq_2}"]
    sheet = SampleSheet(
        path=str(path),
        run_setting_id="{sample}",
        name="{sample}",
        output_uri="s3://example-results/{sample}/",
        parameters={"sample": "{sample}", "reads": each(pair) if group else pair, "genome": "{genome}"},
        group_by_id=group,
    )
    given = BatchSettings(
        default_run_setting={"workflowId": "1234567", "roleArn": "arn:aws:iam::123456789012:role/omics"},
        run_settings=None,
        run_settings_s3_uri=None,
        sample_sheet=sheet,
        batch_name="benchmark",
        tags=None,
        scratch_storage_mode=None,
        staging_s3_uri=f"s3://{BUCKET}/",
        max_runs=None,
    )
    uri = f"s3://{BUCKET}/{rows}.json"
    before = _peak_mb()
    started = time.process_time()
    hook = OmicsHook()
    batch = check_batch(given, hook.defaults, S3Store(hook), "benchmark", logging.getLogger(__name__))
    if batch.spool is None or not batch.is_staged:
        raise RuntimeError("the sheet is too small to be uploaded")
    checked = time.process_time() - started
    batch.spool.upload(S3Store(hook), S3Place(uri))
    seconds = time.process_time() - started
    memory = _peak_mb() - before
    batch.spool.close()
    return Measurement(
        rows, batch.spool.total_runs, round(checked, 2), round(seconds, 2), round(memory, 1), batch.spool.size / 1e6
    )


@contextmanager
def emulator() -> Iterator[str]:
    """Run the local HealthOmics, with its S3, in a process of its own.

    :return: the Airflow connection to it.
    """
    command = [sys.executable, "-m", "airflow_provider_omics.emulator", "--port", "0", "--bucket", BUCKET]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        for line in server.stdout or ():
            name, _, value = line.strip().partition("=")
            if name == "AIRFLOW_CONN_AWS_DEFAULT":
                yield value.strip("'")
                return
        raise RuntimeError(f"the emulator ended with code {server.wait()}")
    finally:
        server.terminate()
        server.communicate(timeout=30)


def main() -> int:
    """Measure each size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--group", action="store_true", help="group rows by id")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        found = measure(Path(options.measure), options.rows[0], group=options.group)
        sys.stdout.write(f"\n{json.dumps(asdict(found))}\n")
        return 0
    measured = []
    print(f"{'rows':>8} {'runs':>8} {'CPU s':>7} {'upload s':>9} {'peak MB':>8} {'JSON MB':>8}")
    with tempfile.TemporaryDirectory() as folder, emulator() as connection:
        environment = {**os.environ, "AIRFLOW_HOME": folder, "AIRFLOW_CONN_AWS_DEFAULT": connection}
        for rows in options.rows:
            path = Path(folder) / f"{rows}.csv"
            write_sheet(path, rows)
            command = [sys.executable, __file__, "--measure", str(path), "--rows", str(rows)]
            command += ["--group"] if options.group else []
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
            found = Measurement(**json.loads(done.stdout.splitlines()[-1]))
            measured.append(found)
            print(
                f"{found.rows:>8,} {found.runs:>8,} {found.seconds:>7.2f} {found.seconds - found.checked:>9.2f} "
                f"{found.memory_mb:>8.1f} {found.settings_mb:>8.1f}"
            )
    first, last = measured[0], measured[-1]
    broken = last.seconds > CPU_SECONDS or last.memory_mb > MEMORY_MB
    broken = broken or (not options.group and last.memory_mb - first.memory_mb > FLAT_MB)
    print("limits broken" if broken else "within the limits")
    return 1 if broken else 0


def _peak_mb() -> float:
    # ru_maxrss is in KB on Linux, in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    sys.exit(main())
