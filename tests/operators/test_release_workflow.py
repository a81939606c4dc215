"""The release of workflows, on the emulator."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.__main__ import main
from airflow_provider_omics.core.errors import Conflict, NotFound, QuotaExceeded, SettingsError, WorkflowFailed
from airflow_provider_omics.core.release.requests import DIGEST_TAG, MAKER_TAG
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.workflow import OmicsReleaseWorkflowOperator
from tests.airflow_support import BUCKET, Ended, TaskInstanceRecord, perform

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

MAIN = """version 1.0
import "tasks/hello.wdl" as tasks
workflow greet {
  input { String name }
  call tasks.hello { input: who = name }
}
"""
TASK = (
    'version 1.0\ntask hello {\n  input { String who }\n  command <<< echo ~{who} >>>\n  runtime { docker: "a" }\n}\n'
)
RESULT = {
    *("workflow_id", "workflow_name", "workflow_version_name", "digest", "source_digest", "created", "not_checked")
}

RUNS = itertools.count()

pytestmark = pytest.mark.usefixtures("stepped")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a definition in WDL."""
    (tmp_path / "main.wdl").write_text(MAIN)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "hello.wdl").write_text(TASK)
    return tmp_path


def release(definition: Any, run_id: str = "", **changed: Any) -> Ended:
    """Release a definition, in a DAG run of its own unless one is named."""
    arguments = {"name": "greet", "definition": definition, "deferrable": False, **changed}
    if isinstance(definition, Path):
        arguments["definition"] = str(definition)
    record = TaskInstanceRecord(task_id="release", run_id=run_id or f"run-{next(RUNS)}")
    return perform(OmicsReleaseWorkflowOperator(task_id="release", **arguments), ti=record, task_instance=record)


def names(emulator: OmicsEmulator) -> list[tuple[str, list[str]]]:
    """Name all workflows, with their versions."""
    omics = emulator.client()
    return [
        (item["name"], [v["versionName"] for v in omics.list_workflow_versions(workflowId=item["id"])["items"]])
        for item in omics.list_workflows(type="PRIVATE")["items"]
        if item["name"] in ("greet", "greet2")
    ]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_first_release_and_a_second(emulator: OmicsEmulator, folder: Path, deferrable: bool) -> None:
    """The first creates the workflow and a version; the second finds both."""
    first = release(folder, engine="WDL", tags={"team": "genomics"}, deferrable=deferrable)
    calls = emulator.calls.by_operation()
    second = release(folder, engine="WDL", deferrable=deferrable)

    assert first.error is None
    assert first.deferred is deferrable
    assert first.result.keys() == RESULT
    assert first.result["created"] is True
    assert second.result == {**first.result, "created": False}
    assert not second.deferred
    made = {name: count for name, count in emulator.calls.by_operation().items() if name.startswith("Create")}
    assert made == {name: count for name, count in calls.items() if name.startswith("Create")}
    version = emulator.client().get_workflow_version(
        workflowId=first.result["workflow_id"], versionName=first.result["workflow_version_name"]
    )
    assert version["status"] == "ACTIVE"
    assert version["digest"] == first.result["digest"]
    assert version["tags"].pop(MAKER_TAG)
    assert version["tags"] == {"team": "genomics", DIGEST_TAG: first.result["source_digest"]}
    assert version["parameterTemplate"].keys() == {"name"}


def test_a_change_is_a_new_version(emulator: OmicsEmulator, folder: Path) -> None:
    """Of the files, or of a setting that runs depend on; the earlier versions stay, and are found again."""
    first = release(folder, engine="WDL").result
    (folder / "main.wdl").write_text(MAIN + "# changed\n")
    second = release(folder, engine="WDL").result
    third = release(folder, engine="WDL", storage_type="DYNAMIC").result
    (folder / "main.wdl").write_text(MAIN)
    again = release(folder, engine="WDL", description="other words").result

    assert {result["workflow_id"] for result in (first, second, third)} == {first["workflow_id"]}
    versions = [result["workflow_version_name"] for result in (first, second, third)]
    assert names(emulator) == [("greet", versions)]
    assert again == {**first, "created": False}


def test_named_versions(emulator: OmicsEmulator, folder: Path) -> None:
    """A named version is made once; a release without a name takes the version that has the definition."""
    first = release(folder, version="1.0").result
    unnamed = release(folder).result

    assert (first["workflow_version_name"], unnamed["workflow_version_name"]) == ("1.0", "1.0")
    assert names(emulator) == [("greet", ["1.0"])]


def test_no_version_is_overwritten(emulator: OmicsEmulator, folder: Path) -> None:
    """Another definition under a name that is taken is an error, and the version stays."""
    first = release(folder, version="1.0").result
    (folder / "main.wdl").write_text(MAIN + "# changed\n")
    error = release(folder, version="1.0").error

    assert isinstance(error, SettingsError)
    assert "never overwritten" in str(error)
    version = emulator.client().get_workflow_version(workflowId=first["workflow_id"], versionName="1.0")
    assert version["digest"] == first["digest"]


def test_a_workflow_that_somebody_created_gets_the_version(emulator: OmicsEmulator, folder: Path) -> None:
    """A workflow of this name is taken, whoever made it."""
    there = emulator.client().create_workflow(name="greet", definitionZip=zipped(folder), engine="WDL", requestId="x")

    assert release(folder, version="1.0").result["workflow_id"] == there["id"]


def zipped(folder: Path) -> bytes:
    """Zip a folder as anybody does: in another order, with the times of today."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as packed:
        for name in ("tasks/hello.wdl", "main.wdl"):
            packed.write(folder / name, name)
    return body.getvalue()


def test_a_folder_and_its_archive_are_the_same(emulator: OmicsEmulator, folder: Path, tmp_path: Path) -> None:
    """Here, or in S3."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="greet.zip", Body=zipped(folder))
    first = release(folder, engine="WDL").result
    path = tmp_path.parent / f"{tmp_path.name}.zip"
    path.write_bytes(zipped(folder))

    for definition in (path, f"s3://{BUCKET}/greet.zip"):
        assert release(definition, engine="WDL").result == {**first, "created": False}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Note the requests of CreateWorkflow, which go on to the emulator."""
    create_workflow, requests = OmicsHook.create_workflow, []

    def note(hook: OmicsHook, request: dict[str, Any]) -> Any:
        requests.append(request)
        return create_workflow(hook, request)

    monkeypatch.setattr(OmicsHook, "create_workflow", note)
    return requests


def test_a_definition_in_s3_is_read_there(emulator: OmicsEmulator, folder: Path, sent: list[dict[str, Any]]) -> None:
    """HealthOmics gets the URI."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="greet.zip", Body=zipped(folder))

    result = release(f"s3://{BUCKET}/greet.zip", engine="WDL").result

    assert result["created"] is True
    assert sent[0]["definitionUri"] == f"s3://{BUCKET}/greet.zip"


def test_a_repository_at_a_commit(emulator: OmicsEmulator) -> None:
    """The version is named by the commit; a branch is refused, as it moves."""
    repository = {
        "connectionArn": "arn:aws:codeconnections:us-east-1:123456789012:connection/a",
        "fullRepositoryId": "genomics/greet",
        "sourceReference": {"type": "COMMIT", "value": "0123456789abcdef0123456789abcdef01234567"},
    }
    result = release(repository, engine="NEXTFLOW").result
    branch = release({**repository, "sourceReference": {"type": "BRANCH", "value": "main"}}).error

    assert result["workflow_version_name"].startswith("0123456789ab-")
    assert release(repository, engine="NEXTFLOW").result == {**result, "created": False}
    assert isinstance(branch, SettingsError)
    assert [problem.argument for problem in branch.problems] == ["definition['sourceReference']"]


def test_gitignore(emulator: OmicsEmulator, folder: Path) -> None:
    """What it excludes is neither sent nor part of the digest; a deeper one adds to it."""
    first = release(folder, engine="WDL").result
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / "work").mkdir()
    (folder / "work" / "reads.bam").write_text("A" * 100)
    (folder / "tasks" / "debug.log").write_text("today")
    (folder / "tasks" / ".gitignore").write_text("*.log\n.gitignore\n")
    (folder / ".gitignore").write_text("work/\n.gitignore\n")

    assert release(folder, engine="WDL").result == {**first, "created": False}


def test_links_do_not_lead_out(folder: Path, tmp_path: Path) -> None:
    """A file of the machine is not sent to AWS by a link."""
    (folder / "secret").symlink_to("/etc/hostname")

    error = release(folder).error

    assert isinstance(error, SettingsError)
    assert "secret -> /etc/hostname" in str(error)


@pytest.mark.parametrize("definition", ["nowhere", "", 7, {"fullRepositoryId": "a/b"}, "s3://genomics-outputs/"])
def test_bad_definitions(emulator: OmicsEmulator, definition: Any) -> None:
    """The error says what it may be; nothing is created."""
    error = release(definition).error

    assert isinstance(error, SettingsError)
    assert "CreateWorkflow" not in emulator.calls.by_operation()


def test_a_definition_that_is_not_there(emulator: OmicsEmulator) -> None:
    """S3 says so before HealthOmics is asked."""
    assert isinstance(release(f"s3://{BUCKET}/nothing.zip").error, NotFound)
    assert "CreateWorkflow" not in emulator.calls.by_operation()


def test_wdl_is_checked_first(emulator: OmicsEmulator, folder: Path, log_lines: Callable[..., list[str]]) -> None:
    """The error names file and line; of an engine that cannot be checked the log says so."""
    (folder / "main.wdl").write_text(MAIN.replace("who = name", "who = nobody"))
    error = release(folder, engine="WDL").error
    release(folder, engine="NEXTFLOW", main="main.nf")

    assert isinstance(error, SettingsError)
    assert error.problems[0].argument == "main.wdl line 5"
    assert "nobody" in str(error)
    assert emulator.calls["CreateWorkflow"] == 1
    assert "Not checked before it is sent: the definition: NEXTFLOW has no check here" in log_lines()


@pytest.mark.parametrize("name", ["../hello.wdl", "/etc/hostname", "http://127.0.0.1:9/hello.wdl", "tasks/bye.wdl"])
def test_wdl_imports_only_what_is_sent(emulator: OmicsEmulator, folder: Path, name: str) -> None:
    """Neither other files of the machine nor the network: a run has neither."""
    (folder / "main.wdl").write_text(MAIN.replace("tasks/hello.wdl", name))

    error = release(folder, engine="WDL").error

    assert isinstance(error, SettingsError)
    assert f"{name} is imported, but not in the definition" in str(error)
    assert emulator.calls["CreateWorkflow"] == 0


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_definition_that_fails(emulator: OmicsEmulator, folder: Path, deferrable: bool) -> None:
    """AWS's message is shown; the name stays free for a workflow that works."""
    emulator.set_scenario({"workflow_creation": {"failures": {"greet": "No main file"}}})
    error = release(folder, engine="WDL", deferrable=deferrable).error
    emulator.set_scenario({})

    assert isinstance(error, WorkflowFailed)
    assert error.status_message == "No main file"
    assert release(folder, engine="WDL").result["created"] is True


def test_a_failed_version_keeps_its_name(emulator: OmicsEmulator, folder: Path) -> None:
    """A release without a name goes on to the next name; a named one says what is wrong."""
    emulator.client().create_workflow(name="greet", definitionZip=zipped(folder), engine="WDL", requestId="x")
    emulator.advance(3600)
    emulator.set_scenario({"workflow_creation": {"failures": {"greet": "ECR is not reachable"}}})
    unnamed, named = release(folder).error, release(folder, version="1.0").error
    emulator.set_scenario({})

    assert isinstance(unnamed, WorkflowFailed)
    assert isinstance(named, WorkflowFailed)
    assert isinstance(release(folder, version="1.0").error, WorkflowFailed)
    assert release(folder).result["workflow_version_name"] == f"{unnamed.version_name}.2"


def test_large_definitions_go_through_the_staging_place(
    emulator: OmicsEmulator, folder: Path, sent: list[dict[str, Any]]
) -> None:
    """Above 4.4 MB; without a place the error names the argument."""
    noise = b"".join(number.to_bytes(8, "big") for number in _numbers(600_000))
    (folder / "table.bin").write_bytes(noise)
    error = release(folder, engine="WDL").error
    result = release(folder, engine="WDL", staging_s3_uri=f"s3://{BUCKET}/staging/").result

    assert isinstance(error, SettingsError)
    assert "staging_s3_uri" in str(error)
    assert result["created"] is True
    assert sent[0]["definitionUri"].startswith(f"s3://{BUCKET}/staging/definitions/")


def _numbers(count: int) -> list[int]:
    """Make numbers that do not compress, the same each time."""
    value, numbers = 1, []
    for _ in range(count):
        value = (value * 6364136223846793005 + 1442695040888963407) % 2**64
        numbers.append(value)
    return numbers


@pytest.mark.parametrize("same", [True, False])
def test_two_that_release_a_new_name_at_once(
    emulator: OmicsEmulator, folder: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """One workflow is left: the older; it has one version for each definition."""
    create_workflow = OmicsHook.create_workflow
    theirs: list[Any] = []

    def after_another_task(hook: OmicsHook, request: dict[str, Any]) -> Any:
        if not theirs:
            theirs.append(None)
            text = MAIN if same else MAIN + "# theirs\n"
            (folder / "main.wdl").write_text(text)
            theirs[0] = release(folder, engine="WDL", tags={"dag": "theirs"}).result
        return create_workflow(hook, request)

    monkeypatch.setattr(OmicsHook, "create_workflow", after_another_task)

    ours = release(folder, engine="WDL", tags={"dag": "ours"}).result

    assert ours["workflow_id"] == theirs[0]["workflow_id"]
    versions = dict.fromkeys([theirs[0]["workflow_version_name"], ours["workflow_version_name"]])
    assert len(versions) == (1 if same else 2)
    assert names(emulator) == [("greet", list(versions))]


def test_two_that_release_a_version_at_once(
    emulator: OmicsEmulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One version is made; the same name with another definition is an error for the second."""
    create = OmicsHook.create_workflow_version
    theirs: list[Any] = []
    emulator.client().create_workflow(name="greet", definitionZip=zipped(folder), engine="WDL", requestId="x")

    def after_another_task(hook: OmicsHook, request: dict[str, Any]) -> Any:
        if not theirs:
            theirs.append(None)
            theirs[0] = release(folder, version="1.0", tags={"dag": "theirs"}).result
        return create(hook, request)

    monkeypatch.setattr(OmicsHook, "create_workflow_version", after_another_task)

    ours = release(folder, version="1.0").result

    assert ours == {**theirs[0], "created": False}
    assert names(emulator) == [("greet", ["1.0"])]


@pytest.mark.parametrize("operation", ["create_workflow", "create_workflow_version", "get_workflow_version"])
@pytest.mark.parametrize("arrives", [True, False])
def test_a_release_that_is_killed_anywhere_is_not_made_twice(
    emulator: OmicsEmulator, folder: Path, monkeypatch: pytest.MonkeyPatch, operation: str, arrives: bool
) -> None:
    """The next try ends with one workflow and one version, and has created it, whether or not the last call arrived."""
    real = getattr(OmicsHook, operation)

    def killed(hook: OmicsHook, *arguments: Any) -> Any:
        if arrives:
            real(hook, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(OmicsHook, operation, killed)
        assert isinstance(release(folder, "killed", engine="WDL").error, KeyboardInterrupt)
    result = release(folder, "killed", engine="WDL").result
    of_another_run = release(folder, engine="WDL").result

    assert names(emulator) == [("greet", [result["workflow_version_name"]])]
    assert (result["created"], of_another_run["created"]) == (True, False)


def test_several_workflows_of_the_name(emulator: OmicsEmulator, folder: Path) -> None:
    """Two that somebody else made are an error that names both, and stay."""
    omics = emulator.client()
    ids = [
        omics.create_workflow(name="greet", definitionZip=zipped(folder), engine="WDL", requestId=each)["id"]
        for each in "ab"
    ]

    error = release(folder).error

    assert isinstance(error, SettingsError)
    assert all(workflow_id in str(error) for workflow_id in ids)
    assert [name for name, _ in names(emulator)] == ["greet", "greet"]


def test_quota_and_conflict(emulator: OmicsEmulator, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused create is the typed error; a conflict without anything there stays one."""
    emulator.set_scenario({"limits": {"workflows": 0}})
    assert isinstance(release(folder).error, QuotaExceeded)

    def conflict(hook: OmicsHook, request: dict[str, Any]) -> Any:
        raise Conflict("CreateWorkflow", "ConflictException", "no", http_status=409)

    monkeypatch.setattr(OmicsHook, "create_workflow", conflict)
    assert isinstance(release(folder).error, Conflict)


def test_an_outage_wakes_the_task(
    emulator: OmicsEmulator, stepped: SteppedTime, folder: Path, log_lines: Callable[..., list[str]]
) -> None:
    """The trigger gives up after five minutes, and the task looks by itself."""

    def begin() -> None:
        stepped.at_sleep = None
        emulator.set_scenario(
            {"faults": [{"operation": "GetWorkflow", "error": "InternalServerException", "times": 9}]}
        )

    stepped.at_sleep = begin
    ended = release(folder, engine="WDL", deferrable=True)

    assert ended.error is None
    assert ended.result["created"] is True
    assert any(line.startswith("The triggerer could not look: GetWorkflow") for line in log_lines())


def test_the_command(emulator: OmicsEmulator, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Continuous integration does the same: one JSON object, the lines beside it, and an exit status."""
    (folder.parent / "template.json").write_text('{"name": {"description": "Whom to greet"}}')
    template = ["--parameter-template", str(folder.parent / "template.json")]
    command = ["release", "greet", str(folder), "--engine", "WDL", "--tag", "team=genomics", *template]

    statuses = [main(command), main(command)]
    shown = capfd.readouterr()
    first, second = [json.loads(f"{{{text}") for text in shown.out.split("{")[1:]]
    (folder / "main.wdl").write_text("no workflow")

    assert statuses == [0, 0]
    assert second == {**first, "created": False}
    assert first["created"] is True
    assert f"Creating version {first['workflow_version_name']}" in shown.err
    assert main(command) == 1
    assert "main.wdl line 1" in capfd.readouterr().err


@pytest.mark.parametrize(
    "more", [["--tag", "team"], ["--parameter-template", "nowhere.json"], ["--readme-markdown", "nowhere.md"]]
)
def test_a_wrong_command_line(folder: Path, more: list[str]) -> None:
    """Nothing is sent."""
    with pytest.raises(SystemExit, match=more[0]):
        main(["release", "greet", str(folder), *more])
