"""The command ``report``: the page of a batch, made anew from its results file."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from airflow_provider_omics.commands.connection import add_connection
from airflow_provider_omics.commands.output import logs_on_stderr
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.errors import OmicsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.reports.cohort import CohortFacts, cohort_page
from airflow_provider_omics.reports.html import render
from airflow_provider_omics.results.read import read_batch_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    :param parser: of this command.
    """
    parser.description = "Write the page of a batch, one HTML file that loads nothing else, from its results file."
    parser.epilog = (
        "Exit status: 0; 1 if the file cannot be read, or the page not be written; 2 for a wrong command line."
    )
    parser.add_argument("uri", help="the results_uri of the batch's task: an s3:// URI, or a copy of the file")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="file for the page (default: printed)")
    parser.add_argument("--mask", action="store_true", help="leave AWS's messages out, which can hold parameters")
    add_connection(parser, "AWS Region of the links (default: that of the runs, or the connection's)")


def run(options: argparse.Namespace) -> int:
    """Read the records, and write the page.

    :param options: the parsed arguments.
    :return: exit status.
    """
    try:
        with logs_on_stderr():
            page = _page(options)
    except OmicsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    if options.output is None:
        sys.stdout.write(page)
        return 0
    part = options.output.with_name(f"{options.output.name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(options.output)
    except OSError as error:
        print(f"{options.output} was not written: {error}", file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    print(options.output, file=sys.stderr)  # noqa: T201 - a command prints
    return 0


def _page(options: argparse.Namespace) -> str:
    def records() -> Iterator[RunRecord]:
        return read_batch_results(options.uri, aws_conn_id=options.conn_id or None, region_name=options.region)

    # The file is read twice, as the counts stand above the table and 100,000 records are not held.
    statuses: Counter[str] = Counter()
    title, region = options.uri.rpartition("/")[2], options.region
    for record in records():
        statuses[record.status.value] += record.status is not RecordStatus.REMOVED
        if record.dag_id and record.task_id:
            title = f"{record.dag_id} / {record.task_id}"
        if region is None and record.run_arn:
            region = record.run_arn.split(":")[3]
    facts = CohortFacts(
        title=title,
        region=region or OmicsHook(options.conn_id or None).conn_region_name,
        made_at=datetime.now(timezone.utc),
        counts=BatchCounts.of_statuses(statuses),
        problem="These are the results of a file, which nobody judges here.",
        results_uri=options.uri,
        masks=options.mask,
    )
    return render(cohort_page((record.to_json() for record in records()), facts))
