"""The trigger that waits for a run."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.triggers.base import OmicsWaitTrigger


class OmicsRunTrigger(OmicsWaitTrigger):
    """Wait for a run in the triggerer; fires one event, then ends.

    :param run_id: id of the run.
    :param run_uuid: its uuid, as ids are reused after deletion. None: unknown.
    :param kwargs: ``poll_interval``, ``deadline``, ``run_timeout``, ``patience``, ``cancel_on_kill``, ``grace``,
        ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``: see :class:`OmicsWaitTrigger`.
    """

    kind = "run"

    def __init__(self, run_id: str, run_uuid: str | None = None, **kwargs: Any) -> None:
        super().__init__(resource_id=run_id, resource_uuid=run_uuid, **kwargs)
