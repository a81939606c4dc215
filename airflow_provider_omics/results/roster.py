"""The roster of a batch that is going: its runs, and what each has come to, in a small file beside the results.

It spares a collection the lists that it has read before, and the records that the results file has already. Whatever
it says of the results is true of one version of that file only, which it names; of another one it is made anew.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Collection as AnyCollection
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import IO, Any

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Submission
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.results.file import JsonLinesFile, beside, parsed_line

ROSTER = (
    "the roster of a batch",
    "Delete it: it is made anew from the results file and from HealthOmics.",
)

ROSTER_NAME = ".roster.jsonl.gz"

ROWS = 1_000
"""Rows in a line: few lines are quick to read, and one of them is little to hold."""

RECORDED, LEFT = "RECORDED", "LEFT"
"""States of a run that needs no look any more while its batch goes: the results file has its record; or what can be
told of it is for the end, as its record is gone at HealthOmics, or the file has another one of its sample."""


_OPEN_ROW = re.compile(rb'\["(?!RECORDED"|LEFT")')
"""The beginning of a row in another state: within a name, a quote has a backslash before it."""

Row = list[Any]
"""State, ``runSettingId``, run id, run uuid, submission status, AWS's code and message of a submission that failed. A
plain list: 100,000 of them are read and written at each stretch."""


def row_of(state: str, submission: Submission) -> Row:
    """Make a row.

    :param state: of the run setting.
    :param submission: how it was submitted.
    """
    one = submission
    row = [state, one.run_setting_id, one.run_id, one.run_uuid, one.status]
    return [*row, one.failure_reason, one.message] if one.failure_reason or one.message else row


def submission_of(row: Row) -> Submission:
    """Read how the run setting of a row was submitted.

    :param row: the row.
    """
    return Submission(*row[1:])


def key_of(row: Row) -> str:
    """Identify a row.

    :param row: the row.
    """
    return row[2] or f"/{row[1]}"


def run_key(run_id: str | None, run_setting_id: str) -> str:
    """Identify a run as :func:`key_of` does.

    :param run_id: its id; None: there is no run.
    :param run_setting_id: identifies the run setting then.
    """
    return run_id or f"/{run_setting_id}"


@dataclass
class Tally:
    """The records of a batch that the results file has, summed up.

    :param etag: S3's mark of the version of the results file that has them; None: there is no file yet.
    :param shared: the file has records of other batches too. Default False.
    :param ends: how many, by status.
    :param durations: seconds that completed runs took, to two digits: how many took so long.
    :param causes: how many did not complete, by cause.
    :param reported: how many there were when the page was last written.
    """

    etag: str | None = None
    shared: bool = False
    ends: Counter[str] = field(default_factory=Counter)
    durations: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    reported: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record.

        :param record: as a line of the file.
        """
        self.ends[record["status"]] += 1
        if record["status"] == RecordStatus.COMPLETED and record.get("started_at") and record.get("stopped_at"):
            began, ended = (datetime.fromisoformat(record[name]) for name in ("started_at", "stopped_at"))
            self.durations[f"{(ended - began).total_seconds():.1e}"] += 1
        elif record["status"] != RecordStatus.COMPLETED:
            self.causes[record.get("cause") or record["status"]] += 1

    @property
    def median(self) -> float | None:
        """Seconds that half of the completed runs took at most; None: none has completed."""
        left = self.durations.total() / 2
        for seconds, number in sorted((float(text), number) for text, number in self.durations.items()):
            left -= number
            if left <= 0:
                return seconds
        return None

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return vars(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tally:
        """Read :meth:`to_json`.

        :raises (KeyError, TypeError, ValueError): it is something else.
        """
        ends, durations, causes = (Counter(value[name]) for name in ("ends", "durations", "causes"))
        return cls(value["etag"], bool(value["shared"]), ends, durations, causes, int(value["reported"]))


class Roster:
    """The roster of one batch; :meth:`close` it. Its rows are in a temporary file, so that memory is the same for any.

    :param hook: the hook whose connection is used.
    :param results: the results file, beside which it lies.
    :param batch: the batch.
    """

    def __init__(self, hook: OmicsHook, results: S3Place, batch: BatchSnapshot) -> None:
        self.tally = Tally()
        self.started = self.refused = self.done = 0
        """Rows with a run, of submissions that failed, and of what needs no look any more."""
        self._batch = batch
        # At each stretch it is written anew, and most of it is ids, which are hardly to be compressed.
        self._file = JsonLinesFile(hook, roster_place(results.uri, batch.id), results.kms_key_id, compression=1)
        self._lines: IO[bytes] = io.BytesIO()

    def close(self) -> None:
        """Remove the temporary file."""
        self._lines.close()

    def read(self) -> None:
        """Read it; where there is none, or one of another batch with this id, it stays empty.

        :raises SettingsError: the file is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        with closing(self._file.read_lines()) as lines:
            head = parsed_line(next(lines, b"{}"), self._file.uri, dict, ROSTER)
            if head.get("batch_uuid") != self._batch.uuid or "tally" not in head:
                return
            self.tally = parsed_line(json.dumps(head["tally"]).encode(), self._file.uri, Tally.from_json, ROSTER)
            self._lines = tempfile.TemporaryFile(prefix="omics-roster-")  # noqa: SIM115 - closed by close()
            self._lines.writelines(lines)
            self.started, self.refused = int(head["started"]), int(head["refused"])

    def write(self) -> None:
        """Write it.

        :raises Conflict: somebody else has written it.
        :raises ServiceError: S3 refused, or did not get through.
        """
        names = {"batch_id": self._batch.id, "batch_uuid": self._batch.uuid}
        head = {**names, "started": self.started, "refused": self.refused, "tally": self.tally.to_json()}
        self._lines.seek(0)
        self._file.replace(chain([head], self._lines))

    def clear(self) -> None:
        """Leave an empty one in the place of one that was written, once the batch has ended.

        :raises ServiceError: S3 refused, or did not get through.
        """
        if self._file.exists:
            self._file.replace([{"batch_id": self._batch.id}])

    def rows(self) -> Iterator[Row]:
        """Yield the rows."""
        self._lines.seek(0)
        for line in self._lines:
            yield from json.loads(line)["rows"]

    def open_rows(self) -> Iterator[Row]:
        """Yield the rows of what needs a look; lines without any are not parsed."""
        self._lines.seek(0)
        for line in self._lines:
            if _OPEN_ROW.search(line):
                yield from (row for row in json.loads(line)["rows"] if row[0] not in (RECORDED, LEFT))

    def without(self, computing: AnyCollection[str]) -> tuple[set[str], int]:
        """Tell what has become of the other runs that need a look.

        :param computing: ids of the runs that compute now.
        :return: ids of those that computed when it was written, and how many have never been seen to.
        """
        stopped, others = set(), 0
        for row in self.open_rows():
            if row[2] and row[2] not in computing:
                if row[0] == RecordStatus.RUNNING:
                    stopped.add(row[2])
                else:
                    others += 1
        return stopped, others

    @property
    def is_whole(self) -> bool:
        """Whether it has all runs that the batch has started, and all that were refused."""
        return bool(self.started) and self.knows_started(self._batch) and self.refused >= self._refused_runs

    @property
    def _refused_runs(self) -> int:
        return self._batch.count("failed_submissions")

    def knows_started(self, batch: BatchSnapshot) -> bool:
        """Whether it has all runs that a batch has started.

        :param batch: as GetBatch shows it.
        """
        return self.started >= batch.count("successful_submissions")

    def recount(self, file: JsonLinesFile, batch_id: str, is_full: bool) -> None:
        """Take what has ended from the results file, which somebody else has written.

        :param file: the results file.
        :param batch_id: of the batch.
        :param is_full: whether records need all that GetRun tells.
        :raises SettingsError: it is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        tally = Tally(reported=self.tally.reported)
        known: dict[str, Row] = {}
        is_of_batch = re.compile(rb'"batch_id":\s*"' + re.escape(batch_id.encode()) + b'"').search
        for line in file.read_lines():
            if b'"run_setting_id"' in line and b'"status"' in line and not is_of_batch(line):
                tally.shared = True  # without a look at more, as others may have 100,000
                continue
            record = parsed_line(line, file.uri, RunRecord.from_json)
            if record.batch_id != batch_id:
                tally.shared = True
                continue
            tally.add(record.to_json())
            is_settled = not record.is_lost and (record.is_full or not is_full)
            one = Submission(record.run_setting_id, record.run_id, record.run_uuid, record.submission_status)
            known[run_key(one.run_id, one.run_setting_id)] = row_of(RECORDED if is_settled else LEFT, one)
        tally.etag, tally.shared = file.etag, tally.shared or not file.is_closed
        open_rows = ([_open(row), *row[1:]] for row in self.rows() if key_of(row) not in known)
        self.tally = tally
        self._replace(self._packed(self._counted(chain(known.values(), open_rows))))

    def add(self, submissions: Iterable[Submission]) -> None:
        """Add submissions, where they are new.

        :param submissions: some or all of them.
        """
        known = {key_of(row) for row in self.rows() if row[4] is not None}
        new = (one for one in submissions if run_key(one.run_id, one.run_setting_id) not in known)
        rows = (row for row in self.rows() if row[4] is not None)
        more = (row_of(RecordStatus.PENDING.value, one) for one in new)
        self._replace(self._packed(self._counted(chain(rows, more))))

    def settle(
        self, states: Mapping[str, str], state_of: Callable[[Row], str], samples: Iterable[str] | None = None
    ) -> None:
        """Note what each has come to.

        :param states: key -> state, of those that need no look any more.
        :param state_of: tells that of the others.
        :param samples: those that are submitted sooner or later. Default: none.
        """
        names: set[str] = set()

        def settled(rows: Iterable[Row]) -> Iterator[Row]:
            for row in rows:
                if row[4] is None and row[0] not in (RECORDED, LEFT):
                    continue  # of a sample that was to be submitted
                if samples is not None:
                    names.add(row[1])
                if row[0] not in (RECORDED, LEFT):
                    row[0] = states.get(key_of(row)) or state_of(row)
                yield row

        def lines() -> Iterator[bytes]:
            self._lines.seek(0)
            for line in self._lines:
                if samples is None and not _OPEN_ROW.search(line):
                    yield line
                else:
                    yield from self._packed(settled(json.loads(line)["rows"]))
            new = (Submission(name) for name in samples or () if name not in names)
            yield from self._packed(row_of(RecordStatus.NOT_YET_SUBMITTED.value, one) for one in new)

        self._replace(lines())

    def _counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        self.started = self.refused = 0
        for row in rows:
            self.started += row[2] is not None
            self.refused += row[2] is None and row[4] is not None
            yield row

    def _packed(self, rows: Iterable[Row]) -> Iterator[bytes]:
        left = iter(rows)
        while chunk := list(islice(left, ROWS)):
            line = {"batch_id": self._batch.id, "rows": chunk}
            yield json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _replace(self, lines: Iterable[bytes]) -> None:
        new: IO[bytes] = tempfile.TemporaryFile(prefix="omics-roster-")  # noqa: SIM115 - closed by close()
        done = 0
        try:
            for line in lines:
                done += sum(line.count(b'["%s"' % state.encode()) for state in (RECORDED, LEFT))
                new.write(line)
        except BaseException:
            new.close()
            raise
        self._lines.close()
        self._lines, self.done = new, done


def roster_place(results_uri: str, batch_id: str) -> str:
    """Return the place beside a results file of the roster of a batch.

    :param results_uri: the results file.
    :param batch_id: the batch.
    :return: ``s3://bucket/key/{batch_id}.roster.jsonl.gz``.
    """
    return beside(results_uri, f"{batch_id}{ROSTER_NAME}")


def unfinished_in(line: Mapping[str, Any]) -> list[RunRecord]:
    """Read a line of a roster: a short record of each sample that has not ended.

    :param line: the line.
    :raises (IndexError, KeyError, TypeError, ValueError): it is something else.
    """
    batch_id = line["batch_id"]
    return [
        RunRecord(row[1], row[2], row[3], RecordStatus(row[0]), submission_status=row[4], batch_id=batch_id)
        for row in line.get("rows", ())
        if row[0] not in (RECORDED, LEFT)
    ]


def _open(row: Row) -> str:
    """Take back that a row was recorded: the file does not have it."""
    return RecordStatus.PENDING.value if row[0] == RECORDED else row[0]
