"""An account under question: its clients, and everything that was made in it, which goes again at the end."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from airflow_provider_omics.emulator.statuses import BATCH_DELETABLE, RUN_ENDED

MARK = "healthomics-compare"
"""Tag and name of everything that is made."""

PATIENCE = 1800.0
"""Seconds until a run or batch has to have ended: a run of seconds takes minutes to start."""

_INTERVAL = 10.0

_WDL = """version 1.0
workflow compare { input { String word = "hello" } call say { input: word = word } output { File said = say.said } }
task say {
  input { String word }
  command <<< echo ~{word} > said.txt >>>
  runtime { %s cpu: 1 memory: "1 GiB" }
  output { File said = "said.txt" }
}
"""


class CannotAskError(Exception):
    """A question cannot be asked: what it is about could not be brought about."""


@dataclass(frozen=True)
class Exchange:
    """One call and its answer.

    :param operation: the operation, ``"StartRun"``.
    :param answer: ``"ok"``, or AWS's code and HTTP status.
    :param message: AWS's message, of a refusal.
    """

    operation: str
    answer: str
    message: str = ""


@dataclass
class Account:
    """An account in which questions are asked.

    :param client: makes a boto3 client of a service.
    :param role_arn: service role of the runs.
    :param output_uri: where outputs go; all that is made lies below a folder of its own there.
    :param sleep: waits some seconds, or steps the emulator's clock.
    :param now: seconds that only grow.
    :param container: image of the task, as ``docker: "..."`` names it; empty: none.
    :param exchanges: all calls so far.
    """

    client: Callable[[str], Any]
    role_arn: str
    output_uri: str
    sleep: Callable[[float], None] = time.sleep  # noqa: TID251 - this is the wait itself; tests step it
    now: Callable[[], float] = time.monotonic
    container: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    _made: list[tuple[str, str]] = field(default_factory=list)
    _shared: dict[str, str] = field(default_factory=dict)
    _folder: str = field(default_factory=lambda: f"{MARK}-{uuid.uuid4().hex[:12]}")

    @property
    def place(self) -> str:
        """Where this comparison's outputs go: ``"s3://bucket/prefix/healthomics-compare-1a2b3c/"``."""
        return f"{self.output_uri.rstrip('/')}/{self._folder}/"

    def call(self, operation: str, service: str = "omics", /, **request: Any) -> dict[str, Any]:
        """Make a call, note it, and remember what it has made.

        :param operation: the operation, ``"StartRun"``.
        :param service: name of the service in boto3; default ``omics``.
        :param request: members of the request.
        :return: the answer.
        :raises ClientError: it was refused.
        """
        client = self.client(service)
        method = next(name for name, api in client.meta.method_to_api_mapping.items() if api == operation)
        try:
            answer: dict[str, Any] = getattr(client, method)(**request)
        except ClientError as error:
            facts = refusal(error)
            self.exchanges.append(Exchange(operation, f"{facts['error']} {facts['http']}", str(error)))
            raise
        self.exchanges.append(Exchange(operation, "ok"))
        self._remember(operation, answer)
        return answer

    def answer(self, operation: str, /, **request: Any) -> dict[str, Any]:
        """Make a call whose refusal is an answer as well.

        :param operation: the operation.
        :param request: members of the request.
        :return: ``{"error": code, "http": status}`` of a refusal; else the answer, without anything of boto3's.
        """
        try:
            answer = self.call(operation, **request)
        except ClientError as error:
            return refusal(error)
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def require_known(self, operation: str, member: str = "") -> None:
        """Make sure that the installed boto3 has an operation or member, which it neither sends nor reads otherwise.

        :param operation: the operation, ``"StartRun"``.
        :param member: a member of its request; empty: none in particular.
        :raises CannotAskError: it has not.
        """
        model = self.client("omics").meta.service_model
        if operation not in model.operation_names or (
            member and member not in model.operation_model(operation).input_shape.members
        ):
            raise CannotAskError(f"the installed boto3 does not know {member or operation}: upgrade boto3, ask again")

    @contextmanager
    def changed(self, operation: str, body: Mapping[str, Any] | None = None, query: str = "") -> Iterator[None]:
        """Change requests before they are signed, as boto3 checks its arguments.

        :param operation: the operation.
        :param body: members that the JSON of the body gets in addition; default: none.
        :param query: what the query gets in addition, such as ``"name=b"``; default: nothing.
        """

        def edit(params: dict[str, Any], **_: Any) -> None:
            if body is not None:
                params["body"] = json.dumps({**json.loads(params["body"] or "{}"), **body}).encode()
            if query:
                params["url"] += ("&" if "?" in params["url"] else "?") + query

        events, name = self.client("omics").meta.events, f"before-call.omics.{operation}"
        events.register(name, edit)
        try:
            yield
        finally:
            events.unregister(name, edit)

    def shared(self, name: str, make: Callable[[], str]) -> str:
        """Take what several questions are about: it is made when the first of them asks.

        :param name: name of it.
        :param make: makes it, and returns its id.
        """
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def workflow(self) -> str:
        """Take the id of the workflow of all runs: one task, which takes a second."""
        return self.shared("workflow", self._create_workflow)

    def setting(self, **more: Any) -> dict[str, Any]:
        """Make what a run needs.

        :param more: further members.
        """
        return {
            "workflowId": self.workflow(),
            "roleArn": self.role_arn,
            "outputUri": self.place,
            "storageType": "DYNAMIC",
            "name": MARK,
            **more,
        }

    def start_run(self, **more: Any) -> str:
        """Start a run, and return its id.

        :param more: further members of the request.
        """
        request = {"requestId": str(uuid.uuid4()), "tags": {MARK: "1"}, **self.setting(**more)}
        return str(self.call("StartRun", **request)["id"])

    def batch_request(self, *ids: str, **more: Any) -> dict[str, Any]:
        """Make a request of StartRunBatch.

        :param ids: ``runSettingId`` of its runs.
        :param more: further members of the request.
        """
        settings = [{"runSettingId": name, "name": name} for name in ids]
        return {
            "batchName": MARK,
            "tags": {MARK: "1"},
            "requestId": str(uuid.uuid4()),
            "defaultRunSetting": {key: value for key, value in self.setting().items() if key != "name"},
            "batchRunSettings": {"inlineSettings": settings},
            **more,
        }

    def run_ended(self, run_id: str) -> dict[str, Any]:
        """Wait until a run has ended.

        :param run_id: id of the run.
        :return: the answer of GetRun.
        :raises CannotAskError: it has not ended in time.
        """
        return self.wait_for(lambda: self.call("GetRun", id=run_id), lambda run: run["status"] in RUN_ENDED)

    def batch_ended(self, batch_id: str) -> dict[str, Any]:
        """Wait until a batch has ended.

        :param batch_id: id of the batch.
        :return: the answer of GetBatch.
        :raises CannotAskError: it has not ended in time.
        """
        return self.wait_for(
            lambda: self.call("GetBatch", batchId=batch_id), lambda batch: batch["status"] in BATCH_DELETABLE
        )

    def wait_for(
        self, look: Callable[[], dict[str, Any]], is_there: Callable[[Mapping[str, Any]], bool]
    ) -> dict[str, Any]:
        """Look again and again.

        :param look: looks.
        :param is_there: whether the answer is the one that is waited for.
        :return: that answer.
        :raises CannotAskError: it did not come in time.
        """
        deadline = self.now() + PATIENCE
        while True:
            answer = look()
            if is_there(answer):
                return answer
            if self.now() > deadline:
                raise CannotAskError(f"still {answer.get('status')} after {PATIENCE / 60:g} minutes")
            self.sleep(_INTERVAL)

    def completed_run(self) -> str:
        """Take the id of a run that has completed.

        :raises CannotAskError: it did not complete.
        """
        run_id = self.shared("run", self.start_run)
        run = self.run_ended(run_id)
        if run["status"] != "COMPLETED":
            raise CannotAskError(f"the run ended {run['status']}: {run.get('failureReason')}")
        return run_id

    def remove(self) -> list[str]:
        """Cancel and delete everything that was made, the last first.

        :return: what could not be removed, a line each.
        """
        left = []
        for kind, resource_id in reversed(self._made):
            if kind in _CANCEL:
                self._attempt(_CANCEL[kind], resource_id)
        for kind, resource_id in reversed(self._made):
            trouble = self._removed(kind, resource_id)
            if trouble:
                left.append(f"{kind} {resource_id}: {trouble}")
        try:
            self._remove_outputs()
        except (ClientError, BotoCoreError) as error:
            left.append(f"{self.place}: {error}")
        return left

    def _removed(self, kind: str, resource_id: str) -> str | None:
        """Delete one thing, and say why that was not possible."""
        try:
            if kind == "run":
                self.run_ended(resource_id)
            elif kind == "batch":
                self.batch_ended(resource_id)
                self._attempt("DeleteRunBatch", resource_id)
                self.wait_for(
                    lambda: self.call("GetBatch", batchId=resource_id), lambda batch: batch["status"] != "RUNS_DELETING"
                )
            elif kind == "configuration":
                self.wait_for(
                    lambda: self.call("GetConfiguration", name=resource_id), lambda found: found["status"] != "CREATING"
                )
            self.call(_DELETE[kind], **{_ID_OF.get(_DELETE[kind], "id"): resource_id})
        except ClientError as error:
            facts = refusal(error)
            return None if facts["http"] == _GONE else f"{facts['error']}: {error}"
        except CannotAskError as error:
            return str(error)
        return None

    def _attempt(self, operation: str, resource_id: str) -> None:
        """Make a call that may be refused, as there is nothing to do."""
        try:
            self.call(operation, **{_ID_OF.get(operation, "id"): resource_id})
        except ClientError:
            return  # noted among the exchanges; what matters is what is left at the end

    def _remove_outputs(self) -> None:
        place = urlsplit(self.place)
        pages = self.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=place.netloc, Prefix=place.path.lstrip("/")):
            keys = [{"Key": item["Key"]} for item in page.get("Contents", ())]
            if keys:
                self.call("DeleteObjects", "s3", Bucket=place.netloc, Delete={"Objects": keys})

    def _remember(self, operation: str, answer: Mapping[str, Any]) -> None:
        kind = _MAKES.get(operation)
        if kind is None:
            return
        made = (kind, str(answer["name" if kind == "configuration" else "id"]))
        if made not in self._made:
            self._made.append(made)

    def _create_workflow(self) -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            docker = f'docker: "{self.container}"' if self.container else ""
            archive.writestr("main.wdl", _WDL % docker)
        created = self.call(
            "CreateWorkflow",
            name=MARK,
            engine="WDL",
            definitionZip=packed.getvalue(),
            parameterTemplate={"word": {"description": "what the task says", "optional": True}},
            requestId=str(uuid.uuid4()),
            tags={MARK: "1"},
        )
        workflow = self.wait_for(
            lambda: self.call("GetWorkflow", id=created["id"]), lambda found: found["status"] != "CREATING"
        )
        if workflow["status"] != "ACTIVE":
            raise CannotAskError(f"the workflow is {workflow['status']}: {workflow.get('statusMessage')}")
        return str(created["id"])


def refusal(error: ClientError) -> dict[str, Any]:
    """Take code and HTTP status of a refused call.

    :param error: the error of boto3.
    :return: ``{"error": code, "http": status}``.
    """
    response: Any = error.response
    return {"error": response["Error"]["Code"], "http": response["ResponseMetadata"]["HTTPStatusCode"]}


_GONE = 404
_MAKES = {
    "CreateConfiguration": "configuration",
    "CreateRunCache": "run cache",
    "CreateRunGroup": "run group",
    "CreateWorkflow": "workflow",
    "StartRun": "run",
    "StartRunBatch": "batch",
}
_CANCEL = {"run": "CancelRun", "batch": "CancelRunBatch"}
_DELETE = {
    "batch": "DeleteBatch",
    "configuration": "DeleteConfiguration",
    "run": "DeleteRun",
    "run cache": "DeleteRunCache",
    "run group": "DeleteRunGroup",
    "workflow": "DeleteWorkflow",
}
_ID_OF = {
    "CancelRunBatch": "batchId",
    "DeleteBatch": "batchId",
    "DeleteConfiguration": "name",
    "DeleteRunBatch": "batchId",
}
