"""Prices from AWS's public price list. Pure: the requests go out, the products come in.

The list holds the prices that everyone is asked: discounts, savings plans and contracts are not in it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cost.prices import PriceTable

if TYPE_CHECKING:
    from collections.abc import Iterable

_USAGE = re.compile(r"(?:^|-)(Train|Processing|Tsform):(ml\.[\w.-]+)$")
_KINDS = {"Train": "Training", "Processing": "Processing", "Tsform": "Transform"}


def price_list_region(region: str) -> str:
    """The region whose endpoint answers for a region's prices; there are three, and one in China."""
    for prefix, home in (("cn-", "cn-northwest-1"), ("eu-", "eu-central-1"), ("ap-", "ap-south-1")):
        if region.startswith(prefix):
            return home
    return "us-east-1"


def make_price_request(instance_type: str, *, region: str) -> dict[str, Any]:
    """The arguments of ``GetProducts`` for one type of instance, for all pages."""
    wanted = {"regionCode": region, "instanceName": instance_type}
    return {
        "ServiceCode": "AmazonSageMaker",
        "FormatVersion": "aws_v1",
        "Filters": [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()],
    }


def parse_price_list(products: Iterable[str]) -> PriceTable:
    """The hourly prices of jobs among the products; notebooks, endpoints and whatever else is left out.

    :param products: the JSON texts of ``PriceList``, of all pages and types of instances.
    """
    by_kind: dict[str, dict[str, float]] = {}
    currency = "USD"
    for text in products:
        product = json.loads(text)
        attributes = product.get("product", {}).get("attributes", {})
        usage = _USAGE.search(str(attributes.get("usagetype", "")))
        if usage is None:
            continue
        for dimension in _dimensions(product):
            if str(dimension.get("unit", "")).lower() not in ("hrs", "hour", "hours"):
                continue
            for found, price in (dimension.get("pricePerUnit") or {}).items():
                currency = str(found)
                by_kind.setdefault(_KINDS[usage[1]], {})[usage[2]] = float(price)
    return PriceTable(currency=currency, by_kind=by_kind)


def _dimensions(product: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for term in ((product.get("terms") or {}).get("OnDemand") or {}).values():
        yield from (term.get("priceDimensions") or {}).values()
