"""Prices of instances: from a TOML file of one's own, or from AWS's public price list.

The public list has the prices that everybody pays without a contract: no discounts and no savings plans. Whoever calls
AWS gets the requests here and hands in the products.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.exceptions import PriceError
from airflow_sm_pipelines.toml_text import parse_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TABLE_KINDS = {"processing": "Processing", "training": "Training", "transform": "Transform"}
_USAGE = re.compile(r"(?:^|-)(Train|Processing|Tsform):(ml\.[\w.-]+)$")
_USAGE_KINDS = {"Train": "Training", "Processing": "Processing", "Tsform": "Transform"}


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The prices of one instance for an hour.

    :param hourly: prices by instance type.
    :param by_kind: other prices for a kind of job (``Training``, ``Processing``, ``Transform``), by instance type.
    """

    currency: str = "USD"
    hourly: Mapping[str, float] = field(default_factory=dict)
    by_kind: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def find(self, kind: str, instance_type: str) -> float | None:
        """The price of an hour; None if the table has none."""
        return self.by_kind.get(kind, {}).get(instance_type, self.hourly.get(instance_type))


def load_prices(path: str | Path) -> PriceTable:
    """Load the prices in a TOML file.

    :raises PriceError: the file cannot be read, or has something other than prices in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PriceError(f"The prices {path} cannot be read: {error}.") from None
    return parse_prices(text, name=str(path))


def parse_prices(text: str, *, name: str = "prices") -> PriceTable:
    """Parse the prices in TOML text: ``currency``, ``[hourly]``, and ``[training]``, ``[processing]``, ``[transform]``.

    :param name: of the text, for messages.
    :raises PriceError: the text is not TOML, or has something other than prices in it.
    """
    try:
        document = parse_toml(text)
    except ValueError as error:
        raise PriceError(f"{name} is not TOML: {error}.") from None
    for key in document:
        known = ("currency", "hourly", *_TABLE_KINDS)
        if key not in known:
            raise PriceError(f"{name}: {key!r} is not part of a price table.{suggest(key, known)}")
    currency = document.get("currency", "USD")
    if not isinstance(currency, str):
        raise PriceError(f"{name}: currency must be a text such as 'USD', found {currency!r}.")
    return PriceTable(
        currency=currency,
        hourly=_read_table("hourly", document, name),
        by_kind={kind: _read_table(key, document, name) for key, kind in _TABLE_KINDS.items()},
    )


def _read_table(key: str, document: Mapping[str, Any], name: str) -> dict[str, float]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise PriceError(f"{name}: [{key}] must be a table of prices by instance type.")
    for instance_type, price in table.items():
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < float("inf"):
            raise PriceError(
                f"{name}: {key}.{instance_type} must be the price of an hour, found {price!r}. "
                'Write the type in quotes: "ml.m5.large" = 0.115'
            )
    return {instance_type: float(price) for instance_type, price in table.items()}


# --- AWS's public price list ------------------------------------------------------------------------------------------


def find_price_list_region(region: str) -> str:
    """The region whose price-list endpoint knows a region's prices; there are three of them, and one in China."""
    for prefix, home in (("cn-", "cn-northwest-1"), ("eu-", "eu-central-1"), ("ap-", "ap-south-1")):
        if region.startswith(prefix):
            return home
    return "us-east-1"


def make_price_request(instance_type: str, *, region: str) -> dict[str, Any]:
    """The arguments of ``GetProducts`` for one instance type; page through the answer."""
    wanted = {"regionCode": region, "instanceName": instance_type}
    return {
        "ServiceCode": "AmazonSageMaker",
        "FormatVersion": "aws_v1",
        "Filters": [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()],
    }


def parse_price_list(products: Iterable[str]) -> PriceTable:
    """The hourly prices of jobs among the products; those of notebooks, endpoints and so on are left out.

    :param products: the JSON texts in ``PriceList``, of all pages and all instance types.
    """
    by_kind: dict[str, dict[str, float]] = {}
    currency = "USD"
    for text in products:
        product = json.loads(text)
        attributes = product.get("product", {}).get("attributes", {})
        usage = _USAGE.search(str(attributes.get("usagetype", "")))
        if usage is None:
            continue
        for dimension in _iter_dimensions(product):
            if str(dimension.get("unit", "")).lower() not in ("hrs", "hour", "hours"):
                continue
            for found, price in (dimension.get("pricePerUnit") or {}).items():
                currency = str(found)
                by_kind.setdefault(_USAGE_KINDS[usage[1]], {})[usage[2]] = float(price)
    return PriceTable(currency=currency, by_kind=by_kind)


def _iter_dimensions(product: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for term in ((product.get("terms") or {}).get("OnDemand") or {}).values():
        yield from (term.get("priceDimensions") or {}).values()
