"""Checks before a start, for those who want them: the workflow, its parameters, the inputs; and the dry run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice
from typing import Any

from airflow_provider_omics.core.errors import AccessDenied, Problem, SettingsError
from airflow_provider_omics.core.inputs import RunInputs
from airflow_provider_omics.core.settings.requests import CheckedRequest, setting_outline
from airflow_provider_omics.core.settings.workflow_parameters import check_parameters
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.owner import Owner

MAX_PROBLEMS = 50
"""Problems with parameters that are reported; 100,000 runs share most of them."""

SHOWN_RUNS = 3
"""Runs that a dry run shows."""

ParametersByRun = Iterable[tuple[str, Mapping[str, Any]]]
"""The merged parameters of each run, with the name of the argument they stand in."""


@dataclass(frozen=True)
class Workflow:
    """The workflow of a request, from HealthOmics.

    :param name: its id, and its version if one is asked for.
    :param status: ``ACTIVE``, or why it cannot run.
    :param template: its ``parameterTemplate``: name -> description, optional; None: it has none.
    """

    name: str
    status: str | None
    template: Mapping[str, Mapping[str, Any]] | None

    def problems(self) -> list[Problem]:
        """Return whether it is ACTIVE."""
        if self.status == "ACTIVE":
            return []
        return [Problem("workflow_id", f"{self.name} ({self.status})", "a workflow that is ACTIVE")]

    def check(self, parameters_by_run: ParametersByRun) -> None:
        """Check that it is ACTIVE and the merged parameters of each run fit its template.

        :param parameters_by_run: the runs.
        :raises SettingsError: they do not, with at most 50 problems.
        """
        problems = self.problems()
        for argument, parameters in parameters_by_run:
            problems += check_parameters(self.template, parameters, argument=argument)
            if len(problems) >= MAX_PROBLEMS:
                break
        if problems:
            raise SettingsError(problems[:MAX_PROBLEMS])


def look_up_workflow(hook: OmicsHook, log: Any, setting: Mapping[str, Any]) -> Workflow | None:
    """Look up the workflow of a request.

    :param hook: where to ask.
    :param log: the task's logger.
    :param setting: a request of StartRun, or the ``defaultRunSetting`` of a batch; checked.
    :return: the workflow; None, with a line in the log, where the request names none, or where asking is not allowed.
    :raises ServiceError: the call was refused or did not get through.
    """
    workflow_id = setting.get("workflowId")
    if workflow_id is None:
        log.info("check_workflow: a repeated run takes its workflow from the source run; nothing to look up")
        return None
    version = setting.get("workflowVersionName")
    whose = {"workflow_type": setting.get("workflowType"), "workflow_owner_id": setting.get("workflowOwnerId")}
    answer: Mapping[str, Any]
    try:
        if version:
            answer = hook.get_workflow_version(workflow_id, version, **whose)
        else:
            answer = hook.get_workflow(workflow_id, **whose)
    except AccessDenied as error:
        log.warning("check_workflow: going on without the check: %s", error)
        return None
    name = f"{workflow_id} version {version}" if version else workflow_id
    return Workflow(name, answer.get("status"), answer.get("parameterTemplate"))


def show_request(
    owner: Owner, checked: CheckedRequest, lead: str, runs: Iterable[tuple[str, Mapping[str, Any]]] = ()
) -> None:
    """Log what would be started.

    :param owner: the try.
    :param checked: the request.
    :param lead: how many runs there would be.
    :param runs: the runs of a batch, merged, with their names; the first three are shown by what is theirs alone.
    """
    log, masks, shared = owner.log, owner.arguments.masks_parameters, checked.merged.values
    log.info("Dry run: nothing is started. %s", lead)
    for line in checked.merged.lines():
        log.info("  %s", line)
    shown = list(islice(runs, SHOWN_RUNS))
    for label, setting in shown:
        own = {name: value for name, value in setting.items() if name != "runSettingId" and value != shared.get(name)}
        told = [
            name if masks else f"{name} = {setting_outline(name, own[name])}" for name in own if name != "parameters"
        ]
        names = ", ".join(visible(str(name)) for name in setting.get("parameters") or {})
        log.info("  %s with parameters %s%s", label, names or "(none)", "".join(f"; {one}" for one in told))
    if not masks:  # values can identify a patient: they are for those who turn the debug level on
        log.debug("The request: %s", checked.request)
        for label, setting in shown:
            log.debug("%s: %s", label, setting)


def check_workflow(owner: Owner, setting: Mapping[str, Any], parameters_by_run: ParametersByRun) -> None:
    """Compare the parameters of each run with the template of its workflow.

    :param owner: the try.
    :param setting: a request of StartRun, or the ``defaultRunSetting`` of a batch; checked.
    :param parameters_by_run: the runs.
    :raises SettingsError: they do not fit, or the workflow is not ACTIVE; with at most 50 problems.
    :raises ServiceError: the call was refused or did not get through.
    """
    workflow = workflow_to_check(owner, setting)
    if workflow is not None:
        workflow.check(parameters_by_run)


def workflow_to_check(owner: Owner, setting: Mapping[str, Any]) -> Workflow | None:
    """Look up the workflow of the runs, unless an earlier try has started them.

    :param owner: the try.
    :param setting: a request of StartRun, or the ``defaultRunSetting`` of a batch.
    :return: the workflow; None: it is not looked up, or cannot be.
    :raises ServiceError: the call was refused or did not get through.
    """
    return None if _is_started(owner, "check_workflow") else look_up_workflow(owner.hook, owner.log, setting)


def check_inputs(
    owner: Owner, setting: Mapping[str, Any], runs: Callable[[], Iterable[RunInputs]]
) -> Mapping[str, str]:
    """Look up the inputs of each run, unless an earlier try has started them: their inputs may be gone since.

    :param owner: the try.
    :param setting: a request of StartRun, or the ``defaultRunSetting`` of a batch.
    :param runs: returns the runs with their inputs.
    :return: ``runSettingId`` -> hash of its inputs' ETags, of those that were looked up.
    :raises SettingsError: inputs are missing or archived; at most 50 problems.
    :raises ServiceError: S3 or STS did not answer.
    """
    return {} if _is_started(owner, "check_inputs") else look_up_inputs(owner, setting, runs)


def look_up_inputs(
    owner: Owner, setting: Mapping[str, Any], runs: Callable[[], Iterable[RunInputs]]
) -> Mapping[str, str]:
    """Look up the inputs of each run.

    :param owner: the try.
    :param setting: a request of StartRun, or the ``defaultRunSetting`` of a batch.
    :param runs: returns the runs with their inputs.
    :return: ``runSettingId`` -> hash of its inputs' ETags, of those that were looked up.
    :raises SettingsError: inputs are missing or archived; at most 50 problems.
    :raises ServiceError: S3 or STS did not answer.
    """
    from airflow_provider_omics.jobs import inputs  # for who wants it

    return inputs.check_inputs(
        runs,
        owner.hook,
        owner.log,
        role_arn=owner.arguments.check_role_arn or None,
        networking_mode=setting.get("networkingMode"),
        needed_until=datetime.now(timezone.utc) + timedelta(seconds=owner.arguments.restore_margin),
        mask=owner.arguments.masks_parameters,
    )


def inputs_of_now(owner: Owner, runs: Callable[[], Iterable[RunInputs]]) -> Mapping[str, str]:
    """Look up which versions the inputs of runs have, of which some have completed.

    :param owner: the try.
    :param runs: returns the runs with their inputs.
    :return: ``runSettingId`` -> hash of its inputs' ETags.
    :raises ServiceError: S3 or STS did not answer.
    """
    from airflow_provider_omics.jobs import inputs  # for who wants it

    return inputs.inputs_of_now(runs, owner.hook, role_arn=owner.arguments.check_role_arn or None)


def _is_started(owner: Owner, check: str) -> bool:
    if owner.is_started:
        owner.log.info("%s: an earlier try has started this; it is not checked again", check)
        return True
    return False
