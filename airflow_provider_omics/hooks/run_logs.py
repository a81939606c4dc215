"""The CloudWatch logs of runs, through the Amazon provider's AwsLogsHook."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.logs import AwsLogsHook

from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.manifest import run_from_manifest
from airflow_provider_omics.core.snapshots import LOG_GROUP, RunSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import service_errors


class RunLogsHook(AwsLogsHook):
    """Read the log streams of runs in ``/aws/omics/WorkflowLog``."""

    @classmethod
    def beside(cls, hook: OmicsHook) -> RunLogsHook:
        """Make the logs hook of the same connection, Region and TLS settings.

        :param hook: the hook of the run.
        :return: the logs hook.
        """
        options: dict[str, Any] = {"region_name": hook.region_name, "verify": hook.verify}
        return cls(aws_conn_id=hook.aws_conn_id, **options)

    def read_manifest(self, run_id: str, run_uuid: str | None) -> RunSnapshot | None:
        """Read how a run ended whose record is gone.

        :param run_id: id of the run.
        :param run_uuid: its uuid; without it the newest stream under ``manifest/run/{run_id}/`` is read.
        :return: the run with its final status; None when there is no such stream, or it does not tell.
        :raises ServiceError: CloudWatch Logs could not be read.
        """
        with service_errors("DescribeLogStreams"):
            prefix = f"manifest/run/{run_id}/{run_uuid or ''}"
            answer = self.conn.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=prefix)
        streams = sorted(answer.get("logStreams", ()), key=lambda stream: stream.get("creationTime", 0))
        if not streams:
            return None
        with service_errors("GetLogEvents"):
            events = self.get_log_events(LOG_GROUP, streams[-1]["logStreamName"], start_from_head=True)
            return run_from_manifest((event["message"] for event in events), run_id, run_uuid)


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
