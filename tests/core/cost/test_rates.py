from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_omics.core.cost.rates import rates_from_document, rates_from_price_list
from airflow_provider_omics.core.errors import SettingsError
from tests.core.cost.manifests import RATES


def product(region: str | None, resource_type: str | None, usd: str | None) -> str:
    """Make an item of GetProducts, as the Price List has it."""
    attributes = {"regionCode": region, "resourceType": resource_type}
    price = {} if usd is None else {"USD": usd}
    terms = {"OnDemand": {"SKU.T": {"priceDimensions": {"SKU.T.D": {"unit": "Hrs", "pricePerUnit": price}}}}}
    return json.dumps(
        {
            "product": {"attributes": {key: value for key, value in attributes.items() if value}},
            "terms": terms,
        }
    )


def test_the_price_list_is_read() -> None:
    """What has no region, resource type or USD is passed over."""
    rates = rates_from_price_list(
        [
            product("us-east-1", "omics.c.large", "0.1234000000"),
            product("us-east-1", "Run Storage", "0.0002"),
            product("eu-west-2", "omics.c.large", "0.2"),
            product("us-east-1", "omics.m.large", None),
            product(None, "omics.r.large", "1"),
            product("us-east-1", None, "1"),
        ],
        "2026-11-29",
    )

    assert rates.by_region == {
        "us-east-1": {"omics.c.large": 0.1234, "Run Storage": 0.0002},
        "eu-west-2": {"omics.c.large": 0.2},
    }
    assert (rates.as_of, rates.rate("us-east-1", "omics.m.large")) == ("2026-11-29", None)


def test_a_document_is_read_as_it_was_written() -> None:
    """The cache in the results place has the form of a team's own file."""
    read = rates_from_document(json.loads(json.dumps(RATES.to_document())), "test")

    assert read == RATES


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "prices_uri"),
        ({"us-east-1": 3}, "us-east-1"),
        ({"us-east-1": {"omics.c.large": "0.1"}}, "omics.c.large"),
        ({"us-east-1": {"omics.c.large": -1}}, "omics.c.large"),
        ({"us-east-1": {"omics.c.large": float("nan")}}, "omics.c.large"),
        ({"us-east-1": {"omics.c.large": True}}, "omics.c.large"),
    ],
)
def test_something_else_is_refused(document: Any, named: str) -> None:
    """With the key that is wrong."""
    with pytest.raises(SettingsError, match=named):
        rates_from_document(document, "s3://bucket/prices.json")
