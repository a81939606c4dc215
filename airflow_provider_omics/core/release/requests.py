"""A release: the checked arguments of a task, as requests of CreateWorkflow and CreateWorkflowVersion."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.release.definition import digest_of
from airflow_provider_omics.core.settings.fields import MAX_TAG_VALUE, MAX_TAGS
from airflow_provider_omics.core.uris import is_s3_uri

DIGEST_TAG = "airflow:definition_digest"
"""Tag of a workflow and of each version: the digest of what was released."""

MAKER_TAG = "airflow:released_by"
"""Tag of each version: a digest of the task instance that created it, which a later try of it recognises."""

_OWN_TAGS = (DIGEST_TAG, MAKER_TAG)

MAX_NAME = 128
"""API reference, ``WorkflowName``."""

FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "description": "description",
        "engine": "engine",
        "main": "main",
        "parameter_template": "parameterTemplate",
        "parameter_template_path": "parameterTemplatePath",
        "storage_type": "storageType",
        "storage_capacity": "storageCapacity",
        "accelerators": "accelerators",
        "container_registry_map": "containerRegistryMap",
        "container_registry_map_uri": "containerRegistryMapUri",
        "readme_markdown": "readmeMarkdown",
        "readme_path": "readmePath",
        "readme_uri": "readmeUri",
        "workflow_bucket_owner_id": "workflowBucketOwnerId",
        "tags": "tags",
    }
)
"""Argument of the operator -> member of CreateWorkflow and CreateWorkflowVersion, which have the same."""

DESCRIBING = frozenset({"description", "readmeMarkdown", "readmePath", "readmeUri", "workflowBucketOwnerId", "tags"})
"""Members that change nothing of a run; the others are part of the digest."""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "engine": ("WDL", "WDL_LENIENT", "NEXTFLOW", "CWL"),
    "storage_type": ("STATIC", "DYNAMIC"),
    "accelerators": ("GPU",),
}
_LONGEST = {
    "description": 256,
    "main": 128,
    "parameter_template_path": 128,
    "readme_path": 128,
    "container_registry_map_uri": 750,
}
"""API reference, CreateWorkflow."""

_EITHER = (
    ("parameter_template", "parameter_template_path"),
    ("container_registry_map", "container_registry_map_uri"),
    ("readme_markdown", "readme_path", "readme_uri"),
)
_MAPPINGS = ("parameter_template", "container_registry_map", "tags")
_URIS = ("container_registry_map_uri", "readme_uri")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-._]{0,63}")
"""API reference, ``WorkflowVersionName``."""


def read_settings(name: Any, version: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a release, all but the definition.

    :param name: name of the workflow.
    :param version: name of the version; None: one is made.
    :param arguments: :data:`FIELDS` by argument; None: not given.
    :return: those that were given, as AWS spells them.
    :raises SettingsError: all that is wrong with them.
    """
    given = {argument: value for argument, value in arguments.items() if value not in (None, "")}
    problems = []
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        problems.append(Problem("name", repr(name), f"1 to {MAX_NAME} visible characters"))
    if version is not None and not (isinstance(version, str) and _VERSION.fullmatch(version)):
        allowed = "1 to 64 letters, digits, '-', '.' and '_', the first a letter or a digit"
        problems.append(Problem("version", repr(version), allowed))
    for argument, choices in _CHOICES.items():
        if argument in given and given[argument] not in choices:
            problems.append(Problem(argument, repr(given[argument]), f"one of {', '.join(choices)}"))
    for argument, longest in _LONGEST.items():
        if argument in given and not (isinstance(given[argument], str) and len(given[argument]) <= longest):
            problems.append(Problem(argument, repr(given[argument])[:80], f"text of at most {longest} characters"))
    for argument in _MAPPINGS:
        if argument in given and not isinstance(given[argument], Mapping):
            allowed = "a dict, as AWS spells it (a template that returns one needs native rendering)"
            problems.append(Problem(argument, type(given[argument]).__name__, allowed))
    problems += [
        Problem(argument, repr(given[argument]), "s3://bucket/key")
        for argument in _URIS
        if argument in given and not is_s3_uri(str(given[argument]))
    ]
    for group in _EITHER:
        both = [argument for argument in group if argument in given]
        if len(both) > 1:
            problems.append(Problem(" and ".join(both), "all set", "one of them"))
    problems += _capacity_problems(given) + _tag_problems(given.get("tags"))
    owner = given.get("workflow_bucket_owner_id")
    if owner is not None and not re.fullmatch("[0-9]{12}", str(owner)):
        problems.append(Problem("workflow_bucket_owner_id", repr(owner), "an account id of 12 digits"))
    if problems:
        raise SettingsError(problems)
    settings = {FIELDS[argument]: value for argument, value in given.items()}
    if "storageCapacity" in settings:
        settings["storageCapacity"] = int(settings["storageCapacity"])
    return settings


def _capacity_problems(given: Mapping[str, Any]) -> list[Problem]:
    capacity = given.get("storage_capacity", 0)
    if not isinstance(capacity, bool) and str(capacity).isdecimal() and int(capacity) <= 100_000:
        return []
    return [Problem("storage_capacity", repr(capacity), "a whole number from 0 to 100,000, in GiB")]


def _tag_problems(tags: Any) -> list[Problem]:
    if not isinstance(tags, Mapping):
        return []
    wrong = [key for key, value in tags.items() if not isinstance(value, str) or len(value) > MAX_TAG_VALUE]
    problems = [Problem(f"tags[{key!r}]", repr(tags[key])[:80], f"text, up to {MAX_TAG_VALUE}") for key in wrong]
    problems += [
        Problem(f"tags[{key!r}]", repr(tags[key]), "left to the release, which sets it")
        for key in _OWN_TAGS
        if key in tags
    ]
    if len(tags) > MAX_TAGS - len(_OWN_TAGS):
        allowed = f"at most {MAX_TAGS - len(_OWN_TAGS)}: the release adds {len(_OWN_TAGS)}"
        problems.append(Problem("tags", f"{len(tags)} tags", allowed))
    return problems


@dataclass(frozen=True)
class Release:
    """A release, checked.

    :param name: name of the workflow.
    :param version: name of the version that the user gave; None: one is made of commit and digest.
    :param settings: members of CreateWorkflow and CreateWorkflowVersion, as AWS spells them.
    :param source_digest: digest of the files, or of the repository and its commit.
    :param maker: digest of who releases; the same in every try of a task.
    :param commit: commit of a repository; None: the definition is none.
    """

    name: str
    version: str | None
    settings: Mapping[str, Any]
    source_digest: str
    maker: str
    commit: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides on what a run does: the files, and the settings of the workflow."""
        deciding = {name: value for name, value in self.settings.items() if name not in DESCRIBING}
        return digest_of({"source": self.source_digest, "settings": deciding})

    def version_name(self, failed: int = 0) -> str:
        """Name the version.

        :param failed: how many versions of the name that it would have are FAILED: their names stay taken.
        :return: the user's; else the digest's beginning, after that of the commit.
        """
        if self.version is not None:
            return self.version
        made = f"{self.commit[:12]}-{self.digest[:8]}" if self.commit else self.digest[:16]
        return f"{made}.{failed + 1}" if failed else made

    def has_made(self, version: Mapping[str, Any]) -> bool:
        """Tell whether a version is this release's own, of this or an earlier try.

        :param version: the answer of GetWorkflowVersion.
        """
        return bool(version.get("tags", {}).get(MAKER_TAG) == self.maker)

    def workflow_request(self, source: Mapping[str, Any], failed: int) -> dict[str, Any]:
        """Make the request of CreateWorkflow; of two tasks that make it at once, AWS knows the second one again.

        :param source: the member with the definition.
        :param failed: how many workflows of the name are FAILED.
        """
        return {"name": self.name, **self._request(source, f"workflow/{self.name}/{self.digest}/{failed}")}

    def version_request(self, source: Mapping[str, Any], workflow_id: str, version: str) -> dict[str, Any]:
        """Make the request of CreateWorkflowVersion.

        :param source: the member with the definition.
        :param workflow_id: id of the workflow.
        :param version: name of the version.
        """
        ids = {"workflowId": workflow_id, "versionName": version}
        request = self._request(source, f"version/{workflow_id}/{version}/{self.digest}")
        return {**ids, **request, "tags": {**request["tags"], MAKER_TAG: self.maker}}

    def _request(self, source: Mapping[str, Any], purpose: str) -> dict[str, Any]:
        return {
            **self.settings,
            **source,
            "tags": {**self.settings.get("tags", {}), DIGEST_TAG: self.digest},
            "requestId": str(uuid.uuid5(uuid.NAMESPACE_URL, purpose)),
        }
