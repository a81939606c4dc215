"""What OpenLineage's provider is told, as it asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from tests.airflow_process import run_with_airflow
from tests.airflow_support import BUCKET, RUN
from tests.operators.lineage_support import asked, emitted, names

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

PARAMETERS = {
    "reads": ["s3://reads/S1_1.fastq.gz", "s3://reads/S1_2.fastq.gz"],
    "reference": {"fasta": "s3://references/GRCh38.fa", "again": "s3://references/GRCh38.fa"},
    "note": "see s3://reads/readme",
    "genome": "GRCh38",
}


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


def test_parameters_of_the_connection(emulator: OmicsEmulator, connect: Connect, stepped: SteppedTime) -> None:
    """Inputs are those of the merged parameters, in which the task's own win."""
    connect({"default_run_setting": {"parameters": {"fasta": "s3://references/a.fa", "reads": "s3://reads/no.fq"}}})

    lineage = asked(OmicsStartRunOperator(task_id="t", parameters={"reads": "s3://reads/S1.fq"}, **RUN))

    assert sorted(names(lineage.inputs)) == [("s3://reads", "S1.fq"), ("s3://references", "a.fa")]


def test_airflow_without_openlineage_loads_nothing_of_it() -> None:
    """The operators import neither the provider nor its client."""
    program = (
        "import sys; import airflow_provider_omics.operators.run_batch, airflow_provider_omics.operators.run; "
        "print('LOADED', [n for n in sys.modules if n.startswith('openlineage') or 'openlineage.extractors' in n])"
    )

    done = run_with_airflow(program)

    assert done.returncode == 0, done.stderr
    assert done.stdout.rpartition("LOADED ")[2].strip() == "[]"
