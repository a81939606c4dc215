"""Settings and where they come from."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.reports.settings import effective_settings


@pytest.mark.parametrize(
    ("layers", "shown"),
    [
        ([("connection", {"roleArn": "a"}), ("task", {})], [("roleArn", "a", "connection")]),
        ([("connection", {"roleArn": "a"}), ("task", {"roleArn": "b"})], [("roleArn", "b", "task")]),
        ([("connection", {"roleArn": "a"}), ("task", {"roleArn": None})], [("roleArn", "a", "connection")]),
        (
            [("connection", {"engineSettings": {"a": 1}}), ("task", {"engineSettings": {"b": 2}})],
            [("engineSettings", '{"a": 1, "b": 2}', "connection, task")],
        ),
        (
            [("connection", {"engineSettings": {"a": 1}}), ("task", {"engineSettings": {}})],
            [("engineSettings", '{"a": 1}', "connection")],
        ),
        ([("task", {"storageCapacity": 1200})], [("storageCapacity", "1200", "task")]),
        ([("task", {"parameters": {"born": "1950"}})], [("parameters", "1 parameter", "task")]),
        ([("task", {"sessionPolicy": "secret"})], [("sessionPolicy", "set", "task")]),
        ([], []),
    ],
)
def test_effective_settings(layers: list[tuple[str, dict[str, Any]]], shown: list[tuple[str, str, str]]) -> None:
    """The last one that sets a setting is its origin; all are, where keys are merged. Values of parameters stay out."""
    assert [(found.name, found.value, found.origin) for found in effective_settings(layers)] == shown
