"""Prices of instances, in a TOML file: AWS's price list changes, and most companies have prices of their own."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.problems import suggest
from airflow_sm_pipelines.exceptions import PriceError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS = {"processing": "Processing", "training": "Training", "transform": "Transform"}


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by the hour and instance.

    :param hourly: by type of instance.
    :param by_kind: other prices for a kind of job: ``Training``, ``Processing``, ``Transform``.
    """

    currency: str = "USD"
    hourly: Mapping[str, float] = field(default_factory=dict)
    by_kind: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def find(self, kind: str, instance_type: str) -> float | None:
        """The price of an hour, or ``None`` where the table has none."""
        return self.by_kind.get(kind, {}).get(instance_type, self.hourly.get(instance_type))


def load_prices(path: str | Path) -> PriceTable:
    """The prices in a TOML file.

    :raises PriceError: when it cannot be read, or holds something else than prices.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PriceError(f"The prices {path} cannot be read: {error}.") from None
    return parse_prices(text, name=str(path))


def parse_prices(text: str, *, name: str = "prices") -> PriceTable:
    """The prices in TOML text: ``currency``, ``[hourly]``, and ``[training]``, ``[processing]``, ``[transform]``.

    :raises PriceError: when it holds something else.
    """
    toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document = toml.loads(text)
    except toml.TOMLDecodeError as error:
        raise PriceError(f"{name} is not TOML: {error}.") from None
    for key in document:
        known = ("currency", "hourly", *_KINDS)
        if key not in known:
            raise PriceError(f"{name}: {key!r} is not part of a price table.{suggest(key, known)}")
    currency = document.get("currency", "USD")
    if not isinstance(currency, str):
        raise PriceError(f"{name}: currency must be a text such as 'USD', found {currency!r}.")
    return PriceTable(
        currency=currency,
        hourly=_read("hourly", document, name),
        by_kind={kind: _read(key, document, name) for key, kind in _KINDS.items()},
    )


def _read(key: str, document: Mapping[str, Any], name: str) -> dict[str, float]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise PriceError(f"{name}: [{key}] must be a table of prices by type of instance.")
    for instance_type, price in table.items():
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not 0 <= price < float("inf"):
            raise PriceError(
                f"{name}: {key}.{instance_type} must be the price of an hour, found {price!r}. "
                'Write the type in quotes: "ml.m5.large" = 0.115'
            )
    return {instance_type: float(price) for instance_type, price in table.items()}
