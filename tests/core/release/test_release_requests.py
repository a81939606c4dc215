"""Releases: their arguments, digests, names and requests."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import get_session

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.release.requests import (
    DESCRIBING,
    DIGEST_TAG,
    FIELDS,
    MAKER_TAG,
    Release,
    read_settings,
)
from airflow_provider_omics.operators.workflow import OmicsReleaseWorkflowOperator

OWN = {"requestId", "definitionZip", "definitionUri", "definitionRepository"}
ZIP = {"definitionZip": b"zip"}


def release(**changed: Any) -> Release:
    """Make a release."""
    given = {"name": "germline", "version": None, "settings": {}, "source_digest": "ab" * 32, "maker": "me", **changed}
    return Release(**given)


@pytest.mark.parametrize(
    ("operation", "ids"), [("CreateWorkflow", {"name"}), ("CreateWorkflowVersion", {"workflowId", "versionName"})]
)
def test_every_field_has_its_argument(operation: str, ids: set[str]) -> None:
    """Both operations have the same fields; each is an argument of the operator, and a template field."""
    members = set(get_session().get_service_model("omics").operation_model(operation).input_shape.members)

    assert set(FIELDS.values()) == members - OWN - ids
    assert {*FIELDS, "name", "version", "definition"} <= set(OmicsReleaseWorkflowOperator.template_fields)


@pytest.mark.parametrize("argument", FIELDS)
def test_settings_that_a_run_depends_on_are_part_of_the_digest(argument: str) -> None:
    """Others, such as the README, leave the version as it is."""
    member = FIELDS[argument]

    assert (release().digest == release(settings={member: "other"}).digest) is (member in DESCRIBING)


@pytest.mark.parametrize(
    ("changed", "failed", "name"),
    [
        ({"version": "1.2.0"}, 0, "1.2.0"),
        ({}, 0, release().digest[:16]),
        ({}, 2, f"{release().digest[:16]}.3"),
        ({"commit": "0123456789abcdef"}, 0, f"0123456789ab-{release().digest[:8]}"),
    ],
)
def test_version_names(changed: dict[str, Any], failed: int, name: str) -> None:
    """The user's; else the digest's beginning, after that of the commit; a FAILED version keeps its name."""
    assert release(**changed).version_name(failed) == name


def test_the_same_release_is_the_same_request() -> None:
    """AWS knows it again by its request id, whoever sends it; another definition is another request."""
    one, two = release().version_request(ZIP, "1234567", "v1"), release().version_request(ZIP, "1234567", "v1")
    other = release(source_digest="cd" * 32).version_request(ZIP, "1234567", "v1")

    assert one == two
    assert one["requestId"] != other["requestId"]
    assert one["tags"] == {DIGEST_TAG: release().digest, MAKER_TAG: "me"}
    assert release().workflow_request(ZIP, 0) == release(maker="another").workflow_request(ZIP, 0)
    assert release().has_made(one)
    assert not release(maker="another").has_made(one)
    assert release().workflow_request(ZIP, 0)["requestId"] != release().workflow_request(ZIP, 1)["requestId"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 129}, "name"),
        ({"version": "1 2"}, "version"),
        ({"version": "-1"}, "version"),
        ({"engine": "SNAKEMAKE"}, "engine"),
        ({"storage_type": "LOCAL"}, "storage_type"),
        ({"accelerators": "TPU"}, "accelerators"),
        ({"description": "x" * 257}, "description"),
        ({"parameter_template": "{}"}, "parameter_template"),
        ({"readme_uri": "README.md"}, "readme_uri"),
        ({"readme_uri": "s3://b/k", "readme_markdown": "#"}, "readme_markdown and readme_uri"),
        ({"storage_capacity": "many"}, "storage_capacity"),
        ({"storage_capacity": True}, "storage_capacity"),
        ({"tags": {"a": 1}}, "tags['a']"),
        ({"tags": {DIGEST_TAG: "mine"}}, f"tags['{DIGEST_TAG}']"),
        ({"tags": {MAKER_TAG: "me"}}, f"tags['{MAKER_TAG}']"),
        ({"tags": {str(number): "" for number in range(49)}}, "tags"),
        ({"workflow_bucket_owner_id": "1"}, "workflow_bucket_owner_id"),
    ],
)
def test_bad_arguments(changed: dict[str, Any], named: str) -> None:
    """Each is named with its value."""
    with pytest.raises(SettingsError) as caught:
        read_settings(changed.pop("name", "germline"), changed.pop("version", None), changed)

    assert [problem.argument for problem in caught.value.problems] == [named]


def test_all_problems_at_once() -> None:
    """One error has them all."""
    with pytest.raises(SettingsError) as caught:
        read_settings("", "1 2", {"engine": "SNAKEMAKE"})

    assert [problem.argument for problem in caught.value.problems] == ["name", "version", "engine"]


def test_settings_as_aws_spells_them() -> None:
    """Text that a template rendered is read; what was not given is left out."""
    given = {"storage_capacity": "1200", "engine": "WDL", "main": None, "description": ""}

    assert read_settings("germline", None, given) == {"storageCapacity": 1200, "engine": "WDL"}
