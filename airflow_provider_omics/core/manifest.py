"""Read how a run ended from its manifest log stream, which outlives the run's record.

The stream ``manifest/run/{id}/{uuid}`` gets one JSON object for the run and one for each task after the run has ended
(user guide, "Monitoring with CloudWatch Logs").
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import Phase, is_known_run_status, run_phase


def run_from_manifest(messages: Iterable[str], run_id: str, run_uuid: str | None) -> RunSnapshot | None:
    """Find the run's own object among the messages of its manifest stream.

    :param messages: the messages, in any order; what is not a JSON object is passed over.
    :param run_id: id of the run.
    :param run_uuid: its uuid; None: any, which can be wrong where the id was used before.
    :return: the run with its final status; None when the manifest does not tell.
    """
    for message in messages:
        entry = _json_object(message)
        arn, status = entry.get("arn"), entry.get("status")
        if not isinstance(arn, str) or not arn.endswith(f":run/{run_id}") or not isinstance(status, str):
            continue
        if run_uuid and entry.get("uuid") not in (run_uuid, None):
            continue
        if not is_known_run_status(status) or run_phase(status) is Phase.ACTIVE:
            continue
        texts = {key: value for key, value in entry.items() if isinstance(value, str)}
        times = {key: _moment(texts.pop(key, None)) for key in ("creationTime", "startTime", "stopTime")}
        return RunSnapshot.from_response({**texts, **times, "id": run_id, "uuid": run_uuid or texts.get("uuid")})
    return None


def _json_object(message: str) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=timezone.utc) if moment and not moment.tzinfo else moment
