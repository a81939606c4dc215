"""What contributors are told is so: commands exist, files exist, forms and workflow are well formed."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.airflow_process import run_with_airflow
from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9.-]+):.*## ", MAKEFILE, re.MULTILINE))
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_commands() -> None:
    """CONTRIBUTING.md tells every command of the Makefile and no other, and every file that it names exists."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    phony = {name for line in re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE) for name in line.split()}

    assert phony == TARGETS
    assert set(re.findall(r"`make ([a-z0-9.-]+)", text)) == TARGETS
    for name in re.findall(r"`((?:docs|\.github|\.ci)/[\w./-]+|CHANGELOG\.md)`", text):
        assert (ROOT / name).exists(), name


def files_of_a_new(kind: str) -> list[str]:
    """Return the files that a row of the table of new things lists."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Where a new one goes")[2].partition("\n## ")[0]
    (row,) = re.findall(rf"^\| {kind} \| (.*) \|$", section, re.MULTILINE)
    names = re.findall(r"`([\w./-]+)`", row)
    package = "airflow_provider_omics"
    return [name if (ROOT / name).exists() else f"{package}/{name}" for name in names]


@pytest.mark.parametrize(
    "kind",
    [
        *("setting of a run", "argument of an operator", "key of the connection", "status of a run or batch"),
        *("failure code", "operation of the API", "operator", "command", "example"),
    ],
)
def test_files_of_a_new_thing(kind: str) -> None:
    """Every file that is to be touched exists."""
    files = files_of_a_new(kind)

    assert len(files) >= 3
    assert [name for name in files if not (ROOT / name).is_file()] == []


def test_a_new_failure_code(tmp_path: Path) -> None:
    """The files that are listed for a new failure code are enough, and a test fails where one of them is forgotten."""
    source, page, test = files_of_a_new("failure code")
    copied = tmp_path / "copy"
    ignored = shutil.ignore_patterns("page", "e2e", "images")  # with __pycache__, so that nothing is compiled again
    for folder in ("airflow_provider_omics", "docs", "tests"):
        shutil.copytree(ROOT / folder, copied / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copied)
    as_code = '    (\n        "SERVICE_ERROR",'
    changes = {
        source: (
            as_code,
            '    ("SERVICE_ERROR_NEW", _TRANSIENT, _AWS, "It failed anew.", "Start the run again."),\n' + as_code,
        ),
        test: ('"SERVICE_ERROR",\n', '"SERVICE_ERROR", "SERVICE_ERROR_NEW",\n'),
        page: (
            "| `TASK_TIMED_OUT`",
            "| `SERVICE_ERROR_NEW` | It failed anew. | AWS | transient | Start the run again. |\n| `TASK_TIMED_OUT`",
        ),
    }
    for name, (before, after) in changes.items():
        if name == page:
            assert "test_tables" in checks_that_fail(copied, test)
        text = (copied / name).read_text(encoding="utf-8")
        assert before in text
        (copied / name).write_text(text.replace(before, after), encoding="utf-8")

    assert checks_that_fail(copied, test) == ""


IN_FOLDER = """
import os, sys

import pytest

folder, *arguments = sys.argv[1:]
os.chdir(folder)
sys.path.insert(0, folder)
for name in [name for name in sys.modules if name.startswith("airflow_provider_omics")]:  # Airflow looks for providers
    del sys.modules[name]
sys.exit(pytest.main(arguments))
"""


def checks_that_fail(copied: Path, test: str) -> str:
    """Run the checks of a new failure code in a copy; return what fails."""
    options = ["-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Airflow has loaded what brings plugins, too
    done = run_with_airflow(IN_FOLDER, str(copied), *options, test, "tests/docs/test_failures.py")
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-2000:]
    return "" if done.returncode == 0 else done.stdout


def commands_of(workflow: dict[Any, Any]) -> list[str]:
    """Return what the steps of a workflow run."""
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow(path: Path) -> None:
    """Each job ends in time, reads only, and runs commands that a laptop has."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    commands = commands_of(workflow)

    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    assert commands
    assert {found for text in commands for found in re.findall(r"^make ([a-z0-9.-]+)", text)} <= TARGETS


def test_every_change_is_tested() -> None:
    """A change runs the clean clone, coverage and audit; a week ends with the newest of everything."""
    weekly = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text(encoding="utf-8"))

    assert {".ci/run", "make coverage", "make audit"} <= set(commands_of(WORKFLOW))
    assert {"make test-newest", "make test-clients"} <= {text.partition(" #")[0] for text in commands_of(weekly)}
    assert weekly["jobs"]["newest"]["continue-on-error"]


def test_clients_are_those_of_the_page() -> None:
    """Each client is pinned to one release, and docs/testing.md names it."""
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    clients = ROOT / "tests" / "clients"
    pins = [path.read_text(encoding="utf-8").strip() for path in sorted((clients / "pins").iterdir())]
    script = json.loads((clients / "javascript" / "package.json").read_text(encoding="utf-8"))
    pins += [f"{name}=={release}" for name, release in script["dependencies"].items()]
    named = {"awscli": "AWS CLI"}

    assert len(pins) == 4
    for name, release in (pin.split("==") for pin in pins):
        assert f"| {named.get(name, name)} {release.removesuffix('.0')} |" in page


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(path: Path) -> None:
    """A tag can be moved: an action is named by its commit, with the release in a comment for people."""
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))

    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_matrix() -> None:
    """Every Python that pyproject.toml names is tested: 3.13 and 3.14 only with the Airflows that run on them."""
    matrix = WORKFLOW["jobs"]["matrix"]["strategy"]["matrix"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    targets = {version: set(matrix["targets"]) for version in matrix["python"]}
    targets |= {each["python"]: set(each["targets"].split()) for each in matrix["include"]}

    assert list(targets) == re.findall(r"Python :: (3\.\d+)", project)
    assert set().union(*targets.values()) <= TARGETS
    assert targets.pop("3.13") == {"test-3.1", "test-3.2", "test-3.3-floors", "test"}
    assert targets.pop("3.14") == {"test-3.2", "test"}
    assert all(found == {"test-matrix"} for found in targets.values())


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms(path: Any) -> None:
    """A form has a name and fields with ids that differ; the rest is the chooser's configuration."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form["blank_issues_enabled"]
        return
    ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]

    assert form["name"]
    assert form["description"]
    assert len(ids) == len(set(ids)) > 1
