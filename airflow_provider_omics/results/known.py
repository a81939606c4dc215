"""What is known of the samples of a cohort before a new attempt, read from where it is: one result for each counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.collect import supersedes
from airflow_provider_omics.core.batch.evidence import Evidence, Unrecorded
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample
from airflow_provider_omics.core.errors import NotFound, Problem, SettingsError
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.results.collect import Collected, collect_into
from airflow_provider_omics.results.file import JsonLinesFile, write_merged
from airflow_provider_omics.results.outputs import OutputsFinder
from airflow_provider_omics.results.store import ResultsStore


class KnownSamples:
    """The records of samples from earlier attempts of a task, and from other tasks; in temporary files.

    :param hook: where to ask.
    :param log: the task's logger.
    :param uri: the task's results file; None: it has none.
    :param identity: the task, which removes no records of others.
    """

    def __init__(self, hook: OmicsHook, log: Any, uri: str | None, identity: TaskIdentity) -> None:
        self._hook = hook
        self._log = log
        self._identity = identity
        self._file = None if uri is None else JsonLinesFile(hook, uri, hook.defaults.results_kms_key_id)
        self._before = ResultsStore()
        self._own = ResultsStore()
        self._others = ResultsStore()
        self._causes: dict[str, str] = {}
        self._last_batch: str | None = None
        self._shared = Evidence()
        self._changed = False
        self._is_read = self._has_own = False

    def close(self) -> None:
        """Remove the temporary files."""
        for store in (self._before, self._own, self._others):
            store.close()

    def read_own(
        self,
        samples: Iterable[Sample],
        batch_id: str | None,
        collect: Callable[[ResultsStore], Collected | None],
        *,
        chosen: bool,
    ) -> Collected | None:
        """Read the samples and records of the task's own earlier attempts.

        :param samples: of the last of them; raise NotFound if they were kept and are gone.
        :param batch_id: the batch that it started; None: it started none.
        :param collect: brings the results file up to date, and reads it into a store; called where there is one.
        :param chosen: it left some samples as attempts before it had left them.
        :return: what was collected; None: nothing, or the batch is gone.
        """
        self._last_batch = batch_id
        is_memory_gone = is_gone = False
        collected = None
        try:
            self._before.add_samples(samples)
        except NotFound as error:
            self._log.warning("What the attempt before has kept of its samples is gone: %s", error)
            is_memory_gone = True
        self._read_file()
        is_rest_known = self._has_own
        if batch_id is not None:
            try:
                collected = self.read_again(collect)
            except NotFound as error:
                self._log.warning("What became of batch %s is not to be found out any more: %s", batch_id, error)
                is_gone = True
        self._shared = Evidence(
            last_batch=batch_id,
            is_memory_gone=is_memory_gone,
            is_batch_gone=is_gone,
            is_rest_known=is_rest_known or not chosen,
            is_blind=is_gone and not is_memory_gone and not any(True for _ in self._before.samples()),
        )
        return collected

    def _read_file(self) -> None:
        if self._file is not None and not self._is_read:
            self._take(self._file)
            self._is_read = True

    def _take(self, file: JsonLinesFile) -> None:
        Repeats(self._hook, self._log).make(lambda: self._own.take(self._noted(file.read(RunRecord.from_json))))

    def _noted(self, records: Iterable[RunRecord]) -> Iterator[RunRecord]:
        for record in records:
            # The last batch may have been collected into a new file, when all that came before it had gone.
            is_of_before = record.batch_id is None or record.batch_id != self._last_batch
            self._has_own = self._has_own or (is_of_before and self._is_own(record))
            yield record

    def _is_own(self, record: RunRecord) -> bool:
        """Whether this task, in this DAG run, has started the batch of a record."""
        task = self._identity
        is_run = (record.dag_id, record.dag_run_id) == (task.dag_id, task.run_id)
        return is_run and record.task_id in (None, task.task_id)

    def read_again(self, collect: Callable[[ResultsStore], Collected | None]) -> Collected | None:
        """Read the last batch, or read it again, as some of its runs have ended meanwhile.

        :param collect: brings the results file up to date, and reads it into a store; called where there is one.
        """
        assert self._last_batch is not None  # noqa: S101 - only what was read is read again
        if self._file is None:
            samples = (sample for sample in self._before.samples() if sample.carried is None)
            return collect_into(self._own, self._hook, self._last_batch, samples, self._log)
        collected = collect(self._own)
        self._take(self._file)
        return collected

    def add_results(self, records: Iterable[RunRecord]) -> None:
        """Add the results of other tasks.

        :param records: one for each sample and workflow.
        """
        for record in records:
            self._others.put(record)

    def add_batch(self, batch_id: str) -> None:
        """Add the results of a batch, whoever started it.

        :param batch_id: id of the batch.
        :raises SettingsError: it is still going.
        :raises NotFound: there is no such batch (any more).
        :raises ServiceError: a call was refused, or did not get through.
        """
        batch = collect_into(self._others, self._hook, batch_id, (), self._log).batch
        if batch.phase is Phase.ACTIVE:
            allowed = f"a batch that has ended; it is {batch.status}: wait for it, or cancel it"
            raise SettingsError([Problem("rerun_failed_of", repr(batch_id), allowed)])

    def judge_outputs(self, finder: OutputsFinder, samples: Iterable[Sample]) -> None:
        """Look for the expected outputs of what has completed, where nobody has looked for these yet.

        :param finder: looks for them.
        :param samples: as they are now.
        :raises ServiceError: a call did not get through.
        """
        blind = 0
        for sample in samples:
            found = self.of(sample)
            if isinstance(found, Unrecorded) or not finder.lacks(found):
                continue
            stores = [store for store in (self._own, self._others) if _has(store, found)]
            blind += not stores
            for store in stores:
                record = store.record(found.run_setting_id, found.workflow)
                assert record is not None  # noqa: S101 - for mypy: it has it
                judged = finder.judge(self._with_place(record.present()))
                judged = judged.removed() if record.status is RecordStatus.REMOVED else judged
                if store is self._own:
                    self._put(judged)
                else:
                    store.put(judged)
        if blind:
            self._log.warning("%d completed samples have no known output URI", blind)

    def _with_place(self, record: RunRecord) -> RunRecord:
        """Ask where the outputs of a run are, of which only lists have told."""
        if record.output_uri is not None or record.run_id is None:
            return record
        run_id = record.run_id
        try:
            answer = Repeats(self._hook, self._log).make(lambda: self._hook.get_run(run_id))
        except NotFound:
            return record
        run = RunSnapshot.from_response(answer)
        if record.run_uuid not in (None, run.uuid):
            return record
        started = run.start_time.isoformat() if run.start_time else None
        return replace(record, output_uri=run.run_output_uri, started_at=record.started_at or started)

    def add_causes(self, causes: Mapping[str, str]) -> None:
        """Add the causes of failures.

        :param causes: ``runSettingId`` -> cause.
        """
        self._causes.update(causes)

    def of(self, sample: Sample) -> RunRecord | Unrecorded:
        """Find the result that counts for a sample, by all that is known.

        :param sample: as it is now.
        """
        name = sample.run_setting_id
        found = replace(
            self._shared,
            records=tuple(self._own.records_of(name)),
            named=tuple(self._others.records_of(name)),
            remembered=self._before.sample(name),
        ).of(sample)
        cause = self._causes.get(name)
        return found if isinstance(found, Unrecorded) or cause is None else replace(found, cause=cause)

    def remembers(self, sample: Sample) -> bool:
        """Tell whether the task's own attempts have had a sample.

        :param sample: as it is now.
        """
        if self._before.sample(sample.run_setting_id) is not None:
            return True
        records = self._own.records_of(sample.run_setting_id)
        return self._last_batch is not None and any(record.batch_id == self._last_batch for record in records)

    def unclear_before(self, run_setting_id: str) -> int:
        """Count the unclear failures of a sample before its last run.

        :param run_setting_id: the sample.
        """
        before = self._before.sample(run_setting_id)
        return 0 if before is None else before.unclear

    def gone(self, present: Collection[str]) -> Iterator[Sample]:
        """Yield the samples that have left the sheet, in the form that is remembered.

        :param present: ``runSettingId``s of the sheet.
        """
        for sample in self._before.samples():
            if sample.run_setting_id not in present:
                known = self.of(sample)
                if isinstance(known, RunRecord):
                    status, reason = known.status.value, known.cause or known.failure_reason
                    left = replace(sample, run_id=known.run_id, message=known.message)
                    yield replace(left, carried=status, reason=reason, removed=True)
        if self._last_batch is None:
            return
        for record in self._own.records(self._last_batch):  # of settings that the task had not read
            name = record.run_setting_id
            if name not in present and self._before.sample(name) is None:
                end, reason, workflow = record.end.value, record.cause or record.failure_reason, record.workflow
                gone = Sample(name, record.fingerprint, record.row, end, reason, removed=True, workflow=workflow)
                yield replace(gone, inputs=record.inputs)

    def keep(self, record: RunRecord) -> None:
        """Let the results file have a record that is carried forward, unless one that counts more is there.

        :param record: as :meth:`of` found it.
        """
        known = self._own.record(record.run_setting_id, record.workflow)
        if known is None or known.batch_id == record.batch_id or supersedes(record, known):
            self._put(record)

    def remove(self, run_setting_id: str) -> None:
        """Let the results file tell that a sample has left the sheet of this task; what others have run stays.

        :param run_setting_id: the sample.
        """
        for record in self._own.records_of(run_setting_id):
            is_own = self._is_own(record) or record.dag_id is None or record.batch_id == self._last_batch
            if is_own and self._own.record(run_setting_id, record.workflow) == record:
                self._put(record.removed())

    def write(self) -> None:
        """Write the results file, if it has changed.

        :raises ServiceError: S3 refused, or did not get through.
        """
        if self._file is not None and self._changed:
            self._read_file()  # others may keep their results there, too
            write_merged(self._file, self._own, self._log, Repeats(self._hook, self._log))
            self._changed = False

    def _put(self, record: RunRecord) -> None:
        if self._file is not None and self._own.record(record.run_setting_id, record.workflow) != record:
            self._own.put(record)
            self._changed = True


def _has(store: ResultsStore, found: RunRecord) -> bool:
    """Whether a store has the record of this very run."""
    record = store.record(found.run_setting_id, found.workflow)
    return record is not None and (record.run_id, record.run_uuid) == (found.run_id, found.run_uuid)
