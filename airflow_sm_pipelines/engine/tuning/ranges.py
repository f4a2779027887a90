"""The hyperparameters that a tuning job varies: their ranges, and points in them.

A point is a tuple of numbers in [0, 1], one for each range, so that strategies need not know about scales.
Source: API reference, ParameterRanges; developer guide, "Define hyperparameter ranges" (scaling types).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_sm_pipelines.engine.rules.errors import validation_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Point = tuple[float, ...]
Scaling = Literal["Linear", "Logarithmic", "ReverseLogarithmic"]


class ParameterRange(Protocol):
    """The range of one hyperparameter."""

    @property
    def name(self) -> str:
        """The hyperparameter."""
        ...

    def value_at(self, position: float) -> str:
        """The value at a position in [0, 1], as the text a training job gets."""
        ...

    def position_of(self, text: str) -> float | None:
        """The position of a value; None if it is outside the range."""
        ...

    def coordinates(self, position: float) -> tuple[float, ...]:
        """The coordinates of a position for measuring distances. All categories are equally far from each other."""
        ...


@dataclass(frozen=True, slots=True)
class NumberRange:
    """An integer or continuous range, bounds included."""

    name: str
    low: float
    high: float
    scaling: Scaling
    is_integer: bool

    def value_at(self, position: float) -> str:
        """The value at a position; all integers are equally likely."""
        low, high = self._bounds
        if self.scaling == "Logarithmic":
            value = math.exp(math.log(low) + position * (math.log(high) - math.log(low)))
        elif self.scaling == "ReverseLogarithmic":
            value = 1 - math.exp(math.log(1 - low) + position * (math.log(1 - high) - math.log(1 - low)))
        else:
            value = low + position * (high - low)
        value = min(max(value, self.low), self.high)
        return str(min(max(round(value), int(self.low)), int(self.high))) if self.is_integer else repr(value)

    def position_of(self, text: str) -> float | None:
        """The position of a value; None if it is not a number in the range."""
        try:
            value = float(text)
        except ValueError:
            return None
        if not self.low <= value <= self.high:
            return None
        low, high = self._bounds
        if self.scaling == "Logarithmic":
            low, high, value = math.log(low), math.log(high), math.log(value)
        elif self.scaling == "ReverseLogarithmic":
            low, high, value = math.log(1 - low), math.log(1 - high), math.log(1 - value)
        return (value - low) / (high - low) if high != low else 0.5

    def coordinates(self, position: float) -> tuple[float, ...]:
        """The position itself."""
        return (position,)

    @property
    def _bounds(self) -> tuple[float, float]:
        is_rounded = self.is_integer and self.scaling == "Linear"
        return (self.low - 0.5, self.high + 0.5) if is_rounded else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class CategoryRange:
    """A set of values."""

    name: str
    values: tuple[str, ...]

    def value_at(self, position: float) -> str:
        """The value at a position; all are equally likely."""
        return self.values[min(int(position * len(self.values)), len(self.values) - 1)]

    def position_of(self, text: str) -> float | None:
        """The middle of the positions that give a value; None if it is not one of them."""
        return (self.values.index(text) + 0.5) / len(self.values) if text in self.values else None

    def coordinates(self, position: float) -> tuple[float, ...]:
        """One axis for each value."""
        chosen = self.value_at(position)
        return tuple(float(value == chosen) for value in self.values)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """All ranges of a training job definition."""

    ranges: tuple[ParameterRange, ...]

    def values_at(self, point: Point) -> dict[str, str]:
        """The hyperparameters at a point."""
        return {one.name: one.value_at(position) for one, position in zip(self.ranges, point)}  # noqa: B905

    def point_of(self, values: Mapping[str, str]) -> Point | None:
        """The point of hyperparameters; None if one is missing or outside its range."""
        positions = [one.position_of(values[one.name]) if one.name in values else None for one in self.ranges]
        found = tuple(position for position in positions if position is not None)
        return found if len(found) == len(self.ranges) else None

    def coordinates(self, point: Point) -> tuple[float, ...]:
        """The coordinates of a point for measuring distances."""
        return tuple(
            axis
            for one, position in zip(self.ranges, point)  # noqa: B905
            for axis in one.coordinates(position)
        )

    def iter_grid(self) -> Iterator[Point]:
        """Every combination of the categories. The space must have no range of numbers."""
        axes = [
            [(number + 0.5) / len(one.values) for number in range(len(one.values))]
            for one in self.ranges
            if isinstance(one, CategoryRange)
        ]
        return iter(product(*axes))


def parse_ranges(ranges: Mapping[str, Any], *, static: Mapping[str, str]) -> SearchSpace:
    """Read ``ParameterRanges``.

    :param static: the static hyperparameters; none of them may be tuned as well.
    :raises ServiceError: a range is empty, its bounds are not numbers, its scale does not fit, or its name comes twice.
    """
    found: list[ParameterRange] = []
    for key, is_integer in (("IntegerParameterRanges", True), ("ContinuousParameterRanges", False)):
        found += [_number_range(entry, is_integer=is_integer) for entry in ranges.get(key) or ()]
    for entry in ranges.get("CategoricalParameterRanges") or ():
        if not entry["Values"]:
            raise validation_error(f"The range of hyperparameter '{entry['Name']}' has no values.")
        found.append(CategoryRange(entry["Name"], tuple(entry["Values"])))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1 or name in static:
            raise validation_error(f"The hyperparameter '{name}' has more than one range or value.")
    if ranges.get("AutoParameters"):
        raise validation_error("AutoParameters (Autotune) are not supported by the local engine: give ranges.")
    if not found:
        raise validation_error("A tuning job needs at least one hyperparameter range.")
    return SearchSpace(tuple(found))


def _number_range(entry: Mapping[str, Any], *, is_integer: bool) -> NumberRange:
    name = entry["Name"]
    scaling: Any = entry.get("ScalingType") or "Auto"
    try:
        low, high = (float(entry["MinValue"]), float(entry["MaxValue"]))
        if is_integer:
            low, high = float(int(entry["MinValue"])), float(int(entry["MaxValue"]))
    except ValueError as error:
        raise validation_error(f"The range of hyperparameter '{name}' is not of numbers: {error}.") from error
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise validation_error(f"The range of hyperparameter '{name}' is empty: {low:g} to {high:g}.")
    if scaling == "Auto":
        # The service chooses by a rule that is not public. A range of several orders of magnitude is searched by them.
        scaling = "Logarithmic" if low > 0 and high / low >= 1000 else "Linear"
    if scaling == "Logarithmic" and low <= 0:
        raise validation_error(f"Logarithmic scaling of '{name}' needs a range above 0.")
    if scaling == "ReverseLogarithmic" and (low < 0 or high >= 1):
        raise validation_error(f"Reverse logarithmic scaling of '{name}' needs a range within 0 <= x < 1.")
    return NumberRange(name, low, high, scaling, is_integer)


def require_categories(space: SearchSpace) -> None:
    """Check that ``Grid`` can search a space.

    :raises ServiceError: it has a range of numbers; the service allows categorical ranges only.
    """
    others: Sequence[str] = [one.name for one in space.ranges if not isinstance(one, CategoryRange)]
    if others:
        raise validation_error(f"Grid search takes categorical ranges only; {', '.join(others)} are not.")
