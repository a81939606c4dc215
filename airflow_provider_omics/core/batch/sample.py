"""The result of one run setting of a batch: a line of the results file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timezone
from enum import Enum
from types import NoneType
from typing import Any, Protocol

from airflow_provider_omics.core.attempt.identity import REQUEST_ID_TAG
from airflow_provider_omics.core.failure.causes import (
    GENERAL_REASONS,
    OUTPUTS_NOT_READ,
    OUTPUTS_TOO_MANY,
    cause_of,
    read_cause,
)
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import Phase, SubmissionStatus
from airflow_provider_omics.core.text import visible


class RecordStatus(str, Enum):
    """How a run setting ended; only COMPLETED is a success."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    NOT_SUBMITTED = "NOT_SUBMITTED"
    """No run was ever created for it."""
    INCOMPLETE = "INCOMPLETE"
    """Its run completed without an expected output."""
    UNKNOWN = "UNKNOWN"
    """There was a run; its record is gone and its end unknown, or it completed and its outputs are unknown."""
    REMOVED = "REMOVED"
    """Its row has left the sheet since: its end no longer counts."""
    RUNNING = "RUNNING"
    """It has not ended. This one and the next two are returned only with ``unfinished``."""
    PENDING = "PENDING"
    """It was submitted and is waiting for its turn."""
    NOT_YET_SUBMITTED = "NOT_YET_SUBMITTED"
    """It is to be submitted."""


UNFINISHED = frozenset({RecordStatus.RUNNING, RecordStatus.PENDING, RecordStatus.NOT_YET_SUBMITTED})

STATUS_OF_PHASE = {
    Phase.SUCCEEDED: RecordStatus.COMPLETED,
    Phase.FAILED: RecordStatus.FAILED,
    Phase.CANCELLED: RecordStatus.CANCELLED,
}
"""Meaning of a run's end; a run in another phase is still going, or its record is deleted."""


MAX_DEPTH = 100
"""Levels of lists and objects in one value of a record; Python's own JSON gives up at about 1,000."""

MAX_VALUE_CHARACTERS = 1_000_000
"""Length of one value of a record, as JSON: each record stands in one line."""


def unfit(value: Any) -> str | None:
    """Find out why a value cannot stand in a record; None: it can.

    :param value: of ``outputs.json``, or of a kept column.
    """
    left = [(value, 1)]
    seen = 0
    while left:
        item, depth = left.pop()
        seen += 1
        if seen > MAX_VALUE_CHARACTERS:  # each takes one at least
            break
        if depth > MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        if isinstance(item, float) and not math.isfinite(item):
            return "NaN or infinite within, which JSON does not have"
        if isinstance(item, (Mapping, list, tuple)):
            left += [(part, depth + 1) for part in (item.values() if isinstance(item, Mapping) else item)]
    if left or len(json.dumps(value, default=str)) > MAX_VALUE_CHARACTERS:
        return f"longer than {MAX_VALUE_CHARACTERS:,} characters"
    return None


def _check_texts(value: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse what is neither text that can be written nor null."""
    for name in names:
        text = value.get(name)
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{name} is no text")
        if text is not None:
            text.encode()  # a lone surrogate cannot be: UnicodeEncodeError is a ValueError


@dataclass(frozen=True)
class Sample:
    """A run setting as a task knows it before it submits it.

    :param run_setting_id: the user's own id of it.
    :param fingerprint: hash of its settings, see :func:`airflow_provider_omics.core.batch.sample.sample_fingerprint`.
    :param row: column -> value of the sheet's ``keep_columns``.
    :param carried: status (of :class:`RecordStatus`) that an earlier attempt has left it in, if this one does not
        submit it; None: it does.
    :param reason: why, in the words of the record's ``cause``.
    :param removed: its row has left the sheet: it is only remembered, in case the row comes back.
    :param unclear: number of its unclear failures before this attempt, since the first one or the last clear.
    :param run_id: the run that an earlier attempt has left; None: there was none.
    :param message: AWS's message about it.
    :param workflow: the workflow that it is given to, see :func:`workflow_key`; None: not known.
    :param inputs: hash of its inputs' ETags (:func:`airflow_provider_omics.core.inputs.input_digests`); None: they were
        not looked up.
    """

    run_setting_id: str
    fingerprint: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    carried: str | None = None
    reason: str | None = None
    removed: bool = False
    unclear: int = 0
    run_id: str | None = None
    message: str | None = None
    workflow: str | None = None
    inputs: str | None = None

    @property
    def is_submitted(self) -> bool:
        """Whether its batch submits it."""
        return self.carried is None and not self.removed

    @classmethod
    def of_setting(
        cls, setting: Mapping[str, Any], row: Mapping[str, Any] | None = None, inputs: str | None = None
    ) -> Sample:
        """Take it from what its run gets.

        :param setting: the batch's default and its own settings, merged.
        :param row: column -> value of the sheet's ``keep_columns``. Default: none.
        :param inputs: hash of its inputs' ETags. Default: not known.
        """
        workflow = workflow_key(setting.get("workflowId"), setting.get("workflowOwnerId"))
        name, fingerprint = setting["runSettingId"], sample_fingerprint(setting)
        return cls(name, fingerprint, row or {}, workflow=workflow, inputs=inputs)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; ``carried`` and the fields after it only where they are set."""
        values: dict[str, Any] = {"run_setting_id": self.run_setting_id, "fingerprint": self.fingerprint}
        names = ("carried", "reason", "removed", "unclear", "run_id", "message", "workflow", "inputs")
        more = {name: getattr(self, name) for name in names}
        return {**values, "row": dict(self.row), **{name: value for name, value in more.items() if value}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sample:
        """Read :meth:`to_json`; keys that this version does not know are ignored.

        :param value: a JSON object.
        :return: the sample.
        :raises (KeyError, TypeError, ValueError): it is something else.
        """
        carried = value.get("carried")
        _check_texts(value, ("run_setting_id", "fingerprint", "reason", "run_id", "message", "inputs"))
        if not isinstance(value["run_setting_id"], str) or not isinstance(value["row"], Mapping):
            raise TypeError("run_setting_id is no text, or row no object")
        return cls(
            value["run_setting_id"],
            value["fingerprint"],
            value["row"],
            None if carried is None else RecordStatus(carried).value,
            value.get("reason"),
            value.get("removed") is True,
            int(value.get("unclear") or 0),
            value.get("run_id"),
            value.get("message"),
            value.get("workflow"),
            value.get("inputs"),
        )


@dataclass(frozen=True)
class Submission:
    """The submission of a run setting, from ListRunsInBatch.

    :param run_setting_id: the user's own id of it.
    :param run_id: its run; None: there is none.
    :param run_uuid: the uuid of the run, as ids are used again.
    :param status: the submission status; None: it was never tried.
    :param failure_reason: AWS's code, if it failed.
    :param message: AWS's message.
    """

    run_setting_id: str
    run_id: str | None = None
    run_uuid: str | None = None
    status: str | None = None
    failure_reason: str | None = None
    message: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Submission:
        """Take it from an item of ListRunsInBatch.

        :param item: the item; a failed submission has an empty ``runId``.
        :raises KeyError: the item has no ``runSettingId``.
        """
        return cls(
            item["runSettingId"],
            item.get("runId") or None,
            item.get("runInternalUuid") or None,
            item.get("submissionStatus"),
            visible(item.get("submissionFailureReason")),
            visible(item.get("submissionFailureMessage")),
        )

    @property
    def is_run_deleted(self) -> bool:
        """Whether the record of its run was deleted with the batch's."""
        return self.status == SubmissionStatus.DELETE_SUCCESS


@dataclass(frozen=True)
class BatchOrigin:
    """The fields that the records of a batch share.

    :param batch_id: id of the batch.
    :param workflow_id: id of its workflow.
    :param workflow_version_name: name of the workflow's version.
    :param dag_id: id of the DAG that started it; None: Airflow did not, or did not tag it.
    :param dag_run_id: id of the DAG run.
    :param try_number: number of the try.
    :param request_id: idempotency token of the start.
    :param batch_created_at: when the batch was created, in ISO 8601, UTC and milliseconds: such texts are ordered as
        the times are.
    :param workflow_owner_id: account of the workflow's owner; None: the caller's own.
    :param task_id: id of the task that started it.
    :param map_index: its index, of a mapped task.
    """

    batch_id: str
    workflow_id: str | None = None
    workflow_version_name: str | None = None
    dag_id: str | None = None
    dag_run_id: str | None = None
    try_number: int | None = None
    request_id: str | None = None
    batch_created_at: str | None = None
    workflow_owner_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None

    @property
    def workflow(self) -> str | None:
        """The workflow of its runs, as :func:`workflow_key` writes it."""
        return workflow_key(self.workflow_id, self.workflow_owner_id)

    @classmethod
    def from_response(cls, response: Mapping[str, Any]) -> BatchOrigin:
        """Take it from an answer of GetBatch; our tags name the DAG, the DAG run and the try.

        :param response: the answer.
        """
        tags = response.get("tags") or {}
        default = response.get("defaultRunSetting") or {}
        tried, mapped = tags.get("airflow:try_number", ""), tags.get("airflow:map_index", "")
        created = response.get("creationTime")
        return cls(
            response["id"],
            default.get("workflowId"),
            default.get("workflowVersionName"),
            tags.get("airflow:dag_id"),
            tags.get("airflow:run_id"),
            int(tried) if tried.isdecimal() else None,
            tags.get(REQUEST_ID_TAG),
            created.astimezone(timezone.utc).isoformat(timespec="milliseconds") if created else None,
            default.get("workflowOwnerId"),
            tags.get("airflow:task_id"),
            int(mapped) if mapped.isdecimal() else None,
        )


COST_MEMBERS = (
    *("cost_usd", "cost_tasks_usd", "cost_storage_usd", "cost_at_most_usd", "cost_unknown"),
    *("running_seconds", "prices_as_of", "size_advice", "earlier_runs"),
)
"""What a record says of cost, see :mod:`airflow_provider_omics.core.cost.record`; ``earlier_runs`` are those of the
sample's earlier attempts, with what each cost."""


RARE = ("outputs", "expected_outputs", "files", "files_left_out")
"""Members of a record that stand in the file only where they are set."""


@dataclass(frozen=True)
class RunRecord:
    """The result of one run setting. An unknown value is None; times are in ISO 8601.

    :param run_setting_id: the user's own id of it: the sample.
    :param run_id: its run; None when it was never submitted.
    :param run_uuid: uuid of the run; ids are reused, uuids are not.
    :param status: COMPLETED, FAILED, CANCELLED, NOT_SUBMITTED, INCOMPLETE or UNKNOWN.
    :param submission_status: from ListRunsInBatch; None: it was never tried.
    :param failure_reason: AWS's code for a failed run or submission.
    :param message: AWS's message; for an INCOMPLETE run, or unknown outputs, the outputs not found.
    :param cause: why it did not complete, in a few words: ``"OUT_OF_MEMORY_ERROR in ALIGN"``; with the task if it was
        looked up (for the first failures of a batch).
    :param output_uri: where its outputs are (GetRun's ``runOutputUri``); None with ``results_detail="listed"``.
    :param started_at: when the run started.
    :param stopped_at: when it ended.
    :param attempt: how often the sample was submitted, by its results file, this time included.
    :param fingerprint: hash of the sample's settings.
    :param batch_id: the batch that it ran in.
    :param batch_created_at: when that batch was created; of a sample's two records, the later batch's counts.
    :param workflow_id: id of the workflow.
    :param workflow_uuid: uuid of the workflow, as ids are reused.
    :param workflow_version_name: name of its version.
    :param workflow_digest: digest of its definition.
    :param engine_version: version of the workflow engine (Nextflow only).
    :param role_arn: service role of the run; None with ``results_detail="listed"``.
    :param dag_id: id of the DAG that started the batch.
    :param dag_run_id: id of the DAG run.
    :param try_number: number of the try.
    :param row: column -> value of the sheet's ``keep_columns``.
    :param outputs: with ``read_outputs``: the run's ``outputs.json``, or for Nextflow a list of its objects.
    :param status_before_removal: for a REMOVED sample, its status before that: its row may come back.
    :param workflow_owner_id: account of the workflow's owner, as the batch named it; None: the caller's own. Workflow,
        owner and ``run_setting_id`` identify a record; the fingerprint decides whether it is the same work.
    :param run_arn: ARN of the run; None with ``results_detail="listed"``.
    :param task_id: id of the task that started the batch. DAG, DAG run and task are provenance; they do not identify a
        record.
    :param map_index: its index, of a mapped task.
    :param provenance_uri: its run's entry in the ledger: GetRun's answer and the manifest, written once; None: no
        entry, as with ``ledger=False`` and ``results_detail="listed"``.
    :param inputs: hash of the URIs and ETags of its inputs when it was submitted; None: they were not looked up
        (``check_inputs``).
    :param expected_outputs: with ``expected_outputs``: name -> pattern of the last check; None: not checked.
    :param files: name -> the first 25 matching objects, each with ``uri``, ``size`` in bytes and ``etag``; empty if the
        output is missing. None: unknown.
    :param files_left_out: name -> how many more match, of the first 10,000 objects of the run.
    :param costs: with ``read_costs``: the members of :data:`COST_MEMBERS`, stored in the file beside the others.
    """

    run_setting_id: str
    run_id: str | None
    run_uuid: str | None
    status: RecordStatus
    submission_status: str | None = None
    failure_reason: str | None = None
    message: str | None = None
    cause: str | None = None
    output_uri: str | None = None
    started_at: str | None = None
    stopped_at: str | None = None
    attempt: int | None = None
    fingerprint: str | None = None
    batch_id: str | None = None
    batch_created_at: str | None = None
    workflow_id: str | None = None
    workflow_uuid: str | None = None
    workflow_version_name: str | None = None
    workflow_digest: str | None = None
    engine_version: str | None = None
    role_arn: str | None = None
    dag_id: str | None = None
    dag_run_id: str | None = None
    try_number: int | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    outputs: Any = None
    status_before_removal: RecordStatus | None = None
    workflow_owner_id: str | None = None
    run_arn: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    provenance_uri: str | None = None
    inputs: str | None = None
    expected_outputs: Mapping[str, str] | None = None
    files: Mapping[str, Any] | None = None
    files_left_out: Mapping[str, int] | None = None
    costs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_run(
        cls,
        submission: Submission,
        sample: Sample,
        origin: BatchOrigin,
        run: RunSnapshot,
        *,
        attempt: int = 1,
        outputs: Any = None,
        provenance_uri: str | None = None,
    ) -> RunRecord | None:
        """Make the record of a run that has ended.

        :param submission: how it was submitted.
        :param sample: what was known of it before.
        :param origin: its batch.
        :param run: the run, from GetRun, from its manifest, or with the few fields of a list.
        :param attempt: how often the sample was submitted; default 1.
        :param outputs: its outputs, if they were asked for.
        :param provenance_uri: its entry in the ledger. Default: it has none.
        :return: the record; None: the run is still going, or its record is deleted.
        """
        status = STATUS_OF_PHASE.get(run.phase)
        if status is None:
            return None
        looked_at = status is not RecordStatus.FAILED or run.role_arn is not None or run.failure_reason is not None
        return cls(
            **_shared(submission, sample, origin, attempt),
            status=status,
            cause=cause_of(status.value, run.failure_reason)
            if looked_at and status is not RecordStatus.COMPLETED
            else None,
            failure_reason=run.failure_reason,
            message=run.status_message,
            output_uri=run.run_output_uri,
            started_at=run.start_time.isoformat() if run.start_time else None,
            stopped_at=run.stop_time.isoformat() if run.stop_time else None,
            workflow_id=origin.workflow_id or run.workflow_id,
            run_arn=run.arn,
            workflow_uuid=run.workflow_uuid,
            workflow_version_name=run.workflow_version_name or origin.workflow_version_name,
            workflow_digest=run.digest,
            engine_version=run.engine_version,
            role_arn=run.role_arn,
            outputs=outputs,
            provenance_uri=provenance_uri,
        )

    @classmethod
    def without_run(
        cls,
        submission: Submission,
        sample: Sample,
        origin: BatchOrigin,
        *,
        attempt: int = 1,
        may_have_run: bool = False,
    ) -> RunRecord:
        """Make the record of a sample without a run to look at: never submitted, or gone without a trace.

        :param submission: how it was submitted, if it was.
        :param sample: what was known of it before.
        :param origin: its batch.
        :param attempt: how often the sample was submitted; default 1.
        :param may_have_run: the lists of the batch leave out runs that it has started, perhaps this one; default False.
        :return: a record that is NOT_SUBMITTED without a run, and UNKNOWN with one, or perhaps one.
        """
        unlisted = may_have_run and submission.run_id is None and submission.status != SubmissionStatus.FAILED
        gone = submission.run_id is not None
        status = RecordStatus.UNKNOWN if gone or unlisted else RecordStatus.NOT_SUBMITTED
        message = "its record is gone; its outcome is unknown" if gone else submission.message
        return cls(
            **_shared(submission, sample, origin, attempt),
            status=status,
            cause=cause_of(status.value, submission.failure_reason),
            failure_reason=submission.failure_reason,
            message="its batch has started runs that no list shows: it may be one of them" if unlisted else message,
            workflow_id=origin.workflow_id,
            workflow_version_name=origin.workflow_version_name,
        )

    @property
    def workflow(self) -> str | None:
        """The workflow that it is a result of, as :func:`workflow_key` writes it; None: not known."""
        return workflow_key(self.workflow_id, self.workflow_owner_id)

    @property
    def maker(self) -> tuple[str | None, str | None, str | None, int | None]:
        """The task instance that started its batch; all None: nobody known."""
        return self.dag_id, self.dag_run_id, self.task_id, self.map_index

    @property
    def failure_code(self) -> str | None:
        """AWS's code that decides: the one in ``cause``; in a file without causes ``failure_reason``."""
        return read_cause(self.cause)[0] if self.cause else self.failure_reason

    @property
    def failed_task(self) -> str | None:
        """Name of the task that failed, where it was looked up."""
        return read_cause(self.cause)[1]

    @property
    def named(self) -> str:
        """Its name in a line of the log, with the run's id where there is one."""
        name = visible(self.run_setting_id) or "one that no list names"
        return f"{name} (run {self.run_id})" if self.run_id else name

    @property
    def told(self) -> str:
        """Code and message as one text; the status where there is neither."""
        return ": ".join(text for text in (self.failure_code, self.message) if text) or self.status.value

    @property
    def lacks_task(self) -> bool:
        """Whether its run only says that something in it failed, and the failed task is not known."""
        code, task = read_cause(self.cause)
        return self.status is RecordStatus.FAILED and task is None and (code or self.failure_reason) in GENERAL_REASONS

    def is_same_end(self, other: RunRecord) -> bool:
        """Return whether another record is of the same run with the same end.

        :param other: the other record.
        :return: whether id and uuid of the run, and the status, are the same.
        """
        return (self.run_id, self.run_uuid, self.status) == (other.run_id, other.run_uuid, other.status)

    @property
    def has_completed(self) -> bool:
        """Whether its run completed, whatever is known of its outputs, and its row is in the sheet."""
        return self.status in (RecordStatus.COMPLETED, RecordStatus.INCOMPLETE) or (
            self.status is RecordStatus.UNKNOWN and self.cause in (OUTPUTS_NOT_READ, OUTPUTS_TOO_MANY)
        )

    @property
    def is_lost(self) -> bool:
        """Whether nobody can tell how its run ended."""
        return self.status is RecordStatus.UNKNOWN and not self.has_completed

    @property
    def is_full(self) -> bool:
        """Whether it is complete: only GetRun returns the role, and it always does."""
        return self.role_arn is not None or self.status is RecordStatus.NOT_SUBMITTED

    @property
    def failed(self) -> bool:
        """Whether it ended, and not well."""
        return self.end is not RecordStatus.COMPLETED and self.status not in UNFINISHED

    @property
    def end(self) -> RecordStatus:
        """How it ended, whether or not its row has left the sheet since."""
        return self.status_before_removal or self.status

    def removed(self) -> RunRecord:
        """Return the record of the same sample once its row has left the sheet."""
        return replace(self, status=RecordStatus.REMOVED, status_before_removal=self.end)

    def present(self) -> RunRecord:
        """Return the record of the same sample as long as its row is in the sheet."""
        return replace(self, status=self.end, status_before_removal=None)

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object, ``run_setting_id`` first; rare fields only where they are set."""
        values = {**vars(self), "status": self.status.value, "row": dict(self.row)}
        for name in RARE:
            if values[name] is None:
                del values[name]
        before, costs = values.pop("status_before_removal"), values.pop("costs")
        values.update(costs)
        return values if before is None else {**values, "status_before_removal": before.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRecord:
        """Read :meth:`to_json`; keys that this version does not know are ignored.

        :param value: a JSON object, such as a line of a results file.
        :return: the record, with defaults for absent keys.
        :raises (KeyError, TypeError, ValueError): it is not a record.
        """
        if not isinstance(value["run_setting_id"], str) or not isinstance(value.get("row") or {}, Mapping):
            raise TypeError("run_setting_id is no text, or row no object")
        _check_texts(value, _TEXTS)
        if not all(isinstance(value.get(name), (int, NoneType)) for name in _NUMBERS):
            raise TypeError(f"{' or '.join(_NUMBERS)} is no number")
        known = {name: value[name] for name in _MEMBERS if name in value}
        costs = {name: value[name] for name in COST_MEMBERS if name in value}
        known["costs"] = {} if costs and unfit(costs) else costs
        for name in RARE:
            if value.get(name) is None:
                continue
            is_mapping = name == "outputs" or isinstance(value[name], Mapping)
            if not is_mapping or unfit(value[name]):
                known[name] = None  # of a file that others have written: one value, not the file
        known["row"] = {name: None if unfit(cell) else cell for name, cell in (value.get("row") or {}).items()}
        ids = {"run_id": value.get("run_id"), "run_uuid": value.get("run_uuid")}
        before = value.get("status_before_removal")
        statuses = {
            "status": RecordStatus(value["status"]),
            "status_before_removal": None if before is None else RecordStatus(before),
        }
        return cls(**{**ids, **known, **statuses})


_NUMBERS = ("attempt", "try_number", "map_index")
_MEMBERS = tuple(one.name for one in fields(RunRecord) if one.name != "costs")
_TEXTS = tuple(name for name in _MEMBERS if name not in (*_NUMBERS, *RARE, "row"))
"""Named once: a collection reads 100,000 records."""


def _shared(submission: Submission, sample: Sample, origin: BatchOrigin, attempt: int) -> dict[str, Any]:
    return {
        "run_setting_id": submission.run_setting_id,
        "run_id": submission.run_id,
        "run_uuid": submission.run_uuid,
        "submission_status": submission.status,
        "attempt": attempt,
        "fingerprint": sample.fingerprint,
        "inputs": sample.inputs,
        "row": sample.row,
        "batch_id": origin.batch_id,
        "batch_created_at": origin.batch_created_at,
        "dag_id": origin.dag_id,
        "dag_run_id": origin.dag_run_id,
        "try_number": origin.try_number,
        "workflow_owner_id": origin.workflow_owner_id,
        "task_id": origin.task_id,
        "map_index": origin.map_index,
    }


FINGERPRINTED = ("workflowId", "workflowOwnerId", "workflowVersionName", "parameters", "engineSettings")
"""The settings that decide what a run computes. Role, storage, place of the outputs, names, tags and priority do not: a
sample that completed with others of these need not run again."""


def workflow_key(workflow_id: str | None, owner_id: str | None) -> str | None:
    """Write a workflow as one text, by which two are compared: ids are those of an account.

    :param workflow_id: its id; None: not known.
    :param owner_id: account of its owner; None: the caller's own.
    :return: ``owner/id``, of an own one ``/id``; None: not known.
    """
    return None if not workflow_id else f"{owner_id or ''}/{workflow_id}"


def sample_fingerprint(setting: Mapping[str, Any]) -> str:
    """Hash the settings that decide what a run computes.

    :param setting: all settings of the run, the batch's default and its own merged
        (:func:`airflow_provider_omics.core.settings.requests.merged_run_settings`).
    :return: SHA-256 in hexadecimal; the same whatever the order of keys, and whether an empty setting is given or not.
    """
    content = {name: setting[name] for name in FINGERPRINTED if setting.get(name) not in (None, "", {})}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Work(Protocol):
    """What a run computes: of which settings, and of which inputs."""

    @property
    def fingerprint(self) -> str | None:
        """Hash of the settings; None: not known."""

    @property
    def inputs(self) -> str | None:
        """Hash of the inputs' ETags; None: they were not looked up."""


def is_same_work(work: Work, other: Work) -> bool:
    """Tell whether two runs are known to compute the same.

    :param work: one; settings that are not known are not the same.
    :param other: the other one. Inputs that were not looked up count as the same.
    """
    return work.fingerprint is not None and work.fingerprint == other.fingerprint and not has_other_inputs(work, other)


def has_other_inputs(work: Work, other: Work) -> bool:
    """Tell whether inputs were replaced between two runs, as far as they were looked up before both.

    :param work: one.
    :param other: the other one.
    """
    return None not in (work.inputs, other.inputs) and work.inputs != other.inputs
