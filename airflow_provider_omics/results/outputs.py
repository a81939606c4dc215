"""What a run has put out: the summary that WDL and CWL write, or the objects that Nextflow leaves."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_omics.core.errors import NotFound
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import s3_hook
from airflow_provider_omics.hooks.service_errors import service_errors

SUMMARIES = ("logs/outputs.json", "logs/output.json")
"""The user guide has both names, on its pages "Run outputs" and "CloudWatch Logs"."""

MAX_SUMMARY_BYTES = 1_000_000
"""Larger summaries are left out: each stands in one line of the results."""

MAX_OBJECTS = 1_000
"""Objects of a Nextflow run that are named: what one list call brings."""


class OutputsReader:
    """Reads outputs from S3.

    :param hook: the hook whose connection is used.
    """

    def __init__(self, hook: OmicsHook) -> None:
        self._s3 = s3_hook(hook)

    def read(self, run: RunSnapshot) -> Any:
        """Read what a run has put out.

        :param run: the run, from GetRun; a path is never guessed, only looked for below its ``runOutputUri``.
        :return: the parsed summary of WDL and CWL; else, as with Nextflow, a list of the URIs of its objects, the first
            :data:`MAX_OBJECTS`; None when the run has no output URI, or a summary that is too large or no JSON.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if not run.run_output_uri:
            return None
        bucket, _, path = run.run_output_uri.removeprefix("s3://").partition("/")
        folder = f"{path.rstrip('/')}/" if path else ""
        # Nextflow alone has an engine version (GetRun API reference), and no summary.
        for name in () if run.engine_version else SUMMARIES:
            try:
                with service_errors("GetObject"):
                    answer = self._s3.conn.get_object(Bucket=bucket, Key=folder + name)
                    if answer["ContentLength"] > MAX_SUMMARY_BYTES:
                        answer["Body"].close()
                        return None
                    return _json(answer["Body"].read())
            except NotFound:
                continue
        with service_errors("ListObjectsV2"):
            listed = self._s3.conn.list_objects_v2(Bucket=bucket, Prefix=folder, MaxKeys=MAX_OBJECTS)
        return [f"s3://{bucket}/{item['Key']}" for item in listed.get("Contents", ())]


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
