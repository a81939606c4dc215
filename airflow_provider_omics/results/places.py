"""Where the results of a task are kept."""

from __future__ import annotations

import re
from urllib.parse import quote

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.errors import Problem, SettingsError


def results_place(argument: str | None, default: str | None, identity: TaskIdentity) -> str | None:
    """Give the URI of a task's results file.

    :param argument: the task's ``results_s3_uri``: a file, or a prefix that ends in a slash. None or empty: not set.
    :param default: the connection's ``results_s3_uri``: a prefix. None: not set.
    :param identity: the task instance. Under a prefix its file is
        ``{dag_id}/{run_id}/{task_id}[/{map_index}].jsonl.gz``.
    :return: ``s3://bucket/key.jsonl`` or ``s3://bucket/key.jsonl.gz``; None: there is no place.
    :raises SettingsError: the argument is neither such a file nor a prefix.
    """
    if not argument:
        return None if default is None else f"{default.rstrip('/')}/{_path(identity)}"
    if not re.fullmatch(r"s3://[^/]+/(.*/)?([^/]+\.jsonl(\.gz)?)?", argument):
        allowed = (
            "s3://bucket/key.jsonl or s3://bucket/key.jsonl.gz, or s3://bucket/prefix/ for a file of the task's name"
        )
        raise SettingsError([Problem("results_s3_uri", repr(argument), allowed)])
    return f"{argument}{_path(identity)}" if argument.endswith("/") else argument


def samples_place(results_uri: str, request_id: str) -> str:
    """Give the place beside a results file where an attempt's samples are kept.

    :param results_uri: the results file.
    :param request_id: the attempt's.
    :return: ``s3://bucket/key/{request_id}.samples.jsonl.gz``.
    """
    return f"{re.sub(r'[.]jsonl([.]gz)?$', '', results_uri)}/{request_id}.samples.jsonl.gz"


def _path(identity: TaskIdentity) -> str:
    names = [identity.dag_id, identity.run_id, identity.task_id]
    if identity.map_index >= 0:
        names.append(str(identity.map_index))
    # Airflow's ids have none of what is replaced here, but for run ids that people choose.
    return "/".join(quote(name, safe=":+~@=") for name in names) + ".jsonl.gz"
