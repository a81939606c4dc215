"""The records of a cohort's samples before a new attempt: one for each, the last one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample
from airflow_provider_omics.core.errors import NotFound, Problem, SettingsError
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.results.collect import Collected, collect_into
from airflow_provider_omics.results.file import JsonLinesFile, write_merged
from airflow_provider_omics.results.store import ResultsStore


class KnownSamples:
    """The records of samples from earlier attempts of a task, and from other tasks; in temporary files.

    :param hook: where to ask.
    :param log: the task's logger.
    :param uri: the task's results file; None: it has none.
    """

    def __init__(self, hook: OmicsHook, log: Any, uri: str | None) -> None:
        self._hook = hook
        self._log = log
        self._file = None if uri is None else JsonLinesFile(hook, uri, hook.defaults.results_kms_key_id)
        self._before = ResultsStore()
        self._own = ResultsStore()
        self._others = ResultsStore()
        self._causes: dict[str, str] = {}
        self._last_batch: str | None = None
        self._is_gone = False
        self._is_blind = False
        self._changed = False
        self._is_read = False

    def close(self) -> None:
        """Remove the temporary files."""
        for store in (self._before, self._own, self._others):
            store.close()

    def read_own(
        self, samples: Iterable[Sample], batch_id: str | None, collect: Callable[[], Collected | None]
    ) -> Collected | None:
        """Read the samples and records of the task's own earlier attempts.

        :param samples: of the last of them.
        :param batch_id: the batch that it started; None: it started none.
        :param collect: brings the results file up to date; called where there is one.
        :return: the collection's outcome; None: nothing was collected, or the batch is gone.
        """
        self._before.add_samples(samples)
        self._last_batch = batch_id
        collected = None
        if batch_id is not None:
            try:
                collected = collect() if self._file is not None else self._collect_into(self._own, batch_id)
            except NotFound as error:
                self._log.warning("The end of batch %s can no longer be found: %s", batch_id, error)
                self._is_gone, self._is_blind = True, not self.submitted
        self._read_file()
        return collected

    def _read_file(self) -> None:
        if self._file is not None and not self._is_read:
            self._take(self._file)
            self._is_read = True

    def _take(self, file: JsonLinesFile) -> None:
        Repeats(self._hook, self._log).make(lambda: self._own.take(file.read(RunRecord.from_json)))

    def read_again(self, collect: Callable[[], Collected | None]) -> Collected | None:
        """Read the last batch again, as some of its runs have ended meanwhile.

        :param collect: brings the results file up to date; called where there is one.
        """
        assert self._last_batch is not None  # noqa: S101 - only what was read is read again
        if self._file is None:
            return self._collect_into(self._own, self._last_batch)
        collected = collect()
        self._take(self._file)
        return collected

    def add_results(self, records: Iterable[RunRecord]) -> None:
        """Add the results of other tasks.

        :param records: one for each sample.
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

    def add_causes(self, causes: Mapping[str, str]) -> None:
        """Add the causes of failures.

        :param causes: ``runSettingId`` -> cause.
        """
        self._causes.update(causes)

    def _collect_into(self, store: ResultsStore, batch_id: str) -> Collected:
        submitted = (sample for sample in self._before.samples() if sample.carried is None)
        return collect_into(store, self._hook, batch_id, submitted, self._log)

    @property
    def submitted(self) -> int:
        """How many samples the last attempt submitted."""
        return sum(sample.carried is None for sample in self._before.samples())

    def of(self, run_setting_id: str) -> RunRecord | None:
        """Return the last record of a sample; None: it has none, or its run is still going.

        :param run_setting_id: the sample.
        """
        record, cause = self._of(run_setting_id), self._causes.get(run_setting_id)
        return record if record is None or cause is None else replace(record, cause=cause)

    def _of(self, run_setting_id: str) -> RunRecord | None:
        before, record = self._before.sample(run_setting_id), self._own.record(run_setting_id)
        record = None if record is None else record.present()  # a row may come back
        if before is None:
            return self._not_remembered(run_setting_id, record)
        if before.carried is not None:
            # The file may know more than was carried: somebody may have found the end of a run of unknown end.
            if record is None or record.status is RecordStatus.REMOVED:
                status = RecordStatus(before.carried)
                record = RunRecord(
                    run_setting_id,
                    before.run_id,
                    None,
                    status,
                    message=before.message,
                    cause=before.reason,
                    row=before.row,
                )
            return replace(record, fingerprint=record.fingerprint or before.fingerprint)
        if record is not None and record.batch_id == self._last_batch:
            return replace(record, fingerprint=record.fingerprint or before.fingerprint)
        return self._unknown(before) if self._is_gone else None

    def _not_remembered(self, run_setting_id: str, record: RunRecord | None) -> RunRecord | None:
        if record is not None and record.batch_id == self._last_batch is not None:
            return record  # of settings that the task had not read
        if self._is_gone and self._is_blind:
            return self._unknown(Sample(run_setting_id))
        other = self._others.record(run_setting_id)
        return None if other is None or other.end is RecordStatus.REMOVED else other.present()

    def unclear_before(self, run_setting_id: str) -> int:
        """Count the unclear failures of a sample before its last run.

        :param run_setting_id: the sample.
        """
        before = self._before.sample(run_setting_id)
        return 0 if before is None else before.unclear

    def _unknown(self, sample: Sample) -> RunRecord:
        return RunRecord(
            sample.run_setting_id,
            None,
            None,
            RecordStatus.UNKNOWN,
            message="its batch is gone: nobody can tell how it ended",
            fingerprint=sample.fingerprint,
            batch_id=self._last_batch,
            row=sample.row,
        )

    def gone(self, present: Collection[str]) -> Iterator[Sample]:
        """Yield the samples that have left the sheet, in the form that is remembered.

        :param present: ``runSettingId``s of the sheet.
        """
        for sample in self._before.samples():
            if sample.run_setting_id not in present:
                known = self.of(sample.run_setting_id)
                if known is not None:
                    status, reason = known.status.value, known.cause or known.failure_reason
                    left = replace(sample, run_id=known.run_id, message=known.message)
                    yield replace(left, carried=status, reason=reason, removed=True)
        if self._last_batch is None:
            return
        for record in self._own.records(self._last_batch):  # of settings that the task had not read
            name = record.run_setting_id
            if name not in present and self._before.sample(name) is None:
                end, reason = record.end.value, record.cause or record.failure_reason
                yield Sample(name, record.fingerprint, record.row, end, reason, removed=True)

    def keep(self, record: RunRecord) -> None:
        """Add to the results file a record that is carried forward.

        :param record: from :meth:`of`.
        """
        self._put(record)

    def remove(self, run_setting_id: str) -> None:
        """Mark a sample in the results file as removed from the sheet.

        :param run_setting_id: the sample.
        """
        record = self._own.record(run_setting_id)
        if record is not None:
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
        if self._file is not None and self._own.record(record.run_setting_id) != record:
            self._own.put(record)
            self._changed = True
