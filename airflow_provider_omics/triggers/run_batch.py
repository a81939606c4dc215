"""The trigger that waits for a batch of runs."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.triggers.base import OmicsWaitTrigger


class OmicsRunBatchTrigger(OmicsWaitTrigger):
    """Wait for a batch in the triggerer; fires one event, then ends. The verdict is the operator's.

    :param batch_id: id of the batch.
    :param batch_uuid: its uuid. None: not known.
    :param kwargs: ``poll_interval``, ``deadline``, ``patience``, ``cancel_on_kill``, ``grace``,
        ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``: see :class:`OmicsWaitTrigger`.
    """

    kind = "batch"

    def __init__(self, batch_id: str, batch_uuid: str | None = None, **kwargs: Any) -> None:
        super().__init__(resource_id=batch_id, resource_uuid=batch_uuid, **kwargs)
