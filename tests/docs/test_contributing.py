"""What contributors are told is so: commands exist, files exist, forms and workflow are well formed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

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
    assert "make test-newest" in commands_of(weekly)
    assert weekly["jobs"]["newest"]["continue-on-error"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(path: Path) -> None:
    """A tag can be moved: an action is named by its commit, with the release in a comment for people."""
    used = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))

    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_matrix() -> None:
    """Every Python that pyproject.toml names is tested: 3.13 only with the Airflows that run on it."""
    matrix = WORKFLOW["jobs"]["matrix"]["strategy"]["matrix"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    targets = {version: set(matrix["targets"]) for version in matrix["python"]}
    targets |= {each["python"]: set(each["targets"].split()) for each in matrix["include"]}

    assert list(targets) == re.findall(r"Python :: (3\.\d+)", project)
    assert set().union(*targets.values()) <= TARGETS
    assert targets.pop("3.13") == {"test-3.1", "test-3.2", "test-3.3-floors", "test"}
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
