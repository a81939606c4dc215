"""The operations on workflows and their versions."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.api.paging import cut_page, start_of_page
from airflow_provider_omics.emulator.api.tags import check_tags
from airflow_provider_omics.emulator.definitions import reading
from airflow_provider_omics.emulator.definitions.archive import DefinitionError
from airflow_provider_omics.emulator.errors import conflict, quota_exceeded, validation_error
from airflow_provider_omics.emulator.life.batch_settings import split_uri
from airflow_provider_omics.emulator.life.catalog import export_definition, find
from airflow_provider_omics.emulator.life.records import Workflow, to_datetime
from airflow_provider_omics.emulator.life.region import Region

_SOURCES = ("definitionZip", "definitionUri", "definitionRepository")
_UPDATABLE = ("description", "storageCapacity")
_KEPT = (
    "description",
    "main",
    "accelerators",
    "storageCapacity",
    "containerRegistryMap",
    "readmePath",
    "workflowBucketOwnerId",
)


def create_workflow(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CreateWorkflow."""
    own = sum(workflow.type == "PRIVATE" and workflow.owner is None for workflow in region.workflows.values())
    if own >= region.limits.workflows:
        raise quota_exceeded(f"The quota of {region.limits.workflows} workflows is reached.")
    _check_source(region, request)
    workflow_id = region.next_id("workflow")
    while workflow_id in region.workflows:
        workflow_id = region.next_id("workflow")
    workflow = _create(region, request, workflow_id, region.arn(f"workflow/{workflow_id}"), request.get("name", ""))
    region.workflows[workflow_id] = workflow
    return _created(workflow, {"id": workflow.id})


def get_workflow(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetWorkflow."""
    workflow = find(region, request["id"], type=request.get("type", "PRIVATE"), owner=request.get("workflowOwnerId"))
    answer = {"id": workflow.id, "name": workflow.name, **_describe(region, workflow, request.get("export", ()))}
    # The model has it for versions alone.
    answer.pop("workflowBucketOwnerId", None)
    return {key: value for key, value in answer.items() if value not in (None, "")}


def update_workflow(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateWorkflow."""
    workflow = find(region, request["id"])
    workflow.name = request.get("name", workflow.name)
    _update(workflow, request)
    return {}


def delete_workflow(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteWorkflow. Runs that it has started go on."""
    workflow = find(region, request["id"])
    del region.workflows[workflow.id]
    region.announce(workflow, statuses.DELETED)
    return {}


def list_workflows(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListWorkflows: private ones unless ``type`` says otherwise; those that others share are in ListShares alone."""
    kind, name = request.get("type", "PRIVATE"), request.get("name")
    listed = [
        workflow
        for workflow in region.workflows.values()
        if workflow.type == kind and workflow.owner is None and (name is None or workflow.name == name)
    ]
    numbered = sorted((int(workflow.id), workflow) for workflow in listed)
    return _list(region, f"workflows/{kind}", numbered, request, ("id", "name"))


def create_workflow_version(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CreateWorkflowVersion."""
    workflow = find(region, request["workflowId"])
    name = request["versionName"]
    if name in workflow.versions:
        raise conflict(f"Workflow {workflow.id} has a version {name} already.")
    if len(workflow.versions) >= region.limits.versions_per_workflow:
        raise quota_exceeded(f"The quota of {region.limits.versions_per_workflow} versions per workflow is reached.")
    _check_source(region, request)
    version = _create(region, request, workflow.id, f"{workflow.arn}/version/{name}", workflow.name)
    version.version_name, version.parent_uuid = name, workflow.uuid
    workflow.versions[name] = version
    return _created(version, {"workflowId": workflow.id, "versionName": name})


def get_workflow_version(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetWorkflowVersion."""
    version = find(
        region,
        request["workflowId"],
        type=request.get("type", "PRIVATE"),
        owner=request.get("workflowOwnerId"),
        version=request["versionName"],
    )
    answer = {
        "workflowId": version.id,
        "versionName": version.version_name,
        **_describe(region, version, request.get("export", ())),
    }
    return {key: value for key, value in answer.items() if value is not None}


def update_workflow_version(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateWorkflowVersion."""
    _update(find(region, request["workflowId"], version=request["versionName"]), request)
    return {}


def delete_workflow_version(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteWorkflowVersion."""
    find(region, request["workflowId"], version=request["versionName"])
    del region.workflows[request["workflowId"]].versions[request["versionName"]]
    return {}


def list_workflow_versions(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListWorkflowVersions."""
    workflow = find(
        region, request["workflowId"], type=request.get("type", "PRIVATE"), owner=request.get("workflowOwnerId")
    )
    numbered = enumerate(workflow.versions.values())
    return _list(region, f"versions/{workflow.id}", numbered, request, ("workflowId", "versionName", "description"))


def _check_source(region: Region, request: dict[str, Any]) -> None:
    given = [name for name in _SOURCES if name in request]
    if len(given) != 1:
        raise validation_error(f"Give exactly one of {', '.join(_SOURCES)}; given: {', '.join(given) or 'none'}.")
    size, largest = len(request.get("definitionZip", b"")), region.limits.definition_zip_bytes
    if size > largest:
        # User Guide, "Creating a workflow": 4.4 MB; a larger definition comes from S3.
        raise validation_error(f"definitionZip has {size} bytes; up to {largest} are allowed: use definitionUri.")
    if "definitionUri" in request and split_uri(request["definitionUri"]) is None:
        raise validation_error(f"Invalid definitionUri: {request['definitionUri']}. It must be s3://bucket/key.")


def _create(region: Region, request: dict[str, Any], workflow_id: str, arn: str, name: str) -> Workflow:
    workflow = Workflow(
        id=workflow_id,
        uuid=region.next_uuid(),
        arn=arn,
        name=name,
        type="PRIVATE",
        engine=request.get("engine", "NEXTFLOW"),
        status=statuses.CREATING,
        created=region.now,
        storage_type=request.get("storageType"),
        details={key: request[key] for key in _KEPT if key in request},
        tags=check_tags(request.get("tags")),
    )
    if "readmeMarkdown" in request:
        workflow.details["readme"] = request["readmeMarkdown"]
    elif "readmeUri" in request:
        workflow.details["readme"] = (_read(region, request["readmeUri"]) or b"").decode(errors="replace")
    workflow.set_template(request.get("parameterTemplate"))
    problem = _define(region, workflow, request)
    region.announce(workflow, workflow.status)
    # AWS reads the definition after it has answered; here it is read at once, so that a later change does not count.
    delay = region.scenario.workflow_creation.seconds
    region.schedule(delay, _finish_creating if problem is None else partial(_fail_creating, problem), workflow)
    return workflow


def _define(region: Region, workflow: Workflow, request: dict[str, Any]) -> str | None:
    """Read the definition of a new workflow.

    :return: the problem that it has, for the statusMessage; None: it has none that the emulator can find.
    """
    workflow.digest = reading.digest(workflow.uuid.encode())
    if "definitionRepository" in request:
        repository = request["definitionRepository"]
        kept = ("connectionArn", "fullRepositoryId", "sourceReference")
        workflow.details["definitionRepositoryDetails"] = {key: repository[key] for key in kept if key in repository}
        workflow.status_message = "Not checked: the emulator reaches no code repository"
        return None
    uri = request.get("definitionUri")
    body = request["definitionZip"] if uri is None else _read(region, uri)
    if body is None and uri is not None and region.scenario.has_place(uri):
        workflow.status_message = f"Not checked: the scenario says that {uri} exists"
        return None
    if body is None:
        return f"The workflow definition {uri} does not exist, or cannot be read"
    workflow.definition, workflow.digest = body, reading.digest(body)
    try:
        definition = reading.read(body, engine=request.get("engine"), main=request.get("main"))
    except DefinitionError as error:
        return str(error)
    workflow.engine, workflow.status_message = definition.engine, definition.unchecked
    workflow.details["main"] = definition.main
    if "parameterTemplate" not in request:
        workflow.set_template(definition.template)
    return None


def _read(region: Region, uri: str) -> bytes | None:
    stored = region.surroundings.read_object(region.account, region.name, *(split_uri(uri) or ("", "")))
    return None if stored is None else stored.body


def _finish_creating(region: Region, workflow: Workflow) -> None:
    for pattern, message in region.scenario.workflow_creation.failures.items():
        if fnmatchcase(workflow.name, pattern):
            _fail_creating(message, region, workflow)
            return
    workflow.status = statuses.ACTIVE
    region.announce(workflow, workflow.status)


def _fail_creating(message: str, region: Region, workflow: Workflow) -> None:
    workflow.status, workflow.status_message = statuses.FAILED, message
    region.announce(workflow, workflow.status)


def _created(workflow: Workflow, ids: dict[str, str]) -> dict[str, Any]:
    return {
        "arn": workflow.arn,
        "status": workflow.status,
        "tags": dict(workflow.tags),
        "uuid": workflow.uuid,
        **ids,
    }


def _describe(region: Region, workflow: Workflow, export: Iterable[str]) -> dict[str, Any]:
    details = dict(workflow.details)
    readme = details.pop("readme", None)
    if "README" in export and readme is not None:
        details["readme"] = region.surroundings.publish(f"{workflow.uuid}.md", readme.encode())
    if "DEFINITION" in export:
        details["definition"] = export_definition(region, workflow)
    return {
        "arn": workflow.arn,
        "status": workflow.status,
        "statusMessage": workflow.status_message,
        "type": workflow.type,
        "engine": workflow.engine,
        "digest": workflow.digest,
        # None of its own where a workflow takes no parameters: the model wants one entry at least.
        "parameterTemplate": workflow.parameter_template or None,
        "creationTime": to_datetime(workflow.created),
        "tags": dict(workflow.tags),
        "storageType": workflow.storage_type,
        "uuid": workflow.uuid,
        **details,
    }


def _update(workflow: Workflow, request: dict[str, Any]) -> None:
    workflow.storage_type = request.get("storageType", workflow.storage_type)
    workflow.details.update({key: request[key] for key in _UPDATABLE if key in request})


def _list(
    region: Region,
    list_name: str,
    numbered: Iterable[tuple[int, Workflow]],
    request: dict[str, Any],
    keys: tuple[str, ...],
) -> dict[str, Any]:
    start = start_of_page(list_name, request.get("startingToken"))
    size = min(request.get("maxResults", 100), region.limits.page_size)
    rest = (item for item in numbered if item[0] > start)
    page, token = cut_page(list_name, rest, lambda item: item[0], size)
    items = []
    for _, workflow in page:
        item = {
            "arn": workflow.arn,
            "id": workflow.id,
            "workflowId": workflow.id,
            "versionName": workflow.version_name,
            "name": workflow.name,
            "description": workflow.details.get("description"),
        }
        item = {key: item[key] for key in keys if item[key] not in (None, "")}
        item |= {
            "arn": workflow.arn,
            "status": workflow.status,
            "type": workflow.type,
            "digest": workflow.digest,
            "creationTime": to_datetime(workflow.created),
        }
        items.append(item)
    return {"items": items, **token}
