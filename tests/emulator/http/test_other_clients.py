"""What programs that nobody here wrote ask HealthOmics for, by the calls that they make.

They are the AWS CLI, aws-healthomics-tools (``run_analyzer``, ``rerun``), miniwdl-omics-run, the JavaScript SDK and the
MCP server of AWS.
"""

from __future__ import annotations

import json
import re
import urllib.request
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_provider_omics.emulator import OmicsEmulator, ScaledClock
from airflow_provider_omics.emulator.definitions.archive import pack
from airflow_provider_omics.emulator.http.clients import make_client
from airflow_provider_omics.emulator.statuses import RUN_ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKET = "genomics-outputs"
ROLE = "arn:aws:iam::123456789012:role/omics"
LOG_GROUP = "/aws/omics/WorkflowLog"
ONE_TRY = Config(inject_host_prefix=False, retries={"total_max_attempts": 1})


def start(emulator: OmicsEmulator, **more: Any) -> str:
    """Start a run."""
    settings = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": f"s3://{BUCKET}/runs", **more}
    return str(emulator.client().start_run(**settings)["id"])


def manifest(emulator: OmicsEmulator, run_id: str) -> list[dict[str, Any]]:
    """Read a run's manifest as run_analyzer does: by the prefix of its stream, up to its last event."""
    logs = emulator.client("logs")
    (stream,) = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"manifest/run/{run_id}/")[
        "logStreams"
    ]
    events = logs.get_log_events(
        logGroupName=LOG_GROUP,
        logStreamName=stream["logStreamName"],
        startFromHead=True,
        endTime=stream["lastEventTimestamp"] + 1,
    )["events"]
    return [json.loads(event["message"]) for event in events]


def test_manifest_describes_its_run(emulator: OmicsEmulator) -> None:
    """All that rerun builds a StartRun from, and that run_analyzer reckons with."""
    omics = emulator.client()
    group = omics.create_run_group(name="g")
    cache = omics.create_run_cache(cacheS3Location=f"s3://{BUCKET}/cache", cacheBehavior="CACHE_ALWAYS")
    emulator.client("s3").put_object(Bucket=BUCKET, Key="reads.bam", Body=b"reads")
    reads = f"s3://{BUCKET}/reads.bam"
    settings = {
        "workflowId": "4567890",
        "workflowVersionName": "3.18.0",
        "name": "NA12878",
        "runGroupId": group["id"],
        "cacheId": cache["id"],
        "priority": 7,
        "retentionMode": "REMOVE",
        "storageType": "STATIC",
        "storageCapacity": 2000,
        "logLevel": "ALL",
        "parameters": {"input": reads, "fasta": "s3://elsewhere/GRCh38.fa"},
    }
    run_id = start(emulator, **settings)
    emulator.advance(100_000)
    of_run, *of_tasks = manifest(emulator, run_id)
    told = omics.get_run(id=run_id)

    assert of_run["workflow"] == "arn:aws:omics:us-east-1:123456789012:workflow/4567890"
    assert of_run["workflowVersion"] == f"{of_run['workflow']}/version/3.18.0"
    for key in ("name", "parameters", "priority", "retentionMode", "storageType", "logLevel"):
        assert of_run[key] == settings[key], key
    assert (of_run["runGroup"], of_run["runCache"]) == (group["arn"], cache["arn"])
    assert (of_run["runCacheBehavior"], of_run["workflowType"]) == ("CACHE_ALWAYS", "PRIVATE")
    assert (of_run["engine"], of_run["main"]) == ("NEXTFLOW", "main.nf")
    for key in ("storageCapacity", "startedBy", "digest", "resourceDigests", "roleArn", "outputUri", "uuid"):
        assert of_run[key] == told[key], key
    assert of_run["storageCapacity"] == of_run["metrics"]["storageReservedGiB"] == 2400
    # The MD5 of b"reads", and one that is made up.
    assert of_run["resourceDigests"][reads] == "etag:0fb9cf5f04f61bb6f1151da57ceb1ca1"
    assert re.fullmatch("etag:[0-9a-f]{32}", of_run["resourceDigests"]["s3://elsewhere/GRCh38.fa"])
    for task in of_tasks:
        details = omics.get_run_task(id=run_id, taskId=task["arn"].rpartition("/")[2])["imageDetails"]
        assert (task["image"], task["imageDigest"]) == (details["image"], details["imageDigest"])
        assert re.fullmatch("sha256:[0-9a-f]{64}", task["imageDigest"])


def test_run_of_a_manifest_starts_again(emulator: OmicsEmulator) -> None:
    """Rerun takes last parts of ARNs, and the account of the workflow's for its type."""
    parameters = {"input": "x"}
    run_id = start(emulator, workflowId="4567890", workflowVersionName="3.14.0", parameters=parameters, name="again")
    emulator.advance(100_000)
    of_run = manifest(emulator, run_id)[0]
    emulator.client().delete_run(id=run_id)
    request = {
        "workflowId": of_run["workflow"].split("/")[-1],
        "workflowType": "READY2RUN" if not of_run["workflow"].split(":")[4] else "PRIVATE",
        "workflowVersionName": of_run["workflowVersion"].split("/")[-1],
        "storageCapacity": of_run["storageCapacity"],
        **{key: of_run[key] for key in ("roleArn", "name", "parameters", "storageType", "outputUri", "retentionMode")},
    }
    again = emulator.client().get_run(id=emulator.client().start_run(**request)["id"])

    assert (again["workflowId"], again["workflowVersionName"]) == ("4567890", "3.14.0")
    assert (again["parameters"], again["name"]) == (parameters, "again")


@pytest.mark.parametrize(("storage", "running", "average"), [("STATIC", 60, 32.0), ("DYNAMIC", 60, 0.0)])
def test_storage_of_short_dynamic_runs_is_not_measured(
    emulator: OmicsEmulator, storage: str, running: int, average: float
) -> None:
    """Run_analyzer multiplies the average use of a DYNAMIC run, which is 0 under two hours."""
    emulator.set_scenario({"runs": [{"running": running}]})
    run_id = start(emulator, storageType=storage)
    emulator.advance(10_000)

    assert manifest(emulator, run_id)[0]["metrics"]["storageAverageGiB"] == average


def test_digest_is_that_of_the_definition(emulator: OmicsEmulator) -> None:
    """The examples of the AWS CLI have sha256: before it, everywhere."""
    omics = emulator.client()
    workflow = omics.create_workflow(name="w", definitionZip=pack({"main.nf": "workflow { }"}))["id"]
    emulator.advance(60)
    digest = omics.get_workflow(id=workflow)["digest"]

    assert re.fullmatch("sha256:[0-9a-f]{64}", digest)
    assert omics.get_run(id=start(emulator, workflowId=workflow))["digest"] == digest
    assert {w["digest"] for w in omics.list_workflows(name="w")["items"]} == {digest}


def test_uri_of_a_cache_is_its_own(emulator: OmicsEmulator) -> None:
    """As in the AWS CLI's example: location, uuid, slash. A location without a bucket is refused."""
    omics = emulator.client()
    first, second = (omics.create_run_cache(cacheS3Location=f"s3://{BUCKET}/cache")["id"] for _ in range(2))
    uris = [cache["cacheS3Uri"] for cache in omics.list_run_caches()["items"]]

    assert uris == [omics.get_run_cache(id=cache)["cacheS3Uri"] for cache in (first, second)]
    assert len(set(uris)) == 2
    for uri in uris:
        assert re.fullmatch(f"s3://{BUCKET}/cache/[0-9a-f-]{{36}}/", uri)
    with pytest.raises(omics.exceptions.ValidationException, match="does not exist"):
        omics.create_run_cache(cacheS3Location="s3://genomics-outptus/cache")


def test_run_without_a_place_for_its_outputs_fails(emulator: OmicsEmulator) -> None:
    """The tasks are done by then: the run fails as its outputs are exported."""
    omics = emulator.client()
    run_id = start(emulator, outputUri="s3://genomics-outptus/runs")
    emulator.advance(100_000)
    run = omics.get_run(id=run_id)

    assert (run["status"], run["failureReason"]) == ("FAILED", "EXPORT_FAILED")
    assert "genomics-outptus does not exist" in run["statusMessage"]
    assert {task["status"] for task in omics.list_run_tasks(id=run_id)["items"]} == {"COMPLETED"}


def test_scenario_may_say_that_a_place_exists(emulator: OmicsEmulator) -> None:
    """Outputs, caches and definitions need nothing in S3 then."""
    emulator.set_scenario({"places": ["s3://lab-*"], "regions": ["us-east-1", "mars-north-1"]})
    omics = emulator.client()
    run_id = start(emulator, outputUri="s3://lab-results")
    cache = omics.create_run_cache(cacheS3Location="s3://lab-cache/a")["id"]
    workflow = omics.create_workflow(name="w", engine="CWL", definitionUri="s3://lab-code/w.zip")["id"]
    emulator.advance(100_000)

    assert omics.get_run(id=run_id)["status"] == "COMPLETED"
    assert omics.get_run_cache(id=cache)["status"] == "ACTIVE"
    told = omics.get_workflow(id=workflow)
    assert (told["status"], told["engine"]) == ("ACTIVE", "CWL")
    assert "the scenario says" in told["statusMessage"]
    in_mars = make_client(
        "omics", access_key="123456789012", region="mars-north-1", endpoint_url=emulator.url, config=ONE_TRY
    )
    assert in_mars.list_runs()["items"] == []
    in_mars.close()


def test_unknown_region_is_refused(emulator: OmicsEmulator) -> None:
    """A typing error in a region reaches nobody in AWS."""
    client = make_client(
        "omics", access_key="123456789012", region="us-west-9", endpoint_url=emulator.url, config=ONE_TRY
    )
    with pytest.raises(ClientError, match="no region us-west-9") as caught:
        client.list_runs()
    client.close()
    assert caught.value.response["Error"]["Code"] == "InvalidSignatureException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    ("files", "more", "message"),
    [
        ({"readme.txt": ""}, {}, "no .wdl, .nf or .cwl file"),
        ({"main.cwl": "cwlVersion: v3"}, {}, "cwlVersion"),
        ({"a.nf": "", "b.nf": ""}, {}, "specify main"),
        ({"main.nf": ""}, {"main": "other.nf"}, "other.nf is not in"),
        (None, {"definitionZip": b"no zip"}, "not a zip archive"),
        (None, {"definitionUri": f"s3://{BUCKET}/missing.zip"}, "does not exist"),
    ],
    ids=str,
)
def test_broken_definition_fails_the_workflow(
    emulator: OmicsEmulator, files: dict[str, str] | None, more: dict[str, Any], message: str
) -> None:
    """CreateWorkflow answers, the workflow becomes FAILED, and no run starts."""
    omics = emulator.client()
    source = {"definitionZip": pack(files)} if files is not None else {}
    workflow = omics.create_workflow(name="w", **source, **more)["id"]
    emulator.advance(60)
    told = omics.get_workflow(id=workflow)

    assert told["status"] == "FAILED"
    assert message in told["statusMessage"]
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        start(emulator, workflowId=workflow)


def test_definition_is_read_and_comes_back(emulator: OmicsEmulator) -> None:
    """Engine, main and parameters are found; the presigned URL has what was uploaded, for runs as well."""
    omics = emulator.client()
    body = pack({"main.cwl": "{cwlVersion: v1.2, class: Workflow, inputs: {reads: File, n: int?}, steps: []}"})
    emulator.client("s3").put_object(Bucket=BUCKET, Key="code/w.zip", Body=body)
    workflow = omics.create_workflow(
        name="w", definitionUri=f"s3://{BUCKET}/code/w.zip", readmeMarkdown="# Of *reads*"
    )["id"]
    emulator.advance(60)
    told = omics.get_workflow(id=workflow, export=["DEFINITION", "README"])

    assert (told["engine"], told["main"]) == ("CWL", "main.cwl")
    assert {name: entry["optional"] for name, entry in told["parameterTemplate"].items()} == {"reads": False, "n": True}
    for parameters in ({}, {"reads": "s3://r/a.bam", "m": 1}):
        with pytest.raises(ClientError, match="ValidationException"):
            start(emulator, workflowId=workflow, parameters=parameters)
    run_id = start(emulator, workflowId=workflow, parameters={"reads": "s3://r/a.bam"})
    of_run = omics.get_run(id=run_id, export=["DEFINITION"])["definition"]
    for url in (told["definition"], of_run):
        with urllib.request.urlopen(url) as answer:  # noqa: S310  # the emulator's own URL
            assert answer.read() == body
    with urllib.request.urlopen(told["readme"]) as answer:  # noqa: S310  # the emulator's own URL
        assert answer.read() == b"# Of *reads*"


def test_wdl_needs_no_engine(emulator: OmicsEmulator) -> None:
    """As miniwdl-omics-run uploads it: a zip with main.wdl, and nothing said of the engine."""
    omics = emulator.client()
    source = "version 1.0\nworkflow greet {\n  input { String name }\n}\n"
    workflow = omics.create_workflow(name="greet", definitionZip=pack({"main.wdl": source}))["id"]
    emulator.advance(60)
    told = omics.get_workflow(id=workflow)

    assert (told["status"], told["engine"], list(told["parameterTemplate"])) == ("ACTIVE", "WDL", ["name"])
    assert "statusMessage" not in told


def test_large_zip_comes_from_s3(emulator: OmicsEmulator) -> None:
    """The User Guide's limit of a definitionZip is 4.4 MB."""
    omics = emulator.client()
    with pytest.raises(omics.exceptions.ValidationException, match="use definitionUri"):
        omics.create_workflow(name="w", definitionZip=b"x" * 6_000_000)


def test_repository_is_kept_and_not_checked(emulator: OmicsEmulator) -> None:
    """No repository is reached, and the workflow says so."""
    omics = emulator.client()
    repository = {
        "connectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/a",
        "fullRepositoryId": "nf-core/rnaseq",
        "sourceReference": {"type": "TAG", "value": "3.18.0"},
    }
    workflow = omics.create_workflow(name="w", definitionRepository=repository)["id"]
    emulator.advance(60)
    told = omics.get_workflow(id=workflow)

    assert (told["status"], told["definitionRepositoryDetails"]) == ("ACTIVE", repository)
    assert told["statusMessage"].startswith("Not checked")


def test_no_line_lies_outside_of_its_run(emulator: OmicsEmulator, start_run_parameters: Callable[..., Any]) -> None:
    """Reading by a run's startTime and stopTime finds all lines of its tasks, whatever the fraction of a second."""
    omics, logs, ids = emulator.client(), emulator.client("logs"), []
    for _ in range(40):
        ids.append(omics.start_run(**start_run_parameters())["id"])
        emulator.advance(1.0007)
    emulator.advance(100_000)
    for run_id in ids:
        run, stream = omics.get_run(id=run_id), {"logGroupName": LOG_GROUP, "logStreamName": f"run/{run_id}/engine"}
        times = {"startTime": milliseconds(run["startTime"]), "endTime": milliseconds(run["stopTime"]) + 1}
        every = logs.get_log_events(**stream)["events"]
        assert logs.get_log_events(**stream, **times)["events"] == every


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def test_events_have_an_account_and_tell_of_workflows(emulator: OmicsEmulator) -> None:
    """In the queue of a rule as from AWS."""
    sqs, events, omics = (emulator.client(name) for name in ("sqs", "events", "omics"))
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["aws.omics"], "account": ["123456789012"]}))
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": arn}])
    good = omics.create_workflow(name="good", definitionZip=pack({"main.nf": ""}))
    bad = omics.create_workflow(name="bad", definitionZip=b"PK")
    emulator.advance(60)
    omics.delete_workflow(id=good["id"])
    received = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        received += [json.loads(message["Body"]) for message in messages]
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    assert {(event["account"], event["detail-type"], event["version"]) for event in received} == {
        ("123456789012", "Workflow Status Change", "0")
    }
    statuses = [(event["detail"]["arn"], event["detail"]["status"]) for event in received]
    assert [status for arn, status in statuses if arn == good["arn"]] == ["CREATING", "ACTIVE", "DELETED"]
    assert [status for arn, status in statuses if arn == bad["arn"]] == ["CREATING", "FAILED"]


def test_missing_stream_is_not_a_missing_group(emulator: OmicsEmulator) -> None:
    """The group is there as soon as there was a run; then the stream is what is missing."""
    logs = emulator.client("logs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log group does not exist"):
        logs.get_log_events(logGroupName=LOG_GROUP, logStreamName="run/1")
    start(emulator)
    with pytest.raises(logs.exceptions.ResourceNotFoundException, match="log stream does not exist"):
        logs.get_log_events(logGroupName=LOG_GROUP, logStreamName="run/1")


@pytest.mark.parametrize("level", ["ALL", "ERROR", "OFF"])
def test_named_streams_exist(emulator: OmicsEmulator, level: str) -> None:
    """Whatever GetRun and GetRunTask name can be read, at any time."""
    omics, logs = emulator.client(), emulator.client("logs")
    run_id, status = start(emulator, logLevel=level), ""
    named: list[str] = []
    while status not in RUN_ENDED:
        emulator.advance(20)
        run = omics.get_run(id=run_id)
        status = run["status"]
        tasks = [
            omics.get_run_task(id=run_id, taskId=task["taskId"]) for task in omics.list_run_tasks(id=run_id)["items"]
        ]
        named = [*run.get("logLocation", {}).values(), *(task["logStream"] for task in tasks if "logStream" in task)]
        for arn in named:
            name = arn.partition(":log-stream:")[2]
            assert logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=name)["events"]
    assert bool(named) is (level == "ALL")


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("dynamodb", "list_tables"),
        ("ecr", "describe_repositories"),
        ("ec2", "describe_instances"),
        ("sns", "list_topics"),
        ("cloudwatch", "list_metrics"),
        ("batch", "describe_jobs"),
        ("route53", "list_hosted_zones"),
    ],
)
def test_missing_service_says_so_in_its_protocol(emulator: OmicsEmulator, service: str, operation: str) -> None:
    """JSON 1.0 and 1.1, EC2, query, CBOR, REST in JSON and in XML: the code is one, and a text comes with it."""
    arguments: dict[str, Any] = {"jobs": ["a"]} if operation == "describe_jobs" else {}
    with pytest.raises(ClientError) as caught:
        getattr(emulator.client(service, config=ONE_TRY), operation)(**arguments)
    response = caught.value.response

    assert response["Error"]["Code"] == "NotEmulated"
    assert "The emulator has no" in response["Error"]["Message"]
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_times_are_the_emulators() -> None:
    """At an hour a second, streams and objects have the times of the run that left them."""
    with OmicsEmulator(clock=ScaledClock(36_000), buckets=["fast-outputs"]) as emulator:
        emulator.reset()
        omics = emulator.client()
        run_id = start(emulator, outputUri="s3://fast-outputs")
        run = omics.get_run(id=run_id)
        while run["status"] != "COMPLETED":
            run = omics.get_run(id=run_id)
        (item, *_) = emulator.client("s3").list_objects_v2(Bucket="fast-outputs")["Contents"]
        streams = emulator.client("logs").describe_log_streams(logGroupName=LOG_GROUP)["logStreams"]

    assert abs((item["LastModified"] - run["stopTime"]).total_seconds()) <= 1
    created, stopped = milliseconds(run["creationTime"]), milliseconds(run["stopTime"])
    assert all(created <= stream["creationTime"] <= stopped for stream in streams)


def test_shared_workflows_are_not_ones_own(emulator: OmicsEmulator) -> None:
    """ListWorkflows has the caller's own; GetRun names the workflow's uuid, not that of the version."""
    omics = emulator.client()
    run_id = start(emulator, workflowId="4567890", workflowVersionName="3.14.0", parameters={"input": "x"})

    assert "5678901" not in [workflow["id"] for workflow in omics.list_workflows()["items"]]
    assert omics.get_run(id=run_id)["workflowUuid"] == omics.get_workflow(id="4567890")["uuid"]


def test_failing_task_is_not_done(emulator: OmicsEmulator) -> None:
    """Of a task that failed, the log that is made up does not say the contrary."""
    emulator.set_scenario(
        {"runs": [{"outcome": "FAILED", "tasks": [{"name": "ALIGN", "outcome": "FAILED"}]}]},
    )
    run_id = start(emulator)
    emulator.advance(100_000)
    (task,) = emulator.client().list_run_tasks(id=run_id)["items"]
    lines = emulator.client("logs").get_log_events(
        logGroupName=LOG_GROUP, logStreamName=f"run/{run_id}/task/{task['taskId']}"
    )["events"]

    assert len(lines) == 2
    assert not any("done" in line["message"] for line in lines)


@pytest.mark.parametrize(
    ("reason", "statuses"),
    [("INPUT_URI_NOT_FOUND", []), ("EXPORT_FAILED", ["COMPLETED"] * 3), ("RUN_TASK_FAILED", ["COMPLETED", "FAILED"])],
)
def test_tasks_fit_the_reason(emulator: OmicsEmulator, reason: str, statuses: list[str]) -> None:
    """A run that cannot import has no task, one that cannot export has no failed one."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "failure_reason": reason}]})
    run_id = start(emulator)
    emulator.advance(100_000)

    assert [task["status"] for task in emulator.client().list_run_tasks(id=run_id)["items"]] == statuses
    assert emulator.client().get_run(id=run_id)["failureReason"] == reason
