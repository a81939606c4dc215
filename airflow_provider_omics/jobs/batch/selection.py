"""The samples of a batch that a new attempt submits: reads their records, decides each, and stores the choice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice, repeat
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.batch.rerun import (
    ON_CHANGED,
    Fate,
    RerunRules,
    read_rerun,
    rerun_sentence,
)
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample
from airflow_provider_omics.core.batch.verdict import named_samples
from airflow_provider_omics.core.errors import AttemptError, NotFound, Problem, SettingsError
from airflow_provider_omics.core.settings.checks import clean_setting
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.core.settings.rendering import still_text
from airflow_provider_omics.core.settings.requests import merge_settings, merged_run_settings
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.core.wait.patience import Patience
from airflow_provider_omics.hooks.driver import pause
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.batch.places import BatchMemory
from airflow_provider_omics.jobs.batch.staging import RunSettingsSpool
from airflow_provider_omics.jobs.diagnosis import Diagnoser
from airflow_provider_omics.results.collect import Collected
from airflow_provider_omics.results.known import KnownSamples
from airflow_provider_omics.results.outputs import OutputsFinder
from airflow_provider_omics.results.read import read_batch_results
from airflow_provider_omics.results.store import ResultsStore

SHOWN_CHANGES = 20
"""Samples that the error of a changed sheet names."""

LOOK = 30.0
"""Seconds after the first look at runs that have outlived their batch, doubled each time: what completes of them must
not be submitted again. A run that was cancelled stops within minutes."""

NO_CACHE = "cacheId is not set: all tasks of these samples are recomputed"


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


CANARY = "a number of samples, or runSettingIds or patterns of those that go first, each a text"
"""The values of the argument ``canary``."""

_NOT_SET = (None, "", "None")  # what a template makes of a param that is not given

NO_CANARY: tuple[Any, ...] = (*_NOT_SET, 0, "0", (), [])
"""The values of ``canary`` that mean that all samples go at once."""


@dataclass(frozen=True)
class RerunSettings:
    """The arguments of the operator, as they were rendered.

    :param rerun: ``"failed"``, ``"all"``, or the samples to run.
    :param given: ``rerun_setting``.
    :param on_changed: ``"fail"``, ``"rerun"`` or ``"keep"``.
    :param previous_results: a results file, or nothing.
    :param rerun_failed_of: a batch, or nothing.
    :param trust_foreign: results without a fingerprint count as those of the same settings.
    :param canary: how many samples go first, or which; None: all go at once.
    """

    rerun: Any
    given: Any
    on_changed: Any
    previous_results: Any
    rerun_failed_of: Any
    trust_foreign: Any = False
    canary: Any = None

    def check(self) -> None:
        """Look for problems.

        :raises SettingsError: something is wrong.
        """
        _, problems = read_rerun(self.rerun)
        if self.rerun == "all" and self.earlier is not None:
            allowed = "with rerun='failed' only: 'all' looks at nothing"
            problems.append(Problem(self.earlier.argument, "set", allowed))
        if self.canary is not None:
            _, canary_problems = self._read_canary()
            problems += canary_problems
            if self.rerun != "failed":
                problems.append(Problem("canary", repr(self.canary), "with rerun='failed' only"))
        if self.on_changed not in ON_CHANGED:
            problems.append(Problem("on_changed", repr(self.on_changed), "'fail', 'rerun' or 'keep'"))
        if self.given not in _NOT_SET and not isinstance(self.given, Mapping):
            allowed = f"a dict, as AWS spells defaultRunSetting{still_text(self.given)}"
            problems.append(Problem("rerun_setting", type(self.given).__name__, allowed))
        if problems:
            raise SettingsError(problems)

    def memory_problem(self) -> Problem:
        """Refuse a choice of the first attempt that no place can remember."""
        argument = "rerun" if self.named else "canary" if self.earlier is None else self.earlier.argument
        allowed = "needs a place to remember what was chosen: results_s3_uri or staging_s3_uri"
        return Problem(argument, "set", allowed)

    @property
    def chooses_at_once(self) -> bool:
        """Whether already the first attempt submits some samples only."""
        return self.earlier is not None or bool(self.named) or self.canary is not None

    @property
    def named(self) -> tuple[str, ...]:
        """Ids and patterns of the samples to run; none: all of them."""
        return read_rerun(self.rerun)[0]

    @property
    def canary_patterns(self) -> tuple[str, ...]:
        """Ids and patterns of the samples that go first, where they are named."""
        named, _ = ((), []) if self.canary is None else self._read_canary()
        return named if isinstance(named, tuple) else ()

    def canary_of(self, spool: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
        """Name the samples that go first.

        :param spool: all run settings.
        """
        named, _ = ((), []) if self.canary is None else self._read_canary()
        return named if isinstance(named, tuple) else tuple(one["runSettingId"] for one in islice(spool, named))

    def _read_canary(self) -> tuple[tuple[str, ...] | int, list[Problem]]:
        value = self.canary
        if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
            is_number = not isinstance(value, bool) and int(value) > 0
            return int(value), [] if is_number else [Problem("canary", repr(value), CANARY)]
        named, problems = named_samples("canary", value, CANARY)
        return named, problems or ([] if named else [Problem("canary", repr(value), CANARY)])

    @property
    def earlier(self) -> EarlierResults | None:
        """Earlier results that the user names; None: none."""
        given = [None if value in _NOT_SET else str(value) for value in (self.previous_results, self.rerun_failed_of)]
        return EarlierResults(*given) if any(given) else None

    @property
    def rerun_setting(self) -> Mapping[str, Any]:
        """The changes of a rerun; empty: none."""
        return clean_setting(self.given, Place.DEFAULT_RUN_SETTING)

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
        if self.canary is not None:  # which is the first attempt, and the others are the second
            is_rerun = record.attempts > 2 or self.earlier is not None or bool(self.named)
        return merge_settings(default, self.rerun_setting) if is_rerun and self.rerun_setting else default


@dataclass(eq=False)
class BatchRerun:
    """The choice of one attempt.

    :param hook: where to ask.
    :param log: the task's logger.
    :param memory: the task's own record of its samples.
    :param results_uri: the task's results file; None: it has none.
    :param collect: brings that file up to date for a batch, by its id and request id, and reads it into a store.
    :param earlier: what the user names as done already; None: nothing.
    :param identity: the task.
    :param patience: seconds for which runs that have outlived their batch are waited for, since the last one ended.
    :param own: the task, whose results count as well, as no record shows its attempts. Default: they do.
    :param inputs: ``runSettingId`` -> hash of its inputs' ETags now, of those that were looked up. Default: none were.
    :param finder: looks for the expected outputs of what has completed. Default: none are expected.
    """

    hook: OmicsHook
    log: Any
    memory: BatchMemory
    results_uri: str | None
    collect: Callable[[str, str, ResultsStore], Collected | None]
    earlier: EarlierResults | None
    identity: TaskIdentity
    patience: float
    own: TaskIdentity | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    finder: OutputsFinder | None = None

    def choose(
        self, record: AttemptRecord, spool: RunSettingsSpool, default: Mapping[str, Any], rules: RerunRules
    ) -> tuple[RunSettingsSpool, bool]:
        """Choose the samples that an attempt submits, and keep the choice under its request id.

        :param record: the attempt, which is not stored yet.
        :param spool: all run settings, as they are now.
        :param default: the request's ``defaultRunSetting``, without the changes of a rerun.
        :param rules: for all samples.
        :return: the settings to submit; may be empty; and whether all others wait for these, as they are the canary.
        :raises SettingsError: completed samples have other settings now, and ``on_changed`` is ``"fail"``.
        :raises ServiceError: the records could not be read, or the choice not be stored.
        """
        with closing(KnownSamples(self.hook, self.log, self.results_uri, self.identity)) as known:
            self._read(record, known)
            if self.finder is not None and not rules.everything:
                known.judge_outputs(self.finder, samples_of(default, spool, self.inputs))
            if not (rules.cleared or rules.retry_permanent):
                self._look_at_tasks(known, spool, default)
            fates = self._fates(known, spool, default, rules)
            if not rules.has_cache and (Fate.AGAIN in fates or Fate.CHANGED in fates):
                self.log.warning(NO_CACHE)
            present = {setting["runSettingId"] for setting in spool}
            gone = list(known.gone(present))
            for sample in gone:
                known.remove(sample.run_setting_id)
            for sample, fate in zip(samples_of(default, spool, self.inputs), fates, strict=True):
                found = known.of(sample)
                if not fate.is_submitted and fate is not Fate.LEAVE and isinstance(found, RunRecord):
                    known.keep(found)
            known.write()
            self.memory.keep(record.request_id, chain(self._samples(known, spool, default, fates, rules), gone))
        is_held = bool(rules.canary) and any(
            fate is Fate.LEAVE and not rules.is_canary(setting["runSettingId"])
            for setting, fate in zip(spool, fates, strict=True)
        )
        return spool.subset(fate.is_submitted for fate in fates), is_held

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
        with closing(KnownSamples(self.hook, self.log, self.results_uri, self.identity)) as known:
            gone = [] if spool is None else self._gone(record, known, {setting["runSettingId"] for setting in spool})
            samples = iter(()) if spool is None else samples_of(default, spool, self.inputs)
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
        known.read_own(
            self.memory.read(before), record.previous_id, partial(self._collect_previous, record), chosen=False
        )
        return list(known.gone(present))

    def _collect_previous(self, record: AttemptRecord, store: ResultsStore) -> Collected | None:
        batch_id, request_id = record.previous_id, record.previous_request_id
        return None if batch_id is None or request_id is None else self.collect(batch_id, request_id, store)

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
            known.read_own((), None, lambda _: None, chosen=False)
            return
        collect = partial(self._collect_previous, record)
        has_carried = record.attempts > 2 or record.previous_id is None
        samples = self.memory.read(before, required=True)
        collected = known.read_own(samples, record.previous_id, collect, chosen=has_carried)
        going, waited = 0, Patience(self.patience, LOOK)
        while collected is not None and collected.going:
            now = time.time()
            if collected.going != going:
                going, waited = collected.going, Patience(self.patience, LOOK)
                self.log.info("Waiting for the end of %d runs that outlived batch %s", going, record.previous_id)
            elif waited.is_over(now):
                raise AttemptError(
                    f"{going} runs of batch {record.previous_id} are still going, and others beside them would be paid "
                    "twice.",
                    advice="Cancel them, or clear the task once they have ended.",
                    request_id=record.request_id,
                    resource_id=record.previous_id,
                )
            waited = waited.failed(now)
            pause(waited.pause)
            collected = known.read_again(collect)

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

    def _look_at_tasks(self, known: KnownSamples, spool: RunSettingsSpool, default: Mapping[str, Any]) -> None:
        """Look for the failed tasks of runs that only say that one failed: what may pass depends on them."""
        records = (known.of(sample) for sample in samples_of(default, spool, self.inputs))
        causes, notes = Diagnoser(self.hook, log_lines=0).causes(
            [record for record in records if isinstance(record, RunRecord) and record.run_id and record.lacks_task]
        )
        known.add_causes(causes)
        for note in notes:
            self.log.warning("What may pass on another try: %s", note)

    def _fates(
        self, known: KnownSamples, spool: RunSettingsSpool, default: Mapping[str, Any], rules: RerunRules
    ) -> list[Fate]:
        fates: list[Fate] = []
        again: Counter[RecordStatus] = Counter()
        refused: list[tuple[Sample, RunRecord]] = []
        unknown: list[str] = []
        for sample in samples_of(default, spool, self.inputs):
            name = sample.run_setting_id
            record = known.of(sample)
            fate = rules.fate(sample, record, known.unclear_before(name))
            fates.append(fate)
            if not isinstance(record, RunRecord):
                continue
            if fate is Fate.AGAIN:
                again[record.status] += 1
            elif fate is Fate.REFUSE:
                refused.append((sample, record))
            elif record.status is RecordStatus.UNKNOWN and fate is not Fate.LEAVE:
                unknown.append(name)
        if Fate.NOT_KNOWN in fates:
            raise SettingsError([self._memory_problem(fates.count(Fate.NOT_KNOWN))])
        if refused:
            raise SettingsError([_changed_problem(refused)])
        if rules.canary:
            fates = _after_canary(fates, [rules.is_canary(one["runSettingId"]) for one in spool])
        count = Counter(fates)
        self.log.info(
            "%s",
            rerun_sentence(
                {status: again[status] for status in RecordStatus if again[status]},
                count[Fate.NEW],
                count[Fate.CHANGED],
                count[Fate.KEEP],
                count[Fate.CARRY],
                count[Fate.LEAVE],
            ),
        )
        if unknown:
            shown = ", ".join(map(visible, unknown[:SHOWN_CHANGES])) + (", ..." if len(unknown) > SHOWN_CHANGES else "")
            self.log.warning("Not submitted again, as their outcome is unknown: %s", shown)
        return fates

    def _samples(
        self,
        known: KnownSamples,
        spool: RunSettingsSpool,
        default: Mapping[str, Any],
        fates: list[Fate],
        rules: RerunRules,
    ) -> Iterator[Sample]:
        for sample, fate in zip(samples_of(default, spool, self.inputs), fates, strict=True):
            before = known.unclear_before(sample.run_setting_id)
            record = known.of(sample)
            is_left = fate is Fate.LEAVE
            if is_left and not (known.remembers(sample) and isinstance(record, RunRecord)):
                continue  # this task has never run it
            if fate.is_submitted or not isinstance(record, RunRecord):
                yield replace(sample, unclear=rules.unclear(record, before))
            else:
                is_done = record.status is RecordStatus.COMPLETED
                yield replace(
                    sample,
                    fingerprint=record.fingerprint,
                    inputs=record.inputs,
                    carried=record.status.value,
                    reason=record.cause or record.failure_reason,
                    removed=is_left,
                    unclear=before,
                    run_id=None if is_done else record.run_id,
                    message=None if is_done else record.message,
                    workflow=record.workflow,
                )

    def _memory_problem(self, number: int) -> Problem:
        """Say which memory is gone, and the ways on."""
        place = "Airflow's task state store" if self.memory.place is None else f"beside {self.memory.place.uri}"
        return Problem(
            "results_s3_uri",
            repr(self.results_uri),
            f"what the attempts before have done of {number:,} samples cannot be read: their memory is not {place}. If "
            "the place was changed, set it back, or name the old results file in previous_results; rerun='all' "
            "submits all samples again",
        )


def _after_canary(fates: list[Fate], canary: list[bool]) -> list[Fate]:
    """Leave all others until the canary has completed."""
    if all(fate is Fate.KEEP for fate, is_canary in zip(fates, canary, strict=True) if is_canary):
        return fates
    return [fate if is_canary else Fate.LEAVE for fate, is_canary in zip(fates, canary, strict=True)]


def samples_of(default: Mapping[str, Any], spool: RunSettingsSpool, inputs: Mapping[str, str]) -> Iterator[Sample]:
    """Yield the samples of a batch as they are known before they are submitted.

    :param default: the request's ``defaultRunSetting``.
    :param spool: the run settings.
    :param inputs: ``runSettingId`` -> hash of the inputs' ETags, of those that were looked up.
    """
    rows: Iterator[Mapping[str, Any]] = chain(spool.kept_rows(), repeat({}))
    for setting, row in zip(merged_run_settings(default, spool), rows, strict=False):
        yield Sample.of_setting(setting, row, inputs.get(setting["runSettingId"]))


def _changed_problem(refused: list[tuple[Sample, RunRecord]]) -> Problem:
    """Say which completed samples may not be those of the sheet, and why."""
    others = [sample for sample, record in refused if record.workflow not in (None, sample.workflow)]
    silent = [sample for sample, record in refused if sample not in others and record.fingerprint is None]
    rest = [(sample, record) for sample, record in refused if sample not in others and sample not in silent]
    changed = [sample for sample, record in rest if sample.fingerprint != record.fingerprint]
    parts = [
        (changed, "have other settings now"),
        ([sample for sample, _ in rest if sample not in changed], "have inputs that were replaced since"),
        (silent, "have results without settings (trust_foreign=True counts them as unchanged)"),
        (others, "have results of another workflow"),
    ]
    told = "; ".join(f"{len(some):,} completed samples {text} ({_named(some)})" for some, text in parts if some)
    return Problem(
        "on_changed", "'fail'", f"{told}: on_changed='rerun' submits them again, on_changed='keep' keeps their results"
    )


def _named(samples: list[Sample]) -> str:
    shown = ", ".join(visible(sample.run_setting_id) for sample in samples[:SHOWN_CHANGES])
    return shown + (f", ... {len(samples) - SHOWN_CHANGES:,} more" if len(samples) > SHOWN_CHANGES else "")
