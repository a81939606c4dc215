"""The table of settings and the installed botocore model say the same, field by field.

Whatever botocore is installed, from the floor to one that is newer than this package: a field that it has must be known
(one that it has and we do not is one that AWS has added), and one that it lacks must have come with a later release.
"""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from airflow_provider_omics.core.settings.fields import (
    BATCH_FIELDS,
    FIELDS,
    MAX_INLINE_SETTINGS,
    MAX_TAG_KEY,
    MAX_TAG_VALUE,
    YOUNGER_FIELDS,
    Place,
    SettingKind,
)
from tests.model_support import FLOOR, is_sendable, number

MODEL = botocore.session.get_session().get_service_model("omics")
BATCH = MODEL.operation_model("StartRunBatch").input_shape
RUNS = BATCH.members["batchRunSettings"]
SHAPES = {
    Place.START_RUN: MODEL.operation_model("StartRun").input_shape,
    Place.DEFAULT_RUN_SETTING: BATCH.members["defaultRunSetting"],
    Place.PER_RUN: RUNS.members["inlineSettings"].member,
}
CASES = [(place, name) for place, shape in SHAPES.items() for name in shape.members]


def kind_of(shape: Any) -> SettingKind:
    """Give the kind that a shape of the model has."""
    if getattr(shape, "is_document_type", False):
        return SettingKind.JSON_OBJECT
    return {
        "boolean": SettingKind.FLAG,
        "string": SettingKind.TEXT,
        "integer": SettingKind.WHOLE_NUMBER,
        "map": SettingKind.TAGS,
    }[shape.type_name]


@pytest.mark.parametrize("place", list(SHAPES), ids=lambda place: place.value)
def test_no_field_is_missing_or_invented(place: Place) -> None:
    """Each place has exactly the fields of the model, and those that came with a later release."""
    later = {name for name in FIELDS[place] if not is_sendable(place, name)}

    assert set(FIELDS[place]) - later == set(SHAPES[place].members)


GET_RUN = MODEL.operation_model("GetRun").output_shape
# What GetRun answers beside the settings of its run.
ANSWERED = {
    "accelerators",
    "arn",
    "batchId",
    "configuration",
    "creationTime",
    "definition",
    "digest",
    "engineVersion",
    "failureReason",
    "id",
    "logLocation",
    "resourceDigests",
    "runOutputUri",
    "startedBy",
    "startTime",
    "status",
    "statusMessage",
    "stopTime",
    "uuid",
    "vpcConfig",
    "workflowUuid",
}
# Settings that GetRun tells otherwise: as `configuration`, and not at all.
NOT_ANSWERED = {"configurationName", "requestId"}


def test_every_member_of_get_run_is_known() -> None:
    """A member that AWS adds to GetRun may hold a credential, as `parametersUri` does: read about it, then name it."""
    younger = {"configuration", "vpcConfig"}  # since 1.42.78, with the settings that they tell of
    later = {name for name in FIELDS[Place.START_RUN] if not is_sendable(Place.START_RUN, name)}
    known = ANSWERED | (set(FIELDS[Place.START_RUN]) - NOT_ANSWERED)

    assert set(GET_RUN.members) - known == set()
    assert known - set(GET_RUN.members) <= later | younger


@pytest.mark.parametrize("place", list(SHAPES), ids=lambda place: place.value)
def test_the_table_of_releases_is_in_order(place: Place) -> None:
    """A field without a release is one of the floor; every release is a later one."""
    assert all(number(field.since(place)) > FLOOR for field in FIELDS[place].values() if field.since(place))
    assert {name for name, field in FIELDS[place].items() if field.since(place)} == set(YOUNGER_FIELDS[place])


@pytest.mark.parametrize(("place", "name"), CASES, ids=[f"{place.value}.{name}" for place, name in CASES])
def test_field_has_the_limits_of_the_model(place: Place, name: str) -> None:
    """Kind, choices, required, limits and pattern are the model's."""
    field, shape = FIELDS[place][name], SHAPES[place].members[name]

    assert field.kind is kind_of(shape)
    assert field.choices == tuple(shape.enum if field.kind is SettingKind.TEXT else ())
    assert (place in field.required) == (name in SHAPES[place].required_members)
    assert field.pattern == shape.metadata.get("pattern")
    limits = (shape.metadata.get("min"), shape.metadata.get("max"))
    if field.choices:  # their lengths follow from the values
        low, high = limits
        assert all((low or 0) <= len(choice) <= (high or 64) for choice in field.choices)
    else:
        assert (field.minimum, field.maximum) == limits


@pytest.mark.parametrize("place", list(SHAPES), ids=lambda place: place.value)
def test_tags_have_the_limits_of_the_model(place: Place) -> None:
    """Keys and values of tags are as long as the model allows."""
    tags = SHAPES[place].members["tags" if place is Place.START_RUN else "runTags"]

    assert (tags.key.metadata["max"], tags.value.metadata["max"]) == (MAX_TAG_KEY, MAX_TAG_VALUE)


def test_the_batch_has_no_other_field() -> None:
    """StartRunBatch consists of its own fields, the default setting and one of two kinds of run settings."""
    own = {field.name for field in BATCH_FIELDS} - {"s3UriSettings"}

    assert own | {"defaultRunSetting", "batchRunSettings"} == set(BATCH.members)
    assert set(RUNS.members) == {"inlineSettings", "s3UriSettings"}
    assert RUNS.members["inlineSettings"].metadata == {"min": 1, "max": MAX_INLINE_SETTINGS}


@pytest.mark.parametrize("field", BATCH_FIELDS, ids=lambda field: field.name)
def test_batch_field_has_the_limits_of_the_model(field: Any) -> None:
    """Name, token, tags and S3 URI of a batch have the model's kind, limits and pattern."""
    shape = RUNS.members["s3UriSettings"] if field.name == "s3UriSettings" else BATCH.members[field.name]

    assert field.kind is kind_of(shape)
    assert (field.minimum, field.maximum) == (shape.metadata.get("min"), shape.metadata.get("max"))
    assert field.pattern == shape.metadata.get("pattern")


def test_arguments_are_unique() -> None:
    """Each field of StartRun has one Python argument of its own."""
    arguments = [field.argument for field in FIELDS[Place.START_RUN].values()]

    assert len(set(arguments)) == len(arguments)
