"""What a team spent, over all results files of a place: by month, and by whatever its records tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus
from airflow_provider_omics.core.cost.cohort import CostCounter, RunPrice

BY = (
    *("dag_id", "dag_run_id", "task_id", "batch_id", "workflow_id", "workflow_version_name"),
    *("status", "cause", "run_setting_id"),
)
"""Members of a record by which spending is told; and ``row.NAME`` by a column that the sheet keeps."""

ROW = "row."

NEEDED = (
    *BY,
    *("row", "run_uuid", "status_before_removal", "stopped_at", "batch_created_at"),
    *("cost_usd", "prices_as_of", "earlier_runs"),
)
"""Members of a record that a table reads: the others need not be kept in memory."""


@dataclass(frozen=True)
class Spending:
    """What one group of runs cost.

    :param group: the value that its runs share; empty: they have none.
    :param samples: its samples.
    :param attempts: its runs, of all attempts.
    :param failed_usd: what went into runs that did not complete.
    :param usd: what all cost whose cost is known.
    :param unpriced: runs whose cost is not known: they are in no sum.
    :param prices_as_of: when the prices were read: a date, or the first and the last. Empty: not known.
    """

    group: str
    samples: int
    attempts: int
    failed_usd: float
    usd: float
    unpriced: int
    prices_as_of: str


@dataclass
class _Group:
    counter: CostCounter = field(default_factory=CostCounter)
    dates: set[str] = field(default_factory=set)

    def add(self, run: RunPrice, prices_as_of: str | None) -> None:
        self.counter.add(run)
        if run.usd is not None and prices_as_of:
            self.dates.add(prices_as_of)

    def spending(self, name: str) -> Spending:
        cost = self.counter.result()
        dates = sorted(self.dates)
        as_of = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""
        return Spending(name, cost.samples, cost.runs, cost.failed_usd, cost.usd, cost.unpriced_runs, as_of)


class SpendingTable:
    """Adds records up; a run that several files have, as a carried result has been copied, counts once.

    :param by: one of :data:`BY`, or ``row.NAME``.
    :param month: only runs that ended in it: ``"2026-11"``; None: all.
    """

    def __init__(self, by: str, month: str | None = None) -> None:
        self._by = by
        self._month = month
        self._groups: dict[str, _Group] = {}
        self._whole = _Group()
        self._seen: set[str] = set()

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add the records of a results file.

        :param records: lines of the file.
        """
        for record in records:
            sample = f"{record.get('workflow_id') or ''}/{record['run_setting_id']}"
            earlier = [run for run in record.get("earlier_runs") or () if isinstance(run, Mapping)]
            for run in (*earlier, record):
                ended = str(run.get("stopped_at") or run.get("batch_created_at") or record.get("batch_created_at"))
                if self._month is None or ended.startswith(self._month):
                    self._add(sample, run, record)

    def rows(self) -> list[Spending]:
        """Return a row for each group, the dearest first."""
        rows = [group.spending(name) for name, group in self._groups.items()]
        return sorted(rows, key=lambda row: (-row.usd, row.group))

    def total(self) -> Spending:
        """Return the sum of all."""
        return self._whole.spending("total")

    def _add(self, sample: str, run: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        run_uuid = run.get("run_uuid")
        if run_uuid is not None and run_uuid in self._seen:
            return
        self._seen.add(str(run_uuid))
        group = self._groups.setdefault(self._name(run, record), _Group())
        status = run.get("status_before_removal") or run.get("status") or RecordStatus.UNKNOWN.value
        price = RunPrice.from_record({**run, "run_setting_id": sample, "status": status})
        for each in (group, self._whole):
            each.add(price, record.get("prices_as_of"))

    def _name(self, run: Mapping[str, Any], record: Mapping[str, Any]) -> str:
        if self._by.startswith(ROW):
            value = (record.get("row") or {}).get(self._by.removeprefix(ROW))
        elif self._by in ("status", "cause", "batch_id"):
            value = run.get(self._by)
        else:
            value = record.get(self._by)
        return "" if value is None else str(value)
