"""Which samples of a cohort a new attempt submits, and which it leaves as they are: one decision for each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow_provider_omics.core.batch.evidence import Unrecorded
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample, has_other_inputs, is_same_work
from airflow_provider_omics.core.batch.verdict import matches_any, named_samples
from airflow_provider_omics.core.errors import Problem
from airflow_provider_omics.core.failure.reasons import FailureClass, is_final, reason_of_end
from airflow_provider_omics.core.settings.checks import ReadModel, clean_setting, setting_problems
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.core.settings.requests import Layer, MergedSettings, merge_settings

ON_CHANGED = ("fail", "rerun", "keep")
"""The values of the argument ``on_changed``."""


class Fate(str, Enum):
    """The decision of a new attempt about a sample."""

    NEW = "new"
    """Submitted: nothing is known of it."""
    AGAIN = "again"
    """Submitted again, as it did not complete."""
    CHANGED = "changed"
    """Submitted again: it completed, with other settings than it has now."""
    KEEP = "keep"
    """Left alone: it completed."""
    CARRY = "carry"
    """Left alone: it did not complete, and another try cannot help, or nobody knows what became of it."""
    REFUSE = "refuse"
    """It completed, not with the settings it has now as far as is known, and the user has to say what is to be done."""
    WAIT = "wait"
    """Its run is going: it is waited for, and nothing is submitted beside it."""
    NOT_KNOWN = "not known"
    """It may have completed, and what would tell is gone: nothing is started."""
    LEAVE = "leave"
    """``rerun`` names others: it is neither submitted nor judged, and its record stays as it is."""

    @property
    def is_submitted(self) -> bool:
        """Whether the sample is part of the new batch."""
        return self in (Fate.NEW, Fate.AGAIN, Fate.CHANGED)


@dataclass(frozen=True)
class RerunRules:
    """Rules for all samples of an attempt.

    :param everything: ``rerun="all"``: all start over, whatever is known of them.
    :param cleared: a user cleared the task, or named another batch whose failures to run: every sample that did not
        complete is submitted again. Default: Airflow's own retry, which submits only those that may pass now.
    :param on_changed: for completed samples whose settings changed: ``"fail"``, ``"rerun"`` or ``"keep"``.
    :param rerun_setting_changes: ``rerun_setting`` changes something, so that tasks that were too small may now fit.
    :param retry_permanent: ``retry_permanent_failures``.
    :param has_cache: ``cacheId`` is set, so that what was computed before need not be computed anew.
    :param trust_foreign: a result of the same workflow without a fingerprint counts as one of the same settings.
    :param only_changes: the attempt before ended well: what did not complete is tolerated, and submitted again only
        with other settings.
    :param named: ids and patterns that ``rerun`` names; none: it is about all samples.
    :param canary: ids and patterns of the samples for which the others wait; none: they do not.
    """

    everything: bool = False
    cleared: bool = False
    on_changed: str = "fail"
    rerun_setting_changes: bool = False
    retry_permanent: bool = False
    has_cache: bool = False
    trust_foreign: bool = False
    only_changes: bool = False
    named: tuple[str, ...] = ()
    canary: tuple[str, ...] = ()

    def is_canary(self, run_setting_id: str) -> bool:
        """Whether the others wait for a sample.

        :param run_setting_id: the sample.
        """
        return bool(self.canary) and matches_any(run_setting_id, self.canary)

    def fate(self, sample: Sample, known: RunRecord | Unrecorded | None, unclear_before: int = 0) -> Fate:
        """Decide what becomes of a sample; the table is in docs/results.md.

        A sample of UNKNOWN outcome may have completed: it is never run again unless everything is. A record without
        a fingerprint is not known to be of the same settings.

        :param sample: as it is now.
        :param known: the result that counts for it, or why there is none, as
            :meth:`airflow_provider_omics.core.batch.evidence.Evidence.of` finds it; None: it has not run.
        :param unclear_before: how often it had failed unclear before that, since its first run or the last clear.
        :return: its fate.
        """
        if known is Unrecorded.GOING:
            return Fate.WAIT
        if known is Unrecorded.NOT_KNOWN and not self.everything:
            return Fate.NOT_KNOWN
        if self.named and not matches_any(sample.run_setting_id, self.named):
            return Fate.LEAVE
        if known is None or isinstance(known, Unrecorded):
            return Fate.NEW
        if self.everything:
            return Fate.AGAIN
        if known.status is RecordStatus.COMPLETED:
            if is_same_work(known, sample) or self._is_trusted(sample, known):
                return Fate.KEEP
            return {"fail": Fate.REFUSE, "rerun": Fate.CHANGED, "keep": Fate.KEEP}[self.on_changed]
        if known.status is RecordStatus.UNKNOWN:
            return Fate.CARRY
        if None not in (known.fingerprint, sample.fingerprint) and not is_same_work(known, sample):
            return Fate.AGAIN  # what was corrected has not failed yet
        if self.only_changes:
            return Fate.CARRY
        again = self.cleared or self.may_pass(known.status, known.failure_code, unclear_before)
        return Fate.AGAIN if again else Fate.CARRY

    def _is_trusted(self, sample: Sample, known: RunRecord) -> bool:
        return (
            self.trust_foreign
            and known.fingerprint is None
            and not has_other_inputs(known, sample)
            and known.workflow in (None, sample.workflow)
        )

    def unclear(self, known: RunRecord | Unrecorded | None, unclear_before: int) -> int:
        """Count how often a sample that is submitted has failed unclear, since its first run or the last clear.

        :param known: its last record; None: there is none.
        :param unclear_before: the same before that.
        """
        if self.cleared or not isinstance(known, RunRecord) or known.status is RecordStatus.COMPLETED:
            return 0
        failure_class = reason_of_end(known.status.value, known.failure_code).failure_class
        is_unclear = failure_class is FailureClass.UNCLEAR and not _is_untried(known.status, known.failure_code)
        return unclear_before + is_unclear

    def may_pass(self, status: RecordStatus, reason: str | None, unclear_before: int = 0) -> bool:
        """Decide whether a retry of Airflow's own may help a sample that did not complete.

        :param status: how it ended.
        :param reason: AWS's code for it.
        :param unclear_before: how often it had failed unclear before, since its first run or the last clear.
        :return: whether it is submitted again.
        """
        if status is RecordStatus.UNKNOWN:
            return False
        if _is_untried(status, reason):
            return True
        failure_class = reason_of_end(status.value, reason).failure_class
        if self.rerun_setting_changes and failure_class is FailureClass.SIZING:
            return True
        return not is_final(failure_class, unclear_before, retry_permanent=self.retry_permanent)


def _is_untried(status: RecordStatus, reason: str | None) -> bool:
    """Whether the batch of a sample ended before its turn came."""
    return status is RecordStatus.NOT_SUBMITTED and reason is None


RERUN = "'failed', 'all', or runSettingIds or patterns of the samples to run, each a text"
"""The values of the argument ``rerun``."""


def read_rerun(value: object) -> tuple[tuple[str, ...], list[Problem]]:
    """Read the argument ``rerun``.

    :param value: ``"failed"``, ``"all"``, or ids and patterns of samples: one, or several.
    :return: the ids and patterns, none where it is about all samples; and the problems.
    """
    if value in ("failed", "all"):
        return (), []
    named, problems = named_samples("rerun", value, RERUN)
    # Of no samples it would be about all of them, and start them.
    return named, problems or ([] if named else [Problem("rerun", repr(value), RERUN)])


def rerun_setting_problems(
    default: Mapping[str, Any], rerun_setting: Mapping[str, Any], model: ReadModel | None = None
) -> list[Problem]:
    """Check the changes of a rerun, by themselves and merged.

    :param default: the request's ``defaultRunSetting``, checked.
    :param rerun_setting: the changes to it.
    :param model: reads the model of the installed boto3, which has to know each field. Default: any will do.
    :return: all problems.
    """
    place = Place.DEFAULT_RUN_SETTING
    layers = (Layer("default_run_setting", default, place), Layer("rerun_setting", rerun_setting, place))
    problems = setting_problems(rerun_setting, place, layers[1].label)
    if problems or not rerun_setting:
        return problems
    merged = MergedSettings(merge_settings(*(clean_setting(layer.values, place) for layer in layers)), place, layers)
    return merged.problems(model)


def rerun_sentence(
    again: Mapping[RecordStatus, int], new: int, changed: int, kept: int, carried: int, unnamed: int = 0
) -> str:
    """Summarise for the task's log which samples an attempt submits.

    :param again: samples submitted again, by how they ended.
    :param new: samples of which nothing was known.
    :param changed: completed samples whose settings changed.
    :param kept: completed samples.
    :param carried: samples that did not complete and are left as they are.
    :param unnamed: samples that ``rerun`` does not name. Default: it names none, and is about all.
    :return: ``"submit 14: 9 failed, 3 not submitted, 2 new; keep 9,986"``.
    """
    parts = [(number, status.value.lower().replace("_", " ")) for status, number in again.items()]
    parts += [(changed, "changed"), (new, "new")]
    shown = ", ".join(f"{number:,} {name}" for number, name in parts if number)
    total = sum(number for number, _ in parts)
    text = f"submit {total:,}" + (f": {shown}" if shown else "") + f"; keep {kept:,}"
    text += f"; leave {carried:,} that did not complete" if carried else ""
    return text + (f"; {unnamed:,} that rerun does not name stay as they are" if unnamed else "")


@dataclass(frozen=True)
class RerunForecast:
    """What a clear would submit, if the settings stay those of the last try.

    :param submitted: number of samples.
    :param sentence: the same by how they ended, with what is kept: that of the log of the try.
    """

    submitted: int
    sentence: str


def rerun_forecast(records: Iterable[RunRecord], *, everything: bool, named: tuple[str, ...] = ()) -> RerunForecast:
    """Forecast what a clear submits, by the rules that the cleared task has.

    :param records: one for each sample.
    :param everything: ``rerun="all"``.
    :param named: ids and patterns that ``rerun`` names. Default: it is about all samples.
    :return: the forecast; rows that are new or changed by then are not in it.
    """
    # With the settings of the last try no sample has changed.
    rules = RerunRules(everything=everything, cleared=True, on_changed="keep", named=named)
    again: Counter[RecordStatus] = Counter()
    left: Counter[Fate] = Counter()
    for record in records:
        if record.status is RecordStatus.REMOVED:
            continue
        fate = rules.fate(Sample(record.run_setting_id, record.fingerprint), record)
        if fate.is_submitted:
            again[record.status] += 1
        else:
            left[fate] += 1
    by_status = {status: again[status] for status in RecordStatus if again[status]}
    sentence = rerun_sentence(by_status, 0, 0, left[Fate.KEEP], left[Fate.CARRY], left[Fate.LEAVE])
    return RerunForecast(sum(again.values()), sentence)
