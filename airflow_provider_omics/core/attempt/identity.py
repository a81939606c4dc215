"""The identity of a start: the names and tags by which a later try, and a cost report, find the run or batch."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.settings.fields import MAX_TAG_VALUE, MAX_TAGS

REQUEST_ID_TAG = "airflow:request_id"

TRY_NUMBER_TAG = "airflow:try_number"

DEPLOYMENT_TAG = "airflow:deployment"
"""Two Airflows that run the same DAG in one account must not take each other's runs for their own."""

OWN_TAGS = 7
"""Tags that a run or batch has of us, where there is room for all."""

NAME_FIELDS = {"run": "name", "batch": "batchName"}
"""Kind -> the request's field for the name that the user chose."""

_LONGEST_NAMES = {"run": 128, "batch": 64}
"""API reference, ``RunName`` and ``BatchName``."""


@dataclass(frozen=True)
class TaskIdentity:
    """The Airflow task instance that starts a run or batch.

    :param dag_id: id of the DAG.
    :param task_id: id of the task, with its task groups.
    :param run_id: id of the DAG run.
    :param map_index: index of a mapped task; -1: not mapped.
    :param deployment: tells this Airflow from others that have the same DAG; empty: nothing does.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    deployment: str = ""

    @classmethod
    def of(cls, task_instance: Any, deployment: str = "") -> TaskIdentity:
        """Take the identity from Airflow's task instance.

        :param task_instance: whatever has the first four attributes.
        :param deployment: of which Airflow it is.
        """
        names = (task_instance.dag_id, task_instance.task_id, task_instance.run_id, task_instance.map_index)
        return cls(*names, deployment)

    def digest(self) -> str:
        """Hash the identity, for where it only has to be recognised: 32 hexadecimal digits."""
        names = (self.dag_id, self.task_id, self.run_id, self.map_index, self.deployment)
        return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]

    def tags(self) -> dict[str, str]:
        """Write the identity as AWS tags: values hold the characters that AWS allows, at most 256."""
        values = {
            "airflow:dag_id": self.dag_id,
            "airflow:task_id": self.task_id,
            "airflow:run_id": self.run_id,
            "airflow:map_index": str(self.map_index),
        }
        # Characters that every AWS service takes in a tag: letters, digits, spaces and these signs.
        return {key: re.sub(r"[^\w .:/=+\-@]", "_", value)[:MAX_TAG_VALUE] for key, value in values.items()}


def fingerprint(request: Mapping[str, Any]) -> str:
    """Hash a request, without its request id, so that a later try can tell whether it would send the same.

    :param request: a StartRun or StartRunBatch request before names and tags of ours are added.
    :return: SHA-256 in hexadecimal.
    """
    content = {name: value for name, value in request.items() if name != "requestId"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def name_hash(name: str | None) -> str | None:
    """Hash a name, by which a later try recognises it although its own settings may say another.

    :param name: the name; None: there is none.
    :return: SHA-256 in hexadecimal, or None.
    """
    return None if name is None else hashlib.sha256(name.encode()).hexdigest()


def generated_name(kind: str, identity: TaskIdentity, request_id: str) -> str:
    """Make the name of a run or batch that the user did not name; the request id in it makes it unique.

    :param kind: ``"run"`` or ``"batch"``.
    :param identity: who starts it.
    :param request_id: the attempt's.
    :return: ``"{dag_id}.{task_id}.{request_id}"``, its beginning cut to the length that AWS allows.
    """
    longest = _LONGEST_NAMES[kind]
    prefix = re.sub(r"[^A-Za-z0-9_.\-]", "_", f"{identity.dag_id}.{identity.task_id}")
    return f"{prefix[: longest - len(request_id) - 1]}.{request_id}"


@dataclass(frozen=True)
class IdentifiedRequest:
    """A request with our name and tags in it.

    :param request: to be sent; the same to the letter whenever it is made from the same settings and record.
    :param warnings: about tags left out and outputs overwritten.
    """

    request: dict[str, Any]
    warnings: tuple[str, ...] = ()


def identified_request(
    kind: str, request: Mapping[str, Any], identity: TaskIdentity, record: AttemptRecord, *, staged_run_tags: int = 0
) -> IdentifiedRequest:
    """Put the attempt's request id, a name and the identity's tags into a checked request.

    The user's own name and tags stay; beyond 50 tags, ours are left out.

    :param kind: ``"run"`` or ``"batch"``.
    :param request: a checked StartRun or StartRunBatch request.
    :param identity: who starts it.
    :param record: the attempt, for its request id, its first try, and whether it is tagged.
    :param staged_run_tags: how many tags of its own a run has at most among those that are not in the request.
    :return: the request to send.
    """
    result: dict[str, Any] = {**request, "requestId": record.request_id}
    result.setdefault(NAME_FIELDS[kind], generated_name(kind, identity, record.request_id))
    warnings: tuple[str, ...] = ()
    # Right under the output URI lie the outputs of an earlier run of the same task.
    is_again = "runId" in request or record.attempts > 1 or record.first_try > 1
    if is_again and request.get("outputUriPrefixMode") == "NONE_WITH_OVERWRITE":
        earlier = f"run {request['runId']}" if "runId" in request else "an earlier attempt"
        place = f"outputs that {earlier} has left under {request['outputUri']}"
        warnings = (f"This run overwrites {place}: output_uri_prefix_mode is NONE_WITH_OVERWRITE",)
    if not record.tagged:
        return IdentifiedRequest(result, warnings)
    who = identity.tags()
    ours = {REQUEST_ID_TAG: record.request_id, TRY_NUMBER_TAG: str(record.first_try), **who}
    if identity.deployment:
        ours[DEPLOYMENT_TAG] = identity.deployment
    result["tags"], left_out = _with_room(ours, request.get("tags") or {}, len(request.get("tags") or {}))
    if kind == "batch":
        default = request["defaultRunSetting"]
        per_run = request["batchRunSettings"].get("inlineSettings") or ()
        shared = default.get("runTags") or {}
        # Of staged settings the keys are not at hand: none of them counts as one of the shared ones.
        staged = 0 if per_run else staged_run_tags
        used = max([len(shared) + staged, *(len({*shared, *(setting.get("runTags") or {})}) for setting in per_run)])
        run_tags, left_out_of_runs = _with_room(who, shared, used)
        result["defaultRunSetting"] = {**default, "runTags": run_tags}
        left_out += [key for key in left_out_of_runs if key not in left_out]
    if left_out:
        warnings = (f"No room under {MAX_TAGS} tags: {', '.join(left_out)} left out", *warnings)
    return IdentifiedRequest(result, warnings)


def _with_room(ours: Mapping[str, str], theirs: Mapping[str, str], used: int) -> tuple[dict[str, str], list[str]]:
    added = [key for key in ours if key not in theirs]
    fitting, left_out = added[: max(0, MAX_TAGS - used)], added[max(0, MAX_TAGS - used) :]
    return {**theirs, **{key: ours[key] for key in fitting}}, left_out
