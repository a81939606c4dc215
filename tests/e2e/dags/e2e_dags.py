"""DAGs whose tasks are the cases: each name stands for two tasks, one that starts a run and one that starts a batch."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Context

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

ROLE = "arn:aws:iam::123456789012:role/omics-service"
OUTPUT = "s3://omics-e2e/runs/"
FIVE, TWENTY, FORTY, EIGHTY, ENDLESS = (str(1_000_000 + seconds) for seconds in (5, 20, 40, 80, 3600))
VERY_LONG, LONGEST = "1000150", "1000265"
FAILING, FAILING_ONCE, ENDLESS_ONCE = "2000000", "2000001", "2000002"

SECOND_DEPLOYMENT = "OMICS_E2E_SECOND" in os.environ
"""Whether this is the Airflow that has the same DAGs as the first, and in which nothing goes wrong."""

COMMON: dict[str, Any] = {"poll_interval": 1, "deferrable": True, "retries": 2, "retry_delay": timedelta(seconds=1)}


class Dying:
    """Lets the process of a task die around the call that starts its run or batch."""

    def _open(self: Any, context: Context) -> Any:
        for name in ("start_run", "start_run_batch"):
            setattr(self.hook, name, self._dying(getattr(self.hook, name), context["ti"]))
        return super()._open(context)  # type: ignore[misc]  # beside an operator


class KilledBeforeTheCall(Dying):
    """Dies on its first try when the request id is saved and nothing is sent, as when memory runs out."""

    @staticmethod
    def _dying(call: Callable[[Any], Any], task_instance: Any) -> Callable[[Any], Any]:
        def start(request: Any) -> Any:
            if task_instance.try_number == 1 and not SECOND_DEPLOYMENT:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(request)

        return start


class KilledBeforeSaving(Dying):
    """Dies on its first try when the call is answered and the id of the run is not saved."""

    @staticmethod
    def _dying(call: Callable[[Any], Any], task_instance: Any) -> Callable[[Any], Any]:
        def start(request: Any) -> Any:
            started = call(request)
            # -1 is the index of a task that is not mapped; of mapped tasks every fifth dies.
            dies = task_instance.try_number == 1 and task_instance.map_index % 5 == 4
            if dies and not SECOND_DEPLOYMENT:
                os.kill(os.getpid(), signal.SIGKILL)
            return started

        return start


class WithoutStateStore:
    """Runs as on an Airflow that has no task state store."""

    def execute(self, context: Context) -> Any:
        context.pop("task_state_store", None)
        return super().execute(context)  # type: ignore[misc]  # beside an operator

    def execute_complete(self, context: Context, *arguments: Any, **named: Any) -> Any:
        context.pop("task_state_store", None)
        return super().execute_complete(context, *arguments, **named)  # type: ignore[misc]  # beside an operator


class MappedRun(KilledBeforeSaving, OmicsStartRunOperator):
    """Starts a run; every fifth dies."""


class MappedBatch(KilledBeforeSaving, OmicsStartRunBatchOperator):
    """Starts a batch; every fifth dies."""


def pair(name: str, workflow: str, *mixins: type, parameters: dict[str, Any] | None = None, **arguments: Any) -> None:
    """Make the tasks ``run_{name}`` and ``batch_{name}``: one run, and a batch of two.

    :param name: of the case.
    :param workflow: id of the workflow, which says how the runs go.
    :param mixins: what goes wrong in the operators.
    :param parameters: of the workflow.
    :param arguments: of both operators.
    """
    arguments = {**COMMON, **arguments}
    one_run(name, workflow, *mixins, parameters=parameters, **arguments)
    type("Batch", (*mixins, OmicsStartRunBatchOperator), {})(
        task_id=f"batch_{name}",
        default_run_setting={"workflowId": workflow, "roleArn": ROLE, "outputUri": OUTPUT},
        run_settings=[{"runSettingId": f"{name}_{sample}", "parameters": parameters or {}} for sample in "AB"],
        **arguments,
    )


def one_run(name: str, workflow: str, *mixins: type, **arguments: Any) -> None:
    """Make the task ``run_{name}``."""
    type("Run", (*mixins, OmicsStartRunOperator), {})(
        task_id=f"run_{name}",
        workflow_id=workflow,
        role_arn=ROLE,
        output_uri=OUTPUT,
        # The emulator counts starts by name, for the workflows that go otherwise the second time.
        run_name=name if workflow in (FAILING_ONCE, ENDLESS_ONCE) else None,
        **{**COMMON, **arguments},
    )


CHANGING = {"try": "{{ [ti.try_number, 2] | min }}"}
"""Other parameters in the second try; no others in a third, which a busy Airflow makes when it loses one."""

with DAG("workers", schedule=None):
    pair("killed_before_call", FIVE, KilledBeforeTheCall)
    pair("killed_before_saving", FIVE, KilledBeforeSaving)
    pair("killed_waiting", FORTY, deferrable=False)
    pair("terminated", TWENTY, deferrable=False)
    pair("evicted", EIGHTY, deferrable=False)
    # The orphan's deadline is at 216 s, when the second try waits; that one's comes after the run's end: it begins at
    # 67 s at the earliest, as the lost heartbeats alone take 20.
    pair(
        "orphaned",
        LONGEST,
        deferrable=False,
        execution_timeout=timedelta(seconds=240),
        retry_delay=timedelta(seconds=40),
    )
    pair("finished_meanwhile", TWENTY, deferrable=False, retry_delay=timedelta(seconds=40))
    pair("changed_before_call", FIVE, KilledBeforeTheCall, parameters=CHANGING)
    pair("changed_before_saving", FORTY, KilledBeforeSaving, parameters=CHANGING)
    pair("forgotten", FORTY, KilledBeforeSaving, retry_delay=timedelta(seconds=10))
    pair("failed_run", FAILING_ONCE)
    pair("staged_killed_before_call", FIVE, WithoutStateStore, KilledBeforeTheCall, aws_conn_id="omics_staging")
    pair("staged_killed_before_saving", FIVE, WithoutStateStore, KilledBeforeSaving, aws_conn_id="omics_staging")
    pair("staged_killed_waiting", FORTY, WithoutStateStore, aws_conn_id="omics_staging", deferrable=False)

with DAG("users", schedule=None):
    for action in ("marked_failed", "marked_success", "cleared"):
        pair(f"{action}_deferred", ENDLESS_ONCE)
        pair(f"{action}_running", ENDLESS_ONCE, deferrable=False)
    pair("cleared_after_success", FIVE)
    pair("cleared_after_failure", FAILING_ONCE, retries=0)
    pair("staged_cleared_deferred", ENDLESS_ONCE, WithoutStateStore, aws_conn_id="omics_staging")

with DAG("lost", schedule=None):
    # Names of their own: the emulator counts starts by name, those of the tasks above included.
    pair("lost_cleared_deferred", ENDLESS_ONCE)
    pair("lost_cleared_running", ENDLESS_ONCE, deferrable=False)
    pair("killed", FORTY, deferrable=False)

with DAG("abandoned", schedule=None):
    pair("abandoned", ENDLESS)

with DAG("service", schedule=None):
    TWO_ATTEMPTS = {"retries": {"mode": "standard", "total_max_attempts": 2}}
    NO_RETRIES = {"retries": {"mode": "standard", "total_max_attempts": 1}}
    pair("response_lost", FIVE, aws_conn_id="omics_lossy", botocore_config=TWO_ATTEMPTS)
    pair("erring_deferred", EIGHTY, aws_conn_id="omics_erring", botocore_config=NO_RETRIES)
    pair("erring_running", EIGHTY, aws_conn_id="omics_erring", botocore_config=NO_RETRIES, deferrable=False)

with DAG("throttled", schedule=None):
    pair("throttled", FIVE, aws_conn_id="omics_throttling")

with DAG("limits", schedule=None):
    for mode, deferrable in {"deferred": True, "running": False}.items():
        limits: dict[str, Any] = {"deferrable": deferrable, "retries": 0}
        pair(f"execution_timeout_{mode}", ENDLESS, execution_timeout=timedelta(seconds=20), **limits)
        one_run(f"run_timeout_{mode}", ENDLESS, run_timeout=timedelta(seconds=10), **limits)
        pair(f"fails_{mode}", FAILING, **limits)
    pair("refused", FIVE, poll_interval="often")

with DAG("mapping", schedule=None):
    # Airflow counts deferred tasks too: a limit to the mapped runs would keep them from waiting together.
    MappedRun.partial(
        task_id="run_mapped",
        workflow_id=VERY_LONG,
        role_arn=ROLE,
        output_uri=OUTPUT,
        aws_conn_id="omics_shared",
        **{**COMMON, "poll_interval": 10},
    ).expand(parameters=[{"sample": number} for number in range(60)])
    MappedBatch.partial(
        task_id="batch_mapped",
        default_run_setting={"workflowId": FIVE, "roleArn": ROLE, "outputUri": OUTPUT},
        **COMMON,
    ).expand(run_settings=[[{"runSettingId": f"{number}_{sample}"} for sample in "AB"] for number in range(5)])

with DAG("deployments", schedule=None):
    workflow = FIVE if SECOND_DEPLOYMENT else VERY_LONG
    late = timedelta(seconds=100)  # until then the second deployment has started its own
    pair("same_ids", workflow, KilledBeforeSaving, retry_delay=late)
    pair("same_ids_cancelled", workflow)
    pair("same_staging", workflow, WithoutStateStore, KilledBeforeSaving, aws_conn_id="omics_staging", retry_delay=late)

with DAG("triggerers", schedule=None):
    for number in range(10):
        pair(f"waits_{number}", LONGEST)

with DAG("outage", schedule=None):
    # The second try comes when the api-server is back.
    pair("outlived", EIGHTY, deferrable=False, retry_delay=timedelta(seconds=30))
    pair("deferred_before", EIGHTY)
    pair("ended_meanwhile", TWENTY, retry_delay=timedelta(seconds=30))

with DAG("waves", schedule=None):
    OmicsStartRunBatchOperator(
        task_id="batch_of_waves",
        default_run_setting={"workflowId": FIVE, "roleArn": ROLE, "outputUri": OUTPUT},
        run_settings=[{"runSettingId": sample} for sample in ("A1", "A2", "B1", "B2", "C1", "C2")],
        results_s3_uri="s3://omics-e2e/results/waves.jsonl.gz",
        # A task that has just gone to the triggerer is lost if it comes back at once: by its name this one comes back
        # after 10 seconds at first, and after 8 then. Where it was lost all the same, it is tried again.
        collect_every=8,
        aws_conn_id="omics_waves",
        **{**COMMON, "retries": 5},
    )

# What an Airflow before 3.3 can show: its record lies in S3.
with DAG("older", schedule=None):
    for action in ("marked_failed", "marked_success"):
        pair(f"{action}_deferred", ENDLESS, aws_conn_id="omics_staging")
        pair(f"{action}_running", ENDLESS, aws_conn_id="omics_staging", deferrable=False)
    pair("cleared_deferred", ENDLESS_ONCE, aws_conn_id="omics_staging")
    pair("cleared_after_success", FIVE, aws_conn_id="omics_staging")
    pair("killed_before_saving", FIVE, KilledBeforeSaving, aws_conn_id="omics_staging")
    pair("killed_waiting", FORTY, aws_conn_id="omics_staging", deferrable=False)
    pair("failed_run", FAILING_ONCE, aws_conn_id="omics_staging")
    # Ours comes a tenth earlier than Airflow's, which ends the task without a word of ours on Airflow 2.
    late = timedelta(seconds=200)
    pair("execution_timeout", ENDLESS, aws_conn_id="omics_staging", execution_timeout=late, retries=0)
    for number in range(5):
        pair(f"waits_{number}", VERY_LONG, aws_conn_id="omics_staging")
