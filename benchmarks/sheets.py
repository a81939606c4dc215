"""What it costs to make checked run settings of a sheet: CPU time and memory, for 10,000 and 100,000 rows.

::

    python benchmarks/sheets.py [--rows 10000 100000] [--group]

Each measurement runs in a process of its own; what is counted begins after its imports. The exit code is 1 when a limit
is broken.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

CPU_SECONDS = 12.0
"""For the largest sheet, with its upload."""
MEMORY_MB = 150.0
FLAT_MB = 40.0
"""How much more the largest sheet may take than the smallest: the ids of its runs are held to find repeated ones."""


@dataclass
class Measurement:
    """What one sheet cost.

    :param rows: of the sheet, four columns each.
    :param runs: that they made.
    :param seconds: our own CPU time.
    :param memory_mb: how far the peak of the resident memory rose.
    :param settings_mb: size of the settings as JSON.
    """

    rows: int
    runs: int
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
    """Read, map and check a sheet, and write its settings as the JSON array that a batch takes.

    :param path: the sheet.
    :param rows: how many it has.
    :param group: whether rows are grouped by id, for which they are held in memory.
    """
    from airflow_provider_omics.core.run_setting_checks import run_setting_rules
    from airflow_provider_omics.core.sample_sheet import SampleSheet, each
    from airflow_provider_omics.sheets import open_runs

    pair = ["{fastq_1}", "{fastq_2}"]
    sheet = SampleSheet(
        path=str(path),
        run_setting_id="{sample}",
        name="{sample}",
        output_uri="s3://example-results/{sample}/",
        parameters={"sample": "{sample}", "reads": each(pair) if group else pair, "genome": "{genome}"},
        group_by_id=group,
    )
    before = _peak_mb()
    started = time.process_time()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as settings,
        open_runs(sheet, rules=run_setting_rules({})) as runs,
    ):
        for number, run in enumerate(runs):
            settings.write("," if number else "[")
            settings.write(json.dumps(run.setting, ensure_ascii=False, separators=(",", ":")))
        settings.write("]")
        size = settings.tell() / 1e6
    seconds = time.process_time() - started
    return Measurement(rows, runs.runs, round(seconds, 2), round(_peak_mb() - before, 1), round(size, 1))


def main() -> int:
    """Measure each size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--group", action="store_true", help="group rows by id")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        found = measure(Path(options.measure), options.rows[0], group=options.group)
        sys.stdout.write(json.dumps(asdict(found)))
        return 0
    measured = []
    print(f"{'rows':>8} {'runs':>8} {'CPU s':>7} {'peak MB':>8} {'JSON MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            path = Path(folder) / f"{rows}.csv"
            write_sheet(path, rows)
            command = [sys.executable, __file__, "--measure", str(path), "--rows", str(rows)]
            command += ["--group"] if options.group else []
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = Measurement(**json.loads(done.stdout))
            measured.append(found)
            figures = f"{found.seconds:>7.2f} {found.memory_mb:>8.1f} {found.settings_mb:>8.1f}"
            print(f"{found.rows:>8,} {found.runs:>8,} {figures}")
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
