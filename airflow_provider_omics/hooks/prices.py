"""The AWS Price List: what an hour of a HealthOmics resource costs by list."""

from __future__ import annotations

from airflow_provider_omics.core.cost.rates import SERVICE_CODE
from airflow_provider_omics.hooks.client import ServiceHook
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.service_errors import UNMADE, client_error, service_errors

ENDPOINT_REGION = "us-east-1"
"""The Price List has endpoints in few Regions, and the prices of all at each (API reference, "Price List Query")."""

MAX_PAGES = 100
"""Pages of 100 products that are read at most; a Region has about fifty products."""


def list_products(hook: OmicsHook, region: str) -> list[str]:
    """List the products of HealthOmics in a Region, with their prices: GetProducts.

    :param hook: the hook whose connection is used; an ``endpoint_url`` of its ``service_config`` -> ``pricing`` counts.
    :param region: AWS Region of the runs.
    :return: the items of ``PriceList``, a JSON text each.
    :raises ServiceError: the call was refused, or did not get through.
    :raises SettingsError: the connection's settings allow no client.
    """
    pricing = ServiceHook(hook, "pricing")
    try:
        client = pricing.get_client_type(region_name=ENDPOINT_REGION, config=pricing.config)
    except UNMADE as error:
        raise client_error(error, pricing.conn_config, "pricing") from error
    request = {
        "ServiceCode": SERVICE_CODE,
        "Filters": [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}],
        "FormatVersion": "aws_v1",
    }
    products: list[str] = []
    for _ in range(MAX_PAGES):
        with service_errors("GetProducts"):
            answer = client.get_products(**request)
            products += [str(item) for item in answer["PriceList"]]
        if not answer.get("NextToken"):
            break
        request["NextToken"] = answer["NextToken"]
    return products
