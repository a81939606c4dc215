from __future__ import annotations

import pytest

from airflow_provider_omics.core.console import log_stream_url, run_list_url, run_url, s3_url


def test_page_of_a_run() -> None:
    """Region in the query, id in the fragment."""
    assert run_url("eu-west-1", "1234567") == (
        "https://console.aws.amazon.com/omics/home?region=eu-west-1#/runs/1234567"
    )


def test_page_of_the_runs() -> None:
    """Stands in for a batch."""
    assert run_list_url("eu-west-1") == "https://console.aws.amazon.com/omics/home?region=eu-west-1#/runs"


@pytest.mark.parametrize(
    ("stream", "end"),
    [("run/1", "run%2F1"), ("run/1/engine", "run%2F1%2Fengine"), ("run/1/task/2", "run%2F1%2Ftask%2F2")],
)
def test_page_of_a_log_stream(stream: str, end: str) -> None:
    """Slashes of group and stream are encoded, so that they are no part of the path."""
    assert log_stream_url("us-east-1", stream) == (
        "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        f"#logsV2:log-groups/log-group/%2Faws%2Fomics%2FWorkflowLog/log-events/{end}"
    )


def test_what_does_not_belong_into_an_address_is_encoded() -> None:
    """An id or a Region from a template cannot change the rest of the address."""
    assert run_url("x y", "1?a=b#c") == "https://console.aws.amazon.com/omics/home?region=x%20y#/runs/1%3Fa%3Db%23c"


@pytest.mark.parametrize(
    ("uri", "end"),
    [
        ("s3://results/runs/1", "results?prefix=runs/1/"),
        ("s3://results/runs/1/", "results?prefix=runs/1/"),
        ("s3://results", "results?prefix="),
        ("s3://results/", "results?prefix="),
        ("s3://results/a b/c+d/e&f/g#h/i?j/\u00fc%2F", "results?prefix=a%20b/c%2Bd/e%26f/g%23h/i%3Fj/%C3%BC%252F/"),
    ],
)
def test_page_of_outputs(uri: str, end: str) -> None:
    """A folder's address ends with a slash, and no character of a key changes its meaning."""
    assert s3_url(uri) == f"https://s3.console.aws.amazon.com/s3/buckets/{end}"
