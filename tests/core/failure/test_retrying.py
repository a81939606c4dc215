from __future__ import annotations

import pytest

from airflow_provider_omics.core.failure.reasons import FailureClass, is_final

PERMANENT, SIZING = FailureClass.PERMANENT, FailureClass.SIZING
TRANSIENT, UNCLEAR = FailureClass.TRANSIENT, FailureClass.UNCLEAR


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
