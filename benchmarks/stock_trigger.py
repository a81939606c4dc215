"""A trigger for HealthOmics runs in the standard pattern of the Amazon provider: what a team would write today."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.triggers.base import AwsBaseWaiterTrigger


class StockRunTrigger(AwsBaseWaiterTrigger):
    """Wait for a run with botocore's waiter ``run_completed``: one client and one GetRun per look for each wait.

    :param run_id: id of the run.
    :param waiter_delay: seconds between two looks.
    :param waiter_max_attempts: how many looks; enough for any run, as botocore's own 20 are not.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(self, run_id: str, waiter_delay: int = 30, waiter_max_attempts: int = 100_000, **kwargs: Any) -> None:
        super().__init__(
            serialized_fields={"run_id": run_id},
            waiter_name="run_completed",
            waiter_args={"id": run_id},
            failure_message="The run failed",
            status_message="The run has not ended",
            status_queries=["status"],
            return_key="run_id",
            return_value=run_id,
            waiter_delay=waiter_delay,
            waiter_max_attempts=waiter_max_attempts,
            **kwargs,
        )

    def hook(self) -> Any:
        """Make the hook of this trigger's own client."""
        return AwsBaseHook(
            aws_conn_id=self.aws_conn_id,
            client_type="omics",
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )
