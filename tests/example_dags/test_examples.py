"""The example DAGs as a user meets them: read by Airflow, and run to their ends on the emulator."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from airflow_provider_omics.core.errors import RunCancelled, RunError, RunFailed
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import TaskInstanceRecord
from tests.model_support import is_sendable

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.conftest import RunDag

EXAMPLE_DAGS = Path(__file__).parents[2] / "example_dags"
DIAGNOSED = RunFailed("The run failed.", run_id="1")
DIAGNOSED.diagnosis = {"cause": "OUT_OF_MEMORY_ERROR", "summary": "Run 1 failed\n  why: ..."}
FAILING_SAMPLE = "SRR7961163_GSM3415727_MShef4_J2"
EXAMPLES = [pytest.param(path, id=path.stem) for path in sorted(EXAMPLE_DAGS.glob("example_*.py"))]
OF_THE_CONNECTION = re.compile(
    r'arn:aws:iam|s3://omics-results|role_?arn|output_?uri"?[=:]|staging_s3_uri', re.IGNORECASE
)
"""Role and places, as an argument, a setting or a param."""


@pytest.fixture
def emulator(
    omics_emulator_scaled: OmicsEmulator, omics_connection_scaled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> OmicsEmulator:
    """An emulator whose hours pass in seconds; the examples look for changes that often."""
    monkeypatch.setenv("OMICS_POLL_INTERVAL", "0.1")
    return omics_emulator_scaled


def read_dag(name: str) -> DAG:
    """Read an example as Airflow does."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # the same class where Airflow 2 has it
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]  # noqa: TID251

    bag = DagBag(EXAMPLE_DAGS / name)
    assert not bag.import_errors
    (dag,) = bag.dags.values()
    return dag


def start_batch(emulator: OmicsEmulator) -> str:
    """Start a batch as someone else would: with boto3."""
    started = emulator.client().start_run_batch(
        defaultRunSetting={
            "workflowId": "1234567",
            "roleArn": "arn:aws:iam::123456789012:role/omics-service",
            "outputUri": "s3://omics-results/",
        },
        batchRunSettings={"inlineSettings": [{"runSettingId": name} for name in ("NA12878", "NA12891")]},
        requestId="someone-else",
    )
    return str(started["id"])


@pytest.mark.usefixtures("airflow_db")  # Airflow 2 looks an alias up in it while it reads a DAG scheduled on one
@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_are_read_without_network(path: Path) -> None:
    """Every example is a DAG named as its file, that says what it shows, and needs no connection to be read."""
    dag = read_dag(path.name)

    assert dag.dag_id == path.stem
    assert "On AWS" in path.read_text().split('"""')[1]
    assert dag.doc_md == path.read_text().split('"""')[1]
    assert [name for name in dag.params if not dag.params.get_param(name).description] == []


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_leave_role_and_places_to_the_connection(path: Path) -> None:
    """No example names a service role, or a place to write to: nothing of them is to be changed for AWS."""
    assert OF_THE_CONNECTION.findall(path.read_text()) == []


def test_another_connection(
    emulator: OmicsEmulator,
    omics_connection_scaled: dict[str, Any],
    run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the connection of another team its role and places are those of all runs and results."""
    text = json.dumps(omics_connection_scaled).replace("omics-results", "other-team").replace("omics-service", "other")
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", text)
    emulator.client("s3").create_bucket(Bucket="other-team")

    outcome = run_dag("example_omics_run_batch.py")

    omics = emulator.client()
    runs = [omics.get_run(id=item["id"]) for item in omics.list_runs()["items"]]
    assert len(runs) == 9
    assert {run["roleArn"] for run in runs} == {"arn:aws:iam::123456789012:role/other"}
    assert {run["outputUri"] for run in runs} == {"s3://other-team/outputs/"}
    assert outcome.xcoms["batch"]["return_value"]["results_uri"].startswith("s3://other-team/results/")


def test_run(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """A single run completes, and the next task knows where its outputs are.

    Where boto3 is too old for its scratch storage mode, nothing is started.
    """
    outcome = run_dag("example_omics_run.py", conf={"sample": "NA12891"})

    if not is_sendable(Place.START_RUN, "scratchStorageMode"):
        assert outcome.task_states == {"germline": "failed", "locate": "upstream_failed"}
        assert emulator.calls.by_operation() == {}
        return

    (run,) = emulator.client().list_runs()["items"]
    assert outcome.state == "success"
    assert run["name"] == "NA12891"
    assert outcome.xcoms["locate"]["return_value"] == f"{run['id']} COMPLETED: s3://omics-results/outputs/{run['id']}"


def test_run_batch(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """Eight real samples run on what the first run made; what lacked space runs again, what lacks input does not."""
    emulator.set_scenario(yaml.safe_load((EXAMPLE_DAGS / "scenario.yaml").read_text()))

    outcome = run_dag("example_omics_run_batch.py")

    omics = emulator.client()
    first, second = (
        [omics.get_run(id=item["id"]) for item in omics.list_runs(batchId=batch_id)["items"]]
        for batch_id in ("2000001", "2000002")
    )
    assert outcome.state == "success"
    assert {run["parameters"]["bismark_index"] for run in (*first, *second)} == {
        outcome.xcoms["index"]["return_value"]["run_output_uri"]
    }
    assert {run["name"]: run.get("failureReason") for run in first if run["status"] != "COMPLETED"} == {
        FAILING_SAMPLE: "FILE_SYSTEM_OUT_OF_SPACE",
        "SRR7961104_GSM3415668_MShef11_low_oxygen_Q3": "INPUT_URI_NOT_FOUND",
    }
    assert [(run["name"], run["storageType"]) for run in second] == [(FAILING_SAMPLE, "DYNAMIC")]
    assert outcome.xcoms["report"]["return_value"] == (
        "7 of 8 samples completed; attempts: 2; failed: SRR7961104_GSM3415668_MShef11_low_oxygen_Q3"
    )


def test_run_batch_on_the_default_scenario(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """The defaults of the params fit an emulator that was started without a scenario."""
    outcome = run_dag("example_omics_run_batch.py")

    assert outcome.xcoms["report"]["return_value"] == "8 of 8 samples completed; attempts: 1; failed: none"


LANES = ("WT_REP1_L001", "WT_REP1_L002", "WT_REP2_L001", "KO_REP1_L001", "KO_REP1_L002")


def put_reads(emulator: OmicsEmulator) -> None:
    """Put the reads of the lanes into S3; one file is forgotten."""
    s3 = emulator.client("s3")
    s3.create_bucket(Bucket="omics-inputs")
    for lane in LANES:
        for end in (1, 2) if lane.startswith("WT") else (1,):
            s3.put_object(Bucket="omics-inputs", Key=f"{lane}_R{end}.fastq.gz", Body=b"reads")
    s3.delete_object(Bucket="omics-inputs", Key="WT_REP2_L001_R2.fastq.gz")


def test_sample_sheet(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """The lanes of a sample become one run, in their order; a missing second read is null."""
    outcome = run_dag("example_omics_sample_sheet.py")

    omics = emulator.client()
    runs = {run["name"]: omics.get_run(id=run["id"]) for run in omics.list_runs()["items"]}
    assert outcome.state == "success"
    assert set(runs) == {"WT_REP1", "WT_REP2", "KO_REP1"}
    assert [lane["read_group"] for lane in runs["WT_REP1"]["parameters"]["lanes"]] == ["L001", "L002"]
    assert runs["KO_REP1"]["parameters"]["lanes"][1] == {
        "read_group": "L002",
        "reads": ["s3://omics-inputs/KO_REP1_L002_R1.fastq.gz", None],
    }
    assert runs["KO_REP1"]["tags"]["condition"] == "knock-out"


def test_sample_sheet_whose_reads_are_not_all_there(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """check_inputs, given as a param, stops the batch before a run is started."""
    put_reads(emulator)

    outcome = run_dag("example_omics_sample_sheet.py", conf={"check_inputs": True})

    assert outcome.state == "failed"
    assert emulator.client().list_runs()["items"] == []


@pytest.mark.parametrize(("failing", "state"), [(1, "success"), (3, "failed")])
def test_run_group(emulator: OmicsEmulator, run_dag: RunDag, failing: int, state: str) -> None:
    """The group caps the batch, and is deleted whether the batch is a success or not."""
    parents = ["NA12891", "NA12892", "NA12878"][:failing]
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": name}, "outcome": "FAILED"} for name in parents]})

    outcome = run_dag("example_omics_run_group.py")

    omics = emulator.client()
    groups = {omics.get_run(id=item["id"])["runGroupId"] for item in omics.list_runs()["items"]}
    assert outcome.state == outcome.task_states["batch"] == state
    assert len(groups) == 1
    assert outcome.task_states["delete_group"] == "success"
    assert omics.list_run_groups()["items"] == []


def test_run_cache(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """The second DAG run finds the cache of the first by its name, and the report comes after the batch."""
    outcomes = [run_dag("example_omics_run_cache.py") for _ in range(2)]

    omics = emulator.client()
    (cache,) = omics.list_run_caches()["items"]
    assert [outcome.state for outcome in outcomes] == ["success"] * 2
    assert outcomes[1].xcoms["cohort.report"]["return_value"] == "3 of 3 completed"
    assert {omics.get_run(id=item["id"])["cacheId"] for item in omics.list_runs()["items"]} == {cache["id"]}


def test_release(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """The second DAG run finds the version of the first; runs and batch are of that version."""
    outcomes = [run_dag("example_omics_release.py") for _ in range(2)]

    omics = emulator.client()
    first, second = [outcome.xcoms["release"]["return_value"] for outcome in outcomes]
    (version,) = omics.list_workflow_versions(workflowId=first["workflow_id"])["items"]
    assert [outcome.state for outcome in outcomes] == ["success"] * 2
    assert (first["created"], second) == (True, {**first, "created": False})
    assert outcomes[1].xcoms["report"]["return_value"] == f"germline {version['versionName']}: 3 of 3 completed"
    runs: list[Any] = [omics.get_run(id=item["id"]) for item in omics.list_runs()["items"]]
    assert {run["workflowVersionName"] for run in runs} == {version["versionName"]}
    assert len(runs) == 8


def test_sensor(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """A batch that someone else started is waited for, and the next task sees its counts."""
    batch_id = start_batch(emulator)

    outcome = run_dag("example_omics_sensor.py", conf={"batch_id": batch_id})

    assert outcome.state == "success"
    assert outcome.task_states["cancel"] == "skipped"
    assert outcome.xcoms["accept"]["return_value"] == "2 of 2 completed: True"


def test_sensor_that_waits_too_long(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """When the time is up, what is left of the batch is cancelled, and the DAG run fails."""
    emulator.set_scenario({"runs": [{"running": 1_000_000}]})
    batch_id = start_batch(emulator)
    dag = read_dag("example_omics_sensor.py")
    setattr(dag.get_task("wait"), "timeout", 0.5)  # noqa: B010  # Airflow's hint allows a mapped task, without timeout

    outcome = run_dag(dag, conf={"batch_id": batch_id})

    assert outcome.state == "failed"
    ends = {"wait": "failed", "cancel": "success", "accept": "upstream_failed"}
    assert outcome.task_states == {"start_one": "success", "start": "skipped", **ends}
    assert emulator.client().get_batch(batchId=batch_id)["status"] in ("STOPPING", "CANCELLED")


def test_failure(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """A failure that comes back is not tried again, though the task has retries."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}]})

    outcome = run_dag("example_omics_failure.py")

    assert outcome.task_states == {"run": "failed"}
    assert len(emulator.client().list_runs()["items"]) == 1


@pytest.mark.parametrize(
    ("error", "subject", "message"),
    [
        pytest.param(DIAGNOSED, "run failed: OUT_OF_MEMORY_ERROR", "Run 1 failed\n  why: ...", id="diagnosed"),
        pytest.param(
            RunCancelled("Cancelled.", run_id="1"), "run failed: see its log", "Cancelled.\n  run: 1", id="not"
        ),
    ],
)
def test_notification_of_a_failure(
    monkeypatch: pytest.MonkeyPatch, error: RunError, subject: str, message: str
) -> None:
    """The message to the team is the diagnosis, and the error where there is none."""
    monkeypatch.setenv("OMICS_FAILURE_TOPIC_ARN", "arn:aws:sns:us-east-1:123456789012:failures")
    dag = read_dag("example_omics_failure.py")
    callbacks: Any = dag.get_task("run").on_failure_callback
    _, notifier = callbacks

    notifier.render_template_fields({"dag": dag, "exception": error, "ti": TaskInstanceRecord("run")})

    assert (notifier.subject, notifier.message) == (subject, message)
    assert notifier.target_arn.endswith(":failures")


def test_batch_results(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """The samples that completed go on, three to a task; the one that failed does not hold them up."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": FAILING_SAMPLE}, "outcome": "FAILED"}]})

    outcome = run_dag("example_omics_batch_results.py")

    completed = emulator.client().list_runs(batchId="2000001", status="COMPLETED")["items"]
    loaded = [outcome.xcoms[f"load[{number}]"]["return_value"] for number in range(3)]
    assert outcome.state == "success"
    assert [len(chunk) for chunk in loaded] == [3, 3, 1]
    assert {line.rpartition("/")[2] for chunk in loaded for line in chunk} == {run["id"] for run in completed}
    assert not any(FAILING_SAMPLE in line for chunk in loaded for line in chunk)


def test_rerun(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """After a fix another DAG run submits only the sample that failed, and its results are complete."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": FAILING_SAMPLE}, "outcome": "FAILED"}]})
    first = run_dag("example_omics_rerun.py")
    emulator.set_scenario({})

    results = first.xcoms["batch"]["return_value"]["results_uri"]
    second = run_dag("example_omics_rerun.py", conf={"previous_results": results})

    again = emulator.client().list_runs(batchId="2000002")["items"]
    assert first.state == second.state == "success"
    assert FAILING_SAMPLE in first.xcoms["report"]["return_value"]
    assert [run["storageType"] for run in again] == ["DYNAMIC"]
    assert second.xcoms["report"]["return_value"] == "8 of 8 completed, 7 of them before; failed: []"


def test_repair(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """The named sample alone runs again, into the cohort's file; the cohort then has nothing left to submit."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": FAILING_SAMPLE}, "outcome": "FAILED"}]})
    cohort = run_dag("example_omics_rerun.py")
    emulator.set_scenario({})
    results = cohort.xcoms["batch"]["return_value"]["results_uri"]

    conf = {"results": results, "samples": [FAILING_SAMPLE], "reason": 'lane 3, "late" and the lab\'s', "priority": 7}
    repair = run_dag("example_omics_repair.py", conf=conf)

    omics = emulator.client()
    (run,) = [omics.get_run(id=item["id"]) for item in omics.list_runs(batchId="2000002")["items"]]
    ends = {record.run_setting_id: record.status.value for record in read_batch_results(results)}
    assert repair.state == "success"
    assert repair.xcoms["report"]["return_value"] == f"1 of 1 completed: {results}"
    assert [item["runSettingId"] for item in omics.list_runs_in_batch(batchId="2000002")["runs"]] == [FAILING_SAMPLE]
    assert run["priority"] == 7
    assert omics.get_batch(batchId="2000002")["tags"]["reason"] == conf["reason"]
    assert len(ends) == 8
    assert set(ends.values()) == {"COMPLETED"}


def test_collect_results(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """Each DAG run adds to the same file what has ended since the last one."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "NA12891"}, "running": 1_000_000_000}]})
    omics = emulator.client()
    batch_id = start_batch(emulator)
    while not omics.list_runs(batchId=batch_id, status="COMPLETED")["items"]:
        pass
    first = run_dag("example_omics_collect_results.py", conf={"batch_id": batch_id})
    omics.cancel_run_batch(batchId=batch_id)
    while omics.get_batch(batchId=batch_id)["status"] != "CANCELLED":
        pass
    second = run_dag("example_omics_collect_results.py", conf={"batch_id": batch_id})

    assert first.state == second.state == "success"
    assert first.xcoms["report"]["return_value"] == "1 of 2 completed: NA12878"
    assert second.xcoms["report"]["return_value"] == "1 of 2 completed: NA12878"
    added = [outcome.xcoms["collect"]["return_value"]["new_records"] for outcome in (first, second)]
    assert added == [1, 1]


def test_sample_by_sample(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """Each DAG run starts runs for the samples that no earlier one has taken."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "NA12891"}, "running": 1_000_000_000}]})
    omics = emulator.client()
    batch_id = start_batch(emulator)
    while not omics.list_runs(batchId=batch_id, status="COMPLETED")["items"]:
        pass

    first = run_dag("example_omics_sample_by_sample.py", conf={"batch_id": batch_id})
    second = run_dag("example_omics_sample_by_sample.py", conf={"batch_id": batch_id})

    assert first.state == second.state == "success"
    assert first.task_states["annotate"] == "success"
    assert second.task_states["annotate"] == "skipped"
    assert [item["runSettingId"] for item in omics.list_runs_in_batch(batchId="2000002")["runs"]] == ["NA12878"]


def test_whole_cohort(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """Two samples go first, the others follow, and the next step takes all that completed."""
    outcome = run_dag("example_omics_whole_cohort.py")

    omics = emulator.client()
    assert outcome.state == "success"
    assert outcome.xcoms["joint"]["return_value"] == "8 of 8 samples"
    assert [len(omics.list_runs_in_batch(batchId=batch)["runs"]) for batch in ("2000001", "2000002")] == [2, 6]
