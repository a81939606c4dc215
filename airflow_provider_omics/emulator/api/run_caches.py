"""The operations on run caches, which keep outputs of tasks for later runs."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.emulator.api.paging import cut_page, start_of_page
from airflow_provider_omics.emulator.api.tags import check_tags
from airflow_provider_omics.emulator.errors import not_found, quota_exceeded, validation_error
from airflow_provider_omics.emulator.life.records import RunCache, to_datetime
from airflow_provider_omics.emulator.life.region import Region

_UPDATABLE = ("cacheBehavior", "description", "name")


def create_run_cache(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CreateRunCache."""
    if len(region.caches) >= region.limits.run_caches:
        raise quota_exceeded(f"The quota of {region.limits.run_caches} run caches is reached.")
    tags = check_tags(request.get("tags"))
    _check_place(region, request["cacheS3Location"])
    cache_id, cache_uuid = region.next_id("runCache"), region.next_uuid()
    settings = {key: request[key] for key in (*_UPDATABLE, "cacheBucketOwnerId") if key in request}
    settings.setdefault("cacheBehavior", "CACHE_ON_FAILURE")
    # As in the AWS CLI's example: the caches of one location are apart.
    settings["cacheS3Uri"] = f"{request['cacheS3Location'].rstrip('/')}/{cache_uuid}/"
    cache = region.caches[cache_id] = RunCache(
        id=cache_id,
        arn=region.arn(f"runCache/{cache_id}"),
        uuid=cache_uuid,
        created=region.now,
        settings=settings,
        tags=tags,
    )
    return {"arn": cache.arn, "id": cache.id, "status": cache.status, "tags": dict(cache.tags)}


def get_run_cache(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetRunCache."""
    cache = _find(region, request["id"])
    return {**_describe(cache), "tags": dict(cache.tags)}


def update_run_cache(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateRunCache."""
    cache = _find(region, request["id"])
    cache.settings.update({key: request[key] for key in _UPDATABLE if key in request})
    return {}


def delete_run_cache(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteRunCache. Runs that use it go on; the data in S3 stays."""
    del region.caches[_find(region, request["id"]).id]
    return {}


def list_run_caches(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListRunCaches."""
    start = start_of_page("runCaches", request.get("startingToken"))
    caches = (cache for cache in region.caches.values() if int(cache.id) > start)
    size = min(request.get("maxResults", 100), region.limits.page_size)
    page, token = cut_page("runCaches", caches, lambda cache: int(cache.id), size)
    hidden = ("description", "cacheBucketOwnerId")
    items = [{key: value for key, value in _describe(cache).items() if key not in hidden} for cache in page]
    return {"items": items, **token}


def _check_place(region: Region, uri: str) -> None:
    bucket = uri.removeprefix("s3://").split("/", 1)[0]
    if not region.scenario.has_place(uri) and not region.surroundings.has_bucket(bucket):
        # AWS does not document the code.
        raise validation_error(f"Invalid cacheS3Location: {uri}. The bucket {bucket} does not exist.")


def _find(region: Region, cache_id: str) -> RunCache:
    cache = region.caches.get(cache_id)
    if cache is None:
        raise not_found("Run cache", cache_id)
    return cache


def _describe(cache: RunCache) -> dict[str, Any]:
    # GetRunCache has no member for the uuid that CreateRunCache's guide page mentions; the log stream's name has it.
    return {
        "arn": cache.arn,
        "id": cache.id,
        "status": cache.status,
        "creationTime": to_datetime(cache.created),
        **cache.settings,
    }
