"""Addresses in the AWS console, and of our own page in Airflow.

Sources: the run address is the one that public tools of AWS use (aws-samples, miniwdl-omics-run); the CloudWatch and S3
addresses are the encoding that the console itself produces. No console page of a batch is documented.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from airflow_provider_omics.core.snapshots import LOG_GROUP
from airflow_provider_omics.core.uris import s3_address

BASE = "https://console.aws.amazon.com"

# A lone surrogate, which no UTF-8 can take, must not spoil the page or log that an address stands in.
_encoded = partial(quote, safe="", errors="replace")


def run_url(region: str, run_id: str) -> str:
    """Make the address of the console page of a run.

    :param region: AWS Region of the run: ``"us-east-1"``.
    :param run_id: id of the run.
    :return: the address.
    """
    return f"{BASE}/omics/home?region={_encoded(region)}#/runs/{_encoded(run_id)}"


def run_list_url(region: str) -> str:
    """Make the address of the console page that lists runs: it stands in for a batch, which has no documented page.

    :param region: AWS Region: ``"us-east-1"``.
    :return: the address.
    """
    return f"{BASE}/omics/home?region={_encoded(region)}#/runs"


def log_stream_url(region: str, stream: str) -> str:
    """Make the address of the console page of a log stream of HealthOmics.

    :param region: AWS Region: ``"us-east-1"``.
    :param stream: name of the stream in ``/aws/omics/WorkflowLog``: ``"run/123"``.
    :return: the address.
    """
    return (
        f"{BASE}/cloudwatch/home?region={_encoded(region)}#logsV2:log-groups/log-group/{_encoded(LOG_GROUP)}"
        f"/log-events/{_encoded(stream)}"
    )


def cohort_path(airflow_url: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Make the address of a task's tab, which Airflow's api-server serves to whoever may read the task's logs.

    :param airflow_url: address of Airflow (``[api] base_url``); empty: not set.
    :param dag_id: id of the DAG.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: of a mapped task; else -1.
    :return: the address, without host: behind a proxy only the user's browser knows it.
    """
    path = airflow_url.partition("://")[2].partition("/")[2].strip("/")
    names = "/".join(_encoded(name) for name in (dag_id, run_id, task_id, str(map_index)))
    return f"{f'/{path}' if path else ''}/omics/tab/{names}"


def s3_object_url(region: str, uri: str) -> str:
    """Make the address of the S3 console page of an object, which can open and download it.

    :param region: AWS Region of its bucket: ``"us-east-1"``.
    :param uri: ``s3://bucket/key``.
    :return: the address.
    """
    bucket, key = s3_address(uri)
    place = f"{_encoded(bucket)}?region={_encoded(region)}&prefix={quote(key, errors='replace')}"
    return f"https://s3.console.aws.amazon.com/s3/object/{place}"


def s3_url(uri: str) -> str:
    """Make the address of the S3 console page of a folder.

    :param uri: ``s3://bucket/prefix``.
    :return: the address.
    """
    bucket, prefix = s3_address(uri)
    prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
    return f"https://s3.console.aws.amazon.com/s3/buckets/{_encoded(bucket)}?prefix={quote(prefix, errors='replace')}"
