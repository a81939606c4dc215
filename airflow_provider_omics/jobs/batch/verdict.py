"""The verdict on a batch, with what earlier attempts have left: judged, explained, and made into a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.batch.rerun import RerunRules
from airflow_provider_omics.core.batch.sample import RecordStatus
from airflow_provider_omics.core.batch.verdict import BatchCounts, Tolerance, Verdict, judge
from airflow_provider_omics.core.console import run_list_url
from airflow_provider_omics.core.errors import BatchError, BatchFailed, BatchVerdictError, OmicsError, ServiceError
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.cancel import cancel_stragglers
from airflow_provider_omics.core.wait.outcome import batch_result
from airflow_provider_omics.jobs.batch.places import BatchPlaces
from airflow_provider_omics.jobs.diagnosis import diagnosis_of_lists
from airflow_provider_omics.jobs.driver import Driver, pause
from airflow_provider_omics.jobs.report import Report
from airflow_provider_omics.jobs.tries import Try
from airflow_provider_omics.results import FailedRun, failed_runs, started_run_ids
from airflow_provider_omics.results.collect import Collection, paced_calls
from airflow_provider_omics.results.failed_runs import CarriedSamples

SHOWN_FAILURES = 20
"""Runs that an error and a result name; 100,000 would fill the log and XCom."""

STRAGGLER_LOOKS = 6
"""Looks at the cancelled runs of a failed batch before its results are written without those that have not ended."""

STRAGGLER_INTERVAL = 10.0


class BatchJudge:
    """Judges the end of a batch for its task.

    :param try_: the try.
    :param report: reports the end.
    :param places: where results and memory are.
    :param tolerance: reads what the user allows.
    :param retry_rules: makes the rules by which a retry of Airflow's own would choose.
    :param rerun: ``"failed"`` or ``"all"``.
    """

    def __init__(
        self,
        try_: Try,
        report: Report,
        places: BatchPlaces,
        tolerance: Callable[[], Tolerance],
        retry_rules: Callable[[AttemptRecord | None], RerunRules],
        rerun: str,
    ) -> None:
        self._hook = try_.hook
        self._log = try_.log
        self._try = try_
        self._owner = try_.owner
        self._report = report
        self._places = places
        self._tolerance = tolerance
        self._retry_rules = retry_rules
        self._rerun = rerun
        self._carried_by: dict[str, CarriedSamples] = {}

    def is_success(self, batch: BatchSnapshot) -> bool:
        """Whether a batch that has ended is within the tolerance.

        :param batch: the batch.
        :raises ServiceError: a call was refused or did not get through.
        """
        if batch.phase is not Phase.PROCESSED:
            return False
        with self._collected(batch) as collection, paced_calls(self._hook):
            return self._verdict(batch, collection)[0].succeeded

    def finish(self, batch: BatchSnapshot) -> dict[str, Any]:
        """Collect the results of a batch that has ended well enough, and judge it.

        :param batch: the batch.
        :return: the result.
        :raises BatchVerdictError: more than tolerated did not complete; its ``diagnosis`` says why.
        :raises ServiceError: a call was refused or did not get through.
        """
        with self._collected(batch) as collection:
            return self._judged(batch, collection)

    def _judged(self, batch: BatchSnapshot, collection: Collection | None) -> dict[str, Any]:
        with paced_calls(self._hook):
            verdict, failed = self._verdict(batch, collection)
            known = diagnosis_of_lists(batch, failed, self._hook.conn_region_name)
            known = diagnosis = known.with_ends(verdict.counts.total_runs, verdict.counts.ends)
            if failed:
                diagnosis = self._report.diagnose(lambda diagnoser: diagnoser.batch(batch, failed), known)
        ends = known.ends
        if collection is not None:
            collection.add_causes(diagnosis.causes_by_id())
            recorded = Counter((run.status, run.code) for run in collection.cohort().failed)
            if recorded.total() == known.failed_runs:
                # The records have the code of each run, also of those that the diagnosis did not look at.
                ends = recorded
        diagnosis = diagnosis.with_ends(known.total_runs, ends)
        reasons = diagnosis.told_of((run.run_setting_id, run.status) for run in failed[:SHOWN_FAILURES])
        result = self.result(
            batch,
            succeeded=verdict.succeeded,
            counts=verdict.counts,
            failed_ids=tuple(run.run_setting_id for run in failed),
            causes=diagnosis.causes(),
        )
        if verdict.succeeded:
            for run in failed[:SHOWN_FAILURES]:
                self._log.warning("Tolerated: %s %s", run.named, reasons[run.run_setting_id])
            self._log.log(30 if verdict.counts.not_completed else 20, "Batch %s: %s", batch.id, verdict.sentence)
            return result
        self._report.push(result)
        self._report.reported = result
        lead = "Nothing is left to submit, and" if self._is_idle else "Every run has ended, but"
        error = BatchVerdictError(
            f"{lead} too few completed: {verdict.sentence}.",
            batch_id=batch.id,
            batch_uuid=batch.uuid,
            status=batch.status,
            counts=verdict.counts.as_dict(),
            failed_run_settings=reasons,
            console_url=run_list_url(self._hook.conn_region_name),
        )
        self._report.explain(error, diagnosis, final=not self._may_pass(diagnosis, collection))
        raise error

    def _verdict(self, batch: BatchSnapshot, collection: Collection | None) -> tuple[Verdict, list[FailedRun]]:
        """Judge all samples: by their merged results where they are collected, else by counts and lists."""
        tolerance = self._tolerance()
        if collection is not None:
            cohort = collection.cohort()
            return judge(cohort.counts, tolerance, [run.run_setting_id for run in cohort.failed]), cohort.failed
        carried = self._carried()
        counts = self._counts(batch, carried)
        by_counts = judge(counts, tolerance, [run.run_setting_id for run in carried.failed])
        failed = list(carried.failed)
        if not self._is_idle and BatchCounts.of(batch).not_completed:
            try:
                failed = [*failed_runs(self._hook, batch), *failed]
            except ServiceError as error:
                if by_counts.succeeded and tolerance.must_succeed:
                    raise  # it depends on who failed
                self._log.warning("The runs that did not complete cannot be named: %s", error)
        return judge(counts, tolerance, [run.run_setting_id for run in failed]), failed

    def _may_pass(self, diagnosis: BatchDiagnosis, collection: Collection | None) -> bool:
        """Decide whether a retry of Airflow's own would submit anything."""
        if self._is_idle:
            return False
        if self._try.arguments.retry_permanent_failures:
            return True
        rules = self._retry_rules(self._owner.record)
        before = self._unclear_of_all()
        if collection is not None:
            return any(
                end is None or rules.may_pass(end, code, unclear if before is None else before)
                for end, code, unclear in collection.failures()
            )
        unclear_by_id = self._carried().unclear
        ends = {
            (failure.status, failure.code, unclear_by_id.get(failure.run_setting_id, 0) if before is None else before)
            for group in diagnosis.groups
            for failure in group.failures
        }
        ends |= {(unseen.status, unseen.code, before or 0) for unseen in diagnosis.unseen}
        # Of a batch whose answer has no counts nothing is known, which is as unclear as can be.
        ends = ends or {("FAILED", None, before or 0)}
        return any(rules.may_pass(RecordStatus(status), code, unclear) for status, code, unclear in ends)

    def _unclear_of_all(self) -> int | None:
        """Count how often all samples had failed unclear, where each attempt submits all; None: each has its count."""
        if self._owner.record is None or not self._owner.lasts:
            return self._report.unclear_before()  # by the number of the try
        return None if self._rerun == "failed" else self._owner.record.unclear_failures

    def failed(self, batch: BatchSnapshot, error: OmicsError) -> None:
        """Explain a failure, push the result, and collect what there is of results.

        :param batch: the batch, as last seen.
        :param error: the error that the task is about to raise.
        """
        if isinstance(error, BatchVerdictError):
            return  # it is explained, and its result pushed with the failed ids
        if isinstance(error, BatchError):
            self._report.reported = self._result_after_trouble(batch)
        if isinstance(error, BatchFailed):
            known = diagnosis_of_lists(batch, (), self._hook.conn_region_name)
            diagnosis = self._report.diagnose(lambda diagnoser: diagnoser.failed_batch(batch), known)
            self._report.explain(error, diagnosis)
        self._report.push(self._result_after_trouble(batch))
        if batch.phase not in (Phase.ACTIVE, Phase.PROCESSED):
            self._try_to_collect_results(batch)

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def _is_idle(self) -> bool:
        return self._owner.record is not None and self._owner.record.idle

    def _carried(self) -> CarriedSamples:
        """Read what earlier attempts have left of the samples."""
        request_id, record = self._owner.request_id, self._owner.record
        if request_id is None or (record is not None and not record.chosen):
            return CarriedSamples()
        if request_id not in self._carried_by:
            memory = self._places.memory()
            samples = memory.read(request_id) if memory.lasts else ()
            self._carried_by[request_id] = CarriedSamples.of(samples)
        return self._carried_by[request_id]

    def _counts(self, batch: BatchSnapshot, carried: CarriedSamples) -> BatchCounts:
        return carried.counts if self._is_idle else BatchCounts.of(batch) + carried.counts

    def result(self, batch: BatchSnapshot, counts: BatchCounts | None = None, **more: Any) -> dict[str, Any]:
        """Make the task's result.

        :param batch: the batch.
        :param counts: of all samples; default: those of the batch, and of what earlier attempts have left.
        :param more: ``succeeded``, ``failed_ids``, ``causes``: see
            :func:`airflow_provider_omics.core.wait.outcome.batch_result`.
        """
        record, carried = self._owner.record, self._carried()
        result = batch_result(
            batch,
            counts=self._counts(batch, carried) if counts is None else counts,
            attempts=1 if record is None else record.attempts,
            carried_forward=carried.counts.total_runs,
            **more,
        )
        return {**result, "results_uri": self._places.results.uri}

    def _result_after_trouble(self, batch: BatchSnapshot) -> dict[str, Any]:
        try:
            return self.result(batch, succeeded=False)
        except OmicsError as error:
            self._log.warning("What earlier attempts have left cannot be read; the counts are the batch's: %s", error)
            return batch_result(batch, succeeded=False)

    # -- results ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _collected(self, batch: BatchSnapshot) -> Iterator[Collection | None]:
        """Collect the results of a batch and write them; None: there is no batch, or no place for results."""
        collection = None
        if not self._is_idle:
            collection = self._places.results.collection(batch.id, self._owner.request_id)
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
                    counts = collection.cohort().counts
                    self._report.push(self.result(batch, counts=counts, succeeded=False))

        self._ask_on_the_way_out(f"The results of batch {batch.id} could not be collected", collect)

    def stop_started_runs(self, batch_id: str) -> None:
        """Name the runs that a failed batch has started, and cancel those that go on (``cancel_on_kill``).

        They get a moment to stop, so that they have their results.

        :param batch_id: id of the batch.
        """

        def name() -> None:
            started = started_run_ids(self._hook, batch_id, SHOWN_FAILURES)
            if started:
                self._log.warning("The failed batch had started runs, the first: %s", ", ".join(started))

        def settle() -> None:
            Driver(self._hook, self._log).drive(cancel_stragglers(batch_id))
            for _ in range(STRAGGLER_LOOKS):
                if not self._hook.active_run_ids(batch_id):
                    return
                pause(STRAGGLER_INTERVAL)

        self._ask_on_the_way_out("Whether the failed batch had started runs cannot be told", name)
        if self._try.arguments.flag("cancel_on_kill"):
            self._ask_on_the_way_out("Whether runs are still going cannot be told", settle)

    def _ask_on_the_way_out(self, lead: str, ask: Callable[[], None]) -> None:
        """Do something more about a failure, which stays the error that the task ends with."""
        try:
            ask()
        except OmicsError as error:
            self._log.warning("%s: %s", lead, error)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # A proxy's page in the place of an answer, or an answer of a newer service.
            self._log.warning("%s: the answer cannot be read (%s)", lead, type(error).__name__)


def batch_of(snapshot: Snapshot) -> BatchSnapshot:
    """Narrow a snapshot to a batch's, for mypy.

    :param snapshot: of a batch.
    """
    assert isinstance(snapshot, BatchSnapshot)  # noqa: S101 - see above
    return snapshot
