"""The look-up of names: ids of workflow, run group and run cache, once a try, before the request is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.settings.approval import DefinedWorkflow, check_allowed
from airflow_provider_omics.core.settings.by_name import NAMES, check_version, chosen_names, only_one
from airflow_provider_omics.core.settings.requests import merge_settings
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.owner import Owner


def with_ids(owner: Owner, setting: Any) -> Any:
    """Put ids into settings, in the place of the names that the task or the connection gives.

    :param owner: the try, which keeps what was found for its result and its record.
    :param setting: the task's settings, as AWS spells them; what is no dict is left to its own check.
    :return: the settings with the ids.
    :raises SettingsError: a name is not that of exactly one thing that is ACTIVE; with the candidates.
    :raises ServiceError: a list was refused, or did not get through.
    """
    if setting is not None and not isinstance(setting, Mapping):
        return setting
    hook, given = owner.hook, setting or {}
    team_setting = hook.defaults.default_run_setting
    names = chosen_names(owner.arguments.names, given, hook.defaults.names, team_setting)
    merged = merge_settings(team_setting, given)
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for argument, look_up in (
        ("workflow_name", _workflow_id),
        ("run_group_name", _run_group_id),
        ("cache_name", _cache_id),
    ):
        if argument in names:
            try:
                found[NAMES[argument]] = look_up(hook, names[argument], merged)
            except SettingsError as error:
                problems += error.problems
    if "workflow_version_name" in names:
        found["workflowVersionName"] = names["workflow_version_name"]
    if "workflowId" in found:
        version = found.get("workflowVersionName") or merged.get("workflowVersionName")
        try:
            check_version(names["workflow_name"], version, [*hook.list_workflow_versions(found["workflowId"])])
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    if set(names) - {"workflow_version_name"}:
        owner.resolved = {**names, **found}
        owner.log.info("Looked up: %s", ", ".join(f"{name} {value}" for name, value in owner.resolved.items()))
    return {**given, **found}


def _workflow_id(hook: OmicsHook, name: str, setting: Mapping[str, Any]) -> str:
    kind = setting.get("workflowType")
    if setting.get("workflowOwnerId"):
        allowed = "workflow_id: the workflows that others share are not listed by name"
        raise SettingsError([Problem("workflow_name", repr(name), allowed)])
    listed = [item for item in hook.list_workflows(name=name, workflow_type=kind) if item.get("name") == name]
    known = () if listed else (item.get("name") for item in hook.list_workflows(workflow_type=kind))
    return only_one("workflow_name", name, listed, known)


def _run_group_id(hook: OmicsHook, name: str, _: Mapping[str, Any]) -> str:
    listed = [item for item in hook.list_run_groups(name=name) if item.get("name") == name]
    known = () if listed else (item.get("name") for item in hook.list_run_groups())
    return only_one("run_group_name", name, listed, known)


def _cache_id(hook: OmicsHook, name: str, _: Mapping[str, Any]) -> str:
    caches = [*hook.list_run_caches()]
    listed = [item for item in caches if item.get("name") == name]
    return only_one("cache_name", name, listed, (item.get("name") for item in caches))


def check_definition(owner: Owner, setting: Mapping[str, Any]) -> None:
    """Refuse a workflow other than ``workflow_digest`` of the task and ``approved_workflows`` of the connection allow.

    It is asked before each start, that of a retry too: what cannot be asked is not started.

    :param owner: the try.
    :param setting: a request of StartRun, or the ``defaultRunSetting`` of a batch; checked.
    :raises SettingsError: it is refused.
    :raises ServiceError: HealthOmics could not be asked for its digest.
    """
    hook, defaults = owner.hook, owner.hook.defaults
    whose = {"workflow_type": setting.get("workflowType"), "workflow_owner_id": setting.get("workflowOwnerId")}
    workflow_id, version = setting.get("workflowId"), setting.get("workflowVersionName")
    if workflow_id is None:  # a run is repeated, with its workflow
        source = hook.get_run(setting["runId"])
        workflow_id, version = source["workflowId"], version or source.get("workflowVersionName")
        whose = {
            "workflow_type": whose["workflow_type"] or source.get("workflowType"),
            "workflow_owner_id": whose["workflow_owner_id"] or source.get("workflowOwnerId"),
        }
    answer: Mapping[str, Any] = {}
    approved = defaults.approved_workflows
    by_name = any(not entry.get("workflow", "0").isdigit() for entry in approved or ())
    if not version or by_name:
        answer = hook.get_workflow(workflow_id, **whose)
    name = answer.get("name")
    if version:
        answer = hook.get_workflow_version(workflow_id, version, **whose)
    workflow = DefinedWorkflow(workflow_id, name, version, answer.get("digest"))
    check_allowed(workflow, owner.arguments.workflow_digest, approved, defaults.connection)
