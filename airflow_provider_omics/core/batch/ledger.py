"""Entries of the ledger beside a results file: what was asked of HealthOmics, and what it has told of a run.

An entry is written once and never changed: an audit a year later needs all attempts, and the file has the last one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from airflow_provider_omics.core.failure.manifest import manifest_objects

FORM = 1
"""Form of the entries; a reader of another one asks before it believes."""

MASKED = ("parameters", "sessionPolicy")
"""Members of a request, an answer or a manifest that can hold a patient's data."""


def attempt_entry(request: Mapping[str, Any], facts: Mapping[str, Any], *, masks: bool) -> dict[str, Any]:
    """Make the entry of an attempt.

    :param request: of StartRunBatch, as it is sent.
    :param facts: whatever else is known of it: who, when, for which task, with which versions.
    :param masks: whether values of parameters and policies are replaced by their hashes.
    :return: a JSON object.
    """
    return {"form": FORM, "operation": "StartRunBatch", **facts, "request": _plain(request, masks=masks)}


def run_entry(
    run_setting_id: str, answer: Mapping[str, Any] | None, manifest: Iterable[str] | None, *, masks: bool
) -> dict[str, Any]:
    """Make the entry of a run that has ended.

    :param run_setting_id: its sample, which neither GetRun nor the manifest tells.
    :param answer: of GetRun; None: the run's record is gone.
    :param manifest: messages of its manifest stream, which has the digests of its tasks' images; None: it could not be
        read.
    :param masks: whether values of parameters and policies are replaced by their hashes.
    :return: a JSON object: ``run_setting_id``; ``run``, GetRun's answer or null; ``manifest``, the objects of the
        stream or null.
    """
    run = None if answer is None else {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    objects = None if manifest is None else [_plain(value, masks=masks) for value in manifest_objects(manifest)]
    members = {"run_setting_id": run_setting_id, "run": _plain(run, masks=masks), "manifest": objects}
    return {"form": FORM, "operation": "GetRun", **members}


def sha256_of(value: Any) -> str:
    """Hash a JSON value.

    :param value: the value.
    :return: SHA-256 in hexadecimal of its JSON with sorted keys and without spaces.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()).hexdigest()


def _plain(value: Any, *, masks: bool) -> Any:
    """Make a JSON value of a request or an answer; parameters may be of any shape, and are masked whole."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        hides = [name for name in MASKED if masks and value.get(name)]
        shown = {name: _plain(item, masks=masks) for name, item in value.items() if name not in hides}
        return {**shown, **{name: _masked(value[name]) for name in hides}}
    if isinstance(value, (list, tuple)):
        return [_plain(item, masks=masks) for item in value]
    return value


def _masked(value: Any) -> dict[str, Any]:
    names = {"names": sorted(map(str, value))} if isinstance(value, Mapping) else {}
    return {**names, "sha256": sha256_of(value)}
