"""What an hour of a resource costs: read from a file of the team's, or from the AWS Price List."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError

SERVICE_CODE = "AmazonOmics"
"""HealthOmics in the Price List (aws-healthomics-tools 0.14)."""
STATIC_STORAGE = "Run Storage"
DYNAMIC_STORAGE = "Dynamic Run Storage"
"""The resource types of storage, a GiB-hour each (aws-healthomics-tools 0.14)."""


@dataclass(frozen=True)
class Rates:
    """USD per hour of resources: of an instance, of a GiB of storage; of a READY2RUN workflow, per run.

    :param by_region: Region -> resource type -> USD. Resource types are those of the Price List: ``omics.c.large``,
        ``Run Storage``, ``Dynamic Run Storage``; and ``READY2RUN {workflow id}``.
    :param as_of: when they were read, or the date that the file names: ``"2026-11-29"``. None: not known.
    :param source: where they come from, for whoever reads the cost.
    """

    by_region: Mapping[str, Mapping[str, float]]
    as_of: str | None
    source: str

    def rate(self, region: str, resource_type: str) -> float | None:
        """Look a rate up.

        :param region: AWS Region.
        :param resource_type: as the Price List names it.
        :return: USD; None: it is not known, which is not nought.
        """
        return self.by_region.get(region, {}).get(resource_type)

    def to_document(self) -> dict[str, Any]:
        """Write them as the document that :func:`rates_from_document` reads."""
        return {"as_of": self.as_of, **{region: dict(rates) for region, rates in self.by_region.items()}}


def rates_from_document(document: Any, source: str) -> Rates:
    """Read a team's own rates.

    ::

        {"as_of": "2026-11-01", "us-east-1": {"omics.c.large": 0.1, "Run Storage": 0.0002, "READY2RUN 1234567": 12.5}}

    :param document: the parsed JSON: Region -> resource type -> USD per hour.
    :param source: where it was read, for messages.
    :return: the rates.
    :raises SettingsError: it is something else; all problems at once.
    """
    if not isinstance(document, Mapping):
        raise SettingsError([Problem("prices_uri", source, "a JSON object: Region -> resource type -> USD per hour")])
    problems = []
    by_region: dict[str, dict[str, float]] = {}
    for region, rates in document.items():
        if region == "as_of":
            continue
        if not isinstance(rates, Mapping):
            problems.append(Problem(f"{source}[{region!r}]", type(rates).__name__, "resource type -> USD per hour"))
            continue
        for name, usd in rates.items():
            if isinstance(usd, (int, float)) and not isinstance(usd, bool) and math.isfinite(usd) and usd >= 0:
                by_region.setdefault(region, {})[name] = float(usd)
            else:
                problems.append(Problem(f"{source}[{region!r}][{name!r}]", repr(usd)[:40], "USD per hour, 0 or more"))
    if problems:
        raise SettingsError(problems)
    as_of = document.get("as_of")
    return Rates(by_region, as_of if isinstance(as_of, str) else None, source)


def rates_from_price_list(products: Iterable[str], as_of: str) -> Rates:
    """Read the answers of GetProducts for :data:`SERVICE_CODE`.

    :param products: the items of ``PriceList``, a JSON text each; what has no rate on demand in USD is passed over.
    :param as_of: the date of today: ``"2026-11-29"``.
    :return: the rates.
    """
    by_region: dict[str, dict[str, float]] = {}
    for text in products:
        product = json.loads(text)
        attributes = product.get("product", {}).get("attributes", {})
        region, resource_type = attributes.get("regionCode"), attributes.get("resourceType")
        usd = _on_demand(product)
        if region and resource_type and usd is not None:
            by_region.setdefault(region, {})[resource_type] = usd
    return Rates(by_region, as_of, "AWS Price List")


def _on_demand(product: Mapping[str, Any]) -> float | None:
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            usd = dimension.get("pricePerUnit", {}).get("USD")
            if usd is not None:
                return float(usd)
    return None
