"""How users' code is typed: checked by mypy --strict in ``make check``, never run.

What is wrong on purpose bears an ignore, and mypy tells of an ignore that is not needed: so each states an error that
users get.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG
from typing_extensions import assert_type

from airflow_provider_omics.decorators import omics_run, omics_run_batch
from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from airflow_provider_omics.emulator.script.faults import Fault
from airflow_provider_omics.exceptions import BatchVerdictError, OmicsError, RunFailed, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.run import OmicsCancelRunOperator, OmicsDeleteRunOperator, OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import (
    OmicsCancelRunBatchOperator,
    OmicsCollectBatchResultsOperator,
    OmicsDeleteBatchOperator,
    OmicsDeleteRunBatchOperator,
    OmicsStartRunBatchOperator,
)
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator
from airflow_provider_omics.results import RecordStatus, RunRecord, completed_chunks, read_batch_results
from airflow_provider_omics.sensors.run import OmicsRunSensor
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor
from airflow_provider_omics.sheets import SampleSheet, each, one, run_settings_from_sheet


def runs() -> None:
    """A run: every kind of argument, templates where numbers are wanted, XComs where ids are wanted."""
    with DAG("runs", schedule=None):
        start = OmicsStartRunOperator(
            task_id="start",
            workflow_id="{{ params.workflow_id }}",
            parameters={"sample": "NA12878", "reads": ["a", None], "depth": 30},
            tags={"team": "genomics"},
            priority="{{ params.priority }}",
            storage_capacity=1200,
            run_timeout=timedelta(hours=12),
            execution_timeout=timedelta(days=2),
            patience=timedelta(hours=1),
            region_name="us-east-1",
            deferrable=True,
            retries=2,
        )
        watch = OmicsRunSensor(task_id="watch", run_id="{{ ti.xcom_pull('start')['run_id'] }}", poll_interval=60)
        cancel = OmicsCancelRunOperator(task_id="cancel", run_id="1")
        start >> [watch, cancel] >> OmicsDeleteRunOperator(task_id="delete", run_id="1")
    OmicsStartRunOperator(task_id="seconds", run_timeout=3600, patience="60", poll_interval=timedelta(minutes=1))
    OmicsStartRunOperator(task_id="wrong", run_timeout=[3600])  # type: ignore[arg-type]  # one limit
    OmicsStartRunOperator(task_id="wrong", parameters=[1])  # type: ignore[arg-type]  # an object, not a list
    OmicsStartRunOperator("positional")  # type: ignore[call-arg]  # arguments have names
    OmicsRunSensor(task_id="wrong")  # type: ignore[call-arg]  # which run?


def batches() -> None:
    """A batch: settings from a list, a sheet, or an upstream task."""
    with DAG("batches", schedule=None):
        sheet = SampleSheet(
            path="s3://omics-inputs/samples.csv",
            run_setting_id="{sample}",
            parameters={"lanes": each(["{fastq_1}", "{fastq_2}"]), "normal": one("{bam}", where={"status": "0"})},
            types={"depth": int, "panel": "json"},
            group_by_id=True,
        )
        batch = OmicsStartRunBatchOperator(
            task_id="batch",
            default_run_setting={"workflowId": "1234567", "storageCapacity": 1200},
            sample_sheet=sheet,
            max_failed_percent=2.5,
            must_succeed=["NA12878", "control-*"],
        )
        OmicsStartRunBatchOperator(task_id="mapping", sample_sheet={**sheet}, max_failed_runs="{{ params.n }}")
        OmicsStartRunBatchOperator(task_id="path", sample_sheet="samples.csv", must_succeed="{{ params.ids }}")
        OmicsStartRunBatchOperator(task_id="list", run_settings=[{"runSettingId": "NA12878"}])
        OmicsStartRunBatchOperator(task_id="upstream", run_settings=batch.output)
        OmicsStartRunBatchOperator.partial(task_id="mapped").expand(sample_sheet=[sheet])
        OmicsRunBatchSensor(task_id="watch", batch_id="1", timeout=3600, soft_fail=True)
        OmicsCollectBatchResultsOperator(task_id="collect", batch_id="1", read_outputs=True)
        OmicsCancelRunBatchOperator(task_id="cancel", batch_id="1")
        OmicsDeleteRunBatchOperator(task_id="delete_runs", batch_id="1", wait_for_completion=False)
        OmicsDeleteBatchOperator(task_id="delete", batch_id="1")
        group = OmicsCreateRunGroupOperator(task_id="group", name="bulk", max_runs=40)
        group >> OmicsDeleteRunGroupOperator(task_id="gone", run_group_id="1").as_teardown(setups=group)
    OmicsStartRunBatchOperator(task_id="wrong", must_succeed=7)  # type: ignore[arg-type]  # ids
    SampleSheet(rows=["NA12878"])  # type: ignore[list-item]  # of which column?


def results(uri: str) -> list[str]:
    """Results are records, and their chunks the arguments to read them."""
    records = read_batch_results(uri, status="COMPLETED")
    assert_type(records, Iterator[RunRecord])
    chunks = completed_chunks(uri, size=50)
    assert_type(chunks, list[dict[str, Any]])
    again = [record for chunk in chunks for record in read_batch_results(**chunk)]
    assert_type(again, list[RunRecord])
    record = next(records)
    assert_type(record.status, RecordStatus)
    assert_type(record.output_uri, "str | None")
    return [record.output_uri]  # type: ignore[list-item]  # it may be None: only a completed run has outputs


def settings() -> list[dict[str, Any]]:
    """A sheet as run settings, in a task."""
    return run_settings_from_sheet(SampleSheet(path="samples.csv"))


def errors(error: OmicsError) -> str:
    """Errors have their facts as attributes."""
    if isinstance(error, RunFailed):
        assert_type(error.failure_reason, "str | None")
        return error.run_id
    if isinstance(error, BatchVerdictError):
        return ", ".join(error.failed_run_settings)
    if isinstance(error, SettingsError):
        return error.problems[0].argument
    return error.run_id  # type: ignore[attr-defined,no-any-return]  # not every error is about a run


def hook() -> None:
    """The hook gives what the stubs of HealthOmics say."""
    client = OmicsHook(aws_conn_id="aws_default", region_name="us-east-1")
    assert_type(client.get_run("1")["status"] == "COMPLETED", bool)
    for item in client.list_runs(name="NA12878", status="RUNNING"):
        client.cancel_run(item["id"])
    client.get_run(1)  # type: ignore[arg-type]  # ids are text


def emulator() -> None:
    """The local HealthOmics in a test."""
    with OmicsEmulator(clock=SteppedClock(), buckets=["omics-results"]) as local:
        local.faults.add(Fault(operation="GetRun", error="ThrottlingException", times=1))
        local.set_scenario({"runs": [{"outcome": "FAILED"}]})
        local.advance(3600)
        assert_type(local.calls["GetRun"], int)


def functions() -> None:
    """TaskFlow: with parentheses and without, mapped, and with an argument that no operator has."""
    with DAG("functions", schedule=None):

        @omics_run
        def align(sample: str) -> dict[str, str]:
            return {"sample": sample}

        @omics_run_batch(default_run_setting={"workflowId": "1234567"}, max_failed_percent=2.5, retries=2)
        def cohort(names: list[str]) -> SampleSheet:
            return SampleSheet(path=f"s3://bucket/{len(names)}.csv")

        align("S1")
        align.expand(sample=["S1", "S2"])
        align.override(task_id="again")("S1")
        cohort(["S1"])
        omics_run(priority=[])  # type: ignore[call-overload]
