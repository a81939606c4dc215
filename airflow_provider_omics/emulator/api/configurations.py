"""The operations on configurations, which are the VPCs that runs may use."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.api.paging import cut_page, start_of_page
from airflow_provider_omics.emulator.api.tags import check_tags
from airflow_provider_omics.emulator.errors import conflict, not_found, quota_exceeded, validation_error
from airflow_provider_omics.emulator.life.configurations import describe_vpc, new_configuration
from airflow_provider_omics.emulator.life.records import Configuration, to_datetime
from airflow_provider_omics.emulator.life.region import Region

# Up to 15 minutes (User Guide, "VPC networking").
_CREATION_SECONDS = 300.0
# API reference, ListConfigurations.
_LARGEST_PAGE = 10


def create_configuration(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CreateConfiguration."""
    name = request["name"]
    if name in region.configurations:
        raise conflict(f"Configuration {name} exists already.")
    if len(region.configurations) >= region.limits.configurations:
        raise quota_exceeded(f"The quota of {region.limits.configurations} configurations is reached.")
    if not request["runConfigurations"].get("vpcConfig", {}).get("subnetIds"):
        # Stricter than AWS is known to be (asked: configuration-without-subnet): a VPC without a subnet is of no use.
        raise validation_error("runConfigurations.vpcConfig.subnetIds must name a subnet.")
    configuration = new_configuration(region, name, request, check_tags(request.get("tags")))
    region.schedule(_CREATION_SECONDS, _finish_creating, configuration)
    return _describe(configuration)


def get_configuration(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetConfiguration."""
    return _describe(_find(region, request["name"]))


def list_configurations(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListConfigurations."""
    start = start_of_page("configurations", request.get("startingToken"))
    rest = (item for item in region.configurations.values() if item.sequence > start)
    size = min(request.get("maxResults", _LARGEST_PAGE), region.limits.page_size)
    page, token = cut_page("configurations", rest, lambda item: item.sequence, size)
    shown = ("arn", "name", "description", "status", "creationTime")
    items = [{key: value for key, value in _describe(item).items() if key in shown} for item in page]
    return {"items": items, **token}


def delete_configuration(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteConfiguration, which no active run may use (User Guide, "VPC networking")."""
    configuration = _find(region, request["name"])
    active = [run.id for run in region.runs.values() if _uses(run, configuration)]
    if active:
        raise conflict(f"Configuration {configuration.name} is in use by {len(active)} runs, as {active[0]}.")
    del region.configurations[configuration.name]
    return {}


def _uses(run: Any, configuration: Configuration) -> bool:
    return run.configuration is configuration and run.status not in statuses.RUN_ENDED


def _finish_creating(_region: Region, configuration: Configuration) -> None:
    configuration.status = statuses.ACTIVE


def _find(region: Region, name: str) -> Configuration:
    configuration = region.configurations.get(name)
    if configuration is None:
        raise not_found("Configuration", name)
    return configuration


def _describe(configuration: Configuration) -> dict[str, Any]:
    vpc = describe_vpc(configuration)
    answer = {
        "arn": configuration.arn,
        "uuid": configuration.uuid,
        "name": configuration.name,
        "description": configuration.request.get("description"),
        "runConfigurations": {"vpcConfig": vpc} if vpc else {},
        "status": configuration.status,
        "creationTime": to_datetime(configuration.created),
        "tags": dict(configuration.tags),
    }
    return {key: value for key, value in answer.items() if value is not None}
