"""Every method of the hook, against the emulator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.commands import Cancel, ListActive, Look, ReadManifest
from airflow_provider_omics.core.errors import Conflict, InvalidRequest, NotFound
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.hooks.driver import carry_out
from airflow_provider_omics.hooks.omics import OmicsHook
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect


@pytest.fixture
def hook(emulator: OmicsEmulator, connect: Connect) -> OmicsHook:
    return OmicsHook()


@pytest.fixture
def start(hook: OmicsHook) -> Callable[..., Any]:
    """Start a run with a request id of its own."""
    numbers = iter(range(10_000))
    return lambda **more: hook.start_run({**DEFAULT_RUN_SETTING, "requestId": f"r{next(numbers)}", **more})


@pytest.fixture
def start_batch(hook: OmicsHook) -> Callable[..., Any]:
    """Start a batch of runs with these runSettingIds."""
    numbers = iter(range(10_000))

    def start(*names: str, **more: Any) -> Any:
        request = {
            "defaultRunSetting": DEFAULT_RUN_SETTING,
            "batchRunSettings": {"inlineSettings": samples(*names)},
            "requestId": f"b{next(numbers)}",
        }
        return hook.start_run_batch({**request, **more})

    return start


# -- runs ------------------------------------------------------------------------------------------------------------


def test_life_of_a_run(emulator: OmicsEmulator, hook: OmicsHook, start: Callable[..., Any]) -> None:
    """A run is started, got, cancelled and deleted; what its state does not allow is a Conflict."""
    run = start(name="NA12878")
    assert hook.get_run(run["id"])["name"] == "NA12878"
    with pytest.raises(Conflict):
        hook.delete_run(run["id"])
    hook.cancel_run(run["id"])
    emulator.advance(60)
    assert hook.get_run(run["id"])["status"] == "CANCELLED"
    with pytest.raises(Conflict):
        hook.cancel_run(run["id"])
    hook.delete_run(run["id"])
    with pytest.raises(NotFound):
        hook.get_run(run["id"])


def test_list_runs_over_pages(emulator: OmicsEmulator, hook: OmicsHook, start: Callable[..., Any]) -> None:
    """More than two hundred runs take three calls, made as they are asked for, and each run comes once."""
    ids = [
        emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": f"r{number}"})["id"]
        for number in range(230)
    ]

    runs = hook.list_runs()
    first = next(runs)
    assert emulator.calls["ListRuns"] == 1
    assert [first["id"], *(run["id"] for run in runs)] == ids
    assert emulator.calls["ListRuns"] == 3


def test_list_runs_filters(
    emulator: OmicsEmulator, hook: OmicsHook, start: Callable[..., Any], start_batch: Callable[..., Any]
) -> None:
    """Runs are listed by name, run group, batch and status."""
    group = hook.create_run_group({"name": "lab", "requestId": "g"})["id"]
    named = start(name="NA12878")["id"]
    grouped = start(runGroupId=group)["id"]
    batch = start_batch("S1", "S2")["id"]
    emulator.advance(30)
    hook.cancel_run(named)

    def listed(**filters: Any) -> list[str]:
        return [run["id"] for run in hook.list_runs(**filters)]

    in_batch = [run["id"] for run in emulator.service.started_runs() if run["batchId"]]
    assert listed(name="NA12878") == [named]
    assert listed(run_group_id=group) == [grouped]
    assert listed(batch_id=batch) == in_batch
    assert listed(status="STOPPING") == [named]
    assert listed(batch_id=batch, status="STARTING") == in_batch
    assert listed(batch_id=batch, status="FAILED") == []
    assert len(listed()) == 4


def test_list_runs_where_two_filters_are_refused(
    emulator: OmicsEmulator, hook: OmicsHook, start_batch: Callable[..., Any]
) -> None:
    """Whether AWS takes batch and status together is not documented: refused, the status is filtered here."""
    emulator.set_scenario(
        {
            "list_runs_refuses_batch_and_status": True,
            "runs": [{"match": {"run_setting_id": "BAD"}, "outcome": "FAILED"}],
        }
    )
    batch = start_batch("S1", "BAD")["id"]
    emulator.advance(3600)

    (failed,) = hook.list_runs(batch_id=batch, status="FAILED")

    assert failed["name"] == "BAD"


def test_tasks_of_a_run(emulator: OmicsEmulator, hook: OmicsHook, start: Callable[..., Any]) -> None:
    """Tasks are listed over pages and by status; the reason of a failed one is got by its id."""
    good = [{"name": f"T{number}", "duration": 1} for number in range(120)]
    failing = {"name": "ALIGN", "duration": 1, "outcome": "FAILED", "exit_text": "exit code 137"}
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "tasks": [*good, failing]}]})
    run_id = start()["id"]
    emulator.advance(3600)

    tasks = list(hook.list_run_tasks(run_id))
    (failed,) = hook.list_run_tasks(run_id, status="FAILED")

    assert len({task["taskId"] for task in tasks}) == 121
    assert hook.get_run_task(run_id, failed["taskId"])["statusMessage"] == "exit code 137"


# -- batches ---------------------------------------------------------------------------------------------------------


def test_life_of_a_batch(emulator: OmicsEmulator, hook: OmicsHook, start_batch: Callable[..., Any]) -> None:
    """A batch is started, got, cancelled, its runs deleted, and then itself."""
    batch = start_batch("S1", "S2", batchName="nightly")
    assert hook.get_batch(batch["id"])["name"] == "nightly"
    with pytest.raises(Conflict):  # CREATING
        hook.cancel_run_batch(batch["id"])
    emulator.advance(30)
    with pytest.raises(Conflict):
        hook.delete_run_batch(batch["id"])
    hook.cancel_run_batch(batch["id"])
    emulator.advance(60)
    assert hook.get_batch(batch["id"])["status"] == "CANCELLED"
    hook.delete_run_batch(batch["id"])
    emulator.advance(60)
    assert hook.get_batch(batch["id"])["status"] == "RUNS_DELETED"
    hook.delete_batch(batch["id"])
    with pytest.raises(NotFound):
        hook.get_batch(batch["id"])


def test_list_batches(emulator: OmicsEmulator, hook: OmicsHook, start_batch: Callable[..., Any]) -> None:
    """Batches are listed over pages, by name, run group and status."""
    group = hook.create_run_group({"name": "lab", "requestId": "g"})["id"]
    for number in range(120):
        request = {
            "requestId": f"x{number}",
            "batchName": f"n{number}",
            "defaultRunSetting": DEFAULT_RUN_SETTING,
            "batchRunSettings": {"inlineSettings": samples("S1")},
        }
        emulator.service.call("StartRunBatch", request)
    grouped = start_batch("S1", defaultRunSetting={**DEFAULT_RUN_SETTING, "runGroupId": group})["id"]

    assert len({batch["id"] for batch in hook.list_batches()}) == 121
    assert emulator.calls["ListBatch"] == 2
    assert [batch["name"] for batch in hook.list_batches(name="n7")] == ["n7"]
    assert [batch["id"] for batch in hook.list_batches(run_group_id=group)] == [grouped]
    assert len(list(hook.list_batches(status="CREATING"))) == 121
    assert list(hook.list_batches(status="PROCESSED")) == []


def test_list_runs_in_batch(emulator: OmicsEmulator, hook: OmicsHook, start_batch: Callable[..., Any]) -> None:
    """Submissions are listed over pages, by status, run setting and run."""
    denied = {"submission_failure": {"reason": "AccessDeniedException"}}
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S7"}, **denied}]})
    body = json.dumps(samples(*(f"S{number}" for number in range(150))))
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=body)
    batch = start_batch(batchRunSettings={"s3UriSettings": f"s3://{BUCKET}/settings.json"})["id"]
    emulator.advance(120)

    everything = list(hook.list_runs_in_batch(batch))
    (failed,) = hook.list_runs_in_batch(batch, submission_status="FAILED")
    (third,) = hook.list_runs_in_batch(batch, run_setting_id="S3")
    (same,) = hook.list_runs_in_batch(batch, run_id=third["runId"])

    assert {item["runSettingId"] for item in everything} == {f"S{number}" for number in range(150)}
    assert (failed["runSettingId"], failed["submissionFailureReason"]) == ("S7", "AccessDeniedException")
    assert same == third


def test_one_filter_a_call(hook: OmicsHook, start_batch: Callable[..., Any]) -> None:
    """What AWS refuses reaches the caller as such."""
    batch = start_batch("S1")["id"]

    with pytest.raises(InvalidRequest):
        list(hook.list_runs_in_batch(batch, submission_status="FAILED", run_setting_id="S1"))


@pytest.mark.parametrize("seconds", [30, 100, 3600])
def test_active_runs_of_a_batch(
    emulator: OmicsEmulator, hook: OmicsHook, start_batch: Callable[..., Any], seconds: float
) -> None:
    """The runs that have not ended are found, each once."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S1"}, "running": 10}]})
    batch = start_batch("S1", "S2", "S3")["id"]
    emulator.advance(seconds)

    expected = {run["id"] for run in emulator.service.started_runs() if run["status"] not in ("COMPLETED", "FAILED")}
    found = hook.active_run_ids(batch)
    assert len(found) == len(expected)
    assert set(found) == expected


def test_active_runs_where_two_filters_are_refused(
    emulator: OmicsEmulator, hook: OmicsHook, start_batch: Callable[..., Any]
) -> None:
    """What a batch has left is found without its runs that have ended, which may be 100,000, and nobody else's."""
    many = {"match": {"run_setting_id": "D*"}, "running": 1}
    emulator.set_scenario(
        {
            "list_runs_refuses_batch_and_status": True,
            "runs": [many, {"running": 90_000}],
            "limits": {"submissions_per_second": 100},
        }
    )
    emulator.client("s3").put_object(
        Bucket=BUCKET, Key="many.json", Body=json.dumps(samples(*[f"D{number}" for number in range(450)], "S"))
    )
    batch = start_batch(batchRunSettings={"s3UriSettings": f"s3://{BUCKET}/many.json"})["id"]
    start_batch("another")
    emulator.advance(50_000)
    emulator.calls.clear()

    found = hook.active_run_ids(batch)

    (left,) = [run["id"] for run in emulator.service.started_runs() if run["runSettingId"] == "S"]
    assert found == [left]
    assert emulator.calls["ListRuns"] == 2 * 4  # refused, and a page of each active status


# -- run groups, caches, workflows, tags -----------------------------------------------------------------------------


def test_run_groups(hook: OmicsHook, start: Callable[..., Any]) -> None:
    """A run group is created, got and deleted, unless a run of it is going."""
    group = hook.create_run_group({"name": "lab", "maxRuns": 2, "requestId": "g"})["id"]
    assert hook.get_run_group(group)["maxRuns"] == 2
    run = start(runGroupId=group)["id"]
    with pytest.raises(Conflict):
        hook.delete_run_group(group)
    hook.cancel_run(run)


def test_run_caches(emulator: OmicsEmulator, hook: OmicsHook) -> None:
    """Run caches are listed over pages."""
    for number in range(105):
        request = {"cacheS3Location": f"s3://{BUCKET}/{number}", "requestId": f"c{number}"}
        emulator.service.call("CreateRunCache", request)

    assert len({cache["id"] for cache in hook.list_run_caches()}) == 105


def test_workflows(hook: OmicsHook) -> None:
    """A workflow, and a version of it, are got with their parameter templates; a shared one by its owner."""
    assert "input" in hook.get_workflow("4567890")["parameterTemplate"]
    assert hook.get_workflow("9500764", workflow_type="READY2RUN")["type"] == "READY2RUN"
    assert hook.get_workflow("5678901", workflow_owner_id="111122223333")["status"] == "ACTIVE"
    assert hook.get_workflow_version("4567890", "3.14.0")["versionName"] == "3.14.0"
    with pytest.raises(NotFound):
        hook.get_workflow("424242")
    with pytest.raises(NotFound):
        hook.get_workflow_version("4567890", "0.0.1")


def test_tags(hook: OmicsHook, start: Callable[..., Any]) -> None:
    """Tags are added, listed and removed."""
    arn = start(tags={"team": "germline"})["arn"]

    hook.tag_resource(arn, {"cost": "lab"})
    hook.untag_resource(arn, ["team"])

    assert hook.list_tags(arn) == {"cost": "lab"}


# -- what a wait needs -----------------------------------------------------------------------------------------------


def test_look_and_cancel(
    emulator: OmicsEmulator, hook: OmicsHook, start: Callable[..., Any], start_batch: Callable[..., Any]
) -> None:
    """A wait looks at runs and batches alike, and cancels them alike."""
    run, batch = start(), start_batch("S1")
    emulator.advance(30)

    seen_run, seen_batch = hook.look("run", run["id"]), hook.look("batch", batch["id"])
    hook.cancel("run", run["id"])
    hook.cancel("batch", batch["id"])

    assert isinstance(seen_run, RunSnapshot)
    assert isinstance(seen_batch, BatchSnapshot)
    assert (seen_run.uuid, seen_batch.uuid) == (run["uuid"], batch["uuid"])
    emulator.advance(60)
    assert (hook.look("run", run["id"]).status, hook.look("batch", batch["id"]).status) == ("CANCELLED", "CANCELLED")


def test_look_and_cancel_of_what_is_not_there(
    emulator: OmicsEmulator, hook: OmicsHook, start: Callable[..., Any]
) -> None:
    """A run that nobody knows is not found; one that has ended cannot be cancelled."""
    run = start()["id"]
    hook.cancel("run", run)
    emulator.advance(60)

    with pytest.raises(NotFound):
        hook.look("run", "424242")
    with pytest.raises(Conflict):
        hook.cancel("run", run)


def test_page_of_runs(emulator: OmicsEmulator, hook: OmicsHook, start: Callable[..., Any]) -> None:
    """The poller lists page by page, by status; a page has what tells one run from another under the same id."""
    runs = {start(requestId=f"r{number}")["id"] for number in range(120)}

    first, token = hook.list_runs_page("PENDING")
    second, end = hook.list_runs_page("PENDING", token)

    assert (len(first), len(second), end) == (100, 20, None)
    assert {run.id for run in (*first, *second)} == runs
    assert all(run.status == "PENDING" and run.creation_time is not None for run in first)
    assert hook.list_runs_page("RUNNING") == ([], None)


CALLS: list[tuple[Any, type, tuple[str, ...]]] = [
    (Look("run", "RUN"), RunSnapshot, ("RUN",)),
    (Look("batch", "BATCH"), BatchSnapshot, ("BATCH",)),
    (ListActive("BATCH"), tuple, ("RUN_OF_BATCH",)),
    (ReadManifest("RUN", None), type(None), ()),
    (Cancel("run", "RUN"), type(None), ()),
    (Cancel("batch", "BATCH"), type(None), ()),
]


@pytest.mark.parametrize(("command", "kind", "names"), CALLS, ids=[repr(command) for command, *_ in CALLS])
def test_commands_of_a_flow(
    emulator: OmicsEmulator,
    hook: OmicsHook,
    start: Callable[..., Any],
    start_batch: Callable[..., Any],
    command: Any,
    kind: type,
    names: tuple[str, ...],
) -> None:
    """Each command is one call of the hook, for both drivers."""
    ids = {"RUN": start()["id"], "BATCH": start_batch("S1")["id"]}
    emulator.advance(60)
    (ids["RUN_OF_BATCH"],) = (run["id"] for run in emulator.service.started_runs() if run.get("batchId"))
    given = {name: ids.get(value, value) for name, value in vars(command).items()}

    value: Any = carry_out(hook, type(command)(**given))

    assert isinstance(value, kind)
    found = () if value is None else getattr(value, "id", value)
    found = (found,) if isinstance(found, str) else found
    assert found == tuple(ids[name] for name in names)
    stopped = [run for run in emulator.service.started_runs() if run["status"] in ("STOPPING", "CANCELLED")]
    assert len(stopped) == isinstance(command, Cancel)
