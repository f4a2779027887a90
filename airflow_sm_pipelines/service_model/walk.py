"""The one walk that holds a value against a shape, finds every fault in it, and converts its timestamps.

The same rules judge a request, an answer and the arguments of a step. The caller says what differs: whether a part may
be an expression, whose value is not known yet, and which members may be missing. A fault has a kind and a place but no
text: the endpoint words it as the service does, the policy words it for people.

Decisions, where the service could do otherwise:

* A null member of a structure or of a map is an absent one, as the SDKs write it. A null in a list is wrong.
* A value of another type is wrong even where it reads as the wanted one: ``"1"`` or ``1.0`` for an integer, ``5`` for a
  string. The service's JSON protocol refuses it, and so does boto3; no known public definition has one.
* An expression stands where one value belongs: in a list, not for it. One that is known to give a number or a boolean
  does not stand for a text (aws/sagemaker-python-sdk issues 2345, 2631, 4867).
* A member that the model does not know is wrong: it is misspelt far more often than it is new.
* A value that a list of the API does not have is wrong, unless AWS may have added it since (:meth:`Shape.may_gain`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.service_model.api_model import Shape

ValuePath: TypeAlias = "tuple[str | int, ...]"
"""A place in a value: member names, map keys and list indexes from its root."""

EACH = "*"
"""Stands in a path for every entry of a list."""

UNKNOWN_TYPE = "Unknown"
"""The type of an expression that may give anything, such as a value out of a JSON file."""

ExpressionType: TypeAlias = "Callable[[Any], str | None]"
"""Gives the type of an expression's value, as parameters have it, or :data:`UNKNOWN_TYPE`; None for a literal."""

_BITS = {"integer": 31, "long": 63}
_HOLD_MANY = frozenset({"structure", "list", "map"})


class FaultKind(str, Enum):
    """What can be wrong with a value."""

    WRONG_TYPE = "wrong type"
    OUTSIDE_TYPE = "outside type"
    """A whole number that has too many bits for its type."""
    NOT_FINITE = "not finite"
    """Infinity or no number (NaN), or a number that no float can hold."""
    HALF_CHARACTER = "half character"
    """A text with half of a surrogate pair."""
    UNKNOWN_MEMBER = "unknown member"
    TOO_DEEP = "too deep"
    MISSING_MEMBER = "missing member"
    NULL_ENTRY = "null entry"
    NOT_ONE_MEMBER = "not one member"
    """A tagged union with no member, or with several."""
    BELOW_MINIMUM = "below minimum"
    """A number that is too small, or a text, list or map that is too short."""
    ABOVE_MAXIMUM = "above maximum"
    UNKNOWN_VALUE = "unknown value"
    """A text that is none of the values that the API allows."""
    UNLISTED_VALUE = "unlisted value"
    """A text that an open list does not have: a warning everywhere, since the service may know it."""
    WRONG_PATTERN = "wrong pattern"
    EXPRESSION_FOR_MANY = "expression for many"
    """An expression where a list, a map or a structure belongs; one may stand in it."""
    NUMBER_FOR_TEXT = "number for text"
    """An expression that gives a number or a boolean where a text belongs."""

    @property
    def is_unreadable(self) -> bool:
        """Whether the service cannot even read the value, so that it asks no constraint of the request."""
        return self in _UNREADABLE

    @property
    def is_wrong(self) -> bool:
        """Whether the service refuses the value; if not, the fault is a warning."""
        return self is not FaultKind.UNLISTED_VALUE


_UNREADABLE = frozenset(
    {
        FaultKind.WRONG_TYPE,
        FaultKind.OUTSIDE_TYPE,
        FaultKind.NOT_FINITE,
        FaultKind.HALF_CHARACTER,
        FaultKind.UNKNOWN_MEMBER,
        FaultKind.TOO_DEEP,
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a value does not fit.

    :param path: where it is; for a missing or unknown member with the member's name.
    :param shape: what was expected there; for a missing or unknown member the structure's, for a null entry the list's.
    :param value: what was found there; for a missing or unknown member the structure.
    :param is_key: whether it is the key of a map, which ends the path, and not the value under it.
    """

    kind: FaultKind
    path: ValuePath
    shape: Shape
    value: Any
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a walk gives.

    :param value: the value without its null members and unknown ones, and with converted timestamps; where something is
        unreadable, of no use.
    :param faults: in the order of the walk: of each structure first what is missing and unknown, then its members.
    """

    value: Any
    faults: list[Fault]


def parse_timestamp(value: Any) -> datetime:
    """A timestamp of the wire, in seconds since the epoch, as an aware datetime.

    :raises TypeError: when it is no number.
    :raises ValueError: when no date is that far away.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("not a number of seconds")
    return datetime.fromtimestamp(value, timezone.utc)


def format_timestamp(value: Any) -> float:
    """An aware datetime as the wire's seconds since the epoch, to the millisecond as the service gives them.

    :raises TypeError: when it is no datetime.
    :raises ValueError: when it has no time zone.
    """
    if not isinstance(value, datetime):
        raise TypeError("not a datetime")
    if value.tzinfo is None:
        raise ValueError("a datetime without a time zone")
    return round(value.timestamp(), 3)


def judge_value(
    value: Any,
    shape: Shape,
    *,
    expression_type: ExpressionType | None = None,
    convert_timestamp: Callable[[Any], Any] = parse_timestamp,
    may_miss: frozenset[ValuePath] = frozenset(),
) -> Judgement:
    """Hold a value against a shape.

    :param value: JSON values; for an answer of ours also datetimes and tuples.
    :param expression_type: tells a part whose value is not known yet.
    :param convert_timestamp: makes the other side's form of a timestamp, or raises ValueError or TypeError.
    :param may_miss: paths of required members that may be missing, with :data:`EACH` for any index.
    """
    walk = _Walk(expression_type, convert_timestamp, may_miss)
    try:
        return Judgement(walk.read(shape, value), walk.faults)
    except RecursionError:
        return Judgement(None, [*walk.faults, Fault(FaultKind.TOO_DEEP, (), shape, value)])


class _Walk:
    __slots__ = ("_convert_timestamp", "_expression_type", "_may_miss", "_path", "faults")

    def __init__(
        self,
        expression_type: ExpressionType | None,
        convert_timestamp: Callable[[Any], Any],
        may_miss: frozenset[ValuePath],
    ) -> None:
        self._expression_type = expression_type
        self._convert_timestamp = convert_timestamp
        self._may_miss = may_miss
        self._path: list[str | int] = []
        self.faults: list[Fault] = []

    def read(self, shape: Shape, value: Any) -> Any:
        kind = self._expression_type(value) if self._expression_type is not None else None
        if kind is not None:
            return self._read_expression(shape, value, kind)
        return _READERS[shape.type_name](self, shape, value)

    def _read_expression(self, shape: Shape, value: Any, kind: str) -> Any:
        if shape.type_name in _HOLD_MANY:
            return self._find(FaultKind.EXPRESSION_FOR_MANY, shape, value)
        if shape.type_name == "string" and kind not in ("String", UNKNOWN_TYPE):
            return self._find(FaultKind.NUMBER_FOR_TEXT, shape, value)
        return value

    def _find(self, kind: FaultKind, shape: Shape, value: Any, *more: str, is_key: bool = False) -> Any:
        """Note a fault here; None stands for the value that cannot be read."""
        self.faults.append(Fault(kind, (*self._path, *more), shape, value, is_key))

    def _read_inner(self, part: str | int, shape: Shape, value: Any) -> Any:
        self._path.append(part)
        result = self.read(shape, value)
        self._path.pop()
        return result

    def _read_structure(self, shape: Shape, value: Any) -> Any:
        if not isinstance(value, dict):
            return self._find(FaultKind.WRONG_TYPE, shape, value)
        members = shape.members
        for name in shape.required_members:
            if value.get(name) is None and not self._may_be_missing(name):
                self._find(FaultKind.MISSING_MEMBER, shape, value, name)
        if not value.keys() <= members.keys():
            for name in sorted(str(key) for key in value if key not in members):
                self._find(FaultKind.UNKNOWN_MEMBER, shape, value, name)
        present = {name: item for name, item in value.items() if item is not None and name in members}
        if shape.is_tagged_union and len(present) != 1:
            self._find(FaultKind.NOT_ONE_MEMBER, shape, present)
        return {name: self._read_inner(name, members[name], item) for name, item in present.items()}

    def _may_be_missing(self, name: str) -> bool:
        if not self._may_miss:
            return False
        return (*(EACH if isinstance(part, int) else part for part in self._path), name) in self._may_miss

    def _read_list(self, shape: Shape, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return self._find(FaultKind.WRONG_TYPE, shape, value)
        self._check_range(shape, value, len(value))
        items = []
        for index, item in enumerate(value):
            if item is None:
                self.faults.append(Fault(FaultKind.NULL_ENTRY, (*self._path, index), shape, None))
            else:
                items.append(self._read_inner(index, shape.member, item))
        return items

    def _read_map(self, shape: Shape, value: Any) -> Any:
        if not isinstance(value, dict):
            return self._find(FaultKind.WRONG_TYPE, shape, value)
        self._check_range(shape, value, len(value))
        result = {}
        for key, item in value.items():
            self._path.append(key)
            self._read_string(shape.key, key, is_key=True)
            if item is not None:
                result[key] = self.read(shape.value, item)
            self._path.pop()
        return result

    def _read_string(self, shape: Shape, value: Any, *, is_key: bool = False) -> Any:
        if not isinstance(value, str):
            return self._find(FaultKind.WRONG_TYPE, shape, value, is_key=is_key)
        text = str.__str__(value)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            return self._find(FaultKind.HALF_CHARACTER, shape, text, is_key=is_key)
        self._check_range(shape, text, len(text), is_key=is_key)
        if shape.enum and text not in shape.enum:
            kind = FaultKind.UNLISTED_VALUE if shape.may_gain(text) else FaultKind.UNKNOWN_VALUE
            self._find(kind, shape, text, is_key=is_key)
        pattern = shape.pattern
        if pattern is not None and not pattern.fullmatch(text):
            self._find(FaultKind.WRONG_PATTERN, shape, text, is_key=is_key)
        return text

    def _read_whole(self, shape: Shape, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return self._find(FaultKind.WRONG_TYPE, shape, value)
        bound = 1 << _BITS[shape.type_name]
        if not -bound <= value < bound:
            return self._find(FaultKind.OUTSIDE_TYPE, shape, value)
        self._check_range(shape, value, value)
        return value

    def _read_fraction(self, shape: Shape, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self._find(FaultKind.WRONG_TYPE, shape, value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            return self._find(FaultKind.NOT_FINITE, shape, value)
        self._check_range(shape, value, number)
        return number

    def _read_boolean(self, shape: Shape, value: Any) -> Any:
        return value if isinstance(value, bool) else self._find(FaultKind.WRONG_TYPE, shape, value)

    def _read_timestamp(self, shape: Shape, value: Any) -> Any:
        try:
            return self._convert_timestamp(value)
        except (TypeError, ValueError, OverflowError, OSError):
            return self._find(FaultKind.WRONG_TYPE, shape, value)

    def _check_range(self, shape: Shape, value: Any, size: float, *, is_key: bool = False) -> None:
        if shape.minimum is not None and size < shape.minimum:
            self._find(FaultKind.BELOW_MINIMUM, shape, value, is_key=is_key)
        if shape.maximum is not None and size > shape.maximum:
            self._find(FaultKind.ABOVE_MAXIMUM, shape, value, is_key=is_key)


_READERS = {
    "structure": _Walk._read_structure,
    "list": _Walk._read_list,
    "map": _Walk._read_map,
    "string": _Walk._read_string,
    "integer": _Walk._read_whole,
    "long": _Walk._read_whole,
    "float": _Walk._read_fraction,
    "double": _Walk._read_fraction,
    "boolean": _Walk._read_boolean,
    "timestamp": _Walk._read_timestamp,
}
