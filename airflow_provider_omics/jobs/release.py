"""The release of a workflow: found, or created, and ACTIVE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow.providers.common.compat.sdk import Context, TaskDeferred

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.errors import Conflict, NotFound, OmicsError, Problem, SettingsError
from airflow_provider_omics.core.release.definition import LARGEST_REQUEST
from airflow_provider_omics.core.release.found import (
    CREATING,
    ambiguous,
    check_version,
    failed,
    leftovers,
    usable,
)
from airflow_provider_omics.core.release.requests import DIGEST_TAG, FIELDS, Release, read_settings
from airflow_provider_omics.core.settings.arguments import WAIT_ARGUMENTS, read_arguments
from airflow_provider_omics.exceptions import task_error
from airflow_provider_omics.hooks.driver import pause
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.jobs.definition import LONGEST_URI, Definition, check_wdl, read_definition
from airflow_provider_omics.jobs.stores import deployment
from airflow_provider_omics.triggers.workflow import OmicsWorkflowTrigger
from airflow_provider_omics.waiting.interrupts import time_out_in_turn

_PATIENCE = 300.0
"""Seconds for which calls that fail are made again before the task fails: nothing is waited for meanwhile."""

Wait = Callable[[str, "str | None"], None]
"""Waits for a moment: given the workflow's id and, unless None, the version's name."""


def release_workflow(task: Any, hook: OmicsHook, context: Context, awaited: Mapping[str, Any] | None) -> dict[str, Any]:
    """Carry out a task that releases a workflow; nothing is lost when it ends anywhere, as it looks anew each time.

    :param task: the operator, rendered; only its arguments are read.
    :param hook: makes the calls.
    :param context: Airflow's context of the task.
    :param awaited: the creation that this try has waited for in the triggerer; None: none.
    :return: the task's result.
    :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
    :raises TaskDeferred: the wait goes on in the triggerer.
    """
    time_out_in_turn()
    given = {"deferrable": task.deferrable, "poll_interval": task.poll_interval}
    read, problems = read_arguments(given, WAIT_ARGUMENTS)

    def wait(workflow_id: str, version: str | None) -> None:
        if not read["deferrable"]:
            pause(read["poll_interval"])
            return
        trigger = OmicsWorkflowTrigger(
            workflow_id,
            version,
            poll_interval=read["poll_interval"],
            aws_conn_id=task.aws_conn_id,
            region_name=task.region_name,
            verify=task.verify,
            botocore_config=task.botocore_config,
        )
        carried = {"workflow_id": workflow_id, "version_name": version}
        raise TaskDeferred(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"awaited": carried, "try_number": context["ti"].try_number},
            timeout=task.execution_timeout,
        )

    releaser = Releaser(hook, task.log, wait, TaskIdentity.of(context["ti"], deployment()).digest())
    try:
        if problems:
            raise SettingsError(problems)
        if awaited is not None:
            releaser.check_awaited(awaited["workflow_id"], awaited["version_name"])
        arguments = {argument: getattr(task, argument) for argument in FIELDS}
        return releaser.release(task.name, task.definition, task.version, arguments, task.staging_s3_uri)
    except OmicsError as error:
        raise task_error(error, task.log, policy=getattr(task, "retry_policy", None)) from None


@dataclass(eq=False)
class Releaser:
    """Brings a definition to HealthOmics once, whoever else does the same at the same time.

    It asks what is there, and adds what is missing; so it may be ended at any moment and begun again.

    :param hook: makes the calls.
    :param log: takes a line for each thing done.
    :param wait: waits for a moment while HealthOmics creates what was asked for.
    :param maker: digest of who releases: by it a later try knows what an earlier one has created.
    """

    hook: OmicsHook
    log: Any
    wait: Wait
    maker: str

    def __post_init__(self) -> None:
        self._make = Repeats(self.hook, self.log, _PATIENCE).make

    def release(
        self,
        name: str,
        definition: Any,
        version: str | None,
        arguments: Mapping[str, Any],
        staging_s3_uri: str | None = None,
    ) -> dict[str, Any]:
        """Make sure that a workflow of this name has a version with this definition.

        :param name: name of the workflow.
        :param definition: a folder, a zip archive, an S3 URI of one, or ``definitionRepository`` as AWS spells it.
        :param version: name of the version; None: any that has this definition, else one named by its digest.
        :param arguments: :data:`~airflow_provider_omics.core.release.requests.FIELDS` by argument; None: not given.
        :param staging_s3_uri: where a large archive is put; None: the connection's.
        :return: ``workflow_id, workflow_name, workflow_version_name, digest, source_digest, created, not_checked``.
        :raises SettingsError: bad input, an ambiguous name, or a version that has another definition.
        :raises WorkflowFailed: HealthOmics could not create the workflow or the version.
        :raises ServiceError: a call was refused, or did not get through.
        """
        settings = read_settings(name, version or None, {argument: arguments.get(argument) for argument in FIELDS})
        read = read_definition(definition, lambda: S3Store(self.hook))
        not_checked = check_wdl(read, settings.get("engine"), settings.get("main"))
        if not_checked:
            self.log.info("Not checked before it is sent: %s", not_checked)
        release = Release(name, version or None, settings, read.digest, self.maker, read.commit)
        # Packed, and put into S3, only where something has to be created.
        source = partial(self._source, read, staging_s3_uri or self.hook.defaults.staging_s3_uri)
        workflow_id = self._workflow(release, source)
        found = self._version(release, source, workflow_id)
        return {
            "workflow_id": workflow_id,
            "workflow_name": name,
            "workflow_version_name": found["versionName"],
            "digest": found.get("digest"),
            "source_digest": release.digest,
            "created": release.has_made(found),
            "not_checked": not_checked,
        }

    def check_awaited(self, workflow_id: str, version: str | None) -> None:
        """Look at a creation that was waited for: one that is FAILED would otherwise be made anew, for ever.

        :param workflow_id: id of the workflow.
        :param version: name of the version; None: the workflow itself.
        :raises WorkflowFailed: HealthOmics could not create it.
        """
        found = self._look(workflow_id, version)
        if found is not None and found["status"] == "FAILED":
            raise failed(found)

    def _source(self, read: Definition, place: str | None) -> Mapping[str, Any]:
        """Return the member with the definition; a large archive is put into S3 first, under its digest."""
        if read.source is not None:
            return read.source
        body = read.archive()
        if len(body) <= LARGEST_REQUEST:
            return {"definitionZip": body}
        size = f"{len(body):,} bytes packed"
        if place is None:
            allowed = f"at most {LARGEST_REQUEST:,} without staging_s3_uri, here or in the connection"
            raise SettingsError([Problem("definition", size, allowed)])
        uri = f"{place.rstrip('/')}/definitions/{read.digest}.zip"
        if len(uri) > LONGEST_URI:
            raise SettingsError([Problem("staging_s3_uri", place, f"a place with less than {LONGEST_URI - 82} bytes")])
        store, key = S3Store(self.hook), self.hook.defaults.staging_kms_key_id
        self._make(lambda: store.put(S3Place(uri, key), body, content_type="application/zip"))
        self.log.info("The definition has %s: put at %s", size, uri)
        return {"definitionUri": uri}

    def _workflow(self, release: Release, source: Callable[[], Mapping[str, Any]]) -> str:
        """Find the workflow of the name, or create it: of several made at once, the oldest stays."""
        listed = self._listed(release.name)
        mine: Mapping[str, Any] = {}
        if not usable(listed):
            request = release.workflow_request(source(), sum(item["status"] == "FAILED" for item in listed))
            try:
                made: Mapping[str, Any] = self._make(lambda: self.hook.create_workflow(request))
            except Conflict:  # another task has sent the same id with other tags
                listed = self._listed(release.name)
                if not usable(listed):
                    raise
            else:
                self.log.info("Creating workflow %s, %s", made["id"], release.name)
                mine = self._settled(made["id"], None)
                listed = self._listed(release.name)
        workflows = [self._settled(item["id"], None) for item in usable(listed)]
        if mine and mine["id"] not in [workflow["id"] for workflow in workflows]:
            workflows.append(mine)  # a list may lag behind
        active = [workflow for workflow in workflows if workflow["status"] == "ACTIVE"]
        if not active:
            raise failed(workflows[0])
        if len(active) > 1:
            active = self._alone(release, active)
        return str(active[0]["id"])

    def _alone(self, release: Release, active: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Delete what another release of the same name has overtaken, before anybody has used it."""
        versions = {
            workflow["id"]: len(self._versions(workflow["id"]))
            for workflow in active[1:]
            if DIGEST_TAG in workflow.get("tags", {})
        }
        over = leftovers(active, versions)
        kept = [workflow for workflow in active if workflow["id"] not in over]
        if len(kept) > 1:
            raise ambiguous(release.name, kept)
        for workflow_id in over:
            try:
                self._make(partial(self.hook.delete_workflow, workflow_id))
            except NotFound:
                continue
            self.log.info("Deleted workflow %s: another task has created %s", workflow_id, kept[0]["id"])
        return kept

    def _listed(self, name: str) -> list[Mapping[str, Any]]:
        return self._make(lambda: [item for item in self.hook.list_workflows(name=name) if item.get("name") == name])

    def _versions(self, workflow_id: str) -> list[Mapping[str, Any]]:
        return self._make(lambda: [*self.hook.list_workflow_versions(workflow_id)])

    def _version(
        self, release: Release, source: Callable[[], Mapping[str, Any]], workflow_id: str
    ) -> Mapping[str, Any]:
        """Find the version with the definition, or create it; a name is taken once."""
        found = self._found(release, workflow_id)
        if isinstance(found, str):
            request = release.version_request(source(), workflow_id, found)
            try:
                self._make(lambda: self.hook.create_workflow_version(request))
            except Conflict:  # another task was faster
                there = self._look(workflow_id, found)
                if there is None:
                    raise
                check_version(release, there)
            else:
                self.log.info("Creating version %s of workflow %s", found, workflow_id)
            version = found
        else:
            check_version(release, found)
            version = found["versionName"]
            if not release.has_made(found):
                self.log.info("Version %s of workflow %s has this definition already", version, workflow_id)
        settled = self._settled(workflow_id, version)
        if settled["status"] != "ACTIVE":
            raise failed(settled)
        return settled

    def _found(self, release: Release, workflow_id: str) -> Mapping[str, Any] | str:
        """Look for the version; where there is none, return the name that it gets."""
        there = self._look(workflow_id, release.version_name())
        if there is not None and (release.version is not None or there["status"] in ("ACTIVE", *CREATING)):
            return there
        if release.version is not None:
            return release.version
        listed = self._versions(workflow_id)
        for item in usable(listed):
            found = self._look(workflow_id, item["versionName"])
            if found is not None and found.get("tags", {}).get(DIGEST_TAG) == release.digest:
                return found
        names = {item["versionName"] for item in listed}
        count = 0
        while release.version_name(count) in names:  # those are FAILED
            count += 1
        return release.version_name(count)

    def _look(self, workflow_id: str, version: str | None) -> Mapping[str, Any] | None:
        def look() -> Mapping[str, Any]:
            if version is None:
                return self.hook.get_workflow(workflow_id)
            return self.hook.get_workflow_version(workflow_id, version)

        try:
            return self._make(look)
        except NotFound:
            return None

    def _settled(self, workflow_id: str, version: str | None) -> Mapping[str, Any]:
        """Wait until HealthOmics has created a workflow or a version, or could not."""
        while True:
            found = self._look(workflow_id, version)
            if found is None:
                return {"id": workflow_id, "versionName": version, "status": "DELETED"}
            if found["status"] not in CREATING:
                return found
            self.wait(workflow_id, version)
