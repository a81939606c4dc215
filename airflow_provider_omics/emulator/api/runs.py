"""The operations on runs and their tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.api.paging import cut_page, start_of_page
from airflow_provider_omics.emulator.api.tags import check_tags
from airflow_provider_omics.emulator.errors import conflict, not_found, validation_error
from airflow_provider_omics.emulator.life import catalog, inputs, logs, run_lifecycle, submission, tasks
from airflow_provider_omics.emulator.life.configurations import describe_vpc
from airflow_provider_omics.emulator.life.records import Run, to_datetime
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.life.run_settings import cache_behavior, storage_capacity
from airflow_provider_omics.emulator.life.submission import check_common_settings, check_parameters

#: Members of GetRun's answer that repeat the request; absent ones stay absent.
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
#: Settings that a duplicate does not take from its run.
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
    run = submission.create_run(region, workflow, settings, tags)
    run.source_run_id = request.get("runId")
    answer = {
        "arn": region.arn(f"run/{run.id}"),
        "id": run.id,
        "status": run.status,
        "tags": dict(run.tags),
        "uuid": run.uuid,
        "runOutputUri": run.run_output_uri,
        **_configuration(run),
    }
    if "networkingMode" in settings:
        answer["networkingMode"] = settings["networkingMode"]
    return answer


def get_run(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetRun."""
    run = find(region, request["id"])
    workflow = run.workflow
    answer: dict[str, Any] = {key: run.setting(key) for key in _ECHOED}
    answer |= {
        **_describe(region, run),
        "workflowType": workflow.type,
        "workflowUuid": workflow.parent_uuid or workflow.uuid,
        "digest": workflow.digest,
        "runId": run.source_run_id,
        **_parameters(region, run),
        "outputUri": run.output_uri,
        "outputUriPrefixMode": run.setting("outputUriPrefixMode") or "SERVICE_DEFINED",
        "runOutputUri": run.run_output_uri,
        "startedBy": region.arn_of_caller,
        "statusMessage": run.status_message,
        "failureReason": run.failure_reason,
        "tags": dict(run.tags),
        "accelerators": workflow.details.get("accelerators"),
        "uuid": run.uuid,
        "batchId": None if run.batch is None else run.batch.id,
        "cacheBehavior": cache_behavior(region, run),
        "resourceDigests": inputs.resource_digests(region, run),
        **_configuration(run),
        "vpcConfig": (describe_vpc(run.configuration) or None) if run.configuration is not None else None,
    }
    # API text of GetRun: nothing is exported of a workflow that another account shares.
    if "DEFINITION" in request.get("export", ()) and workflow.owner is None:
        answer["definition"] = catalog.export_definition(region, workflow)
    if workflow.engine == "NEXTFLOW":
        # Nextflow alone has these two (User Guide, "Starting a run"; GetRun's text on engineVersion).
        answer["engineSettings"] = run.setting("engineSettings")
        answer["engineVersion"] = run.engine_version
    streams = {"engineLogStream": f"run/{run.id}/engine", "runLogStream": f"run/{run.id}"}
    written = logs.stream_lines(region, run, with_tasks=False)
    location = {key: logs.log_stream_arn(region, name) for key, name in streams.items() if name in written}
    answer["logLocation"] = location or None
    return {key: value for key, value in answer.items() if value is not None}


def cancel_run(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CancelRun."""
    run = find(region, request["id"])
    if run.status not in statuses.RUN_CANCELLABLE:
        raise conflict(f"Run {run.id} cannot be cancelled: it is {run.status}.")
    run_lifecycle.cancel(region, run)
    return {}


def delete_run(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteRun."""
    run = find(region, request["id"])
    if run.status not in statuses.RUN_DELETABLE:
        raise conflict(f"Run {run.id} cannot be deleted: it is {run.status}.")
    run_lifecycle.delete(region, run)
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


def list_run_tasks(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListRunTasks."""
    run = find(region, request["id"])
    list_name = f"tasks/{run.id}"
    start, status = start_of_page(list_name, request.get("startingToken")), request.get("status")
    started = (
        task
        for task in tasks.tasks_at(run, region.now)
        if int(task.id) > start and (status is None or task.status == status)
    )
    size = min(request.get("maxResults", 100), region.limits.page_size)
    page, token = cut_page(list_name, started, lambda task: int(task.id), size)
    return {"items": [_describe_task(region, run, task) for task in page], **token}


def get_run_task(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetRunTask."""
    run = find(region, request["id"])
    for task in tasks.tasks_at(run, region.now):
        if task.id == request["taskId"]:
            answer = _describe_task(region, run, task)
            stream = f"run/{run.id}/task/{task.id}"
            if logs.has_task_stream(region, run, task):
                answer["logStream"] = logs.log_stream_arn(region, stream)
            image = tasks.image(region, task.rule)
            answer["imageDetails"] = {"image": image, "imageDigest": tasks.image_digest(image)}
            if task.status == statuses.FAILED:
                answer["failureReason"] = task.rule.failure_reason or "RUN_TASK_FAILED"
                answer["statusMessage"] = task.rule.exit_text or "The task ended with exit code 1."
            return answer
    raise not_found("Run task", f"{request['id']}/{request['taskId']}")


def find(region: Region, run_id: str) -> Run:
    """Find a run.

    :raises ServiceError: ResourceNotFoundException.
    """
    run = region.runs.get(run_id)
    if run is None:
        raise not_found("Run", run_id)
    return run


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
        "storageCapacity": storage_capacity(run),
        "creationTime": to_datetime(run.created),
    }
    # When AWS sets startTime is not documented (asked: run-pending): here when the run enters RUNNING.
    if run.started is not None:
        answer["startTime"] = to_datetime(run.started)
    if run.stopped is not None:
        answer["stopTime"] = to_datetime(run.stopped)
    return answer


def _configuration(run: Run) -> dict[str, Any]:
    used = run.configuration
    return {} if used is None else {"configuration": {"name": used.name, "arn": used.arn, "uuid": used.uuid}}


def _describe_task(region: Region, run: Run, task: tasks.Task) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "taskId": task.id,
        "status": task.status,
        "name": task.rule.name,
        "cpus": task.rule.cpus,
        "cacheHit": task.rule.cache_hit,
        "memory": task.rule.memory,
        "creationTime": to_datetime(task.created),
        "gpus": task.rule.gpus,
        "instanceType": tasks.instance_type(task.rule),
        "uuid": task.uuid,
    }
    cache = region.caches.get(run.setting("cacheId") or "")
    if task.rule.cache_hit and cache is not None:
        answer["cacheS3Uri"] = f"{cache.settings['cacheS3Uri']}{run.id}/{task.id}"
    if task.started is not None:
        answer["startTime"] = to_datetime(task.started)
    if task.stopped is not None:
        answer["stopTime"] = to_datetime(task.stopped)
    return answer
