"""Fields that are younger than the installed boto3: refused with the release that they need, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_omics.core.batch.rerun import rerun_setting_problems
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.fields import FIELDS, YOUNGER_FIELDS, Place
from airflow_provider_omics.core.settings.requests import (
    InstalledModel,
    build_start_run_batch_request,
    build_start_run_request,
    run_setting_rules,
)

RUN = {"workflowId": "1234567", "roleArn": "arn:aws:iam::123456789012:role/omics", "outputUri": "s3://bucket/out"}
VALUES: dict[str, Any] = {
    "sessionPolicy": "{}",
    "outputUriPrefixMode": "NONE_WITH_OVERWRITE",
    "parametersUri": "s3://bucket/parameters.json",
    "engineSettings": {"profile": "test"},
    "scratchStorageMode": "LOCAL",
    "networkingMode": "RESTRICTED",
    "configurationName": "vpc",
    "requesterPaysEnabled": False,
}
# Where each field can stand, and the release that a message has to name.
RELEASES = {
    Place.START_RUN: {
        "sessionPolicy": "1.43.90",
        "outputUriPrefixMode": "1.43.123",
        "parametersUri": "1.44.8",
        "engineSettings": "1.43.18",
        "scratchStorageMode": "1.43.35",
        "networkingMode": "1.42.78",
        "configurationName": "1.42.78",
        "requesterPaysEnabled": "1.44.8",
    },
    Place.DEFAULT_RUN_SETTING: {
        "sessionPolicy": "1.43.90",
        "engineSettings": "1.43.20",
        "scratchStorageMode": "1.43.35",
        "networkingMode": "1.42.97",
        "configurationName": "1.42.97",
        "requesterPaysEnabled": "1.44.8",
    },
    Place.PER_RUN: {"engineSettings": "1.43.20"},
    Place.BATCH: {},
}
CASES = [(place, name, release) for place, fields in RELEASES.items() for name, release in fields.items()]


def floor() -> InstalledModel:
    """Make the model of the floor: without any of the younger fields."""
    return InstalledModel("1.42.74", {place: set(FIELDS[place]) - set(YOUNGER_FIELDS[place]) for place in Place})


def newest() -> InstalledModel:
    """Make the model that has every field."""
    return InstalledModel("1.44.8", {place: set(FIELDS[place]) for place in Place})


def unread() -> InstalledModel:
    """Fail where the model is read although nothing depends on it."""
    raise AssertionError("the model was read")


def refused(build: Any, **arguments: Any) -> dict[str, str]:
    """Give the problems of a request that is refused: argument -> what is allowed; none if it is not."""
    try:
        build(request_id="id", **arguments)
    except SettingsError as error:
        return {problem.argument: problem.allowed for problem in error.problems}
    return {}


def batch(
    default: Mapping[str, Any] | None = None, run: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, str]:
    """Give the problems of a batch of one run."""
    runs = [{"runSettingId": "S1", **(run or {})}]
    default = {**RUN, **(default or {})}
    return refused(build_start_run_batch_request, default_run_setting=default, run_settings=runs, **more)


def expected(argument: str, name: str, release: str) -> dict[str, str]:
    """Make the one problem that there has to be."""
    needed = f"{name} needs boto3 {release}; 1.42.74 is installed: upgrade boto3 and botocore, or leave it out"
    return {argument: needed}


def test_the_table_is_whole() -> None:
    """Each field that the floor lacks is asked for below."""
    assert {place: set(fields) for place, fields in RELEASES.items()} == {
        place: set(names) for place, names in YOUNGER_FIELDS.items()
    }


@pytest.mark.parametrize(("place", "name", "release"), CASES)
def test_younger_field_is_refused_where_it_stands(place: Place, name: str, release: str) -> None:
    """Of a run, of defaultRunSetting and of one run of a batch; a model that has it takes it."""
    value = {name: VALUES[name]}

    if place is Place.START_RUN:
        setting = {**RUN, **value}
        argument = FIELDS[place][name].argument
        assert refused(build_start_run_request, setting=setting, model=floor) == expected(argument, name, release)
        assert refused(build_start_run_request, setting=setting, model=newest) == {}
    elif place is Place.DEFAULT_RUN_SETTING:
        argument = f"default_run_setting[{name!r}]"
        assert batch(value, model=floor) == expected(argument, name, release)
        assert batch(value, model=newest) == {}
    else:
        argument = f"run_settings[0][{name!r}]"
        assert batch(run=value, model=floor) == expected(argument, name, release)
        assert batch(run=value, model=newest) == {}


@pytest.mark.parametrize("name", RELEASES[Place.DEFAULT_RUN_SETTING])
def test_younger_field_of_the_connection_is_refused(name: str) -> None:
    """A team default that the installed boto3 cannot send is named as one, of a run with the release of StartRun."""
    defaults = {name: VALUES[name]}
    argument = f"connection default_run_setting[{name!r}]"

    of_run = refused(build_start_run_request, setting=RUN, defaults=defaults, model=floor)
    assert of_run == expected(argument, name, RELEASES[Place.START_RUN][name])
    assert batch(defaults=defaults, model=floor) == expected(argument, name, RELEASES[Place.DEFAULT_RUN_SETTING][name])


def test_younger_argument_of_a_batch_is_refused() -> None:
    """The operator's own argument is named where it wins over the same setting elsewhere."""
    both = batch({"scratchStorageMode": "SHARED"}, scratch_storage_mode="LOCAL", model=floor)

    assert both == expected("scratch_storage_mode", "scratchStorageMode", "1.43.35")


@pytest.mark.parametrize("name", RELEASES[Place.DEFAULT_RUN_SETTING])
def test_younger_rerun_setting_is_refused(name: str) -> None:
    """What a rerun changes is looked at before the first start."""
    (problem,) = rerun_setting_problems(RUN, {name: VALUES[name]}, floor)

    assert {problem.argument: problem.allowed} == expected(
        f"rerun_setting[{name!r}]", name, RELEASES[Place.DEFAULT_RUN_SETTING][name]
    )
    assert rerun_setting_problems(RUN, {name: VALUES[name]}, newest) == []


def test_a_field_known_to_one_operation_alone_is_refused_in_the_other() -> None:
    """1.43.18 sends engineSettings in StartRun, and not yet in StartRunBatch."""
    known = floor().fields
    model = InstalledModel("1.43.18", {**known, Place.START_RUN: {*known[Place.START_RUN], "engineSettings"}})
    value = {"engineSettings": {"profile": "test"}}

    assert refused(build_start_run_request, setting={**RUN, **value}, model=lambda: model) == {}
    (allowed,) = batch(value, model=lambda: model).values()
    assert allowed.startswith("engineSettings needs boto3 1.43.20; 1.43.18 is installed")


def test_the_model_is_read_for_younger_fields_only() -> None:
    """Reading it takes a client, which settings of the floor do not need; an unset field is none."""
    unset = dict.fromkeys(RELEASES[Place.START_RUN])

    assert refused(build_start_run_request, setting={**unset, **RUN, "priority": 1}, model=unread) == {}
    assert batch({"engineSettings": None}, {"engineSettings": None, "priority": 1}, model=unread) == {}


def test_rules_of_many_runs_hold_the_model() -> None:
    """Runs that stream from a sheet are held against the same model as those of a short list."""
    assert run_setting_rules(RUN, model=floor).model is floor
    assert run_setting_rules(RUN).model is None
