"""The results of a batch while they are collected: in a temporary file, so that memory is the same for any batch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from airflow_provider_omics.core.run_record import RunRecord, Sample, Submission

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8000;
CREATE TABLE sample (id TEXT PRIMARY KEY, fingerprint TEXT, row TEXT, carried TEXT, reason TEXT, removed INTEGER);
CREATE TABLE submission (id TEXT PRIMARY KEY, run_id TEXT, run_uuid TEXT, status TEXT, reason TEXT, message TEXT);
CREATE TABLE listed (run_id TEXT PRIMARY KEY, item TEXT);
CREATE TABLE record (id TEXT PRIMARY KEY, batch_id TEXT, status TEXT, reason TEXT, line TEXT);
"""


class ResultsStore:
    """Samples, submissions, listed runs and records of a batch, in a database that is gone with the process.

    SQLite keeps it in a temporary file without a name, and 8 MB of it in memory.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Remove the temporary file."""
        self._database.close()

    # -- what is known before -------------------------------------------------------------------------------------

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Add what is known of the run settings."""
        rows = (
            (item.run_setting_id, item.fingerprint, json.dumps(dict(item.row)), item.carried, item.reason, item.removed)
            for item in samples
        )
        self._database.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?, ?, ?)", rows)

    def sample(self, run_setting_id: str) -> Sample | None:
        """Give what is known of a run setting; None: nothing is."""
        found = self._one("SELECT * FROM sample WHERE id = ?", run_setting_id)
        return None if found is None else _sample(found)

    def samples(self) -> Iterator[Sample]:
        """Give what is known of the run settings, in the order in which it came."""
        with closing(self._database.execute("SELECT * FROM sample ORDER BY rowid")) as rows:
            for row in rows:
                yield _sample(row)

    # -- what is listed -------------------------------------------------------------------------------------------

    def add_submissions(self, submissions: Iterable[Submission]) -> None:
        """Add what ListRunsInBatch tells."""
        rows = (
            (item.run_setting_id, item.run_id, item.run_uuid, item.status, item.failure_reason, item.message)
            for item in submissions
        )
        self._database.executemany("INSERT OR REPLACE INTO submission VALUES (?, ?, ?, ?, ?, ?)", rows)

    def submissions(self) -> Iterator[Submission]:
        """Give the submissions, in the order in which they were listed."""
        with closing(self._database.execute("SELECT * FROM submission ORDER BY rowid")) as rows:
            for row in rows:
                yield Submission(*row)

    def never_submitted(self) -> Iterator[str]:
        """Give the ``runSettingId``s of samples whose submission was not listed."""
        query = "SELECT id FROM sample WHERE id NOT IN (SELECT id FROM submission) ORDER BY rowid"
        with closing(self._database.execute(query)) as rows:
            for (run_setting_id,) in rows:
                yield run_setting_id

    def add_listed(self, items: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Add runs that ListRuns has told: id and snapshot as a payload."""
        rows = ((run_id, json.dumps(payload)) for run_id, payload in items)
        self._database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", rows)

    def listed(self, run_id: str) -> dict[str, Any] | None:
        """Give the payload of a listed run; None: it was not listed."""
        found = self._one("SELECT item FROM listed WHERE run_id = ?", run_id)
        return None if found is None else json.loads(found[0])

    def count_listed(self) -> int:
        """Count the listed runs."""
        count: int = self._database.execute("SELECT COUNT(*) FROM listed").fetchone()[0]
        return count

    # -- records --------------------------------------------------------------------------------------------------

    def put(self, record: RunRecord) -> None:
        """Add a record, or put it in the place of the one of the same ``runSettingId``."""
        self._insert(
            "ON CONFLICT (id) DO UPDATE SET batch_id = excluded.batch_id, status = excluded.status,"
            " reason = excluded.reason, line = excluded.line",
            record,
        )

    def add_missing(self, records: Iterable[RunRecord]) -> None:
        """Add the records whose ``runSettingId`` has none yet."""
        for record in records:
            self._insert("ON CONFLICT (id) DO NOTHING", record)

    def record(self, run_setting_id: str) -> RunRecord | None:
        """Give the record of a run setting; None: it has none."""
        found = self._one("SELECT line FROM record WHERE id = ?", run_setting_id)
        return None if found is None else RunRecord.from_json(json.loads(found[0]))

    def lines(self) -> Iterator[dict[str, Any]]:
        """Give all records as JSON objects, in the order in which they came."""
        with closing(self._database.execute("SELECT line FROM record ORDER BY rowid")) as rows:
            for (line,) in rows:
                yield json.loads(line)

    def counts(self, batch_id: str) -> dict[str, int]:
        """Count the records of a batch by status."""
        query = "SELECT status, COUNT(*) FROM record WHERE batch_id = ? GROUP BY status"
        return dict(self._database.execute(query, (batch_id,)).fetchall())

    def ends(self, batch_id: str) -> dict[tuple[str, str | None], int]:
        """Count the records of a batch by status and the code that decides."""
        query = "SELECT status, reason, COUNT(*) FROM record WHERE batch_id = ? GROUP BY status, reason"
        return {(status, reason): count for status, reason, count in self._database.execute(query, (batch_id,))}

    def _insert(self, otherwise: str, record: RunRecord) -> None:
        line = json.dumps(record.to_json(), separators=(",", ":"))
        row = (record.run_setting_id, record.batch_id, record.status.value, record.failure_code, line)
        self._database.execute(f"INSERT INTO record VALUES (?, ?, ?, ?, ?) {otherwise}", row)  # noqa: S608 - our own text

    def _one(self, query: str, value: str) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(query, (value,)).fetchone()
        return found


def _sample(row: tuple[Any, ...]) -> Sample:
    run_setting_id, fingerprint, kept, carried, reason, removed = row
    return Sample(run_setting_id, fingerprint, json.loads(kept), carried, reason, bool(removed))
