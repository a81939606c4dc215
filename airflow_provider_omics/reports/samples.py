"""The table of samples on a page: the first rows as they are, all of them packed for the script, within a budget."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus
from airflow_provider_omics.core.cost.cohort import sample_usd
from airflow_provider_omics.core.failure.causes import cause_of, read_cause
from airflow_provider_omics.core.text import visible

FIRST_ROWS = 500
"""Rows that are there without JavaScript and in print, failures first."""

FIRST_CHARACTERS = 200_000
"""Characters of their texts, as ids and kept columns can be long; each also stands in links and markup around them."""

PACKED_CHARACTERS = 4_200_000
"""Characters of packed rows: with all the rest the page stays below 5 MB."""

CHUNK_ROWS = 2_000

MAX_COLUMNS = 20
"""``keep_columns`` that are shown."""

LONGEST_CELL = 200

_ENDED_BADLY = {
    status.value
    for status in (
        *(RecordStatus.FAILED, RecordStatus.CANCELLED, RecordStatus.NOT_SUBMITTED),
        *(RecordStatus.INCOMPLETE, RecordStatus.UNKNOWN),
    )
}


@dataclass(frozen=True)
class SampleRow:
    """A sample in the table. An unknown value is None; every text is printable.

    :param sample: its ``runSettingId``.
    :param status: as the results file spells it; of one that has not ended, AWS's status of its run.
    :param cause: why it did not complete.
    :param attempt: how often it was submitted.
    :param waited: seconds from the creation of its batch to the start of its run.
    :param ran: seconds that its run took.
    :param run_id: its run.
    :param output_uri: where its outputs are.
    :param cost: what its runs cost, those of earlier attempts included, in USD.
    :param kept: values of the columns that the sheet keeps, in the order of :attr:`SampleTable.columns`.
    """

    sample: str
    status: str
    cause: str | None = None
    attempt: int | None = None
    waited: int | None = None
    ran: int | None = None
    run_id: str | None = None
    output_uri: str | None = None
    cost: float | None = None
    kept: tuple[str, ...] = ()

    @property
    def ended_badly(self) -> bool:
        """Whether it has ended, and not well."""
        return self.status in _ENDED_BADLY


PACKED_FIELDS = ("sample", "status", "cause", "attempt", "waited", "ran", "run_id", "output_uri", "cost", "kept")
"""The members of a packed chunk, a list each: the script reads them by these names."""


@dataclass(frozen=True)
class SampleTable:
    """The samples of a page.

    :param columns: names of the columns that the sheet keeps.
    :param first: the rows that stand in the page, those that ended badly first.
    :param chunks: all rows in the same order: each chunk is JSON (field -> values), packed with gzip, as base64.
    :param total: number of samples.
    :param packed: number of rows in ``chunks``; fewer than ``total`` where they would make the page too large.
    """

    columns: tuple[str, ...]
    first: tuple[SampleRow, ...]
    chunks: tuple[str, ...]
    total: int
    packed: int

    @property
    def has_cost(self) -> bool:
        """Whether any row of the page has a cost."""
        return any(row.cost is not None for row in self.first)


class SampleTableWriter:
    """Collects a table row by row; rows are packed as they come, so 100,000 of them need little memory."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._bad, self._other = _Rows(), _Rows()

    def add(self, record: Mapping[str, Any], times: RunTimes) -> SampleRow:
        """Add a sample.

        :param record: its record, as a line of a results file.
        :param times: those of its run.
        :return: its row.
        """
        kept = record.get("row") or {}
        for name in kept:
            if name not in self._columns and len(self._columns) < MAX_COLUMNS:
                self._columns[name] = len(self._columns)
        status = str(record["status"])
        row = SampleRow(
            sample=_cell(record["run_setting_id"]),
            status=visible(status),
            cause=_cell(_cause(record)) if status in _ENDED_BADLY else None,
            attempt=record.get("attempt"),
            waited=times.waited,
            ran=times.ran,
            run_id=_known(record.get("run_id")),
            output_uri=None if record.get("output_uri") is None else visible(str(record["output_uri"])),
            cost=sample_usd(record),
            kept=tuple(_cell("" if kept.get(name) is None else kept[name]) for name in self._columns),
        )
        (self._bad if row.ended_badly else self._other).add(row)
        return row

    def finish(self) -> SampleTable:
        """Return the table of all rows that were added."""
        first: list[SampleRow] = []
        characters = 0
        for row in (*self._bad.first, *self._other.first):
            characters += sum(len(str(value)) for value in vars(row).values())
            if len(first) == FIRST_ROWS or characters > FIRST_CHARACTERS:
                break
            first.append(row)
        chunks, size, packed = [], 0, 0
        for chunk, rows in (*self._bad.chunks(), *self._other.chunks()):
            size += len(chunk)
            if size > PACKED_CHARACTERS:
                break
            chunks.append(chunk)
            packed += rows
        columns = tuple(_cell(name) for name in self._columns)
        return SampleTable(columns, tuple(first), tuple(chunks), self._bad.total + self._other.total, packed)


@dataclass(frozen=True)
class RunTimes:
    """Moments of a run, in seconds since 1970; None: not known, or not yet.

    :param created: when its batch was created, which is where its wait begins.
    :param started: when it began to run.
    :param stopped: when it ended.
    """

    created: float | None = None
    started: float | None = None
    stopped: float | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> RunTimes:
        """Read them from a record.

        :param record: a line of a results file.
        """
        names = ("batch_created_at", "started_at", "stopped_at")
        return cls(*(_moment(record.get(name)) for name in names))

    @property
    def waited(self) -> int | None:
        """Seconds from the creation of the batch to the start of the run."""
        return _whole(self.created, self.started)

    @property
    def ran(self) -> int | None:
        """Seconds from the start to the end of the run."""
        return _whole(self.started, self.stopped)


class _Rows:
    """Rows in the order in which they came: the first as they are, all of them packed."""

    def __init__(self) -> None:
        self.first: list[SampleRow] = []
        self.total = 0
        self._open: list[SampleRow] = []
        self._packed: list[tuple[str, int]] = []

    def add(self, row: SampleRow) -> None:
        self.total += 1
        if len(self.first) < FIRST_ROWS:
            self.first.append(row)
        self._open.append(row)
        if len(self._open) == CHUNK_ROWS:
            self._pack()

    def chunks(self) -> Iterator[tuple[str, int]]:
        if self._open:
            self._pack()
        yield from self._packed

    def _pack(self) -> None:
        lists = {name: [getattr(row, name) for row in self._open] for name in PACKED_FIELDS}
        text = json.dumps(lists, separators=(",", ":"), ensure_ascii=False).encode()
        # No time within: the same rows make the same page.
        self._packed.append((base64.b64encode(gzip.compress(text, 6, mtime=0)).decode(), len(self._open)))
        self._open = []


def _cause(record: Mapping[str, Any]) -> str:
    """Write the cause as its group has it."""
    known = record.get("cause")
    code, task = read_cause(known) if known else (record.get("failure_reason"), None)
    return cause_of(str(record["status"]), code, task)


def _known(value: Any) -> str | None:
    return None if value is None or value == "" else _cell(value)


def _cell(value: Any) -> str:
    text = visible(str(value))
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."


def _moment(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _whole(begin: float | None, end: float | None) -> int | None:
    return None if begin is None or end is None else max(round(end - begin), 0)
