"""Handing on what has completed of a batch while it goes: each sample once, to one DAG run of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.errors import Conflict, Unavailable
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.results.file import JsonLinesFile, beside
from airflow_provider_omics.results.read import chunks_of

HANDOVER = (
    "what a task has handed on",
    "Restore an earlier version of it, or delete it: then all samples are handed on once more.",
)


@dataclass(frozen=True)
class Handover:
    """The completed samples that one DAG run of a task hands on.

    :param run_setting_ids: their ids, in the order of the file.
    :param chunks: arguments of :func:`airflow_provider_omics.results.read.read_batch_results`, which read them.
    """

    run_setting_ids: tuple[str, ...]
    chunks: list[dict[str, Any]]


def hand_on(hook: OmicsHook, uri: str, task: TaskIdentity, size: int, log: Any) -> Handover:
    """Take the completed samples of a results file that no other DAG run of a task has taken, and note them.

    A retry, or a clear, of the same DAG run takes what it has taken before, and what has completed since. The note lies
    beside the results file, by the names of DAG and task.

    :param hook: the hook whose connection is used.
    :param uri: the results file.
    :param task: the task instance.
    :param size: samples in a chunk.
    :param log: the task's logger.
    :return: the samples.
    :raises SettingsError: there are too many chunks, or a file is something else.
    :raises Conflict: others write the note all the time.
    :raises ServiceError: S3 refused, or did not get through.
    """
    index = f".{task.map_index}" if task.map_index >= 0 else ""
    name = f"{quote(task.dag_id, safe='')}.{quote(task.task_id, safe='')}{index}.handed-on.jsonl.gz"
    note = JsonLinesFile(hook, beside(uri, name), hook.defaults.results_kms_key_id)

    def take() -> Handover:
        others = [line for line in note.read(dict, HANDOVER) if line.get("dag_run_id") != task.run_id]
        taken = set(chain.from_iterable(line.get("runs", ()) for line in others))
        numbers, names, runs = [], [], []
        for number, record in _completed(hook, uri):
            run = str(record.run_uuid or record.run_id)
            if run not in taken:
                numbers.append(number)
                names.append(record.run_setting_id)
                runs.append(run)
        common: Mapping[str, Any] = {
            "uri": uri,
            "status": RecordStatus.COMPLETED.value,
            "aws_conn_id": hook.aws_conn_id,
            "region_name": hook.region_name,
        }
        chunks = chunks_of(numbers, size, common)
        if runs:
            note.replace([*others, {"dag_run_id": task.run_id, "runs": runs}])
        return Handover(tuple(names), chunks)

    return Repeats(hook, log).make(take, (Conflict, Unavailable))


def _completed(hook: OmicsHook, uri: str) -> Iterator[tuple[int, RunRecord]]:
    records = JsonLinesFile(hook, uri, None).read(RunRecord.from_json)
    return (found for found in enumerate(records, 1) if found[1].status is RecordStatus.COMPLETED)
