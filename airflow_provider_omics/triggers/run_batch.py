"""The trigger that waits for a batch of runs."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.triggers.base import OmicsWaitTrigger
from airflow_provider_omics.waiting.wait import Wait


class OmicsRunBatchTrigger(OmicsWaitTrigger):
    """Wait for a batch in the triggerer; fires one event, then ends. The verdict is the operator's.

    :param batch_id: id of the batch.
    :param batch_uuid: its uuid. None: not known.
    :param staged_s3_uri: the batch's staged settings, which go with it when a user's kill cancels it; default: none.
    :param kwargs: ``poll_interval``, ``deadline``, ``patience``, ``cancel_on_kill``, ``grace``,
        ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``: see :class:`OmicsWaitTrigger`.
    """

    kind = "batch"

    def __init__(
        self, batch_id: str, batch_uuid: str | None = None, staged_s3_uri: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(resource_id=batch_id, resource_uuid=batch_uuid, **kwargs)
        self.staged_s3_uri = staged_s3_uri

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger; they are an API across versions."""
        path, arguments = super().serialize()
        return path, {**arguments, "staged_s3_uri": self.staged_s3_uri}

    async def _after_cancel(self, place: Wait) -> None:
        uri = self.staged_s3_uri
        if uri is None:
            return
        from airflow_provider_omics.hooks.s3 import S3Store  # most triggers end otherwise

        try:
            await place.call(lambda hook: S3Store(hook).delete(uri))
        except Exception as error:  # noqa: BLE001 - the batch is cancelled, which is what counts
            self.log.warning("The staged settings %s are left behind: %s", uri, error)
