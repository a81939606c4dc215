"""The trigger that waits for a batch of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_omics.core.errors import Problem
from airflow_provider_omics.core.wait.stretch import Stretch
from airflow_provider_omics.triggers.base import OmicsWaitTrigger
from airflow_provider_omics.waiting.wait import Wait


class OmicsRunBatchTrigger(OmicsWaitTrigger):
    """Wait for a batch in the triggerer; fires one event, then ends. The operator judges the batch.

    :param batch_id: id of the batch.
    :param batch_uuid: its uuid. None: unknown.
    :param staged_s3_uri: the batch's staged settings, deleted when a user's kill cancels the batch; default: none.
    :param stretch: the stretch after which the task collects ended runs, with its state, as
        :meth:`airflow_provider_omics.core.wait.stretch.Stretch.to_json` writes it. Default: the wait lasts to the end.
    :param kwargs: ``poll_interval``, ``deadline``, ``patience``, ``cancel_on_kill``, ``grace``,
        ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``: see :class:`OmicsWaitTrigger`.
    """

    kind = "batch"

    def __init__(
        self,
        batch_id: str,
        batch_uuid: str | None = None,
        staged_s3_uri: str | None = None,
        stretch: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(resource_id=batch_id, resource_uuid=batch_uuid, **kwargs)
        self.staged_s3_uri = staged_s3_uri
        self.stretch = stretch
        if stretch is not None:
            try:
                self.plan = replace(self.plan, stretch=Stretch.from_json(stretch))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                self._problems = (*self._problems, Problem("stretch", repr(stretch), f"a stretch ({error})"))

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that rebuild this trigger; they are an API across versions."""
        path, arguments = super().serialize()
        # Without stretches the arguments are those that an older triggerer knows.
        stretch = {} if self.stretch is None else {"stretch": self.stretch}
        return path, {**arguments, "staged_s3_uri": self.staged_s3_uri, **stretch}

    async def _after_cancel(self, place: Wait) -> None:
        uri = self.staged_s3_uri
        if uri is None:
            return
        from airflow_provider_omics.hooks.s3 import S3Store  # most triggers end otherwise

        try:
            await place.call(lambda hook: S3Store(hook).delete(uri))
        except Exception as error:  # noqa: BLE001 - the batch is cancelled, which is what counts
            self.log.warning("The staged settings %s are left behind: %s", uri, error)
