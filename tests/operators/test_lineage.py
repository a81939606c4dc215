"""What OpenLineage's provider is told, as it asks for it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, TaskInstanceRecord, execute, rendered, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

pytest.importorskip("airflow.providers.openlineage")

PARAMETERS = {
    "reads": ["s3://reads/S1_1.fastq.gz", "s3://reads/S1_2.fastq.gz"],
    "reference": {"fasta": "s3://references/GRCh38.fa", "again": "s3://references/GRCh38.fa"},
    "note": "see s3://reads/readme",
    "genome": "GRCh38",
}


def asked(task: Any) -> Any:
    """Run a task, and ask by the methods that the provider's extractor looks for."""
    record = TaskInstanceRecord(task_id=task.task_id)
    context = {"ti": record, "task_instance": record}
    done = rendered(task, context)
    try:
        execute(done, context)
    except Exception:  # noqa: BLE001  # a failed task is asked as well
        return done.get_openlineage_facets_on_failure(record)
    return done.get_openlineage_facets_on_complete(record)


def names(datasets: Any) -> list[tuple[str, str]]:
    return [(dataset.namespace, dataset.name) for dataset in datasets]


def emitted(lineage: Any) -> dict[str, Any]:
    """Give the run facets as they are sent."""
    from openlineage.client.serde import Serde

    return {name: json.loads(Serde.to_json(facet)) for name, facet in lineage.run_facets.items()}


def test_completed_run(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Inputs are the S3 URIs of the parameters, the output is the run's, and a facet says what made it."""
    lineage = asked(OmicsStartRunOperator(task_id="t", parameters=PARAMETERS, **RUN))

    run = emulator.client().get_run(id="10000001")
    facet = emitted(lineage)["healthOmics"]
    assert names(lineage.inputs) == [
        ("s3://reads", "S1_1.fastq.gz"),
        ("s3://reads", "S1_2.fastq.gz"),
        ("s3://references", "GRCh38.fa"),
    ]
    assert names(lineage.outputs) == [(f"s3://{BUCKET}", "runs/10000001")]
    told = {
        "workflowId": "1234567",
        "workflowUuid": run["workflowUuid"],
        "workflowDigest": run["digest"],
        "engineVersion": run["engineVersion"],
        "runId": "10000001",
        "runUuid": run["uuid"],
        "status": "COMPLETED",
    }
    assert told.items() <= facet.items()
    assert emitted(lineage)["externalQuery"]["externalQueryId"] == run["arn"]


def test_failed_run(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A failed run is told with its inputs and its identity."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED"}]})

    lineage = asked(OmicsStartRunOperator(task_id="t", parameters=PARAMETERS, **RUN))

    assert len(lineage.inputs) == 3
    assert emitted(lineage)["healthOmics"]["status"] == "FAILED"


def test_task_that_never_started(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A task that was refused has inputs, and no run."""
    lineage = asked(OmicsStartRunOperator(task_id="t", parameters=PARAMETERS, **{**RUN, "output_uri": "nowhere"}))

    assert len(lineage.inputs) == 3
    assert names(lineage.outputs) == []


def test_masked_parameters(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Names of inputs can identify a patient: masked parameters are not told."""
    lineage = asked(OmicsStartRunOperator(task_id="t", parameters=PARAMETERS, mask_parameters=True, **RUN))

    assert names(lineage.inputs) == []
    assert len(lineage.outputs) == 1


@pytest.mark.parametrize("rule", [{}, {"runs": [{"outcome": "FAILED"}]}], ids=["completed", "failed"])
def test_batch_is_bounded(emulator: OmicsEmulator, stepped: SteppedTime, rule: dict[str, Any]) -> None:
    """Of a batch the first hundred inputs are told, and its own identity."""
    emulator.set_scenario({**rule, "limits": {"submissions_per_second": 100}})
    settings = [
        {**setting, "parameters": {"reads": [f"s3://reads/{setting['name']}_{read}.fq" for read in (1, 2)]}}
        for setting in samples(*(f"S{number}" for number in range(80)))
    ]
    task = OmicsStartRunBatchOperator(
        task_id="t", poll_interval=600, default_run_setting=DEFAULT_RUN_SETTING, run_settings=settings
    )

    lineage = asked(task)

    facet = emitted(lineage)["healthOmics"]
    assert len(lineage.inputs) == 100
    assert (facet["batchId"], facet["status"]) == ("2000001", "PROCESSED")


def test_airflow_without_openlineage_loads_nothing_of_it() -> None:
    """The operators import neither the provider nor its client."""
    program = (
        "import sys; import airflow_provider_omics.operators.run_batch, airflow_provider_omics.operators.run; "
        "print('LOADED', [n for n in sys.modules if n.startswith('openlineage') or 'openlineage.extractors' in n])"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.rpartition("LOADED ")[2].strip() == "[]"
