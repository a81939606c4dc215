from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.emulator.script import rules, scenario
from airflow_provider_omics.emulator.script.limits import Limits
from airflow_provider_omics.emulator.script.mapping import ScenarioError
from airflow_provider_omics.emulator.script.scenario import Scenario

DOCUMENTED = re.search(r"code-block:: yaml\n\n(.*)", scenario.__doc__ or "", re.DOTALL)


def documented() -> dict[str, Any]:
    assert DOCUMENTED is not None
    mapping: dict[str, Any] = yaml.safe_load(DOCUMENTED.group(1))
    return mapping


def test_documented_example_is_a_scenario() -> None:
    """The example of the module's docstring is read, with the values that it shows."""
    read = Scenario.from_mapping(documented())
    assert read.limits.concurrent_dynamic_runs == 20
    assert [rule.outcome for rule in read.runs] == ["FAILED", "COMPLETED"]
    assert read.runs[0].match.attempt == (1, 2)
    assert read.runs[0].tasks[1].exit_text == "exit code 137"
    assert read.batches[0].failure is not None
    assert read.batches[0].failure.after_runs == 10
    assert read.workflows[0].versions == ("3.14", "3.18")


KINDS = sorted(
    {
        kind
        for module in (scenario, rules)
        for kind in vars(module).values()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in (Limits, rules.TimedTask)
    },
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_documented(kind: Any) -> None:
    """The example of the module's docstring shows each key of each part."""
    assert DOCUMENTED is not None
    for field in dataclasses.fields(kind):
        assert re.search(rf"\b{field.name}:", DOCUMENTED.group(1)), f"{kind.__name__}.{field.name}"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
def test_every_limit_is_documented(field: str) -> None:
    """The docstring of Limits explains each limit."""
    assert f":param {field}:" in (Limits.__doc__ or "")


@pytest.mark.parametrize(
    ("mapping", "path", "problem"),
    [
        ([], "", "not a mapping"),
        ({"run": []}, "run", "did you mean 'runs'"),
        ({"runs": [{"outcom": "FAILED"}]}, "runs[0].outcom", "did you mean 'outcome'"),
        ({"runs": [{}, {"outcome": "FAIL"}]}, "runs[1].outcome", "['COMPLETED', 'FAILED']"),
        ({"runs": [{"pending": "5"}]}, "runs[0].pending", "not a number"),
        ({"runs": [{"pending": -1}]}, "runs[0].pending", "at least 0"),
        ({"runs": [{"pending": float("inf")}]}, "runs[0].pending", "finite"),
        ({"runs": [{"pending": True}]}, "runs[0].pending", "not a number"),
        ({"runs": [{"match": {"attempt": 0}}]}, "runs[0].match.attempt[0]", "at least 1"),
        ({"runs": [{"match": {"attempt": [1, "2"]}}]}, "runs[0].match.attempt[1]", "not a whole number"),
        ({"runs": [{"failure_reason": "X"}]}, "runs[0].failure_reason", "outcome: FAILED"),
        ({"runs": [{"fails_in": "STARTING"}]}, "runs[0].fails_in", "outcome: FAILED"),
        ({"runs": [{"outcome": "FAILED", "failure_reason": "X" * 65}]}, "runs[0].failure_reason", "1 to 64"),
        ({"runs": [{"tasks": [{"cpus": 1}]}]}, "runs[0].tasks[0].name", "missing"),
        ({"runs": [{"tasks": [{"name": "A", "cpus": 0}]}]}, "runs[0].tasks[0].cpus", "at least 1"),
        ({"runs": [{"submission_failure": {"reason": "Oops"}}]}, "runs[0].submission_failure.reason", "Throttling"),
        ({"batches": [{"failure": {}}]}, "batches[0].failure.reason", "missing"),
        ({"workflows": [{"id": "x", "name": "n"}]}, "workflows[0].id", "digits"),
        ({"workflows": [{"id": "1", "name": "n"}] * 2}, "workflows[1].id", "twice"),
        ({"workflows": [{"id": 1, "name": "n", "owner": "me"}]}, "workflows[0].owner", "12 digits"),
        ({"workflows": [{"id": 1, "name": "n", "parameter_template": []}]}, "workflows[0].parameter_template", "mapp"),
        ({"limits": {"stored_runs": 0}}, "limits.stored_runs", "at least 1"),
        ({"limits": {"page_size": 101}}, "limits.page_size", "at most 100"),
        ({"limits": {"reuse_run_ids": 1}}, "limits.reuse_run_ids", "true or false"),
        ({"request_id_memory": "day"}, "request_id_memory", "not a number"),
        ({"default_storage_type": "FAST"}, "default_storage_type", "STATIC"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place(mapping: Any, path: str, problem: str) -> None:
    """An unknown key or a wrong value gives an error with the path, and what is allowed."""
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_mapping(mapping)
    assert caught.value.path == path
    assert problem in str(caught.value)


def test_numbers_serve_as_ids_and_one_value_as_a_list() -> None:
    """What YAML reads from unquoted ids and single values is understood."""
    read = Scenario.from_mapping(
        {"workflows": [{"id": 7654321, "name": "n", "owner": 111122223333}], "runs": [{"match": {"attempt": 2}}]}
    )
    assert (read.workflows[0].id, read.workflows[0].owner) == ("7654321", "111122223333")
    assert read.runs[0].match.attempt == (2,)


def test_default_workflows_go_when_others_are_declared() -> None:
    """Declared workflows take the place of the default ones; an empty list leaves none."""
    assert [workflow.id for workflow in Scenario.from_mapping({"workflows": []}).workflows] == []
    assert "1234567" in [workflow.id for workflow in Scenario.default().workflows]


RUN: dict[str, Any] = {
    "workflow": ("77", "rnaseq"),
    "name": "sample-1",
    "run_setting_id": "S1",
    "batch": "nightly-3",
    "attempt": 2,
}


@pytest.mark.parametrize(
    ("match", "matches"),
    [
        ({}, True),
        ({"workflow": "77"}, True),
        ({"workflow": "rna*"}, True),
        ({"workflow": "78"}, False),
        ({"name": "sample-?"}, True),
        ({"name": "Sample-?"}, False),
        ({"run_setting_id": "S[12]"}, True),
        ({"run_setting_id": "S[34]"}, False),
        ({"batch": "nightly-*"}, True),
        ({"batch": "weekly-*"}, False),
        ({"attempt": 2}, True),
        ({"attempt": [1, 3]}, False),
        ({"workflow": "rna*", "name": "sample-1", "attempt": 1}, False),
    ],
)
def test_rule_matches(match: dict[str, Any], matches: bool) -> None:
    """A rule is for the runs that fit all that it names."""
    read = Scenario.from_mapping({"runs": [{"match": match, "pending": 99}]})
    assert (read.run_rule(**RUN).pending == 99) is matches


@pytest.mark.parametrize("match", [{"name": "*"}, {"run_setting_id": "*"}, {"batch": "*"}])
def test_patterns_match_nothing_that_is_not_there(match: dict[str, Any]) -> None:
    """Even * needs a name, a runSettingId or a batch to match."""
    read = Scenario.from_mapping({"runs": [{"match": match, "pending": 99}]})
    bare = {**RUN, "name": None, "run_setting_id": None, "batch": None}
    assert read.run_rule(**bare).pending != 99


def test_first_matching_rule_decides_alone() -> None:
    """Rules are not merged: the first that matches decides, also for what it leaves unset."""
    read = Scenario.from_mapping(
        {
            "runs": [{"match": {"name": "no"}}, {"pending": 1}, {"pending": 2, "stopping": 3}],
            "batches": [{"pending": 8}],
        }
    )
    rule = read.run_rule(**RUN)
    assert (rule.pending, rule.stopping) == (1, 30)
    batches = Scenario.from_mapping({"batches": [{"match": {"name": "*"}, "pending": 7}, {"pending": 8}]})
    assert batches.batch_rule(name=None, workflow=("77", "rnaseq")).pending == 8


@pytest.mark.parametrize(
    ("rule", "ends", "lasts"),
    [
        ({}, [200, 400, 600], 600),
        ({"running": 60}, [20, 40, 60], 60),
        ({"outcome": "FAILED"}, [200, 400], 400),
        ({"tasks": [{"name": "A", "duration": 5}, {"name": "B", "duration": 7}]}, [5, 12], 12),
        ({"running": 20, "tasks": [{"name": "A", "duration": 5}, {"name": "B"}]}, [5, 20], 20),
        ({"running": 1, "tasks": [{"name": "A", "duration": 5}]}, [5], 5),
        ({"running": 9, "tasks": [{"name": "A", "duration": 5}]}, [5], 9),
        ({"tasks": [{"name": "A", "duration": 5, "outcome": "FAILED"}, {"name": "B", "duration": 7}]}, [5, 12], 12),
        (
            {"outcome": "FAILED", "tasks": [{"name": "A", "duration": 5, "outcome": "FAILED"}, {"name": "B"}]},
            [5],
            5,
        ),
    ],
)
def test_timetable(rule: dict[str, Any], ends: list[float], lasts: float) -> None:
    """Tasks follow each other, share what is left, and end with the last failed one of a failed run."""
    read = Scenario.from_mapping({"runs": [rule]}).runs[0]
    assert [task.ends for task in read.timetable] == pytest.approx(ends)
    assert read.running_seconds == pytest.approx(lasts)


DURATIONS = st.one_of(st.none(), st.floats(0, 1e5))


@given(running=DURATIONS, durations=st.lists(DURATIONS, min_size=1, max_size=6))
def test_timetable_has_no_gaps_and_fits_the_run(running: float | None, durations: list[float | None]) -> None:
    """Each task begins where the one before ends, and the run lasts at least until the last end."""
    tasks = [{"name": f"T{number}", "duration": duration} for number, duration in enumerate(durations)]
    rule = Scenario.from_mapping({"runs": [{"running": running, "tasks": tasks}]}).runs[0]
    assert rule.timetable[0].begins == 0
    for before, after in zip(rule.timetable, rule.timetable[1:], strict=False):
        assert before.ends == after.begins
    assert all(task.begins <= task.ends <= rule.running_seconds for task in rule.timetable)
    assert running is None or rule.running_seconds >= running
