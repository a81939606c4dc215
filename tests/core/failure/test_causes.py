from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.failure.causes import cause_of, deciding_code, read_cause
from airflow_provider_omics.core.failure.reasons import RUN_REASONS, SUBMISSION_REASONS


@pytest.mark.parametrize(
    ("of_run", "of_task", "expected"),
    [
        ("RUN_TASK_FAILED", "OUT_OF_MEMORY_ERROR", "OUT_OF_MEMORY_ERROR"),
        ("WORKFLOW_RUN_FAILED", "TASK_TIMED_OUT", "TASK_TIMED_OUT"),
        (None, "SERVICE_ERROR", "SERVICE_ERROR"),
        ("RUN_TASK_FAILED", "RUN_TASK_FAILED", "RUN_TASK_FAILED"),
        ("WORKFLOW_RUN_FAILED", "RUN_TASK_FAILED", "WORKFLOW_RUN_FAILED"),
        ("RUN_TASK_FAILED", None, "RUN_TASK_FAILED"),
        (None, "RUN_TASK_FAILED", "RUN_TASK_FAILED"),
        (None, None, None),
        ("FILE_SYSTEM_OUT_OF_SPACE", "SERVICE_ERROR", "FILE_SYSTEM_OUT_OF_SPACE"),
        ("SOLAR_FLARE", "OUT_OF_MEMORY_ERROR", "SOLAR_FLARE"),
    ],
)
def test_code_that_decides(of_run: str | None, of_task: str | None, expected: str | None) -> None:
    """The run's code decides, unless it only says that something failed and the task's says what."""
    assert deciding_code(of_run, of_task) == expected


@pytest.mark.parametrize(
    ("status", "code", "task", "expected"),
    [
        ("FAILED", "OUT_OF_MEMORY_ERROR", "ALIGN", "OUT_OF_MEMORY_ERROR in ALIGN"),
        ("FAILED", "IMPORT_FAILED", None, "IMPORT_FAILED"),
        ("FAILED", None, "ALIGN", "no reason given in ALIGN"),
        ("FAILED", None, None, "no reason given"),
        ("NOT_SUBMITTED", None, None, "no reason given"),
        ("NOT_SUBMITTED", "AccessDeniedException", None, "AccessDeniedException"),
        ("CANCELLED", None, None, "CANCELLED"),
        ("UNKNOWN", None, None, "UNKNOWN"),
    ],
)
def test_cause_in_words(status: str, code: str | None, task: str | None, expected: str) -> None:
    """Code and task, or what stands for them."""
    assert cause_of(status, code, task) == expected


def test_no_cause() -> None:
    """Where no cause is known, neither is a code."""
    assert read_cause(None) == (None, None)


@given(
    st.sampled_from(["FAILED", "NOT_SUBMITTED", "CANCELLED", "UNKNOWN"]),
    st.none() | st.sampled_from([*RUN_REASONS, *SUBMISSION_REASONS, "SOLAR_FLARE"]),
    st.none() | st.text(min_size=1, max_size=30) | st.just("ALIGN in parallel"),
)
def test_what_is_written_is_read(status: str, code: str | None, task: str | None) -> None:
    """The code by which a failure is judged later is the one that was shown, whatever the task is called."""
    assert read_cause(cause_of(status, code, task)) == (code, task)
