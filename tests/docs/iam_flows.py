"""What the features of the policies in the documentation do, on the emulator, as a caller that is checked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.errors import ServiceError, SettingsError
from airflow_provider_omics.core.release.requests import DIGEST_TAG
from airflow_provider_omics.links.omics import (
    OmicsCohortReportLink,
    OmicsResultsFileLink,
    OmicsRunBatchLink,
    OmicsRunLink,
)
from airflow_provider_omics.operators.run import OmicsCancelRunOperator, OmicsDeleteRunOperator, OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import (
    OmicsCancelRunBatchOperator,
    OmicsCollectBatchResultsOperator,
    OmicsDeleteBatchOperator,
    OmicsDeleteRunBatchOperator,
)
from airflow_provider_omics.operators.run_cache import (
    OmicsCreateRunCacheOperator,
    OmicsDeleteRunCacheOperator,
    OmicsUpdateRunCacheOperator,
)
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator
from airflow_provider_omics.operators.workflow import OmicsReleaseWorkflowOperator
from airflow_provider_omics.plugin.actions import rerun_answer
from airflow_provider_omics.plugin.cohort import Recorded, cohort_html
from airflow_provider_omics.sensors.run import OmicsRunSensor
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor
from tests.airflow_support import perform
from tests.docs.iam import Need
from tests.docs.iam_stage import INPUTS_KEY, KEY, RESULTS, RUN, SETTING, Stage, batch_of
from tests.operators.tries import START, Task

if TYPE_CHECKING:
    from airflow_provider_omics.triggers.base import OmicsWaitTrigger

REPOSITORY = {
    "connectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/a",
    "fullRepositoryId": "genomics/somatic",
    "sourceReference": {"type": "COMMIT", "value": "0123456789abcdef"},
}
ENDLESS = {"runs": [{"running": 1e9}]}


def run(stage: Stage) -> None:
    """Start in a run group, watch."""
    group = str(stage.omics.create_run_group(requestId="someone-else")["id"])
    task = OmicsStartRunOperator(**RUN, run_group_id=group, tags={"team": "genomics"})

    assert stage.perform(task).error is None


def deferred_runs(stage: Stage) -> None:
    """Watch two runs in the triggerer, one of which is PENDING for long in its run group."""
    group = str(stage.omics.create_run_group(requestId="someone-else", maxRuns=1)["id"])
    stage.emulator.set_scenario({"runs": [{"running": 6000}]})
    triggers = [stage.world.trigger(run, poll_interval=60.0) for run in stage.world.start(2, runGroupId=group)]

    assert deferred(stage, *triggers) == ["COMPLETED"] * 2
    assert stage.world.calls["GetRunGroup"] == 1


def deferred(stage: Stage, *triggers: OmicsWaitTrigger) -> list[str]:
    """Let many waits in one triggerer end, and tell the statuses that they end with."""
    stage.begin()
    return [event.snapshot.status for event in stage.world.play(*map(stage.world.wait, triggers))]


def found_by_the_next_try(stage: Stage, kind: str = "run") -> None:
    """Start, get no answer, and find hours later by name and tag what was started."""
    task = Task(stage.emulator, stage.connect, kind=kind)
    task.arguments = {"role_arn": SETTING["roleArn"]} if kind == "run" else {"default_run_setting": SETTING}
    stage.emulator.faults.add(operation=START[kind], lost_response=True, times=1)
    stage.begin()

    assert task.try_(patience=timedelta(0)).error is not None
    stage.emulator.advance(7200)
    assert task.try_().error is None
    assert len(task.started()) == 1


def batch(stage: Stage) -> None:
    """Start, watch, name the failed and the refused."""
    refused = {"match": {"run_setting_id": "NA12892"}, "submission_failure": {"reason": "ConflictException"}}
    failed = {"match": {"run_setting_id": "NA12891"}, "outcome": "FAILED"}
    stage.emulator.set_scenario({"runs": [refused, failed]})

    ended = stage.perform(batch_of("NA12878", "NA12891", "NA12892", max_failed_runs=2, tags={"team": "genomics"}))

    assert ended.error is None
    assert set(ended.result["failed_run_setting_ids"]) == {"NA12891", "NA12892"}


def batch_found_by_the_next_try(stage: Stage) -> None:
    """The same with a batch."""
    found_by_the_next_try(stage, "batch")


def cancel_run(stage: Stage) -> None:
    """Cancel by id."""
    assert stage.perform(OmicsCancelRunOperator(task_id="cancel", run_id=stage.run())).error is None


def cancel_batch(stage: Stage) -> None:
    """Cancel by id, and once more."""
    batch_id = stage.batch()
    stage.emulator.advance(60)

    for _ in range(2):
        assert stage.perform(OmicsCancelRunBatchOperator(task_id="cancel", batch_id=batch_id)).error is None


def time_limits(stage: Stage) -> None:
    """Cancel what takes too long, and the runs that outlive a partial cancel of their batch."""
    stage.emulator.set_scenario({**ENDLESS, "batches": [{"cancel_failures": 1}]})

    for deferrable in (False, True):
        limit: dict[str, Any] = {"execution_timeout": timedelta(minutes=10), "deferrable": deferrable}
        for task in (OmicsStartRunOperator(**RUN, **limit), batch_of("NA12878", "NA12891", **limit)):
            assert "TimedOut" in type(stage.perform(task).error).__name__


def stragglers(stage: Stage) -> None:
    """Cancel what a batch that failed has started."""
    stage.emulator.set_scenario({**ENDLESS, "batches": [{"failure": {"reason": "An error.", "after_runs": 1}}]})

    assert type(stage.perform(batch_of("NA12878", "NA12891")).error).__name__ == "BatchFailed"
    assert stage.emulator.service.started_runs()[0]["status"] in ("STOPPING", "CANCELLED")


def delete(stage: Stage) -> None:
    """Delete a run, the runs of a batch, the batch."""
    run_id, batch_id = stage.run(), stage.batch()
    stage.emulator.advance(7200)

    for task in (
        OmicsDeleteRunOperator(task_id="delete", run_id=run_id),
        OmicsDeleteRunBatchOperator(task_id="delete", batch_id=batch_id),
        OmicsDeleteBatchOperator(task_id="delete", batch_id=batch_id),
    ):
        assert stage.perform(task).error is None


def sensors(stage: Stage) -> None:
    """Wait for a run, for a batch, and for a run whose record is gone."""
    run_id, batch_id = stage.run(), stage.batch()
    stage.emulator.advance(7200)

    assert stage.perform(OmicsRunSensor(task_id="wait", run_id=run_id)).error is None
    assert stage.perform(OmicsRunBatchSensor(task_id="wait", batch_id=batch_id)).error is None
    stage.emulator.service.remove_run(run_id)
    assert stage.perform(OmicsRunSensor(task_id="wait", run_id=run_id)).error is None


def deferred_sensors(stage: Stage) -> None:
    """Wait for many runs in one triggerer, which share the pages of lists, and for a batch."""
    stage.emulator.set_scenario({"runs": [{"running": 600}]})

    batch = stage.world.batch_trigger(stage.world.start_batch("NA12878"))

    ended = deferred(stage, batch, *map(stage.world.trigger, stage.world.start(40)))

    assert ended == ["PROCESSED"] + ["COMPLETED"] * 40
    assert stage.world.calls["ListRuns"] > 0


def failures(stage: Stage) -> None:
    """Diagnose a run, and a batch."""
    stage.emulator.set_scenario({"runs": [{"outcome": "FAILED"}]})

    for task in (OmicsStartRunOperator(**RUN), batch_of("NA12878")):
        error: Any = stage.perform(task).error
        assert "Note:" not in error.diagnosis["summary"]


def vanished(stage: Stage) -> None:
    """Read how a run ended whose record is gone."""
    stage.emulator.set_scenario({"runs": [{"vanish_after": 0}]})

    assert stage.perform(OmicsStartRunOperator(**RUN)).error is None


def workflows(stage: Stage) -> None:
    """Look a workflow up, and a version of one."""
    assert stage.perform(OmicsStartRunOperator(**RUN, check_workflow=True)).error is None
    version = {"workflow_id": "4567890", "workflow_version_name": "3.18.0", "parameters": {"input": "s3://a/b"}}
    assert stage.perform(OmicsStartRunOperator(**{**RUN, **version}, check_workflow=True)).error is None


def ready2run(stage: Stage) -> None:
    """Look a Ready2Run workflow up and start it, and a version of it."""
    workflow = {"id": "9500764", "name": "GATK-BP", "type": "READY2RUN", "engine": "WDL", "versions": ["3.0.0"]}
    stage.emulator.set_scenario({"workflows": [workflow]})

    for version in (None, "3.0.0"):
        whose = {"workflow_id": "9500764", "workflow_type": "READY2RUN", "workflow_version_name": version}
        assert stage.perform(OmicsStartRunOperator(**{**RUN, **whose}, check_workflow=True)).error is None


def shared_workflow(stage: Stage) -> None:
    """The same with a workflow that another account shares."""
    workflow = {"id": "5678901", "name": "shared-qc", "owner": "111122223333", "versions": ["3.0.0"]}
    stage.emulator.set_scenario({"workflows": [workflow]})

    for version in (None, "3.0.0"):
        whose = {"workflow_id": "5678901", "workflow_owner_id": "111122223333", "workflow_version_name": version}
        assert stage.perform(OmicsStartRunOperator(**{**RUN, **whose}, check_workflow=True)).error is None


def shared_workflow_in_batch(stage: Stage) -> None:
    """The same in a batch."""
    setting = {**SETTING, "workflowId": "5678901", "workflowOwnerId": "111122223333"}

    ended = stage.perform(batch_of("NA12878", default_run_setting=setting, check_workflow=True))

    assert ended.error is None


def inputs(stage: Stage, **arguments: Any) -> None:
    """Look up an object that is there, and one that is not."""
    stage.s3.put_object(Bucket="omics-inputs", Key="NA12878.bam", Body=b"reads")
    parameters = {"bam": "s3://omics-inputs/NA12878.bam", "vcf": "s3://omics-inputs/NA12891.vcf"}

    ended = stage.perform(OmicsStartRunOperator(**RUN, parameters=parameters, check_inputs=True, **arguments))

    assert isinstance(ended.error, SettingsError)
    assert [problem.argument for problem in ended.error.problems] == ["parameters['vcf']"]


def inputs_with_key(stage: Stage) -> None:
    """The same with a key, for which nothing more is needed."""
    stage.encrypt_inputs()
    inputs(stage)
    assert stage.s3.head_object(Bucket="omics-inputs", Key="NA12878.bam")["SSEKMSKeyId"] == INPUTS_KEY


def inputs_of_role(stage: Stage) -> None:
    """The same, as the service role."""
    inputs(stage, check_role_arn=SETTING["roleArn"])


def sheets(stage: Stage) -> None:
    """Read a sheet, and miss one."""
    stage.s3.put_object(Bucket="omics-inputs", Key="samples.csv", Body=b"sample\nNA12878\n")

    assert stage.perform(batch_of(sample_sheet="s3://omics-inputs/samples.csv")).error is None
    assert "there is no such object" in str(stage.perform(batch_of(sample_sheet="s3://omics-inputs/no.csv")).error)


def sheets_with_key(stage: Stage) -> None:
    """The same with a key."""
    stage.encrypt_inputs()
    sheets(stage)


def settings_with_key(stage: Stage) -> None:
    """Read a document of settings with a key."""
    stage.encrypt_inputs()
    stage.s3.put_object(Bucket="omics-inputs", Key="settings.json", Body=json.dumps([{"runSettingId": "NA12878"}]))

    assert stage.perform(batch_of(run_settings_s3_uri="s3://omics-inputs/settings.json")).error is None


def staging(stage: Stage, **omics: Any) -> None:
    """Stage a run's own sheet and a long list, both for the service role, and fail to stage one of several parts."""
    stage.connect({"staging_s3_uri": "s3://omics-results/staging/", **omics})
    names = [f"S{number}" for number in range(101)]

    with TemporaryDirectory() as folder:
        path = Path(folder, "lanes.csv")
        path.write_text("sample,lane\nNA12878,L001\n", encoding="utf-8")
        sheet = {"path": str(path), "run_setting_id": "{sample}", "input_sheet": "input"}
        assert stage.perform(batch_of(task_id="own", sample_sheet=sheet, durable=False)).error is None
    stage.emulator.set_scenario({"limits": {"submissions_per_second": 9e6}})
    assert stage.perform(batch_of(*names, durable=False)).error is None
    read = {need.resource for need in stage.iam.read_by_service if need.action == "s3:GetObject"}
    assert {arn.split("/")[2] for arn in read} == {"input-sheets", "run-settings"}
    long = [{"runSettingId": name, "parameters": {"text": "x" * 90_000}} for name in names]
    stage.iam.broken = {"UploadPart"}
    broken = stage.perform(batch_of(task_id="long", run_settings=long, durable=False, patience=timedelta(0)))
    assert isinstance(broken.error, ServiceError)


def staging_with_key(stage: Stage) -> None:
    """The same with a key."""
    staging(stage, staging_kms_key_id=KEY)
    assert Need("kms:Decrypt", KEY) in stage.iam.read_by_service


def attempts(stage: Stage, **omics: Any) -> None:
    """Keep the record of an attempt in S3, and find it there."""
    stage.connect({"staging_s3_uri": "s3://omics-results/staging/", **omics})

    for _ in range(2):
        assert stage.perform(OmicsStartRunOperator(**RUN)).error is None
    assert len(stage.emulator.service.started_runs()) == 1


def attempts_with_key(stage: Stage) -> None:
    """The same with a key."""
    attempts(stage, staging_kms_key_id=KEY)


def results(stage: Stage) -> None:
    """Collect the results of a batch one run of which is gone, with the summary of the other."""
    stage.emulator.set_scenario({"workflows": [{"id": "1234567", "name": "wgs", "engine": "WDL"}]})
    batch_id = stage.batch()
    stage.emulator.advance(7200)
    stage.emulator.service.remove_run(stage.emulator.service.started_runs()[0]["id"])

    ended = stage.perform(
        OmicsCollectBatchResultsOperator(
            task_id="collect", batch_id=batch_id, results_s3_uri=f"{RESULTS}r.jsonl", read_outputs=True
        )
    )

    assert ended.error is None
    assert ended.result["completed_runs"] == 2


def results_of_own_batch(stage: Stage) -> None:
    """Write the results of a batch that the task itself has started, one of whose runs failed, with what is put out."""
    stage.emulator.set_scenario({"runs": [{"match": {"run_setting_id": "NA12891"}, "outcome": "FAILED"}]})

    ended = stage.perform(batch_of("NA12878", "NA12891", results_s3_uri=RESULTS, max_failed_runs=1, read_outputs=True))

    assert ended.error is None
    assert ended.result["results_uri"].startswith(RESULTS)


def costs(stage: Stage) -> None:
    """Read what the runs of a batch cost, by the Price List."""
    ended = stage.perform(batch_of("NA12878", "NA12891", results_s3_uri=RESULTS, read_costs=True))

    assert ended.error is None
    assert ended.result["cost_runs"] == 2
    assert ended.result["cost_by_cause"] == []


def expected_outputs(stage: Stage) -> None:
    """Look for what a run has to leave."""
    stage.emulator.set_scenario({"runs": [{"outputs": ["a.vcf.gz"]}]})

    ended = stage.perform(OmicsStartRunOperator(**RUN, expected_outputs={"vcf": "*.vcf.gz"}))

    assert ended.error is None
    assert len(ended.result["files"]["vcf"]) == 1


def results_of_lists(stage: Stage) -> None:
    """Collect what has ended of a batch that is going, where lists alone tell how."""
    stage.emulator.set_scenario({"runs": [{"match": {"run_setting_id": "NA12891"}, "running": 90_000}]})
    batch_id = stage.batch()
    stage.emulator.advance(7200)
    place = f"{RESULTS}r.jsonl"

    ended = stage.perform(
        OmicsCollectBatchResultsOperator(
            task_id="collect", batch_id=batch_id, results_s3_uri=place, results_detail="listed"
        )
    )

    assert ended.error is None
    assert ended.result["completed_runs"] == 1


def results_alone(stage: Stage) -> None:
    """Submit many settings of an object again, staged beside the results, where an upload fails first."""
    failed = {"outcome": "FAILED", "failure_reason": "SERVICE_ERROR"}
    limits = {"submissions_per_second": 9e6, "concurrent_dynamic_runs": 1000}
    settings = [{"runSettingId": f"S{number}", "parameters": {"text": "x" * 90_000}} for number in range(101)]
    stage.s3.put_object(Bucket="omics-inputs", Key="settings.json", Body=json.dumps(settings))
    task = Task(stage.emulator, stage.connect, kind="batch", retries=3)
    task.arguments = {
        "default_run_setting": SETTING,
        "run_settings": None,
        "run_settings_s3_uri": "s3://omics-inputs/settings.json",
        "results_s3_uri": RESULTS,
        "results_detail": "listed",  # how each of the runs ended is for `results`
        "patience": timedelta(0),
    }
    stage.begin()

    stage.emulator.set_scenario({"runs": [failed], "limits": limits})
    assert type(task.try_().error).__name__ == "BatchVerdictError"
    stage.emulator.set_scenario({"limits": limits})
    stage.iam.broken = {"UploadPart"}
    assert isinstance(task.try_().error, ServiceError)
    stage.iam.broken = set()
    assert task.try_().error is None
    assert [batch["totalRuns"] for batch in task.started()] == [101, 101]


def results_with_key(stage: Stage) -> None:
    """Collect the results of a batch with a key, once more when they are there."""
    stage.connect({"results_s3_uri": RESULTS, "results_kms_key_id": KEY})
    batch_id = stage.batch()
    stage.emulator.advance(7200)

    for new in (2, 0):
        ended = stage.perform(OmicsCollectBatchResultsOperator(task_id="collect", batch_id=batch_id))
        assert ended.error is None
        assert ended.result["new_records"] == new


def tab(stage: Stage) -> None:
    """Show the cohort of a task that has ended, while it went on, and a run; ask what a rerun would submit."""
    stage.emulator.set_scenario({"runs": [{"match": {"run_setting_id": "NA12891"}, "outcome": "FAILED"}]})
    xcoms = perform(batch_of("NA12878", "NA12891", results_s3_uri=RESULTS)).xcoms
    links = {"batch": OmicsRunBatchLink, "report": OmicsCohortReportLink, "results": OmicsResultsFileLink}
    known = Recorded("tab", **{name: xcoms[link.key] for name, link in links.items()})
    run = Recorded("tab", run=perform(OmicsStartRunOperator(**RUN)).xcoms[OmicsRunLink.key])
    stage.begin()

    assert "1 of 2 samples completed" in cohort_html(known)
    assert "1 of 2 samples completed" in cohort_html(replace(known, is_going=True))
    assert "completed" in cohort_html(run)
    assert rerun_answer(known, "failed", "failed")["is_offered"]


def run_groups(stage: Stage) -> None:
    """Create one with tags, and delete it."""
    created = stage.perform(OmicsCreateRunGroupOperator(task_id="create", name="bulk", tags={"team": "genomics"}))

    assert stage.perform(OmicsDeleteRunGroupOperator(task_id="delete", run_group_id=created.result)).error is None


def run_caches(stage: Stage) -> None:
    """Create one with tags, find it by its name, change it, and delete it."""
    create = OmicsCreateRunCacheOperator(
        task_id="create", name="bulk", cache_s3_location="s3://omics-results/cache/", tags={"team": "genomics"}
    )
    created, found = stage.perform(create), stage.perform(create)
    update = OmicsUpdateRunCacheOperator(task_id="update", cache_id=found.result, cache_behavior="CACHE_ALWAYS")

    assert created.result == found.result
    assert stage.perform(update).error is None
    assert stage.perform(OmicsDeleteRunCacheOperator(task_id="delete", cache_id=found.result)).error is None


def names(stage: Stage) -> None:
    """Start a run by names, held against a digest and a list."""
    release = OmicsReleaseWorkflowOperator(task_id="release", name="somatic", definition=REPOSITORY, deferrable=False)
    released = perform(release).result
    stage.omics.create_run_group(name="bulk", requestId="g")
    stage.omics.create_run_cache(name="shared", cacheS3Location="s3://omics-results/cache/", requestId="c")
    stage.connect({"approved_workflows": [{"workflow": "somatic"}], "run_group_name": "bulk"})
    by_name = {**RUN, "workflow_id": None, "workflow_name": "somatic", "cache_name": "shared"}
    version = {"workflow_version_name": released["workflow_version_name"], "workflow_digest": released["digest"]}

    assert stage.perform(OmicsStartRunOperator(**by_name, **version)).error is None


def releases(stage: Stage) -> None:
    """Release a workflow twice, beside one of the same name that another task has created at once."""
    release = OmicsReleaseWorkflowOperator(
        task_id="release", name="somatic", definition=REPOSITORY, tags={"team": "genomics"}, deferrable=False
    )
    created = stage.perform(release)
    stage.omics.create_workflow(
        name="somatic", definitionRepository=REPOSITORY, tags={DIGEST_TAG: "of another task"}, requestId="w"
    )
    found = stage.perform(release)

    assert created.error is None
    assert found.result == created.result  # the same task in the same DAG run has created it
    assert len(stage.omics.list_workflows(name="somatic")["items"]) == 1
