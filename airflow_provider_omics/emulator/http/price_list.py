"""A Price List API with invented prices of HealthOmics: DescribeServices, GetAttributeValues and GetProducts.

The figures are round and of our own making: they are for testing what reads prices, and say nothing of AWS's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from functools import lru_cache
from typing import Any

from airflow_provider_omics.emulator.script.scenario import REGIONS

SERVICE_CODE = "AmazonOmics"

_LARGEST_PAGE = 100
_SIZES = {
    "large": 2,
    "xlarge": 4,
    "2xlarge": 8,
    "4xlarge": 16,
    "8xlarge": 32,
    "12xlarge": 48,
    "16xlarge": 64,
    "24xlarge": 96,
    "32xlarge": 128,
    "48xlarge": 192,
}
#: Invented: USD for a vCPU and hour, by the family of an instance, ``omics.c.large``.
_VCPU_HOUR = {"c": 0.05, "m": 0.06, "r": 0.08, "g4dn": 0.15, "g5": 0.25, "g6": 0.2, "g6e": 0.4}
#: Invented: USD for a GiB and hour.
_GIB_HOUR = {"Run Storage": 0.0002, "Dynamic Run Storage": 0.0004}
#: Names of the regions in the attribute ``location``.
_LOCATIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-2": "US West (Oregon)",
    "ap-northeast-1": "Asia Pacific (Tokyo)",
    "ap-northeast-2": "Asia Pacific (Seoul)",
    "ap-southeast-1": "Asia Pacific (Singapore)",
    "eu-central-1": "EU (Frankfurt)",
    "eu-west-1": "EU (Ireland)",
    "eu-west-2": "EU (London)",
    "il-central-1": "Israel (Tel Aviv)",
}


class PriceListError(Exception):
    """A request that the Price List API refuses: code and message."""


def answer(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """Carry an operation out.

    :param operation: its name.
    :param request: its parameters.
    :return: members of the answer.
    :raises PriceListError: the request is not valid; the code NotEmulated: the operation is not there.
    """
    if operation == "DescribeServices":
        return _describe_services(request)
    if operation == "GetAttributeValues":
        return _get_attribute_values(request)
    if operation == "GetProducts":
        return _get_products(request)
    raise PriceListError(
        "NotEmulated", f"The emulator's price list has DescribeServices and GetProducts, not {operation}."
    )


def _describe_services(request: dict[str, Any]) -> dict[str, Any]:
    if "ServiceCode" in request:
        _check_service(request)
    names = sorted(_attributes("Run Storage", "us-east-1"))
    return {"Services": [{"ServiceCode": SERVICE_CODE, "AttributeNames": names}], "FormatVersion": "aws_v1"}


def _get_attribute_values(request: dict[str, Any]) -> dict[str, Any]:
    _check_service(request)
    name = request.get("AttributeName")
    values = sorted({attributes[name] for attributes, _ in _products() if name in attributes})
    if not values:
        raise PriceListError("InvalidParameterException", f"Invalid AttributeName: {name}")
    page, token = _page(values, request)
    return {"AttributeValues": [{"Value": value} for value in page], **token}


def _get_products(request: dict[str, Any]) -> dict[str, Any]:
    _check_service(request)
    matching = list(_products())
    for wanted in request.get("Filters", ()):
        kind, field, value = (wanted.get(key) for key in ("Type", "Field", "Value"))
        if field not in _names():
            raise PriceListError("InvalidParameterException", f"Invalid Field of a filter: {field}")
        matching = [product for product in matching if _fits(kind, product[0][field], str(value))]
    page, token = _page([item for _, item in matching], request)
    return {"FormatVersion": "aws_v1", "PriceList": page, **token}


def _fits(kind: Any, value: str, wanted: str) -> bool:
    if kind in ("TERM_MATCH", "EQUALS"):
        return value == wanted
    if kind == "CONTAINS":
        return wanted in value
    if kind == "ANY_OF":
        return value in wanted.split(",")
    if kind == "NONE_OF":
        return value not in wanted.split(",")
    raise PriceListError("InvalidParameterException", f"Invalid Type of a filter: {kind}")


def _check_service(request: dict[str, Any]) -> None:
    if request.get("ServiceCode") != SERVICE_CODE:
        raise PriceListError(
            "InvalidParameterException",
            f"The emulator has prices of {SERVICE_CODE} alone, not of {request.get('ServiceCode')}.",
        )


def _page(items: list[str], request: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    size, start = request.get("MaxResults", _LARGEST_PAGE), 0
    if not isinstance(size, int) or not 1 <= size <= _LARGEST_PAGE:
        raise PriceListError("InvalidParameterException", f"MaxResults is {size}; 1 to {_LARGEST_PAGE} are allowed")
    if "NextToken" in request:
        try:
            start = int(base64.b64decode(request["NextToken"]))
        except (binascii.Error, ValueError):
            raise PriceListError("InvalidNextTokenException", "The pagination token is invalid.") from None
    page = items[start : start + size]
    if start + size >= len(items):
        return page, {}
    return page, {"NextToken": base64.b64encode(str(start + size).encode()).decode()}


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(_attributes("Run Storage", "us-east-1"))


@lru_cache(maxsize=1)
def _products() -> tuple[tuple[dict[str, str], str], ...]:
    rates = {
        f"omics.{family}.{size}": rate * cpus
        for family, rate in _VCPU_HOUR.items()
        for size, cpus in _SIZES.items()
        # The smallest GPU instance is an xlarge, and none has more than 96 vCPUs but those of g6 and g6e.
        if not family.startswith("g") or 4 <= cpus <= (192 if family.startswith("g6") else 96)
    }
    return tuple(
        (attributes := _attributes(resource, region), json.dumps(_item(attributes, rate)))
        for region in REGIONS
        for resource, rate in (rates | _GIB_HOUR).items()
    )


def _attributes(resource: str, region: str) -> dict[str, str]:
    return {
        "servicecode": SERVICE_CODE,
        "servicename": "AWS HealthOmics",
        "location": _LOCATIONS[region],
        "locationType": "AWS Region",
        "regionCode": region,
        "resourceType": resource,
        "usagetype": f"{region}-{resource.replace(' ', '')}",
        "operation": "",
    }


def _item(attributes: dict[str, str], rate: float) -> dict[str, Any]:
    resource = attributes["resourceType"]
    sku = hashlib.sha256(attributes["usagetype"].encode()).hexdigest()[:16].upper()
    term, dimension = f"{sku}.JRTCKXETXF", f"{sku}.JRTCKXETXF.6YS6EN2CT7"
    is_storage = resource in _GIB_HOUR
    unit = "GiB-Hours" if is_storage else "Hours"
    return {
        "product": {"productFamily": "Storage" if is_storage else "Compute", "attributes": attributes, "sku": sku},
        "serviceCode": SERVICE_CODE,
        "terms": {
            "OnDemand": {
                term: {
                    "priceDimensions": {
                        dimension: {
                            "unit": unit,
                            "beginRange": "0",
                            "endRange": "Inf",
                            "description": f"Invented by the emulator: {rate:g} USD for {resource}, {unit}",
                            "appliesTo": [],
                            "rateCode": dimension,
                            "pricePerUnit": {"USD": f"{rate:.10f}"},
                        }
                    },
                    "sku": sku,
                    "effectiveDate": "2026-01-01T00:00:00Z",
                    "offerTermCode": "JRTCKXETXF",
                    "termAttributes": {},
                }
            }
        },
        "version": "invented",
        "publicationDate": "2026-01-01T00:00:00Z",
    }
