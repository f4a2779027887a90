"""Values in and out of the wire format, checked against botocore's shapes: the same rules for requests and for answers.

It converts (timestamps) and judges (types, members, lengths, patterns, enums, unions). It knows no operation, no HTTP.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.server.shape_patterns import compile_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

#: A value is quoted in a message up to here; definitions run to a megabyte.
_MAX_QUOTED = 300

_TYPE_NAMES = {
    "string": "String",
    "integer": "Integer",
    "long": "Long",
    "float": "Float",
    "double": "Double",
    "boolean": "Boolean",
    "timestamp": "Timestamp",
    "structure": "Structure",
    "list": "List",
    "map": "Map",
}


class WrongTypeError(Exception):
    """A value whose JSON type no constraint can be asked of: what the service calls a SerializationException."""


@dataclass
class ShapeReader:
    """One walk over one value. `violations` collects what constraints it breaks, in the service's words.

    :param convert_timestamp: makes the other side's form of a timestamp, or raises ValueError or TypeError.
    """

    convert_timestamp: Callable[[Any], Any]
    violations: list[str] = field(default_factory=list)

    def read(self, shape: Any, value: Any, path: str = "") -> Any:
        """The converted value.

        :param shape: a botocore shape.
        :param value: the value as it came.
        :param path: where it stands, such as ``pipelineParameters.1.member.name``; empty for the whole.
        :raises WrongTypeError: when its type, or the type of anything in it, is wrong.
        """
        return getattr(self, f"_read_{shape.type_name}")(shape, value, path)

    def _read_structure(self, shape: Any, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong_type(shape, value, path)
        unknown = sorted(str(name) for name in value if name not in shape.members)
        if unknown:
            known = ", ".join(shape.members)
            raise WrongTypeError(f"Unexpected member '{unknown[0]}'{_at(path)}; expected one of: {known}")
        present = {name: member for name, member in value.items() if member is not None}
        for name in shape.required_members:
            if name not in present:
                self._violate("null", _join(path, name), "Member must not be null")
        if shape.is_tagged_union and len(present) != 1:
            self._violate(present, path, f"Exactly one member must be set, of: {', '.join(shape.members)}")
        return {name: self.read(shape.members[name], member, _join(path, name)) for name, member in present.items()}

    def _read_list(self, shape: Any, value: Any, path: str) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise _wrong_type(shape, value, path)
        self._check_range(shape, value, len(value), path, "length")
        items: list[Any] = []
        for number, item in enumerate(value, start=1):
            place = f"{path}.{number}.member"
            if item is None:
                self._violate("null", place, "Member must not be null")
            else:
                items.append(self.read(shape.member, item, place))
        return items

    def _read_map(self, shape: Any, value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong_type(shape, value, path)
        self._check_range(shape, value, len(value), path, "length")
        result = {}
        for key, item in value.items():
            self.read(shape.key, key, f"{path}.key")
            if item is not None:
                result[key] = self.read(shape.value, item, f"{path}.{key}.member")
        return result

    def _read_string(self, shape: Any, value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise _wrong_type(shape, value, path)
        text = str.__str__(value)
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise WrongTypeError(f"The text{_at(path)} holds half of a surrogate pair, which is no character")
        self._check_range(shape, text, len(text), path, "length")
        if shape.enum and text not in shape.enum:
            self._violate(text, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
        spelled = shape.metadata.get("pattern")
        pattern = compile_pattern(spelled) if spelled else None
        if pattern is not None and not pattern.fullmatch(text):
            self._violate(text, path, f"Member must satisfy regular expression pattern: {spelled}")
        return text

    def _read_integer(self, shape: Any, value: Any, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(shape, value, path)
        bits = 63 if shape.type_name == "long" else 31
        if not -(2**bits) <= value < 2**bits:
            raise WrongTypeError(f"{value}{_at(path)} is not in the range of {_TYPE_NAMES[shape.type_name]}")
        self._check_range(shape, value, value, path, "value")
        return value

    _read_long = _read_integer

    def _read_double(self, shape: Any, value: Any, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong_type(shape, value, path)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise WrongTypeError(f"The value{_at(path)} is not a finite number")
        self._check_range(shape, value, number, path, "value")
        return number

    _read_float = _read_double

    def _read_boolean(self, shape: Any, value: Any, path: str) -> bool:
        if not isinstance(value, bool):
            raise _wrong_type(shape, value, path)
        return value

    def _read_timestamp(self, shape: Any, value: Any, path: str) -> Any:
        try:
            return self.convert_timestamp(value)
        except (TypeError, ValueError, OverflowError, OSError) as error:
            raise _wrong_type(shape, value, path) from error

    def _check_range(self, shape: Any, value: Any, size: float, path: str, measure: str) -> None:
        minimum, maximum = shape.metadata.get("min"), shape.metadata.get("max")
        if minimum is not None and size < minimum:
            self._violate(value, path, f"Member must have {measure} greater than or equal to {minimum}")
        if maximum is not None and size > maximum:
            self._violate(value, path, f"Member must have {measure} less than or equal to {maximum}")

    def _violate(self, value: Any, path: str, constraint: str) -> None:
        shown = value if value == "null" else f"'{_quote(value)}'"
        self.violations.append(f"Value {shown} at '{path or 'input'}' failed to satisfy constraint: {constraint}")


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


def format_violations(violations: list[str]) -> str:
    """The service's one message for all the constraints a request breaks.

    :param violations: one sentence each; not empty.
    """
    noun = "error" if len(violations) == 1 else "errors"
    return f"{len(violations)} validation {noun} detected: {'; '.join(violations)}"


def _wrong_type(shape: Any, value: Any, path: str) -> WrongTypeError:
    expected = _TYPE_NAMES.get(shape.type_name, shape.type_name)
    return WrongTypeError(f"{_quote(value)!r} ({type(value).__name__}){_at(path)} can not be converted to {expected}")


def _quote(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _at(path: str) -> str:
    return f" at '{path}'" if path else ""


def _join(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member
