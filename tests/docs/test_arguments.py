"""The how-to pages name arguments, defaults and result keys that there are."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from airflow_provider_omics.core.outcomes import batch_result, run_result
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator, OmicsStartRunBatchOperator
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator
from airflow_provider_omics.sensors.run import OmicsRunSensor
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor
from tests.docs.blocks import DOCS

PAGES: dict[str, tuple[Any, ...]] = {
    "run": (OmicsStartRunOperator,),
    "run-batch": (OmicsStartRunBatchOperator,),
    "sensors": (OmicsRunSensor, OmicsRunBatchSensor),
    "run-groups": (OmicsCreateRunGroupOperator,),
    "collect-results": (OmicsCollectBatchResultsOperator,),
}
RETURNED = {
    "run": run_result(RunSnapshot("1", "COMPLETED")).keys(),
    "run-batch": {*batch_result(BatchSnapshot("1", "PROCESSED"), succeeded=True), "results_uri"},
}


def page(name: str) -> str:
    """Read a how-to page."""
    return (DOCS / "how-to" / f"{name}.md").read_text(encoding="utf-8")


def parameters(operators: tuple[Any, ...]) -> dict[str, Any]:
    """Give the arguments of operators with their defaults, those of their bases included."""
    found: dict[str, Any] = {}
    for base in [base for operator in operators for base in reversed(operator.__mro__)]:
        if "__init__" in vars(base):
            found |= {name: value.default for name, value in inspect.signature(base.__init__).parameters.items()}
    return found


def rows(name: str) -> list[tuple[list[str], str]]:
    """Give the rows of a page's tables of arguments: names, and what the second column says."""
    tables = re.findall(r"^\| argument \| default \|.*\n\|.*\n((?:\|.*\n)+)", page(name), re.MULTILINE)
    cells = [line.split(" | ") for table in tables for line in table.splitlines()]
    return [(re.findall(r"`(\w+)`", first), second) for first, second, *_ in cells]


@pytest.mark.parametrize("name", PAGES)
def test_arguments(name: str) -> None:
    """Every argument of a table is one of the operator, and a default that is a value is its default."""
    known = parameters(PAGES[name])

    told = rows(name)

    assert told
    for names, default in told:
        assert set(names) <= known.keys()
        shown = re.fullmatch(r"`(True|False|\"\w+\")`|(\d+)", default)
        if shown and len(names) == 1:
            assert str(known[names[0]]).removesuffix(".0") == (shown[1] or shown[2]).strip('"'), names


@pytest.mark.parametrize("name", RETURNED)
def test_returned(name: str) -> None:
    """The keys that a page lists are the keys of the result."""
    told = page(name).partition("## What it returns")[2].partition("`. ")[0] + "`"

    assert set(re.findall(r"`(\w+)`", told)) == set(RETURNED[name])
