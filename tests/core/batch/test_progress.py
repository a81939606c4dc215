"""The sentence for people who do not look at Airflow, and when it is sent."""

from __future__ import annotations

import pytest

from airflow_provider_omics.core.batch.progress import is_worth_telling, progress_sentence


def test_the_sentence() -> None:
    """Counts, causes with whose move it is, what goes on, and where to look; no sample."""
    causes = {"INPUT_URI_NOT_FOUND": 488, "CANCELLED": 12}

    assert progress_sentence("cohort42", 3000, 500, causes, 1900, "s3://b/report.html") == (
        "cohort42: 500 of 3,000 failed, 488 INPUT_URI_NOT_FOUND (data owner), 12 CANCELLED (platform team); "
        "1,900 going; s3://b/report.html"
    )
    assert progress_sentence("cohort42", 3, 0, {}, 0, None) == "cohort42: 0 of 3 failed; all have ended"


@pytest.mark.parametrize(
    ("new", "causes", "expected"),
    [
        pytest.param({}, {"A": 9}, False, id="nothing new"),
        pytest.param({"A": 1}, {"A": 1}, True, id="the first failure"),
        pytest.param({"A": 1}, {"A": 9}, False, id="one more of the same"),
        pytest.param({"B": 1}, {"A": 9, "B": 1}, True, id="a new cause"),
        pytest.param({"A": 1}, {"A": 100}, True, id="a tenth"),
        pytest.param({"A": 1}, {"A": 101}, False, id="more than a tenth"),
        pytest.param({"A": 300}, {"A": 600}, True, id="a half"),
    ],
)
def test_when_it_is_told(new: dict[str, int], causes: dict[str, int], *, expected: bool) -> None:
    assert is_worth_telling(new, causes, 1000) is expected
