"""The end of a run by its manifest log stream, which outlives the run's record.

The stream ``manifest/run/{id}/{uuid}`` gets one JSON object for the run and one for each task after the run has ended
(user guide, "Monitoring with CloudWatch Logs").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from airflow_provider_omics.core.failure.diagnosis import FailedTask, task_order
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import RUN_PHASES, Phase


def run_from_manifest(messages: Iterable[str], run_id: str, run_uuid: str | None) -> RunSnapshot | None:
    """Find the run's own object among the messages of its manifest stream.

    :param messages: the messages, in any order; those that are no JSON object are passed over.
    :param run_id: id of the run.
    :param run_uuid: its uuid; None: any, which can be wrong where the id was used before.
    :return: the run with its final status; None when the manifest has none.
    """
    for entry in manifest_objects(messages):
        arn, status = entry.get("arn"), entry.get("status")
        if not isinstance(arn, str) or not arn.endswith(f":run/{run_id}") or not isinstance(status, str):
            continue
        if run_uuid and entry.get("uuid") not in (run_uuid, None):
            continue
        if RUN_PHASES.get(status, Phase.ACTIVE) is Phase.ACTIVE:
            continue
        texts = {key: value for key, value in entry.items() if isinstance(value, str)}
        times = {key: moment(texts.pop(key, None)) for key in ("creationTime", "startTime", "stopTime")}
        return RunSnapshot.from_response({**texts, **times, "id": run_id, "uuid": run_uuid or texts.get("uuid")})
    return None


def failed_tasks_from_manifest(messages: Iterable[str], run_id: str) -> list[FailedTask]:
    """Find the tasks that failed among the messages of a run's manifest stream.

    :param messages: the messages, in any order; those that are no JSON object are passed over.
    :param run_id: id of the run.
    :return: the tasks, the last one first.
    """
    found = []
    for entry in manifest_objects(messages):
        task_id = str(entry.get("arn") or "").rpartition(":task/")[2]
        of_run = entry.get("run")
        if not task_id or ":task/" not in str(entry.get("arn")) or entry.get("status") != "FAILED":
            continue
        if isinstance(of_run, str) and not of_run.endswith(f":run/{run_id}"):
            continue
        times = {key: moment(entry.get(key)) for key in ("startTime", "stopTime")}
        found.append((task_order(task_id, times["stopTime"]), FailedTask.from_response({**entry, **times}, task_id)))
    return [task for _, task in sorted(found, key=lambda pair: pair[0], reverse=True)]


def manifest_objects(messages: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Iterate over the JSON objects of a manifest stream; other messages are passed over.

    :param messages: the messages.
    """
    for message in messages:
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def moment(value: Any) -> datetime | None:
    """Read a time of a manifest, ``"2026-06-22T12:00:00.123Z"``.

    :param value: a member of one of its objects; a time of an answer of HealthOmics is one already.
    :return: the time; UTC, if it names no zone. None: it is no time.
    """
    if isinstance(value, datetime):
        return value
    try:
        time = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else None
    except ValueError:
        return None
    return time.replace(tzinfo=timezone.utc) if time and not time.tzinfo else time
