"""The how-to pages name arguments, defaults and result keys that there are."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from airflow_provider_omics.core import errors
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.wait.outcome import batch_result, run_result
from airflow_provider_omics.exceptions import FINAL
from airflow_provider_omics.operators.check import OmicsCheckOperator
from airflow_provider_omics.operators.run import OmicsCancelRunOperator, OmicsDeleteRunOperator, OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import (
    OmicsCancelRunBatchOperator,
    OmicsCollectBatchResultsOperator,
    OmicsDeleteBatchOperator,
    OmicsDeleteRunBatchOperator,
    OmicsStartRunBatchOperator,
)
from airflow_provider_omics.operators.run_cache import (
    OmicsCreateRunCacheOperator,
    OmicsDeleteRunCacheOperator,
    OmicsUpdateRunCacheOperator,
)
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator
from airflow_provider_omics.operators.workflow import OmicsReleaseWorkflowOperator
from airflow_provider_omics.sensors.run import OmicsRunSensor
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor
from tests.docs.blocks import DOCS

PAGES: dict[str, tuple[Any, ...]] = {
    "run": (OmicsStartRunOperator,),
    "run-batch": (OmicsStartRunBatchOperator,),
    "sensors": (OmicsRunSensor, OmicsRunBatchSensor),
    "run-groups": (OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator),
    "run-caches": (OmicsCreateRunCacheOperator, OmicsUpdateRunCacheOperator, OmicsDeleteRunCacheOperator),
    "cancel-and-delete": (
        *(OmicsCancelRunOperator, OmicsDeleteRunOperator, OmicsCancelRunBatchOperator),
        *(OmicsDeleteRunBatchOperator, OmicsDeleteBatchOperator),
    ),
    "collect-results": (OmicsCollectBatchResultsOperator,),
    "check": (OmicsCheckOperator,),
    "release-workflows": (OmicsReleaseWorkflowOperator,),
}
OF_AWS = {"aws_conn_id", "region_name", "verify", "botocore_config"}
"""Arguments that all have from the Amazon provider; Airflow's own are told by Airflow."""

OF_BATCH = batch_result(BatchSnapshot("1", "PROCESSED"), succeeded=True).keys()
RETURNED = {
    "run": {*run_result(RunSnapshot("1", "COMPLETED")).keys(), "report_uri", "resolved"},
    "run-batch": {*OF_BATCH, "results_uri", "report_uri", "resolved"},
    "sensors": OF_BATCH,
}


def page(name: str) -> str:
    """Read a how-to page."""
    return (DOCS / "how-to" / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, verb: str) -> str:
    """Give the section of a page that says what its operators return, or raise."""
    (text,) = re.findall(rf"^## What (?:it|they) {verb}s?\n(.*?)(?=^## |\Z)", page(name), re.MULTILINE | re.DOTALL)
    return str(text)


def parameters(operators: tuple[Any, ...]) -> dict[str, Any]:
    """Give the arguments of operators with their defaults, those of their bases included."""
    found: dict[str, Any] = {}
    for base in [base for operator in operators for base in reversed(operator.__mro__)]:
        if "__init__" in vars(base):
            found |= {name: value.default for name, value in inspect.signature(base.__init__).parameters.items()}
    return found


def own(operators: tuple[Any, ...]) -> set[str]:
    """Give the arguments that operators have from this package and from the Amazon provider."""
    bases = {base for operator in operators for base in operator.__mro__ if base.__module__.startswith("airflow_prov")}
    names = {
        name
        for base in bases
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    return names | OF_AWS


def linked(text: str) -> str:
    """Give the sections of the page of a run that another page links to for its arguments."""
    wanted = re.findall(r"\(run\.md#(arguments-[\w-]+)\)", text)
    sections = re.split(r"^## ", page("run"), flags=re.MULTILINE)[1:]
    return "".join(part for part in sections if part.partition("\n")[0].lower().replace(" ", "-") in wanted)


def rows(text: str) -> list[tuple[list[str], str]]:
    """Give the rows of the tables of arguments in a text: names, and what the second column says."""
    tables = re.findall(r"^\| argument \| default \|.*\n\|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [line.split(" | ") for table in tables for line in table.splitlines()]
    return [(re.findall(r"`(\w+)`", first), second) for first, second, *_ in cells]


@pytest.mark.parametrize("name", PAGES)
def test_arguments(name: str) -> None:
    """Every argument of a table is one of the operator, and a default that is a value is its default."""
    known = parameters(PAGES[name])

    told = rows(page(name))

    assert told
    for names, default in told:
        assert set(names) <= known.keys()
        shown = re.fullmatch(r"`(True|False|\"\w+\")`|(\d+)", default)
        if shown and len(names) == 1:
            assert str(known[names[0]]).removesuffix(".0") == (shown[1] or shown[2]).strip('"'), names


@pytest.mark.parametrize("name", PAGES)
def test_no_argument_is_left_out(name: str) -> None:
    """Every argument has its row, on the page of its operator or in a section that the page links."""
    text = page(name)

    told = {argument for names, _ in rows(text + linked(text)) for argument in names}

    assert own(PAGES[name]) <= told


@pytest.mark.parametrize("name", RETURNED)
def test_returned(name: str) -> None:
    """The keys that a page lists are the keys of the result."""
    told = section(name, "return").rpartition("returns")[2].partition("`. ")[0] + "`"

    assert set(re.findall(r"`(\w+)`", told)) == set(RETURNED[name])


@pytest.mark.parametrize("name", PAGES)
def test_errors(name: str) -> None:
    """A page names the errors that the docstrings of its classes name: a ServiceError by itself, or by its kinds."""
    documented = {
        error
        for operator in PAGES[name]
        for names in re.findall(r"^ *:raises ([^:]+):", operator.__doc__, re.MULTILINE)
        for error in re.findall(r"\w+", names)
    }

    told = set(re.findall(r"`(\w+)`\]\[airflow_provider_omics\.exceptions\.\1\]", section(name, "raise")))

    calls = {error for error in told if issubclass(getattr(errors, error), errors.ServiceError)}
    ours = {error for error in documented if not error.startswith("Airflow")}
    assert calls
    assert told - calls == ours - {"ServiceError", *calls}
    assert {error for error in documented if f"`{error}`" not in section(name, "raise")} <= {"ServiceError"}


@pytest.mark.parametrize("name", PAGES)
def test_final_errors(name: str) -> None:
    """The last column of a table of errors says whether Airflow tries again."""
    for line in section(name, "raise").splitlines():
        cells = line.strip("| ").split(" | ")
        for error in re.findall(r"errors\.(\w+)\]", cells[0]):
            if cells[-1] in ("yes", "no"):
                assert issubclass(getattr(errors, error), FINAL) is (cells[-1] == "yes"), error
