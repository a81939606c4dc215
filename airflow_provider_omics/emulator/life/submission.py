"""The submission of a run, alone or of a batch: checks of its settings, and its creation."""

from __future__ import annotations

import heapq
import json
from dataclasses import replace
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.errors import ServiceError, not_found, quota_exceeded, validation_error
from airflow_provider_omics.emulator.life import catalog, configurations, run_lifecycle
from airflow_provider_omics.emulator.life.batch_settings import split_uri
from airflow_provider_omics.emulator.life.records import Batch, Entry, Run, Workflow
from airflow_provider_omics.emulator.life.region import Region

INVALID_RUN_PARAMETERS = "INVALID_RUN_PARAMETERS"


class ParametersFileError(Exception):
    """A parameters object that makes its run fail."""


def check_common_settings(region: Region, settings: dict[str, Any]) -> Workflow:
    """Check the settings that StartRun and StartRunBatch's defaultRunSetting have in common.

    :param region: the region of the run.
    :param settings: the request, or the defaultRunSetting.
    :return: the workflow, or its version.
    :raises ServiceError: ValidationException or ResourceNotFoundException.
    """
    workflow = catalog.find(
        region,
        settings["workflowId"],
        type=settings.get("workflowType", "PRIVATE"),
        owner=settings.get("workflowOwnerId"),
        version=settings.get("workflowVersionName"),
    )
    if workflow.status != statuses.ACTIVE:
        # AWS does not document the code; its guide to batches lists inactive workflows under this one.
        raise not_found("Active workflow", workflow.id)
    if "runGroupId" in settings and settings["runGroupId"] not in region.groups:
        raise not_found("Run group", settings["runGroupId"])
    if "cacheId" in settings and settings["cacheId"] not in region.caches:
        raise not_found("Run cache", settings["cacheId"])
    if "cacheBehavior" in settings and "cacheId" not in settings:
        raise validation_error("cacheBehavior requires cacheId.")
    if settings.get("networkingMode") == "VPC" and "configurationName" not in settings:
        raise validation_error("networkingMode VPC requires configurationName.")
    if "configurationName" in settings:
        configurations.find_active(region, settings["configurationName"])
    if "outputUri" in settings:
        check_output_uri(settings["outputUri"])
    return workflow


def check_output_uri(uri: str) -> None:
    """Check an outputUri.

    :raises ServiceError: it is not ``s3://bucket...``.
    """
    if not uri.startswith("s3://") or not uri.removeprefix("s3://").split("/", 1)[0]:
        raise validation_error(f"Invalid outputUri: {uri}. It must be s3://bucket/prefix.")


def check_parameters(region: Region, workflow: Workflow, parameters: Any) -> None:
    """Check a run's parameters against its workflow's template.

    A workflow without a template takes everything: the emulator does not know its definition.

    :raises ServiceError: ValidationException.
    """
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise validation_error("parameters must be a JSON object.")
    if parameters and len(json.dumps(parameters, ensure_ascii=False).encode()) > region.limits.parameter_bytes:
        raise validation_error(f"parameters exceed {region.limits.parameter_bytes} bytes.")
    _check_names(workflow, parameters)


def read_parameters(region: Region, workflow: Workflow, uri: str) -> dict[str, Any]:
    """Read the object behind a run's parametersUri.

    AWS does so after StartRun has answered; here it is read at once, so that a later change of it does not count.

    :param region: the region of the run.
    :param workflow: the run's workflow, with the template that the parameters have to fit.
    :param uri: the URI of the object.
    :return: the parameters.
    :raises ParametersFileError: it is not there, is no JSON object, or does not fit the template.
    """
    bucket, key = split_uri(uri) or ("", "")
    stored = region.surroundings.read_object(region.account, region.name, bucket, key)
    if stored is None:
        raise ParametersFileError(f"The run parameters file {uri} cannot be read.")
    try:
        parameters = json.loads(stored.body)
    except ValueError as error:
        raise ParametersFileError(f"The run parameters file {uri} is not valid JSON: {error}") from None
    if not isinstance(parameters, dict):
        raise ParametersFileError(f"The run parameters file {uri} must hold a JSON object.")
    try:
        _check_names(workflow, parameters)
    except ServiceError as error:
        raise ParametersFileError(f"The run parameters file {uri} is not valid: {error.message}") from None
    return parameters


def _check_names(workflow: Workflow, parameters: dict[str, Any]) -> None:
    if workflow.parameter_template is None:
        return
    names = parameters.keys()
    if missing := workflow.required - names:
        raise validation_error(f"Missing required parameters: {', '.join(sorted(missing))}")
    if not names <= workflow.known:
        unknown = ", ".join(sorted(names - workflow.known))
        raise validation_error(f"Parameters that are not in the workflow's parameterTemplate: {unknown}")


def create_run(
    region: Region,
    workflow: Workflow,
    settings: dict[str, Any],
    tags: dict[str, str],
    batch: Batch | None = None,
    entry: Entry | None = None,
) -> Run:
    """Create a run whose settings were checked, unless the scenario fails its submission.

    :param region: the region of the run.
    :param workflow: the workflow, or its version.
    :param settings: the request of StartRun, or the defaultRunSetting of ``batch``.
    :param tags: the run's tags.
    :param batch: the batch that it belongs to.
    :param entry: its entry of that batch.
    :return: the run, PENDING.
    :raises ServiceError: the scenario's submission failure; ServiceQuotaExceededException when the store is full.
    """
    own = {} if entry is None else entry.setting
    name = own.get("name", settings.get("name"))
    run_setting_id = own.get("runSettingId")
    key = run_setting_id or name
    attempt = 1
    if key is not None:
        attempt = region.attempts[workflow.id, key] = region.attempts[workflow.id, key] + 1
    rule = region.scenario.run_rule(
        workflow=(workflow.id, workflow.name),
        name=name,
        run_setting_id=run_setting_id,
        batch=None if batch is None else batch.name,
        attempt=attempt,
    )
    if rule.submission_failure is not None:
        raise ServiceError(rule.submission_failure.reason, rule.submission_failure.message)
    output_uri = own.get("outputUri", settings.get("outputUri"))
    if output_uri is None:
        raise validation_error("outputUri is missing, both in defaultRunSetting and for this run.")
    check_output_uri(output_uri)
    _make_room(region)
    file_parameters = None
    if "parametersUri" in settings:
        try:
            file_parameters = read_parameters(region, workflow, settings["parametersUri"])
        except ParametersFileError as error:
            rule = replace(
                rule,
                outcome=statuses.FAILED,
                fails_in=statuses.PENDING,
                failure_reason=INVALID_RUN_PARAMETERS,
                status_message=str(error),
            )
    region.sequence += 1
    run = Run(
        id=region.next_run_id(),
        uuid=region.next_uuid(),
        sequence=region.sequence,
        workflow=workflow,
        rule=rule,
        settings=settings,
        name=name,
        output_uri=output_uri,
        storage_type=settings.get("storageType") or workflow.storage_type or region.scenario.default_storage_type,
        priority=own.get("priority", settings.get("priority", 0)),
        tags=tags,
        created=region.now,
        batch=batch,
        entry=entry,
        group=region.groups.get(settings.get("runGroupId", "")),
        file_parameters=file_parameters,
        configuration=region.configurations.get(settings.get("configurationName", "")),
    )
    run_lifecycle.begin(region, run)
    return run


def _make_room(region: Region) -> None:
    """Keep the quota of stored runs: drop the oldest finished run whose retentionMode is REMOVE.

    :raises ServiceError: ServiceQuotaExceededException when there is none (User Guide, "Run retention mode").
    """
    while len(region.runs) >= region.limits.stored_runs:
        if not region.removable:
            raise quota_exceeded(f"The quota of {region.limits.stored_runs} stored runs is reached.")
        run_lifecycle.forget(region, heapq.heappop(region.removable)[1])
