"""Each value, name and document by itself, and the setting of one run of a batch."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import show_value
from airflow_provider_omics.core.settings.checks import (
    check_run_setting,
    clean_setting,
    run_setting_rules,
    setting_problems,
    tag_faults,
    value_faults,
)
from airflow_provider_omics.core.settings.documents import document_faults, document_size
from airflow_provider_omics.core.settings.fields import FIELDS, Place

FIELD = {**FIELDS[Place.START_RUN], **FIELDS[Place.PER_RUN]}
# How long one example takes says nothing on a machine that others use too.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
POLICY = '{"Version": "2012-10-17",\n\t"Statement": []}'
DEFAULT = {"outputUri": "s3://bucket/out"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workflowId", "1234567"),
        ("workflowOwnerId", "123456789012"),
        ("runId", 1234567),
        ("workflowVersionName", "v1.0-rc_2"),
        ("roleArn", "arn:aws-cn:iam::123456789012:role/path/Name"),
        ("name", "Probe 7 / Zürich, 染色体 🧬"),
        ("name", "x" * 128),
        ("outputUri", "s3://bucket"),
        ("outputUri", "s3://bucket/"),
        ("outputUri", "s3://Old_Bucket.with-dots/prefix/with space/ü"),
        ("priority", 0),
        ("priority", 100_000),
        ("priority", "100"),
        ("storageCapacity", 1200),
        ("scratchStorageMode", "LOCAL"),
        ("scratchStorageMode", "SHARED"),
        ("sessionPolicy", POLICY),
        ("outputUriPrefixMode", "NONE_WITH_OVERWRITE"),
        ("parametersUri", "s3://bucket/with space/ü.json"),
        ("requesterPaysEnabled", False),
        ("requesterPaysEnabled", "True"),
        ("tags", {}),
        ("tags", {"k" * 128: "v" * 256, "x": ""}),
        ("outputBucketOwnerId", "111122223333"),
        ("parameters", {}),
        ("engineSettings", {"engineVersion": "25.10"}),
    ],
)
def test_good_value_has_no_fault(name: str, value: Any) -> None:
    """What the model allows passes, also at its limits and in the types that Airflow renders to."""
    assert value_faults(FIELD[name], value) == []


@pytest.mark.parametrize(
    ("name", "value", "shown", "allowed"),
    [
        ("workflowId", "", "''", "text of 1 to 18 characters, digits only"),
        ("workflowId", "abc", "'abc'", "digits only"),
        ("workflowId", "1" * 19, repr("1" * 19), "1 to 18"),
        ("workflowId", "12\n", "'12\\n'", "digits only"),
        ("workflowId", -5, "-5", "text"),
        ("workflowId", True, "True", "text"),
        ("workflowId", 1.0, "1.0", "text"),
        ("workflowOwnerId", "12345678901", "'12345678901'", "12 digits"),
        ("outputBucketOwnerId", "1234", "'1234'", "text of 12 characters, digits only"),
        ("workflowVersionName", "-1", "'-1'", "beginning with a letter or digit"),
        ("roleArn", "role/x", "'role/x'", "an ARN"),
        ("roleArn", "arn:" + "x" * 125, "(129 characters)", "1 to 128"),
        ("name", "a\tb", "'a\\tb'", "no control"),
        ("name", "a\u200bb", "'a\\u200bb'", "invisible"),
        ("name", ["x"], "list of 1", "text"),
        ("outputUri", "https://bucket/key", "'https://bucket/key'", "s3://bucket/..."),
        ("outputUri", "s3:/bucket/key", "'s3:/bucket/key'", "s3://bucket/..."),
        ("outputUri", "s3:///key", "'s3:///key'", "s3://bucket/..."),
        ("outputUri", "s3://bucket/" + "k" * 739, "(751 characters)", "1 to 750"),
        ("priority", 100_001, "100001", "a whole number from 0 to 100000"),
        ("priority", "-1", "'-1'", "a whole number"),
        ("priority", True, "True", "a whole number"),
        ("priority", 1.0, "1.0", "a whole number"),
        ("scratchStorageMode", "local", "'local'", "LOCAL or SHARED"),
        ("scratchStorageMode", "", "''", "LOCAL or SHARED"),
        ("retentionMode", 5, "5", "RETAIN or REMOVE"),
        ("sessionPolicy", {"Statement": []}, "dict of 1", "json.dumps"),
        ("sessionPolicy", "not json", "text of 8 characters", "JSON"),
        ("sessionPolicy", "[]", "text of 2 characters", "JSON"),
        ("sessionPolicy", '{"a":"' + "x" * 2048 + '"}', "text of 2056 characters", "1 to 2048"),
        ("outputUriPrefixMode", "none", "'none'", "SERVICE_DEFINED or NONE_WITH_OVERWRITE"),
        ("parametersUri", "s3://bucket/", "text of 12 characters", "an object in a bucket (s3://bucket/key)"),
        (
            "parametersUri",
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=ab",
            "text of 47 characters",
            "s3://bucket/key",
        ),
        ("requesterPaysEnabled", 1, "1", "true or false"),
        ("requesterPaysEnabled", "yes", "'yes'", "true or false"),
        ("tags", ["a"], "list of 1", "a dict of text to text"),
        ("parameters", "{}", "str", "this is text: use task.output"),
        ("parameters", [1], "list", "a JSON object"),
    ],
)
def test_bad_value_is_shown_with_what_is_allowed(name: str, value: Any, shown: str, allowed: str) -> None:
    """Each rule of the model refuses what the service would refuse, in words that help."""
    (fault,) = value_faults(FIELD[name], value)

    assert shown in fault.shown
    assert allowed in fault.allowed


@pytest.mark.parametrize(
    ("tags", "path", "allowed"),
    [
        ({"": "x"}, "['']", "1 to 128"),
        ({"k" * 129: "x"}, "[", "1 to 128"),
        ({5: "x"}, "[5]", "a tag key"),
        ({"k": "v" * 257}, "['k']", "at most 256"),
        ({"k": 5}, "['k']", "a tag value: text"),
        ({"k": None}, "['k']", "a tag value: text"),
        ({"aws:cost": "x"}, "['aws:cost']", "reserved"),
        ({"AWS:cost": "x"}, "['AWS:cost']", "reserved"),
    ],
)
def test_bad_tag_is_named(tags: Any, path: str, allowed: str) -> None:
    """A tag's key is the path, whether key or value is wrong."""
    (fault,) = tag_faults(tags)

    assert fault.path.startswith(path)
    assert allowed in fault.allowed


@pytest.mark.parametrize(
    ("value", "path", "shown"),
    [
        ({"a": math.nan}, "['a']", "float"),
        ({"a": [1, {"b": -math.inf}]}, "['a'][1]['b']", "float"),
        ({"reads": ("x",)}, "['reads']", "tuple"),
        ({"reads": [["x"], {"y"}]}, "['reads'][1]", "set"),
        ({"a": Decimal("1.5")}, "['a']", "Decimal"),
        ({"a": dt.datetime(2026, 6, 22, tzinfo=dt.timezone.utc)}, "['a']", "datetime"),
        ({"a": dt.date(2026, 6, 22)}, "['a']", "date"),
        ({"a": b"x"}, "['a']", "bytes"),
        ({"a": MappingProxyType({})}, "['a']", "mappingproxy"),
        ({5: "x"}, "[5]", "str"),
        ({"a": {None: 1}}, "['a'][None]", "int"),
        ({"a": "\ud800"}, "['a']", "str"),
        ({"a": ["ü", "\ud800"]}, "['a'][1]", "str"),
        ({"\ud800": 1}, "['\\ud800']", "int"),
        ({"a": 10**400}, "['a']", "int"),
    ],
)
def test_what_json_cannot_carry_is_found_by_its_path(value: Any, path: str, shown: str) -> None:
    """The path leads to the value; its type is shown and never itself."""
    (fault,) = document_faults(value)

    assert (fault.path, fault.shown) == (path, shown)


def test_value_that_contains_itself_is_refused() -> None:
    """A cycle ends the check, as nesting that is too deep."""
    cycle: dict[str, Any] = {}
    cycle["again"] = [cycle]

    (fault,) = document_faults(cycle)

    assert "contains itself" in fault.allowed


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@UNHURRIED
@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_every_json_object_is_carried(value: dict[str, Any]) -> None:
    """Whatever JSON can say has no fault, and its size is that of its shortest text."""
    assert document_faults(value) == []
    assert document_size(value) == len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@UNHURRIED
@given(st.recursive(JSON | st.just(math.nan) | st.just(b"x") | st.tuples(st.text()), st.lists, max_leaves=10))
def test_without_fault_means_unchanged_by_json(value: Any) -> None:
    """What passes comes back from JSON as it went in."""
    document = {"value": value}
    if not document_faults(document):
        assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize(
    ("place", "name", "advice"),
    [
        (Place.DEFAULT_RUN_SETTING, "role_arn", "AWS spells it 'roleArn' here"),
        (Place.DEFAULT_RUN_SETTING, "rolearn", "AWS spells it 'roleArn' here"),
        (Place.DEFAULT_RUN_SETTING, "run_name", "AWS spells it 'name' here"),
        (Place.DEFAULT_RUN_SETTING, "tags", "AWS spells it 'runTags' here"),
        (Place.START_RUN, "runTags", "AWS spells it 'tags' here"),
        (Place.START_RUN, "source_run_id", "AWS spells it 'runId' here"),
        (Place.DEFAULT_RUN_SETTING, "outptUri", "did you mean 'outputUri'?"),
        (Place.PER_RUN, "parameter", "did you mean 'parameters'?"),
        (Place.PER_RUN, "qqq", "known are engineSettings, name, outputBucketOwnerId"),
        (Place.PER_RUN, 5, "is text"),
        (Place.DEFAULT_RUN_SETTING, "runId", "OmicsStartRunOperator(source_run_id=...)"),
        (Place.DEFAULT_RUN_SETTING, "parametersUri", "OmicsStartRunOperator(parameters_uri=...)"),
        (Place.PER_RUN, "outputUriPrefixMode", "OmicsStartRunOperator(output_uri_prefix_mode=...)"),
        (Place.PER_RUN, "requesterPaysEnabled", "move it to default_run_setting['requesterPaysEnabled']"),
        (Place.DEFAULT_RUN_SETTING, "runSettingId", "belongs to each run"),
        (Place.DEFAULT_RUN_SETTING, "requestId", "leave it out"),
        (Place.START_RUN, "outputBucketOwnerId", "batches only"),
        (Place.PER_RUN, "roleArn", "move it to default_run_setting['roleArn']"),
        (Place.PER_RUN, "role_arn", "(AWS spells it 'roleArn')"),
        (Place.PER_RUN, "scratchStorageMode", "default_run_setting['scratchStorageMode'] or to the argument"),
    ],
)
def test_unknown_name_is_explained(place: Place, name: Any, advice: str) -> None:
    """A name without a place here gets AWS's spelling, where it belongs, or the nearest known one."""
    (problem,) = setting_problems({name: "x"}, place, lambda key: f"here[{key!r}]")

    assert problem.argument == f"here[{name!r}]"
    assert advice in problem.allowed


def test_value_of_a_name_nobody_knows_is_not_shown() -> None:
    """A misspelt ``parameters`` must not print what it holds; a misplaced setting may."""
    problems = setting_problems(
        {"paramters": "PATIENT", "Parameters": "PATIENT", "logLevel": "ALL"}, Place.PER_RUN, str
    )

    assert [problem.value for problem in problems] == ["str", "str", "'ALL'"]


def test_none_is_unset_and_rendered_types_come_back() -> None:
    """Unset settings are left out; numbers as text and ids as numbers become what AWS takes."""
    setting = {"name": None, "priority": "7", "workflowId": 42, "parameters": MappingProxyType({"a": 1}), "other": 1}

    cleaned = clean_setting(setting, Place.START_RUN)

    assert type(cleaned["parameters"]) is dict  # botocore takes no other mapping
    assert cleaned == {
        "priority": 7,
        "workflowId": "42",
        "parameters": {"a": 1},
        "other": 1,
    }


@UNHURRIED
@given(st.text(max_size=400) | st.lists(st.text()) | st.integers() | st.floats() | st.none() | st.binary())
def test_shown_value_is_short(value: Any) -> None:
    """No value makes a message long."""
    assert len(show_value(value)) < 700  # 60 characters that each take ten when escaped


def test_good_run_setting_has_no_problem() -> None:
    """A run that gives what the default lacks passes, and its id is remembered."""
    positions: dict[str, int] = {}
    rules = run_setting_rules({"parameters": {"genome": "GRCh38"}}, ["name", "tags", "logLevel"])
    setting = {"runSettingId": "s1", "outputUri": "s3://bucket/o", "name": "n", "runTags": {"a": "b"}, "priority": None}

    assert check_run_setting(setting, 0, rules, positions) == []
    assert positions == {"s1": 0}


@pytest.mark.parametrize(
    ("setting", "argument", "allowed"),
    [
        ("text", "run_settings[4]", "a dict"),
        ({}, "run_settings[4]['runSettingId']", "unique in the batch"),
        ({"runSettingId": None}, "run_settings[4]['runSettingId']", "unique in the batch"),
        ({"runSettingId": 7.0}, "run_settings[4]['runSettingId']", "text"),
        ({"runSettingId": ""}, "run_settings[4]['runSettingId']", "1 to 128"),
        ({"runSettingId": "first"}, "run_settings[4]['runSettingId']", "run_settings[1] has the same"),
        ({"runSettingId": "x", "priority": -1}, "run_settings[4]['priority']", "whole number"),
        (
            {"runSettingId": "x", "parameters": {"reads": [(1,)]}},
            "run_settings[4]['parameters']['reads'][0]",
            "list(value)",
        ),
        ({"runSettingId": "x", "parameters": {"a": "x" * 256_000}}, "run_settings[4]['parameters']", "256,000 bytes"),
        (
            {"runSettingId": "x", "runTags": {f"t{n}": "" for n in range(50)}},
            "run_settings[4]['runTags']",
            "at most 50",
        ),
        ({"runSettingId": "x", "runTags": ["a"]}, "run_settings[4]['runTags']", "a dict"),
    ],
)
def test_problem_of_a_run_setting_names_its_place(setting: Any, argument: str, allowed: str) -> None:
    """Every problem of one run carries its position and the path in it."""
    rules = run_setting_rules({**DEFAULT, "runTags": {"of-default": ""}})

    (problem,) = check_run_setting(setting, 4, rules, {"first": 1})

    assert problem.argument == argument
    assert allowed in problem.allowed


@pytest.mark.parametrize(
    ("default", "require", "missing"),
    [
        ({}, [], ["outputUri"]),
        (DEFAULT, [], []),
        (DEFAULT, ["runTags", "name", "runGroupId"], ["name", "runTags"]),
        ({**DEFAULT, "runTags": {"a": "b"}}, ["tags"], []),
        ({**DEFAULT, "runTags": {}}, ["tags"], ["runTags"]),
    ],
)
def test_run_gives_what_the_default_lacks(default: dict[str, Any], require: list[str], missing: list[str]) -> None:
    """An output URI and the settings of require_settings that may differ stand in the default or in the run."""
    problems = check_run_setting({"runSettingId": "x"}, 0, run_setting_rules(default, require), {})

    assert [problem.argument for problem in problems] == [f"run_settings[0]['{name}']" for name in missing]


@pytest.mark.parametrize(("length", "count"), [(100_000, 0), (200_000, 1)])
def test_size_counts_the_merged_parameters(length: int, count: int) -> None:
    """Default and run count together, a key in both only once."""
    rules = run_setting_rules({**DEFAULT, "parameters": {"both": "x" * 200_000, "default": "x" * 50_000}})
    setting = {"runSettingId": "x", "parameters": {"both": "y" * 200_000, "run": "z" * (length - 99_990)}}

    assert len(check_run_setting(setting, 0, rules, {})) == count


def test_size_counts_bytes_and_not_characters() -> None:
    """A letter outside ASCII counts as its UTF-8 bytes."""
    setting = {"runSettingId": "x", "parameters": {"a": "ü" * 128_000}}

    (problem,) = check_run_setting(setting, 0, run_setting_rules(DEFAULT), {})

    assert problem.value == "256,008 bytes"


def test_all_problems_of_a_run_setting_come_at_once() -> None:
    """A faulty parameter hides neither the tags nor the id."""
    setting = {
        "runSettingId": "x" * 129,
        "parameters": {"a": math.nan},
        "runTags": {f"t{number}": "" for number in range(51)},
        "cacheId": "1",
    }

    problems = check_run_setting(setting, 0, run_setting_rules(DEFAULT), {})

    assert {problem.argument for problem in problems} == {
        "run_settings[0]['runSettingId']",
        "run_settings[0]['parameters']['a']",
        "run_settings[0]['runTags']",
        "run_settings[0]['cacheId']",
    }
