"""One observation of a run or a batch, taken from an API response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import Any

from airflow_provider_omics.core.statuses import BATCH_PHASES, RUN_PHASES, Phase
from airflow_provider_omics.core.text import visible

LOG_GROUP = "/aws/omics/WorkflowLog"
"""CloudWatch log group of all runs of an account and Region (user guide, "Monitoring with CloudWatch Logs")."""

SHOWN = frozenset({"status", "name", "failure_reason", "status_message"})
"""Fields that people read, cleaned where the service's answer comes in; ids and URIs are asked with, to the letter."""

_SUSPECT = re.compile(r"[^ -~]|[?]")
"""Text that has more than printable ASCII, or perhaps a presigned URL."""


@dataclass(frozen=True)
class RunSnapshot:
    """A run as one GetRun (or StartRun, which returns less) showed it.

    Times are aware datetimes; a field that the response did not have is None. Source: GetRun.
    """

    id: str
    status: str
    uuid: str | None = None
    arn: str | None = None
    name: str | None = None
    run_output_uri: str | None = None
    failure_reason: str | None = None
    status_message: str | None = None
    creation_time: datetime | None = None
    start_time: datetime | None = None
    stop_time: datetime | None = None
    workflow_id: str | None = None
    workflow_uuid: str | None = None
    workflow_version_name: str | None = None
    digest: str | None = None
    engine_version: str | None = None
    role_arn: str | None = None
    batch_id: str | None = None
    run_group_id: str | None = None
    log_level: str | None = None

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> RunSnapshot:
        """Take the fields that a wait and its result need from a response.

        :param response: answer of GetRun or StartRun; large members (parameters, definition) are left behind.
        :return: the snapshot.
        """
        values = {name: response[key] for name, key in _RUN_KEYS.items() if response.get(key) is not None}
        shown = {
            name: visible(value) for name, value in values.items() if name in SHOWN and _SUSPECT.search(str(value))
        }
        return cls(**{**values, **shown})

    @property
    def phase(self) -> Phase:
        """Meaning of the status; ACTIVE for one that this version does not know, since AWS adds statuses."""
        return RUN_PHASES.get(self.status, Phase.ACTIVE)

    @property
    def log_streams(self) -> tuple[str, ...]:
        """Streams in :data:`LOG_GROUP`; none with ``logLevel`` OFF. Source: user guide, CloudWatch Logs."""
        return () if self.log_level == "OFF" else (f"run/{self.id}", f"run/{self.id}/engine")

    def to_payload(self) -> dict[str, Any]:
        """Write the set fields as JSON values, times in ISO 8601."""
        return _to_payload(self)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> RunSnapshot:
        """Read :meth:`to_payload`; keys that this version does not know are ignored.

        :raises (KeyError, TypeError, ValueError): the payload is not of this form.
        """
        return cls(**_from_payload(cls, payload))


_COUNTS = {
    "pending_runs": ("runSummary", "pendingRunCount"),
    "starting_runs": ("runSummary", "startingRunCount"),
    "running_runs": ("runSummary", "runningRunCount"),
    "stopping_runs": ("runSummary", "stoppingRunCount"),
    "completed_runs": ("runSummary", "completedRunCount"),
    "deleted_runs": ("runSummary", "deletedRunCount"),
    "failed_runs": ("runSummary", "failedRunCount"),
    "cancelled_runs": ("runSummary", "cancelledRunCount"),
    "successful_submissions": ("submissionSummary", "successfulStartSubmissionCount"),
    "failed_submissions": ("submissionSummary", "failedStartSubmissionCount"),
    "pending_submissions": ("submissionSummary", "pendingStartSubmissionCount"),
    "successful_cancels": ("submissionSummary", "successfulCancelSubmissionCount"),
    "failed_cancels": ("submissionSummary", "failedCancelSubmissionCount"),
}


@dataclass(frozen=True)
class BatchSnapshot:
    """A batch as one GetBatch (or StartRunBatch, which returns less) showed it.

    ``counts`` is by the keys of the table above; a count that the response did not have is 0. Run counts may lag
    and are final only at PROCESSED. Source: GetBatch.
    """

    id: str
    status: str
    uuid: str | None = None
    arn: str | None = None
    name: str | None = None
    total_runs: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    failure_reason: str | None = None
    creation_time: datetime | None = None

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> BatchSnapshot:
        """Take the fields that a wait and its verdict need from a response.

        :param response: answer of GetBatch or StartRunBatch.
        :return: the snapshot.
        """
        counts = {name: int((response.get(summary) or {}).get(key) or 0) for name, (summary, key) in _COUNTS.items()}
        values = {name: response[key] for name, key in _BATCH_KEYS.items() if response.get(key) is not None}
        shown = {
            name: visible(value) for name, value in values.items() if name in SHOWN and _SUSPECT.search(str(value))
        }
        return cls(**{**values, **shown, "counts": counts})

    @property
    def phase(self) -> Phase:
        """Meaning of the status; ACTIVE for one that this version does not know, since AWS adds statuses."""
        return BATCH_PHASES.get(self.status, Phase.ACTIVE)

    def count(self, name: str) -> int:
        """Look up one of the counts.

        :param name: ``"completed_runs"``, ``"failed_submissions"``, ...
        """
        return self.counts.get(name, 0)

    @property
    def runs_going(self) -> int:
        """Runs that were submitted and have not ended; as counts of runs may lag, rather too many than too few."""
        ended = ("completed_runs", "failed_runs", "cancelled_runs", "deleted_runs")
        return self.count("successful_submissions") - sum(self.count(name) for name in ended)

    @property
    def numbers(self) -> dict[str, Any]:
        """Id, status and counts as a small JSON object, without counts of 0."""
        counts = {name: number for name, number in self.counts.items() if number}
        return {"batch_id": self.id, "status": self.status, "total_runs": self.total_runs, **counts}

    @property
    def progress(self) -> str:
        """One line for the log: ``"SUBMITTING: pending 12, running 40, completed 7, failed 1 of 63"``.

        Pending counts both the runs that queue and those that are not submitted yet; states with no run are left out.
        """
        numbers = {
            "pending": self.count("pending_runs") + self.count("pending_submissions"),
            "starting": self.count("starting_runs"),
            "running": self.count("running_runs"),
            "stopping": self.count("stopping_runs"),
            "completed": self.count("completed_runs"),
            "failed": self.count("failed_runs"),
            "cancelled": self.count("cancelled_runs"),
            "not submitted": self.count("failed_submissions"),
        }
        shown = ", ".join(f"{name} {number}" for name, number in numbers.items() if number)
        return f"{self.status}: {shown or 'nothing yet'} of {self.total_runs}"

    def to_payload(self) -> dict[str, Any]:
        """Write the set fields as JSON values, times in ISO 8601."""
        return _to_payload(self)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> BatchSnapshot:
        """Read :meth:`to_payload`; keys that this version does not know are ignored.

        :raises (KeyError, TypeError, ValueError): the payload is not of this form.
        """
        return cls(**_from_payload(cls, payload))


Snapshot = RunSnapshot | BatchSnapshot
"""The subject of a wait."""


@dataclass(frozen=True)
class ListedRun:
    """A run as ListRuns showed it: without its uuid and its outputs.

    :param id: id of the run.
    :param status: as AWS spells it.
    :param creation_time: when it was created.
    :param start_time: when it entered RUNNING; None before.
    :param storage_type: ``"STATIC"`` or ``"DYNAMIC"``.
    """

    id: str
    status: str
    creation_time: datetime | None
    start_time: datetime | None = None
    storage_type: str | None = None


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_RUN_KEYS = {field.name: _camel_case(field.name) for field in fields(RunSnapshot)}
_BATCH_KEYS = {field.name: _camel_case(field.name) for field in fields(BatchSnapshot)}
"""Field -> its member in an answer."""


def _to_payload(snapshot: Snapshot) -> dict[str, Any]:
    values = {f.name: getattr(snapshot, f.name) for f in fields(snapshot)}
    return {
        name: value.isoformat() if isinstance(value, datetime) else dict(value) if name == "counts" else value
        for name, value in values.items()
        if value is not None
    }


def _from_payload(cls: type[Snapshot], payload: Mapping[str, Any]) -> dict[str, Any]:
    given = {f.name: payload[f.name] for f in fields(cls) if payload.get(f.name) is not None}
    return {name: _time(value) if name.endswith("_time") else _typed(name, value) for name, value in given.items()}


def _typed(name: str, value: Any) -> Any:
    """Refuse a value of the wrong type here, where it becomes an EventError, and not later in a verdict."""
    if name == "counts":
        return {key: _typed("total_runs", number) for key, number in value.items()}
    kind = int if name == "total_runs" else str
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r:.80}, not {kind.__name__}")
    return value


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
