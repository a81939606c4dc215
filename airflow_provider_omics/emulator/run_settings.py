"""Whether a run may start with the settings that it is given."""

from __future__ import annotations

import heapq
import json
from typing import Any

from airflow_provider_omics.emulator import statuses, workflows
from airflow_provider_omics.emulator.batch_settings import split_uri
from airflow_provider_omics.emulator.errors import ServiceError, not_found, quota_exceeded, validation_error
from airflow_provider_omics.emulator.lifecycle import forget
from airflow_provider_omics.emulator.region import Region
from airflow_provider_omics.emulator.store import Workflow


class ParametersFileError(Exception):
    """A parameters object that makes its run fail."""


def check_common_settings(region: Region, settings: dict[str, Any]) -> Workflow:
    """
    Check what StartRun and StartRunBatch's defaultRunSetting have in common.

    :param region: Where the run would start.
    :param settings: The request, or the defaultRunSetting.
    :return: The workflow, or its version.
    :raises ServiceError: ValidationException or ResourceNotFoundException.
    """
    workflow = find_workflow(region, settings)
    if workflow.status != statuses.ACTIVE:
        # Which code AWS uses is not documented; the batch guide lists inactive workflows under this one.
        raise not_found("Active workflow", workflow.id)
    if "runGroupId" in settings and settings["runGroupId"] not in region.groups:
        raise not_found("Run group", settings["runGroupId"])
    if "cacheId" in settings and settings["cacheId"] not in region.caches:
        raise not_found("Run cache", settings["cacheId"])
    if "cacheBehavior" in settings and "cacheId" not in settings:
        raise validation_error("cacheBehavior requires cacheId.")
    if settings.get("networkingMode") == "VPC" and "configurationName" not in settings:
        raise validation_error("networkingMode VPC requires configurationName.")
    if "outputUri" in settings:
        check_output_uri(settings["outputUri"])
    return workflow


def find_workflow(region: Region, settings: dict[str, Any]) -> Workflow:
    """
    Find the workflow of a run, or its version.

    :raises ServiceError: There is none with this id, type, owner and version.
    """
    return workflows.find(
        region,
        settings["workflowId"],
        type=settings.get("workflowType", "PRIVATE"),
        owner=settings.get("workflowOwnerId"),
        version=settings.get("workflowVersionName"),
    )


def check_output_uri(uri: str) -> None:
    """
    Check an outputUri.

    :raises ServiceError: It is not ``s3://bucket...``.
    """
    if not uri.startswith("s3://") or not uri.removeprefix("s3://").split("/", 1)[0]:
        raise validation_error(f"Invalid outputUri: {uri}. It must be s3://bucket/prefix.")


def check_parameters(region: Region, workflow: Workflow, parameters: Any) -> None:
    """
    Check a run's parameters against its workflow's template.

    A workflow without a template takes everything: the emulator cannot read its definition, as AWS does.

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
    """
    Read the object behind a run's parametersUri.

    AWS does so after StartRun has answered; here it is read at once, so that a later change of it does not count.

    :param region: Where the run is.
    :param workflow: Of the run, with the template that the parameters have to fit.
    :param uri: Of the object.
    :return: The parameters.
    :raises ParametersFileError: It is not there, is no JSON object, or does not fit the template.
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


def make_room(region: Region) -> None:
    """
    Keep the quota of stored runs: drop the oldest finished run whose retentionMode is REMOVE.

    :raises ServiceError: ServiceQuotaExceededException when there is none (User Guide, "Run retention mode").
    """
    while len(region.runs) >= region.limits.stored_runs:
        if not region.removable:
            raise quota_exceeded(f"The quota of {region.limits.stored_runs} stored runs is reached.")
        forget(region, heapq.heappop(region.removable)[1])
