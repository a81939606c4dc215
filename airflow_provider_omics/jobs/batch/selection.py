"""The samples of a batch that a new attempt submits: reads their records, decides each, and stores the choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.batch.rerun import (
    Fate,
    RerunRules,
    checked_on_changed,
    rerun_sentence,
    rerun_setting_problems,
)
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample, sample_fingerprint
from airflow_provider_omics.core.errors import NotFound, Problem, SettingsError
from airflow_provider_omics.core.settings.checks import ReadModel, clean_setting
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.core.settings.rendering import still_text
from airflow_provider_omics.core.settings.requests import merge_settings, merged_run_settings
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.batch.places import BatchMemory
from airflow_provider_omics.jobs.batch.staging import RunSettingsSpool
from airflow_provider_omics.jobs.diagnosis import Diagnoser
from airflow_provider_omics.jobs.driver import pause
from airflow_provider_omics.results.collect import Collected
from airflow_provider_omics.results.known import KnownSamples
from airflow_provider_omics.results.read import read_batch_results

SHOWN_CHANGES = 20
"""Samples that the error of a changed sheet names."""

STRAGGLERS = 600.0
"""Seconds that a new attempt waits for runs of an ended batch that are still going: those that complete must not be
submitted again. A run that was cancelled stops within minutes."""

LOOK = 30.0
"""Seconds between two looks at them."""

NO_CACHE = "cacheId is not set: what these samples have computed before is computed anew"


@dataclass(frozen=True)
class EarlierResults:
    """Earlier results that a user names.

    :param results_uri: ``previous_results``: a results file; None: none.
    :param batch_id: ``rerun_failed_of``: a batch; None: none.
    """

    results_uri: str | None = None
    batch_id: str | None = None

    @property
    def argument(self) -> str:
        """The argument that names it."""
        return "previous_results" if self.results_uri else "rerun_failed_of"


_NOT_SET = (None, "", "None")  # what a template makes of a param that is not given


@dataclass(frozen=True)
class RerunSettings:
    """The arguments of the operator, as they were rendered.

    :param rerun: ``"failed"`` or ``"all"``.
    :param given: ``rerun_setting``.
    :param on_changed: ``"fail"``, ``"rerun"`` or ``"keep"``.
    :param previous_results: a results file, or nothing.
    :param rerun_failed_of: a batch, or nothing.
    """

    rerun: Any
    given: Any
    on_changed: Any
    previous_results: Any
    rerun_failed_of: Any

    def check(self) -> None:
        """Look for problems.

        :raises SettingsError: something is wrong.
        """
        problems = []
        if self.rerun not in ("failed", "all"):
            problems.append(Problem("rerun", repr(self.rerun), "'failed' or 'all'"))
        if self.rerun == "all" and self.earlier is not None:
            allowed = "with rerun='failed' only: 'all' looks at nothing"
            problems.append(Problem(self.earlier.argument, "set", allowed))
        try:
            checked_on_changed(self.on_changed)
        except SettingsError as error:
            problems += error.problems
        if self.given not in _NOT_SET and not isinstance(self.given, Mapping):
            allowed = f"a dict, as AWS spells defaultRunSetting{still_text(self.given)}"
            problems.append(Problem("rerun_setting", type(self.given).__name__, allowed))
        if problems:
            raise SettingsError(problems)

    def check_merged(self, default: Mapping[str, Any], model: ReadModel) -> None:
        """Look for problems of ``rerun_setting``, by itself and in its place.

        :param default: the request's ``defaultRunSetting``.
        :param model: reads the model of the installed boto3.
        :raises SettingsError: there are some.
        """
        problems = rerun_setting_problems(default, self.rerun_setting, model)
        if problems:
            raise SettingsError(problems)

    def check_place(self) -> None:
        """Refuse a choice that no place can remember.

        :raises SettingsError: earlier results are named.
        """
        if self.earlier is not None:
            allowed = "needs a place to remember what was chosen: results_s3_uri or staging_s3_uri"
            raise SettingsError([Problem(self.earlier.argument, "set", allowed)])

    @property
    def earlier(self) -> EarlierResults | None:
        """Earlier results that the user names; None: none."""
        given = [None if value in _NOT_SET else str(value) for value in (self.previous_results, self.rerun_failed_of)]
        return EarlierResults(*given) if any(given) else None

    @property
    def rerun_setting(self) -> Mapping[str, Any]:
        """The changes of a rerun; empty: none."""
        return clean_setting(self.given, Place.DEFAULT_RUN_SETTING) if isinstance(self.given, Mapping) else {}

    def changes(self, default: Mapping[str, Any]) -> bool:
        """Return whether a rerun changes anything.

        :param default: the request's ``defaultRunSetting``.
        """
        return merge_settings(default, self.rerun_setting) != merge_settings(default)

    def merged(self, default: Mapping[str, Any], record: AttemptRecord) -> Mapping[str, Any]:
        """Return the ``defaultRunSetting`` of an attempt.

        :param default: the request's.
        :param record: the attempt; the first one changes nothing, unless earlier results are named.
        """
        is_rerun = record.attempts > 1 or record.chosen
        return merge_settings(default, self.rerun_setting) if is_rerun and self.rerun_setting else default


@dataclass(eq=False)
class BatchRerun:
    """The choice of one attempt.

    :param hook: where to ask.
    :param log: the task's logger.
    :param memory: the task's own record of its samples.
    :param results_uri: the task's results file; None: it has none.
    :param collect: brings that file up to date for a batch, by its id and request id.
    :param earlier: earlier results that the user names; None: none.
    :param own: the task, whose results count as well, as no record shows its attempts. Default: they do.
    """

    hook: OmicsHook
    log: Any
    memory: BatchMemory
    results_uri: str | None
    collect: Callable[[str, str], Collected | None]
    earlier: EarlierResults | None
    own: TaskIdentity | None = None

    def choose(
        self, record: AttemptRecord, spool: RunSettingsSpool, default: Mapping[str, Any], rules: RerunRules
    ) -> RunSettingsSpool:
        """Choose the samples that an attempt submits, and keep the choice under its request id.

        :param record: the attempt, which is not stored yet.
        :param spool: all run settings, as they are now.
        :param default: the request's ``defaultRunSetting``, without the changes of a rerun.
        :param rules: for all samples.
        :return: the settings to submit; may be empty.
        :raises SettingsError: completed samples have other settings now, and ``on_changed`` is ``"fail"``.
        :raises ServiceError: the records could not be read, or the choice not be stored.
        """
        with closing(KnownSamples(self.hook, self.log, self.results_uri)) as known:
            self._read(record, known)
            if not (rules.cleared or rules.retry_permanent):
                self._look_at_tasks(known, spool)
            fates = self._fates(known, spool, default, rules)
            if not rules.has_cache and (Fate.AGAIN in fates or Fate.CHANGED in fates):
                self.log.warning(NO_CACHE)
            present = {setting["runSettingId"] for setting in spool}
            gone = list(known.gone(present))
            for sample in gone:
                known.remove(sample.run_setting_id)
            for setting, fate in zip(spool, fates, strict=True):
                if not fate.is_submitted:
                    known.keep(_known(known, setting["runSettingId"]))
            known.write()
            self.memory.keep(record.request_id, chain(self._samples(known, spool, default, fates, rules), gone))
        return spool.subset(fate.is_submitted for fate in fates)

    def start_over(
        self, record: AttemptRecord, spool: RunSettingsSpool | None, default: Mapping[str, Any], rules: RerunRules
    ) -> None:
        """Store the samples of an attempt that submits them all; those that have left the sheet no longer count.

        :param record: the attempt.
        :param spool: all run settings, as they are now; None: nobody has read them.
        :param default: the request's ``defaultRunSetting``.
        :param rules: for all samples.
        :raises ServiceError: the records of rows that have left could not be read, or the samples not be stored.
        """
        with closing(KnownSamples(self.hook, self.log, self.results_uri)) as known:
            gone = [] if spool is None else self._gone(record, known, {setting["runSettingId"] for setting in spool})
            samples = iter(()) if spool is None else samples_of(default, spool)
            self.memory.keep(record.request_id, chain(samples, gone))
            for sample in gone:
                known.remove(sample.run_setting_id)
            known.write()
        if record.previous_request_id is not None and not rules.has_cache:
            self.log.warning(NO_CACHE)

    def _gone(self, record: AttemptRecord, known: KnownSamples, present: Collection[str]) -> list[Sample]:
        """Read the records of rows that the attempt before had, and that have left the sheet since."""
        before = record.previous_request_id
        if before is None:
            return []
        remembered = [sample.run_setting_id in present for sample in self.memory.read(before)]
        if remembered and all(remembered):
            return []
        known.read_own(self.memory.read(before), record.previous_id, lambda: self._collect_previous(record))
        return list(known.gone(present))

    def _collect_previous(self, record: AttemptRecord) -> Collected | None:
        batch_id, request_id = record.previous_id, record.previous_request_id
        return None if batch_id is None or request_id is None else self.collect(batch_id, request_id)

    def chosen(self, record: AttemptRecord, spool: RunSettingsSpool) -> RunSettingsSpool:
        """Return the settings chosen for an attempt earlier, when its request is sent again.

        :param record: the attempt.
        :param spool: all run settings; the same as then, or the request would not be sent again.
        """
        submitted = {sample.run_setting_id for sample in self.memory.read(record.request_id) if sample.carried is None}
        return spool.subset([setting["runSettingId"] in submitted for setting in spool])

    def _read(self, record: AttemptRecord, known: KnownSamples) -> None:
        if self.earlier is not None:
            self._read_earlier(self.earlier, known, is_first=record.previous_request_id is None)
        before, task = record.previous_request_id, self.own
        if task is not None and self.results_uri is not None:
            results = read_batch_results(self.results_uri, hook=self.hook)
            own = (one for one in results if (one.dag_id, one.dag_run_id) == (task.dag_id, task.run_id))
            known.add_results(own)
        if before is None:
            return
        batch_id = record.previous_id
        collected = known.read_own(self.memory.read(before), batch_id, lambda: self._collect_previous(record))
        waited = 0.0
        while batch_id is not None and collected is not None and self._has_stragglers(collected, known):
            if waited >= STRAGGLERS:
                self.log.warning("Runs of batch %s are still going; their samples are submitted again", batch_id)
                return
            if not waited:
                self.log.info("Waiting for the end of runs that outlived batch %s", batch_id)
            pause(LOOK)
            waited += LOOK
            collected = known.read_again(lambda: self._collect_previous(record))

    def _read_earlier(self, earlier: EarlierResults, known: KnownSamples, *, is_first: bool) -> None:
        """Read the results that the user names; where the task's own attempts know a sample, their record wins."""
        if earlier.results_uri:
            known.add_results(read_batch_results(earlier.results_uri, hook=self.hook))
        if earlier.batch_id:
            try:
                known.add_batch(earlier.batch_id)
            except NotFound as error:
                if is_first:
                    raise
                self.log.warning("The runs of batch %s can no longer be read: %s", earlier.batch_id, error)

    def _look_at_tasks(self, known: KnownSamples, spool: RunSettingsSpool) -> None:
        """Look for the failed tasks of runs that only say that one failed: whether a retry may help depends on them."""
        records = (known.of(setting["runSettingId"]) for setting in spool)
        causes, notes = Diagnoser(self.hook, log_lines=0).causes(
            [record for record in records if record is not None and record.run_id is not None and record.lacks_task]
        )
        known.add_causes(causes)
        for note in notes:
            self.log.warning("What may pass on another try: %s", note)

    def _has_stragglers(self, collected: Collected, known: KnownSamples) -> bool:
        """Return whether a batch has ended and runs of it have not."""
        has_ended = collected.batch.phase is not Phase.ACTIVE
        return has_ended and sum(collected.counts.values()) < known.submitted

    def _fates(
        self, known: KnownSamples, spool: RunSettingsSpool, default: Mapping[str, Any], rules: RerunRules
    ) -> list[Fate]:
        fates: list[Fate] = []
        again: Counter[RecordStatus] = Counter()
        refused: list[str] = []
        unknown: list[str] = []
        for setting in merged_run_settings(default, spool):
            name = setting["runSettingId"]
            record = known.of(name)
            fate = rules.fate(Sample(name, sample_fingerprint(setting)), record, known.unclear_before(name))
            fates.append(fate)
            if record is not None and fate is Fate.AGAIN:
                again[record.status] += 1
            elif fate is Fate.REFUSE:
                refused.append(name)
            elif record is not None and record.status is RecordStatus.UNKNOWN:
                unknown.append(name)
        if refused:
            raise SettingsError([_changed_problem(refused)])
        count = Counter(fates)
        self.log.info(
            "%s",
            rerun_sentence(
                {status: again[status] for status in RecordStatus if again[status]},
                count[Fate.NEW],
                count[Fate.CHANGED],
                count[Fate.KEEP],
                count[Fate.CARRY],
            ),
        )
        if unknown:
            shown = ", ".join(unknown[:SHOWN_CHANGES]) + (", ..." if len(unknown) > SHOWN_CHANGES else "")
            self.log.warning("Nobody can tell whether these completed, so they are not submitted again: %s", shown)
        return fates

    def _samples(
        self,
        known: KnownSamples,
        spool: RunSettingsSpool,
        default: Mapping[str, Any],
        fates: list[Fate],
        rules: RerunRules,
    ) -> Iterator[Sample]:
        for sample, fate in zip(samples_of(default, spool), fates, strict=True):
            name = sample.run_setting_id
            before = known.unclear_before(name)
            if fate.is_submitted:
                yield replace(sample, unclear=rules.unclear(known.of(name), before))
            else:
                record = _known(known, name)
                status, reason = record.status.value, record.cause or record.failure_reason
                left = (None, None) if record.status is RecordStatus.COMPLETED else (record.run_id, record.message)
                yield Sample(name, record.fingerprint, sample.row, status, reason, False, before, *left)


def samples_of(default: Mapping[str, Any], spool: RunSettingsSpool) -> Iterator[Sample]:
    """Yield the samples of a batch as they are known before they are submitted.

    :param default: the request's ``defaultRunSetting``.
    :param spool: the run settings.
    """
    rows: Iterator[Mapping[str, Any]] = chain(spool.kept_rows(), repeat({}))
    for setting, row in zip(merged_run_settings(default, spool), rows, strict=False):
        yield Sample(setting["runSettingId"], sample_fingerprint(setting), row)


def _known(known: KnownSamples, run_setting_id: str) -> RunRecord:
    record = known.of(run_setting_id)
    assert record is not None  # noqa: S101 - a sample without a record is submitted
    return record


def _changed_problem(names: list[str]) -> Problem:
    shown = ", ".join(names[:SHOWN_CHANGES])
    more = f", ... {len(names) - SHOWN_CHANGES:,} more" if len(names) > SHOWN_CHANGES else ""
    return Problem(
        "on_changed",
        "'fail'",
        f"{len(names):,} completed samples have other settings now ({shown}{more}): on_changed='rerun' submits them "
        "again, on_changed='keep' keeps their results",
    )
