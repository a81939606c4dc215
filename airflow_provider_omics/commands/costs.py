"""The command ``costs``: what a team spent, over all results files of a place and the ledgers beside them."""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_provider_omics.commands.connection import add_connection
from airflow_provider_omics.commands.output import logs_on_stderr
from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.cost.rates import Rates
from airflow_provider_omics.core.cost.reckoning import LEFT_OUT, run_cost
from airflow_provider_omics.core.cost.spending import BY, NEEDED, ROW, Spending, SpendingTable
from airflow_provider_omics.core.errors import OmicsError, SettingsError
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.core.uris import is_s3_uri
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.results.file import beside
from airflow_provider_omics.results.ledger import ledger_entries
from airflow_provider_omics.results.prices import read_rates
from airflow_provider_omics.results.read import read_batch_results, results_files

_HEADINGS = ("samples", "attempts", "failed USD", "total USD", "runs without a price", "prices as of")
_FIELDS = ("samples", "attempts", "failed_usd", "total_usd", "unpriced_runs", "prices_as_of")
"""Columns of CSV after the group: they keep their names and order; new ones come at the end."""

_NO_LEDGER = "earlier attempts of their samples count where costs were read at the time"
_SKEW = timedelta(hours=1)
"""Between the clocks of HealthOmics and S3, at most."""
_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    :param parser: of this command.
    """
    parser.description = (
        "Add up what runs cost, over all results files of a place and the ledgers beside them. What no record tells "
        "is reckoned from the run's entry in the ledger, by the connection's prices."
    )
    parser.epilog = (
        f"Costs do not hold {LEFT_OUT}. A run that several files have counts once. "
        "Exit status: 0; 1 if a file cannot be read; 2 for a wrong command line."
    )
    parser.add_argument("place", help="an s3:// prefix, such as the connection's results_s3_uri; a folder or a file")
    parser.add_argument("--month", type=_month, help="only runs that ended in it (UTC): 2026-11")
    parser.add_argument(
        "--by",
        type=_by,
        default="dag_id",
        help=f"{', '.join(BY)}, or row.NAME for a column that the sheet keeps (default: %(default)s)",
    )
    parser.add_argument("--csv", action="store_true", help="comma-separated values with a line of headings")
    add_connection(parser)


def run(options: argparse.Namespace) -> int:
    """Read the files, and print the sums.

    :param options: the parsed arguments.
    :return: exit status.
    """
    hook = OmicsHook(aws_conn_id=options.conn_id or None, region_name=options.region)
    table, unread = SpendingTable(options.by, options.month), list[str]()
    try:
        with logs_on_stderr():
            store = S3Store(hook) if is_s3_uri(options.place) else None
            files = results_files(options.place, store)
            for uri in files:
                try:
                    # Whole or not at all: half a file would be half a sum.
                    table.add([_needed(record) for record in read_batch_results(uri, hook=hook)], beside(uri, "")[:-1])
                except SettingsError as error:
                    unread.append(f"{visible(uri)} is left out: {error}")
            in_ledgers = _add_ledgers(table, options, store, unread)
    except OmicsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    rows, total = table.rows(), table.total()
    if options.csv:
        _write_csv(options.by, rows)
    else:
        _write_table(options.by, [*rows, total] if len(rows) != 1 else rows)
    sys.stdout.flush()
    told = f"{len(files):,} results files, {in_ledgers:,} runs in the ledgers beside them; costs do not hold {LEFT_OUT}"
    if table.recorded_only:
        told += f"\n{table.recorded_only:,} of {total.attempts:,} runs are known from records only: {_NO_LEDGER}"
    for line in (*unread, told):
        print(line, file=sys.stderr)  # noqa: T201 - a command prints
    return 1 if unread else 0


def _add_ledgers(table: SpendingTable, options: argparse.Namespace, store: S3Store | None, unread: list[str]) -> int:
    """Add what only ledgers tell; returns how many runs have an entry."""
    prices = _Prices(options.conn_id or None)
    first = _first_day(options.month)
    number = 0
    for entry in ledger_entries(options.place, store):
        number += 1
        is_earlier = first is not None and entry.written is not None and entry.written < first - _SKEW
        if not table.needs(entry.run_uuid) or is_earlier:
            continue
        try:
            run = entry.read(store)
        except SettingsError as error:
            unread.append(f"The cost of run {visible(entry.run_uuid)} is not known, {visible(entry.uri)}: {error}")
            table.add_entry({"run_uuid": entry.run_uuid}, None, results=entry.results)
            continue
        rates = prices.of(run.usage.region) if run.usage else None
        usd, as_of = (run_cost(run.usage, rates).usd, rates.as_of) if rates else (None, None)
        table.add_entry(run.members, usd, as_of, entry.results)
    return number


class _Prices:
    """The prices of each Region, read when they are first needed."""

    def __init__(self, conn_id: str | None) -> None:
        self._conn_id = conn_id
        self._of: dict[str, Rates | None] = {}

    def of(self, region: str) -> Rates | None:
        if region not in self._of:
            hook = OmicsHook(aws_conn_id=self._conn_id, region_name=region)
            self._of[region] = read_rates(hook, _LOG, None)  # nothing is kept: this command writes nowhere
        return self._of[region]


def _needed(record: RunRecord) -> dict[str, Any]:
    values = record.to_json()
    return {name: values[name] for name in NEEDED if values.get(name) is not None}


def _first_day(month: str | None) -> datetime | None:
    return None if month is None else datetime.strptime(month, "%Y-%m").replace(tzinfo=timezone.utc)


def _month(text: str) -> str:
    try:
        return datetime.strptime(text, "%Y-%m").strftime("%Y-%m")  # noqa: DTZ007 - a month has no zone
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no month such as 2026-11") from None


def _by(text: str) -> str:
    if text in BY or (text.startswith(ROW) and text != ROW):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(BY)} and no row.NAME")


def _write_csv(by: str, rows: Sequence[Spending]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((by, *_FIELDS))
    writer.writerows(
        (
            row.group,
            row.samples,
            row.attempts,
            f"{row.failed_usd:.6f}",
            f"{row.usd:.6f}",
            row.unpriced,
            row.prices_as_of,
        )
        for row in rows
    )


def _write_table(by: str, rows: Sequence[Spending]) -> None:
    cells = [(by, *_HEADINGS), *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for group, *figures in cells:
        shown = (figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
        sys.stdout.write(f"{group.ljust(widths[0])}  {'  '.join(shown)}".rstrip() + "\n")


def _cells(row: Spending) -> tuple[str, ...]:
    figures = (
        f"{row.samples:,}",
        f"{row.attempts:,}",
        f"{row.failed_usd:,.2f}",
        f"{row.usd:,.2f}",
        f"{row.unpriced:,}",
    )
    return (visible(row.group) or "(none)", *figures, row.prices_as_of)
