"""The table of settings and the installed botocore model say the same, field by field."""

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
    Place,
    SettingKind,
)

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
        "string": SettingKind.TEXT,
        "integer": SettingKind.WHOLE_NUMBER,
        "map": SettingKind.TAGS,
    }[shape.type_name]


@pytest.mark.parametrize("place", list(SHAPES), ids=lambda place: place.value)
def test_no_field_is_missing_or_invented(place: Place) -> None:
    """Each place has exactly the fields of the model."""
    assert set(FIELDS[place]) == set(SHAPES[place].members)


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
