"""The invented price list, asked as run_analyzer and the MCP server of AWS ask it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator


def filters(**fields: str) -> list[dict[str, str]]:
    return [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()]


def price(item: str) -> float:
    """Read the price of an item as run_analyzer does."""
    (term,) = json.loads(item)["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    return float(dimension["pricePerUnit"]["USD"])


def test_service_is_described(emulator: OmicsEmulator) -> None:
    """Run_analyzer asks first whether there are prices at all."""
    (service,) = emulator.client("pricing").describe_services(ServiceCode="AmazonOmics")["Services"]

    assert service["ServiceCode"] == "AmazonOmics"
    assert {"resourceType", "regionCode", "location"} <= set(service["AttributeNames"])


@pytest.mark.parametrize(
    "where", [{"regionCode": "eu-central-1"}, {"location": "EU (Frankfurt)"}], ids=["run_analyzer", "MCP server"]
)
@pytest.mark.parametrize("resource", ["omics.m.2xlarge", "omics.g5.xlarge", "Run Storage", "Dynamic Run Storage"])
def test_one_price_for_a_resource_in_a_region(emulator: OmicsEmulator, where: dict[str, str], resource: str) -> None:
    """It says itself that it is invented."""
    wanted = filters(resourceType=resource, **where)
    (item,) = emulator.client("pricing").get_products(ServiceCode="AmazonOmics", Filters=wanted)["PriceList"]

    assert price(item) > 0
    assert json.loads(item)["product"]["attributes"]["regionCode"] == "eu-central-1"
    assert "Invented by the emulator" in item


def test_instances_of_tasks_have_a_price(emulator: OmicsEmulator) -> None:
    """Whatever instance a task of the emulator has by default."""
    pricing = emulator.client("pricing")
    for family in "cmr":
        for size in ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "24xlarge", "48xlarge"):
            wanted = filters(resourceType=f"omics.{family}.{size}", regionCode="us-east-1")
            assert len(pricing.get_products(ServiceCode="AmazonOmics", Filters=wanted)["PriceList"]) == 1


def test_pages_reach_the_end(emulator: OmicsEmulator) -> None:
    """All prices of a region, in pages, once each."""
    pricing = emulator.client("pricing")
    whole = pricing.get_products(ServiceCode="AmazonOmics", Filters=filters(regionCode="us-west-2"))["PriceList"]
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode="AmazonOmics", Filters=filters(regionCode="us-west-2"), PaginationConfig={"PageSize": 7}
    )

    assert [item for page in pages for item in page["PriceList"]] == whole
    assert len(set(whole)) == len(whole) > 50
    values = pricing.get_attribute_values(ServiceCode="AmazonOmics", AttributeName="regionCode")["AttributeValues"]
    assert {"Value": "us-west-2"} in values


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("get_products", {"ServiceCode": "AmazonEC2"}, "InvalidParameterException"),
        ("get_products", {"ServiceCode": "AmazonOmics", "Filters": filters(colour="x")}, "InvalidParameterException"),
        ("get_products", {"ServiceCode": "AmazonOmics", "MaxResults": 101}, "InvalidParameterException"),
        ("get_products", {"ServiceCode": "AmazonOmics", "NextToken": "?"}, "InvalidNextTokenException"),
        ("get_attribute_values", {"ServiceCode": "AmazonOmics", "AttributeName": "x"}, "InvalidParameterException"),
        (
            "list_price_lists",
            {"ServiceCode": "AmazonOmics", "EffectiveDate": "2026-01-01", "CurrencyCode": "USD"},
            "NotEmulated",
        ),
    ],
)
def test_wrong_question_is_refused(
    emulator: OmicsEmulator, operation: str, parameters: dict[str, Any], code: str
) -> None:
    """With the code that the Price List API has for it."""
    with pytest.raises(ClientError) as caught:
        getattr(emulator.client("pricing"), operation)(**parameters)
    assert caught.value.response["Error"]["Code"] == code
