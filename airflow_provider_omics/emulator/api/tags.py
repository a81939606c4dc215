"""The operations on the tags of resources."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.emulator.errors import not_found, validation_error
from airflow_provider_omics.emulator.life.records import (
    MOST_TAGS,
    Batch,
    Configuration,
    Run,
    RunCache,
    RunGroup,
    Workflow,
)
from airflow_provider_omics.emulator.life.region import Region

Tagged = Run | Batch | RunGroup | RunCache | Workflow | Configuration


def check_tags(tags: dict[str, str] | None) -> dict[str, str]:
    """Check the number of tags of a resource.

    :param tags: the tags of a request, or None.
    :return: a copy; empty for None.
    :raises ServiceError: there are more than 50.
    """
    if tags is not None and len(tags) > MOST_TAGS:
        raise validation_error(f"A resource can have up to {MOST_TAGS} tags; {len(tags)} were given.")
    return dict(tags or {})


def tag_resource(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """TagResource."""
    resource = _find(region, request["resourceArn"])
    # A new dictionary each time: the runs of a batch may share one.
    resource.tags = check_tags({**resource.tags, **request["tags"]})
    return {}


def untag_resource(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """UntagResource."""
    resource = _find(region, request["resourceArn"])
    resource.tags = {key: value for key, value in resource.tags.items() if key not in request["tagKeys"]}
    return {}


def list_tags_for_resource(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource."""
    return {"tags": dict(_find(region, request["resourceArn"]).tags)}


def _find(region: Region, arn: str) -> Tagged:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "omics":
        raise validation_error(f"Invalid resource ARN: {arn}")
    kind, _, rest = parts[5].partition("/")
    identifier, _, version = rest.partition("/version/")
    found: Tagged | None = None
    if parts[3] == region.name and parts[4] == region.account:
        if kind == "run":
            found = region.runs.get(identifier)
        elif kind == "runBatch":
            found = region.batches.get(identifier)
        elif kind == "runGroup":
            found = region.groups.get(identifier)
        elif kind == "runCache":
            found = region.caches.get(identifier)
        elif kind == "configuration":
            found = region.configurations.get(identifier)
        elif kind == "workflow":
            found = region.workflows.get(identifier)
            if version and isinstance(found, Workflow):
                found = found.versions.get(version)
    if found is None:
        raise not_found("Resource", arn)
    return found
