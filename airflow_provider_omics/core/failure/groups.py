"""The failures of a batch, grouped by cause: reason, failing task, and message without ids, addresses and numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.failure.causes import cause_of
from airflow_provider_omics.core.failure.reasons import FailureReason, reason_of_end
from airflow_provider_omics.core.text import clean_line, clean_message

SHOWN_IDS = 5
"""``runSettingId``s that each group names."""

LONGEST_CAUSE_MESSAGE = 160

# Parts that differ between runs that fail for the same cause, in the order in which they are replaced.
_VARIABLE = (
    (re.compile(r"\b(s3|omics|https?)://[^\s'\",)]+"), r"\1://..."),
    (re.compile(r"\barn:[^\s'\",)]+"), "arn:..."),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "..."),
    (re.compile(r"\b(?=\w*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "..."),
    (re.compile(r"\d+(?:\.\d+)?(?![\d.]*://)"), "#"),
)
# How IAM words a refusal (IAM user guide, "Troubleshoot access denied error messages"). Only the advice depends on it.
_REFUSED_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z]+)")


@dataclass(frozen=True)
class FailureGroup:
    """Failures with one cause.

    :param cause: in a few words.
    :param pattern: their message, without the parts that differ.
    :param failures: the failures, in the order given.
    """

    cause: str
    pattern: str
    failures: tuple[RunRecord, ...]

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self.failures)

    @property
    def run_ids(self) -> list[str]:
        """The first runs; what was never submitted has none."""
        return [failure.run_id for failure in self.failures if failure.run_id is not None][:SHOWN_IDS]

    @property
    def reason(self) -> FailureReason:
        """What it means, and whose move it is."""
        return reason_of_end(self.failures[0].status.value, self.failures[0].failure_code)

    @property
    def message(self) -> str:
        """AWS's message, where it is the same for all; else without the parts that differ."""
        messages = {failure.message for failure in self.failures}
        return (messages.pop() or "") if len(messages) == 1 else self.pattern

    @property
    def action(self) -> str:
        """The remedy; for a refused start, the missing permission."""
        refused = _REFUSED_ACTION.search(self.failures[0].message or "")
        if refused and self.failures[0].status is RecordStatus.NOT_SUBMITTED:
            return _grant(refused.group(1))
        return self.reason.action

    def summary(self) -> list[str]:
        """Describe the group in two lines: number, cause and samples; whose move it is and the action."""
        ids = [failure.run_setting_id or failure.run_id or "?" for failure in self.failures]
        named = ", ".join(clean_line(name, 128) for name in ids[:SHOWN_IDS])
        more = f", ... {len(ids) - SHOWN_IDS:,} more" if len(ids) > SHOWN_IDS else ""
        where = f"; run {self.run_ids[0]}" if self.run_ids else ""
        said = f": {clean_line(self.message, LONGEST_CAUSE_MESSAGE)}" if self.message else ""
        return [
            f"  {len(ids):,} {clean_line(self.cause, 200)}{said} ({named}{more}{where})",
            _advice(self.reason, self.action),
        ]

    def to_json(self) -> dict[str, Any]:
        """Write the group as a small JSON object, for a task's result."""
        return {
            "cause": clean_line(self.cause, 200),
            "message": clean_line(self.message, LONGEST_CAUSE_MESSAGE),
            "count": len(self.failures),
            "failure_class": self.reason.failure_class.value,
            "owner": self.reason.owner.value,
            "run_setting_ids": [failure.run_setting_id for failure in self.failures[:SHOWN_IDS]],
            "run_ids": self.run_ids,
        }


@dataclass(frozen=True)
class UnseenFailures:
    """Failures that were counted, not looked at.

    :param status: how they ended.
    :param code: the code that decides; None: no list has it.
    :param count: how many.
    """

    status: str
    code: str | None
    count: int
    message = ""

    @property
    def cause(self) -> str:
        """The code, else how they ended."""
        return self.code or self.status

    @property
    def action(self) -> str:
        """What to do."""
        return self.reason.action

    @property
    def reason(self) -> FailureReason:
        """What it means, and whose move it is."""
        return reason_of_end(self.status, self.code)

    def summary(self, told: Collection[str | None]) -> list[str]:
        """Count them in a line or two.

        :param told: codes that the lines before have explained.
        """
        more = "more " if self.code in told else ""
        line = f"  {self.count:,} {more}{clean_line(self.code or self.status, 64)}, not looked at"
        if self.code is None:
            where = " (a results file with results_detail='full' has the reason of each)"
            return [line + where if self.status == "FAILED" else line]
        return [line] if more else [line, _advice(self.reason, self.reason.action)]

    def to_json(self) -> dict[str, Any]:
        """Write it in the form of a group."""
        return {
            "cause": clean_line(self.code or f"{self.status}: not looked at", 200),
            "message": "",
            "count": self.count,
            "failure_class": self.reason.failure_class.value,
            "owner": self.reason.owner.value,
            "run_setting_ids": [],
            "run_ids": [],
        }


def group_failures(failures: Iterable[RunRecord]) -> tuple[FailureGroup, ...]:
    """Group failures by reason, failing task and normalised message.

    :param failures: those that did not complete, and were looked at.
    :return: groups, the largest first, and in the order of their first failure where they are as large.
    """
    groups: dict[tuple[str, str, str], list[RunRecord]] = {}
    for failure in failures:
        cause = cause_of(failure.status.value, failure.failure_code, failure.failed_task)
        pattern = normalised(failure.message or "", (failure.run_setting_id, failure.run_id or ""))
        groups.setdefault((failure.status.value, cause, pattern), []).append(failure)
    found = [FailureGroup(cause, pattern, tuple(members)) for (_, cause, pattern), members in groups.items()]
    return tuple(sorted(found, key=lambda group: -len(group.failures)))


def normalised(message: str, names: Sequence[str] = ()) -> str:
    """Replace the parts of a message that differ between runs of the same cause.

    :param message: AWS's message.
    :param names: ids of the run, which the message may hold.
    :return: the message with placeholders for addresses, ids and numbers.
    """
    text = clean_message(message) or ""
    for name in names:
        if name:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "...", text)
    for pattern, placeholder in _VARIABLE:
        text = pattern.sub(placeholder, text)
    return text


def spread(count: int, wanted: int) -> list[int]:
    """Choose positions spread evenly over a list: failures come in blocks, by the order of the sample sheet.

    :param count: length of the list.
    :param wanted: how many positions at most.
    :return: positions, ascending.
    """
    if count <= wanted:
        return list(range(count))
    return [number * count // wanted for number in range(wanted)]


def _advice(reason: FailureReason, action: str) -> str:
    owner, kind = reason.owner.value, reason.failure_class.value
    return f"    {reason.explanation} Whose move: {owner} ({kind} failure). {action}"


# The permission to grant, and where its subject is set. Source: user guide, "Run batches" (a batch needs the
# permissions of the single-run operation as well); Service Authorization Reference, HealthOmics.
_GRANTS = {
    "omics:TagResource": (
        "Grant the caller omics:TagResource, or switch Airflow's tags off: tag_with_airflow_context=False in the "
        "operator, or in the connection's service_config."
    ),
    "iam:PassRole": (
        "Grant the caller iam:PassRole on the service role, with iam:PassedToService omics.amazonaws.com; the role is "
        "roleArn in default_run_setting, of the operator or of the connection's service_config."
    ),
    "omics:StartRun": (
        "Grant the caller omics:StartRun, which omics:StartRunBatch does not include: on run/*, on the workflow and "
        "its version, and on the run group and cache if runGroupId and cacheId are set."
    ),
}


def _grant(action: str) -> str:
    return _GRANTS.get(action) or f"Grant {action} to whom the message names."
