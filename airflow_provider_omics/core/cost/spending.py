"""What a team spent, over all results files of a place and their ledgers: by month, and by what records tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus
from airflow_provider_omics.core.cost.cohort import CostCounter, RunPrice
from airflow_provider_omics.core.cost.reckoning import NO_MANIFEST, NO_MANIFEST_YET

BY = (
    *("dag_id", "dag_run_id", "task_id", "batch_id", "workflow_id", "workflow_version_name"),
    *("status", "cause", "run_setting_id"),
)
"""Members of a record by which spending is told; and ``row.NAME`` by a column that the sheet keeps."""

ROW = "row."

NEEDED = (
    *BY,
    *("row", "run_uuid", "status_before_removal", "stopped_at", "batch_created_at"),
    *("cost_usd", "cost_unknown", "prices_as_of", "earlier_runs"),
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
    """Adds runs up: those of records first, then those that only a ledger tells of, or tells the cost of.

    A run that several files have, as a carried result has been copied, counts once, with its cost if any has it.

    :param by: one of :data:`BY`, or ``row.NAME``.
    :param month: only runs that ended in it (UTC): ``"2026-11"``; None: all.
    """

    def __init__(self, by: str, month: str | None = None) -> None:
        self._by = by
        self._month = month
        self._groups: dict[str, _Group] = {}
        self._whole = _Group()
        self._samples: dict[tuple[str, str], str] = {}
        self._unpriced: dict[str, tuple[str, RunPrice, bool]] = {}
        self._seen: set[str] = set()
        self._recorded: set[str] = set()

    def add(self, records: Iterable[Mapping[str, Any]], results: str = "") -> None:
        """Add the records of a results file.

        :param records: lines of the file.
        :param results: names the file, as entries of its ledger do. Default: it has none.
        """
        for record in records:
            sample = _sample_of(record)
            if self._by not in _OF_RUN:
                self._samples.setdefault((results, sample), self._name(record, record))
            earlier = [run for run in record.get("earlier_runs") or () if isinstance(run, Mapping)]
            for run in (*earlier, record):
                ended = run.get("stopped_at") or run.get("batch_created_at") or record.get("batch_created_at")
                if self._is_wanted(ended):
                    group, as_of = self._name(run, record), record.get("prices_as_of")
                    self._add(group, _price(sample, run), as_of, is_reckoned=_is_reckoned(run))
                elif run.get("run_uuid") is not None:
                    self._seen.add(str(run["run_uuid"]))  # its entry in a ledger need not be read

    def needs(self, run_uuid: str) -> bool:
        """Take note that a run has its entry in a ledger, and tell whether the entry has to be read.

        :param run_uuid: of the run.
        :return: whether no record tells of the run, or none what it cost.
        """
        self._recorded.discard(run_uuid)
        _, _, is_reckoned = self._unpriced.get(run_uuid, ("", None, True))
        return run_uuid not in self._seen or not is_reckoned

    def add_entry(
        self, run: Mapping[str, Any], usd: float | None, prices_as_of: str | None = None, results: str = ""
    ) -> None:
        """Add a run that is in a ledger.

        :param run: what a record would say of it, as :class:`airflow_provider_omics.core.cost.ledger.LedgerRun` has it.
        :param usd: what it cost; None: not known.
        :param prices_as_of: when the prices were read. Default: not known.
        :param results: the results file that its entry lies beside. Default: not known.
        """
        known = self._unpriced.get(run["run_uuid"])
        if known is not None:
            group, price, _ = known
            self._add(group, replace(price, usd=usd), prices_as_of)
        elif run["run_uuid"] not in self._seen and self._is_wanted(run.get("stopped_at")):
            sample = _sample_of(run) if run.get("run_setting_id") else ""
            group = self._samples.get((results, sample)) or self._name(run, run)
            self._add(group, replace(_price(sample, run), usd=usd), prices_as_of)
        self._recorded.discard(run["run_uuid"])

    @property
    def recorded_only(self) -> int:
        """How many of the runs that were added are in no ledger."""
        return len(self._recorded)

    def rows(self) -> list[Spending]:
        """Return a row for each group, the dearest first."""
        self._settle()
        rows = [group.spending(name) for name, group in self._groups.items()]
        return sorted(rows, key=lambda row: (-row.usd, row.group))

    def total(self) -> Spending:
        """Return the sum of all."""
        self._settle()
        return self._whole.spending("total")

    def _is_wanted(self, ended: Any) -> bool:
        return self._month is None or str(ended).startswith(self._month)

    def _add(self, group: str, run: RunPrice, prices_as_of: str | None, *, is_reckoned: bool = False) -> None:
        uuid = run.run_uuid
        if uuid is None:
            self._count(group, run, None)
        elif run.usd is not None:
            if uuid not in self._seen or self._unpriced.pop(uuid, None) is not None:
                self._count(group, run, prices_as_of)
        elif uuid not in self._seen:
            self._unpriced[uuid] = group, run, is_reckoned
        if uuid is not None and uuid not in self._seen:
            self._seen.add(uuid)
            self._recorded.add(uuid)

    def _settle(self) -> None:
        """Count the runs whose cost nobody has told."""
        for group, run, _ in self._unpriced.values():
            self._count(group, run, None)
        self._unpriced = {}

    def _count(self, group: str, run: RunPrice, prices_as_of: str | None) -> None:
        for each in (self._groups.setdefault(group, _Group()), self._whole):
            each.add(run, prices_as_of)

    def _name(self, run: Mapping[str, Any], record: Mapping[str, Any]) -> str:
        if self._by.startswith(ROW):
            value = (record.get("row") or {}).get(self._by.removeprefix(ROW))
        elif self._by in _OF_RUN:
            value = run.get(self._by)
        else:
            value = record.get(self._by)
        return "" if value is None else str(value)


_OF_RUN = ("status", "cause", "batch_id")
"""Members that each attempt has of its own; the others are those of its sample's record."""


def _sample_of(record: Mapping[str, Any]) -> str:
    return f"{record.get('workflow_id') or ''}/{record['run_setting_id']}"


def _price(sample: str, run: Mapping[str, Any]) -> RunPrice:
    status = run.get("status_before_removal") or run.get("status") or RecordStatus.UNKNOWN.value
    return RunPrice.from_record({**run, "run_setting_id": sample, "status": status})


def _is_reckoned(run: Mapping[str, Any]) -> bool:
    """Whether a cost that is not known was reckoned from a manifest: the ledger has the same one."""
    unknown = run.get("cost_unknown") or ()
    return bool(unknown) and not {NO_MANIFEST, NO_MANIFEST_YET} & set(unknown)
