from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator.script.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

ROLE = "arn:aws:iam::123456789012:role/r"
RUN: dict[str, Any] = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": "s3://o/p"}
BATCH: dict[str, Any] = {"defaultRunSetting": RUN, "batchRunSettings": {"inlineSettings": [{"runSettingId": "S"}]}}

#: Operation, request, a different request.
IDEMPOTENT = [
    ("StartRun", RUN, {**RUN, "name": "n"}),
    ("StartRunBatch", BATCH, {**BATCH, "batchName": "n"}),
    ("CreateRunGroup", {"name": "g"}, {"name": "h"}),
    ("CreateRunCache", {"cacheS3Location": "s3://cache"}, {"cacheS3Location": "s3://other"}),
    ("CreateWorkflow", {"definitionZip": "UEs="}, {"definitionZip": "UEsD"}),
    (
        "CreateWorkflowVersion",
        {"workflowId": "1234567", "versionName": "v", "definitionUri": "s3://code/w.zip"},
        {"workflowId": "1234567", "versionName": "w", "definitionUri": "s3://code/w.zip"},
    ),
]


@pytest.mark.parametrize(("operation", "request_", "other"), IDEMPOTENT)
def test_repeated_request_is_answered_as_before(
    omics: Any, operation: str, request_: dict[str, Any], other: dict[str, Any]
) -> None:
    """The same request under the same id: the first answer, however late; nothing new. Another request: conflict."""
    first = omics(operation, requestId="one", **request_)
    omics.advance(1e6)
    assert omics(operation, requestId="one", **request_) == first
    assert omics.refuses(operation, requestId="one", **other) == "ConflictException"
    if operation != "CreateWorkflowVersion":
        assert omics(operation, requestId="two", **request_) != first
    assert omics(operation, requestId="one", **request_) == first


def test_ids_are_told_apart_by_operation(omics: Any) -> None:
    """One id serves one request of each operation."""
    omics("StartRun", requestId="one", **RUN)
    assert omics.refuses("StartRunBatch", requestId="one", **BATCH) == ""


def test_refused_request_is_not_remembered(omics: Any) -> None:
    """After an error the same id may come with a corrected request."""
    wrong = {**RUN, "workflowId": "999"}
    assert omics.refuses("StartRun", requestId="one", **wrong) == "ResourceNotFoundException"
    assert omics.refuses("StartRun", requestId="one", **RUN) == ""


@pytest.mark.parametrize(("seconds", "remembered"), [(59, True), (60, False)])
def test_ids_may_be_forgotten_in_time(make_omics: Callable[..., Any], seconds: int, remembered: bool) -> None:
    """With request_id_memory the same id starts something new after so long."""
    omics = make_omics({"request_id_memory": 60})
    first = omics("StartRun", requestId="one", **RUN)
    omics.advance(seconds)
    assert (omics("StartRun", requestId="one", **RUN) == first) is remembered


def test_ids_may_be_forgotten_by_hand(omics: Any) -> None:
    """forget_request_ids forgets all: the repeated request starts a second run."""
    omics("StartRun", requestId="one", **RUN)
    omics.service.forget_request_ids()
    omics("StartRun", requestId="one", **RUN)
    assert [run["requestId"] for run in omics.service.started_runs()] == ["one", "one"]
    assert len({run["id"] for run in omics.service.started_runs()}) == 2


def test_answers_and_requests_are_copies(omics: Any) -> None:
    """What a caller does to a request or an answer afterwards changes nothing."""
    request = {**RUN, "requestId": "one", "parameters": {"deep": [1]}, "tags": {"x": "y"}}
    answer = omics.service.call("StartRun", request)
    request["parameters"]["deep"].append(2)
    answer["tags"]["x"] = "z"
    assert omics.run(answer["id"])["parameters"] == {"deep": [1]}
    assert omics.run(answer["id"])["tags"] == {"x": "y"}
    repeated = {**RUN, "requestId": "one", "parameters": {"deep": [1]}, "tags": {"x": "y"}}
    assert omics.service.call("StartRun", repeated)["tags"] == {"x": "y"}


def test_accounts_and_regions_are_apart(omics: Any) -> None:
    """Each account has its own runs in each region; the ids may be the same, the uuids are not."""
    places = [("123456789012", "us-east-1"), ("123456789012", "eu-west-1"), ("111122223333", "us-east-1")]
    answers = [
        omics.service.call("StartRun", {**RUN, "requestId": "one"}, account=account, region=region)
        for account, region in places
    ]
    assert len({answer["uuid"] for answer in answers}) == 3
    for (account, region), answer in zip(places, answers, strict=True):
        listed = omics.service.call("ListRuns", {}, account=account, region=region)["items"]
        assert [run["arn"] for run in listed] == [answer["arn"]]
        assert answer["arn"] == f"arn:aws:omics:{region}:{account}:run/{answer['id']}"
    assert {(run["account"], run["region"]) for run in omics.service.started_runs()} == set(places)


def test_snapshot_counts(omics: Any) -> None:
    """Snapshot counts runs and batches by status, and what was started ever."""
    batch_id = omics.start_batch(2)
    omics.start_run()
    omics.advance(100)
    omics.start_run()
    assert omics.service.snapshot() == {
        "now": omics.clock.now(),
        "runs": {"RUNNING": 3, "PENDING": 1},
        "batches": {"INPROGRESS": 1},
        "queued_runs": 0,
        "started_runs": 4,
        "started_batches": 1,
    }
    (batch,) = omics.service.started_batches()
    assert (batch["id"], batch["status"], batch["totalRuns"], batch["exists"]) == (batch_id, "INPROGRESS", 2, True)
    assert [run["runSettingId"] for run in omics.service.started_runs()] == [None, "S0", "S1", None]


def test_reset_forgets_all_but_the_scenario(make_omics: Callable[..., Any]) -> None:
    """After reset all is as at the start, ids too; the scenario stays."""
    omics = make_omics({"runs": [{"pending": 77}]})
    first = omics.start_run(requestId="one")
    omics.service.reset()
    assert omics.service.started_runs() == omics.pages("ListRuns") == []
    second = omics.start_run(requestId="one")
    assert (second["id"], second["uuid"]) == (first["id"], first["uuid"])
    omics.advance(76)
    assert omics.run(second["id"])["status"] == "PENDING"


def test_new_scenario_is_for_new_runs(omics: Any) -> None:
    """set_scenario: runs keep the rules that they started under, new ones have the new; workflows are added."""
    old = omics.start_run()["id"]
    scenario = {"runs": [{"outcome": "FAILED"}], "workflows": [{"id": "42", "name": "new"}]}
    omics.service.set_scenario(Scenario.from_mapping(scenario))
    new, other = omics.start_run()["id"], omics.start_run(workflowId="42")["id"]
    omics.advance(1000)
    assert [omics.run(run_id)["status"] for run_id in (old, new, other)] == ["COMPLETED", "FAILED", "FAILED"]
    assert omics.service.scenario.runs[0].outcome == "FAILED"
