"""Parameters against a workflow's template."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core.errors import Problem
from airflow_provider_omics.core.settings.workflow_parameters import check_parameters

TEMPLATE: dict[str, dict[str, Any]] = {
    "input_reads": {"description": "FASTQ files"},
    "reference": {"description": "genome", "optional": False},
    "min_quality": {"optional": True},
}


@pytest.mark.parametrize(
    "parameters",
    [
        {"input_reads": [], "reference": "s3://b/ref"},
        {"input_reads": None, "reference": "", "min_quality": 20},
    ],
)
def test_fitting_parameters_have_no_problem(parameters: dict[str, object]) -> None:
    """All required names and only known ones: null, empty and optional values are the engine's business."""
    assert check_parameters(TEMPLATE, parameters, argument="parameters") == []


@pytest.mark.parametrize("template", [None, {}])
def test_workflow_without_template_is_not_compared(template: dict[str, dict[str, Any]] | None) -> None:
    """A workflow that tells nothing of its parameters refuses nothing here."""
    assert check_parameters(template, {"anything": 1}, argument="parameters") == []


def test_missing_parameters_are_named() -> None:
    """Every required parameter that is not given is named, also when there are none at all."""
    assert check_parameters(TEMPLATE, None, argument="parameters") == [
        Problem("parameters['input_reads']", "not set", "required by the workflow"),
        Problem("parameters['reference']", "not set", "required by the workflow"),
    ]


def test_misspelt_parameter_is_brought_together_with_the_missing_one() -> None:
    """An unknown name near a missing one is told on both sides, its value is not shown."""
    problems = check_parameters(
        TEMPLATE, {"input_read": "s3://b/PATIENT", "reference": "r"}, argument="run_settings[3]['parameters']"
    )

    assert problems == [
        Problem(
            "run_settings[3]['parameters']['input_read']",
            "str",
            "the workflow has no such parameter; did you mean 'input_reads'?",
        ),
        Problem(
            "run_settings[3]['parameters']['input_reads']",
            "not set",
            "required by the workflow; 'input_read' was given, which it does not know",
        ),
    ]


def test_unknown_parameter_far_from_all_lists_the_known() -> None:
    """Without a near name the parameters that the workflow takes are listed, 20 at most."""
    template: dict[str, dict[str, Any]] = {f"p{number:02}": {"optional": True} for number in range(25)}

    (problem,) = check_parameters(template, {"zzzzzz": 1}, argument="parameters")

    assert problem.allowed.endswith("p18, p19 and 5 more")


def test_given_parameter_is_not_suggested_again() -> None:
    """A name that is given already is not what an unknown one meant."""
    (problem,) = check_parameters(
        TEMPLATE, {"input_reads": 1, "input_reads2": 1, "reference": 1}, argument="parameters"
    )

    assert "did you mean" not in problem.allowed
