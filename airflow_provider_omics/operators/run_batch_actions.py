"""Operators that cancel and delete batches; import them from :mod:`airflow_provider_omics.operators.run_batch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_omics.core.errors import BatchFailed, Conflict, InvalidRequest, NotFound
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome
from airflow_provider_omics.operators.base import OmicsActionOperator


class OmicsCancelRunBatchOperator(OmicsActionOperator):
    """Cancel a batch: runs not yet submitted are not, started ones are cancelled. An ended batch counts as done.

    :param batch_id: id of the batch.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: it is in CREATING, and cannot be cancelled yet.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    template_fields: Sequence[str] = aws_template_fields("batch_id")

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def _act(self) -> str:
        try:
            self.hook.cancel_run_batch(self.batch_id)
        except (Conflict, InvalidRequest):  # which of them a state that does not allow it gets is not documented
            batch = self.hook.look("batch", self.batch_id)
            if batch.phase is Phase.ACTIVE and batch.status != "STOPPING":
                raise  # CREATING: it cannot be cancelled yet, so this is not done
            return f"Batch {self.batch_id} is {batch.status}: nothing to cancel"
        return f"Cancelled batch {self.batch_id}"


class OmicsDeleteRunBatchOperator(OmicsActionOperator):
    """Delete the records of all runs of an ended batch; the batch itself, outputs and logs stay.

    :param batch_id: id of the batch.
    :param wait_for_completion: wait until the runs are deleted, after which the batch may be (default True).
    :param poll_interval: seconds between two looks; default 30.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: its status is neither PROCESSED nor CANCELLED, and its runs are not being deleted already.
    :raises BatchFailed: HealthOmics could not delete all of its runs.
    :raises BatchVanished: the batch itself was deleted meanwhile.
    :raises LostContact: no look succeeded for three hours, or looks were refused; the runs may be deleted by now.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    template_fields: Sequence[str] = aws_template_fields("batch_id")

    def __init__(
        self, *, batch_id: str, wait_for_completion: bool = True, poll_interval: float = 30.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval

    def _act(self) -> str:
        try:
            self.hook.delete_run_batch(self.batch_id)
        except Conflict:
            if self.hook.look("batch", self.batch_id).status not in ("RUNS_DELETING", "RUNS_DELETED"):
                raise
        if not self.wait_for_completion:
            return f"Deleting the runs of batch {self.batch_id}"
        # For running tasks, not for DAG files.
        from airflow_provider_omics.core.wait.flow import wait
        from airflow_provider_omics.core.wait.outcome import error_of
        from airflow_provider_omics.core.wait.plan import WaitPlan
        from airflow_provider_omics.operators.waiting import Driver

        plan = WaitPlan("batch", self.batch_id, poll_interval=self.poll_interval, cancel=False)
        event = Driver(self.hook, self.log).drive(wait(plan))
        unseen = error_of(event, self.hook.conn_region_name) if event.outcome is not Outcome.ENDED else None
        if unseen is not None:
            raise unseen
        batch = event.snapshot
        if batch.status != "RUNS_DELETED":
            raise BatchFailed(
                "Some runs could not be deleted.", batch_id=batch.id, batch_uuid=batch.uuid, status=batch.status
            )
        return f"Deleted the runs of batch {self.batch_id}"


class OmicsDeleteBatchOperator(OmicsActionOperator):
    """Delete the record of an ended batch; its runs stay. One that is gone counts as done.

    :param batch_id: id of the batch.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: it has not ended.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    template_fields: Sequence[str] = aws_template_fields("batch_id")
    done_already = (NotFound,)

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def _act(self) -> str:
        self.hook.delete_batch(self.batch_id)
        return f"Deleted batch {self.batch_id}"
