"""The workflows that runs can be started from: declared by the scenario, or created by a call."""

from __future__ import annotations

import uuid

from airflow_provider_omics.emulator.definitions import reading
from airflow_provider_omics.emulator.definitions.invented import invent
from airflow_provider_omics.emulator.definitions.template import Template
from airflow_provider_omics.emulator.errors import not_found
from airflow_provider_omics.emulator.life.records import Workflow
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.script.scenario import DeclaredWorkflow


def declare(region: Region) -> None:
    """Add the workflows of the region's scenario; one with the id of an existing workflow replaces it."""
    for declared in region.scenario.workflows:
        workflow = _from_declaration(region, declared)
        workflow.versions = {name: _declared_version(region, workflow, name) for name in declared.versions}
        region.workflows[declared.id] = workflow


def find(
    region: Region, workflow_id: str, *, type: str = "PRIVATE", owner: str | None = None, version: str | None = None
) -> Workflow:
    """Find a workflow, or one of its versions.

    :param region: the region of the caller.
    :param workflow_id: id of the workflow.
    :param type: PRIVATE or READY2RUN.
    :param owner: account that shares the workflow; None, or the caller's account, for the caller's own.
    :param version: name of a version; None for the workflow itself.
    :raises ServiceError: ResourceNotFoundException.
    """
    workflow = region.workflows.get(workflow_id)
    if workflow is None and region.scenario.accept_unknown_workflows:
        declared = DeclaredWorkflow(id=workflow_id, name=f"workflow-{workflow_id}", type=type, owner=owner)
        workflow = region.workflows[workflow_id] = _from_declaration(region, declared)
    owner = None if owner == region.account else owner
    if workflow is None or workflow.type != type or workflow.owner != owner:
        raise not_found("Workflow", workflow_id)
    if version is None:
        return workflow
    if version not in workflow.versions and region.scenario.accept_unknown_workflows:
        workflow.versions[version] = _declared_version(region, workflow, version)
    if version not in workflow.versions:
        raise not_found("Workflow version", f"{workflow_id}/{version}")
    return workflow.versions[version]


def export_definition(region: Region, workflow: Workflow) -> str | None:
    """Put the definition of a workflow where it can be fetched from.

    :param region: the region of the caller.
    :param workflow: the workflow, or one of its versions.
    :return: a presigned URL; None where the emulator does not have the definition.
    """
    if workflow.definition is None:
        return None
    return region.surroundings.publish(f"{workflow.uuid}.zip", workflow.definition)


def _from_declaration(region: Region, declared: DeclaredWorkflow) -> Workflow:
    # READY2RUN workflows belong to no account; the others to their owner.
    account = "" if declared.type == "READY2RUN" else declared.owner or region.account
    arn = f"arn:aws:omics:{region.name}:{account}:workflow/{declared.id}"
    template: Template | None = None
    if declared.parameter_template is not None:
        template = {
            name: {"optional": entry.optional}
            | ({"description": entry.description} if entry.description is not None else {})
            for name, entry in declared.parameter_template.items()
        }
    definition = invent(declared.engine, declared.name, template)
    workflow = Workflow(
        id=declared.id,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, arn)),
        arn=arn,
        name=declared.name,
        type=declared.type,
        engine=declared.engine,
        status=declared.status,
        created=region.now,
        owner=None if declared.owner == region.account else declared.owner,
        storage_type=declared.storage_type,
        definition=definition,
        digest=reading.digest(definition),
        details={"main": reading.main_of(declared.engine)} | ({"accelerators": "GPU"} if declared.gpu else {}),
    )
    workflow.set_template(template)
    return workflow


def _declared_version(region: Region, workflow: Workflow, name: str) -> Workflow:
    arn = f"{workflow.arn}/version/{name}"
    definition = invent(workflow.engine, f"{workflow.name} {name}", workflow.parameter_template)
    version = Workflow(
        id=workflow.id,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, arn)),
        arn=arn,
        name=workflow.name,
        type=workflow.type,
        engine=workflow.engine,
        status=workflow.status,
        created=region.now,
        owner=workflow.owner,
        version_name=name,
        storage_type=workflow.storage_type,
        definition=definition,
        digest=reading.digest(definition),
        parent_uuid=workflow.uuid,
        details=dict(workflow.details),
    )
    version.set_template(workflow.parameter_template)
    return version
