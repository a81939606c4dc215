"""Collecting the results of a batch: ended runs are read at an even pace, and added to its results file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Collection as AnyCollection
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import Any

from airflow_provider_omics.core.batch.collect import (
    ENDED_STATUSES,
    ResultsDetail,
    all_wait,
    attempt_number,
    completed_if_not_listed,
    has_ended,
    is_beside,
    is_settled,
    leaves_out_runs,
    lists_active_runs,
    pages_are_fewer,
    statuses_to_list,
    supersedes,
)
from airflow_provider_omics.core.batch.sample import (
    STATUS_OF_PHASE,
    BatchOrigin,
    RecordStatus,
    RunRecord,
    Sample,
    Submission,
    unfit,
)
from airflow_provider_omics.core.cost.cohort import CohortCost, RunPrice, cohort_cost
from airflow_provider_omics.core.cost.sizing import Sizing
from airflow_provider_omics.core.errors import AttemptError, NotFound, OmicsError, Problem, SettingsError
from airflow_provider_omics.core.failure.manifest import run_from_manifest
from airflow_provider_omics.core.settings.outputs import ExpectedOutputs
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase, RunStatus, SubmissionStatus
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.core.uris import S3Address, s3_address
from airflow_provider_omics.core.wait.flow import LIST_LAG
from airflow_provider_omics.hooks.client import CALL, at_each
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.results.cohort import Cohort
from airflow_provider_omics.results.costs import CostReader
from airflow_provider_omics.results.file import JsonLinesFile, read_samples, write_changes, write_merged
from airflow_provider_omics.results.ledger import Ledger
from airflow_provider_omics.results.manifests import ManifestReader, calls_per_second
from airflow_provider_omics.results.outputs import PAGES_PER_SECOND, OutputsFinder
from airflow_provider_omics.results.roster import (
    LEFT,
    RECORDED,
    Roster,
    Row,
    Tally,
    key_of,
    submission_of,
)
from airflow_provider_omics.results.store import ResultsStore

TOLD = 30.0
"""Seconds after which the log says how far the collection is."""

CHECKPOINT = 300.0
"""Seconds between two writes of the file: a lost task has to repeat so much of its work. 100,000 GetRun calls at 5 a
second take five and a half hours."""


SAVE_PATIENCE = 10.0
"""Seconds for the last write of a collection that ends with an error: a task that is being ended has no more."""

LOOKS = 4
"""How often ListRunsInBatch is asked for all runs in the counts of an ended batch, and GetRun for their ends, as both
lag."""

LATE_MANIFEST = 600.0
"""Seconds after the end of a run in which its manifest is looked for again: how late it may come is not documented."""

SUMMARIES = ("logs/outputs.json", "logs/output.json")
"""The user guide has both names, on its pages "Run outputs" and "CloudWatch Logs"."""

MAX_SUMMARY_BYTES = 1_000_000
"""Larger summaries are left out: each stands in one line of the results."""

_COUNTS = {
    RunStatus.COMPLETED: "completed_runs",
    RunStatus.FAILED: "failed_runs",
    RunStatus.CANCELLED: "cancelled_runs",
}
"""Final status -> its count in GetBatch."""

MAX_OBJECTS = 1_000
"""Objects of a Nextflow run that are named: those of one list call."""


@dataclass(frozen=True)
class Collected:
    """The outcome of a collection.

    :param uri: the results file.
    :param batch: the batch as seen at the beginning.
    :param counts: records of the batch by status, those of earlier collections included.
    :param new: records that this collection has added or renewed.
    :param going: runs of the batch that have not ended, and run settings that have yet to be submitted.
    """

    uri: str
    batch: BatchSnapshot
    counts: dict[str, int]
    new: int
    going: int = 0

    def to_result(self) -> dict[str, Any]:
        """Return the task's result: counts, never the records."""
        count = {status: self.counts.get(status.value, 0) for status in RecordStatus}
        return {
            "batch_id": self.batch.id,
            "status": self.batch.status,
            "total_runs": self.batch.total_runs,
            "completed_runs": count[RecordStatus.COMPLETED],
            "failed_runs": count[RecordStatus.FAILED],
            "cancelled_runs": count[RecordStatus.CANCELLED],
            "not_submitted_runs": count[RecordStatus.NOT_SUBMITTED],
            "unknown_runs": count[RecordStatus.UNKNOWN],
            "incomplete_runs": count[RecordStatus.INCOMPLETE],
            "new_records": self.new,
            "results_uri": self.uri,
        }


@dataclass(frozen=True)
class Between:
    """The outcome of a collection while the batch goes.

    :param batch: the batch as seen at the beginning.
    :param new: the records that were added.
    :param tally: all of the batch that the file has.
    :param done: runs that need no look any more while the batch goes. Default 0.
    :param has_more: there is more that has ended, and no time was left for it. Default False.
    """

    batch: BatchSnapshot
    new: tuple[RunRecord, ...]
    tally: Tally
    done: int = 0
    has_more: bool = False


@dataclass(frozen=True)
class Going:
    """Ids of runs of a batch that is going, as lists showed them.

    :param active: those that have not ended; None: they were not listed.
    :param computing: those of them that compute.
    :param listed_ended: those that have ended; None: they were not listed.
    """

    active: AnyCollection[str] | None
    computing: AnyCollection[str]
    listed_ended: AnyCollection[str] | None

    def ended(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pick the rows of runs that have ended since.

        :param rows: of the roster, those that need a look.
        """
        refused = SubmissionStatus.FAILED.value
        for row in rows:
            if self._has_ended(row[2]) if row[2] else row[4] == refused:
                yield row

    def state_of(self, row: Row) -> str:
        """Tell the state of a row whose end is not in the results."""
        waits = row[2] not in self.computing and not self._has_ended(row[2])
        return RecordStatus.PENDING.value if waits else RecordStatus.RUNNING.value

    def _has_ended(self, run_id: str) -> bool:
        return run_id in self.listed_ended if self.listed_ended is not None else run_id not in (self.active or ())


def collect_results(hook: OmicsHook, batch_id: str, uri: str, log: Any, **options: Any) -> Collected:
    """Read the ended runs of a batch and add them to its results file; at any time, as often as one likes.

    Runs that have their record already are not asked for again, so that a collection that was lost goes on where it
    was. Memory is the same for any size of batch.

    :param hook: where to ask; its connection's ``calls_per_second`` is the pace.
    :param batch_id: id of the batch, whoever started it.
    :param uri: the results file: ``s3://bucket/key.jsonl`` or ``.jsonl.gz``.
    :param log: the task's logger.
    :param options: the others of :class:`Collection`.
    :return: the counts.
    :raises SettingsError: the arguments do not go together, or the file is no results file.
    :raises NotFound: there is no such batch (any more).
    :raises ServiceError: HealthOmics, S3 or CloudWatch Logs refused a call, or did not get through for the hook's
        ``patience``.
    """
    with closing(Collection(hook, batch_id, uri, log, **options)) as collection:
        return collection.collect()


def collect_into(store: ResultsStore, hook: OmicsHook, batch_id: str, samples: Iterable[Sample], log: Any) -> Collected:
    """Read the ended runs of a batch, with the reasons of failures, into a store and no file.

    :param store: takes the records.
    :param hook: where to ask; its connection's ``calls_per_second`` is the pace.
    :param batch_id: id of the batch, whoever started it.
    :param samples: its samples, as far as they are known.
    :param log: the task's logger.
    :return: the counts.
    :raises NotFound: there is no such batch (any more).
    :raises ServiceError: HealthOmics or CloudWatch Logs refused a call, or did not get through.
    """
    store.add_samples(samples)
    return Collection(hook, batch_id, None, log, detail=ResultsDetail.LISTED, reasons=True, store=store).collect()


class Collection:
    """The results of a batch while they are read; :meth:`close` it.

    :param hook: where to ask; its connection's ``calls_per_second`` is the pace.
    :param batch_id: id of the batch, whoever started it.
    :param uri: the results file: ``s3://bucket/key.jsonl`` or ``.jsonl.gz``. None: no file is written.
    :param log: the task's logger.
    :param detail: FULL: one GetRun for each run that ended (default); LISTED: the pages of lists, and GetRun only for
        runs that neither they nor the counts account for.
    :param read_outputs: with FULL, also the outputs of each completed run; default False.
    :param started_by: the task that started the batch, where the batch has no tags that name it. Default: unknown.
        Its samples are looked for beside the file: with them the records have fingerprints and rows, and samples that
        were never tried have records.
    :param reasons: with LISTED, one GetRun for each run that failed: lists do not tell why. Default False.
    :param store: where the records go; default: a store of its own.
    :param needs_samples: the batch has left samples as they were, and without them nobody can judge it. Default False.
    :param ledger: gets an entry of each run that has ended, with FULL. Default: there is none.
    :param read_costs: add to each record what its run cost, see :mod:`airflow_provider_omics.results.costs`; it needs
        a file. Default False.
    :param expected_outputs: with FULL, what each run that completed has to have left; an empty one takes what is
        INCOMPLETE for COMPLETED. Default: nobody looks, and what was found before stays.
    :param patience: seconds for which failures are borne. Default: the hook's.
    :raises SettingsError: the arguments do not go together.
    """

    def __init__(
        self,
        hook: OmicsHook,
        batch_id: str,
        uri: str | None,
        log: Any,
        *,
        detail: ResultsDetail = ResultsDetail.FULL,
        read_outputs: bool = False,
        started_by: BatchOrigin | None = None,
        reasons: bool = False,
        store: ResultsStore | None = None,
        needs_samples: bool = False,
        ledger: Ledger | None = None,
        read_costs: bool = False,
        expected_outputs: ExpectedOutputs | None = None,
        patience: float | None = None,
    ) -> None:
        if detail is ResultsDetail.LISTED and (problems := outputs_problems(read_outputs, expected_outputs)):
            raise SettingsError(problems)
        self._hook = hook
        self._repeats = Repeats(hook, log, patience)
        self._batch_id = batch_id
        self._file = None if uri is None else JsonLinesFile(hook, uri, hook.defaults.results_kms_key_id)
        self._store = ResultsStore() if store is None else store
        self._log = log
        self._detail = detail
        self._reasons = reasons
        self._needs_samples = needs_samples
        self._started_by = started_by
        self._outputs = OutputsReader(hook) if read_outputs else None
        self._ledger = ledger if detail is ResultsDetail.FULL else None
        self._answer: Mapping[str, Any] | None = None
        self._pacer = Pacer(hook.defaults.calls_per_second)
        self._manifests = ManifestReader(hook, log, self._pace_logs)
        self._costs = CostReader(hook, log, uri, self._manifests) if read_costs and uri is not None else None
        self._files = None
        if expected_outputs is not None:
            pace = Pacer(PAGES_PER_SECOND).wait
            self._files = OutputsFinder(hook, log, expected_outputs, self._repeats.make, pace)
        self._batch = BatchSnapshot(batch_id, "")
        self._workflow: str | None = None
        self._new = self._unwritten = self._going = self._lagging = self._late = 0
        self._is_last_look = False
        self._rest_completed = False
        self._leaves_out = False
        self._is_between = self._others_write = False

    @cached_property
    def _log_pacer(self) -> Pacer:
        return Pacer(calls_per_second(self._hook.conn_region_name))

    def _pace_logs(self) -> None:
        self._log_pacer.wait()  # made with the first call: before it the hook need not be connected

    def close(self) -> None:
        """Remove the temporary store."""
        self._store.close()

    def collect(self) -> Collected:
        """Read the ended runs, and write their records.

        :return: the counts.
        :raises SettingsError: the file is no results file.
        :raises NotFound: there is no such batch (any more).
        :raises ServiceError: HealthOmics, S3 or CloudWatch Logs refused a call, or did not get through.
        """
        self._repeats.make(self._take_file)
        with at_each({CALL: lambda **_: self._pacer.wait()}):
            origin = self._look_at_batch()
            self._take_samples(origin)
            roster = self._list(self._batch)
            try:
                for look in range(LOOKS):
                    if look:
                        time.sleep(LIST_LAG)  # noqa: TID251 - GetRun may lag; tests step the clock
                    self._lagging = self._going = self._late = 0
                    self._is_last_look = look == LOOKS - 1 and has_ended(self._batch)
                    self._read(origin)
                    if not (self._lagging or (self._late and has_ended(self._batch))):
                        break
            except BaseException:
                self._save()
                raise
        if self._file is not None and (self._unwritten or not self._file.exists):
            self._write()
        if roster is not None:
            self._clear(roster)
        uri = "" if self._file is None else self._file.uri
        counts = self._store.counts(self._batch_id)
        shown = ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "none yet"
        place = f", at {uri}" if uri else ""
        self._log.info("Results of batch %s: %s; %d new%s", self._batch_id, shown, self._new, place)
        going = self._going
        if not has_ended(self._batch):  # it may not have submitted, or listed, all of its runs yet
            going = max(going, self._batch.total_runs - sum(counts.values()), 1)
        return Collected(uri, self._batch, counts, self._new, going)

    def collect_between(self, seconds: float, explain: Callable[[Sequence[RunRecord]], Mapping[str, str]]) -> Between:
        """Read runs of a batch that is going, which have ended since, and add them to the file.

        It costs as much as there is new. What it could not read, and runs whose record is gone, are left for later.

        :param seconds: after which no further run is read.
        :param explain: given new failures, returns ``runSettingId`` -> cause of those of which it knows more.
        :return: what there is now.
        :raises SettingsError: the file is no results file.
        :raises NotFound: there is no such batch (any more).
        :raises ServiceError: HealthOmics, S3 or CloudWatch Logs refused a call, or did not get through.
        """
        until = time.monotonic() + seconds
        with at_each({CALL: lambda **_: self._pacer.wait()}):
            origin = self._look_at_batch()
            roster = None if has_ended(self._batch) else self._roster()
            if roster is None:
                return Between(self._batch, (), Tally())
            self._is_between = True
            with closing(roster):
                self._bring_up_to_date(roster)
                going = self._list_going(roster)
                at_most = 1 + int(seconds * self._hook.defaults.calls_per_second)
                found = list(islice(going.ended(roster.open_rows()), at_most))
                return self._add_ended(roster, going, origin, found, until, explain)

    def _roster(self) -> Roster | None:
        if self._file is None:
            return None
        place = S3Place(self._file.uri, self._hook.defaults.results_kms_key_id)
        roster = Roster(self._hook, place, self._batch)
        try:
            self._repeats.make(roster.read)
        except SettingsError as error:
            self._log.warning("%s", error)
        except BaseException:
            roster.close()
            raise
        return roster

    def _bring_up_to_date(self, roster: Roster) -> None:
        """Let the roster tell of the results file as it is now."""
        file = self._file
        assert file is not None  # noqa: S101 - only a file has a roster
        if self._repeats.make(file.look) != roster.tally.etag:
            self._repeats.make(lambda: roster.recount(file, self._batch_id, self._detail is ResultsDetail.FULL))

    def _list_going(self, roster: Roster) -> Going:
        """List the runs that tell which have ended since, and the submissions that are not known yet."""
        batch, tally = self._batch, roster.tally
        lists_active = lists_active_runs(batch, roster.started, tally.ends.total(), self._detail)
        if lists_active and not roster.knows_started(batch):
            self._list_submissions(roster)  # first: a run that is submitted later is in no list of these
        # The runs of a status that the counts lag behind are at worst looked at in vain.
        counts = {
            RunStatus.STARTING: "starting_runs",
            RunStatus.RUNNING: "running_runs",
            RunStatus.STOPPING: "stopping_runs",
        }
        computing = self._listed_ids([status for status, count in counts.items() if batch.count(count)])
        if self._detail is ResultsDetail.FULL and roster.is_whole:
            stopped, waiting = roster.without(computing)
            if all_wait(batch, waiting):
                return Going(None, computing, stopped)
        if lists_active:
            waiting_ids = self._listed_ids((RunStatus.PENDING,))
            computing |= self._listed_ids((RunStatus.STARTING,))  # those that waited when the first list was made
            return Going(waiting_ids | computing, computing, None)
        settled = {row[2] for row in roster.rows() if row[0] in (RECORDED, LEFT)}
        ended = self._listed_ids([status for status in ENDED_STATUSES if batch.count(_COUNTS[status])], settled)
        if not roster.knows_started(batch):
            missing = ended - {key_of(row) for row in roster.rows()}
            if pages_are_fewer(len(missing), batch):
                self._list_submissions(roster)
            else:
                make = self._repeats.make
                items = (self._hook.list_runs_in_batch(self._batch_id, run_id=key, make=make) for key in missing)
                roster.add(map(Submission.from_item, chain.from_iterable(items)))
        if roster.refused < batch.count("failed_submissions"):
            self._list_submissions(roster, SubmissionStatus.FAILED)
        return Going(None, computing, ended)

    def _list_submissions(self, roster: Roster, status: SubmissionStatus | None = None) -> None:
        value = None if status is None else status.value
        listed = self._hook.list_runs_in_batch(self._batch_id, submission_status=value, make=self._repeats.make)
        roster.add(map(Submission.from_item, listed))

    def _listed_ids(self, statuses: Iterable[RunStatus], settled: AnyCollection[str] = ()) -> set[str]:
        """List the runs of some statuses, without those that need no look."""
        ids = set()
        for status in statuses:  # in the order of a run's life: one that moves meanwhile is seen twice, never missed
            for item in self._hook.list_runs(batch_id=self._batch_id, status=status.value, make=self._repeats.make):
                if item["id"] in settled:
                    continue
                ids.add(item["id"])
                if self._detail is ResultsDetail.LISTED and status in ENDED_STATUSES:
                    self._store.add_listed([(item["id"], RunSnapshot.from_response(item).to_payload())])
        return ids

    def _add_ended(
        self,
        roster: Roster,
        going: Going,
        origin: BatchOrigin,
        found: list[Row],
        until: float,
        explain: Callable[[Sequence[RunRecord]], Mapping[str, str]],
    ) -> Between:
        names = {row[1] for row in found}
        self._take_samples(origin, names)
        if roster.tally.shared and names:
            self._repeats.make(lambda: self._take_some(names))
            self._others_write = self._file is not None and self._file.etag != roster.tally.etag
        if self._detail is ResultsDetail.FULL:  # GetRun tells how each has ended
            self._store.add_listed((row[2], {"id": row[2], "status": UNKNOWN}) for row in found if row[2] is not None)
        states: dict[str, str] = {}
        new: list[RunRecord] = []
        try:
            for number, row in enumerate(found):
                if number and time.monotonic() >= until:
                    break
                records = self._renewed(self._batch, origin, submission_of(row))
                before, added = self._going, len(new)
                for record, is_beside in records:
                    if record.is_lost:
                        continue
                    self._store.put(record, beside=is_beside)
                    if not is_beside:
                        new.append(record)
                        self._unwritten += 1
                if self._going == before:
                    states[key_of(row)] = RECORDED if len(new) > added else LEFT
            causes = explain([record for record in new if record.status is RecordStatus.FAILED])
            for number, record in enumerate(new):
                if causes.get(record.run_setting_id, record.cause) != record.cause:
                    new[number] = replace(record, cause=causes[record.run_setting_id])
                    self._store.put(new[number])
        except BaseException:
            self._save()
            raise
        if new:
            self._write()
        for record in new:
            roster.tally.add(record.to_json())
        self._close_stretch(roster, going, states, origin)
        shown = ", ".join(f"{number} {status}" for status, number in sorted(roster.tally.ends.items())) or "none yet"
        self._log.info("Results of batch %s so far: %s; %d new", self._batch_id, shown, len(new))
        return Between(
            self._batch, tuple(new), roster.tally, roster.done, has_more=len(states) + self._going < len(found)
        )

    def _close_stretch(self, roster: Roster, going: Going, states: Mapping[str, str], origin: BatchOrigin) -> None:
        """Write the roster for the next stretch; without it that one has more to read."""
        assert self._file is not None  # noqa: S101 - see above
        roster.tally.etag = None if self._others_write else self._file.etag  # None: the next one counts anew
        try:
            names = None
            if origin.request_id is not None and self._batch.count("pending_submissions"):
                samples = read_samples(self._hook, self._file.uri, origin.request_id)
                names = (one.run_setting_id for one in samples if one.is_submitted)
            roster.settle(states, going.state_of, names)
            self._repeats.make(roster.write)
        except OmicsError as error:
            self._log.warning("The roster of batch %s was not written: %s", self._batch_id, error)

    def _clear(self, roster: Roster) -> None:
        try:
            roster.clear()
        except OmicsError as error:
            self._log.warning("The roster of batch %s was not emptied: %s", self._batch_id, error)

    def _take_file(self) -> None:
        if self._file is not None:
            self._store.take(self._file.read(RunRecord.from_json))

    def _take_some(self, names: AnyCollection[str]) -> None:
        if self._file is not None:
            self._store.take_some(self._file.read_some(RunRecord.from_json, names))

    def cohort(self) -> Cohort:
        """Return all samples of the attempt that started the batch, those that it did not submit included."""
        return Cohort.of_results(self._store, self._batch.total_runs)

    def members(self) -> Iterator[dict[str, Any]]:
        """Yield a record for each of these samples, as a line of the file."""
        return self._store.members()

    def cost(self) -> CohortCost | None:
        """Add up what all runs of these samples cost, those of earlier attempts included; None: costs are not read."""
        if self._costs is None or self._costs.rates is None:
            return None
        return cohort_cost(run for member in self.members() for run in RunPrice.all_of(member))

    def prices_as_of(self) -> str | None:
        """Say of when the prices are; None: not known, or there are none."""
        return None if self._costs is None or self._costs.rates is None else self._costs.rates.as_of

    def write_sizing(self) -> tuple[Sizing, str] | None:
        """Write ``sizing.json`` beside the file.

        :return: the sizing, and where it lies; None: nothing is known of what the runs used.
        :raises SettingsError: what is kept beside the file is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        return None if self._costs is None else self._costs.write_sizing()

    def add_causes(self, causes: Mapping[str, str]) -> None:
        """Add causes to records, where more than AWS's code is known.

        :param causes: ``runSettingId`` -> the cause.
        :raises ServiceError: S3 refused, or did not get through.
        """
        for run_setting_id, cause in causes.items():
            for beside in (False, True):
                known = self._store.record(run_setting_id, self._workflow, beside=beside)
                if known is not None and known.batch_id == self._batch_id and known.cause != cause:
                    self._store.put(replace(known, cause=cause), beside=beside)
                    self._unwritten += not beside
        if self._unwritten:
            self._write()

    def _look_at_batch(self) -> BatchOrigin:
        answer = self._repeats.make(lambda: self._hook.get_batch(self._batch_id))
        self._batch = BatchSnapshot.from_response(answer)
        origin, started_by = BatchOrigin.from_response(answer), self._started_by
        if started_by is not None and origin.dag_id is None:
            names = ("dag_id", "dag_run_id", "try_number", "request_id", "task_id", "map_index")
            origin = replace(origin, **{name: getattr(started_by, name) for name in names})
        self._workflow = origin.workflow
        self._store.set_batch(self._batch_id, self._workflow)
        return origin

    def _take_samples(self, origin: BatchOrigin, wanted: AnyCollection[str] | None = None) -> None:
        """Read the samples that the batch was started with, or some of them."""
        if origin.request_id is None or self._file is None:
            return
        uri, request_id, needed = self._file.uri, origin.request_id, self._needs_samples

        def take() -> None:
            samples = read_samples(self._hook, uri, request_id, required=needed, wanted=wanted)
            self._store.add_samples(samples)

        try:
            self._repeats.make(take)
        except NotFound as error:
            raise AttemptError(
                f"Batch {self._batch_id} has ended, and which samples it left as they were is not known any more: "
                f"{error}.",
                advice="Clear the task, which reads them from the results file; rerun='all' starts all over.",
                request_id=request_id,
                resource_id=self._batch_id,
            ) from error

    def _read(self, origin: BatchOrigin) -> None:
        written_at = told_at = time.monotonic()
        for record, beside in self._records(self._batch, origin):
            self._store.put(record, beside=beside)
            if beside:
                continue
            self._new += 1
            self._unwritten += 1
            if time.monotonic() - written_at >= CHECKPOINT:
                self._write()
                written_at = time.monotonic()
            if time.monotonic() - told_at >= TOLD:
                told_at = time.monotonic()
                total = self._batch.total_runs
                self._log.info("Results of batch %s: %d new so far, of %d runs", self._batch_id, self._new, total)

    def _save(self) -> None:
        """Write the records read so far before the error that ends the collection, which is raised all the same."""
        try:
            if self._unwritten:
                self._write(SAVE_PATIENCE)
        except OmicsError as error:
            self._log.warning("The work since the last checkpoint is lost: %s", error)

    def _write(self, patience: float | None = None) -> None:
        if self._costs is not None:
            self._costs.write(patience)
        if self._file is not None:
            repeats = self._repeats if patience is None else Repeats(self._hook, self._log, patience)
            if self._is_between:
                self._others_write |= write_changes(self._file, self._store, self._log, repeats)
            else:
                write_merged(self._file, self._store, self._log, repeats)
        self._unwritten = 0

    def _list(self, batch: BatchSnapshot) -> Roster | None:
        """List runs by status first, then the submissions: so a run that is listed has been submitted.

        :return: the roster, where the batch was collected while it was going.
        """
        for status in statuses_to_list(batch, self._detail):
            self._list_runs(status)
        if self._detail is ResultsDetail.LISTED and batch.phase is Phase.PROCESSED:
            self._rest_completed = completed_if_not_listed(batch, self._store.count_listed())
            if not self._rest_completed:
                self._list_runs(RunStatus.COMPLETED)
        roster = self._roster() if batch.phase is Phase.PROCESSED else None
        if roster is not None:
            with closing(roster):
                if roster.is_whole:
                    self._store.add_submissions(map(submission_of, roster.rows()))
                    return roster
        for look in range(LOOKS):
            if look:
                time.sleep(LIST_LAG)  # noqa: TID251 - the list may lag; tests step the clock
            submissions = self._hook.list_runs_in_batch(batch.id, make=self._repeats.make)
            self._store.add_submissions(Submission.from_item(item) for item in submissions)
            self._leaves_out = leaves_out_runs(batch, self._store.count_submissions_with_run())
            if not self._leaves_out:
                return roster
        self._log.warning("Batch %s has started more runs than ListRunsInBatch lists: the others are UNKNOWN", batch.id)
        return roster

    def _list_runs(self, status: RunStatus) -> None:
        items = self._hook.list_runs(batch_id=self._batch_id, status=status.value, make=self._repeats.make)
        self._store.add_listed((item["id"], RunSnapshot.from_response(item).to_payload()) for item in items)

    def _records(self, batch: BatchSnapshot, origin: BatchOrigin) -> Iterator[tuple[RunRecord, bool]]:
        """Give what is new, and whether it is for the task alone: the file has the record of another task's run."""
        for submission in self._store.submissions():
            yield from self._renewed(batch, origin, submission)
        if has_ended(batch):
            for run_setting_id in self._store.never_submitted():
                yield from self._renewed(batch, origin, Submission(run_setting_id))

    def _renewed(
        self, batch: BatchSnapshot, origin: BatchOrigin, submission: Submission
    ) -> Iterator[tuple[RunRecord, bool]]:
        name, workflow = submission.run_setting_id, origin.workflow
        known = in_file = self._store.record(name, workflow)
        if self._started_by is not None and is_beside(in_file, origin, self._sample(name)):
            known = self._store.record(name, workflow, beside=True)
        outputs = self._outputs is not None
        settled = is_settled(known, submission, origin, self._detail, reasons=self._reasons, outputs=outputs)
        lacks_entry = self._lacks_entry(known)
        if settled and not lacks_entry and not self._lacks_part(known):
            return
        if settled and not lacks_entry:
            record = known
        else:
            record = self._record(batch, origin, submission, attempt_number(known, batch.id))
            if settled and known is not None:  # it was looked at for the ledger alone, and the run may be gone by now
                record = replace(known, provenance_uri=None if record is None else record.provenance_uri)
        if record is None:
            self._going += 1
            return
        if known is not None and known.cause and known.is_same_end(record):
            record = replace(record, cause=known.cause)  # that was looked up when it was collected before
        if self._files is not None and record.batch_id == batch.id:
            record = self._files.judge(record)
        if self._costs is not None:
            record = self._costs.add(record, known)
            self._lagging += batch.phase is Phase.PROCESSED and self._costs.is_awaited(record)
        if record != known:
            is_other = in_file is not None and in_file.batch_id != batch.id
            yield record, is_other and in_file is not None and supersedes(in_file, record)

    def _lacks_entry(self, known: RunRecord | None) -> bool:
        """Whether a run has its record, and not yet its entry in the ledger."""
        if self._ledger is None or known is None or known.batch_id != self._batch_id:
            return False
        return known.provenance_uri is None and known.run_uuid is not None

    def _lacks_part(self, known: RunRecord | None) -> bool:
        """Whether a record of the batch lacks nothing but its run's cost, or a look for the run's expected outputs."""
        if known is None or known.batch_id != self._batch_id:
            return False
        lacks_cost = self._costs is not None and self._costs.lacks(known)
        return lacks_cost or (self._files is not None and self._files.lacks(known))

    def _sample(self, run_setting_id: str) -> Sample:
        return self._store.sample(run_setting_id) or Sample(run_setting_id)

    def _record(
        self, batch: BatchSnapshot, origin: BatchOrigin, submission: Submission, attempt: int
    ) -> RunRecord | None:
        """Make the record of a submission; None: its run has not ended, or nobody has tried it yet."""
        sample = self._sample(submission.run_setting_id)
        if submission.run_id is None:
            is_final = has_ended(batch) or submission.status == "FAILED"
            return self._without_run(submission, sample, origin, attempt) if is_final else None
        self._answer = None
        run = self._look(batch, submission)
        if run is None:
            return RunRecord.without_run(submission, sample, origin, attempt=attempt)
        # By the counts of a PROCESSED batch each run has ended: GetRun lags behind them.
        self._lagging += batch.phase is Phase.PROCESSED and run.phase is Phase.ACTIVE
        outputs, reader = None, self._outputs
        if reader is not None and run.phase is Phase.SUCCEEDED:
            outputs = self._repeats.make(lambda: reader.read(run))
            if reader.left_out is not None:
                named = f"{visible(submission.run_setting_id)} (run {run.id})"
                self._log.warning("The outputs of %s are left out: %s", named, reader.left_out)
        entry = self._write_down(submission, run) if run.phase in STATUS_OF_PHASE else None
        return RunRecord.of_run(submission, sample, origin, run, attempt=attempt, outputs=outputs, provenance_uri=entry)

    def _write_down(self, submission: Submission, run: RunSnapshot) -> str | None:
        """Add a run that has ended to the ledger; returns where its entry lies. None: there is none, or not yet."""
        ledger, uuid, answer = self._ledger, run.uuid, self._answer
        if ledger is None or uuid is None:
            return None
        manifest = self._manifests.read(run.id, uuid)
        if manifest == () and self._may_come(run):
            self._late += 1
            return None
        return self._repeats.make(lambda: ledger.add_run(uuid, submission.run_setting_id, answer, manifest))

    def _may_come(self, run: RunSnapshot) -> bool:
        """Whether the manifest of a run may come yet: an entry that lacks it lacks it for good."""
        if run.log_level == "OFF" or self._is_last_look or run.stop_time is None:
            return False
        return time.time() - run.stop_time.timestamp() < LATE_MANIFEST

    def _without_run(self, submission: Submission, sample: Sample, origin: BatchOrigin, attempt: int) -> RunRecord:
        return RunRecord.without_run(submission, sample, origin, attempt=attempt, may_have_run=self._leaves_out)

    def _look(self, batch: BatchSnapshot, submission: Submission) -> RunSnapshot | None:
        """Return the run, going or ended; None: it is gone, and its end unknown."""
        run_id = submission.run_id or ""
        listed = self._store.listed(run_id)
        if listed is None and not has_ended(batch):
            return RunSnapshot(run_id, RunStatus.RUNNING.value)  # as far as the lists tell, it is going
        if submission.is_run_deleted:
            return self._manifest(submission)
        if self._detail is ResultsDetail.LISTED:
            if listed is not None:
                run = RunSnapshot.from_payload(listed)
                if not self._reasons or run.phase is not Phase.FAILED or run.failure_reason is not None:
                    return run
            elif self._rest_completed:
                known = self._store.record(submission.run_setting_id, self._workflow)
                # What GetRun did not find is not found out by counts: a sample that was told UNKNOWN stays so.
                if known is None or known.run_id != run_id or known.end is not RecordStatus.UNKNOWN:
                    return RunSnapshot(run_id, RunStatus.COMPLETED.value)
        try:
            answer = self._repeats.make(lambda: self._hook.get_run(run_id))
        except NotFound:
            return self._manifest(submission)
        run = RunSnapshot.from_response(answer)
        is_another = submission.run_uuid is not None and run.uuid not in (None, submission.run_uuid)
        if is_another or run.phase is Phase.DELETED:
            return self._manifest(submission)
        self._answer = answer
        return run

    def _manifest(self, submission: Submission) -> RunSnapshot | None:
        run_id, run_uuid = submission.run_id or "", submission.run_uuid
        return run_from_manifest(self._manifests.read(run_id, run_uuid) or (), run_id, run_uuid)


def outputs_problems(read_outputs: bool, expected_outputs: ExpectedOutputs | None) -> list[Problem]:
    """Look for arguments that need the URI of outputs, which lists do not have.

    :param read_outputs: whether outputs are read.
    :param expected_outputs: what is expected of each run.
    """
    allowed = "with results_detail='full': lists have no output URI"
    given = {"read_outputs": read_outputs, "expected_outputs": expected_outputs is not None}
    return [Problem(name, "set" if name != "read_outputs" else "True", allowed) for name, on in given.items() if on]


class Pacer:
    """Calls at an even pace, so many a second at most.

    :param calls_per_second: the connection's ``calls_per_second``. HealthOmics allows an account 10 calls a second of
        GetRun, ListRuns and ListRunsInBatch each (user guide, "Service quotas").
    """

    def __init__(self, calls_per_second: float) -> None:
        self._interval = 1.0 / calls_per_second
        self._next = time.monotonic()

    def wait(self) -> None:
        """Wait until the next call may be made."""
        early = self._next - time.monotonic()
        if early > 0:
            time.sleep(early)  # noqa: TID251 - the pace itself; tests step the clock
        self._next = max(self._next, time.monotonic() - self._interval) + self._interval


@contextmanager
def paced_calls(hook: OmicsHook) -> Iterator[Pacer]:
    """Let each call of a hook to HealthOmics, be it a page of a list, wait for its turn.

    :param hook: the hook; its connection's ``calls_per_second`` is the pace.
    :return: the pacer, for calls to other services.
    """
    pacer = Pacer(hook.defaults.calls_per_second)
    with at_each({CALL: lambda **_: pacer.wait()}):
        yield pacer


class OutputsReader:
    """Reads outputs from S3.

    :param hook: the hook whose connection is used.
    """

    def __init__(self, hook: OmicsHook) -> None:
        self.left_out: str | None = None
        """Why the outputs that were read last are left out; None: they are not."""
        self._store = S3Store(hook)

    def read(self, run: RunSnapshot) -> Any:
        """Read the outputs of a run.

        :param run: the run, from GetRun; a path is never guessed, only looked for below its ``runOutputUri``.
        :return: the parsed summary of WDL and CWL; else, as with Nextflow, a list of the URIs of its objects, the first
            :data:`MAX_OBJECTS`; None when the run has no output URI, or a summary that is too large or no JSON.
        :raises ServiceError: S3 refused, or did not get through.
        """
        self.left_out = None
        if not run.run_output_uri:
            return None
        bucket, path = s3_address(run.run_output_uri)
        folder = f"{path.rstrip('/')}/" if path else ""
        # Nextflow alone has an engine version (GetRun API reference), and no summary.
        for name in () if run.engine_version else SUMMARIES:
            try:
                with self._store.get(S3Address(bucket, folder + name).uri) as summary:
                    if summary.size > MAX_SUMMARY_BYTES:
                        self.left_out = f"{name} has {summary.size:,} bytes, more than {MAX_SUMMARY_BYTES:,}"
                        return None
                    return self._json(name, summary.stream.read())
            except NotFound:
                continue
        listed = self._store.list_objects(S3Address(bucket, folder).uri, MAX_OBJECTS)
        return [S3Address(bucket, item["Key"]).uri for item in listed]

    def _json(self, name: str, text: bytes) -> Any:
        try:
            value = json.loads(text)
        except RecursionError:
            self.left_out = f"{name} is nested too deep"
            return None
        except ValueError as error:
            self.left_out = f"{name} is no JSON ({type(error).__name__})"
            return None
        trouble = unfit(value)
        if trouble is not None:
            self.left_out = f"{name} is {trouble}"
        return None if trouble else value
