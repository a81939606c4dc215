"""How a batch ends for its task: judged with what earlier attempts have left, written down, its failures told."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.console import run_list_url
from airflow_provider_omics.core.errors import (
    BatchError,
    BatchFailed,
    BatchVerdictError,
    NotFound,
    OmicsError,
    ServiceError,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.operators.start import OmicsStartOperator

if TYPE_CHECKING:
    from airflow_provider_omics.core.attempt.flow import Begun
    from airflow_provider_omics.core.attempt.record import AttemptRecord
    from airflow_provider_omics.core.batch.rerun import RerunRules
    from airflow_provider_omics.core.batch.verdict import BatchCounts, Tolerance, Verdict
    from airflow_provider_omics.core.failure.batch import BatchDiagnosis
    from airflow_provider_omics.operators.batch_memory import BatchMemory
    from airflow_provider_omics.operators.batch_recording import BatchRecording
    from airflow_provider_omics.operators.batch_staging import BatchStaging
    from airflow_provider_omics.results import FailedRun
    from airflow_provider_omics.results.collection import Collection
    from airflow_provider_omics.results.failed_runs import CarriedSamples

SHOWN_FAILURES = 20
"""Runs that an error and a result name; 100,000 would fill the log and XCom."""

STRAGGLER_LOOKS = 6
"""Looks at the cancelled runs of a failed batch before its results are written without those that have not ended."""

STRAGGLER_INTERVAL = 10.0


class OmicsBatchEnd(OmicsStartOperator):
    """The part of the operator that starts a batch which comes after the wait."""

    rerun: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._carried_by: dict[str, CarriedSamples] = {}

    @abstractmethod
    def _tolerance(self) -> Tolerance:
        """Read what the user allows."""

    @abstractmethod
    def _recording(self) -> BatchRecording:
        """Give what keeps the results."""

    @abstractmethod
    def _memory(self) -> BatchMemory:
        """Give what remembers the samples."""

    @abstractmethod
    def _staging(self, *, earlier: bool = False) -> BatchStaging:
        """Give what stages the settings of this attempt, or of an earlier one."""

    @abstractmethod
    def _retry_rules(self, record: AttemptRecord | None) -> RerunRules:
        """Give the rules by which a retry of Airflow's own would choose after this attempt."""

    # -- the end ---------------------------------------------------------------------------------------------------

    def _conclude(self, context: Context, event: WaitEvent) -> dict[str, Any]:
        is_over = event.outcome in (Outcome.ENDED, Outcome.VANISHED) or event.cancelled
        if self._attempt is not None and self._attempt.request_id is not None:
            if is_over:
                self._staging().unstage(self._attempt.request_id)
                self._attempt.tell(event.snapshot)  # a triggerer has no way to
            else:
                self._staging().leave(self._attempt.request_id, "the batch may be going, and read them")
        if event.outcome is Outcome.ENDED and event.snapshot.phase is Phase.FAILED:
            # Before the failure is recorded: of a worker that dies in between, the next try sees to them.
            self._name_started_runs(event.snapshot.id)
            if self._is_true("cancel_on_kill"):
                self._cancel_stragglers(event.snapshot.id)
        try:
            return super()._conclude(context, event)
        except BatchVerdictError:
            raise  # its result is pushed already, with the failed ids
        except OmicsError:
            self._push(context, self._result_after_trouble(batch_of(event.snapshot)))
            if event.snapshot.phase not in (Phase.ACTIVE, Phase.PROCESSED):
                self._try_to_collect_results(context, event.snapshot)
            raise

    def _conclude_idle(self, context: Context, begun: Begun) -> dict[str, Any]:
        from airflow_provider_omics.core.attempt.record import Ended  # for running tasks, not for DAG files

        assert self._attempt is not None  # noqa: S101 - set by _begin
        batch = batch_of(begun.snapshot)
        if begun.record.previous_request_id is not None:
            self._staging(earlier=True).unstage_earlier(begun.record.previous_request_id, begun.record.previous_id)
        if batch.id:
            self._persist_links(context, batch)
            try:
                batch = BatchSnapshot.from_response(self.hook.get_batch(batch.id))
            except NotFound:
                self.log.info("The record of batch %s is gone; its samples are known", batch.id)
        try:
            result = self._finish(context, batch)
        except BatchVerdictError:
            self._attempt.end(Ended.BADLY)
            raise
        self._attempt.end(Ended.WELL)
        return self._report_success(context, result)

    def _finish(self, context: Context, ended: Snapshot) -> dict[str, Any]:
        batch = batch_of(ended)
        with self._collected(batch) as collection:
            return self._judged(context, batch, collection)

    def _judged(self, context: Context, batch: BatchSnapshot, collection: Collection | None) -> dict[str, Any]:
        """Give the result of a batch that has ended well enough; else tell why, and raise."""
        from airflow_provider_omics.results.pacing import paced_calls  # for running tasks, not for DAG files

        with paced_calls(self.hook):
            verdict, failed = self._verdict(batch, collection)
            known = self._known_of(batch, failed, verdict.counts)
            diagnosis = self._collect(lambda diagnoser: diagnoser.batch(batch, failed), known) if failed else known
        ends = known.ends
        if collection is not None:
            collection.add_causes(diagnosis.causes_by_id())
            recorded = Counter((run.status, run.code) for run in collection.cohort().failed)
            if recorded.total() == known.failed_runs:
                # The records have the code of each run, also of those that the diagnosis did not look at.
                ends = recorded
        diagnosis = diagnosis.with_ends(known.total_runs, ends)
        reasons = diagnosis.told_of((run.run_setting_id, run.status) for run in failed[:SHOWN_FAILURES])
        result = self._batch_result(
            batch,
            succeeded=verdict.succeeded,
            counts=verdict.counts,
            failed_ids=tuple(run.run_setting_id for run in failed),
            causes=diagnosis.causes(),
        )
        if verdict.succeeded:
            for run in failed[:SHOWN_FAILURES]:
                self.log.warning("Tolerated: %s %s", run.named, reasons[run.run_setting_id])
            self.log.log(30 if verdict.counts.not_completed else 20, "Batch %s: %s", batch.id, verdict.sentence)
            return result
        self._push(context, result)
        self._reported = result
        lead = "Nothing is left to submit, and" if self._is_idle else "Every run has ended, but"
        error = BatchVerdictError(
            f"{lead} too few completed: {verdict.sentence}.",
            batch_id=batch.id,
            batch_uuid=batch.uuid,
            status=batch.status,
            counts=verdict.counts.as_dict(),
            failed_run_settings=reasons,
            console_url=run_list_url(self.hook.conn_region_name),
        )
        self._explain(context, error, diagnosis, final=not self._may_pass(context, diagnosis, collection))
        raise error

    def _verdict(self, batch: BatchSnapshot, collection: Collection | None) -> tuple[Verdict, list[FailedRun]]:
        """Judge all samples: by their merged results where they are collected, else by counts and lists."""
        # For running tasks, not for DAG files.
        from airflow_provider_omics.core.batch.verdict import BatchCounts, judge
        from airflow_provider_omics.results import failed_runs

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
                failed = [*failed_runs(self.hook, batch), *failed]
            except ServiceError as error:
                if by_counts.succeeded and tolerance.must_succeed:
                    raise  # it depends on who failed
                self.log.warning("The runs that did not complete cannot be named: %s", error)
        return judge(counts, tolerance, [run.run_setting_id for run in failed]), failed

    def _may_pass(self, context: Context, diagnosis: BatchDiagnosis, collection: Collection | None) -> bool:
        """Decide whether a retry of Airflow's own would submit anything."""
        from airflow_provider_omics.core.batch.sample import RecordStatus  # for running tasks, not for DAG files

        if self._is_idle:
            return False
        if self.retry_permanent_failures:
            return True
        rules = self._retry_rules(None if self._attempt is None else self._attempt.record)
        before = self._unclear_of_all(context["ti"])
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

    def _report_failure(self, context: Context, seen: Snapshot, error: OmicsError) -> None:
        if isinstance(error, BatchVerdictError) or not isinstance(error, BatchError):
            return
        batch = batch_of(seen)
        self._reported = self._result_after_trouble(batch)
        if isinstance(error, BatchFailed):
            from airflow_provider_omics.diagnosis import diagnosis_of_lists  # for tasks that fail, not for DAG files

            known = diagnosis_of_lists(batch, (), self.hook.conn_region_name)
            self._explain(context, error, self._collect(lambda diagnoser: diagnoser.failed_batch(batch), known))

    def _unclear_of_all(self, task_instance: Any) -> int | None:
        """Tell how often all samples had failed unclear, as each attempt submits them all; None: each has its count."""
        attempt = self._attempt
        if attempt is None or attempt.record is None or not attempt.lasts:
            return self._unclear_before(task_instance)  # by the number of the try
        return None if self.rerun == "failed" else attempt.record.unclear_failures

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def _is_idle(self) -> bool:
        record = None if self._attempt is None else self._attempt.record
        return record is not None and record.idle

    def _carried(self) -> CarriedSamples:
        """Read what earlier attempts have left of the samples."""
        from airflow_provider_omics.results.failed_runs import CarriedSamples  # for running tasks, not for DAG files

        request_id = None if self._attempt is None else self._attempt.request_id
        record = None if self._attempt is None else self._attempt.record
        if request_id is None or (record is not None and not record.chosen):
            return CarriedSamples()
        if request_id not in self._carried_by:
            memory = self._memory()
            self._carried_by[request_id] = CarriedSamples.of(memory.read(request_id)) if memory.lasts else (
                CarriedSamples()
            )  # fmt: skip
        return self._carried_by[request_id]

    def _counts(self, batch: BatchSnapshot, carried: CarriedSamples) -> BatchCounts:
        from airflow_provider_omics.core.batch.verdict import BatchCounts  # for running tasks, not for DAG files

        return carried.counts if self._is_idle else BatchCounts.of(batch) + carried.counts

    def _known_of(self, batch: BatchSnapshot, failed: list[FailedRun], counts: BatchCounts) -> BatchDiagnosis:
        from airflow_provider_omics.diagnosis import diagnosis_of_lists  # for running tasks, not for DAG files

        known = diagnosis_of_lists(batch, failed, self.hook.conn_region_name)
        return known.with_ends(counts.total_runs, counts.ends)

    def _result(self, snapshot: Snapshot) -> dict[str, Any]:
        return self._batch_result(batch_of(snapshot), succeeded=None)

    def _result_after_trouble(self, batch: BatchSnapshot) -> dict[str, Any]:
        from airflow_provider_omics.core.wait.outcome import batch_result  # for running tasks, not for DAG files

        try:
            return self._batch_result(batch, succeeded=False)
        except OmicsError as error:
            self.log.warning("What earlier attempts have left cannot be read; the counts are the batch's: %s", error)
            return batch_result(batch, succeeded=False)

    def _batch_result(self, batch: BatchSnapshot, counts: BatchCounts | None = None, **more: Any) -> dict[str, Any]:
        from airflow_provider_omics.core.wait.outcome import batch_result  # for running tasks, not for DAG files

        if self._attempt is None:
            return {**batch_result(batch, **more), "results_uri": None}
        record, carried = self._attempt.record, self._carried()
        result = batch_result(
            batch,
            counts=self._counts(batch, carried) if counts is None else counts,
            attempts=1 if record is None else record.attempts,
            carried_forward=carried.counts.total_runs,
            **more,
        )
        return {**result, "results_uri": self._recording().uri}

    # -- results ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _collected(self, ended: Snapshot) -> Iterator[Collection | None]:
        """Collect the results of a batch and write them; None: there is no batch, or no place for results."""
        collection = None
        if self._attempt is not None and not self._is_idle:
            request_id, try_number = self._attempt.request_id, self._task_instance.try_number
            collection = self._recording().collection(ended.id, request_id, try_number)
        if collection is None:
            yield None
            return
        with closing(collection):
            collection.collect()
            yield collection

    def _try_to_collect_results(self, context: Context, ended: Snapshot) -> None:
        """Write the results of a batch that did not end well: its own error is what the task shall end with."""

        def collect() -> None:
            with self._collected(ended) as collection:
                if collection is not None:
                    counts = collection.cohort().counts
                    self._push(context, self._batch_result(batch_of(ended), counts=counts, succeeded=False))

        self._ask_on_the_way_out(f"The results of batch {ended.id} could not be collected", collect)

    def _name_started_runs(self, batch_id: str) -> None:
        from airflow_provider_omics.results import started_run_ids  # for tasks that fail, not for DAG files

        self._ask_on_the_way_out(
            "Whether the failed batch had started runs cannot be told",
            lambda: self._tell_started(started_run_ids(self.hook, batch_id, SHOWN_FAILURES)),
        )

    def _tell_started(self, started: list[str]) -> None:
        if started:
            self.log.warning("The failed batch had started runs, the first: %s", ", ".join(started))

    def _cancel_stragglers(self, batch_id: str) -> None:
        """Cancel what a failed batch has left going, and give it a moment to stop, so that it has its results."""
        # For tasks that fail, not for DAG files.
        from airflow_provider_omics.core.wait.cancel import cancel_stragglers
        from airflow_provider_omics.operators.waiting import Driver, pause

        def settle() -> None:
            Driver(self.hook, self.log).drive(cancel_stragglers(batch_id))
            for _ in range(STRAGGLER_LOOKS):
                if not self.hook.active_run_ids(batch_id):
                    return
                pause(STRAGGLER_INTERVAL)

        self._ask_on_the_way_out("Whether runs are still going cannot be told", settle)

    def _ask_on_the_way_out(self, lead: str, ask: Callable[[], object]) -> None:
        """Do something more about a failure, which stays what the task ends with."""
        try:
            ask()
        except OmicsError as error:
            self.log.warning("%s: %s", lead, error)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # A proxy's page in the place of an answer, or an answer of a newer service.
            self.log.warning("%s: the answer cannot be read (%s)", lead, type(error).__name__)

    def _push(self, context: Context, result: dict[str, Any]) -> None:
        """Push the result of a task that is about to fail: a task with trigger rule ``all_done`` needs it."""
        if self.do_xcom_push:
            context["ti"].xcom_push("return_value", result)


def batch_of(snapshot: Snapshot) -> BatchSnapshot:
    """Tell mypy what ``kind`` says.

    :param snapshot: of a batch.
    """
    assert isinstance(snapshot, BatchSnapshot)  # noqa: S101 - see above
    return snapshot
