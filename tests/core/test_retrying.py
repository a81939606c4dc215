from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from airflow_provider_omics.core.failure_reasons import FailureClass
from airflow_provider_omics.core.retrying import is_final, split_for_retry

PERMANENT, SIZING = FailureClass.PERMANENT, FailureClass.SIZING
TRANSIENT, UNCLEAR = FailureClass.TRANSIENT, FailureClass.UNCLEAR


@dataclass(frozen=True)
class Sample:
    """Anything with a class."""

    failure_class: FailureClass


@pytest.mark.parametrize(
    ("failure_class", "unclear_before", "final"),
    [
        (PERMANENT, 0, True),
        (SIZING, 0, True),
        (TRANSIENT, 0, False),
        (TRANSIENT, 5, False),
        (UNCLEAR, 0, False),
        (UNCLEAR, 1, True),
        (UNCLEAR, 2, True),
    ],
)
def test_is_final(failure_class: FailureClass, unclear_before: int, final: bool) -> None:
    """Permanent and sizing failures end the task, unclear ones the second time, transient ones never."""
    assert is_final(failure_class, unclear_before) is final
    assert is_final(failure_class, unclear_before, retry_permanent=True) is False


@pytest.mark.parametrize("classes", list(itertools.product(FailureClass, repeat=2)))
@pytest.mark.parametrize(
    ("options", "carried"),
    [
        ({"unclear_before": 0}, {PERMANENT, SIZING}),
        ({"unclear_before": 1}, {PERMANENT, SIZING, UNCLEAR}),
        ({"unclear_before": 0, "rerun_setting_changes": True}, {PERMANENT}),
        ({"unclear_before": 1, "rerun_setting_changes": True}, {PERMANENT, UNCLEAR}),
        ({"unclear_before": 1, "cleared": True}, set()),
        ({"unclear_before": 1, "retry_permanent": True}, set()),
    ],
)
def test_split_for_retry(
    classes: tuple[FailureClass, ...], options: dict[str, int], carried: set[FailureClass]
) -> None:
    """Of every mixture, what may pass is submitted again, in its order, and the rest is carried forward."""
    samples = [Sample(cls) for cls in classes]

    submit, carry = split_for_retry(samples, **options)  # type: ignore[arg-type]

    assert submit == [sample for sample in samples if sample.failure_class not in carried]
    assert carry == [sample for sample in samples if sample.failure_class in carried]
