from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.connection import KINDS
from airflow_provider_omics.core.settings.connection_extra import misplaced_keys, parsed_extra

OMICS = {"mask_parameters": True, "require_settings": ["runGroupId"]}


@pytest.mark.parametrize(
    "given",
    [
        {"service_config": json.dumps({"omics": OMICS}), "region_name": "us-east-1"},
        {"service_config": {"omics": json.dumps(OMICS)}, "region_name": "us-east-1"},
        {"service_config": json.dumps({"omics": json.dumps(OMICS)}), "region_name": "us-east-1"},
        {"service_config": {"omics": OMICS}, "region_name": "us-east-1", "config_kwargs": ""},
    ],
)
def test_text_is_parsed(given: dict[str, Any]) -> None:
    """What a connection URI carries as JSON text is what it says."""
    assert parsed_extra(given, "team") == {"service_config": {"omics": OMICS}, "region_name": "us-east-1"}


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"service_config": "omics"}, "extra['service_config']"),
        ({"config_kwargs": "connect_timeout=5"}, "extra['config_kwargs']"),
        ({"config_kwargs": "[5]"}, "extra['config_kwargs']"),
        ({"assume_role_kwargs": 5}, "extra['assume_role_kwargs']"),
        ({"service_config": {"omics": "{broken"}}, "extra['service_config']['omics']"),
        ({"service_config": {"s3": ["x"]}}, "extra['service_config']['s3']"),
    ],
)
def test_other_text_is_refused(given: dict[str, Any], place: str) -> None:
    """What is no object is told with connection, key and remedy, and never shown: it may hold a secret."""
    with pytest.raises(SettingsError) as caught:
        parsed_extra(given, "team")

    (problem,) = caught.value.problems
    assert problem.argument == f"connection 'team' {place}"
    assert "__extra__" in problem.allowed
    assert problem.value in ("text", "list", "int")


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"mask_parameters": True}, "extra['mask_parameters']"),
        ({"omics": OMICS}, "extra['omics']"),
        ({"HealthOmics": OMICS}, "extra['HealthOmics']"),
        ({"service_config": {"Omics": OMICS}}, "extra['service_config']['Omics']"),
        ({"service_config": {"healthomics": OMICS}}, "extra['service_config']['healthomics']"),
        ({"service_config": {"aws-omics": OMICS}}, "extra['service_config']['aws-omics']"),
        ({"service_config": OMICS}, "extra['service_config']['require_settings']"),
        ({"serviceConfig": {"omics": OMICS}}, "extra['serviceConfig']"),
        ({"conn_type": "aws", "extra": {"service_config": {"omics": OMICS}}}, "a whole connection"),
        ({"aws_default": {"conn_type": "aws", "extra": "{}"}}, "a whole connection"),
    ],
)
def test_misplaced_keys(extra: dict[str, Any], named: str) -> None:
    """Keys where nobody reads them are named in one sentence, with their place and without their values."""
    sentence = misplaced_keys(extra, KINDS, "team")

    assert sentence is not None
    assert named in sentence
    assert "connection 'team'" in sentence
    assert '{"service_config": {"omics"' in sentence
    assert "runGroupId" not in sentence


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"region_name": "us-east-1", "role_arn": "arn:...", "endpoint_url": "http://127.0.0.1:1"},
        {"service_config": {"omics": OMICS, "s3": {"endpoint_url": "x"}, "sts": {}}},
        {"service_config": {"omics": {"endpoint_url": "x"}}, "config_kwargs": {"read_timeout": 5}},
    ],
)
def test_keys_in_their_place(extra: dict[str, Any]) -> None:
    """What the Amazon provider reads, and ours where they belong, are no mistake."""
    assert misplaced_keys(extra, KINDS, "team") is None
