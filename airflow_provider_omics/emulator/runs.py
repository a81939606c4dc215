"""Runs: the operations on single ones."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from airflow_provider_omics.emulator import lifecycle, statuses, workflows
from airflow_provider_omics.emulator.errors import ServiceError, conflict, not_found, validation_error
from airflow_provider_omics.emulator.paging import cut_page, start_of_page
from airflow_provider_omics.emulator.region import Region
from airflow_provider_omics.emulator.run_settings import (
    ParametersFileError,
    check_common_settings,
    check_output_uri,
    check_parameters,
    make_room,
    read_parameters,
)
from airflow_provider_omics.emulator.store import Batch, Entry, Run, Workflow, to_datetime
from airflow_provider_omics.emulator.tags import check_tags

INVALID_RUN_PARAMETERS = "INVALID_RUN_PARAMETERS"
LOG_GROUP = "/aws/omics/WorkflowLog"
#: GetRun gives these back as they were asked for; absent ones stay absent.
_ECHOED = (
    "cacheId",
    "roleArn",
    "runGroupId",
    "priority",
    "logLevel",
    "retentionMode",
    "workflowOwnerId",
    "workflowVersionName",
    "networkingMode",
    "requesterPaysEnabled",
    "scratchStorageMode",
    "sessionPolicy",
)
#: A duplicate takes all from the run that it duplicates but these.
_NOT_DUPLICATED = ("requestId", "runId", "tags")


def start_run(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """StartRun: a new run, or a duplicate of an old one."""
    settings = dict(request)
    if "parameters" in request and "parametersUri" in request:
        raise validation_error("Specify either parameters or parametersUri, not both.")
    if "runId" in request:
        settings = {**_settings_to_duplicate(find(region, request["runId"]), request), **request}
    elif "workflowId" not in request:
        raise validation_error("Give workflowId, or runId to duplicate a run.")
    workflow = check_common_settings(region, settings)
    if "parametersUri" not in settings:
        check_parameters(region, workflow, settings.get("parameters"))
    tags = check_tags(settings.get("tags"))
    run = create(region, workflow, settings, tags)
    run.source_run_id = request.get("runId")
    answer = {
        "arn": region.arn(f"run/{run.id}"),
        "id": run.id,
        "status": run.status,
        "tags": dict(run.tags),
        "uuid": run.uuid,
        "runOutputUri": run.run_output_uri,
        **_configuration(region, run),
    }
    if "networkingMode" in settings:
        answer["networkingMode"] = settings["networkingMode"]
    return answer


def create(
    region: Region,
    workflow: Workflow,
    settings: dict[str, Any],
    tags: dict[str, str],
    batch: Batch | None = None,
    entry: Entry | None = None,
) -> Run:
    """
    Create a run whose settings were checked, unless the scenario lets its submission fail.

    :param region: Where.
    :param workflow: Of what, as found.
    :param settings: The request of StartRun, or the defaultRunSetting of ``batch``.
    :param tags: The run's tags.
    :param batch: The batch that it belongs to.
    :param entry: Its entry of that batch.
    :return: The run, PENDING.
    :raises ServiceError: As the scenario says; ServiceQuotaExceededException when no more run can be stored.
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
    make_room(region)
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
    )
    lifecycle.begin(region, run)
    return run


def get_run(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetRun."""
    run = find(region, request["id"])
    workflow = run.workflow
    answer: dict[str, Any] = {key: run.setting(key) for key in _ECHOED}
    answer |= {
        **_describe(region, run),
        "workflowType": workflow.type,
        "workflowUuid": workflow.uuid,
        "digest": workflows.digest(workflow),
        "runId": run.source_run_id,
        **_parameters(region, run),
        "outputUri": run.output_uri,
        "outputUriPrefixMode": run.setting("outputUriPrefixMode") or "SERVICE_DEFINED",
        "runOutputUri": run.run_output_uri,
        "startedBy": f"arn:aws:iam::{region.account}:user/emulator",
        "statusMessage": run.status_message,
        "failureReason": run.failure_reason,
        "tags": dict(run.tags),
        "accelerators": workflow.details.get("accelerators"),
        "uuid": run.uuid,
        "batchId": None if run.batch is None else run.batch.id,
        "cacheBehavior": _cache_behavior(region, run),
        **_configuration(region, run),
    }
    if "DEFINITION" in request.get("export", ()):
        default = f"s3://omics-workflows-{workflow.id}/definition.zip"
        answer["definition"] = workflow.details.get("definition", default)
    if workflow.engine == "NEXTFLOW":
        # Nextflow alone has these two (User Guide, "Starting a run"; GetRun's text on engineVersion).
        answer["engineSettings"] = run.setting("engineSettings")
        answer["engineVersion"] = engine_version(run)
    if run.starting is not None and run.setting("logLevel") != "OFF":
        answer["logLocation"] = {
            "engineLogStream": log_stream_arn(region, f"run/{run.id}/engine"),
            "runLogStream": log_stream_arn(region, f"run/{run.id}"),
        }
    return {key: value for key, value in answer.items() if value is not None}


def cancel_run(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CancelRun."""
    run = find(region, request["id"])
    if run.status not in statuses.RUN_CANCELLABLE:
        raise conflict(f"Run {run.id} cannot be cancelled: it is {run.status}.")
    lifecycle.cancel(region, run)
    return {}


def delete_run(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteRun."""
    run = find(region, request["id"])
    if run.status not in statuses.RUN_DELETABLE:
        raise conflict(f"Run {run.id} cannot be deleted: it is {run.status}.")
    lifecycle.delete(region, run)
    return {}


def list_runs(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListRuns, oldest first. AWS does not document the order."""
    batch_id, status = request.get("batchId"), request.get("status")
    if region.scenario.list_runs_refuses_batch_and_status and batch_id is not None and status is not None:
        raise validation_error("Only one filter is supported: batchId or status.")
    start = start_of_page("runs", request.get("startingToken"))
    size = min(request.get("maxResults", 100), region.limits.page_size)
    page, token = cut_page("runs", _listed(region, request, start), lambda run: run.sequence, size)
    items = []
    for run in page:
        item = _describe(region, run)
        item["priority"] = run.setting("priority")
        item["workflowName"] = run.workflow.name or None
        item["workflowVersionName"] = run.setting("workflowVersionName")
        if run.batch is not None:
            item["batchId"] = run.batch.id
        items.append({key: value for key, value in item.items() if value is not None})
    return {"items": items, **token}


def find(region: Region, run_id: str) -> Run:
    """
    Find a run.

    :raises ServiceError: ResourceNotFoundException.
    """
    run = region.runs.get(run_id)
    if run is None:
        raise not_found("Run", run_id)
    return run


def log_stream_arn(region: Region, stream: str) -> str:
    """Make the ARN of a log stream of the runs' group."""
    return f"arn:aws:logs:{region.name}:{region.account}:log-group:{LOG_GROUP}:log-stream:{stream}"


def engine_version(run: Run) -> str:
    """Tell the Nextflow version of a run: as it asks in engineSettings, else a current one."""
    asked = str((run.setting("engineSettings") or {}).get("engineVersion", "25.10"))
    return asked if asked.count(".") > 1 else f"{asked}.0"


def _parameters(region: Region, run: Run) -> dict[str, Any]:
    """Answer as GetRun documents it: parametersUri as given until there is a copy, then a presigned URL of that."""
    uri = run.setting("parametersUri")
    if uri is None:
        return {"parameters": run.parameters}
    if run.file_parameters is None or run.status == statuses.PENDING:
        return {"parametersUri": uri}
    # Looser than AWS: nothing answers there, and the signature is made up; as there, it differs from time to time.
    signature = hashlib.sha256(f"{run.uuid} {region.now}".encode()).hexdigest()
    host = f"omics-run-parameters.s3.{region.name}.amazonaws.com"
    return {"parametersUri": f"https://{host}/{run.uuid}.json?X-Amz-Expires=3600&X-Amz-Signature={signature}"}


def _settings_to_duplicate(source: Run, request: dict[str, Any]) -> dict[str, Any]:
    settings = dict(source.settings)
    if source.entry is not None:
        settings |= source.entry.setting
        settings.pop("runSettingId")
        settings["parameters"] = source.parameters
    for key in (*_NOT_DUPLICATED, "runTags", "outputBucketOwnerId"):
        settings.pop(key, None)
    if "parameters" in request or "parametersUri" in request:
        for key in ("parameters", "parametersUri"):
            settings.pop(key, None)
    return {key: value for key, value in settings.items() if value is not None}


def _listed(region: Region, request: dict[str, Any], start: int) -> Iterator[Run]:
    name, status = request.get("name"), request.get("status")
    group_id, batch_id = request.get("runGroupId"), request.get("batchId")
    newest = region.now - region.scenario.list_lag
    candidates: Iterator[Run]
    if name is not None:
        named = region.runs_by_name.get(name, {})
        candidates = (run for sequence, run in named.items() if sequence > start)
    elif batch_id is not None:
        batch = region.batches.get(batch_id)
        candidates = iter(()) if batch is None else batch.runs.after(start, status)
    elif group_id is not None:
        group = region.groups.get(group_id)
        candidates = iter(()) if group is None else group.runs.after(start, status)
    else:
        candidates = region.run_index.after(start, status)
    for run in candidates:
        if run.created > newest:
            break
        if (
            (status is None or run.status == status)
            and (batch_id is None or (run.batch is not None and run.batch.id == batch_id))
            and (group_id is None or run.setting("runGroupId") == group_id)
        ):
            yield run


def _describe(region: Region, run: Run) -> dict[str, Any]:
    answer = {
        "arn": region.arn(f"run/{run.id}"),
        "id": run.id,
        "status": run.status,
        "workflowId": run.workflow.id,
        "name": run.name,
        "storageType": run.storage_type,
        "storageCapacity": _storage_capacity(run),
        "creationTime": to_datetime(run.created),
    }
    # When AWS sets startTime is not documented: here when the run enters RUNNING.
    if run.started is not None:
        answer["startTime"] = to_datetime(run.started)
    if run.stopped is not None:
        answer["stopTime"] = to_datetime(run.stopped)
    return answer


def _storage_capacity(run: Run) -> int | None:
    if run.storage_type == "DYNAMIC":
        # The most that was used; missing for runs under two hours (User Guide, "Run storage types").
        long = run.started is not None and run.stopped is not None and run.stopped - run.started >= 7200
        return 64 if long else None
    asked = run.setting("storageCapacity") or run.workflow.details.get("storageCapacity") or 1200
    # 1,200 GiB or a multiple of 2,400, rounded up.
    return 1200 if asked <= 1200 else -(-int(asked) // 2400) * 2400


def _cache_behavior(region: Region, run: Run) -> str | None:
    cache = region.caches.get(run.setting("cacheId") or "")
    behavior: str | None = run.setting("cacheBehavior")
    return behavior or (None if cache is None else cache.settings["cacheBehavior"])


def _configuration(region: Region, run: Run) -> dict[str, Any]:
    name = run.setting("configurationName")
    if name is None:
        return {}
    # Looser than AWS: configurations are not emulated, so each name is one that exists.
    arn = region.arn(f"configuration/{name}")
    return {"configuration": {"name": name, "arn": arn, "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, arn))}}
