"""The results of a batch while they are collected: in a temporary file, so that memory is the same for any batch."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from airflow_provider_omics.core.batch.collect import supersedes
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample, Submission

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8000;
CREATE TABLE batch (id TEXT, workflow TEXT);
CREATE TABLE sample (
  id TEXT PRIMARY KEY, fingerprint TEXT, row TEXT, carried TEXT, reason TEXT, removed INTEGER, unclear INTEGER,
  run_id TEXT, message TEXT, workflow TEXT, inputs TEXT
);
CREATE TABLE submission (id TEXT PRIMARY KEY, run_id TEXT, run_uuid TEXT, status TEXT, reason TEXT, message TEXT);
CREATE TABLE listed (run_id TEXT PRIMARY KEY, item TEXT);
CREATE TABLE record (
  id TEXT, workflow TEXT, beside INTEGER, fingerprint TEXT, batch_id TEXT, status TEXT, ended TEXT, line TEXT,
  changed INTEGER, read TEXT, place INTEGER, inputs TEXT,
  PRIMARY KEY (id, workflow, beside)
);
CREATE VIEW counting AS
  SELECT id, record_id, same FROM (
    SELECT
      sample.id, record.rowid AS record_id, record.fingerprint IS sample.fingerprint AS same,
      ROW_NUMBER() OVER (
        PARTITION BY sample.id
        ORDER BY record.fingerprint = sample.fingerprint AND record.ended = 'COMPLETED'
            AND COALESCE(record.inputs = sample.inputs, TRUE) DESC,
          record.batch_id IS batch.id DESC, record.beside, record.rowid
      ) AS number
    FROM (
      SELECT id, fingerprint, workflow, inputs FROM sample
      UNION ALL
      SELECT id, NULL, NULL, NULL FROM submission WHERE id NOT IN (SELECT id FROM sample)
    ) AS sample
    JOIN record ON record.id = sample.id
    LEFT JOIN batch ON TRUE
    WHERE record.batch_id IS batch.id
      OR (record.fingerprint IS sample.fingerprint AND COALESCE(record.inputs = sample.inputs, TRUE)
        AND record.workflow IS COALESCE(sample.workflow, batch.workflow))
  ) WHERE number = 1;
CREATE VIEW cohort AS
  SELECT
    member.id, member.place, sample.carried, sample.reason, sample.run_id, sample.message,
    COALESCE(sample.unclear, 0) AS unclear, record.line,
    COALESCE(NULLIF(record.ended, 'REMOVED'), sample.carried) AS ended
  FROM (
    SELECT id, rowid AS place FROM submission
    UNION ALL
    SELECT id, 1000000 + rowid FROM sample WHERE NOT removed AND id NOT IN (SELECT id FROM submission)
  ) AS member
  LEFT JOIN sample ON sample.id = member.id
  LEFT JOIN counting ON counting.id = member.id
  LEFT JOIN record ON record.rowid = counting.record_id;
"""
# record.beside: of the batch, and not in the file, which has a record of the same sample by another task.
# record.read: of a record that was changed here, the line that the file had of it. record.place: its line in the file.
# counting: of each sample the record that counts, as core.batch.evidence decides it before the batch is started.

_PUT = """
INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, NULL, NULL, ?)
ON CONFLICT (id, workflow, beside) DO UPDATE SET
  fingerprint = excluded.fingerprint, batch_id = excluded.batch_id, status = excluded.status, ended = excluded.ended,
  inputs = excluded.inputs, line = excluded.line, changed = 1, read = CASE WHEN changed THEN read ELSE line END
"""
_TAKE = """
INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, NULL, ?, ?)
ON CONFLICT (id, workflow, beside) DO UPDATE SET
  fingerprint = excluded.fingerprint, batch_id = excluded.batch_id, status = excluded.status, ended = excluded.ended,
  inputs = excluded.inputs, line = excluded.line, changed = 0, read = NULL, place = excluded.place
"""
_LINES = "SELECT line FROM record WHERE NOT beside ORDER BY place IS NULL, place, rowid"


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

    def add_samples(self, samples: Iterable[Sample]) -> None:
        """Add the run settings, as they are known before their start."""
        rows = (
            (
                item.run_setting_id,
                item.fingerprint,
                json.dumps(dict(item.row)),
                item.carried,
                item.reason,
                item.removed,
                item.unclear,
                item.run_id,
                item.message,
                item.workflow,
                item.inputs,
            )
            for item in samples
        )
        self._database.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def set_batch(self, batch_id: str, workflow: str | None) -> None:
        """Say which batch is collected, and of which workflow: of two records of a sample the cohort has its own."""
        self._database.execute("DELETE FROM batch")
        self._database.execute("INSERT INTO batch VALUES (?, ?)", (batch_id, workflow or ""))

    def sample(self, run_setting_id: str) -> Sample | None:
        """Return a run setting; None: it is unknown."""
        found = self._one("SELECT * FROM sample WHERE id = ?", run_setting_id)
        return None if found is None else _sample(found)

    def samples(self) -> Iterator[Sample]:
        """Yield the run settings, in the order in which they came."""
        with closing(self._database.execute("SELECT * FROM sample ORDER BY rowid")) as rows:
            for row in rows:
                yield _sample(row)

    def add_submissions(self, submissions: Iterable[Submission]) -> None:
        """Add submissions from ListRunsInBatch."""
        rows = (
            (item.run_setting_id, item.run_id, item.run_uuid, item.status, item.failure_reason, item.message)
            for item in submissions
        )
        self._database.executemany("INSERT OR REPLACE INTO submission VALUES (?, ?, ?, ?, ?, ?)", rows)

    def submissions(self) -> Iterator[Submission]:
        """Yield the submissions, in the order in which they were listed."""
        with closing(self._database.execute("SELECT * FROM submission ORDER BY rowid")) as rows:
            for row in rows:
                yield Submission(*row)

    def count_submissions_with_run(self) -> int:
        """Count the submissions that have become runs."""
        query = "SELECT COUNT(*) FROM submission WHERE run_id IS NOT NULL"
        count: int = self._database.execute(query).fetchone()[0]
        return count

    def never_submitted(self) -> Iterator[str]:
        """Yield the ``runSettingId``s of samples that were to be submitted, and whose submission was not listed."""
        query = """
            SELECT id FROM sample WHERE carried IS NULL AND NOT removed AND id NOT IN (SELECT id FROM submission)
            ORDER BY rowid
        """
        with closing(self._database.execute(query)) as rows:
            for (run_setting_id,) in rows:
                yield run_setting_id

    def add_listed(self, items: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Add runs from ListRuns: id and snapshot as a payload."""
        rows = ((run_id, json.dumps(payload)) for run_id, payload in items)
        self._database.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", rows)

    def listed(self, run_id: str) -> dict[str, Any] | None:
        """Return the payload of a listed run; None: it was not listed."""
        found = self._one("SELECT item FROM listed WHERE run_id = ?", run_id)
        return None if found is None else json.loads(found[0])

    def count_listed(self) -> int:
        """Count the listed runs."""
        count: int = self._database.execute("SELECT COUNT(*) FROM listed").fetchone()[0]
        return count

    def take(self, records: Iterable[RunRecord]) -> None:
        """Take in the records of the file as it is now.

        What was changed here since the file was last read stays, unless somebody has changed it there as well, and the
        file's is of a later batch, or tells more. Each keeps the line that it has in the file. A record of the batch
        that another task has replaced in the file since is kept beside it.

        :param records: all of the file.
        """
        batch = self._one("SELECT id FROM batch")
        for place, record in enumerate(records):
            row = _row(record)
            found = self._one(
                "SELECT line, changed, read, batch_id FROM record WHERE id = ? AND workflow = ? AND NOT beside",
                *row[:2],
            )
            if found is not None and found[1]:
                is_mine = found[2] == row[-1]
                if is_mine or not supersedes(record, RunRecord.from_json(json.loads(found[0]))):
                    keep = "UPDATE record SET read = ?, place = ? WHERE id = ? AND workflow = ? AND NOT beside"
                    self._database.execute(keep, (row[-1], place, *row[:2]))
                    continue
            if found is not None and batch is not None and record.batch_id != batch[0] == found[3]:
                before = RunRecord.from_json(json.loads(found[0]))
                if before.maker != record.maker:
                    self.put(before, beside=True)
            self._database.execute(_TAKE, (*row, place, record.inputs))

    def put(self, record: RunRecord, *, beside: bool = False) -> None:
        """Add a record, or put it in the place of the one of the same workflow and ``runSettingId``.

        :param record: the record.
        :param beside: it is not for the file, which has a record of the same sample by another task. Default False.
        """
        self._database.execute(_PUT, (*_row(record, beside=beside), record.inputs))

    def written(self) -> None:
        """Note that the file has the same records."""
        self._database.execute("UPDATE record SET changed = 0, read = NULL WHERE changed")

    def record(self, run_setting_id: str, workflow: str | None, *, beside: bool = False) -> RunRecord | None:
        """Give the record of a run setting; None: it has none.

        :param run_setting_id: the sample.
        :param workflow: its workflow.
        :param beside: that which is not for the file. Default False.
        """
        query = "SELECT line FROM record WHERE id = ? AND workflow = ? AND beside = ?"
        found = self._one(query, run_setting_id, workflow or "", beside)
        return None if found is None else RunRecord.from_json(json.loads(found[0]))

    def records_of(self, run_setting_id: str) -> list[RunRecord]:
        """Give all records of a run setting, of whatever workflow: those of the file, then those beside it."""
        query = "SELECT line FROM record WHERE id = ? ORDER BY beside, rowid"
        with closing(self._database.execute(query, (run_setting_id,))) as rows:
            return [RunRecord.from_json(json.loads(line)) for (line,) in rows]

    def records(self, batch_id: str) -> Iterator[RunRecord]:
        """Yield the records of a batch, in the order in which they came."""
        query = "SELECT line FROM record WHERE batch_id = ? ORDER BY rowid"
        with closing(self._database.execute(query, (batch_id,))) as rows:
            for (line,) in rows:
                yield RunRecord.from_json(json.loads(line))

    def lines(self) -> Iterator[dict[str, Any]]:
        """Give all records as JSON objects: those of the file in its order, then the new ones."""
        with closing(self._database.execute(_LINES)) as rows:
            for (line,) in rows:
                yield json.loads(line)

    def counts(self, batch_id: str) -> dict[str, int]:
        """Count the records of a batch by status."""
        query = "SELECT status, COUNT(*) FROM record WHERE batch_id = ? GROUP BY status"
        return dict(self._database.execute(query, (batch_id,)).fetchall())

    def cohort_counts(self) -> dict[str | None, int]:
        """Count the samples by how they ended; None: those without a record."""
        return dict(self._database.execute("SELECT ended, COUNT(*) FROM cohort GROUP BY ended").fetchall())

    def count_submitted(self) -> int:
        """Count the samples that the batch submitted, or was to submit."""
        query = "SELECT COUNT(*) FROM cohort WHERE carried IS NULL"
        count: int = self._database.execute(query).fetchone()[0]
        return count

    def not_completed(self) -> Iterator[tuple[Sample, str | None, RunRecord | None]]:
        """Yield the samples that did not complete: each with its status and its record, where it has one.

        First those of the batch that were not submitted, then those that failed, then those that are incomplete, then
        the cancelled ones, then those that nobody can tell of; then in the same order those that earlier attempts have
        left.
        """
        query = """
            SELECT id, carried, reason, unclear, run_id, message, ended, line FROM cohort WHERE ended IS NOT 'COMPLETED'
            ORDER BY carried IS NOT NULL,
              CASE ended WHEN 'NOT_SUBMITTED' THEN 0 WHEN 'FAILED' THEN 1 WHEN 'INCOMPLETE' THEN 2
                WHEN 'CANCELLED' THEN 3 ELSE 4 END, place
        """
        with closing(self._database.execute(query)) as rows:
            for name, carried, reason, unclear, run_id, message, ended, line in rows:
                sample = Sample(name, carried=carried, reason=reason, unclear=unclear, run_id=run_id, message=message)
                yield sample, ended, None if line is None else RunRecord.from_json(json.loads(line))

    def members(self) -> Iterator[dict[str, Any]]:
        """Yield each sample's record as a JSON object, with its present end; a short one where it has no record."""
        with closing(self._database.execute("SELECT id, ended, line FROM cohort ORDER BY place")) as rows:
            for name, ended, line in rows:
                record = {"run_setting_id": name} if line is None else json.loads(line)
                yield {**record, "status": ended or RecordStatus.UNKNOWN.value}

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return found


def _row(record: RunRecord, *, beside: bool = False) -> tuple[Any, ...]:
    line = json.dumps(record.to_json(), separators=(",", ":"))
    ends = record.status.value, record.end.value, line
    return record.run_setting_id, record.workflow or "", beside, record.fingerprint, record.batch_id, *ends


def _sample(row: tuple[Any, ...]) -> Sample:
    run_setting_id, fingerprint, kept, carried, reason, removed, *left = row
    return Sample(run_setting_id, fingerprint, json.loads(kept), carried, reason, bool(removed), *left)
