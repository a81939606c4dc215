"""The sensor that waits for a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_omics.core.snapshots import RunSnapshot, Snapshot
from airflow_provider_omics.core.wait.outcome import run_result
from airflow_provider_omics.sensors.base import OmicsWaitSensor
from airflow_provider_omics.triggers.run import OmicsRunTrigger


class OmicsRunSensor(OmicsWaitSensor):
    """Wait until a run that someone else started has ended; anything but COMPLETED is an error.

    :param run_id: id of the run.
    :param kwargs: see :class:`~airflow_provider_omics.sensors.base.OmicsWaitSensor`.
    :return: the same dict as :class:`~airflow_provider_omics.operators.run.OmicsStartRunOperator` returns.
    :raises RunFailed: it ended FAILED; ``failure_reason`` says why.
    :raises RunCancelled: it was cancelled.
    :raises (RunDeleted, RunVanished): its record was deleted, or is gone and its end unknown.
    :raises LostContact: while deferred, no poll succeeded for ``patience``, or polls were refused.
    :raises ServiceError: HealthOmics refused a poll; its subclasses say how.
    :raises EventError: the trigger's event cannot be read; it never counts as success.
    :raises AirflowSensorTimeout: ``timeout`` passed.
    :raises AirflowSkipException: with ``soft_fail``, instead of each of these.
    """

    kind = "run"
    trigger_class = OmicsRunTrigger
    template_fields: Sequence[str] = aws_template_fields("run_id")

    def __init__(self, *, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id

    @property
    def resource_id(self) -> str:
        """Id of the run."""
        return self.run_id

    def _result(self, ended: Snapshot) -> dict[str, Any]:
        assert isinstance(ended, RunSnapshot)  # noqa: S101 - for mypy: `kind` says it
        return run_result(ended)
