"""The provenance of an attempt: who has asked for it, for which task, with which settings and which versions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.hooks.account import Account
from airflow_provider_omics.jobs.batch.staging import RunSettingsSpool
from airflow_provider_omics.jobs.owner import Owner

DISTRIBUTIONS = (
    "airflow_provider_omics",
    "apache-airflow",
    "apache-airflow-providers-amazon",
    "boto3",
    "botocore",
)
"""Packages that decide what is sent, and how."""


def attempt_facts(
    owner: Owner, record: AttemptRecord, submitted: RunSettingsSpool | None, whole: RunSettingsSpool | None
) -> dict[str, Any]:
    """Collect what is known of an attempt beside its request.

    :param owner: the try that makes it.
    :param record: the attempt's.
    :param submitted: the run settings of the request; None: nobody has read them.
    :param whole: all run settings that the user gave, of which some may be left as they are; None: as above.
    :return: a JSON object. User and note are null where Airflow does not tell them: 3.1 and 3.2 were the first to.
    """
    identity = owner.identity
    return {
        "request_id": record.request_id,
        "requested_at": datetime.fromtimestamp(record.requested_at, timezone.utc).isoformat(timespec="milliseconds"),
        "region": owner.hook.conn_region_name,
        "caller_arn": _caller(owner),
        "attempt": record.attempts,
        "previous_request_id": record.previous_request_id,
        "run_settings": None if submitted is None else {"count": submitted.total_runs, "sha256": submitted.digest},
        "run_settings_etag": record.settings_etag,
        "sheet": None if whole is None else whole.sheet,
        "resolved": record.resolved,
        "airflow": {
            "dag_id": identity.dag_id,
            "dag_run_id": identity.run_id,
            "task_id": identity.task_id,
            "map_index": identity.map_index if identity.map_index >= 0 else None,
            "try_number": owner.try_number,
            "user": _of_dag_run(owner, "triggering_user_name"),
            "note": _of_dag_run(owner, "note"),
        },
        "versions": _versions(),
    }


def _of_dag_run(owner: Owner, name: str) -> str | None:
    try:
        value = getattr(owner.context.get("dag_run"), name, None)
    except Exception as error:  # noqa: BLE001 - Airflow 2 asks its database; an attempt starts without the note, too
        owner.log.warning("The ledger lacks the DAG run's %s: %s", name, error)
        return None
    return None if value is None else str(value)


def _caller(owner: Owner) -> str | None:
    """Ask STS who calls; None: it does not answer, as in a network that does not reach it."""
    try:
        return Account(owner.hook).caller()
    except ServiceError as error:
        owner.log.warning("The ledger lacks the caller's ARN: %s", error)
        return None


@functools.cache  # ten milliseconds: it reads the metadata of each from disk
def _versions() -> Mapping[str, str | None]:
    found: dict[str, str | None] = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None  # a source tree on the path
    return found
