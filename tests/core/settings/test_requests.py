"""Merged settings and the requests that are built from them."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
import botocore.validate
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.settings.checks import clean_setting
from airflow_provider_omics.core.settings.fields import START_RUN_ARGUMENTS, Place
from airflow_provider_omics.core.settings.requests import build_start_run_request, merge_settings, merged_run_settings
from tests.model_support import sendable

ROLE = "arn:aws:iam::123456789012:role/omics"
RUN = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": "s3://bucket/out"}
# How long one example takes says nothing on a machine that others use too.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MODEL = botocore.session.get_session().get_service_model("omics")


def run_request(setting: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    """Build StartRun and give its request."""
    return build_start_run_request(setting, request_id="id", **keywords).request


def run_problems(setting: dict[str, Any], **keywords: Any) -> list[Problem]:
    """Give the problems of a StartRun that is refused."""
    with pytest.raises(SettingsError) as refused:
        run_request(setting, **keywords)
    return list(refused.value.problems)


def assert_valid(operation: str, request: dict[str, Any]) -> None:
    """Let botocore check a request as it does before it sends one."""
    report = botocore.validate.ParamValidator().validate(request, MODEL.operation_model(operation).input_shape)
    assert not report.has_errors(), report.generate_report()


# Merging

VALUES = st.none() | st.text(max_size=3) | st.integers()
LAYER = st.fixed_dictionaries(
    {},
    optional={
        "name": VALUES,
        "priority": VALUES,
        **{
            name: st.none() | st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
            for name in ("parameters", "runTags", "tags", "engineSettings")
        },
    },
)


@UNHURRIED
@given(st.lists(LAYER, max_size=4))
def test_last_set_value_wins_and_nothing_is_invented(layers: list[dict[str, Any]]) -> None:
    """A plain setting is the last that is set; a key of a mapping is the last layer's that has it."""
    before = copy.deepcopy(layers)

    merged = merge_settings(*layers)

    assert layers == before
    assert set(merged) == {name for layer in layers for name, value in layer.items() if value is not None}
    for name, value in merged.items():
        given_values = [layer[name] for layer in layers if layer.get(name) is not None]
        if isinstance(value, dict):
            keys = {key for mapping in given_values for key in mapping}
            last = {key: [mapping[key] for mapping in given_values if key in mapping][-1] for key in keys}
            assert value == last
        else:
            assert value == given_values[-1]


@UNHURRIED
@given(LAYER, LAYER, LAYER)
def test_merging_is_associative(first: dict[str, Any], second: dict[str, Any], third: dict[str, Any]) -> None:
    """As long as mappings are mappings, it does not matter which two layers are merged first."""
    left = merge_settings(merge_settings(first, second), third)

    assert left == merge_settings(first, merge_settings(second, third)) == merge_settings(first, second, third)


@UNHURRIED
@given(LAYER)
def test_merging_with_nothing_changes_nothing(layer: dict[str, Any]) -> None:
    """An empty layer is neutral on both sides, and so is merging with itself."""
    merged = merge_settings(layer)

    assert merge_settings({}, layer) == merge_settings(layer, {}) == merge_settings(layer, layer) == merged


@pytest.mark.parametrize(
    ("weak", "strong", "expected"),
    [
        ({"parameters": {"a": 1, "b": 1}}, {"parameters": {"b": 2}}, {"parameters": {"a": 1, "b": 2}}),
        ({"parameters": {"a": 1}}, {"parameters": {}}, {"parameters": {"a": 1}}),
        ({"parameters": {"a": 1}}, {"parameters": {"a": None}}, {"parameters": {"a": None}}),
        ({"parameters": {"a": {"x": 1}}}, {"parameters": {"a": {"y": 2}}}, {"parameters": {"a": {"y": 2}}}),
        ({"parameters": {"a": 1}}, {"parameters": None}, {"parameters": {"a": 1}}),
        ({"logLevel": "ALL"}, {"logLevel": None}, {"logLevel": "ALL"}),
        ({"logLevel": "ALL"}, {"logLevel": "OFF"}, {"logLevel": "OFF"}),
        ({"engineSettings": {"a": "1"}}, {"engineSettings": {"b": "2"}}, {"engineSettings": {"a": "1", "b": "2"}}),
        ({}, {"parameters": {}}, {"parameters": {}}),
    ],
)
def test_merge_rule(weak: dict[str, Any], strong: dict[str, Any], expected: dict[str, Any]) -> None:
    """Mappings merge one level deep, an empty one removes nothing, None is unset but null below is a value."""
    assert merge_settings(weak, strong) == expected


def test_run_of_a_batch_follows_the_rule_of_aws() -> None:
    """Parameters and tags merge key by key; engineSettings and all else are replaced."""
    default = {**RUN, "parameters": {"a": 1, "b": 1}, "runTags": {"x": "1"}, "engineSettings": {"p": "1"}, "name": "n"}
    runs: list[dict[str, Any]] = [
        {
            "runSettingId": "s1",
            "parameters": {"b": 2},
            "runTags": {"y": "2"},
            "engineSettings": {"q": "2"},
            "name": None,
        },
        {"runSettingId": "s2", "outputUri": "s3://bucket/other"},
    ]
    before = copy.deepcopy((default, runs))

    first, second = merged_run_settings(default, iter(runs))

    assert first == {
        **RUN,
        "runSettingId": "s1",
        "name": "n",
        "parameters": {"a": 1, "b": 2},
        "runTags": {"x": "1", "y": "2"},
        "engineSettings": {"q": "2"},
    }
    assert second == {**default, "runSettingId": "s2", "outputUri": "s3://bucket/other"}
    assert (default, runs) == before


@UNHURRIED
@given(LAYER, st.lists(LAYER, max_size=3))
def test_run_of_a_batch_merges_like_layers_but_for_engine_settings(
    default: dict[str, Any], runs: list[dict[str, Any]]
) -> None:
    """The two merge rules differ in engineSettings alone, which a run replaces."""
    for layer in (default, *runs):
        layer.pop("tags", None)  # not a name of either place
        layer.update(clean_setting(layer, Place.PER_RUN))  # digits become a number on the way, or text

    for run, merged in zip(runs, merged_run_settings(default, runs), strict=True):
        expected = merge_settings(default, run)
        if run.get("engineSettings") is not None:
            expected["engineSettings"] = run["engineSettings"]
        assert merged == expected


# StartRun


def test_run_request_holds_what_was_given() -> None:
    """Every setting arrives under AWS's name, unset ones are absent, and botocore finds nothing wrong."""
    setting: dict[str, Any] = {
        **RUN,
        "workflowType": "PRIVATE",
        "workflowOwnerId": "111122223333",
        "workflowVersionName": "1.0",
        "sessionPolicy": '{"Statement": []}',
        "name": "run",
        "parameters": {"a": [1, None, {"b": 2.5}]},
        "engineSettings": {"engineVersion": "25.10"},
        "cacheId": "7",
        "cacheBehavior": "CACHE_ALWAYS",
        "runGroupId": "8",
        "priority": 5,
        "storageType": "STATIC",
        "storageCapacity": 2400,
        "scratchStorageMode": "LOCAL",
        "requesterPaysEnabled": True,
        "outputUriPrefixMode": "NONE_WITH_OVERWRITE",
        "logLevel": "ALL",
        "retentionMode": "REMOVE",
        "networkingMode": "VPC",
        "configurationName": "vpc",
        "tags": {"team": "genomics"},
    }

    request = run_request({**dict.fromkeys(START_RUN_ARGUMENTS.values()), **setting})

    assert request == {**setting, "requestId": "id"}
    assert_valid("StartRun", sendable(Place.START_RUN, request))


def test_connection_defaults_lie_under_the_arguments() -> None:
    """Defaults fill what is unset, runTags become tags, and a field of batches alone is left out."""
    defaults = {
        **RUN,
        "outputBucketOwnerId": "123456789012",
        "scratchStorageMode": "LOCAL",
        "runTags": {"a": "default", "b": "default"},
        "parameters": {"genome": "GRCh38"},
        "logLevel": None,
    }
    setting = {"outputUri": "s3://bucket/mine", "tags": {"b": "mine"}, "parameters": {"reads": "r"}}
    before = copy.deepcopy((defaults, setting))

    assert run_request(setting, defaults=defaults) == {
        **RUN,
        "requestId": "id",
        "outputUri": "s3://bucket/mine",
        "scratchStorageMode": "LOCAL",
        "tags": {"a": "default", "b": "mine"},
        "parameters": {"genome": "GRCh38", "reads": "r"},
    }
    assert (defaults, setting) == before


@pytest.mark.parametrize(
    ("argument", "default", "sent"),
    [("LOCAL", "SHARED", "LOCAL"), ("SHARED", None, "SHARED"), (None, "LOCAL", "LOCAL"), (None, None, None)],
)
def test_scratch_storage_mode_of_a_run(argument: str | None, default: str | None, sent: str | None) -> None:
    """The argument wins over the connection; unset stays unset."""
    request = run_request({**RUN, "scratchStorageMode": argument}, defaults={"scratchStorageMode": default})

    assert request.get("scratchStorageMode") == sent
    assert ("scratchStorageMode" in request) == (sent is not None)


def test_source_run_displaces_the_default_workflow() -> None:
    """A repeated run has its workflow: what the connection says of one is not sent, nor asked for."""
    defaults = {**RUN, "workflowType": "READY2RUN", "workflowVersionName": "1", "workflowOwnerId": "123456789012"}
    setting = {"runId": "99", "cacheBehavior": "CACHE_ALWAYS", "networkingMode": "VPC"}

    request = run_request(setting, defaults=defaults, require=["workflowVersionName", "workflowId"])

    assert request == {**setting, "roleArn": ROLE, "outputUri": RUN["outputUri"], "requestId": "id"}


@pytest.mark.parametrize(
    ("setting", "defaults", "argument", "allowed"),
    [
        ({**RUN, "workflowId": None}, {}, "workflow_id", "workflow_id, source_run_id, here, in default_args"),
        ({**RUN, "runId": "5"}, {}, "workflow_id", "not both"),
        ({**RUN, "roleArn": None}, {}, "role_arn", "required"),
        ({**RUN, "outputUri": None}, {}, "output_uri", "required"),
        ({**RUN, "outputUri": "bucket"}, {}, "output_uri", "s3://bucket/..."),
        ({**RUN, "name": ""}, {}, "run_name", "1 to 128"),
        ({**RUN, "runId": "x", "workflowId": None}, {}, "source_run_id", "digits"),
        ({**RUN, "scratchStorageMode": "TMP"}, {}, "scratch_storage_mode", "LOCAL or SHARED"),
        ({**RUN, "cacheBehavior": "CACHE_ALWAYS"}, {}, "cache_behavior", "set cache_id too"),
        (RUN, {"cacheBehavior": "CACHE_ALWAYS"}, "connection default_run_setting['cacheBehavior']", "set cache_id too"),
        ({**RUN, "networkingMode": "VPC"}, {}, "networking_mode", "set configuration_name too"),
        ({**RUN, "parameters": {"a": {1, 2}}}, {}, "parameters['a']", "sorted(value)"),
        ({**RUN, "parameters": {"a": "x" * 256_000}}, {}, "parameters", "256,000 bytes"),
        ({**RUN, "parameters": {"a": 1}}, {"parameters": {"b": "x" * 255_990}}, "parameters", "256,000 bytes"),
        ({**RUN, "parametersUri": "s3://bucket/a.json", "parameters": {}}, {}, "parameters_uri", "leave one out"),
        (
            {**RUN, "parametersUri": "s3://bucket/a.json"},
            {"parameters": {"a": 1}},
            "parameters_uri",
            "parameters_uri or connection default_run_setting['parameters'], not both",
        ),
        (
            {**RUN, "outputUriPrefixMode": "NONE"},
            {},
            "output_uri_prefix_mode",
            "SERVICE_DEFINED or NONE_WITH_OVERWRITE",
        ),
        ({**RUN, "requesterPaysEnabled": "maybe"}, {}, "requester_pays_enabled", "true or false"),
        ({**RUN, "engineSettings": {"a": b""}}, {}, "engine_settings['a']", "JSON carries"),
        (
            {**RUN, "tags": {f"t{n}": "" for n in range(30)}},
            {"runTags": {f"d{n}": "" for n in range(21)}},
            "tags",
            "at most 50",
        ),
        (RUN, {"roleArn": "x"}, "connection default_run_setting['roleArn']", "an ARN"),
        (RUN, {"tags": {}}, "connection default_run_setting['tags']", "'runTags' here"),
        (RUN, {"runTags": {"aws:x": ""}}, "connection default_run_setting['runTags']['aws:x']", "reserved"),
        (RUN, "text", "connection default_run_setting", "a dict of settings"),
        ({**RUN, "role_arn": "x"}, {}, "role_arn", "AWS spells it 'roleArn' here"),
        ({**RUN, "requestId": "mine"}, {}, "request_id", "leave it out"),
    ],
)
def test_refused_run_names_the_argument(setting: dict[str, Any], defaults: Any, argument: str, allowed: str) -> None:
    """One mistake is one problem, named as the user typed it, with what to do."""
    (problem,) = run_problems(setting, defaults=defaults)

    assert problem.argument == argument
    assert allowed in problem.allowed


def test_request_id_is_checked() -> None:
    """The idempotency token has the model's limits."""
    with pytest.raises(SettingsError, match="request_id"):
        build_start_run_request(RUN, request_id="x" * 129)


def test_required_settings_of_the_connection() -> None:
    """What the connection requires must be there, from wherever; a field of batches alone is no matter."""
    require = ["runGroupId", "workflowVersionName", "tags", "outputBucketOwnerId", "scratchStorageMode"]
    given_all = {"runGroupId": "1", "workflowVersionName": "v", "tags": {"a": "b"}, "scratchStorageMode": "LOCAL"}

    assert run_request({**RUN, **given_all}, require=require)["runGroupId"] == "1"
    assert [problem.argument for problem in run_problems({**RUN, "tags": {}}, require=require)] == [
        "run_group_id",
        "workflow_version_name",
        "tags",
        "scratch_storage_mode",
    ]


def test_parameters_in_s3_are_parameters() -> None:
    """A connection that requires parameters is content with those that lie in S3."""
    given = {**RUN, "parametersUri": "s3://bucket/parameters.json"}

    assert run_request(given, require=["parameters"]) == {**given, "requestId": "id"}
    assert [problem.argument for problem in run_problems(RUN, require=["parameters"])] == ["parameters"]


def test_misspelt_requirement_is_a_problem() -> None:
    """A requirement that names no setting would never be met or never be missed."""
    (problem,) = run_problems(RUN, require=["workflowVersion"])

    assert problem.argument == "connection require_settings"
    assert "'workflowVersionName'" in problem.allowed


def test_all_problems_of_a_run_come_at_once() -> None:
    """The message lists each of them, connection and arguments alike."""
    problems = run_problems({"priority": -1, "tags": {"aws:a": ""}, "storage": 1}, defaults={"logLevel": "DEBUG"})

    assert {problem.argument for problem in problems} == {
        "connection default_run_setting['logLevel']",
        "priority",
        "tags['aws:a']",
        "storage",
        "workflow_id",
        "role_arn",
        "output_uri",
    }


def test_capacity_of_dynamic_storage_is_warned_of() -> None:
    """The service ignores storageCapacity with DYNAMIC; it is sent all the same."""
    checked = build_start_run_request({**RUN, "storageType": "DYNAMIC", "storageCapacity": 1200}, request_id="id")

    (warning,) = checked.warnings
    assert "storageCapacity" in warning
    assert checked.request["storageCapacity"] == 1200


def test_argument_names_are_snake_case_of_their_own() -> None:
    """Names that AWS uses for something else in Airflow are told apart."""
    assert START_RUN_ARGUMENTS["source_run_id"] == "runId"
    assert START_RUN_ARGUMENTS["run_name"] == "name"
    assert START_RUN_ARGUMENTS["tags"] == "tags"
    assert "request_id" not in START_RUN_ARGUMENTS
    assert all(name == name.lower() for name in START_RUN_ARGUMENTS)


def test_required_request_id_is_never_missing() -> None:
    """The operator sets it itself, so nobody could give it."""
    assert run_request(RUN, require=["requestId"])["requestId"]
