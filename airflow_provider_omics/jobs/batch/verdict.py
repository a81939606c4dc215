"""The verdict on a batch and the samples that earlier attempts have left: judged, explained, and made into a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.rerun import RerunRules
from airflow_provider_omics.core.batch.sample import BatchOrigin, RecordStatus
from airflow_provider_omics.core.batch.verdict import BatchCounts, Tolerance, Verdict, judge
from airflow_provider_omics.core.console import run_list_url
from airflow_provider_omics.core.errors import (
    BatchError,
    BatchFailed,
    BatchVerdictError,
    OmicsError,
    Problem,
    ServiceError,
    SettingsError,
    Unavailable,
)
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.flow import LIST_LAG, cancel_stragglers
from airflow_provider_omics.core.wait.outcome import batch_result
from airflow_provider_omics.hooks.driver import Driver, pause
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.jobs.batch.places import BatchPlaces
from airflow_provider_omics.jobs.costs import CohortCosts, cohort_costs, kept_costs
from airflow_provider_omics.jobs.diagnosis import diagnosis_of
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.jobs.page import CohortReport
from airflow_provider_omics.jobs.report import Report
from airflow_provider_omics.results.cohort import Cohort, started_run_ids
from airflow_provider_omics.results.collect import LOOKS, Collected, Collection, outputs_problems, paced_calls
from airflow_provider_omics.results.file import JsonLinesFile, results_place
from airflow_provider_omics.results.ledger import Ledger
from airflow_provider_omics.results.store import ResultsStore

SHOWN_FAILURES = 20
"""Runs that an error and a result name; 100,000 would fill the log and XCom."""

STRAGGLER_LOOKS = 6
"""Looks at the cancelled runs of a failed batch before its results are written without those that have not ended."""

STRAGGLER_INTERVAL = 10.0


@dataclass(frozen=True)
class BatchResults:
    """The results of the batch of one task instance; none are kept where there is no place for them.

    :param owner: the try.
    :param places: where the file is.
    :param detail: ``"full"`` or ``"listed"``.
    :param read_outputs: whether the outputs of each completed run are read, too.
    :param writes_ledger: whether there is a ledger beside them.
    """

    owner: Owner
    places: BatchPlaces
    detail: str
    read_outputs: bool
    writes_ledger: bool

    @property
    def read_costs(self) -> bool:
        """Whether to read what the runs cost: where the task, else the connection, says so."""
        wanted = self.owner.arguments.read_costs
        if wanted is None:
            wanted = self.owner.hook.defaults.read_costs
        return wanted and self.places.results is not None

    def check(self) -> None:
        """Look for problems in the arguments.

        :raises SettingsError: there is one.
        """
        expected = self.owner.arguments.expected_outputs
        is_listed = ResultsDetail.checked(self.detail) is ResultsDetail.LISTED
        if is_listed and (problems := outputs_problems(self.read_outputs, expected)):
            raise SettingsError(problems)
        results_place(self.places.results_s3_uri, None, self.owner.identity)
        if expected is not None and self.places.results is None:
            allowed = "with results_s3_uri, of the task or the connection: what is missing stands in the records"
            raise SettingsError([Problem("expected_outputs", "set", allowed)])
        if self.owner.arguments.read_costs and self.places.results is None:
            allowed = "with results_s3_uri, of the task or the connection: costs stand in the records of the runs"
            raise SettingsError([Problem("read_costs", "True", allowed)])

    @property
    def ledger(self) -> Ledger | None:
        """The ledger; None: there is none, or no place for it."""
        place = self.places.results
        if place is None or not self.writes_ledger:
            return None
        return Ledger(self.owner.hook, place, self.owner.arguments.masks_parameters)

    def collection(
        self,
        batch_id: str,
        request_id: str | None,
        *,
        reasons: bool = False,
        store: ResultsStore | None = None,
        needs_samples: bool = False,
        patience: float | None = None,
    ) -> Collection | None:
        """Open the collection of the results of a batch, whose runs have ended; close it, or the store.

        :param batch_id: id of the batch.
        :param request_id: the request that started it.
        :param reasons: ask why runs failed, whatever the detail of the results.
        :param store: where what is read goes. Default: a store of its own.
        :param needs_samples: the batch has left samples as they were, which have to be read. Default False.
        :param patience: seconds for which failures are borne. Default: the hook's.
        :return: the collection; None: there is no place for results.
        """
        place, task = self.places.results, self.owner.identity
        if place is None:
            return None
        return Collection(
            self.owner.hook,
            batch_id,
            place.uri,
            self.owner.log,
            detail=ResultsDetail.checked(self.detail),
            read_outputs=self.read_outputs,
            started_by=BatchOrigin(
                batch_id,
                dag_id=task.dag_id,
                dag_run_id=task.run_id,
                task_id=task.task_id,
                map_index=task.map_index if task.map_index >= 0 else None,
                try_number=self.owner.try_number,
                request_id=request_id,
            ),
            reasons=reasons,
            store=store,
            needs_samples=needs_samples,
            ledger=self.ledger,
            read_costs=self.read_costs,
            expected_outputs=self.owner.arguments.expected_outputs,
            patience=patience,
        )

    def collect(self, batch_id: str, request_id: str | None, store: ResultsStore) -> Collected | None:
        """Write the results of a batch, whose runs have ended, with the reasons of its failures.

        :param batch_id: id of the batch.
        :param request_id: the request that started it.
        :param store: where they are read into, to be closed by the caller.
        :return: the counts; None: there is no place for results.
        :raises ServiceError: they could not be read or written.
        """
        collection = self.collection(batch_id, request_id, reasons=True, store=store)
        return None if collection is None else collection.collect()


@dataclass(eq=False)
class BatchJudge:
    """Judges the end of a batch for its task.

    :param owner: the try.
    :param results: the batch's.
    :param tolerance: reads the user's tolerance.
    :param retry_rules: makes the rules by which a retry of Airflow's own would choose.
    :param chooses: a new attempt leaves out what has completed.
    :param report: the page of all samples; None: none is wanted.
    """

    owner: Owner
    results: BatchResults
    tolerance: Callable[[], Tolerance]
    retry_rules: Callable[[AttemptRecord | None], RerunRules]
    chooses: bool
    report: CohortReport | None = None
    _costs: CohortCosts | None = None
    """Of the cohort; None: they are not read."""
    _left_by: dict[str, Cohort] = field(default_factory=dict)

    def is_success(self, batch: BatchSnapshot) -> bool:
        """Whether a batch that has ended is within the tolerance.

        :param batch: the batch.
        :raises ServiceError: a call was refused or did not get through.
        """
        if batch.phase is not Phase.PROCESSED:
            return False
        with self._collected(batch) as collection, paced_calls(self.owner.hook):
            return self._verdict(batch, collection)[0].succeeded

    def finish(self, batch: BatchSnapshot) -> dict[str, Any]:
        """Collect the results of a batch that has ended well enough, and judge it.

        :param batch: the batch.
        :return: the result.
        :raises BatchVerdictError: more than tolerated did not complete; its ``diagnosis`` says why.
        :raises ServiceError: a call was refused or did not get through.
        """
        asks = BatchCounts.of(batch).not_completed > 0
        with self._collected(batch) as collection, paced_calls(self.owner.hook) if asks else nullcontext():
            verdict, cohort = self._verdict(batch, collection)
            if verdict.succeeded and not verdict.counts.not_completed:
                self.owner.log.info("Batch %s: %s", batch.id, verdict.sentence)
                if self.results.read_costs:
                    self._add_costs(collection)
                if self.report is not None and (place := self.results.places.results) is not None:
                    records = None if collection is None else collection.members()
                    self.report.write(place, batch, cohort, records=records, verdict=verdict, costs=self._costs)
                return self.result(batch, cohort, succeeded=True)
            return self._explained(batch, collection, verdict, cohort)

    def _explained(
        self, batch: BatchSnapshot, collection: Collection | None, verdict: Verdict, cohort: Cohort
    ) -> dict[str, Any]:
        """Say why samples did not complete."""
        failed, region = cohort.not_completed, self.owner.hook.conn_region_name
        diagnosis = diagnosis_of(batch, cohort, region)
        if failed:
            diagnosis = Report(self.owner).diagnose(lambda diagnoser: diagnoser.batch(batch, cohort), diagnosis)
        if collection is not None:
            self.owner.try_to_write("causes in the results", collection.add_causes, diagnosis.causes_by_id())
            cohort = collection.cohort()
            recorded = Counter((run.status.value, run.failure_code) for run in cohort.not_completed)
            if recorded.total() == diagnosis.failed_runs:
                # The records have the code of each run, also of those that the diagnosis did not look at.
                diagnosis = replace(diagnosis, ends=recorded)
        if self.results.read_costs:
            self._add_costs(collection)
        if self.report is not None and (place := self.results.places.results) is not None:
            records = None if collection is None else collection.members()
            self.report.write(
                place, batch, cohort, records=records, verdict=verdict, diagnosis=diagnosis, costs=self._costs
            )
        reasons = diagnosis.told_of(failed[:SHOWN_FAILURES])
        names = tuple(run.run_setting_id for run in failed if run.run_setting_id)
        result = self.result(batch, cohort, succeeded=verdict.succeeded, failed_ids=names, causes=diagnosis.causes())
        if verdict.succeeded:
            for run in failed[:SHOWN_FAILURES]:
                self.owner.log.warning("Tolerated: %s %s", run.named, reasons[run.run_setting_id])
            self.owner.log.warning("Batch %s: %s", batch.id, verdict.sentence)
            return result
        self.owner.push(result)
        self.owner.reported = result
        lead = "Nothing is left to submit, and" if self._is_idle else "Every run has ended, but"
        error = BatchVerdictError(
            f"{lead} too few completed: {verdict.sentence}.",
            batch_id=batch.id,
            batch_uuid=batch.uuid,
            status=batch.status,
            counts=verdict.counts.as_dict(),
            failed_run_settings=reasons,
            console_url=run_list_url(region),
        )
        Report(self.owner).explain(error, diagnosis, final=not self._may_pass(cohort, diagnosis))
        raise error

    def _verdict(self, batch: BatchSnapshot, collection: Collection | None) -> tuple[Verdict, Cohort]:
        """Judge all samples: by their merged results where they are collected, else by counts and lists."""
        tolerance, trouble = self.tolerance(), None
        cohort = self.counted(batch) if collection is None else collection.cohort()
        if collection is None and cohort.counts.not_completed > len(cohort.carried):
            try:
                make = Repeats(self.owner.hook, self.owner.log).make
                for look in range(LOOKS):
                    if look:
                        pause(LIST_LAG)  # lists lag behind the counts of GetBatch
                    cohort = cohort.with_failed(self.owner.hook, batch, make)
                    if sum(bool(run.run_setting_id) for run in cohort.not_completed) >= cohort.counts.not_completed:
                        break
            except ServiceError as error:
                trouble = error
        verdict = judge(cohort.counts, tolerance, [run.run_setting_id for run in cohort.not_completed])
        if not verdict.succeeded and verdict.is_open:  # it depends on who failed: the next try judges the same batch
            reason = f"{verdict.unnamed} runs of batch {batch.id} did not complete, and no list names them"
            advice = "must_succeed may name them, so there is no verdict yet; the next try looks again."
            raise trouble or Unavailable("ListRunsInBatch", "ListsLag", reason, advice=advice)
        if trouble is not None:
            self.owner.log.warning("The runs that did not complete cannot be named: %s", trouble)
        return verdict, cohort

    def _may_pass(self, cohort: Cohort, diagnosis: BatchDiagnosis) -> bool:
        """Decide whether a retry of Airflow's own would submit anything."""
        if self._is_idle:
            return False
        if self.owner.arguments.retry_permanent_failures:
            return True
        rules = self.retry_rules(self.owner.record)
        before = self._unclear_of_all()
        codes = {run.run_setting_id: run.failure_code for group in diagnosis.groups for run in group.failures}
        ends = {
            (
                run.status,
                codes.get(run.run_setting_id, run.failure_code),
                cohort.unclear.get(run.run_setting_id, 0) if before is None else before,
            )
            for run in cohort.failed
        }
        # Of runs without a code, and of a batch whose answer has no counts, nothing is known: as unclear as can be.
        ends |= {(RecordStatus(unseen.status), None, before or 0) for unseen in diagnosis.unseen if unseen.code is None}
        if not cohort.counts.total_runs:
            ends.add((RecordStatus.FAILED, None, before or 0))
        return cohort.unrecorded > 0 or any(rules.may_pass(*end) for end in ends)

    def _unclear_of_all(self) -> int | None:
        """Count how often all samples had failed unclear, where each attempt submits all; None: each has its count."""
        if self.owner.record is None or not self.owner.store.lasts:
            return Report(self.owner).unclear_before()  # by the number of the try
        return None if self.chooses else self.owner.record.unclear_failures

    def failed(self, batch: BatchSnapshot, error: OmicsError) -> None:
        """Explain a failure, push the result, and collect the results so far.

        :param batch: the batch, as last seen.
        :param error: the error that the task is about to raise.
        """
        if isinstance(error, BatchVerdictError):
            return  # it is explained, and its result pushed with the failed ids
        if isinstance(error, BatchError):
            self.owner.reported = self._result_after_trouble(batch)
        if isinstance(error, BatchFailed):
            known = diagnosis_of(batch, Cohort().with_counts(batch), self.owner.hook.conn_region_name)
            diagnosis = Report(self.owner).diagnose(lambda diagnoser: diagnoser.failed_batch(batch), known)
            Report(self.owner).explain(error, diagnosis)
        self.owner.push(self._result_after_trouble(batch))
        if batch.phase not in (Phase.ACTIVE, Phase.PROCESSED):
            self._try_to_collect_results(batch)

    @property
    def _is_idle(self) -> bool:
        return self.owner.record is not None and self.owner.record.idle

    def counted(self, batch: BatchSnapshot) -> Cohort:
        """Count a batch's runs and the samples that earlier attempts have left.

        :param batch: the batch.
        :raises OmicsError: what they have left cannot be read.
        """
        request_id, record = self.owner.request_id, self.owner.record
        left = Cohort()
        if request_id is not None and (record is None or record.chosen):
            if request_id not in self._left_by:
                memory = self.results.places.memory()
                samples = memory.read(request_id) if memory.lasts else ()
                self._left_by[request_id] = Cohort.of_samples(samples)
            left = self._left_by[request_id]
        return left if self._is_idle else left.with_counts(batch)

    def result(self, batch: BatchSnapshot, cohort: Cohort | None = None, **more: Any) -> dict[str, Any]:
        """Make the task's result.

        :param batch: the batch.
        :param cohort: all samples; default: those of the batch, and those that earlier attempts have left.
        :param more: ``succeeded``, ``failed_ids``, ``causes``: see
            :func:`airflow_provider_omics.core.wait.outcome.batch_result`.
        """
        record = self.owner.record
        cohort = self.counted(batch) if cohort is None else cohort
        result = batch_result(
            batch,
            counts=cohort.counts,
            attempts=1 if record is None else record.attempts,
            carried_forward=cohort.carried_forward,
            **more,
        )
        place = self.results.places.results
        report_uri = None if self.report is None else self.report.uri
        places = {"results_uri": None if place is None else place.uri, "report_uri": report_uri}
        return {**result, **places, **({} if self._costs is None else self._costs.to_result())}

    def _add_costs(self, collection: Collection | None) -> None:
        """Add up what the cohort cost, for result and page."""
        if collection is not None:
            self._costs = cohort_costs(collection, self.owner.log)
        elif (place := self.results.places.results) is not None:  # nothing was left to submit
            self._costs = kept_costs(JsonLinesFile(self.owner.hook, place.uri, None).read(dict))

    def _result_after_trouble(self, batch: BatchSnapshot) -> dict[str, Any]:
        try:
            return self.result(batch, succeeded=False)
        except OmicsError as error:
            self.owner.log.warning(
                "What earlier attempts have left cannot be read; the counts are the batch's: %s", error
            )
            return batch_result(batch, succeeded=False)

    @contextmanager
    def _collected(self, batch: BatchSnapshot) -> Iterator[Collection | None]:
        """Collect the results of a batch and write them; None: there is no batch, or no place for results."""
        collection = None
        if not self._is_idle:
            has_left = self.owner.record is not None and self.owner.record.chosen
            collection = self.results.collection(batch.id, self.owner.request_id, needs_samples=has_left)
        if collection is None:
            yield None
            return
        with closing(collection):
            collection.collect()
            yield collection

    def _try_to_collect_results(self, batch: BatchSnapshot) -> None:
        """Write the results of a batch that did not end well: the task shall end with the batch's own error."""

        def collect() -> None:
            with self._collected(batch) as collection:
                if collection is not None:
                    cohort, place = collection.cohort(), self.results.places.results
                    if self.results.read_costs:
                        self._add_costs(collection)
                    if self.report is not None and place is not None:
                        self.report.write(place, batch, cohort, records=collection.members(), costs=self._costs)
                    self.owner.push(self.result(batch, cohort, succeeded=False))

        self._ask_on_the_way_out(f"The results of batch {batch.id} could not be collected", collect)

    def stop_started_runs(self, batch_id: str) -> None:
        """Name the runs that a failed batch has started, and cancel those that go on (``cancel_on_kill``).

        They get a moment to stop, so that they have their results.

        :param batch_id: id of the batch.
        """

        def name() -> None:
            started = started_run_ids(self.owner.hook, batch_id, SHOWN_FAILURES)
            if started:
                self.owner.log.warning("The failed batch had started runs, the first: %s", ", ".join(started))

        def settle() -> None:
            Driver(self.owner.hook, self.owner.log).drive(cancel_stragglers(batch_id))
            for _ in range(STRAGGLER_LOOKS):
                if not self.owner.hook.active_run_ids(batch_id):
                    return
                pause(STRAGGLER_INTERVAL)

        self._ask_on_the_way_out("Whether the failed batch had started runs cannot be told", name)
        if self.owner.arguments.cancel_on_kill:
            self._ask_on_the_way_out("Whether runs are still going cannot be told", settle)

    def _ask_on_the_way_out(self, lead: str, ask: Callable[[], None]) -> None:
        """Do something more about a failure, which stays the error that the task ends with."""
        try:
            ask()
        except OmicsError as error:
            self.owner.log.warning("%s: %s", lead, error)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # A proxy's page in the place of an answer, or an answer of a newer service.
            self.owner.log.warning("%s: the answer cannot be read (%s)", lead, type(error).__name__)
        except Exception as error:  # noqa: BLE001 - see above: nothing takes the place of the failure
            self.owner.log.warning("%s (%s: %s)", lead, type(error).__name__, error)


def batch_of(snapshot: Snapshot) -> BatchSnapshot:
    """Narrow a snapshot to a batch's, for mypy.

    :param snapshot: of a batch.
    """
    assert isinstance(snapshot, BatchSnapshot)  # noqa: S101 - see above
    return snapshot
