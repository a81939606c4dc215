"""The sensor that waits for a batch of runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.wait.outcome import batch_result
from airflow_provider_omics.sensors.base import OmicsWaitSensor
from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger


class OmicsRunBatchSensor(OmicsWaitSensor):
    """Wait until every run of a batch that someone else started has ended.

    The sensor does not judge: PROCESSED is its success, and ``succeeded`` in its result says whether all runs
    completed. A batch that FAILED, was CANCELLED or lost its runs to a deletion is an error.

    :param batch_id: id of the batch.
    :param kwargs: see :class:`~airflow_provider_omics.sensors.base.OmicsWaitSensor`.
    :return: the same dict as :class:`~airflow_provider_omics.operators.run_batch.OmicsStartRunBatchOperator` returns,
        without ``results_uri``, failed ids and causes.
    :raises BatchFailed: the batch itself FAILED, not its runs.
    :raises BatchCancelled: it was cancelled.
    :raises (BatchDeleted, BatchVanished): the records of its runs were deleted, or its own.
    :raises LostContact: while deferred, no poll succeeded for ``patience``, or polls were refused.
    :raises ServiceError: HealthOmics refused a poll; its subclasses say how.
    :raises EventError: the trigger's event cannot be read; it never counts as success.
    :raises AirflowSensorTimeout: ``timeout`` passed.
    :raises AirflowSkipException: with ``soft_fail``, instead of each of these.
    """

    kind = "batch"
    trigger_class = OmicsRunBatchTrigger
    template_fields: Sequence[str] = aws_template_fields("batch_id")

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    @property
    def resource_id(self) -> str:
        """Id of the batch."""
        return self.batch_id

    def _result(self, ended: Snapshot) -> dict[str, Any]:
        assert isinstance(ended, BatchSnapshot)  # noqa: S101 - for mypy: `kind` says it
        return batch_result(ended, succeeded=BatchCounts.of(ended).not_completed == 0)
