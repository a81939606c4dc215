"""Names in the place of ids, and change control, on the emulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import BatchError, NotFound, SettingsError
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import OUTPUT, ROLE, perform, samples
from tests.operators.tries import Crash, Task

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")

PLACE = {"role_arn": ROLE, "output_uri": OUTPUT}


@pytest.fixture
def ids(emulator: OmicsEmulator) -> dict[str, str]:
    """Make a workflow with two versions, a run group and a cache, and name their ids."""
    omics = emulator.client()
    emulator.client("s3").create_bucket(Bucket="omics-results")
    repository = {
        "connectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/a",
        "fullRepositoryId": "genomics/greet",
    }
    created: Any = omics.create_workflow(name="germline", engine="WDL", definitionRepository=repository, requestId="w")
    for version in ("1.0", "1.1"):
        omics.create_workflow_version(
            workflowId=created["id"],
            versionName=version,
            engine="WDL",
            definitionRepository=repository,
            requestId=version,
        )
    cache = omics.create_run_cache(name="shared", cacheS3Location="s3://omics-results/cache/", requestId="c")
    group = omics.create_run_group(name="bulk", requestId="g")
    emulator.advance(3600)
    return {"workflow": created["id"], "cache": cache["id"], "group": group["id"]}


def run(**arguments: Any) -> Any:
    """Run a task that starts a run."""
    return perform(OmicsStartRunOperator(task_id="run", **{**PLACE, "deferrable": False, **arguments}))


def batch(setting: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """Run a task that starts a batch."""
    default = {"roleArn": ROLE, "outputUri": OUTPUT, **(setting or {})}
    given = {"default_run_setting": default, "run_settings": samples("a", "b"), "deferrable": False, **arguments}
    return perform(OmicsStartRunBatchOperator(task_id="batch", **given))


NAMED: dict[str, Any] = {
    "workflow_name": "germline",
    "workflow_version_name": "1.0",
    "run_group_name": "bulk",
    "cache_name": "shared",
}


def resolved(ids: dict[str, str]) -> dict[str, str]:
    """Say what was looked up."""
    found = {"workflowId": ids["workflow"], "runGroupId": ids["group"], "cacheId": ids["cache"]}
    return {**NAMED, **found, "workflowVersionName": "1.0"}


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_run_by_name(emulator: OmicsEmulator, ids: dict[str, str], deferrable: bool) -> None:
    """The run has the ids, and the result both."""
    ended = run(**NAMED, deferrable=deferrable)

    assert ended.error is None
    started = emulator.client().get_run(id=ended.result["run_id"])
    assert (started["workflowId"], started["workflowVersionName"]) == (ids["workflow"], "1.0")
    assert (started["runGroupId"], started["cacheId"]) == (ids["group"], ids["cache"])
    assert ended.result["resolved"] == resolved(ids)
    assert ended.deferred is deferrable
    assert emulator.calls["ListWorkflows"] == 1


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_batch_by_name(emulator: OmicsEmulator, ids: dict[str, str], deferrable: bool) -> None:
    """The same for all its runs."""
    ended = batch(**NAMED, deferrable=deferrable)

    assert ended.error is None
    for item in emulator.client().list_runs(batchId=ended.result["batch_id"])["items"]:
        started = emulator.client().get_run(id=item["id"])
        assert (started["workflowId"], started["workflowVersionName"]) == (ids["workflow"], "1.0")
        assert (started["runGroupId"], started["cacheId"]) == (ids["group"], ids["cache"])
    assert ended.result["resolved"] == resolved(ids)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    "scenario",
    [{"runs": [{"outcome": "FAILED"}]}, {"batches": [{"failure": {"reason": "no"}}]}],
    ids=["verdict", "batch"],
)
def test_a_failed_batch_tells_what_was_looked_up(
    emulator: OmicsEmulator, ids: dict[str, str], scenario: dict[str, Any], deferrable: bool
) -> None:
    """What it pushes for a task with ``all_done`` has the names and ids, too."""
    emulator.set_scenario(scenario)

    ended = batch(**NAMED, deferrable=deferrable)

    assert isinstance(ended.error, BatchError)
    assert ended.xcoms["return_value"]["succeeded"] is False
    assert ended.xcoms["return_value"]["resolved"] == resolved(ids)


def test_names_of_the_connection(emulator: OmicsEmulator, connect: Connect, ids: dict[str, str]) -> None:
    """They hold for tasks that name neither; an id of the task wins."""
    connect(NAMED)
    by_name, by_id = run(), run(workflow_id=ids["workflow"], run_group_id=ids["group"])

    assert by_name.result["resolved"] == resolved(ids)
    assert by_id.result["workflow_version_name"] is None
    assert by_id.result["resolved"] == {"cache_name": "shared", "cacheId": ids["cache"]}
    assert batch().result["resolved"] == resolved(ids)


def test_no_lookup_without_a_name(emulator: OmicsEmulator, ids: dict[str, str]) -> None:
    """A run by id costs no list, and its result is as it was."""
    ended = run(workflow_id=ids["workflow"], workflow_version_name="1.1")

    assert "resolved" not in ended.result
    assert not {"ListWorkflows", "ListWorkflowVersions", "ListRunGroups"} & emulator.calls.by_operation().keys()


@pytest.mark.parametrize(
    ("arguments", "named", "told"),
    [
        ({"workflow_name": "germlin"}, "workflow_name", "did you mean 'germline'?"),
        ({"workflow_name": "germline"}, "workflow_version_name", "which has 1.0, 1.1"),
        ({**NAMED, "workflow_version_name": "2.0"}, "workflow_version_name", "which has 1.0, 1.1"),
        ({**NAMED, "run_group_name": "bulky"}, "run_group_name", "did you mean 'bulk'?"),
        ({**NAMED, "cache_name": "sharde"}, "cache_name", "did you mean 'shared'?"),
        (
            {**NAMED, "workflow_owner_id": "111122223333"},
            "workflow_name",
            "workflow_id: the workflows that others share",
        ),
        ({**NAMED, "workflow_id": "1234567"}, "workflow_name and workflow_id", "one of them"),
    ],
)
def test_names_that_nothing_has(
    emulator: OmicsEmulator, ids: dict[str, str], arguments: dict[str, str], named: str, told: str
) -> None:
    """The error has the candidates; nothing is started."""
    error = run(**arguments).error

    assert isinstance(error, SettingsError)
    assert named in [problem.argument for problem in error.problems]
    assert told in str(error)
    assert emulator.calls["StartRun"] == 0


def test_two_of_a_name(emulator: OmicsEmulator, ids: dict[str, str]) -> None:
    """None is taken for the latest."""
    other = emulator.client().create_run_group(name="bulk", requestId="other")["id"]

    error = run(**NAMED).error

    assert isinstance(error, SettingsError)
    assert ids["group"] in str(error)
    assert other in str(error)


@pytest.mark.parametrize("kind", ["run", "batch"])
def test_a_later_try_knows_what_was_looked_up(
    emulator: OmicsEmulator, connect: Connect, stepped: SteppedTime, ids: dict[str, str], kind: str
) -> None:
    """The record has it: a try that adopts what an earlier one has started returns the same."""
    task = Task(emulator, connect, kind=kind)
    task.arguments = dict(NAMED)
    if kind == "run":
        task.arguments["workflow_id"] = None
    else:
        task.arguments["default_run_setting"] = {"roleArn": ROLE, "outputUri": OUTPUT}

    def crash() -> None:
        stepped.at_sleep = None
        raise Crash

    stepped.at_sleep = crash
    assert isinstance(task.try_().error, Crash)
    adopted = task.try_()

    record = task.record()
    assert record is not None
    assert record.resolved == resolved(ids)
    assert adopted.result["resolved"] == resolved(ids)
    assert len(task.started()) == 1


@pytest.mark.parametrize("kind", ["run", "batch"])
def test_workflow_digest(emulator: OmicsEmulator, ids: dict[str, str], kind: str) -> None:
    """The definition that was meant runs; any other is refused, and named."""
    version: Any = emulator.client().get_workflow_version(workflowId=ids["workflow"], versionName="1.0")
    start = run if kind == "run" else batch

    assert start(**NAMED, workflow_digest=version["digest"]).error is None
    error = start(**{**NAMED, "workflow_version_name": "1.1"}, workflow_digest=version["digest"]).error

    assert isinstance(error, SettingsError)
    assert [problem.argument for problem in error.problems] == ["workflow_digest"]
    assert "version 1.1" in str(error)


@pytest.mark.parametrize(
    ("entry", "is_approved"),
    [
        ({"workflow": "germline", "version": "1.0"}, True),
        ({"workflow": "germline", "version": "1.1"}, False),
        ({"workflow": "germline"}, True),
        ({"workflow": "somatic"}, False),
    ],
)
@pytest.mark.parametrize("kind", ["run", "batch"])
def test_approved_workflows(
    emulator: OmicsEmulator,
    connect: Connect,
    ids: dict[str, str],
    entry: dict[str, str],
    is_approved: bool,
    kind: str,
) -> None:
    """The connection refuses what it does not list, by name or by id, whatever the DAG says."""
    connect({"approved_workflows": [entry]})
    by_id = {"workflowId": ids["workflow"], "workflowVersionName": "1.0"}
    if kind == "run":
        ended = [run(**NAMED), run(workflow_id=ids["workflow"], workflow_version_name="1.0")]
    else:
        ended = [batch(**NAMED), batch(by_id)]

    assert [each.error is None for each in ended] == [is_approved] * 2
    started = emulator.calls["StartRun"] + emulator.calls["StartRunBatch"]
    assert started == (2 if is_approved else 0)


def test_no_way_around_the_list(emulator: OmicsEmulator, connect: Connect, ids: dict[str, str]) -> None:
    """A repeated run, and a rerun with another workflow, are held against it too; an empty list approves nothing."""
    other = run(workflow_id="1234567").result["run_id"]
    connect({"approved_workflows": [{"workflow": "germline", "version": "1.0"}]})
    repeated = run(source_run_id=other).error
    rerun = batch(**NAMED, rerun_setting={"workflowVersionName": "1.1"}).error
    connect({"approved_workflows": []})

    for error in (repeated, rerun, run(**NAMED).error):
        assert isinstance(error, SettingsError)
        assert "approved_workflows" in str(error)


def test_what_cannot_be_asked_is_not_started(emulator: OmicsEmulator, connect: Connect) -> None:
    """Approval needs an answer."""
    connect({"approved_workflows": [{"workflow": "7654321"}]})

    assert isinstance(run(workflow_id="7654321").error, NotFound)
    assert emulator.calls["StartRun"] == 0


@pytest.mark.parametrize("value", ["germline", [{"workflw": "germline"}], [{"version": "1.0"}]])
def test_a_list_that_cannot_be_read(emulator: OmicsEmulator, connect: Connect, value: Any) -> None:
    """A slip approves nothing."""
    connect({"approved_workflows": value})

    assert isinstance(run(workflow_id="1234567").error, SettingsError)
    assert emulator.calls["StartRun"] == 0
