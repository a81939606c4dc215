"""OmicsHook: the calls of the HealthOmics API; nothing else makes any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_omics.core.errors import InvalidRequest
from airflow_provider_omics.core.snapshots import BatchSnapshot, ListedRun, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import ACTIVE_RUN_STATUSES
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.hooks.client import Make, OmicsClientHook, at_once, given_parameters, items_of
from airflow_provider_omics.hooks.service_errors import complete, service_errors

if TYPE_CHECKING:
    from mypy_boto3_omics.type_defs import (
        CreateRunCacheResponseTypeDef,
        CreateRunGroupResponseTypeDef,
        CreateWorkflowResponseTypeDef,
        CreateWorkflowVersionResponseTypeDef,
        GetBatchResponseTypeDef,
        GetRunGroupResponseTypeDef,
        GetRunResponseTypeDef,
        GetRunTaskResponseTypeDef,
        GetWorkflowResponseTypeDef,
        GetWorkflowVersionResponseTypeDef,
        StartRunBatchResponseTypeDef,
        StartRunResponseTypeDef,
    )


_ACTIVE = {status.value for status in ACTIVE_RUN_STATUSES}


class OmicsHook(OmicsClientHook):
    """Call the AWS HealthOmics API.

    Every failed call raises a :class:`~airflow_provider_omics.core.errors.ServiceError`: AccessDenied, NotFound,
    Conflict, QuotaExceeded, InvalidRequest, or Unavailable for errors that may pass by themselves. Arguments are
    snake_case: each method maps them to the API's names.

    :param aws_conn_id: the Airflow connection of type ``aws``; None or empty: boto3's own credential chain.
    :param region_name: AWS Region; default: the connection's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle; default: the connection's.
    :param config: botocore configuration (a dict or a Config); it overrides this hook's own: retry mode ``standard``
        with 10 attempts, and no host-prefix injection if an endpoint URL is set (botocore otherwise calls
        ``workflows-localhost``).
    """

    def look(self, kind: str, resource_id: str) -> Snapshot:
        """Look at a run or a batch.

        :param kind: ``"run"`` or ``"batch"``.
        :param resource_id: its id.
        :return: a snapshot from GetRun or GetBatch.
        :raises ServiceError: the call was refused or did not get through.
        """
        if kind == "run":
            return RunSnapshot.from_response(self.get_run(resource_id))
        return BatchSnapshot.from_response(self.get_batch(resource_id))

    def cancel(self, kind: str, resource_id: str) -> None:
        """Cancel a run or a batch.

        :param kind: ``"run"`` or ``"batch"``.
        :param resource_id: its id.
        :raises Conflict: its status does not allow it.
        :raises ServiceError: the call was refused or did not get through.
        """
        (self.cancel_run if kind == "run" else self.cancel_run_batch)(resource_id)

    def start_run(self, request: Mapping[str, Any]) -> StartRunResponseTypeDef:
        """Start a run, or duplicate one.

        :param request: a StartRun request, made by
            :func:`airflow_provider_omics.core.settings.requests.build_start_run_request`, with its ``requestId``.
        :return: the answer of StartRun: ``id``, ``uuid``, ``arn``, ``status``, ``runOutputUri``, ...
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("StartRun"):
            return self.conn.start_run(**request)

    def get_run(self, run_id: str) -> GetRunResponseTypeDef:
        """Get one run.

        :param run_id: id of the run.
        :return: the answer of GetRun, without ``parametersUri``: a presigned URL, which AWS says to treat as a
            credential (API reference, GetRun). A run that was started with it has no ``parameters`` either.
        :raises NotFound: there is no such run (any more).
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("GetRun"):
            answer = complete("GetRun", self.conn.get_run(id=run_id), "id", "status")
        members: dict[str, Any] = {**answer}
        members.pop("parametersUri", None)
        return cast("GetRunResponseTypeDef", members)

    def cancel_run(self, run_id: str) -> None:
        """Cancel a run; allowed while it is PENDING, STARTING, RUNNING or STOPPING (user guide, "Cancel a run").

        :param run_id: id of the run.
        :raises Conflict: it has already ended.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("CancelRun"):
            self.conn.cancel_run(id=run_id)

    def delete_run(self, run_id: str) -> None:
        """Delete the record of a run that is COMPLETED, FAILED or CANCELLED (API reference, DeleteRun).

        Its outputs and logs stay.

        :param run_id: id of the run.
        :raises Conflict: it has not ended.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("DeleteRun"):
            self.conn.delete_run(id=run_id)

    def list_runs(
        self,
        *,
        name: str | None = None,
        run_group_id: str | None = None,
        batch_id: str | None = None,
        status: str | None = None,
        make: Make = at_once,
    ) -> Iterator[dict[str, Any]]:
        """Iterate over runs, page by page (100 a call).

        :param name: only runs of this name.
        :param run_group_id: only runs of this run group.
        :param batch_id: only runs of this batch.
        :param status: only runs in this status.
        :param make: makes the call for a page; default: once.
        :return: items of ListRuns; they carry neither uuid nor output nor tags.
        :raises ServiceError: a call was refused or did not get through.
        """
        both = batch_id is not None and status is not None
        filters: dict[str, Any] = {"name": name, "runGroupId": run_group_id, "batchId": batch_id}
        try:
            yield from self._items("ListRuns", "items", make, **filters, status=status, maxResults=100)
        except InvalidRequest:
            if not both:
                raise
            # Whether ListRuns takes the two filters together is not documented; if not, one of them is applied here.
            # Few runs of an account are going, and a batch may have 100,000 that have ended.
            if status in _ACTIVE:
                filters, filters_here = {**filters, "batchId": None, "status": status}, {"batchId": batch_id}
            else:
                filters_here = {"status": status}
            for item in self._items("ListRuns", "items", make, **filters, maxResults=100):
                if all(item.get(name) == value for name, value in filters_here.items()):
                    yield item

    def list_runs_page(
        self, status: str, token: str | None = None, *, batch_id: str | None = None, run_group_id: str | None = None
    ) -> tuple[list[ListedRun], str | None]:
        """List one page of the runs in a status, 100 at most.

        :param status: as AWS spells it.
        :param token: from the page before; None: the first page.
        :param batch_id: only runs of this batch; None: all.
        :param run_group_id: only runs of this run group; None: all.
        :return: the runs, and the token of the next page, None after the last.
        :raises ServiceError: the call was refused or did not get through.
        """
        filters = given_parameters(startingToken=token, batchId=batch_id, runGroupId=run_group_id)
        with service_errors("ListRuns"):
            client: Any = self.conn  # the stubs ask for a literal status
            page = client.list_runs(status=status, maxResults=100, **filters)
            runs = [
                ListedRun(
                    item["id"],
                    visible(item["status"]),
                    item.get("creationTime"),
                    item.get("startTime"),
                    item.get("storageType"),
                )
                for item in items_of("ListRuns", page, "items")
            ]
        return runs, page.get("nextToken")

    def active_run_ids(self, batch_id: str) -> list[str]:
        """List the runs of a batch that have not ended.

        :param batch_id: id of the batch.
        :return: run ids, each once, by status in the order of a run's life.
        :raises ServiceError: a call was refused or did not get through.
        """
        statuses = [status.value for status in ACTIVE_RUN_STATUSES]
        items = (item for status in statuses for item in self.list_runs(batch_id=batch_id, status=status))
        return list(dict.fromkeys(item["id"] for item in items))

    def list_run_tasks(self, run_id: str, *, status: str | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over the tasks of a run.

        :param run_id: id of the run.
        :param status: only tasks in this status: ``"FAILED"``.
        :return: items of ListRunTasks; they carry no failure text, GetRunTask does.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._items("ListRunTasks", "items", id=run_id, status=status, maxResults=100)

    def get_run_task(self, run_id: str, task_id: str) -> GetRunTaskResponseTypeDef:
        """Get one task of a run.

        :param run_id: id of the run.
        :param task_id: id of the task.
        :return: the answer of GetRunTask.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("GetRunTask"):
            return self.conn.get_run_task(id=run_id, taskId=task_id)

    def start_run_batch(self, request: Mapping[str, Any]) -> StartRunBatchResponseTypeDef:
        """Start a batch of runs.

        :param request: a StartRunBatch request, made by
            :func:`airflow_provider_omics.core.settings.requests.build_start_run_batch_request`, with its
            ``requestId``.
        :return: the answer of StartRunBatch: ``id``, ``uuid``, ``arn``, ``status``, ``tags``.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("StartRunBatch"):
            return self.conn.start_run_batch(**request)

    def get_batch(self, batch_id: str) -> GetBatchResponseTypeDef:
        """Get one batch with its counts.

        :param batch_id: id of the batch.
        :return: the answer of GetBatch.
        :raises NotFound: there is no such batch (any more).
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("GetBatch"):
            return complete("GetBatch", self.conn.get_batch(batchId=batch_id), "id", "status")

    def list_batches(
        self, *, name: str | None = None, run_group_id: str | None = None, status: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Iterate over batches; the API takes one filter a call.

        :param name: only batches of this name.
        :param run_group_id: only batches of this run group.
        :param status: only batches in this status.
        :return: items of ListBatch.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._items("ListBatch", "items", name=name, runGroupId=run_group_id, status=status, maxItems=100)

    def list_runs_in_batch(
        self,
        batch_id: str,
        *,
        submission_status: str | None = None,
        run_setting_id: str | None = None,
        run_id: str | None = None,
        make: Make = at_once,
    ) -> Iterator[dict[str, Any]]:
        """Iterate over the submissions of a batch; the API takes one filter a call.

        :param batch_id: id of the batch.
        :param submission_status: only submissions in this status: ``"FAILED"``.
        :param run_setting_id: only this run setting.
        :param run_id: only this run.
        :param make: makes the call for a page; default: once.
        :return: items of ListRunsInBatch (its key is ``runs``); they say nothing about a run's execution.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._items(
            "ListRunsInBatch",
            "runs",
            make,
            batchId=batch_id,
            submissionStatus=submission_status,
            runSettingId=run_setting_id,
            runId=run_id,
            maxItems=100,
        )

    def cancel_run_batch(self, batch_id: str) -> None:
        """Cancel a batch; allowed while it is PENDING, SUBMITTING or INPROGRESS (API reference, CancelRunBatch).

        :param batch_id: id of the batch.
        :raises Conflict: its status does not allow it.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("CancelRunBatch"):
            self.conn.cancel_run_batch(batchId=batch_id)

    def delete_run_batch(self, batch_id: str) -> None:
        """Delete the records of the runs of a batch that is PROCESSED or CANCELLED (API reference, DeleteRunBatch).

        The batch stays.

        :param batch_id: id of the batch.
        :raises Conflict: its status does not allow it.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("DeleteRunBatch"):
            self.conn.delete_run_batch(batchId=batch_id)

    def delete_batch(self, batch_id: str) -> None:
        """Delete the record of a batch that has ended (API reference, DeleteBatch); its runs stay.

        :param batch_id: id of the batch.
        :raises Conflict: its status does not allow it.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("DeleteBatch"):
            self.conn.delete_batch(batchId=batch_id)

    def create_run_group(self, request: Mapping[str, Any]) -> CreateRunGroupResponseTypeDef:
        """Create a run group.

        :param request: a CreateRunGroup request, with its ``requestId``.
        :return: the answer of CreateRunGroup: ``id``, ``arn``, ``tags``.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("CreateRunGroup"):
            return self.conn.create_run_group(**request)

    def get_run_group(self, run_group_id: str) -> GetRunGroupResponseTypeDef:
        """Get one run group with its caps.

        :param run_group_id: id of the run group.
        :return: the answer of GetRunGroup.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("GetRunGroup"):
            return self.conn.get_run_group(id=run_group_id)

    def delete_run_group(self, run_group_id: str) -> None:
        """Delete a run group that has no active run (user guide, "Deleting runs and run groups").

        :param run_group_id: id of the run group.
        :raises Conflict: runs of it are still going.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("DeleteRunGroup"):
            self.conn.delete_run_group(id=run_group_id)

    def list_run_caches(self) -> Iterator[dict[str, Any]]:
        """Iterate over run caches.

        :return: items of ListRunCaches.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._items("ListRunCaches", "items", maxResults=100)

    def create_run_cache(self, request: Mapping[str, Any]) -> CreateRunCacheResponseTypeDef:
        """Create a run cache.

        :param request: a CreateRunCache request, with its ``requestId``.
        :return: the answer of CreateRunCache: ``id``, ``arn``, ``status``, ``tags``.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("CreateRunCache"):
            return self.conn.create_run_cache(**request)

    def update_run_cache(self, request: Mapping[str, Any]) -> None:
        """Change name, description or behavior of a run cache.

        :param request: an UpdateRunCache request.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("UpdateRunCache"):
            self.conn.update_run_cache(**request)

    def delete_run_cache(self, cache_id: str) -> None:
        """Delete a run cache; its data in S3 stays (API reference, DeleteRunCache).

        :param cache_id: id of the run cache.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("DeleteRunCache"):
            self.conn.delete_run_cache(id=cache_id)

    def get_workflow(
        self, workflow_id: str, *, workflow_type: str | None = None, workflow_owner_id: str | None = None
    ) -> GetWorkflowResponseTypeDef:
        """Get a workflow.

        :param workflow_id: id of the workflow.
        :param workflow_type: ``"READY2RUN"`` for one of AWS's own; default PRIVATE.
        :param workflow_owner_id: account of the owner of a shared workflow.
        :return: the answer of GetWorkflow, with its ``parameterTemplate``.
        :raises ServiceError: the call was refused or did not get through.
        """
        request = given_parameters(id=workflow_id, type=workflow_type, workflowOwnerId=workflow_owner_id)
        with service_errors("GetWorkflow"):
            return self.conn.get_workflow(**request)

    def get_workflow_version(
        self,
        workflow_id: str,
        version_name: str,
        *,
        workflow_type: str | None = None,
        workflow_owner_id: str | None = None,
    ) -> GetWorkflowVersionResponseTypeDef:
        """Get one version of a workflow.

        :param workflow_id: id of the workflow.
        :param version_name: name of the version.
        :param workflow_type: ``"READY2RUN"`` for one of AWS's own; default PRIVATE.
        :param workflow_owner_id: account of the owner of a shared workflow.
        :return: the answer of GetWorkflowVersion, with its ``parameterTemplate``.
        :raises ServiceError: the call was refused or did not get through.
        """
        request = given_parameters(
            workflowId=workflow_id, versionName=version_name, type=workflow_type, workflowOwnerId=workflow_owner_id
        )
        with service_errors("GetWorkflowVersion"):
            return self.conn.get_workflow_version(**request)

    def list_workflows(self, *, name: str | None = None, workflow_type: str | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over workflows of the account.

        :param name: only workflows of this name.
        :param workflow_type: ``"READY2RUN"`` for AWS's own; default PRIVATE.
        :return: items of ListWorkflows; they carry no tags.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._items("ListWorkflows", "items", name=name, type=workflow_type, maxResults=100)

    def list_workflow_versions(self, workflow_id: str) -> Iterator[dict[str, Any]]:
        """Iterate over the versions of a workflow.

        :param workflow_id: id of the workflow.
        :return: items of ListWorkflowVersions; they carry no tags.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._items("ListWorkflowVersions", "items", workflowId=workflow_id, maxResults=100)

    def create_workflow(self, request: Mapping[str, Any]) -> CreateWorkflowResponseTypeDef:
        """Create a workflow.

        :param request: a CreateWorkflow request, with its ``requestId``.
        :return: the answer of CreateWorkflow: ``id``, ``uuid``, ``arn``, ``status``, ``tags``.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("CreateWorkflow"):
            return self.conn.create_workflow(**request)

    def create_workflow_version(self, request: Mapping[str, Any]) -> CreateWorkflowVersionResponseTypeDef:
        """Create a version of a workflow.

        :param request: a CreateWorkflowVersion request, with its ``requestId``.
        :return: the answer of CreateWorkflowVersion: ``workflowId``, ``versionName``, ``uuid``, ``arn``, ``status``.
        :raises Conflict: the workflow has a version of this name.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("CreateWorkflowVersion"):
            return self.conn.create_workflow_version(**request)

    def delete_workflow(self, workflow_id: str) -> None:
        """Delete a workflow and its versions; runs of it go on.

        :param workflow_id: id of the workflow.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("DeleteWorkflow"):
            self.conn.delete_workflow(id=workflow_id)

    def list_run_groups(self, *, name: str | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over run groups.

        :param name: only run groups of this name.
        :return: items of ListRunGroups.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._items("ListRunGroups", "items", name=name, maxResults=100)

    def tag_resource(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a run, batch, run group or workflow.

        :param arn: ARN of the resource.
        :param tags: keys and values to add.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("TagResource"):
            self.conn.tag_resource(resourceArn=arn, tags=tags)

    def untag_resource(self, arn: str, keys: Iterable[str]) -> None:
        """Remove tags from a resource.

        :param arn: ARN of the resource.
        :param keys: keys to remove.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("UntagResource"):
            self.conn.untag_resource(resourceArn=arn, tagKeys=list(keys))

    def list_tags(self, arn: str) -> dict[str, str]:
        """Get the tags of a resource.

        :param arn: ARN of the resource.
        :return: its tags.
        :raises ServiceError: the call was refused or did not get through.
        """
        with service_errors("ListTagsForResource"):
            return dict(self.conn.list_tags_for_resource(resourceArn=arn)["tags"])
