"""The CloudWatch logs of runs, through the Amazon provider's AwsLogsHook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook

from airflow_provider_omics.core.errors import NotFound, ServiceError
from airflow_provider_omics.core.failure.manifest import run_from_manifest
from airflow_provider_omics.core.snapshots import LOG_GROUP, RunSnapshot
from airflow_provider_omics.hooks.client import caller, session_of
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import service_errors

MANIFEST_EVENTS = 20_000
"""Events of a manifest stream that are read at most: one for each task, up to 10,000 a call."""

MANIFEST_PAGES = 100
"""Calls for one manifest at most: an answer has 1 MB at most, and may have no events before the end of the stream."""

CLOCK_SKEW = 60.0
"""Seconds by which log lines may seem older than the run that wrote them."""


class RunLogsHook(AwsLogsHook):
    """Read the log streams of runs in ``/aws/omics/WorkflowLog``."""

    _get_caller = caller

    @classmethod
    def beside(cls, hook: OmicsHook) -> RunLogsHook:
        """Make the logs hook of the same connection, Region and TLS settings.

        :param hook: the hook of the run.
        :return: the logs hook.
        """
        options: dict[str, Any] = {"region_name": hook.region_name, "verify": hook.verify, "config": hook.config}
        logs = cls(aws_conn_id=hook.aws_conn_id, **options)
        logs.conn_config = hook.conn_config  # Airflow is not asked again: the answer could be another
        return logs

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """Make a session whose role is assumed with the connection's TLS settings."""
        return super().get_session(region_name, deferrable) if self.verify is None else session_of(self, region_name)

    def read_manifest(self, run_id: str, run_uuid: str | None) -> RunSnapshot | None:
        """Read the end of a run whose record is gone.

        :param run_id: id of the run.
        :param run_uuid: its uuid; without it the newest stream under ``manifest/run/{run_id}/`` is read.
        :return: the run with its final status; None when there is no such stream, or none in it.
        :raises ServiceError: CloudWatch Logs could not be read.
        """
        return run_from_manifest(self.manifest_messages(run_id, run_uuid), run_id, run_uuid)

    def manifest_messages(
        self, run_id: str, run_uuid: str | None, before_call: Callable[[], object] = lambda: None
    ) -> Iterator[str]:
        """Iterate over the manifest stream of a run: two calls for most, as only the second tells that it is whole.

        :param run_id: id of the run.
        :param run_uuid: its uuid; without it the newest stream under ``manifest/run/{run_id}/`` is looked for first.
        :param before_call: called before each call, to keep a pace. Default: nothing.
        :return: its messages, oldest first, at most :data:`MANIFEST_EVENTS`; none when there is no such stream.
        :raises ServiceError: CloudWatch Logs could not be read.
        """
        stream = f"manifest/run/{run_id}/{run_uuid}" if run_uuid else self._newest_manifest(run_id, before_call)
        if stream is not None:
            yield from islice(self._messages(stream, before_call), MANIFEST_EVENTS)

    def _newest_manifest(self, run_id: str, before_call: Callable[[], object]) -> str | None:
        before_call()
        with service_errors("DescribeLogStreams"):
            answer = self.conn.describe_log_streams(
                logGroupName=LOG_GROUP, logStreamNamePrefix=f"manifest/run/{run_id}/"
            )
        streams = sorted(answer.get("logStreams", ()), key=lambda stream: stream.get("creationTime", 0))
        return None if not streams else str(streams[-1]["logStreamName"])

    def _messages(self, stream: str, before_call: Callable[[], object]) -> Iterator[str]:
        """Read a stream from its head; the end is where the token comes back (API reference, GetLogEvents)."""
        request: dict[str, Any] = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True}
        for _ in range(MANIFEST_PAGES):
            before_call()
            try:
                with service_errors("GetLogEvents"):
                    answer = self.conn.get_log_events(**request)
                    messages, token = [event["message"] for event in answer["events"]], answer["nextForwardToken"]
            except NotFound:
                return
            yield from messages
            if token == request.get("nextToken"):
                return
            request["nextToken"] = token

    def last_messages(self, stream: str, count: int, *, since: datetime | None = None) -> list[str]:
        """Read the end of a log stream.

        An answer may be empty although there are events (CloudWatch Logs API reference, GetLogEvents): one more call is
        made then.

        :param stream: name of the stream: ``"run/123/task/456"``.
        :param count: events that are read at most.
        :param since: when its run was created: ids of runs are used again, and so are the names of their streams.
        :return: the messages, oldest first.
        :raises NotFound: there is no such stream.
        :raises ServiceError: CloudWatch Logs could not be read.
        """
        request: dict[str, Any] = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": False}
        if since is not None:
            request["startTime"] = max(int((since.timestamp() - CLOCK_SKEW) * 1000), 0)
        with service_errors("GetLogEvents"):
            answer = self.conn.get_log_events(**request, limit=count)
            if not answer["events"]:
                answer = self.conn.get_log_events(**request, limit=count, nextToken=answer["nextBackwardToken"])
        return [event["message"] for event in answer["events"]]


def ended_run(hook: OmicsHook, run_id: str, run_uuid: str | None) -> RunSnapshot | ServiceError | None:
    """Look up a vanished run in its manifest; a failure is returned, as it must not hide that the run is gone.

    :param hook: the hook of the run.
    :param run_id: id of the run.
    :param run_uuid: its uuid, None where unknown.
    :return: the run with its final status, None for silence, or the error of CloudWatch Logs.
    """
    try:
        return RunLogsHook.beside(hook).read_manifest(run_id, run_uuid)
    except ServiceError as error:
        return error
