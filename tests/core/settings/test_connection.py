from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from airflow_provider_omics.core.errors import Problem, SettingsError, show_value
from airflow_provider_omics.core.settings.approval import APPROVAL_FORM
from airflow_provider_omics.core.settings.by_name import NAMES
from airflow_provider_omics.core.settings.connection import KINDS, ConnectionDefaults, misplaced_keys, parsed_extra

OMICS = {"mask_parameters": True, "require_settings": ["runGroupId"]}
ALL: dict[str, Any] = {
    "default_run_setting": {"roleArn": "arn:aws:iam::123456789012:role/omics", "scratchStorageMode": "LOCAL"},
    "require_settings": ["workflowVersionName", "runGroupId"],
    "staging_s3_uri": "s3://bucket/staging/",
    "staging_kms_key_id": "alias/omics",
    "results_s3_uri": "s3://bucket/results/",
    "results_kms_key_id": "alias/results",
    "tag_with_airflow_context": False,
    "mask_parameters": True,
    "calls_per_second": 2.5,
    "pending_notice_seconds": 600,
    "read_costs": True,
    "prices_uri": "s3://bucket/prices.json",
    "workflow_name": "germline",
    "workflow_version_name": "1.0",
    "run_group_name": "bulk",
    "cache_name": "shared",
    "approved_workflows": [{"workflow": "germline", "version": "1.0"}],
}


def problems_of(config: Any) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        ConnectionDefaults.from_service_config(config)
    return caught.value.problems


def test_nothing_said_gives_the_defaults() -> None:
    """An empty mapping is no problem."""
    assert ConnectionDefaults.from_service_config({}) == ConnectionDefaults(
        default_run_setting={},
        require_settings=(),
        staging_s3_uri=None,
        staging_kms_key_id=None,
        results_s3_uri=None,
        results_kms_key_id=None,
        tag_with_airflow_context=True,
        mask_parameters=False,
        calls_per_second=5.0,
        pending_notice_seconds=1800.0,
    )


def test_every_key_is_read() -> None:
    """Each key has a field of the same name, and each field a key."""
    defaults = ConnectionDefaults.from_service_config(ALL)

    words = {"connection": "the connection"}
    found = {**vars(defaults), **defaults.names}
    del found["names"]
    assert {key: list(value) if isinstance(value, tuple) else value for key, value in found.items()} == {**ALL, **words}
    assert {field.name for field in fields(ConnectionDefaults)} | set(NAMES) == {*ALL, *words, "names"}


def test_text_of_a_value() -> None:
    """A list or an object that a form has left as JSON text is read as what it says."""
    text = {key: json.dumps(value) if isinstance(value, (dict, list)) else value for key, value in ALL.items()}

    assert ConnectionDefaults.from_service_config(text) == ConnectionDefaults.from_service_config(ALL)


def test_a_key_of_the_amazon_provider_is_left_to_it() -> None:
    """``endpoint_url`` stands in the same place."""
    config = {"endpoint_url": "http://127.0.0.1:5000"}

    assert ConnectionDefaults.from_service_config(config) == ConnectionDefaults()


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("default_run_setting", "LOCAL", "a JSON object as AWS spells defaultRunSetting"),
        ("default_run_setting", None, "a JSON object as AWS spells defaultRunSetting"),
        ("default_run_setting", [], "a JSON object as AWS spells defaultRunSetting"),
        ("require_settings", "runGroupId", "a list of setting names"),
        ("require_settings", [1], "a list of setting names"),
        ("require_settings", {"runGroupId": True}, "a list of setting names"),
        ("staging_s3_uri", "bucket/staging/", "s3://bucket/prefix/"),
        ("staging_s3_uri", "https://bucket.s3.amazonaws.com/", "s3://bucket/prefix/"),
        ("staging_s3_uri", ["s3://bucket/"], "s3://bucket/prefix/"),
        ("results_s3_uri", "", "s3://bucket/prefix/"),
        ("staging_kms_key_id", 5, "a KMS key id or ARN"),
        ("results_kms_key_id", ["alias/results"], "a KMS key id or ARN"),
        ("tag_with_airflow_context", "true", "true or false"),
        ("tag_with_airflow_context", 1, "true or false"),
        ("mask_parameters", None, "true or false"),
        ("workflow_name", "", "the name of a workflow"),
        ("cache_name", 7, "the name of a run cache"),
        ("approved_workflows", [{"version": "1.0"}], APPROVAL_FORM),
        ("approved_workflows", None, APPROVAL_FORM),
        ("calls_per_second", 0, "a number above 0"),
        ("calls_per_second", -1.5, "a number above 0"),
        ("calls_per_second", "5", "a number above 0"),
        ("calls_per_second", True, "a number above 0"),
        ("calls_per_second", float("nan"), "a number above 0"),
        ("calls_per_second", float("inf"), "a number above 0"),
        ("pending_notice_seconds", 0, "a number above 0"),
    ],
    ids=repr,
)
def test_a_value_of_the_wrong_form(key: str, value: object, allowed: str) -> None:
    """The error names the key where it stands, the value and what is allowed."""
    where = f"connection service_config['omics']['{key}']"
    assert problems_of({key: value}) == (Problem(where, show_value(value), allowed),)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("require_setting", "unknown key; did you mean require_settings?"),
        ("stagingS3Uri", "unknown key; did you mean staging_s3_uri?"),
        ("colour", f"unknown key; known keys are {', '.join(ALL)}"),
    ],
)
def test_an_unknown_key(key: str, hint: str) -> None:
    """A key that nobody reads is a mistake, with the nearest key named."""
    assert problems_of({key: 1}) == (Problem(f"connection service_config['omics']['{key}']", "int", hint),)


@pytest.mark.parametrize("config", [[], "LOCAL", None], ids=repr)
def test_what_is_no_mapping(config: object) -> None:
    """The whole part has the wrong form."""
    (problem,) = problems_of(config)

    shape = type(config).__name__ if isinstance(config, str) else show_value(config)
    assert (problem.argument, problem.value) == ("connection service_config['omics']", shape)


def test_all_problems_are_told_at_once() -> None:
    """In the order in which they stand there."""
    told = problems_of({"mask_parameters": 1, "colour": 1, "staging_s3_uri": "s3://ok/", "calls_per_second": 0})

    assert [problem.argument.split("'")[3] for problem in told] == ["mask_parameters", "colour", "calls_per_second"]


def test_a_long_value_is_shortened() -> None:
    """The beginning of a long text is shown."""
    (problem,) = problems_of({"staging_s3_uri": "x" * 100})

    assert problem.value == f"'{'x' * 60}'... (100 characters)"


def test_the_inside_of_a_value_is_not_shown() -> None:
    """Settings of the wrong form may hold parameters, and those a patient."""
    (problem,) = problems_of({"default_run_setting": [{"parameters": {"patient": "P-0041"}}]})

    assert problem.value == "list of 1"


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
