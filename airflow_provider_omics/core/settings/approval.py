"""Change control: the workflow definitions that a task, or the team, allows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError

APPROVAL_KEYS = ("workflow", "version", "digest")

APPROVAL_FORM = (
    'a list of {"workflow": id or name, "version": name, "digest": digest}, all text, '
    "with at least workflow or digest in each"
)


def is_approval_list(value: Any) -> bool:
    """Look whether a value of the connection has the form of ``approved_workflows``.

    :param value: the value.
    """
    return isinstance(value, list) and all(
        isinstance(entry, Mapping)
        and set(entry) <= set(APPROVAL_KEYS)
        and all(isinstance(text, str) and text for text in entry.values())
        and ("workflow" in entry or "digest" in entry)
        for entry in value
    )


_HEXADECIMAL = re.compile("[0-9A-Fa-f]{64}")


@dataclass(frozen=True)
class DefinedWorkflow:
    """The workflow of a request, as HealthOmics has it.

    :param id: its id.
    :param name: its name; None: it was not asked for.
    :param version: name of the version; None: the one that the workflow was created with.
    :param digest: AWS's digest of its definition; None: it has none.
    """

    id: str
    name: str | None
    version: str | None
    digest: str | None

    def __str__(self) -> str:
        """Name it in a message."""
        version = f" version {self.version}" if self.version else ""
        return f"workflow {self.id}{version}, digest {self.digest or 'unknown'}"

    def is_listed(self, approved: Sequence[Mapping[str, str]]) -> bool:
        """Look whether an entry of ``approved_workflows`` fits: all that it says.

        :param approved: the entries.
        """
        return any(
            entry.get("workflow", self.id) in (self.id, self.name)
            and entry.get("version", self.version) == self.version
            and ("digest" not in entry or same_digest(entry["digest"], self.digest))
            for entry in approved
        )


def check_allowed(
    workflow: DefinedWorkflow,
    digest: str | None,
    approved: Sequence[Mapping[str, str]] | None,
    connection: str = "the connection",
) -> None:
    """Refuse a workflow that is not the one that was meant, or that nobody has approved.

    :param workflow: the workflow.
    :param digest: ``workflow_digest`` of the task; None: any will do.
    :param approved: ``approved_workflows`` of the connection; None: all are.
    :param connection: the connection, in the words of a message.
    :raises SettingsError: it is refused.
    """
    problems = []
    if digest is not None and not same_digest(digest, workflow.digest):
        problems.append(Problem("workflow_digest", repr(digest), f"the digest of what would run: {workflow}"))
    if approved is not None and not workflow.is_listed(approved):
        allowed = f"one of approved_workflows of {connection}, which lists {len(approved)}"
        problems.append(Problem("workflow", str(workflow), allowed))
    if problems:
        raise SettingsError(problems)


def same_digest(one: str, other: str | None) -> bool:
    """Compare digests, with or without ``sha256:`` before them. Hexadecimal ones may be in upper or lower case.

    AWS's pages show both hexadecimal and Base64, in which case counts (AWS CLI reference, list-workflows).

    :param one: a digest.
    :param other: another; None: there is none, which is never the same.
    """
    if other is None:
        return False
    given, found = (digest.strip().removeprefix("sha256:") for digest in (one, other))
    return given == found or (_HEXADECIMAL.fullmatch(given) is not None and given.lower() == found.lower())
