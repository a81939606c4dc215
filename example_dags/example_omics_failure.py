"""A failure that tells its cause: the first message to a team's SNS topic says why a run failed and whose move it is.

The error of a failed task carries its diagnosis as data. Here it becomes a message through the Amazon provider's
``SnsNotifier``; any callback finds the same in ``context["exception"].diagnosis``.

On the local HealthOmics with ``scenario.yaml``, a run named ``low-memory`` fails, and the task log explains it. There
is no SNS there: the notification is switched off as long as ``OMICS_FAILURE_TOPIC_ARN`` is not set. On AWS only the
connection ``aws_default`` changes, as it has the service role and all places; the workflow is a param and the topic
this variable, as they are yours.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from airflow.providers.amazon.aws.notifications.sns import SnsNotifier
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_omics.operators.run import OmicsStartRunOperator

# Seconds between two looks. On the local HealthOmics hours pass in seconds, so the tests and the demo look more often.
POLL_INTERVAL = float(os.environ.get("OMICS_POLL_INTERVAL", "30"))
TOPIC_ARN = os.environ.get("OMICS_FAILURE_TOPIC_ARN")
log = logging.getLogger(__name__)


def tell_owner(context: Any) -> None:
    """Say in the log whom a failure is for; a place for a ticket, a page, a message of your own."""
    diagnosis = getattr(context["exception"], "diagnosis", None)
    if diagnosis is not None:
        log.warning("For the %s: %s. %s", diagnosis["owner"], diagnosis["cause"], diagnosis["action"])


notify_team = SnsNotifier(
    target_arn=TOPIC_ARN or "",
    subject="{{ ti.task_id }} failed: {{ (exception.diagnosis or {}).get('cause', 'see its log') }}",
    message="{{ (exception.diagnosis or {}).get('summary') or exception }}",
)

with DAG(
    "example_omics_failure",
    schedule=None,
    params={
        "workflow_id": "1234567",
        "run_name": Param("low-memory", type="string", description="The local HealthOmics lets low-memory fail"),
    },
    tags=["example", "healthomics"],
):
    OmicsStartRunOperator(
        task_id="run",
        workflow_id="{{ params.workflow_id }}",
        run_name="{{ params.run_name }}",
        poll_interval=POLL_INTERVAL,
        retries=3,  # spent on what may pass: too little memory or a missing input ends the task at once
        failure_log_lines=30,
        deferrable=True,
        on_failure_callback=[tell_owner, notify_team] if TOPIC_ARN else tell_owner,
    )
