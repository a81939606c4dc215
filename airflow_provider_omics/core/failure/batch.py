"""Why runs of a batch did not complete: all of them counted, their causes grouped, one example of each in full.

:mod:`airflow_provider_omics.jobs.diagnosis` collects the facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.failure.diagnosis import Diagnosis, RunDiagnosis
from airflow_provider_omics.core.failure.groups import FailureGroup, UnseenFailures
from airflow_provider_omics.core.failure.reasons import BATCH_FAILED, FailureClass, worth_of
from airflow_provider_omics.core.text import clean_line, clean_message

SHOWN_GROUPS = 10
"""Groups in the text and in a task's result; rarer ones are summed up."""

DIAGNOSED_GROUPS = 5
"""Groups of which one run is diagnosed in full."""


@dataclass(frozen=True)
class BatchDiagnosis(Diagnosis):
    """Why runs of a batch did not complete.

    :param batch_id: id of the batch.
    :param total_runs: number of its runs.
    :param failed_runs: number of those that did not complete.
    :param groups: the causes of those that were looked at, the largest group first.
    :param examples: ``runSettingId`` -> diagnosis of one run each of the first groups.
    :param console_url: the list of runs in the AWS console.
    :param notes: facts that could not be read, a sentence each.
    :param batch_failed: whether the batch itself ended FAILED.
    :param batch_message: AWS's message about that.
    :param ends: how many did not complete, by status and by the code that decides; code None: it is not known.
    :param carried: number of the samples that earlier batches have left, and this one did not run.
    """

    batch_id: str
    total_runs: int
    failed_runs: int
    groups: tuple[FailureGroup, ...]
    examples: Mapping[str, RunDiagnosis]
    console_url: str
    notes: tuple[str, ...] = ()
    batch_failed: bool = False
    batch_message: str | None = None
    ends: Mapping[tuple[str, str | None], int] = field(default_factory=dict)
    carried: int = 0

    @property
    def headline(self) -> str:
        """What failed, in one line: ``"Batch 2000001 failed: 12 of 15 samples did not complete, 7 by ..."``."""
        if self.batch_failed:
            return f"Batch {self.batch_id} failed"
        first = self._largest
        of_it = f", {first.count:,} by {clean_line(first.cause, 100)}" if first else ""
        return (
            f"Batch {self.batch_id} failed: {self.failed_runs:,} of {self.total_runs:,} samples did not complete{of_it}"
        )

    @property
    def failure_class(self) -> FailureClass:
        """Whether another try can help any of them; those whose code nobody has looked up are unclear."""
        of_batch = [BATCH_FAILED.failure_class] if self.batch_failed else []
        of_runs = [found.reason.failure_class for found in self._found(len(self.groups), len(self.ends))]
        return worth_of([*of_batch, *of_runs])

    @property
    def unseen(self) -> tuple[UnseenFailures, ...]:
        """Those that were not looked at, the most first: with the groups they make up all failures."""
        left = Counter(self.ends)
        for group in self.groups:
            for failure in group.failures:
                known = (failure.status.value, failure.failure_code)
                left[known if left[known] > 0 else (failure.status.value, None)] -= 1
        return tuple(UnseenFailures(*end, count) for end, count in left.most_common() if count > 0)

    def causes_by_id(self) -> dict[str, str]:
        """Map the ``runSettingId`` of each that was looked at to its cause."""
        return {failure.run_setting_id: group.cause for group in self.groups for failure in group.failures}

    def told_of(self, failed: Iterable[RunRecord]) -> dict[str, str]:
        """Map runs that did not complete to their reasons.

        :param failed: the runs.
        :return: ``runSettingId`` -> code and message; its status where it was not looked at.
        """
        told = {failure.run_setting_id: failure.told for group in self.groups for failure in group.failures}
        return {run.run_setting_id: told.get(run.run_setting_id, run.status.value) for run in failed}

    def causes(self) -> list[dict[str, Any]]:
        """Write the groups for a task's result, and those not looked at: ten each at most, however many failed."""
        return [found.to_json() for found in self._found(SHOWN_GROUPS, SHOWN_GROUPS)]

    @property
    def _largest(self) -> FailureGroup | UnseenFailures | None:
        """The largest of all groups; one that was looked at where it is as large as one that was not."""
        return max(self._found(1, 1), key=lambda found: found.count, default=None)

    def _found(self, groups: int, unseen: int) -> tuple[FailureGroup | UnseenFailures, ...]:
        return *self.groups[:groups], *self.unseen[:unseen]

    def summary(self, retry: str | None = None) -> list[str]:
        """Count the failures by cause, with whose move it is and the action, without log lines.

        :param retry: Airflow's next step, a sentence.
        :return: lines.
        """
        lines = self._headlines()
        for group in self.groups[:SHOWN_GROUPS]:
            lines += group.summary()
        rest = self.groups[SHOWN_GROUPS:]
        if rest:
            lines.append(f"  {sum(len(group.failures) for group in rest):,} of {len(rest):,} other causes")
        told = {failure.failure_code for group in self.groups for failure in group.failures}
        for unseen in self.unseen[:SHOWN_GROUPS]:
            lines += unseen.summary(told)
        others = self.unseen[SHOWN_GROUPS:]
        if others:
            lines.append(
                f"  {sum(unseen.count for unseen in others):,} of {len(others):,} other reasons, not looked at"
            )
        if retry:
            lines.append(f"  retry: {retry}")
        return [*lines, f"  runs: {self.console_url}"]

    def _headlines(self) -> list[str]:
        looked_at = sum(len(group.failures) for group in self.groups)
        if not self.batch_failed:
            of_them = f"; {looked_at:,} of them were looked at" if looked_at < self.failed_runs else ""
            counted = f"{self.failed_runs:,} of {self.total_runs:,} samples failed"
            if not self.carried:
                return [f"{counted} in batch {self.batch_id}{of_them}:"]
            had = f"batch {self.batch_id}, the last, had {self.total_runs - self.carried:,} of the samples"
            return [f"{counted}; {had}{of_them}:"]
        message = clean_message(self.batch_message) or "HealthOmics gave no reason"
        lines = [
            f"Batch {self.batch_id} failed: {message}",
            f"  why: {BATCH_FAILED.explanation}",
            f"  whose move: {BATCH_FAILED.owner.value} ({BATCH_FAILED.failure_class.value} failure)",
            f"  what to do: {BATCH_FAILED.action}",
        ]
        return [*lines, f"Runs that were not started, the first {looked_at:,}:"] if looked_at else lines

    def details(self) -> list[str]:
        """Describe one run of each of the first groups in full, and list the facts that could not be read."""
        lines = []
        for name, diagnosis in self.examples.items():
            lines.append(f"Example: {clean_line(name, 128)}")
            lines += [f"  {line}" for line in (*diagnosis.summary(), *diagnosis.details())]
        return [*lines, *(f"Note: {note}" for note in self.notes)]

    def to_json(self, retry: str | None = None) -> dict[str, Any]:
        """Write the diagnosis as JSON values, as the error carries it.

        :param retry: Airflow's next step, a sentence.
        :return: ``summary`` is the text without examples; the rest are its facts.
        """
        largest = None if self.batch_failed else self._largest
        reason = BATCH_FAILED if largest is None else largest.reason
        return {
            "headline": f"{self.headline} ({reason.owner.value})",
            "summary": "\n".join(self.summary(retry)),
            "retry": retry,
            "batch_id": self.batch_id,
            "total_runs": self.total_runs,
            "failed_runs": self.failed_runs,
            "cause": reason.code,
            "explanation": reason.explanation,
            "message": clean_message(self.batch_message) if largest is None else largest.message or None,
            "owner": reason.owner.value,
            "action": reason.action if largest is None else largest.action,
            "failure_class": self.failure_class.value,
            "groups": [
                {**found.to_json(), "explanation": found.reason.explanation, "action": found.action}
                for found in self._found(SHOWN_GROUPS, SHOWN_GROUPS)
            ],
            "causes": self.causes(),
            "examples": {name: diagnosis.to_json() for name, diagnosis in self.examples.items()},
            "notes": list(self.notes),
        }
