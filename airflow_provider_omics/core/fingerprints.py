"""Whether a sample would be run the same way again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FINGERPRINTED = ("workflowId", "workflowOwnerId", "workflowVersionName", "parameters", "engineSettings")
"""What decides what a run computes. Not the role, the storage, the place of the outputs, names, tags and priority: a
sample that completed with others of these need not run again."""


def sample_fingerprint(setting: Mapping[str, Any]) -> str:
    """Hash what decides what a run computes.

    :param setting: what the run gets, the batch's default and its own settings merged
        (:func:`airflow_provider_omics.core.settings.merged_run_settings`).
    :return: SHA-256 in hexadecimal; the same whatever the order of keys, and whether an empty setting is given or not.
    """
    content = {name: setting[name] for name in FINGERPRINTED if setting.get(name) not in (None, "", {})}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
