"""The page of failures tells what the code knows, to the letter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.core.failure.reasons import (
    RUN_REASONS,
    SUBMISSION_REASONS,
    UNCLEAR_TRIES,
    FailureClass,
    FailureReason,
    is_final,
)
from tests.docs.blocks import DOCS

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = (DOCS / "failures.md").read_text(encoding="utf-8")


def table(reasons: Mapping[str, FailureReason]) -> str:
    """Make the rows of the page's table."""
    return "\n".join(
        f"| `{reason.code}` | {reason.explanation} | {reason.owner.value} | {reason.failure_class.value} "
        f"| {reason.action} |"
        for reason in sorted(reasons.values(), key=lambda reason: reason.code)
    )


@pytest.mark.parametrize("reasons", [RUN_REASONS, SUBMISSION_REASONS], ids=["runs", "submissions"])
def test_tables(reasons: Mapping[str, FailureReason]) -> None:
    """Each code has its row, with what the task log says of it; the assertion shows the rows to paste."""
    rows = table(reasons)

    assert rows in PAGE, rows


def test_no_other_codes() -> None:
    """The page has no code that the package does not explain."""
    codes = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))

    assert codes == RUN_REASONS.keys() | SUBMISSION_REASONS.keys()


@pytest.mark.parametrize("failure_class", list(FailureClass), ids=lambda failure_class: failure_class.value)
def test_retries(failure_class: FailureClass) -> None:
    """The page says of each class whether Airflow tries again as the code decides it."""
    (said,) = re.findall(rf"^\| {failure_class.value} \| .* \| (.*) \|$", PAGE, re.MULTILINE)

    tries = [not is_final(failure_class, before) for before in range(UNCLEAR_TRIES)]
    assert (
        said
        == {(True, True): "as often as `retries` says", (True, False): "once", (False, False): "no"}[
            (tries[0], tries[1])
        ]
    )
