"""Names in the place of ids: which of them a task has looked up, and the one thing that has the name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.text import nearest_name

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "workflow_name": "workflowId",
        "workflow_version_name": "workflowVersionName",
        "run_group_name": "runGroupId",
        "cache_name": "cacheId",
    }
)
"""Argument, and key of the connection -> the setting that it stands for, as AWS spells it."""

_ARGUMENTS = {
    "workflowId": "workflow_id",
    "runGroupId": "run_group_id",
    "cacheId": "cache_id",
    "runId": "source_run_id",
}

SHOWN_CANDIDATES = 10


def chosen_names(
    own: Mapping[str, str],
    setting: Mapping[str, Any],
    team: Mapping[str, str],
    team_setting: Mapping[str, Any],
) -> dict[str, str]:
    """Choose the names to look up: the task's own win over the connection's, and an id of the task's over both.

    :param own: names that the task gives, by argument.
    :param setting: the task's settings, as AWS spells them.
    :param team: names that the connection gives.
    :param team_setting: the connection's ``default_run_setting``.
    :return: argument -> name.
    :raises SettingsError: a name and an id of the same thing stand in the same place.
    """
    problems = []
    for name, field in NAMES.items():
        # A version beside its own setting is the operator for a run, whose argument is both.
        given = [known for known in (field, "runId") if name != "workflow_version_name" and setting.get(known)]
        given = given if name == "workflow_name" else [known for known in given if known == field]
        if name in own and given:
            both = f"{name} and {_ARGUMENTS[given[0]]}"
            problems.append(Problem(both, "both set", "one of them"))
        elif name == "workflow_version_name" and name in own and setting.get(field) not in (None, own[name]):
            problems.append(Problem(f"{name} and default_run_setting['{field}']", "both set", "one of them"))
        if name in team and team_setting.get(field):
            both = f"connection {name} and default_run_setting['{field}']"
            problems.append(Problem(both, "both set", "one of them"))
    if "workflow_version_name" in team and "workflow_name" not in team:
        problems.append(Problem("connection workflow_version_name", "set", "with workflow_name, whose version it is"))
    if problems:
        raise SettingsError(problems)
    chosen = dict(own)
    is_team_workflow = "workflow_name" not in own and not setting.get("workflowId") and not setting.get("runId")
    for name, value in team.items():
        if name == "workflow_name" and not is_team_workflow:
            continue
        if name == "workflow_version_name" and (not is_team_workflow or setting.get(NAMES[name])):
            continue
        if name not in own and not setting.get(NAMES[name]):
            chosen[name] = value
    return chosen


def only_one(argument: str, name: str, listed: Sequence[Mapping[str, Any]], known: Iterable[Any] = ()) -> str:
    """Take the one thing of a name; there is no "latest".

    :param argument: where the name stands.
    :param name: the name.
    :param listed: what has this name: items of a list, all with ``id``.
    :param known: other names that exist, for a hint.
    :return: its id.
    :raises SettingsError: none has, or several; with the candidates.
    """
    active = [item for item in listed if item.get("status", "ACTIVE") == "ACTIVE"]
    if len(active) == 1:
        return str(active[0]["id"])
    what = "one ACTIVE" if any("status" in item for item in listed) else "one"
    if listed:
        shown = [f"{item['id']} ({item.get('status', 'exists')})" for item in listed[:SHOWN_CANDIDATES]]
        allowed = f"exactly {what} of this name; there are {', '.join(shown)}: give the id, or rename"
    else:
        others = sorted({str(other) for other in known if other})
        near = nearest_name(name, others)
        shown = others[:SHOWN_CANDIDATES]
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(shown) or 'none at all'}"
        allowed = f"a name that exists in this account and Region; {hint}"
    raise SettingsError([Problem(argument, repr(name), allowed)])


def check_version(name: str, version: str | None, listed: Sequence[Mapping[str, Any]]) -> None:
    """Check that the version of a workflow that goes by its name is ACTIVE, and that one is named where there are any.

    :param name: name of the workflow.
    :param version: name of the version; None: none is named.
    :param listed: items of ListWorkflowVersions.
    :raises SettingsError: it is not; with the candidates.
    """
    active = [item["versionName"] for item in listed if item["status"] == "ACTIVE"]
    if version in active or (version is None and not active):
        return
    shown = ", ".join(active[-SHOWN_CANDIDATES:]) or "none"
    allowed = f"an ACTIVE version of workflow {name!r}, which has {shown}; none of them is taken for the latest"
    raise SettingsError([Problem("workflow_version_name", "not set" if version is None else repr(version), allowed)])
