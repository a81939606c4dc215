"""The request of StartRunBatch."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
import botocore.validate
import pytest

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.settings.requests import build_start_run_batch_request

ROLE = "arn:aws:iam::123456789012:role/omics"
RUN = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": "s3://bucket/out"}
ONE = [{"runSettingId": "a"}]
SHAPE = botocore.session.get_session().get_service_model("omics").operation_model("StartRunBatch").input_shape


def build(**keywords: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Build a batch of one run, but for what a test says, and give its request and warnings."""
    arguments = {"default_run_setting": RUN, "run_settings": ONE, "request_id": "id", **keywords}
    checked = build_start_run_batch_request(**arguments)
    return checked.request, checked.warnings


def problems_of(**keywords: Any) -> list[Problem]:
    """Give the problems of a batch that is refused."""
    with pytest.raises(SettingsError) as refused:
        build(**keywords)
    return list(refused.value.problems)


def test_inline_request() -> None:
    """Default and runs arrive as given, without unset fields, and botocore finds nothing wrong."""
    runs = [{"runSettingId": "a", "priority": "3", "name": None, "parameters": {"x": None}}]
    before = copy.deepcopy(runs)

    request, warnings = build(run_settings=runs, batch_name="batch", tags={"team": "g"})

    assert request == {
        "requestId": "id",
        "batchName": "batch",
        "tags": {"team": "g"},
        "defaultRunSetting": RUN,
        "batchRunSettings": {"inlineSettings": [{"runSettingId": "a", "priority": 3, "parameters": {"x": None}}]},
    }
    assert warnings == ()
    assert runs == before
    report = botocore.validate.ParamValidator().validate(request, SHAPE)
    assert not report.has_errors(), report.generate_report()


def test_request_with_an_s3_object() -> None:
    """The object's URI stands in place of the runs; nobody knows how many, which is one warning."""
    request, warnings = build(run_settings=None, run_settings_s3_uri="s3://bucket/runs.json")

    assert request["batchRunSettings"] == {"s3UriSettings": "s3://bucket/runs.json"}
    assert len(warnings) == 1
    assert "number is not known" in warnings[0]


def test_connection_defaults_lie_under_the_default_run_setting() -> None:
    """They merge key by key where AWS merges, and None means the connection's alone."""
    defaults = {**RUN, "runTags": {"a": "1"}, "outputBucketOwnerId": "123456789012"}
    own = {"runTags": {"b": "2"}, "logLevel": "ALL"}

    assert build(default_run_setting=None, defaults=defaults)[0]["defaultRunSetting"] == defaults
    assert build(default_run_setting=own, defaults=defaults)[0]["defaultRunSetting"] == {
        **defaults,
        "runTags": {"a": "1", "b": "2"},
        "logLevel": "ALL",
    }


@pytest.mark.parametrize(
    ("argument", "default", "connection", "sent"),
    [
        ("LOCAL", "SHARED", "SHARED", "LOCAL"),
        (None, "SHARED", "LOCAL", "SHARED"),
        (None, None, "LOCAL", "LOCAL"),
        ("SHARED", None, None, "SHARED"),
        (None, None, None, None),
    ],
)
def test_scratch_storage_mode_of_a_batch(
    argument: str | None, default: str | None, connection: str | None, sent: str | None
) -> None:
    """Argument before default_run_setting before connection, into defaultRunSetting alone; unset stays unset."""
    request, _ = build(
        scratch_storage_mode=argument,
        default_run_setting={**RUN, "scratchStorageMode": default},
        defaults={"scratchStorageMode": connection},
    )

    assert request["defaultRunSetting"] == {**RUN, **({"scratchStorageMode": sent} if sent else {})}
    assert "scratchStorageMode" not in request


@pytest.mark.parametrize(
    ("given", "argument", "allowed"),
    [
        ({"run_settings": [{"runSettingId": "a", "scratchStorageMode": "LOCAL"}]},
         "run_settings[0]['scratchStorageMode']", "the argument scratch_storage_mode"),
        ({"scratch_storage_mode": "local"}, "scratch_storage_mode", "LOCAL or SHARED"),
        ({"default_run_setting": {**RUN, "scratchStorageMode": "X"}},
         "default_run_setting['scratchStorageMode']", "LOCAL or SHARED"),
        ({"defaults": {"scratchStorageMode": "X"}},
         "connection default_run_setting['scratchStorageMode']", "LOCAL or SHARED"),
        ({"default_run_setting": {**RUN, "workflowId": None}}, "default_run_setting['workflowId']", "required"),
        ({"default_run_setting": {**RUN, "roleArn": None}}, "default_run_setting['roleArn']", "required"),
        ({"default_run_setting": {**RUN, "outputUri": None}}, "default_run_setting['outputUri']", "every run"),
        ({"default_run_setting": {**RUN, "workflowType": "READY2RUN"}},
         "default_run_setting['workflowType']", "single runs"),
        ({"defaults": {"workflowType": "READY2RUN"}},
         "connection default_run_setting['workflowType']", "single runs"),
        ({"default_run_setting": {**RUN, "runId": "5"}}, "default_run_setting['runId']", "cannot repeat"),
        ({"default_run_setting": {**RUN, "cacheBehavior": "CACHE_ALWAYS"}},
         "default_run_setting['cacheBehavior']", "set default_run_setting['cacheId'] too"),
        ({"default_run_setting": {**RUN, "networkingMode": "VPC"}},
         "default_run_setting['networkingMode']", "set default_run_setting['configurationName'] too"),
        ({"default_run_setting": {**RUN, "parameters": {"a": "x" * 256_000}}},
         "default_run_setting['parameters']", "256,000 bytes"),
        ({"default_run_setting": {**RUN, "runTags": {f"t{n}": "" for n in range(51)}}},
         "default_run_setting['runTags']", "at most 50"),
        ({"default_run_setting": "text", "defaults": RUN}, "default_run_setting", "a dict of settings"),
        ({"run_settings": None}, "run_settings and run_settings_s3_uri", "exactly one"),
        ({"run_settings_s3_uri": "s3://b12/k"}, "run_settings and run_settings_s3_uri", "exactly one"),
        ({"run_settings": None, "run_settings_s3_uri": "https://b/k"}, "run_settings_s3_uri", "s3://bucket/..."),
        ({"run_settings": []}, "run_settings", "at least one run"),
        ({"run_settings": "[]"}, "run_settings", "a list of dicts"),
        ({"run_settings": {"runSettingId": "a"}}, "run_settings", "a list of dicts"),
        ({"run_settings": [{"runSettingId": str(n)} for n in range(101)]}, "run_settings", "run_settings_s3_uri"),
        ({"run_settings": [*ONE, *ONE]}, "run_settings[1]['runSettingId']", "run_settings[0] has the same"),
        ({"batch_name": "x" * 65}, "batch_name", "1 to 64"),
        ({"tags": {"aws:x": ""}}, "tags['aws:x']", "reserved"),
        ({"tags": {f"t{n}": "" for n in range(51)}}, "tags", "at most 50"),
        ({"request_id": ""}, "request_id", "1 to 128"),
        ({"require": ["runGroupId"]}, "default_run_setting['runGroupId']", "require_settings"),
        ({"require": ["name"]}, "default_run_setting['name']", "in each run"),
        ({"run_settings": None, "run_settings_s3_uri": "s3://b12/k", "require": ["name"]},
         "default_run_setting['name']", "require_settings"),
        ({"run_settings": None, "run_settings_s3_uri": "s3://b12/k", "total_runs": 100_001},
         "total_runs", "100,000"),
    ],
)  # fmt: skip
def test_refused_batch_names_the_argument(given: dict[str, Any], argument: str, allowed: str) -> None:
    """One mistake is one problem, named as the user typed it, with what to do."""
    (problem,) = problems_of(**given)

    assert problem.argument == argument
    assert allowed in problem.allowed


def test_output_uri_may_stand_in_each_run() -> None:
    """Without a default each run needs its own; the one without is named."""
    default = {"workflowId": "1", "roleArn": ROLE}
    runs = [{"runSettingId": "a", "outputUri": "s3://bucket/a"}, {"runSettingId": "b", "outputUri": "s3://bucket/b"}]

    assert "outputUri" not in build(default_run_setting=default, run_settings=runs)[0]["defaultRunSetting"]
    (problem,) = problems_of(default_run_setting=default, run_settings=[*runs, {"runSettingId": "c"}])
    assert problem.argument == "run_settings[2]['outputUri']"


def test_requirement_may_be_met_in_each_run() -> None:
    """What may differ between runs and is required stands in the default or in every run."""
    runs = [{"runSettingId": "a", "name": "x"}, {"runSettingId": "b"}]

    assert build(run_settings=runs[:1], require=["name"])[0]["requestId"] == "id"
    (problem,) = problems_of(run_settings=runs, require=["name"])
    assert problem.argument == "run_settings[1]['name']"


@pytest.mark.parametrize(
    ("total_runs", "default", "words"),
    [
        (100, {}, []),
        (101, {}, ["runGroupId"]),
        (101, {"runGroupId": "1"}, []),
        (1000, {"runGroupId": "1"}, []),
        (1001, {"runGroupId": "1"}, ["retentionMode"]),
        (1001, {"retentionMode": "RETAIN", "runGroupId": "1"}, []),
        (100_000, {}, ["retentionMode", "runGroupId"]),
        (5, {"storageType": "DYNAMIC", "storageCapacity": 1}, ["storageCapacity"]),
    ],
)
def test_warnings_of_large_batches(total_runs: int, default: dict[str, Any], words: list[str]) -> None:
    """What is allowed but probably not meant is told, each once, when the number of runs calls for it."""
    _, warnings = build(
        run_settings=None,
        run_settings_s3_uri="s3://bucket/runs.json",
        total_runs=total_runs,
        default_run_setting={**RUN, **default},
    )

    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))


def test_problems_are_told_up_to_a_hundred() -> None:
    """A mistake in each of many settings is told for the first, with the number of the rest."""
    problems = problems_of(run_settings=[{"runSettingId": "same"}] * 1000)

    assert len(problems) == 101
    assert problems[-1].value == "900 more"
