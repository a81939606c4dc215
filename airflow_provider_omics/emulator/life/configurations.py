"""Configurations: declared by the scenario, or created by a call."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.errors import not_found
from airflow_provider_omics.emulator.life.records import Configuration
from airflow_provider_omics.emulator.life.region import Region


def declare(region: Region) -> None:
    """Add the configurations of the region's scenario; those that exist stay."""
    for name in region.scenario.configurations:
        if name not in region.configurations:
            request = {"runConfigurations": {"vpcConfig": {"subnetIds": ["subnet-00000000000000000"]}}}
            new_configuration(region, name, request, {}).status = statuses.ACTIVE


def new_configuration(region: Region, name: str, request: dict[str, Any], tags: dict[str, str]) -> Configuration:
    """Add a configuration, CREATING.

    :param region: its region.
    :param name: its name.
    :param request: the request of CreateConfiguration.
    :param tags: its tags.
    :return: the configuration.
    """
    arn = region.arn(f"configuration/{name}")
    region.sequence += 1
    configuration = region.configurations[name] = Configuration(
        name=name,
        arn=arn,
        uuid=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn} {region.now}")),
        sequence=region.sequence,
        created=region.now,
        request=request,
        tags=tags,
    )
    return configuration


def find_active(region: Region, name: str) -> Configuration:
    """Find a configuration that a run may use.

    :param region: the region of the run.
    :param name: its name.
    :raises ServiceError: ResourceNotFoundException, a code that AWS does not document: it is not there, or not ACTIVE.
    """
    configuration = region.configurations.get(name)
    if configuration is None or configuration.status != statuses.ACTIVE:
        raise not_found("Active configuration", name)
    return configuration


def describe_vpc(configuration: Configuration) -> dict[str, Any]:
    """Return the VPC of a configuration as answers show it.

    :param configuration: the configuration.
    :return: the request's ``vpcConfig`` with an invented ``vpcId``; empty without one.
    """
    given: dict[str, Any] = configuration.request["runConfigurations"].get("vpcConfig", {})
    if not given:
        return {}
    subnets = " ".join(sorted(given.get("subnetIds", ())))
    return {**given, "vpcId": f"vpc-{hashlib.sha256(subnets.encode()).hexdigest()[:17]}"}
