"""The command ``results``: what became of each sample of a batch."""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO

from airflow_provider_omics.commands.connection import add_connection
from airflow_provider_omics.commands.output import logs_on_stderr
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.errors import OmicsError
from airflow_provider_omics.results.read import read_batch_results

_SAMPLES_FAILED = 3
_NOT_FAILED = (RecordStatus.COMPLETED, RecordStatus.REMOVED)
_TABLE = ("sample", "run id", "status", "attempt", "minutes", "output, or why it failed")
_FIELDS = (
    *("run_setting_id", "run_id", "status", "attempt", "started_at", "stopped_at", "output_uri", "failure_reason"),
    *("cause", "message", "batch_id", "workflow_id", "workflow_version_name", "run_uuid", "cost_usd"),
)
"""Columns of TSV: they keep their names and order; new ones come at the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    :param parser: of this command.
    """
    parser.description = "Print what became of each sample of a batch, from its results file."
    parser.epilog = (
        "Exit status: 0; 1 if the file cannot be read; 2 for a wrong command line; with --failed, 3 if a sample failed."
    )
    parser.add_argument("uri", help="the results_uri of the batch's task: an s3:// URI, or a copy of the file")
    parser.add_argument(
        "--failed", action="store_true", help="only samples that did not complete: failed, cancelled, not submitted"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--tsv", action="store_true", help="tab-separated values with a line of headings")
    form.add_argument("--json", action="store_true", help="one JSON array with all that the records hold")
    add_connection(parser)


def run(options: argparse.Namespace) -> int:
    """Read, and print the records.

    :param options: the parsed arguments.
    :return: exit status.
    """
    write = _write_json if options.json else _write_tsv if options.tsv else _write_table
    statuses: Counter[str] = Counter()
    # Nothing is printed before the whole file is known to be readable.
    with tempfile.SpooledTemporaryFile(max_size=1 << 24, mode="w+", encoding="utf-8", newline="") as printed:
        try:
            with logs_on_stderr():
                write(_records(options, statuses), printed)
        except OmicsError as error:
            print(error, file=sys.stderr)  # noqa: T201 - a command prints
            return 1
        printed.seek(0)
        shutil.copyfileobj(printed, sys.stdout)
    sys.stdout.flush()
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(statuses.items()))
    print(f"{statuses.total():,} samples: {counts or 'none'}", file=sys.stderr)  # noqa: T201 - a command prints
    failed = any(statuses[status.value] for status in RecordStatus if status not in _NOT_FAILED)
    return _SAMPLES_FAILED if options.failed and failed else 0


def _records(options: argparse.Namespace, statuses: Counter[str]) -> Iterator[RunRecord]:
    for record in read_batch_results(options.uri, aws_conn_id=options.conn_id or None, region_name=options.region):
        statuses[record.status.value] += 1
        if not (options.failed and record.status in _NOT_FAILED):
            yield record


def _write_json(records: Iterable[RunRecord], file: IO[str]) -> None:
    separator = "[\n  "
    for record in records:
        file.write(separator)
        json.dump(record.to_json(), file, ensure_ascii=False)
        separator = ",\n  "
    file.write("[]\n" if separator.startswith("[") else "\n]\n")


def _write_tsv(records: Iterable[RunRecord], file: IO[str]) -> None:
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows([document.get(name) for name in _FIELDS] for document in (each.to_json() for each in records))


def _write_table(records: Iterable[RunRecord], file: IO[str]) -> None:
    rows = [_TABLE, *(_row(record) for record in records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        file.write("  ".join(cells).rstrip() + "\n")


def _row(record: RunRecord) -> tuple[str, ...]:
    why = record.output_uri if record.status is RecordStatus.COMPLETED else _why(record)
    return (
        record.run_setting_id,
        record.run_id or "",
        record.status.value,
        str(record.attempt or ""),
        _minutes(record),
        " ".join((why or "").split()),
    )


def _why(record: RunRecord) -> str:
    return ": ".join(filter(None, (record.cause or record.failure_reason, record.message)))


def _minutes(record: RunRecord) -> str:
    if record.started_at is None or record.stopped_at is None:
        return ""
    ran = datetime.fromisoformat(record.stopped_at) - datetime.fromisoformat(record.started_at)
    return str(round(ran.total_seconds() / 60))
