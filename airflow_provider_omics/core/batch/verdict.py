"""The verdict on a batch: its counts against what the user tolerates.

PROCESSED only says that every run has ended. Whether that is a success is decided here, from ``runSummary`` and
``submissionSummary`` against ``totalRuns`` (source: GetBatch; counts are final once the batch is PROCESSED).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from fnmatch import fnmatchcase
from fractions import Fraction

from airflow_provider_omics.core.errors import GivenValue, Problem, SettingsError
from airflow_provider_omics.core.settings.rendering import lost_spelling, still_text
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.text import visible

_LIST = re.compile(r"\s*\[\s*([\'\"].*)?\]\s*", re.DOTALL)
"""A list that a template has rendered to text; as a pattern it would name no sample, and protect none."""


@dataclass(frozen=True)
class Tolerance:
    """How many runs of a batch may fail.

    :param max_failed_runs: number of runs that may end otherwise than COMPLETED; default 0.
    :param max_failed_percent: the same as a percentage (0 to 100) of all runs, rounded down; where both are given
        the larger allowance counts. Default None: the number alone.
    :param must_succeed: ``runSettingId``s, or patterns with ``*`` and ``?``, that are never tolerated.
    """

    max_failed_runs: int = 0
    max_failed_percent: float | None = None
    must_succeed: tuple[str, ...] = ()

    @classmethod
    def checked(cls, max_failed_runs: object, max_failed_percent: object, must_succeed: object) -> Tolerance:
        """Build a tolerance from what a template may have turned into text.

        :param max_failed_runs: whole number, or its text.
        :param max_failed_percent: number, its text, None or empty text.
        :param must_succeed: one id or pattern, or several.
        :return: the tolerance.
        :raises SettingsError: something is not a number or out of range; all problems at once.
        """
        problems = []
        runs = _number(0 if max_failed_runs in (None, "") else max_failed_runs)
        if runs is None or runs < 0 or runs != int(runs):
            problems.append(Problem("max_failed_runs", repr(max_failed_runs), "a whole number, 0 or more"))
        percent = None if max_failed_percent in (None, "", "None") else _number(max_failed_percent)
        if max_failed_percent not in (None, "", "None") and (percent is None or not 0 <= percent <= 100):
            problems.append(Problem("max_failed_percent", repr(max_failed_percent), "a number from 0 to 100"))
        names, unreadable = named_samples("must_succeed", must_succeed, "runSettingIds or patterns, each a text")
        problems += unreadable
        if problems:
            raise SettingsError(problems)
        return cls(int(runs or 0), percent, names)

    def allowance(self, total_runs: int) -> int:
        """Number of runs, out of so many, that may end otherwise than COMPLETED."""
        # By fractions, as 0.57 % of 10,000 is 57, and by floats 56.99...
        percent = Fraction(str(self.max_failed_percent or 0))
        return max(self.max_failed_runs, math.floor(total_runs * percent / 100))


SHOWN_IDS = 3
"""Ids that are shown beside one that names no sample."""


def named_samples(argument: str, value: object, allowed: str) -> tuple[tuple[str, ...], list[Problem]]:
    """Read the ids and patterns that an argument names.

    :param argument: name of the argument.
    :param value: one ``runSettingId`` or pattern, or several, as a template may have left them.
    :param allowed: what the argument takes, in words.
    :return: the ids and patterns, and the problem of the first that is none.
    """
    given: tuple[object, ...] = (value,)
    if isinstance(value, Collection) and not isinstance(value, str):
        given = tuple(value)
    # A runSettingId of digits, which a native template has made a number, is its digits.
    texts = [str(pattern) if type(pattern) is int else pattern for pattern in given]
    for pattern in texts:
        if not isinstance(pattern, str) or not pattern or _LIST.fullmatch(pattern):
            hint = lost_spelling(pattern) or still_text(pattern or None)
            return (), [Problem(argument, repr(value), f"{allowed}{hint}")]
    return tuple(map(str, texts)), []


def naming_problems(argument: str, patterns: Collection[str], ids: Collection[str]) -> list[Problem]:
    """Look for ids and patterns that name no sample of the batch: a typing error would let a failure pass.

    :param argument: name of the argument: ``must_succeed`` or ``rerun``.
    :param patterns: ``runSettingId``s, or patterns with ``*`` and ``?``.
    :param ids: those of the batch.
    :return: one problem for each that names none, with the nearest ids.
    """
    known, problems = dict.fromkeys(ids), []
    for pattern in patterns:
        if pattern in known or any(fnmatchcase(name, _glob(pattern)) for name in known):
            continue
        near = get_close_matches(pattern.replace("*", "").replace("?", ""), known, SHOWN_IDS, 0.4)
        shown = f"the nearest: {', '.join(map(repr, near))}" if near else f"the first: {next(iter(known), None)!r}"
        value = GivenValue(f"{pattern!r}, which names none of the {len(known):,} samples; {shown}")
        allowed = "runSettingIds of this batch, or patterns that match some"
        if argument == "rerun":
            allowed = f"'failed', 'all', or {allowed}"
        problems.append(Problem(argument, value, allowed))
    return problems


def _glob(pattern: str) -> str:
    # An id may have brackets, which fnmatch would take for a set of characters.
    return pattern.replace("[", "[[]")


_GOING = ("pending_submissions", "pending_runs", "starting_runs", "running_runs", "stopping_runs")


@dataclass(frozen=True)
class BatchCounts:
    """The runs of a batch by outcome; once it has ended they add up to ``total_runs``.

    ``unknown_runs`` are those that no count accounts for, and those whose record was deleted: nobody can tell how
    they ended, so they are not successes. ``incomplete_runs`` have completed without an output that was expected: only
    the records of results tell them. Runs that are still going are in the total only.
    """

    total_runs: int
    completed_runs: int
    failed_runs: int
    cancelled_runs: int
    failed_submissions: int
    unknown_runs: int
    incomplete_runs: int = 0

    @classmethod
    def of(cls, batch: BatchSnapshot) -> BatchCounts:
        """Count the runs of a batch.

        :param batch: a snapshot, in any status; counts are final at PROCESSED only.
        :return: its counts.
        """
        completed = batch.count("completed_runs")
        failed = batch.count("failed_runs")
        cancelled = batch.count("cancelled_runs")
        not_submitted = batch.count("failed_submissions")
        counted = completed + failed + cancelled + not_submitted
        total = max(batch.total_runs, counted)  # an answer without totalRuns must not hide what failed
        going = sum(batch.count(name) for name in _GOING) if batch.phase is Phase.ACTIVE else 0
        return cls(total, completed, failed, cancelled, not_submitted, max(0, total - counted - going))

    @classmethod
    def of_statuses(cls, statuses: Mapping[str, int]) -> BatchCounts:
        """Count samples whose end is known from their results.

        :param statuses: COMPLETED, FAILED, CANCELLED, NOT_SUBMITTED, UNKNOWN or INCOMPLETE -> how many.
        """
        names = ("COMPLETED", "FAILED", "CANCELLED", "NOT_SUBMITTED", "UNKNOWN", "INCOMPLETE")
        return cls(sum(statuses.values()), *(statuses.get(name, 0) for name in names))

    def __add__(self, other: BatchCounts) -> BatchCounts:
        """Count the runs of both."""
        names = [field.name for field in fields(self)]
        return BatchCounts(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def not_completed(self) -> int:
        """Number of runs that did not complete, whatever the reason."""
        return self.total_runs - self.completed_runs

    @property
    def ends(self) -> dict[tuple[str, str | None], int]:
        """Count the runs that did not complete by status and AWS's code, which is None: counts have none."""
        counts = {
            "FAILED": self.failed_runs,
            "CANCELLED": self.cancelled_runs,
            "NOT_SUBMITTED": self.failed_submissions,
            "INCOMPLETE": self.incomplete_runs,
            "UNKNOWN": self.unknown_runs,
        }
        return {(status, None): count for status, count in counts.items() if count}

    def as_dict(self) -> dict[str, int]:
        """Write the counts by the names that they have in a task's result."""
        return {
            "total_runs": self.total_runs,
            "completed_runs": self.completed_runs,
            "failed_runs": self.failed_runs,
            "cancelled_runs": self.cancelled_runs,
            "unknown_runs": self.unknown_runs,
            "failed_submissions": self.failed_submissions,
            "incomplete_runs": self.incomplete_runs,
        }


@dataclass(frozen=True)
class Verdict:
    """Whether a batch counts as a success, and why.

    :param succeeded: the runs that did not complete are within the tolerance.
    :param counts: the counts it rests on.
    :param allowed: how many runs were allowed not to complete.
    :param missed: those of the failed ``runSettingId``s that ``must_succeed`` names.
    :param unnamed: how many did not complete without a list that names them, where ``must_succeed`` may name them.
    """

    succeeded: bool
    counts: BatchCounts
    allowed: int
    missed: tuple[str, ...] = ()
    unnamed: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it depends on names that are not known (yet): a verdict is never better than what is known."""
        return bool(self.unnamed) and not self.missed and 0 < self.counts.not_completed <= self.allowed

    @property
    def sentence(self) -> str:
        """The verdict in one sentence for the log."""
        counts = self.counts
        parts = {
            "failed": counts.failed_runs,
            "cancelled": counts.cancelled_runs,
            "not submitted": counts.failed_submissions,
            "without expected outputs": counts.incomplete_runs,
            "of unknown outcome": counts.unknown_runs,
        }
        shown = ", ".join(f"{number} {name}" for name, number in parts.items() if number)
        text = f"{counts.completed_runs} of {counts.total_runs} runs completed"
        if shown:
            text += f"; {shown}; {self.allowed} tolerated"
        if self.missed:
            text += f"; must succeed but did not: {', '.join(map(visible, self.missed))}"
        if self.unnamed:
            text += f"; {self.unnamed} of them not named by any list, and must_succeed may name them"
        return text


def judge(counts: BatchCounts, tolerance: Tolerance, failed_ids: Collection[str] = ()) -> Verdict:
    """Judge a batch whose runs have all ended, together with the samples that earlier attempts have left.

    :param counts: its final counts, those of samples that were not submitted again included.
    :param tolerance: the user's.
    :param failed_ids: ``runSettingId``s of all runs that did not complete; needed when ``must_succeed`` is set.
    :return: the verdict.
    """
    allowed = tolerance.allowance(counts.total_runs)
    # Lists lag behind counts. A run without a name may be one that must succeed.
    named = sum(map(bool, failed_ids))
    unnamed = max(0, counts.not_completed - named) if tolerance.must_succeed else 0
    missed = tuple(name for name in failed_ids if matches_any(name, tolerance.must_succeed))
    # A batch has at least one run: an answer without any count is silence, and silence is no success.
    succeeded = counts.total_runs > 0 and counts.not_completed <= allowed and not missed and not unnamed
    return Verdict(succeeded, counts, allowed, missed, unnamed)


def matches_any(run_setting_id: str, patterns: Collection[str]) -> bool:
    """Tell whether a sample is one of those named.

    :param run_setting_id: the sample.
    :param patterns: ids, or patterns with ``*`` and ``?``.
    """
    return any(fnmatchcase(run_setting_id, _glob(pattern)) for pattern in patterns)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
