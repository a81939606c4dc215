"""A run as its entry in the ledger tells of it: what it cost is reckoned from it where no record says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timezone
from typing import Any

from airflow_provider_omics.core.batch.ledger import FORM
from airflow_provider_omics.core.batch.sample import RecordStatus
from airflow_provider_omics.core.cost.usage import RunUsage, usage_of
from airflow_provider_omics.core.failure.causes import cause_of, deciding_code
from airflow_provider_omics.core.failure.manifest import moment

_ENDS = {status.value for status in (RecordStatus.COMPLETED, RecordStatus.FAILED, RecordStatus.CANCELLED)}
_TAGS = {"dag_id": "airflow:dag_id", "dag_run_id": "airflow:run_id", "task_id": "airflow:task_id"}


@dataclass(frozen=True)
class LedgerRun:
    """A run by its entry.

    :param members: what a record would say of it, under the same names; without what the entry does not tell.
    :param usage: what it used; None: the entry has no manifest.
    """

    members: Mapping[str, Any]
    usage: RunUsage | None

    @classmethod
    def from_entry(cls, entry: Any, run_uuid: str) -> LedgerRun:
        """Read an entry.

        :param entry: of :func:`airflow_provider_omics.core.batch.ledger.run_entry`; values may be masked.
        :param run_uuid: of the run, as the name of the entry has it.
        :return: the run.
        :raises ValueError: it is something else, or an entry of a later version.
        """
        if not isinstance(entry, Mapping) or entry.get("form") != FORM:
            raise ValueError(f"no entry of form {FORM}")
        run, manifest = entry.get("run"), entry.get("manifest")
        answer = run if isinstance(run, Mapping) else {}
        objects = [item for item in manifest if isinstance(item, Mapping)] if isinstance(manifest, list) else []
        usage = usage_of(objects, str(answer.get("id") or _run_id(objects, run_uuid)), run_uuid)
        status = str(answer.get("status") or (usage and usage.status))
        stopped = moment(answer.get("stopTime")) or (usage and usage.stopped)
        tags = answer.get("tags")
        members = {
            "run_uuid": run_uuid,
            "run_setting_id": entry.get("run_setting_id"),
            "status": status if status in _ENDS else RecordStatus.UNKNOWN.value,
            "cause": None if status == RecordStatus.COMPLETED else _cause(status, answer, usage),
            "stopped_at": stopped.astimezone(timezone.utc).isoformat() if stopped else None,
            "batch_id": answer.get("batchId"),
            "workflow_id": answer.get("workflowId") or (usage and usage.workflow_id),
            "workflow_version_name": answer.get("workflowVersionName") or (usage and usage.workflow_version_name),
            **{name: tags.get(tag) for name, tag in _TAGS.items() if isinstance(tags, Mapping)},
        }
        return cls({name: value for name, value in members.items() if isinstance(value, str)}, usage)


def _run_id(objects: list[Mapping[str, Any]], run_uuid: str) -> str:
    arns = (str(item.get("arn")) for item in objects if item.get("uuid") == run_uuid)
    return next((arn.rpartition(":run/")[2] for arn in arns if ":run/" in arn), "")


def _cause(status: str, answer: Mapping[str, Any], usage: RunUsage | None) -> str:
    failed = [task for task in usage.tasks if task.failure_reason] if usage else []
    task = max(failed, key=lambda one: one.stopped.timestamp() if one.stopped else 0.0, default=None)
    reason = answer.get("failureReason")
    code = deciding_code(reason if isinstance(reason, str) else None, task.failure_reason if task else None)
    return cause_of(status, code, task.name if task else None)
