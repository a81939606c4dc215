"""Workflows and versions that are there: which of them a release takes, and which two tasks made at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError, WorkflowFailed
from airflow_provider_omics.core.release.requests import DIGEST_TAG, Release

CREATING = frozenset({"CREATING", "UPDATING"})
"""Statuses that pass by themselves (API reference, GetWorkflow)."""

USABLE = frozenset({"ACTIVE", *CREATING})


def usable(listed: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Choose what can run, now or soon.

    :param listed: items of ListWorkflows, ListWorkflowVersions, or their answers to Get.
    :return: the oldest first.
    """
    return sorted(
        (item for item in listed if item.get("status") in USABLE),
        key=lambda item: (item["creationTime"], item.get("id", "")),
    )


def leftovers(workflows: Sequence[Mapping[str, Any]], versions: Mapping[str, int]) -> list[str]:
    """Find workflows that another release of the same name has overtaken: it keeps the oldest.

    Those were made by a release, and hold no version: nobody has been handed one of them.

    :param workflows: answers of GetWorkflow, the oldest first.
    :param versions: id -> number of its versions.
    :return: ids.
    """
    return [
        str(workflow["id"])
        for workflow in workflows[1:]
        if DIGEST_TAG in workflow.get("tags", {}) and not versions[workflow["id"]]
    ]


def ambiguous(name: str, workflows: Iterable[Mapping[str, Any]]) -> SettingsError:
    """Make the error of a name that several workflows have.

    :param name: their name.
    :param workflows: the workflows.
    """
    ids = ", ".join(str(workflow["id"]) for workflow in workflows)
    allowed = f"one ACTIVE workflow of this name; there are {ids}: rename or delete those that are not meant"
    return SettingsError([Problem("name", repr(name), allowed)])


def check_version(release: Release, found: Mapping[str, Any]) -> None:
    """Refuse a version that is not the one to be released: no version is ever overwritten.

    :param release: the release.
    :param found: the answer of GetWorkflowVersion.
    :raises WorkflowFailed: it is FAILED.
    :raises SettingsError: it has another definition, or one that nobody knows.
    """
    if found["status"] == "FAILED":
        raise failed(found)
    digest = found.get("tags", {}).get(DIGEST_TAG)
    if digest == release.digest and found["status"] in USABLE:
        return
    version, workflow_id = found["versionName"], found["workflowId"]
    there = f"digest {digest[:16]}" if digest else "no digest of a release"
    allowed = (
        f"a new name: version {version} of workflow {workflow_id} is {found['status']} with {there}, the definition "
        f"given has {release.digest[:16]}; versions are never overwritten"
    )
    raise SettingsError([Problem("version", repr(version), allowed)])


def failed(found: Mapping[str, Any]) -> WorkflowFailed:
    """Make the error of a workflow or version that HealthOmics could not create.

    :param found: the answer of GetWorkflow or GetWorkflowVersion.
    """
    return WorkflowFailed(
        workflow_id=str(found.get("workflowId") or found["id"]),
        version_name=found.get("versionName"),
        status=str(found["status"]),
        status_message=found.get("statusMessage"),
    )
